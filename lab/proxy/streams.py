"""
A proxy for streams that breaks them on purpose: the data path, without a word of its control.

Knows no service and no API. It listens where it is told to, over TCP, TLS or a Unix socket, and
connects to any endpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from socket import SocketType
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.adapters.connecting import AddressEndpoint, Dialed
from lab.adapters.lean import LeanConnection
from lab.faults.fault import DIRECTIONS, Fault
from lab.faults.journal import Journal
from lab.faults.link import Decisions
from lab.faults.pipe import check
from lab.proxy.connection import Connection
from lab.proxy.fastpath import FastPath
from lab.proxy.legs import LINGER, Leg
from lab.proxy.pump import Common
from lab.proxy.recording import RelayRecording
from lab.proxy.room import Room

#: After a line in the log about an upstream that could not be connected there is none for so long,
#: in seconds.
QUIET = 10.0


class StreamRelay:
    """
    Relays connections to an upstream, with faults on each direction.

    A client is accepted first, and then the upstream is connected; if that fails, the client gets
    the end of the stream. `lab.proxy.connection` says how connections end.

    Args:
        reactor: Gives the time, and calls when it has come.
        name: Of the relay; random decisions and journals are named by it.
        connect: Gives the endpoint of the upstream; it is called for each connection.
        decisions: Where verdicts come from.
        journal: Takes every decision that was drawn and is not "deliver"; without, none is kept.
        room: Memory that what faults hold back in one direction of one connection may take before
            nothing more is read there; without, that of a relay by itself.
        capture: Takes what goes through.

    Attributes:
        factory: Listen with it: ``endpoint.listen(relay.factory)``.
        faults: Those in force, by direction.
        connections: How many are relayed now, those among them whose upstream is being connected.
        accepted: How many have been, so far.
        refused: How many of them found no upstream, or one with which TLS came to nothing.
        received: Bytes that have come in, by direction: ``upstream`` from clients, ``downstream``.
        sent: Bytes that have gone out, likewise.
        hits: How often each fault has done something, by name, if it has; see `lab.proxy.tally`.
        number: That of the next connection; a relay that goes on for another has its.
        special: What only datagrams have: nothing.
        capture: Takes what goes through, or None.
    """

    special: Mapping[str, int] = MappingProxyType({})

    _log = Logger()

    def __init__(  # noqa: PLR0913 - what a relay can be given
        self,
        reactor: IReactorTime,
        name: str,
        connect: Callable[[], IStreamClientEndpoint],
        *,
        decisions: Decisions,
        journal: Journal | None = None,
        room: Room | None = None,
        capture: RelayRecording | None = None,
    ) -> None:
        self.name, self.connect = name, connect
        self.factory: Factory = _Accepting(self)
        self.faults: dict[str, tuple[Fault, ...]] = dict.fromkeys(DIRECTIONS, ())
        self.accepted = self.refused = self.number = 0
        self._clock = reactor
        self.capture = capture
        self._common = Common(reactor, decisions, journal, room or Room(), capture=capture)
        self._unwatched = capture is None
        self.received, self.sent = self._common.received, self._common.sent
        self.hits: dict[str, int] = self._common.tally
        # Those that relay, and those that have a transport: in the order of their beginning.
        self._alive: dict[Connection | FastPath, None] = {}
        self._there: dict[Connection | FastPath, None] = {}
        self._waiting: list[Deferred[None]] = []
        self._quiet_until = -QUIET

    @property
    def connections(self) -> int:
        """How many are relayed now."""
        return len(self._alive)

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """
        Have these faults from now on, on connections that are there as well.

        A fault that is as before goes on, see `StreamLink.update`; which connections it works on
        does not change with others.

        Args:
            upstream: Those from client to upstream, in this order; their names differ.
            downstream: Those from upstream to client, likewise.

        Raises:
            LocalError: Two faults of one name, or one that is none of streams; then nothing has
                changed.
        """
        chosen = dict(zip(DIRECTIONS, (tuple(upstream), tuple(downstream)), strict=True))
        for faults in chosen.values():
            check(faults, self.name)
        before, self.faults = self.faults, chosen
        self._unwatched = self.capture is None and not any(chosen.values())
        for direction, faults in chosen.items():
            if faults != before[direction]:
                for connection in list(self._alive):
                    connection.follow(direction, faults)
        self._common.tally.keep(sum(chosen.values(), ()))

    def drop(self) -> None:
        """
        End all connections with FIN, those too whose upstream is being connected.

        What was written to a peer still goes out, if it is taken within `lab.proxy.legs.LINGER`.
        """
        for connection in list(self._there):
            connection.close(LINGER, "the proxy is closed")

    def reset(self) -> None:
        """End all connections with RST, those too whose upstream is being connected."""
        for connection in list(self._there):
            connection.reset()

    def drained(self) -> Deferred[None]:
        """Fires when no transport is left, those included that only wait for their peer's end."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        self._tell()
        return waiting

    def accept(self, way: Dialed | IStreamClientEndpoint | None = None) -> Leg:
        """
        One more client.

        Args:
            way: See `lab.proxy.connection.Connection`.
        """
        connection = Connection(self, self._common, self.name, self._count(), way)
        self._alive[connection] = self._there[connection] = None
        return connection.client

    def take_socket(self, client: SocketType, peer: tuple[Any, ...], port: Port) -> None:
        """
        One more client, of a port that gives its sockets.

        Args:
            client: Connected to it.
            peer: Its address.
            port: Has accepted it.
        """
        way = None
        if self._unwatched:
            with suppress(Exception):  # who makes a mistake is asked again where it is told of
                way = self._way(port.reactor)
        if isinstance(way, Dialed) and way.connected:
            number = self._count()
            path = FastPath(self, self._common, number, client, way, peer=peer, port=port)
            self._alive[path] = self._there[path] = None
            path.begin()
        else:
            number, leg = self.number, self.accept(way)
            leg.makeConnection(LeanConnection(client, leg, peer, port, number, port.reactor))

    def take_over(self, connection: FastPath, dialed: Dialed, since: float) -> Connection:
        """One of the fast path goes on as another."""
        heir = Connection(self, self._common, self.name, connection.number, dialed, since)
        self._alive[heir] = self._there[heir] = None
        self.over(connection)
        self.gone(connection)
        return heir

    def refuse(self, reason: Failure) -> None:
        """The upstream could not be connected."""
        self.refused += 1
        now = self._clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            self._log.warn(
                "{name} has no upstream: {reason} ({refused} of {accepted} connections so far)",
                name=self.name,
                reason=reason.getErrorMessage(),
                refused=self.refused,
                accepted=self.accepted,
            )

    def over(self, connection: Connection | FastPath) -> None:
        """A connection relays nothing any more."""
        self._alive.pop(connection, None)

    def gone(self, connection: Connection | FastPath) -> None:
        """A connection has no transport any more."""
        self._there.pop(connection, None)
        if self._waiting:
            self._tell()

    def _count(self) -> int:
        """The number of one more."""
        number = self.number
        self.accepted += 1
        self.number += 1
        return number

    def _way(self, reactor: Any) -> Dialed | IStreamClientEndpoint:
        """Where the upstream is, or a connection there, begun where the fast path may follow."""
        way = self.connect()
        if isinstance(way, AddressEndpoint) and way.reactor is reactor:
            return way.dial()
        return way

    def _tell(self) -> None:
        """Tell those who wait for the last."""
        if not self._there:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)


class _Accepting(Factory):
    """Gives each client its leg."""

    noisy = False

    def __init__(self, relay: StreamRelay) -> None:
        self._relay = relay

    def buildProtocol(self, addr: Any) -> Leg:
        """One more client."""
        return self._relay.accept()

    def take_socket(self, client: SocketType, peer: tuple[Any, ...], port: Port) -> None:
        """One more client, of a port that gives its sockets."""
        self._relay.take_socket(client, peer, port)
