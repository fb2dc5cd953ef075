"""Texts in pictures that would be too long for their place: faults are written without blanks."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# So many small letters take an inch, and so many a line that stands upright; what stands above
# such lines has so many inches at least.
_LETTERS, _UPRIGHT, _ABOVE = 11, 44, 4.0


def wrapped(text: str, width: int) -> str:
    """
    A text in lines of so many characters, that end behind blanks, commas and semicolons.

    >>> wrapped("fault latency:latency=20,jitter=2;noop", 20).splitlines()
    ['fault', 'latency:latency=20,', 'jitter=2;noop']
    """
    lines = [""]
    for word in re.split(r"(?<=[,; ])", text):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(map(str.rstrip, lines))


def stand_below(axes: "Axes", places: Sequence[float], texts: Sequence[str]) -> None:
    """
    Write texts below an axis: in lines if they have no room beside each other, or else upright.

    Args:
        axes: In a figure that has its size.
        places: Where.
        texts: One for each.
    """
    figure: Any = axes.figure
    spec = axes.get_subplotspec()
    columns = spec.get_gridspec().ncols if spec is not None else 1
    room = int(figure.get_figwidth() / columns * _LETTERS / max(1, len(texts)))
    found = [wrapped(text, room) for text in texts]
    crowded = any(len(line) > room for text in found for line in text.splitlines())
    if crowded:
        found = [wrapped(text, _UPRIGHT) for text in texts]
        longest = max(len(line) for text in found for line in text.splitlines())
        figure.set_figheight(max(figure.get_figheight(), _ABOVE + longest / _LETTERS))
    axes.set_xticks(places, found)
    axes.tick_params("x", rotation=90 if crowded else 0, labelsize="small")
