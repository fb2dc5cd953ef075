"""
What a test holds of a proxy: faults in seconds and bytes, cut, heal, and what was really hit.

Knows no runner of tests, and not in which thread it is called: what the reactor may be changing is
looked at, and changed, in its thread only, by `Handle.run`.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from lab.errors import LocalError
from lab.faults.datagrams import Settings
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Line
from lab.faults.words import decided
from lab.proxy.embedded import Embedded
from lab.proxy.upstreams import read_upstream

#: So many decisions are in a report.
DECISIONS = 20

_T = TypeVar("_T")


class Handle:
    """
    A proxy that stands before something, and all that a test may do to it.

    A fault is in force when the call that makes it returns, on connections that are there as well.

    Args:
        proxy: The proxy.

    Attributes:
        name: Its name.
        upstream: Where it connects to, in words.
        protocol: ``tcp``, which stands for all streams, or ``udp``.
        address: Where clients connect to, as sockets want it: host and port.
        host: The same host.
        port: The same port.
        text: The same as an endpoint string for clients.
    """

    def __init__(self, proxy: Embedded) -> None:
        self._proxy = proxy
        self.name, self.upstream = proxy.name, proxy.upstream.text
        self.protocol = proxy.upstream.protocol
        self.address = self.host, self.port = proxy.address
        self.text = f"{self.protocol}:{self.host}:{self.port}"

    @abstractmethod
    def run(self, function: Callable[[], _T]) -> _T:
        """Call a function in the thread of the reactor."""

    # What is wrong with it.

    def add(
        self,
        settings: Settings,
        *,
        name: str | None = None,
        stream: str = "downstream",
        toxicity: float = 1.0,
        **timing: float,
    ) -> str:
        """
        Have one more fault, behind those that there are.

        Args:
            settings: What it is, in seconds and bytes; see `lab.faults.streams` and
                `lab.faults.datagrams`.
            name: Unlike that of others; by default its type, such as ``latency`` or ``latency_2``.
            stream: ``upstream``, from client to server, ``downstream``, or ``both``, each of which
                decides for itself.
            toxicity: The share of connections that it works on, 0 to 1.
            timing: ``after``, ``duration`` and ``every``, in seconds, see `Fault`. They count from
                now; on connections that come later, from their beginning.

        Returns:
            Its name.

        Raises:
            LocalError: The name is taken, or something can't be; then all is as before.
        """
        return self.run(lambda: self._proxy.faults.add(settings, name, stream, toxicity, timing))

    def remove(self, name: str) -> None:
        """
        Take a fault away; what it holds back goes on at once.

        Raises:
            LocalError: There is none of that name.
        """
        self.run(lambda: self._proxy.faults.remove(name))

    @contextmanager
    def fault(self, settings: Settings, **given: Any) -> Iterator[str]:
        """
        Have a fault for the time of a ``with``.

        Args:
            settings: As for `add`.
            given: Likewise.

        Raises:
            LocalError: As `add`.
        """
        name = self.add(settings, **given)
        try:
            yield name
        finally:
            faults = self._proxy.faults
            self.run(lambda: faults.remove(name) if name in faults else None)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Those in force; one of both directions is two."""
        return self.run(lambda: tuple(self._proxy.faults.faults()))

    def cut(self) -> str:
        """
        Let nothing pass, in both directions, as if a cable were pulled.

        Nobody is told. Streams are held, and so are their ends; datagrams are lost. Who connects
        is still accepted, and hears nothing.

        Returns:
            The name of the fault that this is: ``partition``, if that is free.
        """
        return self.run(self._proxy.faults.cut)

    def heal(self) -> None:
        """End a cut: what was held goes on. Without one, do nothing."""
        self.run(self._proxy.faults.heal)

    def reset(self) -> None:
        """
        End all connections with RST.

        Raises:
            LocalError: Datagrams have none.
        """
        self.run(self._proxy.reset)

    def drop(self) -> None:
        """End all connections with FIN; of datagrams, forget all clients."""
        self.run(self._proxy.relay.drop)

    # What has happened.

    @property
    def hits(self) -> dict[str, int]:
        """How often each fault that there ever was has done something, by its name."""
        return self.run(self._proxy.faults.hits)

    def assert_hit(self, name: str, at_least: int = 1) -> None:
        """
        Make sure that a fault has really happened; it need not be in force any more.

        Args:
            name: Its name.
            at_least: So often.

        Raises:
            AssertionError: It has not; the text says what has.
            LocalError: There never was a fault of that name.
        """
        self.run(lambda: self._proxy.assert_hit(name, at_least))

    @property
    def connections(self) -> int:
        """How many there are now; of datagrams, how many clients."""
        return self.run(lambda: self._proxy.relay.connections)

    @property
    def accepted(self) -> int:
        """How many there have been."""
        return self.run(lambda: self._proxy.relay.accepted)

    @property
    def refused(self) -> int:
        """How many of them found no upstream."""
        return self.run(lambda: self._proxy.relay.refused)

    @property
    def received(self) -> dict[str, int]:
        """Bytes that have come in, by direction."""
        return self.run(lambda: dict(self._proxy.relay.received))

    @property
    def sent(self) -> dict[str, int]:
        """Bytes that have gone out, by direction."""
        return self.run(lambda: dict(self._proxy.relay.sent))

    @property
    def journal(self) -> Journal:
        """What its faults have drawn, in that order."""
        whole = self._proxy.journal
        return self.run(
            lambda: Journal(
                [one for one in whole.entries if one.place.link == self.name], whole.seed
            )
        )


