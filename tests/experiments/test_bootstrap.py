"""Confidence intervals."""

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments import bootstrap
from lab.experiments.bootstrap import (
    Interval,
    draws,
    interval,
    of_mean,
    of_median,
    of_ratio,
    ratio,
    student,
    tail,
)
from lab.experiments.distribution import Distribution
from lab.experiments.results import Measure
from lab.rng import stream
from lab.statistics import Histogram
from tests.helpers import thorough


def parts(*repetitions: Any) -> list[Distribution]:
    """The values of each repetition."""
    return Distribution.each(Measure("s", [float(v) for v in values]) for values in repetitions)


def singles(values: Any) -> list[Distribution]:
    """A repetition of each value."""
    return parts(*([value] for value in values))


def share(find: Any, draw: Any, truth: float, rounds: int) -> float:
    """In which share of experiments of ten repetitions the interval holds the truth."""
    dice = stream(7, "coverage")
    found = (find(singles(draw(dice) for _ in range(10))) for _ in range(rounds))
    return sum(one.low <= truth <= one.high for one in found) / rounds


class IntervalTests(SynchronousTestCase):
    """Intervals of means and medians."""

    def test_single(self) -> None:
        """One repetition has none, however many samples it has."""
        for find in (of_mean, of_median):
            self.assertIsNone(find(parts(range(100))))

    def test_alike(self) -> None:
        """Equal repetitions have an interval of one point."""
        for find in (of_mean, of_median):
            self.assertEqual(find(singles([3] * 10)), Interval(3, 3))
            found = find(parts(*[[1, 3, 3]] * 5))
            self.assertEqual(found.low, found.high)

    def test_around(self) -> None:
        """It lies around the figure, within the values, and is the same twice."""
        made = singles([1, 2, 4, 4, 5, 7, 8, 8, 9, 12])
        for find, figure in ((of_mean, 6), (of_median, 6)):
            found = find(made)
            self.assertTrue(1 <= found.low < figure < found.high <= 12)
            self.assertEqual(found, find(made))
        self.assertNotEqual(of_mean(made), of_mean(made, seed=2))

    def test_repetitions_are_drawn(self) -> None:
        """A thousand samples of one moment are one repetition: they don't narrow an interval."""
        levels = [1, 2, 4, 4, 5, 7, 8, 8, 9, 12]
        many = parts(*([level] * 1000 for level in levels))
        self.assertEqual(of_mean(many), of_mean(singles(levels)))
        wide, narrow = of_median(many), of_median(singles(levels))
        self.assertGreaterEqual(wide.high - wide.low, narrow.high - narrow.low)

    def test_weights(self) -> None:
        """A repetition counts by its values in the mean of all."""
        found = of_mean(parts([0] * 99, [100]) * 5)
        self.assertLess(found.high, 10)

    def test_median_of_many(self) -> None:
        """Of many values, and of histograms, it is as good as of few."""
        dice = stream(5, "many")
        values = [dice.gauss(100, 5) for _ in range(2000)]
        several = [Measure("s", values[at : at + 200]) for at in range(0, 2000, 200)]
        found = of_median(Distribution.each(several))
        self.assertTrue(99 < found.low < 100.1 and 99.9 < found.high < 101, found)
        histograms = []
        for measure in several:
            histogram = Histogram()
            for value in measure.samples:
                histogram.add(value)
            histograms.append(Measure("s", histogram=histogram))
        other = of_median(Distribution.each(histograms))
        self.assertApproximates(other.low, found.low, 0.5)
        self.assertApproximates(other.high, found.high, 0.5)
        self.patch(bootstrap, "_VALUES", 20)
        rough = of_median(Distribution.each(several))
        self.assertNotEqual(rough, found)
        self.assertApproximates(rough.low, found.low, 0.1)
        self.assertApproximates(rough.high, found.high, 0.1)

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=2, max_size=5))
    def test_median_by_counting(self, values: list[list[int]]) -> None:
        """It is what the median of all values of each draw gives, one by one."""
        values[0].append(5)  # one with several: others are counted in another way
        made = [
            sorted(value for place in drawn for value in values[place])
            for drawn in draws(len(values), 1)
        ]
        right = interval(np.array([one[(len(one) - 1) // 2] for one in made], float), len(values))
        self.assertEqual(of_median(parts(*values)), right)

    def test_coverage(self) -> None:
        """About 95 % of intervals hold the truth; without the expansion it would be 90."""
        self.assertGreater(share(of_mean, lambda dice: dice.gauss(9, 1), 9, 300), 0.92)
        self.patch(bootstrap, "tail", lambda repetitions: 0.025)
        self.assertLess(share(of_mean, lambda dice: dice.gauss(9, 1), 9, 300), 0.92)

    @thorough
    def test_coverage_of_skewed(self) -> None:
        """The median keeps its 95 % where times are exponential, the mean of ten keeps 90."""
        times = [of_mean, 1.0, 0.90], [of_median, math.log(2), 0.94]
        for find, truth, least in times:
            self.assertGreater(share(find, lambda dice: dice.expovariate(1), truth, 1500), least)


class RatioTests(SynchronousTestCase):
    """Intervals of ratios."""

    def test_around(self) -> None:
        """It lies around the ratio, and both sides are drawn apart: of a run with itself, too."""
        values = np.array([9.0, 10, 11, 10.5, 9.5, 10, 10.2, 9.8])
        found = of_ratio(2 * values, values)
        self.assertTrue(1.8 < found.low < 2 < found.high < 2.2)
        same = of_ratio(values, values)
        self.assertTrue(same.low < 1 < same.high)
        self.assertIsNone(of_ratio(values[:1], values))

    def test_zero(self) -> None:
        """Nothing by nothing is 1, something by nothing infinity."""
        self.assertEqual((ratio(0, 0), ratio(1, 0), ratio(1, 2)), (1, math.inf, 0.5))
        nothing, some = np.zeros(3), np.ones(3)
        self.assertEqual(of_ratio(nothing, nothing), Interval(1, 1))
        self.assertEqual(of_ratio(some, nothing), Interval(math.inf, math.inf))


class TailTests(SynchronousTestCase):
    """How far out the percentiles lie."""

    def test_student(self) -> None:
        """The quantiles of Student's t, as tables have them."""
        for free, right, error in ((4, 2.776, 2e-3), (9, 2.2622, 1e-4), (19, 2.0930, 1e-4)):
            self.assertApproximates(student(0.975, free), right, error)

    def test_tail(self) -> None:
        """From few repetitions nearly nothing is left out, from many 2.5 % on each side."""
        tails = [tail(repetitions) for repetitions in (2, 3, 5, 10, 100, 10_000)]
        self.assertEqual(tails, sorted(tails))
        self.assertLess(tails[0], 1e-6)
        self.assertApproximates(tails[-1], 0.025, 1e-4)

    def test_draws(self) -> None:
        """Draws are the same for a seed, and others for another name."""
        self.assertTrue((draws(5, 1) == draws(5, 1)).all())
        self.assertFalse((draws(5, 1, "above") == draws(5, 1, "below")).all())
        self.assertEqual(set(draws(3, 1).flat), {0, 1, 2})
