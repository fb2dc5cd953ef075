"""How far the run of a plan is: a bar on a terminal, lines elsewhere; on standard error."""

import sys
from collections.abc import Callable
from typing import TextIO

import click

from lab.commands.progress import DRAWN, Shown, bars, clock, say_above
from lab.experiments.plan import show
from lab.experiments.results import Result

#: A line comes so often at most, in seconds: runs may go on for hours.
TOLD = 5.0


class Lines(Shown):
    """
    Lines on standard error, from `begin` on.

    Args:
        seconds: Gives the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began = self._told = 0.0
        self._before = self._now = self._total = 0

    def begin(self, done: int, total: int) -> None:
        """It begins: so many of all are done already."""
        self._began = self._told = self._seconds()
        self._before = self._now = done
        self._total = total
        self.say(f"{total - done:,} of {total:,} runs are to be done")

    def done(self, result: Result) -> None:
        """One more is done."""
        self._now += 1
        if result.error:
            cell = ", ".join(f"{key} = {show(value)}" for key, value in result.cell.items())
            self.complain(f"{result.error} ({cell})")
        if self._seconds() >= self._told + self.every or self._now == self._total:
            self._told = self._seconds()
            self.tell()

    @property
    def every(self) -> float:
        """It is told so often at most, in seconds."""
        return TOLD

    def tell(self) -> None:
        """Say how far it is."""
        self.say(self.text())

    def text(self) -> str:
        """How far it is, and how long the rest takes if it goes on like that."""
        took = (self._seconds() - self._began) / (self._now - self._before)
        left = clock((self._total - self._now) * took)
        rate = f"{1 / took:.3g}/s" if took else "at once"
        return f"{self._now:,} of {self._total:,} runs, {rate}, {left} left"

    def say(self, text: str) -> None:
        """Something for people."""
        click.echo(text, err=True)

    def complain(self, text: str) -> None:
        """Something went wrong."""
        self.say(text)


class Bar(Lines):
    """
    A bar on a terminal.

    Args:
        seconds: Gives the time.
        out: The terminal.
    """

    def __init__(self, seconds: Callable[[], float], out: TextIO) -> None:
        super().__init__(seconds)
        self._progress = bars(out)
        self._task = self._progress.add_task("", total=None)

    def close(self) -> None:
        """No bar any more."""
        self._progress.stop()

    def begin(self, done: int, total: int) -> None:
        """It begins."""
        super().begin(done, total)
        self._progress.start()
        self._progress.update(self._task, total=total, completed=done)

    @property
    def every(self) -> float:
        """It is drawn so often at most, in seconds."""
        return DRAWN

    def tell(self) -> None:
        """Draw it."""
        self._progress.update(self._task, completed=self._now, description=self.text())
        self._progress.refresh()

    def say(self, text: str) -> None:
        """Something for people, above the bar."""
        say_above(self._progress, text)


def make_progress(seconds: Callable[[], float]) -> Lines:
    """What fits standard error."""
    return Bar(seconds, sys.stderr) if sys.stderr.isatty() else Lines(seconds)
