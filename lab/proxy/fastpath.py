"""
The fast path: a connection that is relayed from socket to socket, while nobody has to look at it.

**What it must do.** What `lab.proxy.connection` does, as the peers and whoever counts see it, for a
fraction of the CPU time; and at any moment go on as one of those, with no byte and no end lost.

**What it may assume.** Both sockets are connected when it begins, there is no fault and no capture.

**How it does it.** What most connections do from their first byte to their last is done here: a
chunk is read and sent on at once, an end of one half is passed on, the second end closes both. All
else is handed over: a fault that comes, a chunk that the other side does not take as a whole or
that is so large that splicing is worth it (`lab.adapters.splice`), an error, an end that somebody
asks for. Then one of `lab.proxy.connection` gets both sockets, and what was read but not sent. Ends
need not be handed over: the system tells of them again.

**What was refused.** A transport, a protocol and a producer each way from the beginning: to make
these, and to have each of them asked for every chunk, took more than half of the Python in a
connection. To go back to the fast path when faults have gone: who has had one will have more.
"""

from collections.abc import Callable
from contextlib import suppress
from socket import IPPROTO_TCP, SHUT_WR, TCP_NODELAY, SocketType
from typing import Any
from typing import Protocol as Interface

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Port
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.connecting import Dialed
from lab.adapters.lean import LeanConnection
from lab.adapters.splice import FULL
from lab.faults.fault import Fault
from lab.proxy.connection import Connection
from lab.proxy.pump import Common


class Keeper(Interface):
    """The relay, as the fast path knows it."""

    def over(self, connection: "FastPath") -> None:
        """Nothing is relayed any more."""

    def gone(self, connection: "FastPath") -> None:
        """No transport is left."""

    def take_over(self, connection: "FastPath", dialed: Dialed, since: float) -> Connection:
        """Have another in its place, which has been relaying since then."""


class FastPath:
    """
    A connection.

    Args:
        keeper: Is told what happens.
        common: What all connections of the relay share.
        number: Of the connection.
        client: Connected to the client.
        dialed: Connected to the upstream.
        peer: The address of the client.
        port: Has accepted it.

    Attributes:
        number: See above.
    """

    __slots__ = (
        "_client", "_dialed", "_keeper", "_peer", "_port", "_since", "_upstream", "number",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - two sockets, and what is known of them
        self,
        keeper: Keeper,
        common: Common,
        number: int,
        client: SocketType,
        dialed: Dialed,
        *,
        peer: tuple[Any, ...],
        port: Port,
    ) -> None:
        self._keeper, self.number = keeper, number
        self._peer, self._port, self._dialed = peer, port, dialed
        self._since = common.clock.seconds()
        upstream = dialed.socket
        upstream.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # the client's socket has it already
        near = self._client = _End(self, common, "upstream", client, upstream)
        far = self._upstream = _End(self, common, "downstream", upstream, client)
        near.other, far.other = far, near

    def begin(self) -> None:
        """Relay; what the client has sent by now costs no event of its own."""
        client, reactor = self._client, self._port.reactor
        reactor.addReader(client)
        reactor.addReader(self._upstream)
        if client.doRead() is not None:
            reactor.removeReader(client)
            client.connectionLost(Failure(CONNECTION_LOST))

    def follow(self, direction: str, faults: tuple[Fault, ...]) -> None:
        """There are faults: the relay has those of both directions already."""
        self.hand_over()

    def close(self, patience: float, why: str = "") -> None:
        """End it with FIN; see `lab.proxy.connection.Connection.close`."""
        self.hand_over().close(patience, why)

    def reset(self, why: str = "") -> None:
        """End it with RST; see `lab.proxy.connection.Connection.reset`."""
        self.hand_over().reset(why)

    def ended(self, end: "_End") -> None:
        """A peer sends no more."""
        other = end.other
        self._port.reactor.removeReader(end)
        if not other.ended:
            end.ended = True
            with suppress(OSError):  # it is gone; who reads there is told
                other.socket.shutdown(SHUT_WR)
            return
        self._client.socket.close()
        self._upstream.socket.close()
        # Each has the other, and us: so nothing is left for the collector of garbage.
        del end.other, other.other, end.path, other.path
        keeper = self._keeper
        keeper.over(self)
        keeper.gone(self)

    def hand_over(self, source: "_End | None" = None, rest: bytes = b"") -> Connection:
        """
        Have a `lab.proxy.connection.Connection` go on with it.

        Args:
            source: Where something was read last, if it was not sent on.
            rest: That.
        """
        client, upstream, reactor = self._client, self._upstream, self._port.reactor
        for end in (client, upstream):
            if not end.ended:
                reactor.removeReader(end)
            del end.other, end.path
        heir = self._keeper.take_over(self, self._dialed, self._since)
        if rest:
            (heir.client if source is client else heir.upstream).early.append(rest)
        client.transport = LeanConnection(
            client.socket, heir.client, self._peer, self._port, self.number, reactor
        )
        heir.client.makeConnection(client.transport)
        upstream.transport = heir.upstream.transport
        return heir


@implementer(IReadDescriptor)
class _End:
    """
    One end of it.

    Args:
        path: The connection.
        common: Counts what comes here.
        direction: Where that goes.
        here: The socket.
        there: That of the other end.

    Attributes:
        path: See above; none when the connection is over, or is handed over.
        socket: See above.
        other: The other end.
        ended: Whether the peer has ended its half, and the other end was told.
        transport: What has the socket, when it was handed over.
    """

    __slots__ = (
        "_common", "_direction", "_fd", "_receive", "_send",
        "ended", "other", "path", "socket", "transport",
    )  # fmt: skip
    other: "_End"
    transport: Any

    def __init__(
        self, path: FastPath, common: Common, direction: str, here: SocketType, there: SocketType
    ) -> None:
        self.path, self._common, self._direction = path, common, direction
        self.socket, self._fd = here, here.fileno()
        self._receive: Callable[[int], bytes] = here.recv
        self._send: Callable[[bytes], int] = there.send
        self.ended = False

    def fileno(self) -> int:
        """Its descriptor; when it is closed as well, so that no reactor looks for it."""
        return self._fd

    def logPrefix(self) -> str:
        """Who logs."""
        return "FastPath"

    def doRead(self) -> Any:
        """Read once, and send it on."""
        try:
            data = self._receive(FULL)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        size = len(data)
        if size == 0:
            self.path.ended(self)
            return None
        if size < FULL:
            try:
                sent = self._send(data)
            except OSError:
                sent = 0  # it is full, or broken: who has it then finds out
            common, direction = self._common, self._direction
            common.received[direction] += sent
            common.sent[direction] += sent
            if sent == size:
                return None
            data = data[sent:]
        self.path.hand_over(self, data)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """It is broken; or the reactor has ended."""
        if hasattr(self, "path"):
            self.path.hand_over()
        self.transport.connectionLost(reason)
