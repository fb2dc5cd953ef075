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

A core that can answer lines with nothing but bytes (`lab.core.PromptCore`) is asked for that first,
while nothing waits on either side: that takes a third of the time of all the verbs.

What is written goes to the system at once, for as long as it takes all: a transport of Twisted's
queues it for the next turn of the reactor, which costs as much as the rest of an answer. Behind the
first bytes that the system does not take, everything goes the transport's way.

An answer of many bytes is a `lab.core.Body`: it is read in pieces, one when the transport has
taken the one before, so that a connection holds a few hundred KiB of it, however slowly its peer
reads. Of a `lab.core.FileBody` the system sends the file by itself, where it can
(`lab.adapters.sendfile`); when it takes no more, that is as if the transport were full. The lines
behind a body wait. Meanwhile the peer is read from all the same, up to a bound: a core
may find something among what came that ends its answer. So it is with a core that is busy for
another reason.

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
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.driver import Driver
from lab.adapters.sendfile import FileSender, file_sender
from lab.adapters.transports import can_half_close, is_tcp
from lab.core import Body, FileBody
from lab.wire.lines import LineReader

#: A connection that we have ended is let go after so long, whatever the peer does, in seconds.
LINGER = 2.0
#: A peer that has ended may take so long to read its last answers, in seconds.
DRAIN = 60.0
#: A body is read in pieces of so many bytes; the system takes no more at once from Twisted.
PIECE = 131_072
#: So many bytes of a body are sent before other connections get their turn.
TURN = 4 * PIECE
#: So many bytes of the peer's are read while the core is busy.
READ_AHEAD = 65_536


