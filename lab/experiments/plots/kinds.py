"""The kinds of pictures there are of an experiment, and which of them suit what it varies."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from attrs import frozen

from lab.errors import LocalError
from lab.experiments.cells import Run, varied
from lab.experiments.plots.looks import all_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Each kind, the room and the function that draw it.
KINDS = {
    "lines": ("lines", "draw"),
    "boxes": ("boxes", "draw"),
    "heat": ("heat", "draw"),
    "cdf": ("shares", "draw_cdf"),
    "latency": ("shares", "draw_percentiles"),
    "times": ("moments", "draw"),
}
#: Those that have a parameter along the axis.
_ALONG = {"lines", "heat"}
#: What stands behind the name of a measure that is drawn beside another.
_NAIVE = "_naive"
#: A distribution is drawn of so many values of a cell.
_MANY = 20


@frozen
class Picture:
    """
    A picture that may be drawn.

    Args:
        kind: One of `KINDS`.
        measure: The name of what was measured.
    """

    kind: str
    measure: str

    @property
    def name(self) -> str:
        """What its file is called, without ending."""
        return f"{self.kind}-{self.measure}".replace("/", "_")

    def drawing(self, runs: Sequence[Run], x: str = "") -> Callable[["Figure"], None]:
        """
        What draws it.

        Args:
            runs: Of which runs.
            x: The parameter along the axis, where there is one; empty for the one that suits.
        """
        room, function = KINDS[self.kind]
        draw = getattr(import_module(f"lab.experiments.plots.{room}"), function)
        more = (x,) if self.kind in _ALONG else ()
        return lambda figure: draw(figure, runs, self.measure, *more)


def suiting(runs: Sequence[Run], measure: str = "", kind: str = "") -> list[Picture]:
    """
    The pictures that suit some runs.

    Args:
        runs: One, or several to be laid over each other.
        measure: Of this only; empty for all.
        kind: Of this only; empty for all.

    Raises:
        LocalError: There are none of them.
    """
    if kind and kind not in KINDS:
        raise LocalError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
    known = list(dict.fromkeys(name for run in runs for name in (*run.measures, *run.series)))
    if measure and measure not in known:
        raise LocalError(f"measure is {measure!r}; there are {', '.join(known) or 'none'}")
    found = [
        picture
        for picture in _all(runs)
        if measure in {"", picture.measure} and kind in {"", picture.kind}
    ]
    if not found:
        what = " of ".join(filter(None, [kind, measure])) or "anything"
        raise LocalError(f"nothing was measured that a picture of {what} could be drawn of")
    return found


def _all(runs: Sequence[Run]) -> Iterator[Picture]:
    """The pictures that suit, of all measures."""
    cells = all_cells(runs)
    names = varied(cells)
    # What is laid over each other is measured in each run.
    shared = [name for name in runs[0].measures if all(name in run.measures for run in runs)]
    shown = [name for name in shared if not (name.endswith(_NAIVE) and name[:-6] in shared)]
    if names:
        yield from (Picture("lines", name) for name in shown)
    yield from (Picture("boxes", name) for name in shown)
    if len(names) > 1:
        yield from (Picture("heat", name) for name in shown)
    for name in shown:
        most = max(sum(one.count for one in cell.measured(name)) for cell in cells)
        if most >= _MANY:
            yield Picture("cdf", name)
            if runs[0].unit(name) == "s":
                yield Picture("latency", name)
    for name in runs[0].series:
        if all(name in run.series for run in runs):
            yield Picture("times", name)
