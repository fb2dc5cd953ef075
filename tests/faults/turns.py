"""Several links, each with a clock of its own, as somebody ticks them who is always in time."""

from collections.abc import Iterator, Sequence
from typing import Protocol as Interface


class Ticked(Interface):
    """What has a time at which it has to be looked at."""

    def deadline(self) -> float | None:
        """That time, in seconds, or None."""


def in_time(several: Sequence[Ticked], until: float) -> Iterator[tuple[float, int]]:
    """When which of them is due, one after the other, up to a time; each has to be ticked then."""
    while True:
        due = [(one.deadline(), number) for number, one in enumerate(several)]
        times = [(at, number) for at, number in due if at is not None and at <= until]
        if not times:
            return
        yield min(times)
