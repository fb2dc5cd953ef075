"""
One proxy in the process of somebody else: a relay, its faults, and a port that opens and closes.

It has no API and no name that a client could ask for. All of it is for the thread of its reactor.
"""

from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.adapters.lean import lean
from lab.errors import LocalError
from lab.faults.journal import Journal
from lab.faults.link import Decisions
from lab.proxy.chains import Chain
from lab.proxy.datagrams import DatagramRelay
from lab.proxy.ports import BACKLOG
from lab.proxy.streams import StreamRelay
from lab.proxy.upstreams import Upstream

#: Who waits for a hit looks so often, in seconds.
LOOK = 0.002


class Embedded:
    """
    A proxy that listens on a free port from the beginning.

    Args:
        reactor: Listens, connects, and has a clock.
        name: Decisions follow from it.
        upstream: Where it connects to.
        decisions: Where verdicts come from.
        journal: Takes those that were drawn.
        interface: Where it listens.

    Attributes:
        relay: Carries connections or datagrams.
        faults: What is wrong with them.
        address: Where clients connect to: host and port, which stay the same.

    Raises:
        LocalError: It can't listen there.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        upstream: Upstream,
        *,
        decisions: Decisions,
        journal: Journal,
        interface: str,
    ) -> None:
        self.name, self.upstream, self.journal = name, upstream, journal
        self._reactor, self._interface = reactor, interface
        kind: Any = DatagramRelay if upstream.protocol == "udp" else StreamRelay
        self.relay: StreamRelay | DatagramRelay = kind(
            reactor, name, upstream.connect, decisions=decisions, journal=journal
        )
        self.faults = Chain(self.relay, name, upstream.protocol)
        # Changes that take time come one after the other.
        self._lock = DeferredLock()
        self._port: IListeningPort | None = self._listen(0)
        address: Any = self._port.getHost()
        self.address: tuple[str, int] = address.host, address.port

    def told(self) -> str:
        """What has happened, in a line."""
        relay = self.relay
        hits = [f"{name} hit {times(number)}" for name, number in self.faults.hits().items()]
        counts = [
            f"{relay.accepted:,} accepted",
            f"{relay.refused:,} refused",
            f"{relay.received['upstream']:,} bytes up",
            f"{relay.received['downstream']:,} bytes down",
        ]
        return f"{', '.join(hits) or 'no fault'}; {', '.join(counts)}"

    def assert_hit(self, name: str, at_least: int) -> None:
        """
        See `lab.proxy.handles.Handle.assert_hit`.

        Raises:
            AssertionError: As there.
            LocalError: Likewise.
        """
        hits = self.faults.hits()
        if name not in hits:
            raise self.faults.unknown(name, hits)
        if hits[name] < at_least:
            raise AssertionError(
                f"{name} of {self.name} has hit {times(hits[name])}, and not {at_least:,}; "
                f"{self.told()}"
            )

    async def until_hit(self, name: str, at_least: int = 1, patience: float = 10.0) -> None:
        """
        Wait for what `assert_hit` asks for.

        Args:
            name: Of the fault.
            at_least: So often.
            patience: Wait no longer than so, in seconds.

        Raises:
            AssertionError: It was not hit in time.
            LocalError: There never was a fault of that name.
        """
        end = self._reactor.seconds() + patience
        while self.faults.hits().get(name, at_least) < at_least and self._reactor.seconds() < end:
            await deferLater(self._reactor, LOOK)
        self.assert_hit(name, at_least)

    def reset(self) -> None:
        """
        End all connections with RST.

        Raises:
            LocalError: Datagrams have none.
        """
        if isinstance(self.relay, DatagramRelay):
            raise LocalError(f"{self.name} is udp, which has no connections to reset; use drop")
        self.relay.reset()

    def down(self) -> "Deferred[None]":
        """Close the port, end all connections; fires when a client would be refused."""
        return self._lock.run(lambda: Deferred.fromCoroutine(self._down()))

    def up(self) -> "Deferred[None]":
        """
        Open the same port again.

        Returns:
            Fails with ``LocalError`` if somebody else has it.
        """
        return self._lock.run(self._up)

    def close(self) -> "Deferred[None]":
        """Go down for good; fires when nothing is left, neither sockets nor timers."""
        return self._lock.run(lambda: Deferred.fromCoroutine(self._close()))

    async def _down(self) -> None:
        """See `down`."""
        await self._close_port()
        self.relay.drop()

    def _up(self) -> None:
        """See `up`."""
        if self._port is None:
            self._port = self._listen(self.address[1])

    async def _close(self) -> None:
        """See `close`."""
        if isinstance(self.relay, DatagramRelay):
            self.relay.drop()  # whose sockets close before that of the port does
            await self._close_port()
            return
        await self._close_port()
        self.relay.reset()
        await self.relay.drained()

    async def _close_port(self) -> None:
        """Listen no more."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def _listen(self, port: int) -> IListeningPort:
        """Open the port."""
        try:
            if isinstance(self.relay, DatagramRelay):
                place = DatagramServerEndpoint(self._reactor, port, self._interface)
                return place.listen(self.relay.protocol)
            listening: IListeningPort = self._reactor.listenTCP(
                port, self.relay.factory, backlog=BACKLOG, interface=self._interface
            )
        except CannotListenError as error:
            raise LocalError(f"{self.name} can't listen: {error}") from error
        return lean(listening)


def times(number: int) -> str:
    """
    So often.

    >>> times(1), times(1000)
    ('1 time', '1,000 times')
    """
    return f"{number:,} time" + ("" if number == 1 else "s")
