"""
What it takes to measure a service: the contract of the rooms ``lab.experiments.of_…``.

The same client runs in the simulator and in a process of its own, so both measure the same. What
it saw is a dict that JSON has, because it may have to leave its process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from attrs import Factory, frozen
from twisted.internet.defer import Deferred

from lab.experiments.plan import Cell
from lab.experiments.results import Measure, Series
from lab.statistics import Histogram

#: What a client saw, as values that JSON has.
Part = Mapping[str, Any]


@frozen
class Job:
    """
    What one client has to do.

    Args:
        cell: The values of the cell.
        number: Of the client, from 1.
        endpoints: Of the servers, or of the proxies before them.
        seed: Of the repetition.
        folder: Where it may keep files, if the subject needs one; it is empty.
    """

    cell: Cell
    number: int
    endpoints: tuple[str, ...]
    seed: int
    folder: Path | None = None

    @property
    def endpoint(self) -> str:
        """Its server, where a client has one: they take turns."""
        return self.endpoints[(self.number - 1) % len(self.endpoints)]

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {
            "cell": dict(self.cell.values),
            "number": self.number,
            "endpoints": list(self.endpoints),
            "seed": self.seed,
            "folder": None if self.folder is None else str(self.folder),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Job":
        """Read what `as_json` gave."""
        folder = values["folder"]
        return cls(
            Cell(values["cell"]),
            values["number"],
            tuple(values["endpoints"]),
            values["seed"],
            None if folder is None else Path(folder),
        )


@frozen
class Found:
    """
    What a repetition has shown.

    Args:
        measures: By name.
        series: By name.
    """

    measures: Mapping[str, Measure]
    series: Mapping[str, Series] = Factory(dict)


class Subject(Interface):
    """A service that can be measured."""

    #: At which its server listens in the simulator.
    port: int
    #: Whether its clients need a folder.
    keeps: bool

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """
        The arguments of ``twistd lab-server``: it listens once, at 127.0.0.1, on any port.

        Args:
            cell: What is measured.
            folder: For files that it serves; it need not be there.
        """

    def listen(self, reactor: Any, cell: Cell, seed: int) -> None:
        """
        Have a server listen in the simulator, at `port`.

        Args:
            reactor: Of its host.
            cell: What is measured.
            seed: Of all that the server draws.
        """

    def ask(self, reactor: Any, job: Job) -> Deferred[Part]:
        """Do the job of a client; fires with what it saw."""

    def sum(self, cell: Cell, parts: Sequence[Part]) -> Found:
        """What all clients saw, together."""


def together(parts: Sequence[Part], name: str) -> Histogram:
    """The histograms of that name of all parts, as one."""
    whole = Histogram()
    for part in parts:
        whole.merge(Histogram.from_json(part[name]))
    return whole


def share(some: float, of: float) -> float:
    """A part of a whole, 0 to 1; 0 of nothing."""
    return some / of if of else 0.0


def timed(unit: str, histogram: Histogram) -> Measure:
    """A measure of times, of which less is better."""
    return Measure(unit, histogram=histogram, better="less")


def one(value: float, unit: str = "1", better: str = "") -> Measure:
    """A measure with one value for the repetition."""
    return Measure(unit, (value,), better=better)


def shown_size(size: int) -> str:
    """
    A number of bytes, short enough for the name of a file.

    >>> shown_size(131072), shown_size(1000), shown_size(0)
    ('128K', '1000', '0')
    """
    for unit in ("", "K", "M"):
        if not size or size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}G"
