"""A heat map: the mean of a measure over two parameters, with its number in each field."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.experiments.cells import Cell, Run
from lab.experiments.distribution import Distribution, Numbers
from lab.experiments.plots.looks import (
    Looks,
    all_cells,
    chosen_panels,
    counted,
    tick_words,
    values,
    with_run,
)
from lab.experiments.plots.paper import PANELS, Scale, evenly, headline, omitted, panels
from lab.experiments.plots.texts import stand_below, wrapped
from lab.experiments.results import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Fields have their number where there are at most so many in a row.
NUMBERED = 12
# On the part of the colours below this, black can't be read.
_DARK = 0.6


def draw(figure: "Figure", runs: Sequence[Run], measure: str, x: str = "") -> None:
    """
    Draw it; as `lab.experiments.plots.lines.draw`. Each run has a panel of its own.

    Args:
        figure: Where.
        runs: One or more.
        measure: The name of what was measured.
        x: The parameter along the axis; empty for the one that suits.
    """
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415 - it takes half a second
    from matplotlib.colors import Normalize  # noqa: PLC0415 - the same

    cells = all_cells(runs)
    looks = Looks.of(cells, x)
    titles, _ = chosen_panels(cells, looks.rest)
    wanted = [(run, title) for title in titles for run in runs]
    drawn = evenly(wanted, PANELS)
    means = [mean for cell in cells if (mean := _mean(cell, measure)) is not None]
    scale = Scale.of(runs[0].unit(measure), max(means))
    colours = Normalize(min(means) * scale.factor, max(means) * scale.factor)
    axes = panels(figure, [with_run(title, run, runs) for run, title in drawn])
    for one, (run, title) in zip(axes, drawn, strict=True):
        here = [cell for cell in run.cells if cell.label(looks.rest) == title]
        _map(one, looks, (cells, here), measure, (scale, colours))
    figure.colorbar(ScalarMappable(colours, "viridis"), ax=axes, label=scale.label(measure))
    all_panels = len(runs) * len({cell.label(looks.rest) for cell in cells})
    headline(
        figure,
        f"mean {measure} over {looks.x}" + (f" and {looks.by}" if looks.by else ""),
        counted(cells, measure),
        omitted("panels", len(drawn), all_panels),
    )


def _map(
    axes: "Axes",
    looks: Looks,
    cells: tuple[Sequence[Cell], Sequence[Cell]],
    measure: str,
    colouring: tuple[Scale, Any],
) -> None:
    """Draw a panel: of all cells those that are here."""
    (everything, here), (scale, colours) = cells, colouring
    across, down = values(everything, looks.x), values(everything, looks.by)
    field: Numbers = np.full((len(down), len(across)), np.nan)
    for cell in here:
        mean = _mean(cell, measure)
        if mean is not None:
            row = down.index(cell.values.get(looks.by, ""))
            field[row, across.index(cell.values.get(looks.x, ""))] = mean * scale.factor
    axes.grid(visible=False)
    axes.set_facecolor("#dddddd")
    axes.imshow(field, norm=colours, cmap="viridis", origin="lower", aspect="auto")
    _ticks(axes, looks, across, down)
    if max(field.shape) <= NUMBERED:
        for (row, column), value in np.ndenumerate(field):
            known = not np.isnan(value)
            dark = known and colours(value) < _DARK
            text = axes.text(column, row, f"{value:.3g}" if known else "none", fontsize="small")
            text.set(ha="center", va="center", color="white" if dark else "black")


def _ticks(axes: "Axes", looks: Looks, across: Sequence[Value], down: Sequence[Value]) -> None:
    """Name the values of both parameters."""
    for name, known, axis in ((looks.x, across, axes.xaxis), (looks.by, down, axes.yaxis)):
        places = evenly(range(len(known)), NUMBERED)
        label, words = tick_words(name, known)
        shown = [words[at] if name else "" for at in places]
        if axis is axes.xaxis:
            stand_below(axes, places, shown)
        else:
            axis.set_ticks(places, [wrapped(text, 30) for text in shown], fontsize="small")
        axis.set_label_text(label)


def _mean(cell: Cell, measure: str) -> float | None:
    """The mean of all values; None without any."""
    found = cell.measured(measure)
    return Distribution.of(found).mean if found else None
