"""
The results of a run: which are there, one more, and at the end all of them in their order.

Only the place of each line is held in memory, however long the lines are.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from lab.errors import LocalError
from lab.experiments.plan import Repetition
from lab.experiments.results import LONGEST, Result, adding

#: A cell, and the number of a repetition.
Name = tuple[str, int]


@frozen
class _Line:
    """Where a line is: its first byte, and how many there are; and whether it tells of an error."""

    offset: int
    length: int
    failed: bool


@define
class Ledger:
    """
    A file of results that is filled.

    Args:
        path: The file.
        wanted: All repetitions of the run, in the order of their lines.
        simulated: Whether they are simulated.

    Attributes:
        lines: The lines that there are, the newest of each repetition.
    """

    path: Path
    wanted: Mapping[Name, Repetition]
    simulated: bool
    lines: dict[Name, _Line] = field(factory=dict)

    def scan(self) -> None:
        """
        See what is there.

        Raises:
            LocalError: A line is none of a result, or one of another run.
        """
        self.lines.clear()
        for number, offset, line in _lines(self.path):
            try:
                values = json.loads(line)
                name = json.dumps(values["cell"], sort_keys=True), values["repetition"]
                self._check(name, values)
                self.lines[name] = _Line(offset, len(line), bool(values["error"]))
            except (KeyError, TypeError, ValueError) as error:
                raise LocalError(f"line {number} of {self.path} is no result") from error

    @property
    def left(self) -> list[Repetition]:
        """What is still to be done; what failed is done again."""
        return [
            one
            for name, one in self.wanted.items()
            if name not in self.lines or self.lines[name].failed
        ]

    @property
    def failed(self) -> int:
        """How many of those that are wanted have failed."""
        return sum(name in self.wanted and line.failed for name, line in self.lines.items())

    @contextmanager
    def open(self) -> Iterator[Callable[[Result], None]]:
        """
        Go on with the file.

        Gives:
            What adds a result.

        Raises:
            LocalError: Somebody else does so, or it can't be written.
        """
        with _alone(self.path.parent), adding(self.path) as add:
            self.scan()
            yield add

    def sort(self) -> None:
        """Bring the lines in their order; those of cells that are in no plan any more are last."""
        order = {name: place for place, name in enumerate(self.wanted)}
        behind = len(order)
        names = sorted(self.lines, key=lambda name: order.get(name, behind))
        places = [self.lines[name] for name in names]
        if _in_order(places, self.path):
            return
        part = self.path.with_name(f"{self.path.name}.part")
        with self.path.open("rb") as before, part.open("wb") as after:
            for line in places:
                before.seek(line.offset)
                after.write(before.read(line.length))
            after.flush()
            os.fsync(after.fileno())
        part.replace(self.path)

    def _check(self, name: Name, values: Mapping[str, Any]) -> None:
        """Refuse a line that another run has made."""
        if values["simulated"] is not self.simulated:
            kind = "simulated" if values["simulated"] else "real"
            raise LocalError(
                f"{self.path} has results of {kind} runs; give another directory with --to"
            )
        wanted = self.wanted.get(name)
        if wanted is not None and values["seed"] != wanted.seed:
            raise LocalError(
                f"{self.path} has results with another seed or warm-up; give that, or another "
                "directory with --to"
            )


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, first byte and text of each whole line."""
    number = offset = 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST + 1):
            number += 1
            if line.endswith(b"\n"):
                yield number, offset, line
            elif len(line) > LONGEST:
                raise LocalError(f"line {number} of {path} is longer than {LONGEST:,} bytes")
            offset += len(line)


def _in_order(places: list[_Line], path: Path) -> bool:
    """Whether lines stand in the file as they should, and nothing else does."""
    offset = 0
    for line in places:
        if line.offset != offset:
            return False
        offset += line.length
    return path.stat().st_size == offset


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only run of this folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LocalError(
                f"{folder} is used by another run; wait for that, or give --to"
            ) from None
        yield
    finally:
        os.close(handle)
