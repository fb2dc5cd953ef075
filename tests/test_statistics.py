"""What many numbers say."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.statistics import Histogram, Spread

VALUES = (
    st.floats(1e-9, 1e9) | st.integers(0, 100) | st.sampled_from([0.0, 1.0, 2.0, 1e-300, 5e-324])
)
#: Half a part of an octave.
ERROR = 1 / 256


def filled(values: list[float]) -> Histogram:
    """A histogram of these values."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


class HistogramTests(SynchronousTestCase):
    """The histogram."""

    @given(st.lists(st.floats(0, 1e9)), st.lists(st.floats(0, 1e9)))
    def test_merge(self, one: list[float], other: list[float]) -> None:
        """Two together are the same as one of all values, but for the rounding of their sum."""
        first, second, whole = Histogram(), Histogram(), Histogram()
        for values, histogram in ((one, first), (other, second), (one + other, whole)):
            for value in values:
                histogram.add(value)
        first.merge(second)
        self.assertApproximates(first.mean, whole.mean, 1e-9 * whole.most)
        merged, at_once = first.as_json(), whole.as_json()
        del merged["total"], at_once["total"]
        self.assertEqual(merged, at_once)

    def test_empty(self) -> None:
        """Without values everything is 0, and the least is out of reach."""
        histogram = Histogram()
        self.assertEqual((histogram.count, histogram.mean, histogram.percentile(50)), (0, 0, 0))
        self.assertEqual((histogram.least, histogram.most), (math.inf, 0))

    def test_one_value(self) -> None:
        """Every percentile of one value is that value, exactly."""
        for value in (0.0, 0.3, 5e-324, 1e300):
            histogram = filled([value])
            self.assertEqual([histogram.percentile(p) for p in (0, 50, 100)], [value] * 3)

    def test_below_zero(self) -> None:
        """What is below 0 is counted as 0."""
        histogram = filled([-1.0, 1.0])
        self.assertEqual((histogram.count, histogram.least, histogram.mean), (2, 0, 0.5))
        self.assertEqual(histogram.percentile(50), 0)

    @settings(deadline=None)
    @given(st.lists(VALUES, min_size=1, max_size=80), st.integers(0, 100))
    def test_percentile(self, values: list[float], percent: int) -> None:
        """A percentile is that of the sorted values, to half a part of an octave."""
        rank = max(1, -(-len(values) * percent // 100))
        exact = sorted(values)[rank - 1]
        got = filled(values).percentile(percent)
        self.assertIsInstance(got, float)
        self.assertTrue(abs(got - exact) <= exact * ERROR, (got, exact))

    @settings(deadline=None)
    @given(st.lists(VALUES, max_size=80))
    def test_json(self, values: list[float]) -> None:
        """It goes to JSON and back exactly, whatever the order in which values came."""
        histogram = filled(values)
        text = json.dumps(histogram.as_json(), allow_nan=False)
        again = Histogram.from_json(json.loads(text))
        self.assertEqual(again, histogram)
        self.assertEqual(json.dumps(again.as_json()), text)
        buckets = filled(values[::-1]).as_json()["buckets"]
        self.assertEqual(buckets, histogram.as_json()["buckets"])

    @settings(deadline=None)
    @given(st.lists(VALUES, max_size=80))
    def test_buckets(self, values: list[float]) -> None:
        """Buckets have all values, each to half a part of an octave, in their order."""
        found = [value for value, times in filled(values).buckets() for _ in range(times)]
        self.assertEqual(len(found), len(values))
        for got, exact in zip(found, sorted(values), strict=True):
            self.assertTrue(abs(got - exact) <= exact * ERROR, (got, exact))

    def test_damaged_json(self) -> None:
        """What is no histogram is refused, and so is one that no values make."""
        right = filled([0.0, 0.3, 5.0]).as_json()
        for name, wrong in [
            ("buckets", [[0, -1, 0]]),
            ("buckets", [[0, -1, 1], [0, -1, 1]]),
            ("buckets", [[0, -1, 1.0]]),
            ("buckets", [[True, 1, 1]]),
            ("buckets", [[0, 128, 1]]),
            ("buckets", [[5000, 0, 1]]),
            ("buckets", [[0, 0]]),
            ("buckets", [["0", 0, 1]]),
            ("buckets", [[0, 0, 2**60]]),
            ("buckets", []),
            ("buckets", None),
            ("least", None),
            ("least", 9.0),
            ("least", -1.0),
            ("most", "x"),
            ("most", math.inf),
            ("total", math.nan),
            ("total", 10**999),
        ]:
            self.assertRaises(LocalError, Histogram.from_json, {**right, name: wrong})
        for wrong in ({}, [], None, 5, "x"):
            self.assertRaises(LocalError, Histogram.from_json, wrong)

    @settings(deadline=None)
    @given(st.lists(VALUES, min_size=1, max_size=80))
    def test_exact(self, values: list[float]) -> None:
        """Count, least, most and mean are exact."""
        histogram = filled(values)
        self.assertEqual(
            (histogram.count, histogram.least, histogram.most),
            (len(values), min(values), max(values)),
        )
        self.assertTrue(math.isclose(histogram.mean, math.fsum(values) / len(values), abs_tol=0))

    def test_ends(self) -> None:
        """The outermost percentiles stay within the least and the most."""
        histogram = filled([1.001, 1.999])
        self.assertTrue(histogram.percentile(0) >= 1.001)
        self.assertTrue(histogram.percentile(100) <= 1.999)

    def test_bounded(self) -> None:
        """An octave takes 128 buckets, however many values there are."""
        histogram = filled([1 + n / 10_000 for n in range(10_000)])
        self.assertEqual(len(histogram._buckets), 128)


def spread(values: list[float], finest: float = 2**-30) -> Spread:
    """A spread of these values."""
    found = Spread(finest)
    for value in values:
        found.add(value)
    return found


class SpreadTests(SynchronousTestCase):
    """Buckets of one width."""

    def test_empty(self) -> None:
        """Without values everything is 0, and least and most are out of reach."""
        empty = Spread()
        self.assertEqual((empty.count, empty.mean, empty.percentile(50)), (0, 0, 0))
        self.assertEqual((empty.least, empty.most, empty.buckets()), (math.inf, -math.inf, []))

    @settings(deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.integers(0, 100))
    def test_percentile(self, values: list[float], percent: int) -> None:
        """A percentile is that of the sorted values, to the width of a bucket."""
        found = spread(values)
        rank = max(1, -(-len(values) * percent // 100))
        exact = sorted(values)[rank - 1]
        self.assertTrue(abs(found.percentile(percent) - exact) <= found.width)
        self.assertEqual((found.least, found.most), (min(values), max(values)))
        self.assertTrue(
            math.isclose(found.mean, math.fsum(values) / len(values), rel_tol=1e-9, abs_tol=1e-6)
        )

    def test_whole_numbers(self) -> None:
        """With a width of 1 whole numbers are exact, and may be counted many times at once."""
        found = Spread(finest=1)
        found.add(3, times=10**12)
        found.add(-2)
        self.assertEqual(found.buckets(), [(-2, 1), (3, 10**12)])
        self.assertEqual((found.count, found.percentile(0), found.percentile(50)),
                         (10**12 + 1, -2, 3))  # fmt: skip

    def test_bounded(self) -> None:
        """More than 8,192 different values share buckets, and stay right to the width."""
        found = spread([n * 1e-6 for n in range(-10_000, 10_000)])
        self.assertLessEqual(len(found.buckets()), 8192)
        self.assertLess(found.width, 4e-6)
        self.assertLessEqual(abs(found.percentile(50) + 1e-6), found.width)
        self.assertLessEqual(abs(found.percentile(75) - 0.005), found.width)
        self.assertEqual(sum(times for _, times in found.buckets()), 20_000)

    def test_outlier(self) -> None:
        """A value that is far off costs the others no accuracy."""
        found = spread([0.001, 0.002, 1e9, -1e9])
        self.assertEqual(found.width, 2**-30)
        self.assertLess(abs(found.percentile(50) - 0.001), 1e-9)

    def test_too_far(self) -> None:
        """What is beyond all bounds is counted at the bound."""
        found = spread([1e300, -math.inf])
        self.assertEqual((found.least, found.most, found.count), (-1e18, 1e18, 2))

    def test_copy(self) -> None:
        """A copy goes on by itself."""
        first = spread([1.0])
        second = first.copy()
        second.add(2.0)
        self.assertEqual((first.count, len(first.buckets())), (1, 1))
        self.assertEqual((second.count, len(second.buckets())), (2, 2))
