"""
How cells are laid out in a picture: along the axis, as lines, and as panels.

Cells that differ in anything are never taken together: what is left over makes panels.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from lab.errors import LocalError
from lab.experiments.cells import UNITS, Cell, Run, order, show, varied
from lab.experiments.plots.paper import LINES, PANELS, evenly, omitted
from lab.experiments.results import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What stands along the axis if it varies; and what makes lines.
_FIRST, _LINE = "clients", "size"


@frozen
class Looks:
    """
    What stands where.

    Args:
        x: The parameter along the axis.
        by: The one that makes lines; empty for none.
        rest: Those that make panels.
    """

    x: str
    by: str
    rest: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[Cell], x: str = "") -> "Looks":
        """
        Lay out cells.

        Args:
            cells: Of all runs.
            x: The parameter along the axis; empty for the one that suits.

        Raises:
            LocalError: There is no such parameter.
        """
        known = list(dict.fromkeys(name for cell in cells for name in cell.values))
        if x and x not in known:
            raise LocalError(f"x is {x!r}; give one of {', '.join(known)}")
        names = varied(cells)
        along = x or _pick(names, _FIRST, [name for name in names if numeric(cells, name)])
        along = along or _pick(known, _FIRST, known)
        rest = [name for name in names if name != along]
        by = _pick(rest, _LINE, rest)
        return cls(along, by, tuple(name for name in rest if name != by))


def _pick(names: Sequence[str], liked: str, others: Sequence[str]) -> str:
    """The name that is liked if it is there, or else the first of others."""
    return liked if liked in names else next(iter([*others, *names]), "")


def numeric(cells: Iterable[Cell], name: str) -> bool:
    """Whether a parameter is a number wherever it is."""
    return not any(isinstance(cell.values.get(name, ""), str) for cell in cells)


def split(cells: Iterable[Cell], names: Sequence[str]) -> dict[str, list[Cell]]:
    """Cells that have the same values of some parameters, by these values in words."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.label(names), []).append(cell)
    return found


def values(cells: Iterable[Cell], name: str) -> list[Value]:
    """The values of a parameter, in their order."""
    return sorted({cell.values.get(name, "") for cell in cells}, key=order)


def chosen(titles: Sequence[str], most: int, name: str) -> tuple[list[str], str]:
    """At most so many of some, and what is said of the others."""
    found = evenly(titles, most)
    return found, omitted(name, len(found), len(titles))


def chosen_panels(cells: Iterable[Cell], names: Sequence[str]) -> tuple[list[str], str]:
    """The panels that are drawn, and what is said of the others."""
    return chosen(list(split(cells, names)), PANELS, "panels")


def chosen_lines(cells: Iterable[Cell], names: Sequence[str]) -> tuple[list[str], str]:
    """The lines that are drawn, and what is said of the others."""
    return chosen(list(split(cells, names)), LINES, "lines")


def all_cells(runs: Iterable[Run]) -> list[Cell]:
    """The cells of several runs."""
    return [cell for run in runs for cell in run.cells]


def with_run(label: str, run: Run, runs: Sequence[Run]) -> str:
    """A label that says which run it is of, where there are several."""
    return ", ".join(filter(None, [label, run.name])) if len(runs) > 1 else label


def counted(cells: Iterable[Cell], measure: str) -> str:
    """
    How many repetitions there are of each cell.

    >>> counted([Cell({}, ())], "seconds")
    'n = 0 repetitions a cell'
    """
    sizes = {len(cell.measured(measure)) for cell in cells} or {0}
    least, most = min(sizes), max(sizes)
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"n = {number} repetition{'s' * (most != 1)} a cell"


def place(cells: Iterable[Cell], name: str, axes: "Axes") -> dict[Value, float]:
    """
    Where the values of a parameter stand along the axis, which gets its label and ticks.

    Numbers stand where they are, on a logarithmic axis if they grow by factors; words side by
    side.
    """
    cells = list(cells)
    found = values(cells, name)
    axes.set_xlabel(f"{name} ({UNITS[name]})" if name in UNITS else name)
    places: dict[Value, float]
    if numeric(cells, name):
        places = {value: float(value) for value in found}
        if min(places.values()) > 0 and max(places.values()) >= 8 * min(places.values()):
            axes.set_xscale("log", base=2)
    else:
        places = {value: float(number) for number, value in enumerate(found)}
    shown = evenly(found, 12)
    axes.set_xticks([places[value] for value in shown], [show(name, value) for value in shown])
    axes.minorticks_off()
    return places
