"""
What does a client of the sequence server cost? ``python benchmarks/sequence.py`` says so.

The rooms: ``listeners.py`` is all clients, in one process; ``peers/`` has the servers;
``processes.py`` runs them; this file is the command.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from rich.box import SIMPLE
from rich.table import Table

from frame import Frame, framed
from processes import HERE, BenchmarkError, serving

PEERS = {"txlab": "txlab_sequence", "asyncio": "asyncio_sequence"}
"""The servers, ours first, and their scripts."""

OTHER_FILES = 50
"""What a process has open besides its connections, with room to spare."""

COLUMNS = {
    "CPU": ("cpu", lambda value: f"{value:.1%}"),
    "KiB a client": ("memory", lambda value: f"{value / 1024:.1f}"),
    "late: p50": ("p50", lambda value: f"{value * 1e3:.2f} ms"),
    "p99": ("p99", lambda value: f"{value * 1e3:.2f} ms"),
    "max": ("max", lambda value: f"{value * 1e3:.1f} ms"),
    "clients' CPU": ("own", lambda value: f"{value:.1%}"),
}
"""Of the table: what of a sample, and how it is shown."""

Sample = dict[str, float]


@click.command()
@click.option(
    "--clients",
    "counts",
    type=click.IntRange(1, 100_000),
    multiple=True,
    default=(1000, 10_000),
    show_default=True,
    help="Clients at a time; may be repeated.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=10.0,
    show_default=True,
    help="Length of one measurement; the begin of all clients comes before it.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How often each server is measured.",
)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(list(PEERS)),
    multiple=True,
    help="Measure this server only; may be repeated.",
)
@framed("sequence")
def main(
    *, frame: Frame, counts: Sequence[int], seconds: float, rounds: int, peers: Sequence[str]
) -> None:
    """
    Measure a server that sends each of many clients a number a second, and answers heartbeats.

    txlab is the sequence server of this checkout; asyncio is a plain asyncio server that does what
    a client sees of it, and nothing of what makes sequences survive. Each has one process, and a
    fresh one for each measurement; they are measured in turn. All clients are one process that
    uses epoll directly. On 127.0.0.1.

    Late is how much later a number came than the earliest of its connection says that it should.
    """
    names = [name for name in PEERS if name in peers or not peers]
    try:
        _allow_files(max(counts) + OTHER_FILES)
        samples = _measure(names, counts, seconds, rounds)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    for count in counts:
        found = {name: samples[name, count] for name in names}
        frame.console().print(_table(count, found))
        frame.add(f"{count:,} clients, a number a second each", found, "cpu")
    frame.console().print(f"Medians of {rounds} rounds of {seconds:g} s.")


def _measure(
    names: Sequence[str], counts: Sequence[int], seconds: float, rounds: int
) -> dict[tuple[str, int], list[Sample]]:
    """Do all rounds."""
    samples: dict[tuple[str, int], list[Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as folder:
        for turn in range(rounds):
            for count in counts:
                for name in names[:: 1 if turn % 2 == 0 else -1]:
                    sample = _sample(name, count, seconds, Path(folder))
                    samples.setdefault((name, count), []).append(sample)
    return samples


def _sample(name: str, count: int, seconds: float, folder: Path) -> Sample:
    """Measure one server once."""
    limit = int(seconds + count / 100 + 120)
    script = (sys.executable, str(HERE / "peers" / f"{PEERS[name]}.py"), str(limit))
    with serving(name, script, folder) as server:
        words = (server.ports["tcp"], server.pid, count, seconds)
        command = [sys.executable, str(HERE / "listeners.py"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise BenchmarkError(f"{name}: {said[-1]}")
    sample: Sample = json.loads(done.stdout)
    return sample


def _allow_files(wanted: int) -> None:
    """Let our processes have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchmarkError(
            f"{wanted:,} open files are wanted, and {hard:,} are allowed; give fewer --clients"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _table(count: int, samples: dict[str, list[Sample]]) -> Table:
    """What was measured with so many clients."""
    table = Table(title=f"{count:,} clients, a number a second each", box=SIMPLE, pad_edge=False)
    table.add_column("server", no_wrap=True)
    for title in COLUMNS:
        table.add_column(title, justify="right")
    middle = {
        name: {key: median(sample[key] for sample in found) for key, _ in COLUMNS.values()}
        for name, found in samples.items()
    }
    for name, values in middle.items():
        table.add_row(name, *(show(values[key]) for key, show in COLUMNS.values()))
    if len(samples) == len(PEERS):
        ours, theirs = samples.values()
        ratios = (
            median(a[key] / b[key] if b[key] else 0.0 for a, b in zip(ours, theirs, strict=True))
            for key, _ in COLUMNS.values()
        )
        table.add_row("txlab / asyncio", *(f"{ratio:.2f}" for ratio in ratios))
    return table


if __name__ == "__main__":
    main()
