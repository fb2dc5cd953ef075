"""A ladder: hosts as lines from top to bottom, packets as arrows between them, times downward."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lab.experiments.plots.paper import COLOURS, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many arrows, and hosts, a picture has at most.
ARROWS, HOSTS = 200, 8
#: The colours of arrows; each kind has dashes of its own, too.
_LOOKS = {
    "sent": (COLOURS[0], "-"),
    "again": (COLOURS[1], "--"),
    "duplicate": (COLOURS[2], ":"),
}
_LOST = COLOURS[1]
_TIME: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": "x-small", "color": "#333333"}


@frozen
class Arrow:
    """
    A packet between two hosts.

    Args:
        source: Who sent it.
        to: Who shall have it.
        sent: When it left, in seconds.
        arrived: When it was there, or would have been, in seconds.
        label: What is written on it.
        lost: Whether it never arrived.
        kind: ``sent``, ``again`` or ``duplicate``.
    """

    source: str
    to: str
    sent: float
    arrived: float
    label: str = ""
    lost: bool = False
    kind: str = "sent"


def draw(figure: "Figure", title: str, arrows: Sequence[Arrow], notes: Sequence[str]) -> None:
    """
    Draw it.

    Arrows stand below each other as they left, with their times beside them: on an axis of time
    itself, of packets that leave together no label could be read. Ends stand where they belong
    among these, so what overtakes what is seen.

    Args:
        figure: Where.
        title: What stands above.
        arrows: At most `ARROWS` of them are drawn.
        notes: What there is to know besides.
    """
    hosts = list(dict.fromkeys(host for one in arrows for host in (one.source, one.to)))[:HOSTS]
    fitting = [one for one in arrows if one.source in hosts and one.to in hosts]
    drawn = sorted(fitting, key=lambda one: one.sent)[:ARROWS]
    figure.set_size_inches(max(8.0, 3.6 * len(hosts)), max(3.0, 1.8 + 0.34 * len(drawn)))
    axes = figure.subplots()
    axes.set_xlim(-0.3, max(1, len(hosts) - 1) + 0.15)
    axes.set_ylim(len(drawn) + 0.3, -1.2)
    for place, host in enumerate(hosts):
        axes.plot([place, place], [-0.4, len(drawn)], color="black", lw=1)
        axes.text(place, -0.6, host, ha="center", fontweight="bold")
    starts = [one.sent for one in drawn]
    for row, one in enumerate(drawn):
        # It ends before what leaves when it is there, or later, begins.
        end = max(row + 0.35, bisect_left(starts, one.arrived) - 0.5)
        axes.text(-0.03, row, f"{one.sent * 1000:,.3f} ms", **_TIME)
        _arrow(axes, one, (hosts.index(one.source), row), (hosts.index(one.to), end))
    axes.set_axis_off()
    left = len(arrows) - len(drawn)
    more = f"{left:,} of {len(arrows):,} packets left out" if left else ""
    headline(figure, title, f"n = {len(drawn):,} packets", "time is not to scale", *notes, more)


def _arrow(axes: "Axes", one: Arrow, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw an arrow from place to place, with what it is; a lost one ends in a cross."""
    colour, dashes = _LOOKS[one.kind]
    (left, top), (right, bottom) = begin, end
    if one.lost:
        right, bottom = left + 0.6 * (right - left), top + 0.6 * (bottom - top)
        axes.plot([right], [bottom], marker="x", ms=9, mew=2, color=_LOST, zorder=3)
    looks = {"arrowstyle": "-" if one.lost else "-|>", "color": colour, "ls": dashes, "lw": 1.2}
    axes.annotate("", (right, bottom), begin, arrowprops=looks | {"shrinkA": 0, "shrinkB": 0})
    label = one.label if one.kind == "sent" else f"{one.label} ({one.kind})"
    # Where it begins, above it: there arrows are a row apart, however long they are.
    forward = end[0] >= left
    text = axes.text(left + (0.02 if forward else -0.02), top - 0.06, label, fontsize="small")
    text.set(ha="left" if forward else "right", va="bottom", color=colour)
    text.set_bbox({"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 0})
