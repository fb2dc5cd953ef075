"""
How far something is, for people and for programs: how often that is told, and in which form.

Knows nothing of what it is that takes so long.
"""

import json
from collections.abc import Callable
from typing import IO, Any

import click
from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

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


def say(out: IO[str] | None, text: str) -> None:
    """One line; to standard output if ``out`` is None."""
    click.echo(text, file=out)


def tell(out: IO[str] | None, event: str, **values: Any) -> None:
    """The same for programs: one JSON object."""
    say(out, json.dumps({"event": event, **values}))


def bars(out: IO[str]) -> Progress:
    """
    Bars on a terminal, each with a text behind it; they are gone when it is stopped.

    It is drawn when `refresh` is called and at no other time: a thread of its own would ask a clock
    of its own.
    """
    return Progress(
        BarColumn(20),
        TextColumn("{task.description}", markup=False),
        console=Console(file=out, highlight=False),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
