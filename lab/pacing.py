"""Planned times: when each of a row of things is due, whatever happened to those before it."""

import math

from attrs import define, field

from lab.errors import LocalError


@define
class Schedule:
    """
    Equal steps from a start, computed and not added up: there is no drift.

    Args:
        rate: Things a second; more than 0.
        start: When the first is due, in seconds.
        count: How many there are; None for no end.
        behind: It may fall behind so far, in seconds. What would be due before that is put off, and
            all that follows with it: so nobody has to take at once what was not sent for a while.

    Raises:
        LocalError: A rate or count that can't be.

    >>> schedule = Schedule(rate=10, start=5.0, count=3)
    >>> schedule.due(5.15), schedule.next()
    ([5.0, 5.1], 5.2)
    """

    rate: float = field()
    start: float
    count: int | None = None
    behind: float = math.inf
    done: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not 0 < self.rate < math.inf:
            raise LocalError(f"rate is {self.rate:g} a second; give more than 0, for example 100")
        if self.count is not None and self.count < 1:
            raise LocalError(f"count is {self.count}; give 1 or more")

    def due(self, now: float, most: int | None = None) -> list[float]:
        """
        The planned times that have come and were not given before, oldest first.

        Args:
            now: In seconds.
            most: How many are given at most; the others are given next time.
        """
        first = self.done
        count = self.take(now, most)
        return [self.start + number / self.rate for number in range(first, first + count)]

    def take(self, now: float, most: float | None = None) -> int:
        """How many these are."""
        next = self.next()
        if next is None or next > now:
            return 0
        if now - next > self.behind:
            self.start += now - next - self.behind
        most = math.inf if most is None else self.done + most
        most = most if self.count is None else min(most, self.count)
        # Arithmetic may be out by one; what `next` says counts.
        end = max(self.done, int(min((now - self.start) * self.rate, most)))
        while end < most and self.start + end / self.rate <= now:
            end += 1
        taken, self.done = end - self.done, end
        return taken

    def next(self) -> float | None:
        """When the next is due, in seconds, or None after the last."""
        return None if self.done == self.count else self.start + self.done / self.rate