def _nobody(_: object) -> None:
    """Who is told what nobody wants to know."""


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
    #: What stands behind each message.
    _ending = b"\n"

    def __init__(
        self, driver: Driver, limit: int, lost: Callable[[Failure], None] = _nobody
    ) -> None:
        self._driver = driver
        self._reader = LineReader(limit)
        self._lost = lost
        self._lines: list[bytes] = []
        self._peer_ended = self._paused = self._stopped = self._finished = False
        self._handshaking = False
        #: What is being sent, if that is no line.
        self._body: Body | None = None
        #: The same, if it is of a file that the system may send, and what has it do that.
        self._file: FileBody | None = None
        self._sender: FileSender | None = None
        #: Whether the transport has nothing of ours to send, as far as we know.
        self._clear = True
        #: Whether lines wait for a core that is busy, and how many bytes came since.
        self._held = False
        self._ahead = 0
        #: Gives bytes to the system, and says how many it takes; None where all has to be queued.
        self._at_once: Callable[[bytes], Any] | None = None
        self._system: Callable[[bytes], Any] | None = None
        #: The core's short way, if it has one.
        self._reply, self._seconds = driver.reply, driver.clock.seconds
        self._turn: IDelayedCall | None = None
        self._lingering: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The core has a transport from now on."""
        self._driver.write = self._write
        self._driver.finish = self._finish
        self._driver.leave = self._leave
        self._driver.abort = self._abort
        self._driver.give = self._give
        self._sender = file_sender(self.transport)
        self._handshaking = ISSLTransport.providedBy(self.transport)
        if is_tcp(self.transport):
            # One write is one chunk of answers: nothing is won by waiting for more of them.
            self.transport.setTcpNoDelay(True)
            if not self._handshaking:
                if isinstance(self.transport, Connection):
                    # What Twisted does besides is for errors; see `_give`.
                    self._system = self.transport.getHandle().send
                else:
                    self._system = getattr(self.transport, "writeSomeData", None)
                self._at_once = self._system
                self._driver.send = self._system
        self.transport.registerProducer(self, streaming=True)
        self._driver.settle()

    def handshakeCompleted(self) -> None:
        """TLS is ready to write."""
        self._handshaking = False

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of the peer's."""
        if self._finished:
            return
        if self._reply is not None and self._at_once is not None and not self._lines:
            whole = self._reader.whole(data)
            answers = self._reply(whole, self._seconds()) if whole else None
            if answers is not None:
                if whole is not data:
                    self._reader.take(data)
                if answers:
                    self._give(answers)
                return
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Have the core take what is whole of it, in its turn."""
        lines = self._reader.feed(data)
        if self._lines:
            self._lines += lines
        else:
            self._lines = lines
        self._ahead += len(data)
        if self._turn is None:
            self._work()

    def readConnectionLost(self) -> None:
        """The peer will send no more; it gets its answers, and then the connection ends."""
        self._peer_ended = True
        if self._finished:
            self.transport.loseConnection()
        elif not self._lines and not self._driver.busy():
            self._end(DRAIN)

    def writeConnectionLost(self) -> None:
        """We have closed our half; nothing is to be done."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        for timer in (self._turn, self._lingering):
            if timer is not None and timer.active():
                timer.cancel()
        self._finished = True
        self._drop()
        self._driver.unplug()
        # Whoever is told may be we ourselves: nothing has to wait for the garbage collector.
        lost, self._lost = self._lost, _nobody
        lost(reason)

    def pauseProducing(self) -> None:
        """The peer does not take what we write: read no more."""
        self._paused = True
        # In a handshake nothing can be written because something has to be read.
        if not self._handshaking and not self._driver.busy():
            self._read(wanted=False)

    def resumeProducing(self) -> None:
        """It does again: all that was queued is gone."""
        self._paused, self._clear = False, True
        self._at_once = self._system
        self._driver.send = self._system
        if self._turn is None:
            self._work()

    def stopProducing(self) -> None:
        """The transport has ended."""
        self._finished = True

    def _work(self) -> None:
        """Answer what has been read, as much as is this connection's turn."""
        self._turn = None
        if self._body is not None:
            self._pull()
        if self._lines and (not self._paused or self._driver.busy()):
            del self._lines[: self._driver.messages(self._lines)]
        if self._finished:
            return
        if self._driver.busy():
            self._held = True
            if not self._lines:
                self._ahead = 0
            self._read(wanted=self._ahead < READ_AHEAD and not self._peer_ended)
            return
        self._held, self._ahead = False, 0
        if self._paused:
            # It may be that nothing was stopped by the pause, because the core was busy.
            self._read(wanted=self._handshaking)
        elif self._lines:
            self._read(wanted=False)
            self._later()
        elif self._peer_ended:
            self._end(DRAIN)
        else:
            self._read(wanted=True)

    def _later(self) -> None:
        """Go on in the next turn of the reactor."""
        if self._turn is None:
            self._turn = self._driver.clock.callLater(0, self._work)

    def _pull(self) -> None:
        """Send of the body what there is room for, as much as is this connection's turn."""
        left = TURN
        while self._body is not None and not self._paused:
            sent = self._send_file()
            if sent is None:
                data = self._body.read(PIECE, self._driver.now())
                if not data:
                    self._body = self._file = None
                    self._driver.settle()
                    if self._held and not self._driver.busy():
                        self._later()  # nothing may be outgoing behind it
                    return
                self._give(data)
                sent = len(data)
            left -= sent
            if left <= 0:
                self._later()
                return

    def _send_file(self) -> int | None:
        """Have the system send of the body's file; None if the body has to be read instead."""
        if self._file is None or self._sender is None:
            return None
        now = self._driver.now()
        if self._clear:
            sent = self._sender.send(self._file, now)
        else:
            # Nothing may overtake what the transport has.
            sent = None if self._file.part(now) is None else 0
        if sent is not None and (self._sender.full or not self._clear):
            self.pauseProducing()
            self._sender.wait()
        return sent

    def _read(self, *, wanted: bool) -> None:
        """Read from the peer, or stop that."""
        if wanted == self._stopped:
            self._stopped = not wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _write(self, messages: list[Any]) -> None:
        """Send these lines in one piece, and what is no line as there is room for it."""
        if type(messages[-1]) is bytes:
            self._give(self._ending.join(messages) + self._ending)
            if self._held and not self._driver.busy():
                self._later()
        else:
            *lines, self._body = messages
            self._file = self._body if isinstance(self._body, FileBody) else None
            self._held = True
            if lines:
                self._give(self._ending.join(lines) + self._ending)
            self._pull()

    def _give(self, data: bytes) -> None:
        """Send bytes, at once where that can be."""
        if self._at_once is not None and not self.transport.disconnecting:
            try:
                sent = self._at_once(data)
            except OSError:
                # The system tells only once what is wrong, and the transport has to know.
                sent = self.transport.writeSomeData(data)
            if sent == len(data):
                return
            # The transport has something to keep: from now on nothing may overtake that. A
            # connection that is lost has no number of bytes; the transport will find that out.
            self._at_once = None
            self._driver.queue()
            data = data[sent:] if isinstance(sent, int) else data
        self._clear = False
        self.transport.write(data)

    def _finish(self, reason: str) -> None:
        """The core wants the connection to end."""
        if not self._finished:
            self._note(reason)
            self._end(LINGER, reading=can_half_close(self.transport))

    def _leave(self, reason: str) -> None:
        """The peer wants the connection to end; what it may have sent besides is thrown away."""
        if not self._finished:
            self._end(DRAIN, reading=can_half_close(self.transport))

    def _abort(self, reason: str) -> None:
        """What was promised can't be sent: the peer has to see that it was cut."""
        if not self._finished:
            self._note(reason)
            self._finished = True
            self._drop()
            self.transport.abortConnection()

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
        self._drop()
        # A transport that has a producer and is full would wait for more before it closes.
        self.transport.unregisterProducer()
        self._lingering = self._driver.clock.callLater(patience, self.transport.abortConnection)
        # What ends TLS has to be read, too.
        self._read(wanted=True)
        if reading:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _drop(self) -> None:
        """Nothing more is worked on or sent."""
        self._lines.clear()
        self._body = self._file = self._at_once = None
        self._driver.queue()


class _Chunks(LineReader):
    """What reads a stream that has no lines."""

    def feed(self, data: bytes) -> list[bytes]:
        """Each chunk is a message."""
        return [data]

    def whole(self, data: bytes) -> bytes:
        """Each chunk is whole."""
        return data


class ChunkCoreProtocol(LineCoreProtocol):
    """
    Runs a core whose messages are whatever bytes come, however they were cut.

    Args:
        driver: Runs the core; its time is that of the protocol as well.
        lost: Called with the reason when the connection is gone.
    """

    _ending = b""

    def __init__(self, driver: Driver, lost: Callable[[Failure], None] = _nobody) -> None:
        super().__init__(driver, 0, lost)
        self._reader = _Chunks(0)
