"""
The measure of probes that are answered, from what the prober sees.

Knows no clock: times are arguments. An answer says how many different probes the server has
received, how many came again, and when this one did, by its own clock. That tells the two ways
apart: each arrival of a probe at the server has a number of its own, the sum of both counts, so
the answers are a numbered stream by themselves.

Which way a single probe was lost is not said. The sums are exact; but which of two missing ones
never came there, and which was overtaken on its way and lost on the way back, no answer tells.
"""

import math
from bisect import bisect_left

from attrs import define, evolve, field, frozen

from lab.echo.delays import Delays, Tag
from lab.echo.figures import Figures, Packet
from lab.echo.intervals import Intervals, Row
from lab.echo.oneway import OneWay
from lab.echo.order import Kind, Order
from lab.echo.report import Interval, ProbeReport
from lab.errors import LocalError
from lab.statistics import Histogram

#: When a probe was sent is remembered for so many.
WINDOW = 65_536


@frozen
class Counts:
    """
    What the server says that it has counted, or how much that has grown.

    Args:
        received: Different probes.
        duplicates: Probes that it had received before.
    """

    received: int = 0
    duplicates: int = 0

    @property
    def arrivals(self) -> int:
        """Both."""
        return self.received + self.duplicates

    def since(self, before: "Counts") -> "Counts":
        """What has been added."""
        return Counts(self.received - before.received, self.duplicates - before.duplicates)

    def most(self, other: "Counts") -> "Counts":
        """The larger of each; both only grow."""
        return Counts(max(self.received, other.received), max(self.duplicates, other.duplicates))


