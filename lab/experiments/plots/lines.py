"""A measure over a parameter: a line for each value of another, with 95 % intervals as bands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lab.experiments.bootstrap import Interval, of_mean
from lab.experiments.cells import Cell, Run
from lab.experiments.distribution import Distribution
from lab.experiments.plots.looks import (
    Looks,
    all_cells,
    chosen_lines,
    chosen_panels,
    counted,
    place,
    with_run,
)
from lab.experiments.plots.paper import (
    COLOURS,
    MARKERS,
    STYLES,
    Scale,
    from_zero,
    headline,
    legend,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@frozen
class _Point:
    """The mean of a cell, and its interval."""

    mean: float
    interval: Interval

    @classmethod
    def of(cls, cell: Cell, measure: str) -> "_Point | None":
        """None if nothing was measured there."""
        found = cell.measured(measure)
        if not found:
            return None
        parts = Distribution.each(found)
        mean = Distribution.joined(parts).mean
        return cls(mean, of_mean(parts) or Interval(mean, mean))


def draw(figure: "Figure", runs: Sequence[Run], measure: str, x: str = "") -> None:
    """
    Draw it.

    Args:
        figure: Where.
        runs: One, or several that are laid over each other.
        measure: The name of what was measured.
        x: The parameter along the axis; empty for the one that suits.
    """
    cells = all_cells(runs)
    looks = Looks.of(cells, x)
    titles, left_out = chosen_panels(cells, looks.rest)
    lines, lines_left = chosen_lines(cells, [looks.by] if looks.by else [])
    points = [_Point.of(cell, measure) for cell in cells]
    most = max((point.interval.high for point in points if point), default=0.0)
    scale = Scale.of(runs[0].unit(measure), most)
    for axes, title in zip(panels(figure, titles), titles, strict=True):
        places = place(cells, looks.x, axes)
        for number, run in enumerate(runs):
            here = [cell for cell in run.cells if cell.label(looks.rest) == title]
            for colour, line in enumerate(lines):
                its = [cell for cell in here if cell.label(filter(None, [looks.by])) == line]
                at = [(places[cell.values.get(looks.x, "")], cell) for cell in its]
                styles = {
                    "color": COLOURS[colour],
                    "marker": MARKERS[colour],
                    "ls": STYLES[number % len(STYLES)],
                }
                _line(axes, at, measure, scale, with_run(line, run, runs), styles)
    from_zero(figure.axes)
    figure.axes[0].set_ylabel(scale.label(measure))
    legend(figure)
    headline(
        figure,
        f"{measure} over {looks.x}",
        counted(cells, measure),
        "line: mean, band: 95 % confidence (bootstrap)",
        left_out,
        lines_left,
    )


def _line(
    axes: "Axes",
    cells: Sequence[tuple[float, Cell]],
    measure: str,
    scale: Scale,
    label: str,
    styles: dict[str, Any],
) -> None:
    """Draw a line of cells."""
    found = [(at, point) for at, cell in cells if (point := _Point.of(cell, measure))]
    found.sort(key=lambda one: one[0])
    if not found:
        return
    at = [one for one, _ in found]
    means, lows, highs = (
        [value * scale.factor for value in several]
        for several in zip(
            *((point.mean, point.interval.low, point.interval.high) for _, point in found),
            strict=True,
        )
    )
    axes.plot(at, means, label=label or measure, ms=5, lw=1.5, **styles)
    if len(found) > 1:
        axes.fill_between(at, lows, highs, color=styles["color"], alpha=0.2, lw=0)
    else:
        errors = [[means[0] - lows[0]], [highs[0] - means[0]]]
        axes.errorbar(at, means, yerr=errors, color=styles["color"], capsize=4, fmt="none")
