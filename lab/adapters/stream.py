"""
A core on a stream: lines in, lines out, and never more in memory than a bound.

Knows no service. Everything that a peer can do wrong on a stream is dealt with here, once.

**What it must do.** Hand whole lines to a core and write what it answers, in one write for a
chunk. A peer that sends and never reads must cost bounded memory; one that sends much work must
not keep others waiting; an answer must reach a peer that has already said that it will send no
more (``printf ... | nc -N``), and also one that is told off in the middle of its line.

**What it may assume.** A core bounds the work of one batch; the reader bounds a line.

**How it does it.** It is the producer of its own transport: while what is written is not taken,
nothing is read. What a batch leaves is done in the next turn of the reactor, and again nothing
is read before. To end a connection it closes its own half, reads on and throws away, and lets go
when the peer has closed too, or after `LINGER`. A peer that has ended by itself gets what is
still due to it, for as long as `DRAIN`.

What is written goes to the system at once, for as long as it takes all: a transport of Twisted's
queues it for the next turn of the reactor, which costs as much as the rest of an answer. Behind the
first bytes that the system does not take, everything goes the transport's way.

**What was refused.** Closing at once: with unread bytes left, the kernel answers them with RST,
and RST makes the peer's kernel throw away the error message that it had received.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.driver import Driver
from lab.adapters.transports import can_half_close, is_tcp
from lab.wire.lines import LineReader

#: A connection that we have ended is let go after so long, whatever the peer does, in seconds.
LINGER = 2.0
#: A peer that has ended may take so long to read its last answers, in seconds.
DRAIN = 60.0


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class LineCoreProtocol(Protocol):
    """
    Runs a core whose messages are lines.

    Args:
        driver: Runs the core; its time is that of the protocol as well.
        limit: Most bytes of a line that is read.
        lost: Called with the reason when the connection is gone.
    """

    #: Any stream transport: of TCP, TLS, a Unix socket. Twisted sets it before connectionMade.
    transport: Any
    _log = Logger()

    def __init__(
        self, driver: Driver, limit: int, lost: Callable[[Failure], None] = lambda reason: None
    ) -> None:
        self._driver = driver
        self._reader = LineReader(limit)
        self._lost = lost
        self._lines: list[bytes] = []
        self._peer_ended = self._paused = self._stopped = self._finished = False
        self._handshaking = False
        #: Gives bytes to the system, and says how many it takes; None where all has to be queued.
        self._at_once: Callable[[bytes], Any] | None = None
        self._turn: IDelayedCall | None = None
        self._lingering: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The core has a transport from now on."""
        self._driver.write = self._write
        self._driver.finish = self._finish
        self._handshaking = ISSLTransport.providedBy(self.transport)
        if is_tcp(self.transport):
            # One write is one chunk of answers: nothing is won by waiting for more of them.
            self.transport.setTcpNoDelay(True)
            if not self._handshaking:
                self._at_once = getattr(self.transport, "writeSomeData", None)
        self.transport.registerProducer(self, streaming=True)
        self._driver.settle()

    def handshakeCompleted(self) -> None:
        """TLS is ready to write."""
        self._handshaking = False

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of the peer's."""
        if not self._finished:
            self._lines += self._reader.feed(data)
            if self._turn is None:
                self._work()

    def readConnectionLost(self) -> None:
        """The peer will send no more; it gets its answers, and then the connection ends."""
        self._peer_ended = True
        if self._finished:
            self.transport.loseConnection()
        elif not self._lines:
            self._end(DRAIN)

    def writeConnectionLost(self) -> None:
        """We have closed our half; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        for timer in (self._turn, self._lingering):
            if timer is not None and timer.active():
                timer.cancel()
        self._finished = True
        self._lines.clear()
        self._driver.unplug()
        self._lost(reason)

    def pauseProducing(self) -> None:
        """The peer does not take what we write: read no more."""
        self._paused = True
        # In a handshake nothing can be written because something has to be read.
        if not self._handshaking:
            self._read(wanted=False)

    def resumeProducing(self) -> None:
        """It does again."""
        self._paused = False
        if self._turn is None:
            self._work()

    def stopProducing(self) -> None:
        """The transport has ended."""
        self._finished = True

    def _work(self) -> None:
        """Answer what has been read, as much as is this connection's turn."""
        self._turn = None
        if self._lines and not self._paused:
            del self._lines[: self._driver.messages(self._lines)]
        if self._finished or self._paused:
            return
        if self._lines:
            self._read(wanted=False)
            self._turn = self._driver.clock.callLater(0, self._work)
        elif self._peer_ended:
            self._end(DRAIN)
        else:
            self._read(wanted=True)

    def _read(self, *, wanted: bool) -> None:
        """Read from the peer, or stop that."""
        if wanted == self._stopped:
            self._stopped = not wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _write(self, messages: list[bytes]) -> None:
        """Send these lines in one piece."""
        data = b"\n".join(messages) + b"\n"
        if self._at_once is not None and not self.transport.disconnecting:
            sent = self._at_once(data)
            if sent == len(data):
                return
            # The transport has something to keep: from now on nothing may overtake that. A
            # connection that is lost has no number of bytes; the transport will find that out.
            self._at_once = None
            data = data[sent:] if isinstance(sent, int) else data
        self.transport.write(data)

    def _finish(self, reason: str) -> None:
        """The core wants the connection to end."""
        if not self._finished:
            self._note(reason)
            self._end(LINGER, reading=can_half_close(self.transport))

    def _note(self, reason: str) -> None:
        """Log why the connection is ended."""
        self._log.info("{peer} is let go: {reason}", peer=self.transport.getPeer(), reason=reason)

    def end(self) -> None:
        """Let the connection go as soon as all that was written has gone out."""
        if not self._finished:
            self._end(LINGER)

    def _end(self, patience: float, *, reading: bool = False) -> None:
        """Write what is left, and close; with `reading`, when the peer has closed as well."""
        self._finished = True
        self._lines.clear()
        # A transport that has a producer and is full would wait for more before it closes.
        self.transport.unregisterProducer()
        self._lingering = self._driver.clock.callLater(patience, self.transport.abortConnection)
        if reading:
            self.transport.loseWriteConnection()
            self._read(wanted=True)
        else:
            self.transport.loseConnection()