@define
class RoundTrip:
    """
    Takes probes and answers as they go and come, and gives a report at any time.

    Each probe is answered, or overdue, or lost. Memory is bounded, however many there are, unless
    ``keep`` asks for each of them.

    Args:
        before: What the server had counted before the first probe.
        interval: Length of a row, in seconds; a probe belongs to the row in which it was sent.
        timeout: An answer that takes longer is overdue, in seconds; RFC 6673 has such a bound for
            every round trip. None: none is, unless it comes behind `WINDOW` later probes.
        late: See `OneWay`; for the way back.
        keep: Keep each probe, for `packets`.

    Raises:
        LocalError: Numbers that can't be.

    >>> probes = RoundTrip()
    >>> for number in range(3):
    ...     probes.sent(number, at=number / 10)
    >>> probes.answered(2, Counts(received=2), server_at=77.0, at=0.25, size=64)
    >>> probes.counted(Counts(received=2))
    >>> report = probes.report()
    >>> report.answered, report.lost_up, report.lost_down
    (1, 1, 1)
    """

    before: Counts = Counts()
    interval: float = field(default=1.0, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    late: float = field(default=0.1, kw_only=True)
    keep: bool = field(default=False, kw_only=True)
    _sent: int = field(default=0, init=False)
    _sent_at: list[float] = field(factory=list, init=False, repr=False)
    _order: Order[Tag] = field(factory=Order, init=False)
    _times: Histogram = field(factory=Histogram, init=False)
    _up: Delays = field(factory=Delays, init=False)
    _down: OneWay = field(init=False)
    _intervals: Intervals = field(init=False)
    #: The largest counts so far, and whether they are those of the end.
    _counts: Counts = field(factory=Counts, init=False)
    _counted: bool = field(default=False, init=False)
    _overdue: int = field(default=0, init=False)
    _forgotten: int = field(default=0, init=False)
    _foreign: int = field(default=0, init=False)
    _kept: list[Packet] = field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.timeout is not None and not self.timeout > 0:
            raise LocalError(f"timeout is {self.timeout:g} s; give more than 0, for example 2")
        self._down = OneWay(interval=self.interval, late=self.late)
        self._intervals = Intervals(self.interval)

    def sent(self, number: int, at: float) -> None:
        """
        A probe left.

        Args:
            number: From 0, one after the other.
            at: In seconds of the prober's clock; never less than at the call before.
        """
        self._sent = number + 1
        if number < WINDOW:
            self._sent_at.append(at)
        else:
            self._sent_at[number % WINDOW] = at
        # Lost, until there is an answer.
        self._intervals.row(at).lost += 1
        if self.keep:
            self._kept.append(Packet(number, at, None, copies=0))

    def answered(self, number: int, counts: Counts, server_at: float, at: float, size: int) -> None:
        """
        An answer came, or another one to the same probe.

        Args:
            number: Of the probe.
            counts: What the server had counted, this arrival of the probe included.
            server_at: When this arrived there, in seconds of the server's clock; see
                `OneWay.arrived`.
            at: In seconds of the prober's clock.
            size: Of the answer, in bytes.
        """
        if not 0 <= number < self._sent:
            self._foreign += 1
            return
        since = counts.since(self.before)
        self._counts = self._counts.most(since)
        self._down.arrived(since.arrivals - 1, server_at, at, size)
        if self._sent - number > WINDOW:
            self._forgotten += 1
            return
        sent = self._sent_when(number)
        delay = self._up.of(sent, server_at)
        mark = self._order.arrived(number, (at, delay))
        row = self._intervals.row(sent)
        row.size += size
        if mark.kind is Kind.DUPLICATE:
            row.duplicates += 1
            self._again(number)
        elif mark.kind is not Kind.FORGOTTEN:
            self._up.add(delay, mark)
            self._first(Packet(number, sent, at - sent, extent=mark.extent), row)

    def counted(self, counts: Counts) -> None:
        """
        The server said what it had counted when all probes had had their time to reach it.

        Args:
            counts: What it said.
        """
        self._counts = self._counts.most(counts.since(self.before))
        self._counted = True
        self._down.counted(self._counts.arrivals)

    def so_far(self, now: float) -> tuple[Interval, ...]:
        """
        The rows while more may come: a probe is lost when its answer is overdue.

        Args:
            now: In seconds of the prober's clock; not before anything that was told.
        """
        return self._intervals.values(least=0.0, in_flight=self._in_flight(now))

    def report(self) -> ProbeReport:
        """What is to be said if nothing more comes."""
        came = self._order.received
        lost = self._sent - came
        down = min(max(0, self._counts.received - came), lost)
        # What the last answers say is no more than what the server knew then.
        unknown = 0 if self._counted else min(lost - down, self._sent - 1 - self._order.highest)
        return ProbeReport(
            sent=self._sent,
            answered=came - self._overdue,
            overdue=self._overdue,
            lost_up=lost - down - unknown,
            lost_down=down,
            lost_unknown=unknown,
            duplicates_up=self._counts.duplicates,
            duplicates_down=self._down.duplicates,
            forgotten=self._forgotten + self._order.forgotten,
            foreign=self._foreign,
            reordered=self._order.reordered,
            round_trip=Figures.of(self._times),
            up=self._up.pdv,
            down=self._down.report(),
            intervals=self._intervals.values(least=0.0),
        )

    def packets(self) -> list[Packet]:
        """Each probe by its number, and what became of it; needs ``keep``."""
        return [evolve(packet, sent=packet.sent - self._kept[0].sent) for packet in self._kept]

    def _in_flight(self, now: float) -> list[float]:
        """When those were sent that may still be answered in time."""
        known = range(max(0, self._sent - WINDOW), self._sent)
        limit = -math.inf if self.timeout is None else now - self.timeout
        first = known.start + bisect_left(known, limit, key=self._sent_when)
        return [self._sent_when(number) for number in self._order.absent(first, known.stop)]

    def _sent_when(self, number: int) -> float:
        """When a probe was sent, one of the last `WINDOW`."""
        return self._sent_at[number % WINDOW]

    def _first(self, packet: Packet, row: Row) -> None:
        """Count the first answer to a probe."""
        time = packet.delay or 0.0
        if self.timeout is not None and time > self.timeout:
            self._overdue += 1
            return
        self._times.add(time)
        row.lost -= 1
        row.reordered += packet.extent > 0
        row.delay(time)
        if self.keep:
            self._kept[packet.number] = packet

    def _again(self, number: int) -> None:
        """Keep that there was another answer to a probe that was answered in time."""
        if self.keep and (packet := self._kept[number]).copies:
            self._kept[number] = evolve(packet, copies=packet.copies + 1)
