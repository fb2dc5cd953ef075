"""
The order in which numbered packets came: which are missing, came again, or were overtaken.

Knows no time: with each packet comes a tag, and a tag is what is told of its neighbours.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from enum import Enum
from operator import attrgetter
from typing import Generic, TypeVar

from attrs import define, evolve, field, frozen

from lab.statistics import Spread

_T = TypeVar("_T")

#: So many gaps are remembered; of numbers before the last of those nothing is known any more.
GAPS = 16_384
#: How far n-reordering is followed back, in packets.
REACH = 100

_first = attrgetter("first")


class Kind(Enum):
    """What a packet is to those that came before it."""

    NEXT = "next"
    REORDERED = "reordered"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"


@frozen
class Mark(Generic[_T]):
    """
    What is to be said of a packet that came.

    Args:
        kind: ``NEXT`` is above all before it, and ``REORDERED`` below one of them (RFC 4737,
            section 3). ``DUPLICATE`` has come before. ``FORGOTTEN`` is from before the gaps that
            are remembered: it came before, or was counted as lost and stays so.
        skipped: How many numbers there are between it and the highest before; for ``NEXT``.
        left: Tag of the number before, if that came.
        right: Tag of the number behind, if that came.
        jump: Tag of the first that came before it and has a higher number; for ``REORDERED``, as
            what follows.
        extent: How many packets ago that one came (RFC 4737, section 4.2).
        n: How many packets came right before it that all have higher numbers (RFC 4737, section
            5): it is n-reordered for this n and all below. At most `REACH`.
    """

    kind: Kind
    skipped: int = 0
    left: _T | None = None
    right: _T | None = None
    jump: _T | None = None
    extent: int = 0
    n: int = 0


@frozen
class _Gap(Generic[_T]):
    """
    Numbers in a row that have not come: the first, the last, how many packets had come with the
    one that jumped over them, its tag, and the tags of the numbers on either side.
    """

    first: int
    last: int
    index: int
    jump: _T
    left: _T | None
    right: _T


@frozen
class Losses:
    """
    How losses are spread (RFC 3357).

    Args:
        periods: Lengths of the loss periods, in packets: of the runs of lost numbers.
        distances: Differences between the number of each lost packet and that of the one lost
            before it.
    """

    periods: Spread
    distances: Spread


@define
class _Pattern:
    """Sums up runs of lost numbers, the lowest first."""

    periods: Spread = field(factory=lambda: Spread(finest=1))
    distances: Spread = field(factory=lambda: Spread(finest=1))
    _last: int | None = None

    def add(self, first: int, last: int) -> None:
        """One more run."""
        self.periods.add(last - first + 1)
        if self._last is not None:
            self.distances.add(first - self._last)
        if last > first:
            self.distances.add(1, last - first)
        self._last = last

    def copy(self) -> "_Pattern":
        """One that goes on by itself."""
        return _Pattern(self.periods.copy(), self.distances.copy(), self._last)


@define
class Order(Generic[_T]):
    """
    Numbers from 0, in the order in which they come.

    **What it must do.** Tell for any number whether it came before, who overtook it and by how
    much, exactly, and in bounded memory however many there are and whoever sends them.

    **How it does it.** What is remembered is what is missing: each run of missing numbers, and
    who jumped over it. That one is the first with a higher number for all that are missing there,
    which is what RFC 4737 asks for. A gap that stays is a loss period.

    **What was refused.** A window of the last numbers: what comes from before it would be a
    duplicate or not, nobody could tell, and a path that loses nothing would need as much memory
    as one that loses a third. Here 3 % of loss leave half a million numbers to look back on.

    Attributes:
        highest: The highest number that came; -1 before the first.
        received: How many different numbers came.
        duplicates: How many came that had come before.
        reordered: How many came behind a higher one.
        forgotten: How many came of which nothing is known any more.

    >>> order = Order()
    >>> [order.arrived(number, None).kind.value for number in (0, 3, 1, 3)]
    ['next', 'next', 'reordered', 'duplicate']
    >>> order.missing
    1
    """

    highest: int = field(default=-1, init=False)
    received: int = field(default=0, init=False)
    duplicates: int = field(default=0, init=False)
    reordered: int = field(default=0, init=False)
    forgotten: int = field(default=0, init=False)
    _last: _T | None = field(default=None, init=False)
    _floor: int = field(default=0, init=False)
    _gaps: list[_Gap[_T]] = field(factory=list, init=False, repr=False)
    _recent: deque[int] = field(factory=lambda: deque(maxlen=REACH), init=False, repr=False)
    _closed: _Pattern = field(factory=_Pattern, init=False, repr=False)

    @property
    def missing(self) -> int:
        """How many numbers below the highest have not come."""
        return self.highest + 1 - self.received

    def arrived(self, number: int, tag: _T) -> Mark[_T]:
        """
        A packet came.

        Args:
            number: 0 or more.
            tag: What is told of it with its neighbours.
        """
        if number > self.highest:
            return self._next(number, tag)
        if number < self._floor:
            self.forgotten += 1
            return Mark(Kind.FORGOTTEN)
        at = bisect_right(self._gaps, number, key=_first) - 1
        if at < 0 or number > self._gaps[at].last:
            self.duplicates += 1
            return Mark(Kind.DUPLICATE)
        return self._fill(at, number, tag)

    def absent(self, first: int, stop: int) -> Iterator[int]:
        """
        The numbers of a range that have not come, as far as that is known.

        Args:
            first: The lowest.
            stop: One more than the highest; more than that of all that came.
        """
        for gap in self._gaps[max(0, bisect_right(self._gaps, first, key=_first) - 1) :]:
            yield from range(max(first, gap.first), gap.last + 1)
        yield from range(max(first, self.highest + 1), stop)

    def losses(self, count: int) -> Losses:
        """
        How the losses are spread, if nothing more comes.

        Args:
            count: How many numbers there were; those from the highest up to it are lost.
        """
        pattern = self._closed.copy()
        for gap in self._gaps:
            pattern.add(gap.first, gap.last)
        if count > self.highest + 1:
            pattern.add(self.highest + 1, count - 1)
        return Losses(pattern.periods, pattern.distances)

    def _next(self, number: int, tag: _T) -> Mark[_T]:
        """One above all before it."""
        self.received += 1
        left, skipped = self._last, number - self.highest - 1
        if skipped:
            first = self.highest + 1
            self._gaps.append(_Gap(first, number - 1, self.received, tag, left, tag))
            self._forget()
            left = None
        self.highest, self._last = number, tag
        self._recent.append(number)
        return Mark(Kind.NEXT, skipped, left)

    def _fill(self, at: int, number: int, tag: _T) -> Mark[_T]:
        """One that was missing."""
        gap = self._gaps[at]
        self.received += 1
        self.reordered += 1
        rest = []
        if number > gap.first:
            rest.append(evolve(gap, last=number - 1, right=tag))
        if number < gap.last:
            rest.append(evolve(gap, first=number + 1, left=tag))
        self._gaps[at : at + 1] = rest
        self._forget()
        n = self._higher(number)
        self._recent.append(number)
        return Mark(
            Kind.REORDERED,
            left=gap.left if number == gap.first else None,
            right=gap.right if number == gap.last else None,
            jump=gap.jump,
            extent=self.received - gap.index,
            n=n,
        )

    def _higher(self, number: int) -> int:
        """How many came right before that are above this one."""
        for n, other in enumerate(reversed(self._recent)):
            if other < number:
                return n
        return len(self._recent)

    def _forget(self) -> None:
        """Close the oldest gap if there are too many."""
        if len(self._gaps) > GAPS:
            gap = self._gaps.pop(0)
            self._closed.add(gap.first, gap.last)
            self._floor = gap.last + 1
