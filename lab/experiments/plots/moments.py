"""What was measured over time, in each cell, with the times shaded at which faults were at work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab.experiments.cells import Cell, Run, varied
from lab.experiments.plots.looks import all_cells, chosen_panels, with_run
from lab.experiments.plots.paper import (
    COLOURS,
    STYLES,
    Scale,
    evenly,
    from_zero,
    headline,
    legend,
    panels,
)
from lab.experiments.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many repetitions of a cell are drawn, and so many points of each.
REPETITIONS, POINTS = 20, 1000
_HATCHES = ("///", "\\\\\\", "...", "xxx")
_SHADES = ("#E69F00", "#999999", "#CC79A7", "#56B4E9")


def draw(figure: "Figure", runs: Sequence[Run], measure: str) -> None:
    """
    Draw it: a panel for each cell, a line for each repetition.

    Args:
        figure: Where.
        runs: One, or several that are laid over each other.
        measure: The name of what was measured over time.
    """
    cells = [cell for cell in all_cells(runs) if _with(cell, measure)]
    names = varied(cells)
    titles, left_out = chosen_panels(cells, names)
    found = [result.series[measure] for cell in cells for result in _with(cell, measure)]
    scale = Scale.of(found[0].unit, max(max(one.values) for one in found))
    least = min(min(one.values) for one in found)
    for axes, title in zip(panels(figure, titles, wide=True), titles, strict=True):
        here = [(n, cell) for n, run in enumerate(runs) for cell in run.cells]
        for number, cell in here:
            if cell.label(names) == title:
                _lines(axes, cell, measure, scale, (number, with_run("", runs[number], runs)))
        _shade(axes, [cell for _, cell in here if cell.label(names) == title])
        axes.set_ylabel(scale.label(measure))
        if least >= 0:
            from_zero([axes])
    figure.axes[-1].set_xlabel("time (s)")
    legend(figure)
    sizes = {len(_with(cell, measure)) for cell in cells}
    counts = " to ".join(map(str, sorted({min(sizes), max(sizes)})))
    headline(figure, f"{measure} over time", f"n = {counts} repetitions a cell", left_out)


def _with(cell: Cell, measure: str) -> list[Result]:
    """The repetitions that have such values."""
    return [r for r in cell.results if measure in r.series and r.series[measure].times]


def _lines(axes: "Axes", cell: Cell, measure: str, scale: Scale, which: tuple[int, str]) -> None:
    """Draw a line for each repetition."""
    number, name = which
    drawn = evenly(_with(cell, measure), REPETITIONS)
    for result in drawn:
        series = result.series[measure]
        points = evenly(list(zip(series.times, series.values, strict=True)), POINTS)
        axes.plot(
            [time for time, _ in points],
            [value * scale.factor for _, value in points],
            color=COLOURS[number % len(COLOURS)],
            ls=STYLES[number % len(STYLES)],
            lw=1.2,
            alpha=1.0 if len(drawn) == 1 else 0.5,
            label=name or "a repetition",
        )


def _shade(axes: "Axes", cells: Sequence[Cell]) -> None:
    """Shade the times at which faults were at work, in any repetition."""
    windows = sorted(
        {(w.fault, w.begin, w.end) for cell in cells for r in cell.results for w in r.windows}
    )
    faults = list(dict.fromkeys(fault for fault, _, _ in windows))
    for fault, begin, end in evenly(windows, 200):
        place = faults.index(fault)
        axes.axvspan(
            begin,
            end,
            facecolor=_SHADES[place % len(_SHADES)],
            hatch=_HATCHES[place % len(_HATCHES)],
            edgecolor="white",
            alpha=0.3,
            zorder=0,
            label=f"fault: {fault}",
        )
