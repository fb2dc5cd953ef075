"""What many numbers say."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.statistics import Histogram

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
