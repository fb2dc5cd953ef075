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

    Raises:
        LocalError: A rate or count that can't be.

    >>> schedule = Schedule(rate=10, start=5.0, count=3)
    >>> schedule.due(5.15), schedule.next()
    ([5.0, 5.1], 5.2)
    """

    rate: float = field()
    start: float
    count: int | None = None
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
        times: list[float] = []
        while len(times) != most and (planned := self.next()) is not None and planned <= now:
            times.append(planned)
            self.done += 1
        return times

    def next(self) -> float | None:
        """When the next is due, in seconds, or None after the last."""
        return None if self.done == self.count else self.start + self.done / self.rate
