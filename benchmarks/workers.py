"""
What do two workers do more than one? ``python benchmarks/workers.py`` says so.

``twistd lab-server --workers N`` with arithmetic over TCP, and the generator of other benchmarks.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from attrs import evolve, frozen

from frame import Figures, Frame, framed
from processes import (
    BenchmarkError,
    Load,
    announcing,
    compile_program,
    cpu_of_each,
    free_port,
    generate,
    waited_seconds,
    write_requests,
)
from questions import Lines, make_questions
from turns import Measure, show, take_turns

CONNECTIONS = 64
"""At the same time. Linux deals them out by chance: with few, one worker might get nearly all."""

WARM = 0.3
"""Seconds that run first and are not counted."""

LEGEND = (
    "Medians of {rounds} rounds of {seconds:g} s, the lowest and the highest. CPU us: CPU time of "
    "all processes of the server for a request. busiest, idlest: part of the time in which single "
    "workers used a CPU; waits: in which one of them could have, but others did. Those others are "
    "the generator, whose part has a column, and other programs: while there are such, one worker "
    "and two get different parts of the CPUs, and the rates say little; CPU us still counts."
)
"""What the tables mean."""

TWISTD = "from twisted.scripts.twistd import run; run()"


@frozen
class Kind:
    """
    What is asked.

    Args:
        name: For people.
        requests: Lines, which are asked in turn, again and again.
        depth: Requests in flight on each connection.
    """

    name: str
    requests: list[bytes]
    depth: int

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name}; {CONNECTIONS} connections, {self.depth:,} in flight on each"


KINDS = (
    Kind("+ - * of operands up to a million", Lines().requests(make_questions(10_000)), 1000),
    Kind("**,7,4000 (3,381 digits)", [b"**,7,4000\n"], 4),
)
"""Little work a request, and much; both cost the generator little."""


@click.command()
@click.option(
    "--workers",
    "counts",
    type=click.IntRange(1, 64),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Worker processes; may be repeated. The last is what is compared with the others.",
)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=2.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@framed("workers")
def main(*, frame: Frame, counts: Sequence[int], seconds: float, rounds: int) -> None:
    """
    Measure one worker and more of them, in turn, with the generator on the same machine.

    Each connection always has many requests in flight. So workers are never without work, and the
    generator takes little of the CPUs; what others take, the workers do not have.
    """
    with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as folder:
        try:
            program = compile_program("load", Path(folder))
            for kind in KINDS:
                measures: dict[str, Measure] = {
                    _name(count): partial(_sample, program, kind, count, seconds)
                    for count in counts
                }
                found = take_turns(measures, rounds)
                show(frame, kind.title, found, ours=list(measures)[-1])
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from error
    frame.console().print(LEGEND.format(rounds=rounds, seconds=seconds))


def _name(count: int) -> str:
    """What a table calls so many workers."""
    return "1 worker" if count == 1 else f"{count} workers"


def _sample(program: Path, kind: Kind, count: int, seconds: float) -> Figures:
    """Measure so many workers once."""
    folder, port = program.parent, free_port()
    # All connect at once: with the usual backlog of 50 some would try again, a second later.
    endpoint = f"tcp:{port}:interface=127.0.0.1:backlog=1024"
    words = ["--workers", str(count), "--arithmetic", endpoint]
    twistd = [sys.executable, "-c", TWISTD, "--reactor=lab", "-n", "--pidfile="]
    ready = b"listens on" if count == 1 else b"workers serve"
    requests = write_requests(folder / "requests", kind.requests)
    load = Load("tcp", "lines", requests, CONNECTIONS, kind.depth, 0, seconds)
    with announcing(_name(count), [*twistd, "lab-server", *words], folder, ready) as found:
        server = evolve(found, ports={"tcp": port})
        generate(program, server, evolve(load, seconds=WARM))
        cpu = cpu_of_each(server.pid)
        # The first process of several serves nobody.
        workers = [pid for pid in cpu if count == 1 or pid != server.pid]
        waited = {pid: waited_seconds(pid) for pid in workers}
        began = time.perf_counter()
        sample = generate(program, server, load)
        took = time.perf_counter() - began
        used = {pid: after - cpu[pid] for pid, after in cpu_of_each(server.pid).items()}
        waits = max(waited_seconds(pid) - before for pid, before in waited.items())
    # What was in flight at the end is answered behind it, at the same rate, and not counted.
    rate = sample.replies / sample.seconds
    return {
        "requests/s": rate,
        "CPU us": sum(used.values()) * 1e6 / (rate * took),
        "busiest": max(used[pid] for pid in workers) / took,
        "idlest": min(used[pid] for pid in workers) / took,
        "waits": waits / took,
        "generator": sample.generator_cpu / sample.seconds,
    }


if __name__ == "__main__":
    main()
