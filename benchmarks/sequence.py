"""
What does a client of the sequence server cost? ``python benchmarks/sequence.py`` says so.

The rooms: ``listeners.py`` is many clients, in one process; ``peers/`` and ``ticker.c`` are the
servers; ``processes.py`` runs them; this file is the command.
"""

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NoReturn, Self

import click
from rich.box import SIMPLE
from rich.table import Table

from frame import Frame, framed
from listeners import STEP
from processes import HERE, BenchmarkError, Running, compile_program, serving

PEERS = {
    "txlab": ("txlab_sequence", "lab", "wheel", "rarely"),
    "asyncio": ("asyncio_sequence",),
    "C": ("ticker",),
    "C, together": ("ticker", "together"),
    "no wheel": ("txlab_sequence", "lab", "rarely"),
    "Twisted's reactor": ("txlab_sequence", "wheel", "rarely"),
    "Python's collector": ("txlab_sequence", "lab", "wheel"),
}
"""The servers, and their scripts or the program with the words of these."""

USUAL = ("txlab", "asyncio", "C")
"""What is measured if nothing else is said; the first is compared with the others."""

LIMIT = "ticker"
"""The program; it is compiled first."""

MOST = 25_000
"""So many clients have ports of their own for one server, with what Linux gives of them."""

STARTS = 1000
"""So many clients begin in a second."""

OTHER_FILES = 50
"""What a process has open besides its connections, with room to spare."""

COLUMNS = {
    "CPU": ("cpu", lambda value: f"{value:.1%}"),
    "system": ("system", lambda value: f"{value:.1%}"),
    "a number": ("each", lambda value: f"{value * 1e6:.1f} µs"),
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
    default=USUAL,
    show_default=True,
    help="Measure this server; may be repeated.",
)
@framed("sequence")
def main(
    *, frame: Frame, counts: Sequence[int], seconds: float, rounds: int, peers: Sequence[str]
) -> None:
    """
    Measure a server that sends each of many clients a number a second, and answers heartbeats.

    txlab is the sequence server of this checkout, on our reactor, with its timers in a wheel and
    the garbage collector called as rarely as in lab-server; the others of ours lack one of these.
    asyncio is a plain asyncio server that does what a client sees of it, and nothing of what makes
    sequences survive. C does the same in C (compiled first: cc, or $CC) with one system call for
    each line, or with an answer and a number together: that is the limit.

    A server is one process, or as many as it takes with this limit of open files, all on one CPU;
    fresh ones for each measurement, in turn. Its clients are another process, which uses epoll
    directly, for each of them. On 127.0.0.1. CPU and memory are those of all processes together.

    Late is how much later a number came than the earliest of its connection says that it should.
    """
    names = [name for name in PEERS if name in peers]
    try:
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
        if any(PEERS[name][0] == LIMIT for name in names):
            compile_program(LIMIT, Path(folder))
        for turn in range(rounds):
            for count in counts:
                for name in names[:: 1 if turn % 2 == 0 else -1]:
                    sample = _sample(name, count, seconds, Path(folder))
                    samples.setdefault((name, count), []).append(sample)
    return samples


def _sample(name: str, count: int, seconds: float, folder: Path) -> Sample:
    """Measure one server once, in as many parts as it takes."""
    parts = _parts(count)
    starts = STARTS / parts
    limit = int(seconds + count / STARTS + 120)
    script, *words = PEERS[name]
    command = [sys.executable, str(HERE / "peers" / f"{script}.py"), str(limit), *words]
    if script == LIMIT:
        command = [str(folder / LIMIT), str(limit), *words]
    with ExitStack() as stack:
        # One after the other: a log of each.
        servers = [
            stack.enter_context(serving(f"{name}-{part}", command, folder)) for part in range(parts)
        ]
        listeners = []
        for part, server in enumerate(servers):
            _pin(server)
            share = count * (part + 1) // parts - count * part // parts
            listeners.append(stack.enter_context(_Part(server, share, starts, seconds)))
        for one in listeners:
            one.ready(limit)
        for one in listeners:
            one.go()
        return _sum(name, [one.result(limit) for one in listeners], count, seconds)


class _Part:
    """
    The clients of one process.

    Args:
        server: Theirs.
        count: How many.
        starts: How many begin in a second.
        seconds: How long to measure.
    """

    def __init__(self, server: Running, count: int, starts: float, seconds: float) -> None:
        self._server = server
        words = (server.ports["tcp"], server.pid, count, starts, seconds)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "listeners.py"), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ready(self, limit: float) -> None:
        """Wait until all have begun."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit)[0]:
            raise BenchmarkError(f"{self._server.name}: the clients are not ready in {limit:g} s")
        if self._process.stdout.readline() != "ready\n":
            self._fail(self._process.communicate()[1])

    def go(self) -> None:
        """Have it measure."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self, limit: float) -> dict[str, Any]:
        """What was measured."""
        out, errors = self._process.communicate(timeout=limit)
        if self._process.returncode:
            self._fail(errors)
        found: dict[str, Any] = json.loads(out)
        return found

    def _fail(self, errors: str) -> NoReturn:
        """Say why."""
        said = errors.strip().splitlines() or [f"exit code {self._process.returncode}"]
        raise BenchmarkError(f"{self._server.name}: {said[-1]}")


def _sum(name: str, found: Sequence[dict[str, Any]], count: int, seconds: float) -> Sample:
    """One sample of all parts."""
    late: Counter[int] = Counter()
    for one in found:
        late.update({int(steps): many for steps, many in one["late"].items()})
    total = late.total()
    if total < count * (seconds - 1):
        raise BenchmarkError(
            f"{name}: only {total:,} numbers in {seconds:g} s: the machine is too slow or busy"
        )
    ordered = sorted(late.elements())
    cpu = sum(one["cpu"] for one in found)
    return {
        "cpu": cpu,
        "system": sum(one["system"] for one in found),
        "each": cpu * seconds / total,
        "own": sum(one["own"] for one in found),
        "memory": sum(one["memory"] for one in found) / count,
        "p50": ordered[total // 2] * STEP,
        "p99": ordered[total * 99 // 100] * STEP,
        "max": ordered[-1] * STEP,
    }


def _parts(count: int) -> int:
    """How many processes it takes, on either side; has each open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard - OTHER_FILES)
    if most < 1:
        raise BenchmarkError(f"{hard} open files are allowed; allow more (ulimit -n)")
    return -(-count // most)


def _pin(server: Running) -> None:
    """Give all processes of a server the same CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(server.pid, {cpus[-1]})


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
    ours, *others = USUAL
    for other in others:
        if {ours, other} <= samples.keys():
            table.add_row(f"{ours} / {other}", *_ratios(samples[ours], samples[other]))
    return table


def _ratios(ours: list[Sample], theirs: list[Sample]) -> list[str]:
    """The median of each column's ratio, round by round."""
    ratios = (
        median(a[key] / b[key] if b[key] else 0.0 for a, b in zip(ours, theirs, strict=True))
        for key, _ in COLUMNS.values()
    )
    return [f"{ratio:.2f}" for ratio in ratios]


if __name__ == "__main__":
    main()
