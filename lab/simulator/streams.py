"""
TCP as applications see it: the two ends of a connection that is there.

**What it must do.** Everything that Twisted's protocols can tell apart: half-close, abort, what is
lost when, both kinds of producers, back pressure.

**How it does it.** Bytes leave in segments while the peer's window has room, and a segment makes
room again when the peer's protocol has taken it and the word of that has come back. What is
written beyond the window stays in a buffer, which pauses its producer at `BUFFER`.

Loss and rates are the faults of `lab.faults.streams` on the way: a segment that is lost comes
later, and all behind it with it.

**What is not modelled.** Congestion control and slow start, delayed acknowledgements, Nagle's
algorithm, keep-alive, and the time after which TCP gives a silent peer up. Bytes are never
lost, only late.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.capture.packets import RST
from lab.simulator.pipes import Pipe
from lab.simulator.tapping import StreamTap

if TYPE_CHECKING:
    from lab.simulator.hosts import Host

Address = IPv4Address | UNIXAddress
#: Bytes of a segment at most.
SEGMENT = 1460
#: Bytes that may be under way or unread at the other end.
WINDOW = 256 * 1024
#: Bytes that wait to be sent, beyond which a producer is paused; Twisted's figure.
BUFFER = 64 * 1024


@implementer(ITCPTransport, IConsumer, IPushProducer, IHalfCloseableDescriptor)
class End:
    """
    One end of a connection: the transport of a protocol.

    Args:
        host: Where it is.
        here: Its address.
        there: The address of the other end.
    """

    disconnecting = False
    _producer: Any = None
    _streaming = _paused = _awake = False

    def __init__(self, host: "Host", here: Address, there: Address) -> None:
        self._host = host
        self._here, self._there = here, there
        #: What we send goes through it.
        self.out = self._pipe(here, there)
        self._peer: Any = None  # the other end, from when there is one
        self.protocol: Any = None
        self.connected = self.disconnected = False
        self._buffer = bytearray()
        self._unread = 0  # bytes that the peer has not taken yet, as far as is known here
        self._inbox: deque[bytes] = deque()
        self._reading = True
        self._shutting = self._shut = False
        host.ends[self] = None

    def _pipe(self, here: Address, there: Address) -> Pipe:
        """The way out; a Unix socket stays on the host, and no capture sees it."""
        if isinstance(here, UNIXAddress) or isinstance(there, UNIXAddress):
            return Pipe(self._host.path_to(self._host.address), self)
        path = self._host.path_to(there.host)
        ends = (here.host, here.port), (there.host, there.port)
        return Pipe(path, self, StreamTap(path.tap, *ends) if path.tap else None)

    def __str__(self) -> str:
        """For reports: which connection it is, and what has not gone."""
        state = "connected" if self.connected else "connecting"
        kind = "unix" if isinstance(self._there, UNIXAddress) else "TCP"
        ends = f"{in_words(self._here)} > {in_words(self._there)}"
        left = f"{len(self._buffer):,} bytes to send, {self._unread:,} under way"
        return f"{kind} {ends} {state}, {left}"

    # What protocols use.

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"Data must be bytes, not {type(data).__name__}")
        if not self.connected or self._shut or not data:
            return
        self._buffer += data
        self._wake()
        if self._producer is not None and self._streaming and len(self._buffer) > BUFFER:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when all is sent."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._wake()

    def abortConnection(self) -> None:
        """Close at once, with RST; nothing more is sent or read."""
        if self.connected and not self.disconnected:
            self.disconnecting, self.connected = True, False
            self._buffer.clear()
            self._host.soon(self._lost, ConnectionAborted())

    def loseWriteConnection(self) -> None:
        """Close our half when all is sent."""
        if self.connected and not self._shutting:
            self._shutting = True
            self._wake()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have this paused and resumed, or asked for more."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer} is registered already")
        if self.disconnected:
            producer.stopProducing()
            return
        self._producer, self._streaming, self._paused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """There will be no more of it."""
        self._producer = None
        if self.connected and self.disconnecting:
            self._wake()

    def pauseProducing(self) -> None:
        """Read no more."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        if self.connected and not self._reading:
            self._reading = True
            self._host.soon(self._read)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def getHost(self) -> Any:
        """Our address."""
        return self._here

    def getPeer(self) -> Any:
        """The other end's."""
        return self._there

    def readConnectionLost(self, reason: Failure) -> None:
        """Of Twisted's reactors' own; nobody calls it here."""

    writeConnectionLost = readConnectionLost

    def getTcpNoDelay(self) -> bool:
        """Segments never wait for more bytes here."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing changes."""

    def getTcpKeepAlive(self) -> bool:
        """There is none."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing changes."""

    # What goes out.

    def _wake(self) -> None:
        """Push in the next turn: as in Twisted, what is written leaves when its writer is done."""
        if not self._awake:
            self._awake = True
            self._host.soon(self._push)

    def _push(self) -> None:
        """Send what the window has room for, then ask for more or close."""
        self._awake = False
        if not self.connected:
            return
        while self._buffer and self._unread < WINDOW:
            size = min(SEGMENT, WINDOW - self._unread)
            segment = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._unread += len(segment)
            self._host.trace("tcp", self._here, self._there, len(segment))
            self.out.feed(segment, self._peer)
        if self._buffer:
            return
        if self._producer is not None and (not self._streaming or self._paused):
            self._paused = False
            self._host.soon(self._more)
        elif self.disconnecting:
            self._lost(ConnectionDone())
        elif self._shutting and not self._shut:
            self._finish()

    def _more(self) -> None:
        """Ask the producer for more."""
        if self._producer is not None and self.connected:
            self._host.call(self._producer.resumeProducing)

    def _finish(self) -> None:
        """Our half is closed."""
        self._shut = True
        self._host.trace("fin", self._here, self._there)
        self.out.end(self._peer)
        protocol = self.protocol
        if IHalfCloseableProtocol.providedBy(protocol):
            self._host.call(protocol.writeConnectionLost)

    def taken(self, size: int) -> None:
        """The peer has taken so many bytes."""
        self._unread -= size
        if self._buffer:
            self._push()

    # What comes in.

    def arrive(self, data: bytes) -> None:
        """A segment is here."""
        if self._gone():
            return
        self._inbox.append(data)
        if self._reading:
            self._read()

    def end(self) -> None:
        """The peer sends no more."""
        if not self._gone(quiet=True):
            self._inbox.append(b"")
            if self._reading:
                self._read()

    def reset(self) -> None:
        """The peer has no such connection any more."""
        if self.connected:
            self._lost(ConnectionLost("reset by peer"), told=True)

    def _read(self) -> None:
        """Hand on what is here, while somebody reads."""
        while self._reading and self._inbox and self.connected:
            data = self._inbox.popleft()
            if not data:
                self._read_end()
                return
            self.out.confirm(len(data), self._peer.taken)
            error = self._host.call(self.protocol.dataReceived, data)
            if error is not None and self.connected:
                self._lost(error)

    def _read_end(self) -> None:
        """Tell that no more will come."""
        protocol = self.protocol
        if IHalfCloseableProtocol.providedBy(protocol):
            self._host.call(protocol.readConnectionLost)
        else:
            self._lost(ConnectionDone())

    def _gone(self, *, quiet: bool = False) -> bool:
        """Whether there is nobody here any more; who sends to nobody is told so with RST."""
        if self.connected:
            return False
        if self._host.up and not quiet and self._peer is not None:
            self.out.send(RST, self._peer.reset)
        return True

    # How it ends.

    def _lost(self, reason: BaseException, *, told: bool = False) -> None:
        """It is over: tell the peer, unless it knows, and the protocol."""
        if self.disconnected:
            return
        unread = bool(self._inbox)
        peer, protocol = self._peer, self.protocol
        self.vanish()
        if peer is not None and not told:
            # A kernel that has unread bytes when a socket is closed says RST and not FIN.
            if unread or isinstance(reason, ConnectionAborted):
                self._host.trace("rst", self._here, self._there)
                self.out.send(RST, peer.reset)
            elif not self._shut:
                self._shut = True
                self._host.trace("fin", self._here, self._there)
                self.out.end(peer)
        producer, self._producer = self._producer, None
        if producer is not None:
            self._host.call(producer.stopProducing)
        if protocol is not None:
            self._host.call(protocol.connectionLost, Failure(reason))
        self.ended(reason)

    def ended(self, reason: BaseException) -> None:
        """It has ended; a connector wants to know."""

    def vanish(self) -> None:
        """It is no more, and nobody is told."""
        self.connected, self.disconnected = False, True
        self.disconnecting = False
        self._inbox.clear()
        self._buffer.clear()
        self._host.ends.pop(self, None)
        self.out.close()

    def opened(self, peer: "End", protocol: Any) -> None:
        """The connection is there."""
        self._peer, self.protocol, self.connected = peer, protocol, True
        error = self._host.call(protocol.makeConnection, self)
        if error is not None and self.connected:
            self._lost(error)


def in_words(address: Address) -> str:
    """
    An address, for people.

    >>> in_words(IPv4Address("TCP", "10.0.0.2", 80)), in_words(UNIXAddress(b"/run/lab"))
    ('10.0.0.2:80', '/run/lab')
    """
    if isinstance(address, UNIXAddress):
        return (address.name or b"").decode(errors="replace")
    return f"{address.host}:{address.port}"
