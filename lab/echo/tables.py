"""
Reports as rows of words, for a table that somebody else draws.

Knows no terminal.
"""

from lab.echo.figures import Figures
from lab.echo.report import Interval, ProbeReport, Report
from lab.units import show_seconds

#: A name, and what there is to say of it.
Rows = list[tuple[str, str]]

#: The columns of `interval_rows`.
COLUMNS = (
    "seconds",
    "packets",
    "lost",
    "in flight",
    "duplicates",
    "reordered",
    "late",
    "bits/s",
    "jitter",
    "mean delay",
    "max delay",
)


def stream_rows(report: Report) -> Rows:
    """
    What there is to say of a stream.

    Args:
        report: From `lab.echo.oneway.OneWay.report`.
    """
    bursts, reordering, sender = report.bursts, report.reordering, report.sender
    rows = [
        ("packets", f"{report.packets:,}"),
        ("received", f"{report.received:,}, {show_rate(report.bits_per_second)}"),
        ("lost", _share(report.lost, report.packets)),
    ]
    if bursts.periods:
        rows.append(("loss periods", _lengths(bursts.periods)))
    rows += [
        ("duplicates", f"{report.duplicates:,}"),
        ("reordered", _share(report.reordered, report.packets)),
    ]
    if reordering.extent:
        rows.append(("reordering extent", _lengths(reordering.extent)))
    rows += [("late", f"{report.late:,}"), *_rest(report)]
    rows.append(("jitter", show_seconds(report.jitter)))
    rows += [*_percentiles("delay variation", report.pdv), *_percentiles("IPDV", report.ipdv)]
    if sender:
        late = f"mean {show_seconds(sender.mean)}, max {show_seconds(sender.most)}"
        rows += [("sender missed", f"{sender.missed:,}"), ("sender late", late)]
    return rows


def probe_rows(report: ProbeReport) -> Rows:
    """
    What there is to say of probes.

    Args:
        report: From `lab.echo.roundtrip.RoundTrip.report`.
    """
    ways = f"{report.lost_up:,} up, {report.lost_down:,} down"
    if report.lost_unknown:
        ways += f", {report.lost_unknown:,} on either way"
    rows = [
        ("probes", f"{report.sent:,}"),
        ("answered", f"{report.answered:,}"),
        ("lost", f"{_share(report.lost, report.sent)}: {ways}"),
        ("duplicates", f"{report.duplicates_up:,} up, {report.duplicates_down:,} down"),
        ("reordered", _share(report.reordered, report.sent)),
    ]
    rows += _rest(report)
    rows += _percentiles("round trip", report.round_trip, more=True)
    rows += _percentiles("delay variation up", report.up)
    return rows + _percentiles("delay variation down", report.down.pdv)


def interval_rows(intervals: tuple[Interval, ...]) -> list[tuple[str, ...]]:
    """
    A row for each interval, of `COLUMNS`.

    Args:
        intervals: Of either report.
    """
    return [
        (
            f"{one.start:g}-{one.end:.3g}" if one.end < 1000 else f"{one.start:g}-{one.end:.0f}",
            f"{one.packets:,}",
            f"{one.lost:,}",
            f"{one.in_flight:,}" if one.in_flight else "",
            *(f"{count:,}" for count in (one.duplicates, one.reordered, one.late)),
            show_rate(one.bits_per_second),
            "" if one.jitter is None else show_seconds(one.jitter),
            "" if one.mean is None else show_seconds(one.mean),
            "" if one.most is None else show_seconds(one.most),
        )
        for one in intervals
    ]


def show_rate(bits: float) -> str:
    """
    Write bits a second in the unit in which three digits say most.

    >>> show_rate(512), show_rate(1_536_000)
    ('512 bit/s', '1.54 Mbit/s')
    """
    for scale, unit in ((1, ""), (1e3, "k"), (1e6, "M")):
        if bits < scale * 999.5:
            return f"{bits / scale:.3g} {unit}bit/s"
    return f"{bits / 1e9:,.3g} Gbit/s"


def _rest(report: Report | ProbeReport) -> Rows:
    """What there hardly ever is."""
    names = ("overdue", "forgotten", "foreign")
    return [(name, f"{getattr(report, name):,}") for name in names if getattr(report, name)]


def _share(part: int, whole: int) -> str:
    """A number, and how many percent that is."""
    return f"{part:,} ({100 * part / whole:.3g} %)" if whole else f"{part:,}"


def _lengths(figures: Figures) -> str:
    """Figures of numbers of packets."""
    return f"{figures.count:,}, mean {figures.mean:.3g}, max {figures.most:,.0f} packets"


def _percentiles(name: str, figures: Figures | None, *, more: bool = False) -> Rows:
    """Figures of times; more of them, if that is what matters most."""
    if figures is None:
        return []
    named = {"min": figures.least, "mean": figures.mean, "p50": figures.p50}
    named |= {"p90": figures.p90} if more else {}
    named |= {"p99": figures.p99}
    named |= {"p99.9": figures.p999} if more else {}
    named |= {"max": figures.most}
    return [(name, ", ".join(f"{of} {_time(value)}" for of, value in named.items()))]


def _time(value: float) -> str:
    """A time that may be below 0."""
    return "-" * (value < 0) + show_seconds(abs(value))
