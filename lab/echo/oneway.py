"""
The measure of a stream that goes one way, from what its receiver sees.

Knows no clock: times are arguments. The sender's clock and the receiver's need not agree.
"""

from attrs import define, field

from lab.echo.delays import Delays, Overtaken, Tag
from lab.echo.figures import Bursts, Figures, Packet, Sender
from lab.echo.intervals import Intervals, Row
from lab.echo.kept import Kept
from lab.echo.order import Kind, Mark, Order
from lab.echo.report import Interval, Report
from lab.errors import LocalError


@define
class OneWay:
    """
    Takes the packets of a stream as they come, and gives a report at any time.

    Each packet of the stream is received or lost, and never both. Memory is bounded, however many
    there are, unless ``keep`` asks for each of them.

    Args:
        expected: How many packets were asked for; None if nobody knows. Other numbers are none of
            the stream.
        begun: When the stream was asked for, in seconds of the receiver's clock; None for the
            first arrival. Rates and rows count from here.
        interval: Length of a row, in seconds.
        timeout: After a silence of so long the stream is over, in seconds; what comes then is
            overdue, and stays lost. (RFC 7680 wants a bound behind which late is lost.) None: it
            never is.
        late: What comes more than this after the first of its successors is late, in seconds
            (RFC 4737, section 4.3): who waits no longer has no use for it.
        keep: Keep each packet, for `packets`; needs ``expected``.

    Raises:
        LocalError: Numbers that can't be, or ``keep`` without ``expected``.

    >>> stream = OneWay(expected=4)
    >>> for number, at in ((0, 7.0), (2, 7.2), (1, 7.21), (1, 7.22)):
    ...     stream.arrived(number, sent=number / 10, at=at, size=64)
    >>> report = stream.report()
    >>> report.received, report.lost, report.duplicates, report.reordered
    (3, 1, 1, 1)
    """

    expected: int | None = None
    begun: float | None = field(default=None, kw_only=True)
    interval: float = field(default=1.0, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    late: float = field(default=0.1, kw_only=True)
    keep: bool = field(default=False, kw_only=True)
    _order: Order[Tag] = field(factory=Order, init=False)
    _delays: Delays = field(factory=Delays, init=False)
    _overtaken: Overtaken = field(factory=Overtaken, init=False)
    _intervals: Intervals = field(init=False)
    _kept: Kept = field(factory=Kept, init=False)
    _sender: Sender | None = field(default=None, init=False)
    #: How many were sent, if somebody has said so.
    _count: int = field(init=False)
    #: When something came for the last time.
    _last: float | None = field(init=False)
    _late: int = field(default=0, init=False)
    _overdue: int = field(default=0, init=False)
    _foreign: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.expected is not None and self.expected < 0:
            raise LocalError(f"expected is {self.expected}; give 0 or more packets")
        if self.keep and self.expected is None:
            raise LocalError("keep is set without expected; give the number of packets")
        if self.timeout is not None and not self.timeout > 0:
            raise LocalError(f"timeout is {self.timeout:g} s; give more than 0, for example 2")
        if not self.late >= 0:
            raise LocalError(f"late is {self.late:g} s; give 0 or more, for example 0.1")
        self._count, self._last = self.expected or 0, self.begun
        self._intervals = Intervals(self.interval, self.begun)

    @property
    def received(self) -> int:
        """Packets so far, each counted once."""
        return self._order.received

    @property
    def duplicates(self) -> int:
        """Packets so far that had come before."""
        return self._order.duplicates

    @property
    def missing(self) -> int:
        """Packets below the highest number so far that have not come so far."""
        return self._order.missing

    def arrived(self, number: int, sent: float, at: float, size: int) -> None:
        """
        A packet came, or another copy of it.

        Args:
            number: Which.
            sent: When it left, in seconds of the sender's clock. If that gives nanoseconds, take
                the first from all of them before dividing: a float has 15 digits.
            at: In seconds of the receiver's clock; never less than at the call before.
            size: In bytes.
        """
        if number < 0 or (self.expected is not None and number >= self.expected):
            self._foreign += 1
        elif self._is_over(at):
            self._overdue += 1
        else:
            delay = self._delays.of(sent, at)
            mark = self._order.arrived(number, (at, delay))
            self._last = at
            late = self._count_mark(mark, self._row(at, size), at, delay)
            if self.keep:
                self._keep(mark, Packet(number, sent, delay, extent=mark.extent, late=late))

    def ended(self, count: int, missed: int, mean: float, most: float) -> None:
        """
        The sender said that this was all.

        Args:
            count: How many packets it sent; not more than were asked for.
            missed: How many left more than an interval after their time.
            mean: How late they left, in seconds.
            most: How late the latest left, in seconds.
        """
        self._sender = Sender(count, missed, mean, most)
        self.counted(count)

    def counted(self, count: int) -> None:
        """
        Somebody knows how many packets were sent.

        Args:
            count: How many; not more than were asked for.
        """
        self._count = count if self.expected is None else min(count, self.expected)

    def stopped(self) -> None:
        """The receiver does not want the rest: above the highest number nothing is lost."""
        self._count = 0

    def report(self) -> Report:
        """What is to be said if nothing more comes."""
        order, start = self._order, self._intervals.start
        seconds = 0.0 if start is None or self._last is None else self._last - start
        return Report(
            received=order.received,
            lost=self._packets - order.received,
            duplicates=order.duplicates,
            reordered=order.reordered,
            late=self._late,
            overdue=self._overdue,
            forgotten=order.forgotten,
            foreign=self._foreign,
            size=self._size,
            seconds=seconds,
            jitter=self._delays.jitter,
            ipdv=self._delays.ipdv,
            pdv=self._delays.pdv,
            reordering=self._overtaken.reordering,
            bursts=self._bursts(),
            sender=self._sender,
            intervals=self._intervals.values(
                self._delays.above.least, lost=self._packets - order.highest - 1
            ),
        )

    def so_far(self) -> tuple[Interval, ...]:
        """The rows while more may come: nothing above the highest number is lost yet."""
        return self._intervals.values(self._delays.above.least)

    def packets(self, step: float = 0.0) -> list[Packet]:
        """
        Each packet of the stream by its number, and what became of it; needs ``keep``.

        Args:
            step: Seconds from one to the next by the sender's plan, for those lost at the ends.
        """
        return self._kept.all(self._packets, step)

    @property
    def _packets(self) -> int:
        """How many there are."""
        return max(self._count, self._order.highest + 1)

    def _is_over(self, at: float) -> bool:
        """Whether there was a silence that ended the stream."""
        if self.timeout is None or self._last is None:
            return False
        # What is overdue does not end the silence, so this is for ever.
        return at - self._last > self.timeout

    def _row(self, at: float, size: int) -> Row:
        """The row of an arrival."""
        self._size += size
        row = self._intervals.row(at)
        row.size += size
        return row

    def _count_mark(self, mark: Mark[Tag], row: Row, at: float, delay: float) -> bool:
        """Count what an arrival means; gives whether it was late."""
        if mark.kind is Kind.DUPLICATE:
            row.duplicates += 1
        if mark.kind in {Kind.DUPLICATE, Kind.FORGOTTEN}:
            return False
        self._delays.add(delay, mark)
        row.jitter = self._delays.jitter
        row.delay(delay)
        row.lost += mark.skipped
        if mark.jump is None:
            return False
        row.reordered += 1
        # It had been found missing then, and has come after all.
        self._intervals.row(mark.jump[0]).lost -= 1
        behind = at - mark.jump[0]
        self._overtaken.add(mark, behind)
        late = behind > self.late
        row.late += late
        self._late += late
        return late

    def _keep(self, mark: Mark[Tag], packet: Packet) -> None:
        """Keep a packet, or that it came again."""
        if mark.kind is Kind.DUPLICATE:
            self._kept.again(packet.number)
        elif mark.kind is not Kind.FORGOTTEN:
            self._kept.add(packet)

    def _bursts(self) -> Bursts:
        """How losses are spread."""
        losses = self._order.losses(self._packets)
        lengths = [(int(length), times) for length, times in losses.periods.buckets()]
        return Bursts(Figures.of(losses.periods), tuple(lengths), Figures.of(losses.distances))
