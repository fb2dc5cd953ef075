"""
What many numbers say: histograms that take any number of them in bounded memory.

Knows no units and no clock.
"""

import math
from copy import copy
from typing import Any

from attrs import define, field

from lab.errors import LocalError

# Parts of an octave. A value is known to half a part: 0.4 %.
_PARTS = 128
# How many buckets a spread may have, and the farthest value that it takes.
_BUCKETS, _FAR = 8192, 1e18
# The exponents that a float has: from those of the smallest to those of the largest.
_EXPONENTS = range(-1073, 1025)
# What is read counts no more values than a float tells apart.
_MOST_VALUES = 2**53


@define
class Histogram:
    """
    Counts values in buckets whose width grows with the value, as HdrHistogram does.

    Every percentile is right to 0.4 % of itself; least, most and mean are exact.

    Attributes:
        count: How many values there are.
        least: The smallest of them; infinity without any.
        most: The largest of them; 0 without any.

    >>> histogram = Histogram()
    >>> for value in range(1, 1001):
    ...     histogram.add(value)
    >>> [round(histogram.percentile(p), -1) for p in (50, 90, 100)]
    [500.0, 900.0, 1000.0]
    """

    count: int = 0
    least: float = math.inf
    most: float = 0.0
    _total: float = 0.0
    _buckets: dict[tuple[int, int], int] = field(factory=dict, repr=False)

    def add(self, value: float) -> None:
        """Count one value; below 0 is counted as 0."""
        value = max(0.0, value)
        mantissa, exponent = math.frexp(value)
        bucket = exponent, int((mantissa * 2 - 1) * _PARTS) if value else -1
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self._total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    def merge(self, other: "Histogram") -> None:
        """Count all values of another one, too."""
        for bucket, times in other._buckets.items():  # noqa: SLF001 - our own
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += other.count
        self._total += other._total  # noqa: SLF001 - our own
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return self._total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """
        The value that so many percent of the values don't exceed; 0 without values.

        Args:
            percent: 0 to 100.
        """
        rank, seen = math.ceil(self.count * percent / 100), 0
        for bucket in sorted(self._buckets, key=_middle):
            seen += self._buckets[bucket]
            if seen >= rank:
                return float(min(max(_middle(bucket), self.least), self.most))
        return 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """A value for each bucket, and how many values it stands for; the smallest first."""
        return [
            (min(max(_middle(bucket), self.least), self.most), self._buckets[bucket])
            for bucket in sorted(self._buckets, key=_middle)
        ]

    def as_json(self) -> dict[str, Any]:
        """All there is to it, as values that JSON has; equal ones give equal values."""
        return {
            "least": float(self.least) if self.count else None,
            "most": float(self.most),
            "total": self._total,
            "buckets": [[*bucket, self._buckets[bucket]] for bucket in sorted(self._buckets)],
        }

    @classmethod
    def from_json(cls, values: Any) -> "Histogram":
        """
        Read what `as_json` gave.

        Raises:
            LocalError: It is none.

        >>> histogram = Histogram()
        >>> histogram.add(0.25)
        >>> Histogram.from_json(histogram.as_json()) == histogram
        True
        """
        made = cls()
        try:
            for exponent, part, times in values["buckets"]:
                made._put((exponent, part), times)
            if made.count:
                made.least = float(values["least"])
            made.most, made._total = float(values["most"]), float(values["total"])
            made._check()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LocalError("histogram is none; give one that was written by as_json") from error
        return made

    def _put(self, bucket: tuple[Any, Any], times: Any) -> None:
        """Fill a bucket that was read."""
        exponent, part = bucket
        whole = all(type(number) is int for number in (exponent, part, times))
        known = bucket == (0, -1) or (exponent in _EXPONENTS and 0 <= part < _PARTS)
        if not whole or not known or times < 1 or bucket in self._buckets:
            raise ValueError(bucket)
        self._buckets[bucket] = times
        self.count += times

    def _check(self) -> None:
        """Refuse sums that are not those of any values."""
        finite = math.isfinite(self.most) and math.isfinite(self._total)
        if self.count:
            right = finite and 0 <= self.least <= self.most and self.count <= _MOST_VALUES
        else:
            right = self.most == self._total == 0
        if not right:
            raise ValueError(self.count)


def _middle(bucket: tuple[int, int]) -> float:
    """The value in the middle of a bucket."""
    exponent, part = bucket
    return 0.0 if part < 0 else math.ldexp(1 + (part + 0.5) / _PARTS, exponent - 1)


@define
class Spread:
    """
    Counts values of either sign in buckets of one width, for what has no natural zero.

    A difference of two clocks is a large number of which only the last digits mean something, and
    the percentiles of a histogram of relative error would lose those. Here the width is absolute:
    ``finest`` at first, and twice as much whenever more than 8,192 buckets are in use. Only those
    in use count, so an outlier costs one bucket and no accuracy.

    Every percentile is right to ``width``; least, most and mean are exact.

    Args:
        finest: The first width; 2**-30 s is a nanosecond. With 1 whole numbers are exact.

    Attributes:
        count: How many values there are.
        least: The smallest of them; infinity without any.
        most: The largest of them; minus infinity without any.
        width: Of a bucket.

    >>> spread = Spread()
    >>> for value in (-0.002, 0.001, 0.001, 0.003):
    ...     spread.add(value)
    >>> [round(spread.percentile(p), 6) for p in (0, 50, 100)], round(spread.mean, 6)
    ([-0.002, 0.001, 0.003], 0.00075)
    """

    finest: float = 2**-30
    count: int = field(default=0, init=False)
    least: float = field(default=math.inf, init=False)
    most: float = field(default=-math.inf, init=False)
    width: float = field(init=False)
    _total: float = field(default=0.0, init=False)
    _buckets: dict[int, int] = field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin with the finest."""
        self.width = self.finest

    def add(self, value: float, times: int = 1) -> None:
        """
        Count a value.

        Args:
            value: What is farther from 0 than 10**18 is counted there.
            times: How often.
        """
        value = min(max(value, -_FAR), _FAR)
        bucket = math.floor(value / self.width)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += times
        self._total += value * times
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        while len(self._buckets) > _BUCKETS:
            self._widen()

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return self._total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """
        The value that so many percent of the values don't exceed; 0 without values.

        Args:
            percent: 0 to 100.
        """
        rank, seen = math.ceil(self.count * percent / 100), 0
        for value, times in self.buckets():
            seen += times
            if seen >= rank:
                return value
        return 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """A value for each bucket, and how many values it stands for; the smallest first."""
        # At first a bucket is taken for its lower edge, so that whole numbers stay whole.
        middle = (self.width - self.finest) / 2
        return [
            (min(max(bucket * self.width + middle, self.least), self.most), times)
            for bucket, times in sorted(self._buckets.items())
        ]

    def copy(self) -> "Spread":
        """One that goes on by itself."""
        made = copy(self)
        made._buckets = dict(self._buckets)  # noqa: SLF001 - our own
        return made

    def _widen(self) -> None:
        """Make one bucket of two."""
        before, self._buckets = self._buckets, {}
        self.width *= 2
        for bucket, times in before.items():
            self._buckets[bucket // 2] = self._buckets.get(bucket // 2, 0) + times
