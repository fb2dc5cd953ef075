"""
How far something is, for people and for programs: how often that is told, and in which form.

Knows nothing of what it is that takes so long.
"""

import json
import math
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Self

from attrs import define, field

from lab import units

if TYPE_CHECKING:  # it takes long, and where nothing is drawn it is not needed
    from rich.progress import Progress

#: Progress is told so often at most, in seconds: where it is drawn, and where it is a line.
DRAWN, TOLD = 0.1, 1.0


@define
class Pace:
    """
    Lets something be told at most so often, the first time so long after the beginning.

    Args:
        seconds: Gives the time.
        every: How often, in seconds.
    """

    _seconds: Callable[[], float]
    every: float
    began: float = field(init=False)
    _told: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """It begins now."""
        self.began = self._told = self._seconds()

    def due(self) -> bool:
        """Whether it may be told now; then it has been."""
        now = self._seconds()
        if now < self._told + self.every:
            return False
        self._told = now
        return True

    def passed(self) -> float:
        """So long ago it began, in seconds."""
        return self._seconds() - self.began


class Shown:
    """Something that is shown as long as a ``with`` lasts."""

    def open(self) -> None:
        """It is shown from here on."""

    def close(self) -> None:
        """Nothing more is shown of it."""

    def __enter__(self) -> Self:
        """It is shown from here on."""
        self.open()
        return self

    def __exit__(self, *reason: object) -> None:
        """Nothing more is shown of it, whatever happened."""
        self.close()


def event(kind: str, /, **values: Any) -> str:
    """
    What happened, for programs.

    >>> event("begun", received=0)
    '{"event": "begun", "received": 0}'
    """
    return json.dumps({"event": kind, **values})


def part(done: int, size: int) -> str:
    """
    So much of all, in bytes.

    >>> part(3 * 2**20, 10 * 2**20), part(512, 2048)
    ('3 of 10 MiB', '512 bytes of 2 KiB')
    """
    one, whole = units.show_size(done), units.show_size(size)
    number, _, unit = one.partition(" ")
    return f"{number if whole.endswith(' ' + unit) else one} of {whole}"


def clock(seconds: float) -> str:
    """
    A time that is still to come, as clocks show it.

    >>> clock(4), clock(75.2), clock(3600)
    ('0:04', '1:16', '1:00:00')
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bars(out: IO[str]) -> "Progress":
    """
    Bars on a terminal, each with a text behind it; they are gone when it is stopped.

    It is drawn when `refresh` is called and at no other time: a thread of its own would ask a clock
    of its own.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        BarColumn(20),
        TextColumn("{task.description}", markup=False),
        console=Console(file=out, highlight=False),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def say_above(progress: "Progress", text: str) -> None:
    """A line for people above the bars, in as many rows as it takes."""
    progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
