"""
A picture of the packets of a stream: the delay of each, and what became of the others.

Matplotlib is loaded when it is drawn, and not before (`lab.experiments.plots.paper`).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lab.echo.figures import Packet
from lab.experiments.plots.paper import evenly, paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many packets are drawn as points; of more, some points and the range of all.
MOST = 3000
#: So many marks of each other kind are drawn.
MARKS = 500

_BINS = 60
#: Delays that differ by less than this share are one delay.
_ALIKE = 1e-9
#: How many parts of the time have a range of their own.
_MOMENTS = 400

# Colours of Okabe and Ito, which people tell apart whatever colours they see; each kind has a
# shape of its own, too.
_BLUE = "#0072B2"
_RECEIVED: dict[str, Any] = {"marker": ".", "ms": 4, "mew": 0, "color": _BLUE}
_REORDERED: dict[str, Any] = {"marker": "^", "ms": 5, "mfc": "none", "color": "#E69F00"}
_TWICE: dict[str, Any] = {"marker": "o", "ms": 7, "mfc": "none", "color": "#009E73"}
_LOST: dict[str, Any] = {"marker": "|", "ms": 12, "mew": 1.2, "color": "#D55E00"}
_CROWDED = {"ms": 3, "mew": 0.5}
_LINE: dict[str, Any] = {"color": "black", "lw": 0.8}


@frozen
class _Delay:
    """Delays in the unit that suits them: its name, and how many of it are a second."""

    unit: str
    scale: float

    @classmethod
    def of(cls, packets: Sequence[Packet]) -> "_Delay":
        """The unit in which the largest delay is a small number."""
        most = max((packet.delay or 0.0 for packet in packets), default=0.0)
        for unit, scale in (("s", 1.0), ("ms", 1e3)):
            if most * scale >= 1:
                return cls(unit, scale)
        return cls("µs", 1e6) if most else cls("ms", 1e3)

    def __call__(self, packet: Packet) -> float:
        """The delay of a packet that came."""
        return (packet.delay or 0.0) * self.scale


def plot_delays(
    path: Path | str,
    packets: Sequence[Packet],
    *,
    title: str = "Delay of each packet",
    delay: str = "delay above the least",
) -> None:
    """
    Draw the delay of each packet into a file; see `drawing`.

    Args:
        path: Where to; its ending says whether it becomes a PNG or an SVG.
        packets: As for `drawing`; and so are the others.
        title: See there.
        delay: See there.

    Raises:
        LocalError: Another ending, or it can't be written there.
    """
    paint(Path(path), drawing(packets, title=title, delay=delay))


def drawing(
    packets: Sequence[Packet], *, title: str, delay: str = "delay above the least"
) -> Callable[["Figure"], None]:
    """
    What draws the delay of each packet over time, and the distribution of the delays beside it.

    Lost packets stand on the time axis; those that were overtaken and those that came more than
    once have a mark of their own. Of very many packets a part is drawn, taken evenly, on the range
    from the least delay to the largest at that time, so that none is hidden. The distribution is
    of all.

    Args:
        packets: By their number, from `lab.echo.oneway.OneWay.packets` or
            `lab.echo.roundtrip.RoundTrip.packets`.
        title: What stands above.
        delay: What the delays are, without their unit.
    """

    def draw(figure: "Figure") -> None:
        """Draw both."""
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
        figure.suptitle(title)
        unit = _Delay.of(packets)
        _draw_times(left, packets, unit)
        left.set_ylabel(f"{delay} ({unit.unit})")
        _draw_distribution(right, packets, unit)
        left.set_ylim(*_limits(packets, unit))
        figure.legend(loc="outside lower center", ncols=3, frameon=False)

    return draw


def _draw_times(axes: "Axes", packets: Sequence[Packet], unit: _Delay) -> None:
    """Draw delays over the times at which packets left."""
    came = [packet for packet in packets if packet.copies]
    _draw_range(axes, came, unit)
    for name, marked, most, usual in (
        ("received", came, MOST, _RECEIVED),
        ("reordered", [packet for packet in came if packet.extent], MARKS, _REORDERED),
        ("came more than once", [packet for packet in came if packet.copies > 1], MARKS, _TWICE),
    ):
        drawn = evenly(marked, most)
        looks = usual | (_CROWDED if len(drawn) > MARKS / 2 else {})
        times, delays = [packet.sent for packet in drawn], list(map(unit, drawn))
        axes.plot(times, delays, ls="none", label=_label(name, drawn, marked), **looks)
    lost = [packet for packet in packets if not packet.copies]
    drawn = evenly(lost, MARKS)
    # What was lost has no delay: it stands on the axis, whatever that begins with.
    axes.plot(
        [packet.sent for packet in drawn],
        [0.02] * len(drawn),
        ls="none",
        label=_label("lost", drawn, lost),
        transform=axes.get_xaxis_transform(),
        zorder=3,
        **_LOST | ({"mew": 0.5} if len(drawn) > MARKS / 2 else {}),
    )
    end = max((packet.sent for packet in packets), default=0.0) or 1.0
    axes.set_xlim(-0.02 * end, 1.02 * end)
    axes.set_title("over time", fontsize="medium")
    axes.set_xlabel("time at which the packet left (s)")
    axes.grid(alpha=0.3)


def _draw_range(axes: "Axes", packets: list[Packet], unit: _Delay) -> None:
    """Draw from where to where the delays went at each time, if not all points are drawn."""
    if len(packets) <= MOST:
        return
    edges = [len(packets) * number // _MOMENTS for number in range(_MOMENTS + 1)]
    moments = [packets[first:last] for first, last in pairwise(edges)]
    axes.fill_between(
        [moment[len(moment) // 2].sent for moment in moments],
        [min(map(unit, moment)) for moment in moments],
        [max(map(unit, moment)) for moment in moments],
        color=_BLUE,
        alpha=0.2,
        lw=0,
        label="least to largest",
    )


def _draw_distribution(axes: "Axes", packets: Sequence[Packet], unit: _Delay) -> None:
    """Draw how many packets had which delay, with the median and the 99th percentile."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter  # noqa: PLC0415 - it takes half a second

    axes.set_title("distribution", fontsize="medium")
    axes.set_xlabel("packets")
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.3)
    delays = sorted(unit(packet) for packet in packets if packet.copies)
    if not delays:
        return
    if delays[-1] <= delays[0] * (1 + _ALIKE):  # no bins are as fine
        delays = delays[:1] * len(delays)
    axes.hist(delays, bins=_BINS, orientation="horizontal", color=_BLUE)
    for percent, style in ((50, "-"), (99, "--")):
        value = delays[-(-len(delays) * percent // 100) - 1]
        axes.axhline(value, ls=style, label=f"p{percent}: {value:.3g} {unit.unit}", **_LINE)


def _limits(packets: Sequence[Packet], unit: _Delay) -> tuple[float, float]:
    """From where to where the axis of the delays goes: from 0, unless all are far from it."""
    delays = [unit(packet) for packet in packets if packet.copies] or [0.0]
    least, most = min(delays), max(delays)
    low = least if least > most / 2 and most > least * (1 + _ALIKE) else 0.0
    room = (most - low) or most or 1.0
    return low - 0.08 * room, low + 1.05 * room


def _label(name: str, drawn: list[Packet], marked: list[Packet]) -> str:
    """What the legend says of a kind of marks."""
    part = f", {len(drawn):,} drawn" if len(drawn) < len(marked) else ""
    return f"{name} ({len(marked):,}{part})"
