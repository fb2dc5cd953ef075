"""
What do two workers do more than one? ``python benchmarks/workers.py`` says so.

``twistd lab-server --workers N`` with arithmetic over TCP, and the generator of other benchmarks.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import click
from attrs import evolve
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from processes import (
    BenchmarkError,
    Load,
    announcing,
    compile_program,
    cpu_seconds,
    free_port,
    generate,
    write_requests,
)

REQUESTS = {"sum": b"+,1,1\n", "power": b"**,7,4000\n"}
"""What is asked: one that is little work, and one that is much (3,381 digits)."""

CONNECTIONS = 64
"""At the same time; each asks one thing after the other."""

COLUMNS = ("requests/s", "servers' CPU", "a request", "generator's CPU")

TWISTD = "from twisted.scripts.twistd import run; run()"


@click.command()
@click.option("--workers", "counts", type=click.IntRange(1, 64), multiple=True, default=(1, 2))
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=3.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
def main(counts: Sequence[int], seconds: float, rounds: int) -> None:
    """
    Measure one worker and more of them, in turn, with the generator on the same machine.

    What the generator takes of the CPUs, and whoever else is there, the workers do not have.
    """
    found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as folder:
            program = compile_program("load", Path(folder))
            for turn in range(rounds):
                for kind in REQUESTS:
                    for count in counts[:: 1 if turn % 2 == 0 else -1]:
                        sample = _sample(program, kind, count, seconds)
                        found.setdefault((kind, count), []).append(sample)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    for kind in REQUESTS:
        Console(width=100).print(_table(kind, {count: found[kind, count] for count in counts}))
    click.echo(
        f"Medians of {rounds} rounds of {seconds:g} s, {os.cpu_count()} CPUs, load "
        f"{os.getloadavg()[1]:.1f}. Python {platform.python_version()}, Twisted "
        f"{version('twisted')}, Linux {platform.release()}."
    )


def _sample(program: Path, kind: str, count: int, seconds: float) -> tuple[float, ...]:
    """Measure so many workers once."""
    folder, port = program.parent, free_port()
    words = ["--workers", str(count), "--arithmetic", f"tcp:{port}:interface=127.0.0.1"]
    twistd = [sys.executable, "-c", TWISTD, "--reactor=lab", "-n", "--pidfile="]
    ready = b"listens on" if count == 1 else b"workers serve"
    requests = write_requests(folder / kind, [REQUESTS[kind]])
    load = Load("tcp", "lines", requests, CONNECTIONS, 1, 0.5, seconds)
    with announcing(f"{count} workers", [*twistd, "lab-server", *words], folder, ready) as server:
        before = cpu_seconds(server.pid)
        sample = generate(program, evolve(server, ports={"tcp": port}), load)
        # It was warm for a while before, and that is not counted in the replies.
        share = sample.seconds / (sample.seconds + load.warm)
        used = (cpu_seconds(server.pid) - before) * share
    return (
        sample.replies / sample.seconds,
        used / sample.seconds,
        used / sample.replies,
        sample.generator_cpu / sample.seconds,
    )


def _table(kind: str, samples: dict[int, list[tuple[float, ...]]]) -> Table:
    """What was measured of this kind of requests."""
    request = REQUESTS[kind].decode().strip()
    table = Table(title=f"{request}, {CONNECTIONS} connections", box=SIMPLE, pad_edge=False)
    for title in ("workers", *COLUMNS):
        table.add_column(title, justify="right")
    for count, rows in samples.items():
        rate, cpu, each, own = map(median, zip(*rows, strict=True))
        table.add_row(
            str(count), f"{rate:,.0f}", f"{cpu:.0%}", f"{each * 1e6:.1f} µs", f"{own:.0%}"
        )
    if len(samples) > 1:
        first, *_, last = samples.values()
        ratio = median(b[0] / a[0] for a, b in zip(first, last, strict=True))
        best = max(row[0] for row in last) / max(row[0] for row in first)
        table.add_row("ratio", f"{ratio:.2f}", "", "", "")
        table.add_row("of the best", f"{best:.2f}", "", "", "")
    return table


if __name__ == "__main__":
    main()
