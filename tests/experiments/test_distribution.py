"""Numbers and what is said of them."""

import statistics

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.distribution import MEDIAN, P90, P999, Distribution, outliers
from lab.experiments.results import Measure
from lab.statistics import Histogram

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


class DistributionTests(SynchronousTestCase):
    """Values with how often there is each."""

    @settings(max_examples=60, deadline=None)
    @given(VALUES)
    def test_samples(self, values: list[float]) -> None:
        """Of samples, mean, deviation, median, least and most are those of the library."""
        found = Distribution.of([Measure("s", values[:5]), Measure("s", values[5:])])
        self.assertEqual(found.count, len(values))
        self.assertApproximates(found.mean, statistics.fmean(values), 1e-6)
        self.assertEqual((found.least, found.most), (min(values), max(values)))
        self.assertApproximates(found.percentile(MEDIAN), statistics.median(values), 1e-6)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        self.assertApproximates(found.deviation, spread, 1e-6 * (1 + spread))

    @settings(max_examples=60, deadline=None)
    @given(VALUES, st.integers(0, 1000))
    def test_percentile(self, values: list[float], part: int) -> None:
        """At least so many don't exceed a percentile, and as many of the others reach it."""
        found = Distribution.of([Measure("s", values)]).percentile(part)
        self.assertGreaterEqual(1000 * sum(value <= found for value in values), part * len(values))
        above = (1000 - part) * len(values)
        self.assertGreaterEqual(1000 * sum(value >= found for value in values), above)

    def test_ranks(self) -> None:
        """No rounding moves a rank: 99.9 % of 1,000 is between the last two."""
        thousand = Distribution.of([Measure("s", range(1, 1001))])
        self.assertEqual(thousand.percentile(P999), 999.5)
        self.assertEqual(thousand.percentile(P90), 900.5)
        self.assertEqual((thousand.percentile(0), thousand.percentile(1000)), (1, 1000))

    def test_histogram(self) -> None:
        """A histogram and samples together: the mean is exact, the rest to 0.4 %."""
        histogram = Histogram()
        for value in range(1, 901):
            histogram.add(value)
        rest = Measure("s", range(901, 1001))
        found = Distribution.of([Measure("s", histogram=histogram), rest])
        self.assertEqual((found.count, found.mean), (1000, 500.5))
        self.assertApproximates(found.percentile(MEDIAN), 500.5, 2.5)
        self.assertApproximates(found.deviation, statistics.stdev(range(1, 1001)), 1.0)

    def test_parts(self) -> None:
        """Each measure by itself, and all together again."""
        measures = [Measure("s", [3, 1]), Measure("s", [1]), Measure("s", [2, 2, 9])]
        parts = Distribution.each(measures)
        self.assertEqual([one.middle for one in parts], [1, 1, 2])
        both = Distribution.joined(parts), Distribution.of(measures)
        self.assertEqual(*(one.shares()[0].tolist() for one in both))
        self.assertEqual(*(one.times.tolist() for one in both))
        self.assertEqual(both[0].middle, 2)
        self.assertEqual(both[0].times.tolist(), [2, 2, 1, 1])

    def test_shares(self) -> None:
        """The share up to each value."""
        values, shares = Distribution.of([Measure("s", [2, 1, 1, 4])]).shares()
        self.assertEqual((list(values), list(shares)), ([1, 2, 4], [0.5, 0.75, 1]))


class OutlierTests(SynchronousTestCase):
    """Values that are far from the others."""

    def test_far(self) -> None:
        """Ten standard deviations, as the median deviation has them, on either side."""
        usual = [-1.0, 0.0, 1.0, -2.0, 2.0, 1.0, -1.0]  # the median deviation is 1
        self.assertEqual(outliers([*usual, 14.8]), [])
        self.assertEqual(outliers([14.9, *usual, -15.0]), [0, 8])

    def test_alike(self) -> None:
        """Where half of them are equal, and of none, there are none."""
        self.assertEqual(outliers([1.0, 1.0, 1.0, 0.5]), [])
        self.assertEqual(outliers([]), [])
