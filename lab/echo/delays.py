"""
What the times say of packets whose sender and receiver have different clocks.

The difference of the clocks is unknown, so a delay is known up to a constant. All that is said
here is free of it: differences of neighbours, and what is above the least. A clock that runs
faster than the other is not found out; over minutes it is seen as a drift of the delays.
"""

from itertools import accumulate

from attrs import define, field

from lab.echo.figures import Figures, Reordering
from lab.echo.order import REACH, Mark
from lab.statistics import Spread

#: RFC 3550, section 6.4.1, divides each difference by it.
GAIN = 16

#: When a packet came, and its delay, in seconds.
Tag = tuple[float, float]


@define
class Delays:
    """
    Sums up delays.

    Attributes:
        jitter: In seconds, over all packets in the order in which they came (RFC 3550).
        above: The delays, in seconds, up to a constant.
        differences: The delay of each packet less that of the one sent before it, in seconds,
            where both came (RFC 3393).
    """

    jitter: float = field(default=0.0, init=False)
    above: Spread = field(factory=Spread, init=False, repr=False)
    differences: Spread = field(factory=Spread, init=False, repr=False)
    _zero: float | None = field(default=None, init=False)
    _previous: float = field(default=0.0, init=False)

    def of(self, sent: float, at: float) -> float:
        """
        A delay, in seconds, less that of the very first packet.

        Args:
            sent: In seconds of the sender's clock.
            at: In seconds of the receiver's clock.
        """
        if self._zero is None:
            # Of two large numbers, small ones are left, that keep their digits.
            self._zero = at - sent
        return at - sent - self._zero

    def add(self, delay: float, mark: Mark[Tag]) -> None:
        """
        Count a packet that has not come before.

        Args:
            delay: From `of`.
            mark: What its order says; its neighbours' tags hold their delays.
        """
        # The first delay is 0, as what it is compared to.
        self.jitter += (abs(delay - self._previous) - self.jitter) / GAIN
        self._previous = delay
        self.above.add(delay)
        if mark.left is not None:
            self.differences.add(delay - mark.left[1])
        if mark.right is not None:
            self.differences.add(mark.right[1] - delay)

    @property
    def ipdv(self) -> Figures | None:
        """Differences of neighbours, in seconds (RFC 3393; RFC 5481, section 4.1)."""
        return Figures.of(self.differences)

    @property
    def pdv(self) -> Figures | None:
        """Delays above the least, in seconds (RFC 5481, section 4.2)."""
        return Figures.of(self.above, self.above.least)


@define
class Overtaken:
    """Sums up how packets were overtaken."""

    _extents: Spread = field(factory=lambda: Spread(finest=1), init=False, repr=False)
    _behind: Spread = field(factory=Spread, init=False, repr=False)
    #: How many packets had so many higher ones right before them.
    _n: list[int] = field(factory=lambda: [0] * (REACH + 1), init=False, repr=False)

    def add(self, mark: Mark[Tag], behind: float) -> None:
        """
        Count a packet that came behind a higher number.

        Args:
            mark: What its order says.
            behind: How long after the first of its successors, in seconds (RFC 4737, section 4.3).
        """
        self._extents.add(mark.extent)
        self._behind.add(behind)
        self._n[mark.n] += 1

    @property
    def reordering(self) -> Reordering:
        """What is to be said."""
        at_least = [*accumulate(reversed(self._n[1:]))][::-1]
        counts = tuple(count for count in at_least if count)
        return Reordering(Figures.of(self._extents), Figures.of(self._behind), counts)
