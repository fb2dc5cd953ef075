"""
Confidence intervals by the bootstrap: what would have come of other repetitions.

What is drawn again is whole repetitions, for the samples of one have the same servers, the same
moment and often the same queue, and are not so many experiments. From few repetitions the usual
percentile interval is too narrow (of ten it holds the truth in about 90 %, not 95 %); here its
percentiles lie as much farther out as Student's t does, which is the expanded percentile interval
of Hesterberg, "What Teachers Should Know About the Bootstrap" (2015), section 3.3.

Equal seeds give equal intervals. Knows no files.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lab.experiments.distribution import Distribution, Numbers
from lab.rng import stream

#: How often repetitions are drawn again.
TIMES = 2000
#: The share of intervals that hold the truth.
CONFIDENCE = 0.95
# Where a distribution has more values, its median is drawn again from so many of them.
_VALUES = 512


@frozen
class Interval:
    """
    An interval of confidence.

    Args:
        low: Where it begins.
        high: Where it ends.
    """

    low: float
    high: float


def of_mean(parts: Sequence[Distribution], seed: int = 1) -> Interval | None:
    """
    The interval of the mean of all values.

    Args:
        parts: The values of each repetition.
        seed: Equal ones give equal intervals.

    Returns:
        None of less than two repetitions: nothing tells how they differ.
    """
    if len(parts) < 2:
        return None
    totals = np.array([one.total for one in parts])
    counts = np.array([one.count for one in parts], float)
    drawn = draws(len(parts), seed)
    means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return interval(means, len(parts))


def of_median(parts: Sequence[Distribution], seed: int = 1) -> Interval | None:
    """The interval of the median of all values; as `of_mean`."""
    if len(parts) < 2:
        return None
    if all(one.count == 1 for one in parts):
        single = np.array([one.least for one in parts])
        return interval(np.median(single[draws(len(parts), seed)], axis=1), len(parts))
    values, counts = _table(parts)
    totals = np.array([one.count for one in parts], float)
    weights = _weights(len(parts), seed)
    seen = np.cumsum(weights @ counts, axis=1)
    places = (seen < (weights @ totals)[:, None] / 2).sum(axis=1)
    return interval(values[places], len(parts))


def of_ratio(above: Numbers, below: Numbers, seed: int = 1) -> Interval | None:
    """
    The interval of the ratio of two means.

    Args:
        above: A number of each repetition of one run; 0 or more.
        below: The same of the other.
        seed: Equal ones give equal intervals.
    """
    if min(len(above), len(below)) < 2:
        return None
    tops = above[draws(len(above), seed, "above")].mean(axis=1)
    bottoms = below[draws(len(below), seed, "below")].mean(axis=1)
    # As `ratio` has it.
    ratios = np.where(tops == bottoms, 1.0, math.inf)
    with np.errstate(over="ignore"):
        np.divide(tops, bottoms, out=ratios, where=bottoms != 0)
    return interval(ratios, min(len(above), len(below)))


def ratio(above: float, below: float) -> float:
    """
    One number by another; 1 if both are 0.

    >>> ratio(3, 2), ratio(0, 0), ratio(1, 0)
    (1.5, 1.0, inf)
    """
    if below:
        return float(above) / float(below)
    return math.inf if above else 1.0


def interval(drawn: Numbers, repetitions: int) -> Interval:
    """
    The interval of what was drawn.

    Args:
        drawn: A statistic of each draw.
        repetitions: How many there were to draw from; 2 or more.
    """
    ordered = np.sort(drawn)
    place = round(tail(repetitions) * len(ordered))
    return Interval(float(ordered[place]), float(ordered[-1 - place]))


@lru_cache
def tail(repetitions: int) -> float:
    """
    The share of draws that lies below an interval, and above it.

    >>> round(tail(10), 4), round(tail(1000), 4)
    (0.0086, 0.0248)
    """
    normal, free = NormalDist(), repetitions - 1
    return normal.cdf(-math.sqrt(repetitions / free) * student((1 + CONFIDENCE) / 2, free))


def student(share: float, free: int) -> float:
    """
    A quantile of Student's t (Abramowitz and Stegun, 26.7.5): of 9 to four digits, of 1 and 2 too
    small, where the tail is empty all the same.

    >>> round(student(0.975, 9), 2)
    2.26
    """
    x = NormalDist().inv_cdf(share)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    more: float = sum(term / free**power for power, term in enumerate(terms, 1))
    return x + more


@lru_cache(64)
def draws(repetitions: int, seed: int, *names: str) -> NDArray[np.int64]:
    """
    Which repetitions are drawn, each time as many as there are.

    Args:
        repetitions: How many there are.
        seed: Equal ones draw equally.
        names: What for, so that two draws have nothing to do with each other.
    """
    words = stream(seed, "bootstrap", repetitions, *names).getrandbits(128)
    dice = np.random.Generator(np.random.PCG64(words))
    return dice.integers(repetitions, size=(TIMES, repetitions))


@lru_cache(64)
def _weights(repetitions: int, seed: int) -> Numbers:
    """How often each repetition is drawn, each time."""
    drawn = draws(repetitions, seed)
    weights = np.zeros((len(drawn), repetitions))
    np.add.at(weights, (np.arange(len(drawn))[:, None], drawn), 1)
    return weights


def _table(parts: Sequence[Distribution]) -> tuple[Numbers, Numbers]:
    """
    Values that the median of any draw can be, and how often each repetition has each.

    It lies between the medians of the repetitions. What is below stands with the first of them.
    """
    medians = [one.middle for one in parts]
    values = np.unique(np.concatenate([one.values for one in parts]))
    values = values[(min(medians) <= values) & (values <= max(medians))]
    if len(values) > _VALUES:
        values = values[np.linspace(0, len(values) - 1, _VALUES).astype(int)]
    counts = np.zeros((len(parts), len(values) + 1))
    for row, one in enumerate(parts):
        counts[row] = np.bincount(np.searchsorted(values, one.values), one.times, len(values) + 1)
    return values, counts[:, :-1]
