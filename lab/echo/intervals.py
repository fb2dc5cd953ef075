"""
What was seen in each second, or whatever the interval is.

Knows no clock.
"""

import math
from collections import Counter
from collections.abc import Iterable

from attrs import define, field

from lab.echo.report import Interval
from lab.errors import LocalError

#: When there are more rows, two become one: memory is bounded however long it lasts.
ROWS = 10_000


@define
class Row:
    """
    The counts of one interval.

    Args:
        received: Packets, each counted once.
        lost: Packets that were found missing in it, and have not come since.
        duplicates: Packets that had come before.
        reordered: Packets that came behind a higher number.
        late: Packets that came too long behind their successors.
        size: Bytes of all that came.
        jitter: At its end, in seconds; None before anything came.
        total: Sum of the delays, in seconds.
        least: The smallest delay, in seconds.
        most: The largest delay, in seconds.
    """

    received: int = 0
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    size: int = 0
    jitter: float | None = None
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def delay(self, delay: float) -> None:
        """Count a packet that came, and its delay in seconds."""
        self.received += 1
        self.total += delay
        self.least = min(self.least, delay)
        self.most = max(self.most, delay)

    def value(
        self, start: float, end: float, zero: float, lost: int, in_flight: int = 0
    ) -> Interval:
        """
        It as a value.

        Args:
            start: In seconds from the beginning.
            end: In seconds from the beginning.
            zero: What is taken from each delay, in seconds.
            lost: So many more were found missing.
            in_flight: So many that were counted as lost may still come.
        """
        found = self.received > 0
        return Interval(
            start,
            end,
            self.received,
            self.lost + lost - in_flight,
            self.duplicates,
            self.reordered,
            self.late,
            self.size,
            self.jitter,
            self.least - zero if found else None,
            self.total / self.received - zero if found else None,
            self.most - zero if found else None,
            in_flight,
        )

    def add(self, later: "Row") -> None:
        """Take in the interval behind this one."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        if later.received:
            self.jitter = later.jitter
        self.least = min(self.least, later.least)
        self.most = max(self.most, later.most)


_SUMS = ("received", "lost", "duplicates", "reordered", "late", "size", "total")


@define
class Intervals:
    """
    Rows of equal length from a beginning on.

    Args:
        every: Length of each, in seconds. It doubles when there would be more than `ROWS`.

    Attributes:
        rows: All up to the last in which something was seen.

    Raises:
        LocalError: A length that can't be.

    >>> intervals = Intervals(every=1.0)
    >>> for at in (5.0, 5.9, 7.2):
    ...     intervals.row(at).delay(0.0)
    >>> [row.received for row in intervals.rows]
    [2, 0, 1]
    """

    every: float
    start: float | None = None
    rows: list[Row] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not 0 < self.every < math.inf:
            raise LocalError(f"interval is {self.every:g} s; give more than 0, for example 1")

    def row(self, at: float) -> Row:
        """
        The row of a time.

        Args:
            at: In seconds. The first is the beginning, if there was none; what is before that
                belongs to the first row.
        """
        if self.start is None:
            self.start = at
        while at - self.start >= ROWS * self.every:
            self._halve()
        number = self._number(at)
        while len(self.rows) <= number:
            self.rows.append(Row())
        return self.rows[number]

    def values(
        self, least: float, lost: int = 0, in_flight: Iterable[float] = ()
    ) -> tuple[Interval, ...]:
        """
        All rows as values, each of a whole interval.

        Args:
            least: The least of all delays, in seconds; it is taken from each.
            lost: So many more were found missing in the last row.
            in_flight: The times of those that were counted as lost and may still come, in seconds.
        """
        rows = self.rows or [Row()] * (lost > 0)
        more = [0] * (len(rows) - 1) + [lost]
        waited = Counter(map(self._number, in_flight))
        return tuple(
            row.value(number * self.every, (number + 1) * self.every, least, after, waited[number])
            for number, (row, after) in enumerate(zip(rows, more, strict=False))
        )

    def _number(self, at: float) -> int:
        """Of the row of a time."""
        return int(max(0.0, at - (self.start or 0.0)) / self.every)

    def _halve(self) -> None:
        """Make one row of two."""
        self.every *= 2
        for first, second in zip(self.rows[::2], self.rows[1::2], strict=False):
            first.add(second)
        self.rows = self.rows[::2]
