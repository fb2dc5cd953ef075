"""
Numbers with how often each was seen, from samples or histograms, and what is said of them.

A percentile is the value that so many percent don't exceed; where that is all of the values up
to one and none of the next, it is the middle between both (definition 2 of Hyndman and Fan,
"Sample Quantiles in Statistical Packages", 1996), so the median is the one that is taught.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lab.experiments.results import Measure

Numbers = NDArray[np.float64]
#: Percentiles are named in thousandths, so that no rounding moves a rank.
MEDIAN, P90, P95, P99, P999 = 500, 900, 950, 990, 999
#: A value this many standard deviations from the median, as estimated from the median absolute
#: deviation (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993), is an outlier.
#: The factor 1.4826 makes that estimate of it; ten of them is what hyperfine takes.
OUTLIER = 1.4826 * 10


@frozen(eq=False)
class Distribution:
    """
    Values, the smallest first, and how often there is each.

    Args:
        values: Each once.
        times: How often; 1 or more.
        total: The sum of all, which may be known better than the values are.
    """

    values: Numbers
    times: Numbers
    total: float
    _seen: Numbers = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Count up to each."""
        object.__setattr__(self, "_seen", np.cumsum(self.times))

    @classmethod
    def of(cls, measures: Iterable[Measure]) -> "Distribution":
        """All values of some measures, of which there is at least one."""
        return cls.joined([cls._one(measure) for measure in measures])

    @classmethod
    def each(cls, measures: Iterable[Measure]) -> list["Distribution"]:
        """The values of each measure, of which each has at least one."""
        return [cls._one(measure) for measure in measures]

    @classmethod
    def joined(cls, parts: Sequence["Distribution"]) -> "Distribution":
        """All values of several."""
        if len(parts) == 1:
            return parts[0]
        values, places = np.unique(
            np.concatenate([one.values for one in parts]), return_inverse=True
        )
        weights = np.concatenate([one.times for one in parts])
        times = np.bincount(places, weights).astype(float)
        return cls(values, times, math.fsum(one.total for one in parts))

    @classmethod
    def _one(cls, measure: Measure) -> "Distribution":
        """The values of a measure."""
        histogram = measure.histogram
        if histogram is None:
            samples = np.array(measure.samples, float)
            values, counts = np.unique(samples, return_counts=True)
            return cls(values, counts.astype(float), math.fsum(measure.samples))
        buckets = np.array(histogram.buckets(), float)
        # Of one value, buckets beside each other may stand for the same.
        values, places = np.unique(buckets[:, 0], return_inverse=True)
        times = np.bincount(places, buckets[:, 1]).astype(float)
        return cls(values, times, histogram.mean * histogram.count)

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._seen[-1])

    @property
    def mean(self) -> float:
        """The mean."""
        return self.total / self.count

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample, whose divisor is one less than the count; or 0."""
        if self.count < 2:
            return 0.0
        squares = float(np.sum(self.times * (self.values - self.mean) ** 2))
        return math.sqrt(squares / (self.count - 1))

    @property
    def middle(self) -> float:
        """The smallest value that half of all don't exceed: the median, or just below it."""
        return self._at(-(-self.count // 2))

    @property
    def least(self) -> float:
        """The smallest value."""
        return float(self.values[0])

    @property
    def most(self) -> float:
        """The largest value."""
        return float(self.values[-1])

    def percentile(self, thousandths: int) -> float:
        """
        The value that so many thousandths of the values don't exceed.

        >>> four = Distribution.of([Measure("s", [1, 2, 3, 4])])
        >>> four.percentile(MEDIAN), four.percentile(P90)
        (2.5, 4.0)
        """
        rank, rest = divmod(self.count * thousandths, 1000)
        above = self._at(min(rank + 1, self.count))
        return above if rest or not rank else (self._at(rank) + above) / 2

    def shares(self) -> tuple[Numbers, Numbers]:
        """Each value, and the share of all that does not exceed it."""
        return self.values, self._seen / self.count

    def _at(self, rank: int) -> float:
        """The value in that place, from 1."""
        return float(self.values[np.searchsorted(self._seen, rank)])


def outliers(values: Iterable[float]) -> list[int]:
    """
    Which of some values are far from the others; none where half of them are equal.

    Returns:
        Their places.

    >>> outliers([1.0, 1.1, 0.9, 1.0, 0.95, 9.0])
    [5]
    """
    found = np.array(list(values), float)
    if not len(found):
        return []
    away = np.abs(found - np.median(found))
    usual = np.median(away)
    return [int(place) for place in np.flatnonzero(usual and away > OUTLIER * usual)]
