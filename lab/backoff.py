"""
The waits of something that is tried again: requests over UDP and TCP, and connections.

Knows no clock: it gives durations, and whoever tries counts the time.
"""

import math
from collections.abc import Iterator

from attrs import field, frozen

from lab.errors import LocalError, NoAnswer
from lab.rng import Random
from lab.units import show_seconds


@frozen
class Backoff:
    """
    Waits that grow by a factor until they pass a cap; then whoever waits gives up.

    Args:
        first: Wait for the first attempt, in seconds; more than 0 and below the cap.
        cap: No attempt waits longer than this, in seconds.
        factor: Each wait is the one before it times this; 1 or more.
        attempts: Give up after so many; None leaves it to the cap.
        jitter: Each wait is drawn from ``wait * (1 - jitter)`` to ``wait * (1 + jitter)``;
            0 to 1. The cap counts before the draw.

    Raises:
        LocalError: A number outside what is said above, or waits that would never end.

    >>> [round(wait, 1) for wait in Backoff(first=0.1, cap=2.0).waits()]
    [0.1, 0.2, 0.4, 0.8, 1.6]
    """

    first: float = field(default=1.0)
    cap: float = field(default=2.0)
    factor: float = field(default=2.0)
    attempts: int | None = field(default=None)
    jitter: float = field(default=0.0)

    def __attrs_post_init__(self) -> None:
        """Refuse what could not be waited for."""
        if not 0 < self.first < math.inf:
            raise LocalError(f"timeout is {self.first:g} s; give more than 0, for example 0.1")
        if not self.first < self.cap:
            raise LocalError(
                f"timeout is {self.first:g} s; with backoff give less than its cap "
                f"of {self.cap:g} s, or raise that with --max-timeout"
            )
        if not 1 <= self.factor < math.inf:
            raise LocalError(f"factor is {self.factor:g}; give 1 or more")
        if self.attempts is not None and self.attempts < 1:
            raise LocalError(f"attempts is {self.attempts}; give 1 or more")
        if self.attempts is None and (self.factor == 1 or self.cap == math.inf):
            raise LocalError("these waits would never end; give a number of attempts")
        if not 0 <= self.jitter <= 1:
            raise LocalError(f"jitter is {self.jitter:g}; give 0 to 1")

    @classmethod
    def fixed(cls, timeout: float, attempts: int = 1, jitter: float = 0.0) -> "Backoff":
        """
        Wait equally long for each attempt: what is done without backoff.

        >>> list(Backoff.fixed(0.5).waits())
        [0.5]
        """
        return cls(timeout, cap=math.inf, factor=1.0, attempts=attempts, jitter=jitter)

    def waits(self, random: Random | None = None) -> Iterator[float]:
        """
        The wait of each attempt, in seconds.

        Args:
            random: Where jitter is drawn from; without one there is no jitter.
        """
        wait, tried = self.first, 0
        while wait <= self.cap and tried != self.attempts:
            spread = self.jitter * (2 * random.random() - 1) if random and self.jitter else 0.0
            yield wait * (1 + spread)
            wait *= self.factor
            tried += 1


def show_attempts(count: int) -> str:
    """A number of attempts, for people."""
    return f"{count} attempt{'' if count == 1 else 's'}"


def no_answer(attempts: int, waited: float) -> NoAnswer:
    """
    That nobody answered.

    Args:
        attempts: How many there were; none if there was no connection to ask on.
        waited: For so long, in seconds.

    >>> str(no_answer(5, 3.1))
    'no answer within 3.1 s after 5 attempts'
    """
    if not attempts:
        return NoAnswer(f"no connection within {show_seconds(waited)}")
    return NoAnswer(f"no answer within {show_seconds(waited)} after {show_attempts(attempts)}")
