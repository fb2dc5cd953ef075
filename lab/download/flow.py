"""
What sends the body of an answer over HTTP.

**What it must do.** Send a file of any size in bounded memory, at the pace of its reader and within
the rates of the server; let other connections have their turns; let a reader go that takes nothing.
A length was promised: where the file has become shorter, or was written meanwhile, the connection
is cut, so that the client sees that it has not got what it was promised.

**How it does it.** It is the producer of the request, and sends while it is not paused. The system
sends files by itself where it can (`lab.adapters.sendfile`), which has to wait until the headers
have gone out.
"""

import math
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from lab.adapters.sendfile import FileSender, file_sender
from lab.adapters.stream import PIECE, TURN
from lab.core import Part
from lab.download.booking import Booking
from lab.download.meter import Meter
from lab.download.sending import FileSending, TextSending
from lab.download.shared import Shared, Transfer

Body = FileSending | TextSending


@implementer(IPushProducer)
@define(eq=False)
class Flow:
    """
    Sends one body, and has a place among the transfers as long as it does.

    Args:
        request: Whose headers were written.
        body: At least one byte.
        shared: What all connections share.
        address: Of the peer, as far as limits for one address go.
        clock: The reactor.

    Attributes:
        volume: Bytes of the file that were sent.
    """

    _request: Any
    _body: Body
    _shared: Shared
    _address: str
    _clock: Any
    volume: int = field(init=False, default=0)
    _booking: Booking = field(init=False)
    _meter: Meter = field(init=False)
    _began: float = field(init=False)
    _sender: FileSender | None = field(init=False, default=None)
    _paused: bool = field(init=False, default=False)
    #: Whether the transport has nothing of ours to send.
    _clear: bool = field(init=False, default=False)
    _ended: bool = field(init=False, default=False)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        """Nothing is sent yet."""
        self._began = self._clock.seconds()
        self._booking = Booking(self._shared, self._address)
        self._meter = Meter(self._began)
        # What fits into one piece goes out with the headers.
        if isinstance(self._body, FileSending) and self._body.left > PIECE:
            self._sender = file_sender(self._request.transport)

    def start(self) -> None:
        """Begin, and end when all is sent or the connection is lost."""
        self._shared.transfers.begin(self._address)
        if isinstance(self._body, FileSending):
            self._shared.counters.transfers += 1
        self._request.notifyFinish().addBoth(self._end)
        self._request.registerProducer(self, streaming=True)
        self._send()

    def transfer(self, client: int) -> Transfer | None:
        """What can be seen of it; nothing of what is no file."""
        body = self._body
        if not isinstance(body, FileSending):
            return None
        return Transfer(
            client,
            body.name,
            body.file.size,
            body.offset,
            body.length,
            body.length - body.left,
            self._meter.rate(self._clock.seconds()),
            self._began,
        )

    def pauseProducing(self) -> None:
        """The transport is full; it may be so for as long as a peer may be idle."""
        self._paused = True
        self._clear = False
        self._later(self._shared.settings.idle, self._stalled)

    def resumeProducing(self) -> None:
        """It has sent all that it had."""
        self._paused, self._clear = False, True
        self._send()

    def stopProducing(self) -> None:
        """The connection is lost; the request will say so."""
        self._paused = True

    def read(self, size: int, now: float) -> bytes:
        """See `lab.core.Body`."""
        data = self._body.read(size)
        self._took(len(data), now)
        if isinstance(self._body, FileSending):
            self._shared.counters.read_bytes += len(data)
        return data

    def part(self, now: float) -> Part | None:
        """See `lab.core.FileBody`."""
        body = self._body
        if not isinstance(body, FileSending) or (fd := body.file.fileno()) is None:
            return None
        return Part(fd, body.at(), self._booking.allowed(body.left, now))

    def sent(self, size: int, now: float) -> None:
        """See `lab.core.FileBody`."""
        self._body.left -= size
        self._took(size, now)
        self._shared.counters.system_bytes += size

    def _took(self, size: int, now: float) -> None:
        """So many bytes have gone to the transport."""
        self._booking.took(size)
        if isinstance(self._body, FileSending):
            self.volume += size
            self._meter.add(size, now)

    def _send(self) -> None:
        """Send what may be sent, as much as is this connection's turn."""
        self._later(math.inf, self._send)
        left = TURN
        while not (self._paused or self._ended):
            now = self._clock.seconds()
            if not self._body.left:
                self._request.unregisterProducer()
                self._request.finish()
            elif not (allowed := self._booking.allowed(self._body.left, now)):
                self._later(self._booking.due - now, self._send)
                return
            elif left <= 0:
                self._later(0, self._send)
                return
            else:
                left -= self._give(allowed, now)

    def _give(self, allowed: int, now: float) -> int:
        """Send something; how many bytes."""
        sent = self._give_file(now)
        if sent is not None:
            if sent and self._written():
                self._break("it was written meanwhile")
            return sent
        try:
            data = self.read(min(PIECE, allowed), now)
        except OSError as error:
            self._break(str(error.strerror))
            return 0
        if not data:
            self._break("it is shorter than it was")
        elif self._written():
            self._break("it was written meanwhile")
        else:
            self._clear = False
            self._request.write(data)
        return len(data)

    def _give_file(self, now: float) -> int | None:
        """Have the system send of the file; None if it has to be read instead."""
        if self._sender is None:
            return None
        sent: int | None = 0
        if self._clear:
            sent = self._sender.send(self, now)
        if sent is not None and (self._sender.full or not self._clear):
            self.pauseProducing()
            self._sender.wait()
        return sent

    def _written(self) -> bool:
        """Whether what was read may be of another version than was promised."""
        return isinstance(self._body, FileSending) and self._body.file.written()

    def _break(self, why: str) -> None:
        """What was promised can't be sent."""
        self._shared.counters.broken += 1
        self._cut(f"the file can't be read: {why}")

    def _stalled(self) -> None:
        """The peer takes nothing."""
        self._cut(f"nothing was taken for {self._shared.settings.idle:g} s")

    def _cut(self, why: str) -> None:
        """End the connection at once."""
        self._paused = True
        peer = self._request.getClientAddress()
        self._log.info("{peer} is let go: {reason}", peer=peer, reason=why)
        self._request.transport.abortConnection()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call this after a time, never if that is endless; what was to be called is not."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if seconds < math.inf and not self._ended:
            self._timer = self._clock.callLater(seconds, call)

    def _end(self, _: object) -> None:
        """All is sent, or the connection is lost."""
        self._ended = True
        self._later(math.inf, self._send)
        if isinstance(self._body, FileSending):
            self._shared.counters.sent += not self._body.left
        self._body.close()
        self._shared.transfers.end(self._address)
