"""How fast bytes go by."""

import math

from attrs import define, field

#: The rate is that of about the last so many seconds.
WINDOW = 2.0


@define(eq=False)
class Meter:
    """
    Counts bytes, and says how many a second there were lately.

    Args:
        now: When it begins, in seconds.

    >>> meter = Meter(0.0)
    >>> meter.add(1000, 0.5)
    >>> meter.rate(1.0)
    1000.0
    """

    _began: float
    _start: float = field(init=False, default=-math.inf)
    _count: int = field(init=False, default=0)
    _before: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """The first window begins."""
        self._start = self._began

    def add(self, size: int, now: float) -> None:
        """So many bytes went by."""
        self._move(now)
        self._count += size

    def rate(self, now: float) -> float:
        """Bytes a second."""
        self._move(now)
        age = now - self._start
        before = self._before * (WINDOW - age) / WINDOW
        return (before + self._count) / max(min(now - self._began, WINDOW), WINDOW / 1000)

    def _move(self, now: float) -> None:
        """Begin another window, if this one is over."""
        windows = int((now - self._start) // WINDOW)
        if windows > 0:
            self._before = self._count if windows == 1 else 0
            self._count = 0
            self._start += windows * WINDOW
