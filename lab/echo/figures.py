"""
Parts of what is to be said of a stream: figures of many values, the fate of a packet.

Seconds, bytes and packets; knows nothing of how they were measured.
"""

from enum import Enum
from typing import Any
from typing import Protocol as Interface

from attrs import asdict, frozen

#: The percentiles of `Figures`, and their names.
PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}


class Values(Interface):
    """`lab.statistics.Histogram` or `lab.statistics.Spread`."""

    @property
    def count(self) -> int:
        """How many values there are."""

    @property
    def least(self) -> float:
        """The smallest."""

    @property
    def most(self) -> float:
        """The largest."""

    @property
    def mean(self) -> float:
        """The mean."""

    def percentile(self, percent: float) -> float:
        """The value that so many percent don't exceed."""


@frozen
class Figures:
    """
    What many values say, in their own unit.

    Args:
        count: How many there are.
        least: The smallest.
        mean: The mean.
        p50: The median; and so on.
        p90: Nine in ten do not exceed it.
        p95: 95 in 100 do not exceed it.
        p99: 99 in 100 do not exceed it.
        p999: 999 in 1,000 do not exceed it.
        most: The largest.
    """

    count: int
    least: float
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    most: float

    @classmethod
    def of(cls, values: Values, zero: float = 0.0) -> "Figures | None":
        """
        The figures of values; None if there are none.

        Args:
            values: The values.
            zero: What is taken from each.
        """
        if not values.count:
            return None
        found = {name: values.percentile(of) - zero for name, of in PERCENTILES.items()}
        ends = {"least": values.least - zero, "most": values.most - zero}
        return cls(values.count, mean=values.mean - zero, **ends, **found)

    def as_json(self) -> dict[str, float]:
        """As values that JSON has."""
        return asdict(self)


class Fate(Enum):
    """What became of a packet: each has one of these, and marks besides."""

    RECEIVED = "received"
    LOST = "lost"


@frozen
class Packet:
    """
    One packet of a stream.

    Args:
        number: From 0.
        sent: When it left, in seconds from when the first did. Of one that was lost on a one-way
            stream nobody knows; then it is what its neighbours say.
        delay: In seconds: above the least of all, on a one-way stream, or the round trip; None if
            it was lost.
        copies: How often it came; 0 if it was lost.
        extent: Its reordering extent in packets (RFC 4737); 0 if it was not overtaken.
        late: Whether it came too long behind its successors.
    """

    number: int
    sent: float
    delay: float | None
    copies: int = 1
    extent: int = 0
    late: bool = False

    @property
    def fate(self) -> Fate:
        """Whether it came."""
        return Fate.RECEIVED if self.copies else Fate.LOST


@frozen
class Sender:
    """
    What the sender said of itself at the end.

    Args:
        count: Packets that it sent.
        missed: Those that left more than an interval after their time.
        mean: How late they left, in seconds.
        most: How late the latest left, in seconds.
    """

    count: int
    missed: int
    mean: float
    most: float


@frozen
class Reordering:
    """
    How packets were overtaken (RFC 4737).

    Args:
        extent: Over how many packets (section 4.2).
        late: By how much time, in seconds (section 4.3).
        n: How many packets are n-reordered (section 5), for n from 1 on.
    """

    extent: Figures | None = None
    late: Figures | None = None
    n: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {
            "extent": figures_json(self.extent),
            "late": figures_json(self.late),
            "n": list(self.n),
        }


@frozen
class Bursts:
    """
    How losses are spread (RFC 3357).

    Args:
        periods: Lengths of the loss periods, in packets.
        lengths: How many periods there are of which length, the shortest first.
        distances: From each lost packet to the one lost before it, in packets.
    """

    periods: Figures | None = None
    lengths: tuple[tuple[int, int], ...] = ()
    distances: Figures | None = None

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        lengths = {str(length): times for length, times in self.lengths}
        periods, distances = figures_json(self.periods), figures_json(self.distances)
        return {"periods": periods, "lengths": lengths, "distances": distances}


def figures_json(figures: Figures | None) -> dict[str, float] | None:
    """Figures as JSON has them, or null."""
    return figures.as_json() if figures else None
