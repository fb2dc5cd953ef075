"""
Whether a download may read on: not if it is too fast, nor if too much waits for the disk. Pure.

What is not read waits in the network, and so at the servers; nothing of it takes memory here.
"""

import math

from attrs import define, field

from lab.budget import Rates

#: So many bytes may wait for the disk.
ROOM = 2**24
#: Nobody waits for a shorter time than this because it was too fast, in seconds.
LEAST = 0.1


@define(eq=False)
class Intake:
    """
    What one download reads.

    Args:
        pace: Of all downloads together.

    Attributes:
        queued: Bytes that came, and wait for the disk.
    """

    _pace: Rates
    queued: int = field(init=False, default=0)
    _full: bool = field(init=False, default=False)
    _paced: bool = field(init=False, default=False)

    @property
    def held(self) -> bool:
        """Whether nothing is to be read now."""
        return self._paced or self._full

    def came(self, size: int, now: float) -> float:
        """
        Some bytes came.

        Returns:
            `go_on` is to be called after so many seconds; infinity for never.
        """
        self._pace.spend("", size, now)
        wait = self._pace.wait_of_all(now)
        if wait <= LEAST or self._paced:
            return math.inf
        self._paced = True
        return wait

    def go_on(self) -> None:
        """It was too fast, and has waited."""
        self._paced = False

    def wait(self, size: int) -> None:
        """So many bytes wait for the disk."""
        self._queue(size)

    def stored(self, size: int) -> None:
        """They do not any more."""
        self._queue(-size)

    def _queue(self, size: int) -> None:
        """More or less waits."""
        self.queued += size
        # Not for each piece anew: it begins again when there is room for some.
        self._full = self.queued > (ROOM // 2 if self._full else ROOM)
