"""What the samples of arithmetic say: medians, ratios, tables for people, JSON for programs."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from attrs import asdict, frozen
from rich.box import SIMPLE
from rich.table import Table

from frame import Figures, Frame
from measuring import LEAN, OURS, Mode, Peer, Plan, Samples
from processes import BenchmarkError, Sample

LEGEND = (
    "Medians of the rounds. spread: the slowest and the fastest round, from the median. "
    f"{OURS} is, {LEAN} is: their rate divided by this server's, round by round. "
    "CPU us: CPU time of the server for one request. busy: part of the time in which the server "
    "used a CPU; waits: in which it could have, but other programs did. generator: part of the "
    "time in which the load generator had something to do; what it can do at most is the line of C."
)


@frozen
class Row:
    """
    What all rounds of one mode and one server say together.

    Args:
        mode: Name of the mode.
        peer: Name of the server.
        title: Of the server, for people.
        rate: Median of the rounds, in requests a second.
        lowest: Of the rounds, in requests a second.
        highest: Of the rounds, in requests a second.
        ours: Our rate divided by this server's, the median of the rounds; None if we did not run.
        lean: The same of ours on our reactor.
        server_cpu: Median CPU time of the server for one request, in microseconds.
        server_busy: Median part of the time in which the server used a CPU; 1 is one CPU.
        server_waited: Median part of the time in which other programs kept it from that, 0 to 1.
        generator_busy: Median part of the time in which the generator had something to do, 0 to 1.
        lost: Datagrams lost in all rounds.
        samples: What was counted in each round.
    """

    mode: str
    peer: str
    title: str
    rate: float
    lowest: float
    highest: float
    ours: float | None
    lean: float | None
    server_cpu: float
    server_busy: float
    server_waited: float
    generator_busy: float
    lost: int
    samples: list[Sample]


def summarise(plan: Plan, samples: Samples) -> list[Row]:
    """
    Return a row for each mode and server.

    Raises:
        BenchmarkError: A round was too short to get a reply.
    """
    return [_row(mode, peer, samples) for mode, peer in plan.pairs]


def _row(mode: Mode, peer: Peer, samples: Samples) -> Row:
    """Put the rounds of one mode and one server together."""
    mine = samples[mode.name, peer.name]
    theirs = _rates(mine)
    if 0 in theirs:
        raise BenchmarkError(f"{peer.name}, {mode.name}: no reply in one round; raise --seconds")
    return Row(
        mode=mode.name,
        peer=peer.name,
        title=peer.title,
        rate=median(theirs),
        lowest=min(theirs),
        highest=max(theirs),
        ours=_ratio(_rates(samples.get((mode.name, OURS), [])), theirs),
        lean=_ratio(_rates(samples.get((mode.name, LEAN), [])), theirs),
        server_cpu=median(sample.server_cpu * 1e6 / sample.replies for sample in mine),
        server_busy=median(sample.server_cpu / sample.seconds for sample in mine),
        server_waited=median(sample.server_waited / sample.seconds for sample in mine),
        generator_busy=median(sample.generator_cpu / sample.seconds for sample in mine),
        lost=sum(sample.lost for sample in mine),
        samples=mine,
    )


def _rates(samples: Sequence[Sample]) -> list[float]:
    """Return the requests a second of each round."""
    return [sample.replies / sample.seconds for sample in samples]


def _ratio(ours: list[float], theirs: list[float]) -> float | None:
    """Return the median of ours divided by theirs, if there are any."""
    return median(a / b for a, b in zip(ours, theirs, strict=True)) if ours else None


def cell(values: list[float]) -> str:
    """Two lines: the median; the lowest and the highest."""
    digits = 0 if max(values) >= 10 else 2
    return f"{median(values):,.{digits}f}\n{min(values):,.{digits}f}-{max(values):,.{digits}f}"


def print_report(frame: Frame, plan: Plan, rows: Sequence[Row]) -> None:
    """Print a table for each mode, and what its columns mean."""
    console = frame.console()
    for mode in plan.modes:
        if mine := [row for row in rows if row.mode == mode.name]:
            console.print(_table(mode, mine))
    console.print(LEGEND)
    ids = "with" if plan.ids else "without"
    console.print(
        f"Rounds: {plan.rounds}, of {plan.seconds:g} s; {len(plan.questions):,} requests, "
        f"{ids} ids."
    )


def hand_over(frame: Frame, plan: Plan, rows: Sequence[Row]) -> None:
    """Give the frame what was measured, a table for each mode."""
    for mode in plan.modes:
        each = {row.title: _figures(row) for row in rows if row.mode == mode.name}
        first = next((row.title for row in rows if row.peer == LEAN), OURS)
        if each:
            frame.add(mode.title, each, ours=first)


def _figures(row: Row) -> list[Figures]:
    """What is of interest of each round."""
    return [
        {
            "requests/s": sample.replies / sample.seconds,
            "CPU us": sample.server_cpu * 1e6 / sample.replies,
            "busy": sample.server_cpu / sample.seconds,
            "waits": sample.server_waited / sample.seconds,
            "generator": sample.generator_cpu / sample.seconds,
            "lost": sample.lost,
        }
        for sample in row.samples
    ]


def _table(mode: Mode, rows: Sequence[Row]) -> Table:
    """Lay out one mode."""
    table = Table(
        title=mode.title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("server", no_wrap=True)
    names = ["requests/s", "spread", f"{OURS} is", f"{LEAN} is", "CPU us", "busy", "waits"]
    names += ["generator", "lost"] if mode.transport == "udp" else ["generator"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(row)[: len(table.columns)]
        table.add_row(*cells, style="bold" if row.peer == OURS else None)
    return table


def _cells(row: Row) -> list[str]:
    """Write one row; the last cell is for UDP only."""
    return [
        row.title,
        f"{row.rate:,.0f}",
        f"{row.lowest / row.rate - 1:+.0%} {row.highest / row.rate - 1:+.0%}",
        "-" if row.ours is None or row.peer == OURS else f"{row.ours:.2f} x",
        "-" if row.lean is None or row.peer == LEAN else f"{row.lean:.2f} x",
        f"{row.server_cpu:.2f}",
        f"{row.server_busy:.0%}",
        f"{row.server_waited:.0%}",
        f"{row.generator_busy:.0%}",
        f"{row.lost:,}",
    ]


def as_json(plan: Plan, rows: Sequence[Row]) -> dict[str, Any]:
    """Return all that was counted; the units are those of `Row` and `Sample`."""
    return {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "requests": len(plan.questions),
        "ids": plan.ids,
        "rows": [asdict(row) for row in rows],
    }
