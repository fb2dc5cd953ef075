"""
What many numbers say: a histogram that takes any number of them in bounded memory.

Knows no units and no clock.
"""

import math

from attrs import define, field

# Parts of an octave. A value is known to half a part: 0.4 %.
_PARTS = 128


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


def _middle(bucket: tuple[int, int]) -> float:
    """The value in the middle of a bucket."""
    exponent, part = bucket
    return 0.0 if part < 0 else math.ldexp(1 + (part + 0.5) / _PARTS, exponent - 1)
