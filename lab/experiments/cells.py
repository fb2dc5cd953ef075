"""
The results of an experiment, by cell: which parameters vary, and what counts of each cell.

What is warm-up does not count; what has failed is counted, and has no part in any figure.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import Factory, evolve, frozen

from lab.errors import LocalError
from lab.experiments.results import PLACE, Measure, Result, Value, read

#: Parameters that have a unit.
UNITS = {"size": "B"}
_SIZES = ((2**30, "G"), (2**20, "M"), (2**10, "K"))


@frozen
class Cell:
    """
    One combination of parameters, and what was measured there.

    Args:
        values: The value of each parameter.
        results: Those that count, by repetition.
        failed: How many repetitions have failed.
        errors: Why, each reason once.
    """

    values: Mapping[str, Value]
    results: tuple[Result, ...]
    failed: int = 0
    errors: tuple[str, ...] = ()

    def measured(self, name: str) -> list[Measure]:
        """A measure, of each repetition that has values of it."""
        found = (result.measures.get(name) for result in self.results)
        return [measure for measure in found if measure is not None and measure.count]

    def label(self, names: Iterable[str]) -> str:
        """
        Some of its parameters, for people.

        >>> Cell({"clients": 4, "size": 2**20}, ()).label(["size", "clients"])
        'size 1M, clients 4'
        """
        return ", ".join(f"{name} {show(name, self.values.get(name, ''))}" for name in names)


@frozen
class Run:
    """
    The results of one run of an experiment.

    Args:
        name: What it is called, where there are several.
        cells: In the order of their parameters.
        experiment: The name of the plan.
        simulated: Whether it ran in the simulator.
        versions: Of what it ran on, by name.
    """

    name: str
    cells: tuple[Cell, ...]
    experiment: str = ""
    simulated: bool = False
    versions: Mapping[str, str] = Factory(dict)

    @property
    def parameters(self) -> list[str]:
        """The names of all parameters."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.values))

    @property
    def measures(self) -> list[str]:
        """The names of all measures that have a value."""
        return list(
            dict.fromkeys(
                name
                for cell in self.cells
                for result in cell.results
                for name, measure in result.measures.items()
                if measure.count
            )
        )

    @property
    def series(self) -> list[str]:
        """The names of all that was measured over time."""
        return list(
            dict.fromkeys(
                name
                for cell in self.cells
                for result in cell.results
                for name, series in result.series.items()
                if series.times
            )
        )

    def unit(self, measure: str) -> str:
        """The unit of a measure."""
        return self._any(measure).unit

    def better(self, measure: str) -> str:
        """Whether less of it is better, or more; empty where neither is."""
        return self._any(measure).better

    def where(self, wanted: Mapping[str, str]) -> "Run":
        """
        Only the cells in which parameters have these values, as people write them.

        Raises:
            LocalError: There is no such parameter, or no such cell.
        """
        for name in wanted:
            if name not in self.parameters:
                known = ", ".join(self.parameters)
                raise LocalError(f"parameter is {name!r}; there are {known}")
        cells = tuple(
            cell
            for cell in self.cells
            if all(
                text in {str(cell.values.get(name)), show(name, cell.values.get(name, ""))}
                for name, text in wanted.items()
            )
        )
        if not cells:
            said = ", ".join(f"{name}={text}" for name, text in wanted.items())
            raise LocalError(f"where is {said!r}; {self.name} has no such cell")
        return evolve(self, cells=cells)

    def only(self, parameter: str, text: str) -> "Run":
        """
        The cells in which a parameter has this value, without it: with such cells of another
        value they have all else in common. The run is called as the value is.

        Raises:
            LocalError: There is no such parameter, or no such cell.
        """
        found = self.where({parameter: text})
        cells = tuple(
            evolve(cell, values={n: v for n, v in cell.values.items() if n != parameter})
            for cell in found.cells
        )
        return evolve(found, name=text, cells=cells)

    def _any(self, measure: str) -> Measure:
        """One of the measures of that name."""
        found = [m for cell in self.cells for m in cell.measured(measure)[:1]]
        if not found:
            known = ", ".join(self.measures) or "none"
            raise LocalError(f"measure is {measure!r}; {self.name} has {known}")
        return found[0]


def load(path: Path | str) -> Run:
    """
    The results of a run.

    Args:
        path: Its directory, or the file of its results.

    Raises:
        LocalError: It can't be read, or there is nothing in it.
    """
    path = Path(path)
    run = gather(read(path / PLACE if path.is_dir() else path), path.stem or path.resolve().name)
    if not run.cells:
        raise LocalError(f"results is {str(path)!r}; there are none in it yet")
    return run


def gather(results: Iterable[Result], name: str = "") -> Run:
    """
    Put results in their cells; of two with one cell and repetition the later counts.

    Args:
        results: In any order.
        name: Of the run.
    """
    found: dict[str, dict[int, Result]] = {}
    for result in results:
        if not result.warm_up:
            found.setdefault(result.key, {})[result.repetition] = result
    cells = [_cell([of[number] for number in sorted(of)]) for of in found.values()]
    names = list(dict.fromkeys(name for cell in cells for name in cell.values))
    cells.sort(key=lambda cell: [order(cell.values.get(name, "")) for name in names])
    if not cells:
        return Run(name, ())
    first = next(result for of in found.values() for result in of.values())
    return Run(name, tuple(cells), first.experiment, first.simulated, first.versions)


def varied(cells: Iterable[Cell]) -> list[str]:
    """The parameters that have more than one value."""
    cells = list(cells)
    names = dict.fromkeys(name for cell in cells for name in cell.values)
    return [name for name in names if len({cell.values.get(name) for cell in cells}) > 1]


def order(value: Value) -> tuple[bool, list[tuple[bool, float, str]]]:
    """
    What values of a parameter are sorted by: numbers first, then texts, by the numbers in them.

    >>> sorted(["rate=10", "rate=9", ""], key=order)
    ['', 'rate=9', 'rate=10']
    """
    if not isinstance(value, str):
        return False, [(True, float(value), "")]
    parts = re.split(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)", value)
    return True, [
        (True, float(part), "") if place % 2 else (False, 0.0, part)
        for place, part in enumerate(parts)
    ]


def show(name: str, value: Value) -> str:
    """
    A value of a parameter, as people write it.

    >>> show("size", 131072), show("fault", ""), show("rate", 0.5)
    ('128K', 'none', '0.5')
    """
    if isinstance(value, str):
        return value or "none"
    if name in UNITS:
        for size, unit in _SIZES:
            if value and not value % size:
                return f"{value // size:g}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(results: list[Result]) -> Cell:
    """The cell of these results."""
    errors = [result.error for result in results if result.error]
    counted = tuple(result for result in results if not result.error)
    return Cell(results[0].cell, counted, len(errors), tuple(dict.fromkeys(errors)))
