"""
The rank test of Mann and Whitney, and Holm's correction for many tests.

Knows no experiments: numbers in, probabilities out.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np

# With more values the normal distribution is as good, and much faster.
_EXACT = 40


def rank_test(one: Sequence[float], other: Sequence[float]) -> float:
    """
    The probability of ranks at least as far apart, if both came from one distribution.

    Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger
    than the Other" (1947): two-sided, exact up to 40 values (also where some are equal), or else
    by the normal distribution with the corrections for equal values and for continuity.

    Returns:
        1 where one of them is empty.

    >>> round(rank_test([1, 2, 3], [4, 5, 6]), 3)
    0.1
    """
    if not one or not other:
        return 1.0
    ranks = _double_ranks([*one, *other])
    found = sum(ranks[: len(one)])
    if len(ranks) <= _EXACT:
        return _exact(tuple(sorted(ranks)), len(one), found)
    return _normal(ranks, len(one), found)


def holm(probabilities: Sequence[float]) -> list[float]:
    """
    What probabilities become if there are so many of them: below 0.05 wrongly for any in 5 %.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(probabilities)
    most = 0.0
    places = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    for done, place in enumerate(places):
        most = max(most, min(1.0, probabilities[place] * (len(probabilities) - done)))
        adjusted[place] = most
    return adjusted


def least_possible(one: int, other: int) -> float:
    """
    The smallest probability that so many values can give.

    >>> least_possible(3, 3)
    0.1
    """
    return min(1.0, 2 / math.comb(one + other, one))


def _double_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each; equal ones share the middle of theirs."""
    places = sorted(range(len(values)), key=lambda place: values[place])
    ranks, before = [0] * len(values), 0
    for _, group in groupby(places, key=lambda place: values[place]):
        equal = list(group)
        for place in equal:
            ranks[place] = 2 * before + len(equal) + 1
        before += len(equal)
    return ranks


@lru_cache(4096)
def _exact(ranks: tuple[int, ...], count: int, found: int) -> float:
    """The share of all choices of so many of the ranks whose sum is as far out."""
    ways = np.zeros((count + 1, sum(ranks) + 1), np.int64)
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    sums = ways[count]
    side = min(int(sums[: found + 1].sum()), int(sums[found:].sum()))
    return float(min(1.0, 2 * side / int(sums.sum())))


def _normal(ranks: Sequence[int], count: int, found: int) -> float:
    """The same from the normal distribution."""
    size = len(ranks)
    other = size - count
    ties = sum(len(list(group)) ** 3 for _, group in groupby(sorted(ranks))) - size
    spread = count * other / 12 * (size + 1 - ties / (size * (size - 1)))
    if not spread:
        return 1.0
    away = max(0.0, abs(found / 2 - count * (size + 1) / 2) - 0.5)
    return math.erfc(away / math.sqrt(2 * spread))
