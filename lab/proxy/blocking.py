"""
A network that breaks on command, in tests whose clients block: proxies in a thread of their own.

Such a client waits in the thread of the test, so the proxy has to run in another. The reactor there
is a second one, which is installed nowhere: the tests may have, start and stop that of Twisted as
they like.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, Self, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.threads import blockingCallFromThread

from lab.errors import LocalError
from lab.faults.journal import Journal
from lab.proxy.embedded import Embedded
from lab.proxy.handles import Handle, Handles
from lab.proxy.upstreams import place

_T = TypeVar("_T")


class _SecondReactor(EPollReactor):
    """One that does not say of its thread that it is Twisted's."""

    _registerAsIOThread = False

    def close(self) -> None:
        """Leave no file open, after its end."""
        self.waker.connectionLost(None)
        self._poller.close()


class ReactorThread:
    """A thread with a reactor; as a context manager it runs in between."""

    def __init__(self) -> None:
        self.reactor: Any = _SecondReactor()
        self._thread = Thread(
            target=self.reactor.run,
            kwargs={"installSignalHandlers": False},
            name="lab.proxy",
            daemon=True,
        )

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join()
        self.reactor.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """
        Call a function there, and wait.

        Returns:
            What it returns; of a Deferred, its result.
        """
        return blockingCallFromThread(self.reactor, function, *arguments)


class BlockingProxy(Handle):
    """
    A `Handle` for a test that blocks; `BlockingProxies.before` makes it.

    Args:
        thread: Where it runs.
        proxy: The proxy.
    """

    def __init__(self, thread: ReactorThread, proxy: Embedded) -> None:
        super().__init__(proxy)
        self._thread = thread

    def run(self, function: Callable[[], _T]) -> _T:
        """Wait for that thread."""
        found: _T = self._thread.call(function)
        return found

    def until_hit(self, name: str, at_least: int = 1, patience: float = 10.0) -> None:
        """
        Wait until a fault has really happened.

        Args:
            name: Its name.
            at_least: So often.
            patience: Wait no longer than so, in seconds.

        Raises:
            AssertionError: As `Handle.assert_hit`.
            LocalError: Likewise.
        """
        self._thread.call(
            lambda: Deferred.fromCoroutine(self._proxy.until_hit(name, at_least, patience))
        )

    def down(self) -> None:
        """Close the port and end all connections; then clients are refused."""
        self._thread.call(self._proxy.down)

    def up(self) -> None:
        """
        Open the same port again.

        Raises:
            LocalError: Somebody else has taken it.
        """
        self._thread.call(self._proxy.up)


class BlockingProxies:
    """
    The proxies of a test that blocks.

    Args:
        thread: Where they run.
        seed: Equal seeds decide alike, if the same bytes come in the same chunks.
        interface: Where they listen.

    Attributes:
        seed: See above.
    """

    def __init__(self, thread: ReactorThread, seed: int = 0, interface: str = "127.0.0.1") -> None:
        self.seed = seed
        self._thread = thread
        self._handles: Handles[BlockingProxy] = Handles(
            lambda proxy: BlockingProxy(thread, proxy), thread.reactor, seed, interface
        )

    def before(self, upstream: Any, *, name: str | None = None) -> BlockingProxy:
        """
        Put a proxy before something; it listens when this returns.

        Args:
            upstream: As for `lab.proxy.testing.Proxies.before`, but no endpoint of a client, which
                belongs to a reactor, and no TLS, of which Twisted does a part in the reactor that
                is installed. A client's own TLS goes through as it is.
            name: As there.

        Raises:
            LocalError: There is no such place, or another proxy of that name.
        """
        text = place(upstream)
        if text.startswith(("tls:", "ssl:")):
            raise LocalError(f"upstream is {text!r}; give tcp:HOST:PORT, and let the client do TLS")
        found: BlockingProxy = self._thread.call(self._handles.before, text, name)
        return found

    @property
    def journal(self) -> Journal:
        """What faults have drawn, in that order."""
        found: Journal = self._thread.call(
            lambda: Journal([*self._handles.journal.entries], self.seed)
        )
        return found

    def close(self) -> None:
        """End all of them; then nothing is left, neither sockets nor timers."""
        self._thread.call(self._handles.close)

    def report(self) -> str:
        """What has happened, in lines for people."""
        found: str = self._thread.call(self._handles.report)
        return found


@contextmanager
def blocking_proxies(
    seed: int = 0, thread: ReactorThread | None = None
) -> Iterator[BlockingProxies]:
    """
    Proxies for the time of a ``with``.

    Args:
        seed: See `BlockingProxies`.
        thread: Where they run; without, in one for this time only.
    """
    if thread is None:
        with ReactorThread() as made, blocking_proxies(seed, made) as proxies:
            yield proxies
        return
    proxies = BlockingProxies(thread, seed)
    try:
        yield proxies
    finally:
        proxies.close()