_Held = TypeVar("_Held", bound=Handle)


class Handles(Generic[_Held]):
    """
    The proxies of a test; all of it is for the thread of the reactor.

    Args:
        make: Makes a handle.
        reactor: Listens, connects, and has a clock.
        seed: Equal seeds decide alike.
        interface: Where proxies listen.

    Attributes:
        journal: What faults of all of them have drawn, in that order.
        all: They, by their names.
    """

    def __init__(
        self, make: Callable[[Embedded], _Held], reactor: Any, seed: int, interface: str
    ) -> None:
        self._begun = begun = reactor.seconds()
        self._last: deque[tuple[float, Line]] = deque(maxlen=DECISIONS)
        self.journal = Journal(
            seed=seed, watch=lambda line: self._last.append((reactor.seconds() - begun, line))
        )
        self.all: dict[str, _Held] = {}
        self._proxies: list[Embedded] = []
        self._make, self._reactor, self._seed, self._interface = make, reactor, seed, interface

    def before(self, upstream: Any, name: str | None = None) -> _Held:
        """
        See `lab.proxy.testing.Proxies.before`.

        Raises:
            LocalError: As there.
        """
        number = len(self._proxies) + 1
        chosen = name or ("proxy" if number == 1 else f"proxy-{number}")
        if chosen in self.all:
            raise LocalError(f"name is {chosen!r}, which is that of another proxy; give another")
        proxy = Embedded(
            self._reactor,
            chosen,
            read_upstream(self._reactor, upstream),
            decisions=Dice(self._seed),
            journal=self.journal,
            interface=self._interface,
        )
        self._proxies.append(proxy)
        self.all[chosen] = self._make(proxy)
        return self.all[chosen]

    def close(self) -> "Deferred[None]":
        """End all of them; fires when nothing is left, neither sockets nor timers."""
        closing = [proxy.close() for proxy in self._proxies]
        return gatherResults(closing, consumeErrors=True).addCallback(lambda _: None)

    def report(self) -> str:
        """What has happened, in lines."""
        return "\n".join(
            [
                f"proxies with seed {self._seed}:",
                *_indented(line for proxy in self._proxies for line in _lines(proxy)),
                "last decisions:",
                *_indented(self._decisions()),
            ]
        )

    def _decisions(self) -> list[str]:
        """What was drawn last, and when since the test began."""
        lines = [f"{when:12.6f} s  {decided(line)}" for when, line in self._last]
        return lines or ["none"]


def _lines(proxy: Embedded) -> list[str]:
    """A proxy of a report."""
    host, port = proxy.address
    return [f"{proxy.name} at {host}:{port} before {proxy.upstream.text}", f"  {proxy.told()}"]


def _indented(lines: Iterable[str]) -> list[str]:
    """Lines, a bit to the right."""
    return [f"  {line}" for line in lines]
