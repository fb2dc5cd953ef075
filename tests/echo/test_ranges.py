"""What is there and what is missing."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.ranges import Ranges

PARTS = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1]))


def runs(numbers: set[int]) -> list[tuple[int, int]]:
    """Numbers as ranges."""
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    stops = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    return list(zip(starts, stops, strict=True))


class RangesTests(SynchronousTestCase):
    """Held against a set of numbers."""

    @given(st.lists(PARTS, max_size=30))
    def test_any_parts(self, parts: list[tuple[int, int]]) -> None:
        """Whatever parts come in whatever order, it knows of each number what a set knows."""
        ranges, there = Ranges(), set[int]()
        for start, stop in parts:
            part = set(range(start, stop))
            # A part touches others if with them it is one.
            touches = bool(there & set(range(start - 1, stop + 1)))
            self.assertTrue(ranges.touches(start, stop) == touches or start == stop)
            self.assertEqual(ranges.add(start, stop), runs(part - there))
            there |= part
            self.assertEqual((ranges.size, len(ranges)), (len(there), len(runs(there))))
        for start in range(55):
            missing = set(range(start, 55)) - there
            self.assertEqual(list(ranges.missing(start, 55)), runs(missing))
            self.assertEqual(ranges.reach(start), min(missing, default=55))

    def test_nothing(self) -> None:
        """Nothing is there at first, and nothing in nothing is missing."""
        ranges = Ranges()
        self.assertEqual(list(ranges.missing(3, 9)), [(3, 9)])
        self.assertEqual(list(ranges.missing(3, 3)), [])
        self.assertEqual((ranges.reach(7), ranges.size), (7, 0))
