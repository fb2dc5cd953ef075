"""Which parts of something long are there, and which are missing. Knows no protocol."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from attrs import define, field


@define(eq=False)
class Ranges:
    """
    Parts that are there, as ranges of numbers that do not touch.

    Attributes:
        size: How many numbers there are in them.

    >>> ranges = Ranges()
    >>> ranges.add(0, 10), ranges.add(20, 30), ranges.add(5, 25)
    ([(0, 10)], [(20, 30)], [(10, 20)])
    >>> list(ranges.missing(0, 50))
    [(30, 50)]
    """

    size: int = field(init=False, default=0)
    _starts: list[int] = field(init=False, factory=list)
    _stops: list[int] = field(init=False, factory=list)

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._starts)

    def add(self, start: int, stop: int) -> list[tuple[int, int]]:
        """
        A part is there.

        Args:
            start: Its first number.
            stop: The one behind its last.

        Returns:
            Those parts of it that were not there before, in order.
        """
        new = list(self.missing(start, stop))
        if new:
            # The ranges that it touches become one with it.
            first, last = bisect_left(self._stops, start), bisect_right(self._starts, stop)
            if first < last:
                start = min(start, self._starts[first])
                stop = max(stop, self._stops[last - 1])
            self._starts[first:last] = [start]
            self._stops[first:last] = [stop]
            self.size += sum(end - begin for begin, end in new)
        return new

    def missing(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """What is not there between two numbers, in order."""
        at = bisect_right(self._stops, start)
        while start < stop:
            begin = self._starts[at] if at < len(self._starts) else stop
            if start < begin:
                yield start, min(begin, stop)
            if begin >= stop:
                return
            start = self._stops[at]
            at += 1

    def touches(self, start: int, stop: int) -> bool:
        """Whether a part would be one with others that are there."""
        return bisect_left(self._stops, start) < bisect_right(self._starts, stop)

    def reach(self, start: int) -> int:
        """How far it goes from there without a gap."""
        at = bisect_right(self._starts, start) - 1
        return max(start, self._stops[at]) if at >= 0 else start
