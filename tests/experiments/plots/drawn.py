"""A figure on which something was drawn, for tests to look at what."""

from collections.abc import Callable
from typing import Any

from lab.experiments.plots.paper import style


def drawn(draw: Callable[[Any], object]) -> Any:
    """The figure, as it is before it is laid out and becomes a file."""
    with style():
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        draw(figure)
    return figure


def words(figure: Any) -> str:
    """What stands above and below all."""
    return f"{figure.get_suptitle()}|{figure.get_supxlabel()}".replace("\n", " ")


def labels(figure: Any) -> list[str]:
    """What the legend says."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def ticks(axis: Any) -> list[str]:
    """What stands at an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]
