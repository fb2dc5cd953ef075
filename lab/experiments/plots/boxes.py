"""A box for each cell: quartiles of all values, whiskers from 5 % to 95 %, a dot a repetition."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab.experiments.cells import Cell, Run, varied
from lab.experiments.distribution import MEDIAN, P95, Distribution
from lab.experiments.plots.looks import all_cells, counted
from lab.experiments.plots.paper import COLOURS, Scale, evenly, headline, legend, omitted
from lab.experiments.plots.texts import stand_below
from lab.experiments.results import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many boxes a picture has at most.
BOXES = 30
_HATCHES = ("", "///", "...", "xxx")
_P5, _P25, _P75 = 50, 250, 750
#: What an axis is linear within, if values differ by more than this.
_FAR = 100


def draw(figure: "Figure", runs: Sequence[Run], measure: str) -> None:
    """
    Draw them; as `lab.experiments.plots.lines.draw`.

    Args:
        figure: Where.
        runs: Boxes of several stand beside each other.
        measure: The name of what was measured.
    """
    cells = all_cells(runs)
    names = varied(cells)
    labels = list(dict.fromkeys(cell.label(names) for cell in cells if cell.measured(measure)))
    drawn = evenly(labels, BOXES // len(runs))
    low, high = _range(cells, measure)
    scale = Scale.of(runs[0].unit(measure), high)
    figure.set_size_inches(max(8.0, min(16.0, 3 + 0.5 * len(drawn) * len(runs))), 5.5)
    axes = figure.subplots()
    for number, run in enumerate(runs):
        here = {cell.label(names): cell for cell in run.cells if cell.measured(measure)}
        for at, label in enumerate(drawn):
            if label in here:
                room = (at + 0.8 * ((number + 0.5) / len(runs) - 0.5), 0.6 / len(runs))
                _box(axes, room, here[label].measured(measure), scale, number)
    if len(runs) > 1:
        _name(figure, axes, runs)
    stand_below(axes, range(len(drawn)), drawn)
    axes.set_ylabel(scale.label(measure))
    axes.grid(axis="y", alpha=0.3)
    if low > 0 and high > _FAR * low:
        axes.set_yscale("log")
    headline(
        figure,
        f"{measure} of each cell",
        counted(cells, measure),
        "box: quartiles, line: median, whiskers: 5 % and 95 %, dots: means of repetitions",
        omitted("cells", len(drawn), len(labels)),
    )


def _box(
    axes: "Axes", room: tuple[float, float], found: list[Measure], scale: Scale, number: int
) -> None:
    """Draw a box of these values; its room is where its middle is, and how wide it is."""
    at, width = room
    whole = Distribution.of(found)
    names = {"whislo": _P5, "q1": _P25, "med": MEDIAN, "q3": _P75, "whishi": P95}
    stats = {name: whole.percentile(part) * scale.factor for name, part in names.items()}
    colour = COLOURS[number % len(COLOURS)]
    axes.bxp(
        [stats | {"fliers": []}],
        positions=[at],
        widths=width,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "alpha": 0.35, "hatch": _HATCHES[number % 4]},
        medianprops={"color": "black", "lw": 1.5},
    )
    means = [Distribution.of([one]).mean * scale.factor for one in found]
    axes.plot([at] * len(means), means, ls="none", marker=".", ms=4, color=colour, zorder=3)


def _name(figure: "Figure", axes: "Axes", runs: Sequence[Run]) -> None:
    """Say which run has which boxes."""
    for number, run in enumerate(runs):
        colour, hatch = COLOURS[number % len(COLOURS)], _HATCHES[number % 4]
        axes.bar([0], [0], label=run.name, alpha=0.35, color=colour, hatch=hatch)
    legend(figure)


def _range(cells: Sequence[Cell], measure: str) -> tuple[float, float]:
    """From where to where whiskers go."""
    each = [Distribution.of(found) for cell in cells if (found := cell.measured(measure))]
    lows = [one.percentile(_P5) for one in each]
    highs = [one.percentile(P95) for one in each]
    return min(lows, default=0.0), max(highs, default=0.0)
