"""Numbers over time, a panel for each direction: TCP's sequence numbers, or packets counted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lab.experiments.plots.paper import (
    COLOURS,
    PANELS,
    evenly,
    headline,
    legend,
    omitted,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many marks of each kind a panel has.
MARKS = 5000
#: Each kind has a colour and a shape of its own; those that are rare lie above.
_LOOKS: dict[str, dict[str, Any]] = {
    "sent": {"marker": ".", "ms": 4, "color": COLOURS[0]},
    "acknowledged": {"marker": "_", "ms": 5, "color": COLOURS[2]},
    "delayed": {"marker": "^", "ms": 5, "color": COLOURS[4], "mfc": "none"},
    "again": {"marker": "s", "ms": 6, "color": COLOURS[3], "mfc": "none"},
    "duplicate": {"marker": "o", "ms": 8, "color": COLOURS[2], "mfc": "none"},
    "changed": {"marker": "D", "ms": 6, "color": COLOURS[5], "mfc": "none"},
    "lost": {"marker": "x", "ms": 8, "mew": 1.5, "color": COLOURS[1]},
}


@frozen
class Mark:
    """
    Something at a time.

    Args:
        at: When, in seconds.
        number: Up to which number.
        kind: One of those that have a shape.
    """

    at: float
    number: float
    kind: str = "sent"


@frozen
class Trace:
    """
    One direction.

    Args:
        name: From where to where.
        unit: What its numbers are.
        marks: In any order.
    """

    name: str
    unit: str
    marks: Sequence[Mark]


def draw(figure: "Figure", title: str, traces: Sequence[Trace], notes: Sequence[str]) -> None:
    """
    Draw it: those directions in which most happened.

    Args:
        figure: Where.
        title: What stands above.
        traces: Directions.
        notes: What there is to know besides.
    """
    most = sorted(traces, key=lambda trace: -len(trace.marks))[:PANELS]
    chosen = [trace for trace in traces if trace in most]
    titles = [f"{trace.name} (n = {len(trace.marks):,})" for trace in chosen]
    for axes, trace in zip(panels(figure, titles, wide=True), chosen, strict=True):
        _marks(axes, trace)
        axes.set_ylabel(trace.unit)
    figure.axes[-1].set_xlabel("time (s)")
    legend(figure)
    headline(figure, title, *notes, omitted("directions", len(chosen), len(traces)))


def _marks(axes: "Axes", trace: Trace) -> None:
    """Draw the marks of a direction."""
    for kind, looks in _LOOKS.items():
        found = [mark for mark in trace.marks if mark.kind == kind]
        drawn = evenly(found, MARKS)
        if drawn:
            at, numbers = [mark.at for mark in drawn], [mark.number for mark in drawn]
            axes.plot(at, numbers, ls="none", label=kind, **looks)
            if said := omitted(kind, len(drawn), len(found)):
                axes.set_title(f"{axes.get_title()}; {said}", fontsize="medium")
