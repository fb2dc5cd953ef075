"""
The receiving side of a stream. Knows no transport.

It asks until something comes, measures what comes, and knows the end: by ``end``, or by a silence.
Over datagrams it waits for what may have been overtaken by the end.
"""

from attrs import define, field

from lab.backoff import no_answer
from lab.echo.attempts import Attempts, Patience
from lab.echo.figures import Packet as Kept
from lab.echo.measuring import Measuring
from lab.echo.oneway import OneWay
from lab.echo.wire import (
    Busy,
    Challenge,
    Packet,
    Refused,
    Stream,
    StreamEnd,
    WireError,
    encode,
    read_reply,
)
from lab.errors import LocalError


@define(eq=False, kw_only=True)
class StreamClientCore(Measuring):
    """
    Receives one stream, and measures it.

    Over a connection, what is no packet of the stream in its place breaks it; over datagrams it is
    counted, and passed over.

    Raises:
        LocalError: An interval that is no whole number of milliseconds.
    """

    _stream: bytes = field(init=False)
    _request: Attempts = field(init=False)
    _patient: bool = field(init=False, default=False)
    #: What the server was asked before it was too busy, and whether it is not yet asked again.
    _patience: Patience = field(init=False, factory=Patience)
    _waiting: bool = field(init=False, default=False)
    #: The sender's time of the first packet, in nanoseconds.
    _zero_ns: int | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """The meter."""
        super().__attrs_post_init__()
        plan = self.plan
        self.meter = OneWay(plan.count, interval=plan.rows, late=plan.late, keep=plan.keep)
        # What has not come yet is not lost before the end.
        self.meter.stopped()
        interval_ms = round(plan.interval * 1000)
        if abs(interval_ms - plan.interval * 1000) > 1e-6:
            raise LocalError(f"interval is {plan.interval:g} s; give whole milliseconds")
        self._stream = encode(Stream(interval_ms, plan.count, plan.size, self.id))
        self._request = self._attempts(self._stream)

    def open(self, now: float) -> None:
        """There is a transport: ask; or ask again, at another address."""
        if self.over:
            return
        if not self._opened:
            self._opened, self._asked = True, now
            self._ask(now)
        else:
            self._say(self._request.data)

    def message(self, data: bytes, now: float) -> None:
        """Something came."""
        self._now = max(self._now, now)
        if self.over:
            self.traffic.late += 1
            return
        try:
            reply = read_reply(data)
        except WireError as error:
            self._wrong(str(error), now)
            return
        if reply.id != self.id:
            self._wrong("an answer to something else", now)
            return
        self.heard = True
        if isinstance(reply, Packet):
            self._packet(reply, len(data) + (not self.datagrams))
        elif isinstance(reply, StreamEnd):
            self._end_heard(reply)
        elif isinstance(reply, Busy) and self._start is None:
            self._wait(reply)
        elif isinstance(reply, Refused | Challenge) and self._start is None:
            self._refused(reply, self._request)
        else:
            self._wrong("an answer to something else", now)

    def _ask(self, now: float) -> None:
        """Ask for the first time, or after a server was too busy."""
        self._request.again(now)
        self._due = self._request.due if self.datagrams else now + self.plan.timeout
        self._say(self._request.data)

    def _wait(self, busy: Busy) -> None:
        """The server is too busy: ask again when it has said, but not for ever."""
        if self._waiting:
            return  # an answer to an attempt before
        wait = self._patience.wait(busy.wait_ms)
        if wait is None:
            self._refused(busy, self._request)
        else:
            self._waiting, self._due = True, self._now + wait

    def _packet(self, packet: Packet, size: int) -> None:
        """One more."""
        now = self._now
        if size != self.plan.size:
            self._wrong(f"a packet of {size} bytes, and {self.plan.size} were asked for", now)
            return
        if not self.datagrams and packet.seq != self.meter.received:
            self._wrong(f"packet {packet.seq}, and {self.meter.received} is next", now)
            return
        if self._zero_ns is None:
            self._zero_ns = packet.sent_ns
        sent = (packet.sent_ns - self._zero_ns) / 1e9
        self._begin()
        self.meter.arrived(packet.seq, sent, now, size)
        self._arrived(now - sent)
        self._due = now + (self._grace() if self._ended else self.plan.timeout)

    def _begin(self) -> None:
        """The stream has begun, rows with it."""
        if self._start is None:
            self._start, self._waiting = self._now, False

    def _end_heard(self, end: StreamEnd) -> None:
        """The server says that this was all."""
        if end.count > self.plan.count:
            self._wrong(f"{end.count} packets, and {self.plan.count} were asked for", self._now)
            return
        came = self.meter.received
        if not self.datagrams and came != end.count:
            self._wrong(f"the end of {end.count} packets, and {came} came", self._now)
            return
        if not self._ended:
            self._ended = True
            self._begin()
            self.meter.ended(end.count, end.missed, end.mean_ns / 1e9, end.max_ns / 1e9)
            self._due = self._now + self._grace()
        if not self.datagrams:
            self._finish(self.so_far())
            self._go()

    def _overdue(self, now: float) -> None:
        """Silence."""
        if self._start is not None:
            self._silent(now)
        elif self._waiting:
            self._waiting, token = False, self._request.token
            self._request = self._attempts(self._stream)
            self._request.token = token
            self._ask(now)
        elif self.datagrams and self._request.again(now):
            self._due = self._request.due
            self._say(self._request.data)
        elif self._request.token and not self._patient:
            # The server lives, and has begun, perhaps: its next packet may be an interval away.
            self._patient, self._due = True, now + self.plan.timeout
        else:
            self._end(no_answer(self._request.count, now - self._asked))
            self._quit(now)

    def _silent(self, now: float) -> None:
        """Nothing came any more."""
        if not self.datagrams:
            self._stall(now)
            return
        if self._ended:
            self._finish(self.so_far())
            self._go()
        else:
            self.meter.counted(self.plan.count)
            self._finish(self.so_far())
            self._quit(now)

    def _packets(self) -> tuple[Kept, ...]:
        """Each packet, if they were kept."""
        return tuple(self.meter.packets(self.plan.interval)) if self.plan.keep else ()
