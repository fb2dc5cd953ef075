"""
What pictures are drawn on: PNG or SVG, without a display, the same bytes for the same input.

Matplotlib is loaded when a picture is drawn, and not before; what it keeps for a whole program
(its ``pyplot``, the style of the user) is neither used nor changed.
"""

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from lab.errors import LocalError
from lab.experiments.plots.texts import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What the name of a picture may end in, and what is not written into it: a date, a version.
FORMATS: dict[str, dict[str, str | None]] = {".png": {"Software": None}, ".svg": {"Date": None}}
#: Colours of Okabe and Ito, which people tell apart whatever colours they see.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Nothing is told by its colour alone: each has a mark, and each run a style of lines.
MARKERS, STYLES = "os^Dv*P", ("-", "--", ":", "-.")
#: So many panels a picture has at most, and so many lines a panel.
PANELS, LINES = 6, len(COLOURS)

_SCALES = {
    "s": (("s", 1.0), ("ms", 1e3), ("µs", 1e6)),
    "B/s": (("GB/s", 1e-9), ("MB/s", 1e-6), ("kB/s", 1e-3), ("B/s", 1.0)),
    "B": (("GB", 1e-9), ("MB", 1e-6), ("kB", 1e-3), ("B", 1.0)),
}
_Any = TypeVar("_Any")


@frozen
class Scale:
    """
    The unit in which some values are small numbers.

    Args:
        unit: Its name; empty for what has none.
        factor: How many of it are one of the unit in which values are kept.
    """

    unit: str
    factor: float

    @classmethod
    def of(cls, unit: str, most: float) -> "Scale":
        """
        The unit that suits values.

        Args:
            unit: In which they are kept.
            most: The largest of them.

        >>> Scale.of("s", 0.02), Scale.of("1", 3.0)
        (Scale(unit='ms', factor=1000.0), Scale(unit='', factor=1.0))
        """
        known = _SCALES.get(unit)
        if known is None:
            return cls("" if unit == "1" else unit, 1.0)
        fits = (scale for scale in known if most * scale[1] >= 1)
        return cls(*next(fits, known[-1] if most else known[0]))

    def label(self, name: str) -> str:
        """The label of an axis."""
        return f"{name} ({self.unit})" if self.unit else name


