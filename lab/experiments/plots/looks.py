"""
How cells are laid out in a picture: along the axis, as lines, and as panels.

Cells that differ in anything are never taken together: what is left over makes panels.
"""

from collections.abc import Iterable, Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING

from attrs import frozen

from lab.errors import LocalError
from lab.experiments.cells import UNITS, Cell, Run, order, show, varied
from lab.experiments.plots.paper import LINES, PANELS, evenly, omitted
from lab.experiments.plots.texts import stand_below
from lab.experiments.results import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What stands along the axis if it varies, the second of them if no number does; and what makes
#: lines.
_FIRST, _WORDS, _LINE = "clients", "fault", "size"


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
        along = x or (_WORDS if _WORDS in names and not numeric(cells, along) else along)
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

    >>> counted([Cell({}, ())], "duration")
    'n = 0 repetitions a cell'
    """
    sizes = {len(cell.measured(measure)) for cell in cells} or {0}
    least, most = min(sizes), max(sizes)
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"n = {number} repetition{'s' * (most != 1)} a cell"


def _common(texts: Sequence[str]) -> str:
    """
    What several texts begin with, up to an equals sign: it need not stand at each of them.

    >>> _common(["loss:probability=0.1", "loss:probability=0.2"]), _common(["a=1"])
    ('loss:probability=', '')
    """
    # Of texts, not of paths.
    shared = commonprefix(list(texts)) if len(texts) > 1 else ""  # noqa: RUF071
    return shared[: shared.rfind("=") + 1]


def tick_words(name: str, found: Sequence[Value]) -> tuple[str, list[str]]:
    """
    What stands at an axis, and at each value: what all have in common stands at the axis.

    >>> tick_words("fault", ["", "loss:probability=0.1", "loss:probability=0.2"])
    ('fault loss:probability', ['none', '0.1', '0.2'])
    """
    common = _common([value for value in found if isinstance(value, str) and value])
    label = f"{name} ({UNITS[name]})" if name in UNITS else f"{name} {common}".rstrip(" =")
    return label, [show(name, value).removeprefix(common) for value in found]


def place(cells: Iterable[Cell], name: str, axes: "Axes") -> dict[Value, float]:
    """
    Where the values of a parameter stand along the axis, which gets its label and ticks.

    Numbers stand where they are, on a logarithmic axis if they grow by factors; words side by
    side.
    """
    cells = list(cells)
    found = values(cells, name)
    label, all_words = tick_words(name, found)
    axes.set_xlabel(label)
    places: dict[Value, float]
    if numeric(cells, name):
        places = {value: float(value) for value in found}
        if min(places.values()) > 0 and max(places.values()) >= 8 * min(places.values()):
            axes.set_xscale("log", base=2)
    else:
        places = {value: float(number) for number, value in enumerate(found)}
    shown = evenly(list(zip(found, all_words, strict=True)), 12)
    stand_below(axes, [places[value] for value, _ in shown], [words for _, words in shown])
    axes.minorticks_off()
    return places
