"""
The sending side of probes. Knows no transport.

Probes leave by a plan: each is due at its own time, whenever those before it left, and one that is
late leaves at once. When the answers have had their time, the server is asked what it has counted,
so that it can be told on which way probes were lost.
"""

from typing import Any

from attrs import define, field

from lab.backoff import no_answer
from lab.echo.attempts import Attempts
from lab.echo.figures import Packet
from lab.echo.measuring import Measuring
from lab.echo.outcomes import Rejected, Stalled
from lab.echo.report import Interval
from lab.echo.roundtrip import Counts as Counted
from lab.echo.roundtrip import RoundTrip
from lab.echo.wire import (
    AskCounts,
    Busy,
    Challenge,
    Counts,
    Probe,
    Probed,
    Refused,
    WireError,
    encode,
    read_reply,
)
from lab.pacing import Schedule

#: With an interval of 0, so many probes a second.
FASTEST = 10_000
#: So many probes leave at once at most, and then after so many seconds.
BURST, PAUSE = 100, 0.001


@define(eq=False, kw_only=True)
class ProbeClientCore(Measuring):
    """Sends probes, measures what is answered, and asks for the counts."""

    #: From the first probe on.
    _schedule: Schedule = field(init=False)
    _sent: int = field(init=False, default=0)
    #: The question for counts, when all is sent and has had its time.
    _question: Attempts = field(init=False)
    _asking: bool = field(init=False, default=False)
    #: When the last probe left, in seconds.
    _last: float = field(init=False, default=0.0)
    #: The server's time of the first arrival, in nanoseconds.
    _zero_ns: int | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """The meter."""
        super().__attrs_post_init__()
        plan = self.plan
        self.meter = RoundTrip(
            interval=plan.rows, timeout=plan.timeout, late=plan.late, keep=plan.keep
        )
        self._question = self._attempts(encode(AskCounts(self._counts_id)))

    def open(self, now: float) -> None:
        """There is a transport: begin; or go on, at another address."""
        if not (self._opened or self.over):
            self._opened, self._asked, self._start = True, now, now
            rate = 1 / self.plan.interval if self.plan.interval else FASTEST
            self._schedule = Schedule(rate, now, self.plan.count)
            self._probe(now)

    def message(self, data: bytes, now: float) -> None:
        """Something came."""
        self._now = max(self._now, now)
        if self.over:
            self.traffic.late += 1
            return
        try:
            reply: Any = read_reply(data)
        except WireError as error:
            self._wrong(str(error), now)
            return
        if reply.id == self.id and isinstance(reply, Probed):
            self._probed(reply, len(data) + (not self.datagrams))
        elif reply.id == self.id and isinstance(reply, Refused | Busy):
            self._finish(Rejected(reply))
            self._go()
        elif reply.id == self._counts_id and self._asking:
            self._answer(reply)
        else:
            self._wrong("an answer to something else", now)

    def _is_due(self, now: float) -> bool:
        """What is to be sent is late, if we were not running, and leaves at once."""
        return self._sent < self.plan.count or super()._is_due(now)

    def _overdue(self, now: float) -> None:
        """Probes are due, or the answers have had their time."""
        if self._sent < self.plan.count:
            self._probe(now)
        elif (self.datagrams or not self._asking) and self._question.again(now):
            self._asking = True
            self._due = self._question.due if self.datagrams else now + self.plan.timeout
            self._say(self._question.data)
        elif not self.datagrams:
            self._stall(now)
        else:
            self._finish(self.so_far() if self.heard else self._silence(now))
            self._go()

    def _silence(self, now: float) -> Stalled:
        """Nothing was answered at all."""
        return Stalled(str(no_answer(self._question.count, now - self._asked)), self.so_far())

    def _probe(self, now: float) -> None:
        """Send what is due, and find out when the next is."""
        size = self.plan.size - (not self.datagrams)
        for _ in self._schedule.due(now, BURST):
            self.meter.sent(self._sent, now)
            probe = encode(Probe(self._sent, int(now * 1e9), b"", self.id))
            self._say(probe.ljust(size, b"."))
            self._sent += 1
        self._last = now
        next = self._schedule.next()
        self._due = now + self.plan.timeout if next is None else max(next, now + PAUSE)

    def _probed(self, reply: Probed, size: int) -> None:
        """An answer to a probe."""
        now = self._now
        if not (reply.seq < self._sent and 1 <= reply.received <= self._sent):
            self._wrong("an answer to a probe that was not sent", now)
            return
        self.heard = True
        if self._zero_ns is None:
            self._zero_ns = reply.received_ns
        counted = Counted(reply.received, reply.duplicates)
        server_at = (reply.received_ns - self._zero_ns) / 1e9
        self.meter.answered(reply.seq, counted, server_at, now, size)
        self._arrived(now - reply.sent_ns / 1e9)
        if self._sent == self.plan.count and not self._asking:
            # The last may take as long as the slowest so far.
            slow = self._last + min(self._most, self.plan.timeout)
            self._due = max(now, slow) + self._grace()

    def _answer(self, reply: Any) -> None:
        """What the server says to the question for counts."""
        if isinstance(reply, Counts) and reply.received <= self._sent:
            self.heard = self._ended = True
            self.meter.counted(Counted(reply.received, reply.duplicates))
            self._finish(self.so_far())
            self._go()
        elif isinstance(reply, Challenge | Refused | Busy):
            self._refused(reply, self._question)
        else:
            self._wrong("no counts", self._now)

    def _quit(self, now: float) -> None:
        """Nothing runs at the server for probes."""
        self._go()

    @property
    def _counts_id(self) -> bytes:
        """Of the question for counts."""
        return self.name + b"-2"

    def _rows(self, now: float) -> tuple[Interval, ...]:
        """Those so far; what is in flight is not lost."""
        found: tuple[Interval, ...] = self.meter.so_far(now)
        return found

    def _packets(self) -> tuple[Packet, ...]:
        """Each probe, if they were kept."""
        return tuple(self.meter.packets()) if self.plan.keep else ()