def ending(path: Path) -> str:
    """
    What the name of a picture ends in, without the dot.

    Raises:
        LocalError: Neither .png nor .svg.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise LocalError(f"picture is {str(path)!r}; give a name that ends in .png or .svg")
    return kind[1:]


def paint(path: Path, draw: Callable[["Figure"], object]) -> None:
    """
    Draw a picture into a file.

    Args:
        path: Where to; its ending says whether it becomes a PNG or an SVG.
        draw: Draws on the figure that it is given.

    Raises:
        LocalError: Another ending, or it can't be written there.
    """
    paint_all([path], draw)


def paint_all(paths: Sequence[Path], draw: Callable[["Figure"], object]) -> None:
    """
    Draw a picture once, into several files; as `paint`.

    Args:
        paths: Where to; where things stand in it is found for the first.
        draw: As for `paint`.

    Raises:
        LocalError: As `paint`.
    """
    outs = [(path, ending(path)) for path in paths]
    try:
        _paint(outs, draw)
    except OSError as error:
        place = error.filename or paths[0]
        raise LocalError(f"picture is {str(place)!r}; {error.strerror}") from None


def inline(draw: Callable[["Figure"], object], name: str) -> str:
    """
    Draw a picture as SVG to stand in a page of HTML.

    Args:
        draw: As for `paint`.
        name: What ids in it begin with, so that those of two pictures on a page differ.
    """
    out = io.BytesIO()
    _paint([(out, "svg")], draw)
    return embedded(out.getvalue().decode(), name)


def embedded(text: str, name: str) -> str:
    """
    A picture that was drawn as SVG, as it stands in a page of HTML.

    Args:
        text: All of the file.
        name: As for `inline`.
    """
    text = re.sub(r"(?s)<metadata>.*?</metadata>", "", text[text.index("<svg") :])
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)


def panels(figure: "Figure", titles: Sequence[str], *, wide: bool = False) -> list["Axes"]:
    """
    Axes side by side, with these titles, in a figure that becomes large enough.

    Args:
        figure: Where.
        titles: One for each; empty for none.
        wide: Whether each takes a line of its own.
    """
    columns = 1 if wide else min(len(titles), 3)
    rows = -(-len(titles) // columns)
    width = 9.0 if columns == 1 else 4.4 * columns + 1
    figure.set_size_inches(width, (5.0 if rows == 1 else 3.4 * rows + 1))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=not wide, sharex=wide)
    found = list(grid.flat)
    for axes in found[len(titles) :]:
        axes.remove()
    for axes, title in zip(found, titles, strict=False):
        axes.set_title(wrapped(title, 88 if columns == 1 else 50), fontsize="medium")
        axes.grid(alpha=0.3)
    return found[: len(titles)]


def from_zero(several: Iterable["Axes"]) -> None:
    """
    Let the vertical axes of panels begin at 0, and end above all that is drawn in any of them.

    Args:
        several: They have one scale. All is drawn already: what has limits follows nothing more.
    """
    several = list(several)
    top = max((axes.dataLim.y1 for axes in several), default=0.0)
    for axes in several:
        axes.set_ylim(0, top * 1.05 if 0 < top < math.inf else 1.0)


def legend(figure: "Figure") -> None:
    """One legend for all panels, beside them; each label once."""
    known: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            known.setdefault(label, handle)
    if known:
        # Beside the panels is room for it: the figure grows by as much.
        handles, labels = list(known.values()), [wrapped(label, 70) for label in known]
        lines = [line for label in labels for line in label.splitlines()]
        figure.set_figwidth(figure.get_figwidth() + 0.6 + 0.07 * max(map(len, lines)))
        # A line takes 0.15 inches, and each label a little more.
        figure.set_figheight(max(figure.get_figheight(), 0.15 * len(lines) + 0.1 * len(known)))
        place: Any = "outside right upper"
        figure.legend(handles, labels, loc=place, frameon=False, fontsize="small")


def headline(figure: "Figure", title: str, *notes: str) -> None:
    """
    What stands above all, and smaller, below it, what there is to know, as how many there are.

    Args:
        figure: Has its size already.
        title: Above all.
        notes: Empty ones are left out.
    """
    # At the left, since a legend may stand at the right.
    figure.suptitle(title, x=0.02, ha="left")
    text = textwrap.fill("; ".join(filter(None, notes)), int(figure.get_figwidth() * 12))
    figure.supxlabel(text, fontsize="small", color="#333333")


def evenly(found: Sequence[_Any], most: int) -> list[_Any]:
    """
    At most so many of them, taken evenly.

    >>> evenly([1, 2, 3, 4, 5, 6], 3)
    [1, 3, 5]
    """
    if len(found) <= most:
        return list(found)
    return [found[number * len(found) // most] for number in range(most)]


def omitted(name: str, drawn: int, there: int) -> str:
    """What is said where not all is drawn."""
    return f"{drawn:,} of {there:,} {name} drawn" if drawn < there else ""


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own looks, whatever the user has set; ids in SVG that are always the same."""
    import matplotlib as mpl  # noqa: PLC0415 - it takes half a second

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "lab"
        yield


def _paint(
    outs: Sequence[tuple[Path | IO[bytes], str]], draw: Callable[["Figure"], object]
) -> None:
    """Draw in these formats."""
    with style():
        from matplotlib.figure import Figure  # noqa: PLC0415 - it takes half a second

        figure = Figure(figsize=(10, 5), dpi=120, layout="constrained")
        draw(figure)
        for out, kind in outs:
            figure.savefig(out, format=kind, metadata=FORMATS[f".{kind}"])
            figure.set_layout_engine("none")  # that took as long as all the rest
