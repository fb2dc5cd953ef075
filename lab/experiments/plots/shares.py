"""
Which share of the values is how large: as a CDF, and with an axis on which each nine of 99.9 % is
as wide as the one before, as HdrHistogram's plots have it, so that the tail is seen.

Beside latency from the planned times, the naive one is drawn that counts from when a request was
really sent, if there is a measure of that name with ``_naive`` behind it.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.experiments.cells import Run, varied
from lab.experiments.distribution import Distribution, Numbers
from lab.experiments.plots.looks import all_cells, chosen_lines, counted, with_run
from lab.experiments.plots.paper import COLOURS, MARKERS, STYLES, Scale, headline, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What stands behind the name of a latency that counts from when a request was sent.
NAIVE = "_naive"
# A line has so many points at most.
_POINTS = 2000
_NINES = (0, 90, 99, 99.9, 99.99, 99.999, 99.9999)
# Values that differ by more than this have a logarithmic axis.
_FAR = 100

_Draw = Callable[["Axes", Distribution, Scale, dict[str, object]], None]


def draw_cdf(figure: "Figure", runs: Sequence[Run], measure: str) -> None:
    """
    Draw the share of values over their size.

    Args:
        figure: Where.
        runs: One, or several that are laid over each other.
        measure: The name of what was measured.
    """
    axes, scale, notes = _draw(figure, runs, [measure], _steps)
    axes.set_xlabel(scale.label(measure))
    axes.set_ylabel("share of values that are no larger")
    axes.set_ylim(0, 1.01)
    headline(figure, f"Distribution of {measure}", *notes)


def draw_percentiles(figure: "Figure", runs: Sequence[Run], measure: str) -> None:
    """Draw the size of values over the share that does not exceed it, nine by nine."""
    known = {name for run in runs for name in run.measures}
    both = [name for name in (measure, f"{measure}{NAIVE}") if name in known]
    axes, scale, notes = _draw(figure, runs, both, _nines)
    axes.set_ylabel(scale.label(measure))
    axes.set_xlabel("percentile")
    last = max((float(np.max(line.get_xdata())) for line in axes.lines), default=1.0)
    shown = [nine for nine in _NINES if -np.log10(1 - nine / 100) <= last + 0.3]
    places = [float(-np.log10(1 - nine / 100)) for nine in shown]
    axes.set_xticks(places, [f"{nine:g} %" for nine in shown])
    axes.set_ylim(bottom=0)
    naive = "dashed: naive, from when a request was sent" if len(both) > 1 else ""
    headline(figure, f"{measure} by percentile", *notes, naive)


def _draw(
    figure: "Figure", runs: Sequence[Run], measures: Sequence[str], line: _Draw
) -> tuple["Axes", Scale, list[str]]:
    """Draw a line for each cell, run and measure."""
    cells = [cell for cell in all_cells(runs) if cell.measured(measures[0])]
    names = varied(cells)
    labels, left_out = chosen_lines(cells, names)
    most = max(Distribution.of(cell.measured(measures[0])).most for cell in cells)
    scale = Scale.of(runs[0].unit(measures[0]), most)
    (axes,) = panels(figure, [""])
    for number, run in enumerate(runs):
        here = {cell.label(names): cell for cell in run.cells}
        for colour, label in enumerate(labels):
            for which, measure in enumerate(measures):
                found = here[label].measured(measure) if label in here else []
                if found:
                    values = Distribution.of(found)
                    words = with_run(label or measures[0], run, runs)
                    naive = " naive" if which else ""
                    looks = {
                        "color": COLOURS[colour],
                        "ls": STYLES[(which + number * len(measures)) % len(STYLES)],
                        "lw": 1.0 if which else 1.8,
                        "marker": MARKERS[colour],
                        "ms": 4,
                        # Lines that lie on each other have their marks in other places.
                        "markevery": (0.1 + 0.02 * colour, 0.2),
                        "label": f"{words}{naive} (n = {values.count:,})",
                    }
                    line(axes, values, scale, looks)
    legend(figure)
    return axes, scale, [counted(cells, measures[0]), left_out]


def _steps(axes: "Axes", values: Distribution, scale: Scale, looks: dict[str, object]) -> None:
    """Draw the share up to each value."""
    at, shares = _points(*values.shares())
    at = at * scale.factor
    axes.step([at[0], *at], [0.0, *shares], where="post", **looks)  # type: ignore[arg-type]
    if at[0] > 0 and at[-1] > _FAR * at[0]:
        axes.set_xscale("log")


def _nines(axes: "Axes", values: Distribution, scale: Scale, looks: dict[str, object]) -> None:
    """Draw each value over the nines of its share; the last stands where its rank begins."""
    at, shares = values.shares()
    before = np.concatenate([[0.0], shares[:-1]])
    nines = -np.log10(1 - before)
    # A value holds from where the one before ends; the largest to half of the last rank.
    end = float(-np.log10(0.5 / values.count))
    nines, at = _points(np.append(nines, end), np.append(at, at[-1]))
    axes.step(nines, at * scale.factor, where="post", **looks)  # type: ignore[arg-type]


def _points(across: Numbers, up: Numbers) -> tuple[Numbers, Numbers]:
    """At most so many points of a line, with its end, evenly along the axis."""
    if len(across) <= _POINTS:
        return across, up
    edges = np.linspace(across[0], across[-1], _POINTS)
    places = np.unique(np.append(np.searchsorted(across, edges), len(across) - 1))
    return across[places], up[places]
