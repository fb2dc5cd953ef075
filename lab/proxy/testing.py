"""
A network that breaks on command, in tests on Twisted: proxies before any endpoint, in process.

For a test whose client blocks its thread there is `lab.proxy.blocking`, for the fixtures of pytest
`lab.proxy.pytest_plugin`.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.errors import LocalError
from lab.faults.journal import Journal
from lab.proxy.embedded import Embedded
from lab.proxy.handles import Handle, Handles
from lab.testing import tell_at_failure

_T = TypeVar("_T")


class FaultyProxy(Handle):
    """
    A `Handle` for a test that runs in the same reactor; `Proxies.before` makes it.

    Args:
        reactor: Connects.
        proxy: The proxy.

    Attributes:
        endpoint: For clients in that reactor: of a stream, or a `DatagramClientEndpoint`.
    """

    def __init__(self, reactor: Any, proxy: Embedded) -> None:
        super().__init__(proxy)
        self.endpoint: IStreamClientEndpoint | DatagramClientEndpoint = clientFromString(
            reactor, self.text
        )

    def run(self, function: Callable[[], _T]) -> _T:
        """This is the thread of the reactor."""
        return function()

    def until_hit(self, name: str, at_least: int = 1, patience: float = 10.0) -> "Deferred[None]":
        """
        Wait until a fault has really happened.

        Args:
            name: Its name.
            at_least: So often.
            patience: Wait no longer than so, in seconds.

        Returns:
            Fails as `Handle.assert_hit` does.
        """
        return Deferred.fromCoroutine(self._proxy.until_hit(name, at_least, patience))

    def down(self) -> "Deferred[None]":
        """Close the port and end all connections; fires when clients are refused."""
        return self._proxy.down()

    def up(self) -> "Deferred[None]":
        """
        Open the same port again.

        Returns:
            Fails with ``LocalError`` if somebody else has taken it.
        """
        return self._proxy.up()


class Proxies:
    """
    The proxies of a test, in a reactor that runs while it waits.

    Args:
        reactor: Listens, connects, and has a clock: the real one, or that of a simulated host.
        seed: Equal seeds decide alike, if the same bytes come in the same chunks.
        interface: Where they listen.

    Attributes:
        seed: See above.
        journal: What faults have drawn, in that order.
    """

    def __init__(self, reactor: Any, seed: int = 0, interface: str = "127.0.0.1") -> None:
        self._handles: Handles[FaultyProxy] = Handles(
            lambda proxy: FaultyProxy(reactor, proxy), reactor, seed, interface
        )
        self.seed = seed
        self.journal: Journal = self._handles.journal

    def before(self, upstream: Any, *, name: str | None = None) -> FaultyProxy:
        """
        Put a proxy before something; it listens when this returns.

        Args:
            upstream: ``HOST:PORT`` or a pair of the two, for TCP; the number of a TCP port of this
                machine; a client's endpoint string, also ``udp:HOST:PORT``; an ``IListeningPort``
                or its address; or an endpoint of a client.
            name: Unlike that of others. Decisions follow from it; by default it is ``proxy``,
                ``proxy-2`` and so on.

        Raises:
            LocalError: There is no such place, or another proxy of that name.
        """
        return self._handles.before(upstream, name)

    def close(self) -> "Deferred[None]":
        """End all of them; fires when nothing is left, neither sockets nor timers."""
        return self._handles.close()

    def report(self) -> str:
        """What has happened, in lines for people."""
        return self._handles.report()


class ProxyMixin:
    """
    Mixed into a test case of trial's, gives each test proxies as ``self.proxies``.

    They are closed after the test, with all their connections. When a test fails, what happened at
    them is written to standard error. It stands before `lab.simulator.testing.SimulationMixin` in
    the list of bases, if both do; proxies of a simulated host are gone with its network.

    Attributes:
        seed: All that is drawn follows from it; set it in the class.
        reactor: What they run in; None for the one that trial runs. A property may give that of a
            simulated host.
        proxies: They.
    """

    seed = 0
    reactor: Any = None
    proxies: Proxies

    def setUp(self) -> None:
        """Begin."""
        case: Any = super()
        case.setUp()
        case = self
        reactor = installed() if self.reactor is None else self.reactor
        self.proxies = Proxies(reactor, self.seed)
        if reactor is sys.modules.get("twisted.internet.reactor"):
            _check_waits(case)
            case.addCleanup(self.proxies.close)

    def run(self, result: Any = None) -> Any:
        """Run the test; tell more if it fails."""

        def report() -> str:
            """Of the proxies that there are by then."""
            return self.proxies.report()

        tell_at_failure(self, report)
        case: Any = super()
        return case.run(result)


def _check_waits(case: object) -> None:
    """Refuse a case that never lets the reactor run."""
    from twisted.trial.unittest import TestCase

    if not isinstance(case, TestCase):
        raise LocalError(
            f"{type(case).__name__} has ProxyMixin and does not wait for its reactor; "
            "give it twisted.trial.unittest.TestCase, or take lab.proxy.blocking"
        )


def installed() -> Any:
    """The reactor that the tests of this process run in: nobody could hand it to them."""
    from twisted.internet import reactor

    return reactor
