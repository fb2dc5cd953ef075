"""
How fast is the proxy for streams? ``python benchmarks/proxy.py`` measures it beside others.

One origin answers behind all of them, and is also asked directly. All are measured in turn, round
after round, so that whatever else the machine does hits all of them. Compare within a run, never
one run with another.
"""

import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from processes import HERE, BenchmarkError, serving
from report import describe_machine

CHUNK = b"x" * (256 * 1024)
"""What a stream is sent in."""

QUESTION = b"x" * 64
"""What goes there and back."""

LIFETIME = "3600"
"""When a server ends by itself, in seconds: long after it was ended by us."""

PEERS = {
    "direct": "no proxy",
    "relay": "txlab, without faults",
    "latency": "txlab, 20 ms upstream",
    "portforward": "twisted portforward",
}
"""What is measured."""

Rows = dict[str, dict[str, list[float]]]
"""The figures of each round, by peer and by what they are."""


def connect(port: int, mode: bytes) -> socket.socket:
    """Connect, and say what the origin shall do."""
    made = socket.create_connection(("127.0.0.1", port), timeout=30)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.sendall(mode)
    return made


def ask(connection: socket.socket) -> float:
    """There and back once; how long that took, in seconds."""
    begin = time.perf_counter()
    connection.sendall(QUESTION)
    left = len(QUESTION)
    while left:
        got = len(connection.recv(left))
        if not got:
            raise BenchmarkError("a connection ended before its answer")
        left -= got
    return time.perf_counter() - begin


def throughput(port: int, seconds: float) -> dict[str, float]:
    """Send for so long; the rate is that of what has arrived when the origin says how much."""
    with connect(port, b"s") as connection:
        begin = time.perf_counter()
        sent = 0
        while time.perf_counter() - begin < seconds:
            connection.sendall(CHUNK)
            sent += len(CHUNK)
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(100)
        taken = time.perf_counter() - begin
    # A proxy that knows no half-close loses the answer, but not the time at which all was over.
    if said and int(said) != sent:
        raise BenchmarkError(f"{sent:,} bytes were sent, and {int(said):,} have arrived")
    return {"MB/s": sent / taken / 1e6}


def round_trips(port: int, seconds: float) -> dict[str, float]:
    """Ask one question after the other."""
    times = []
    with connect(port, b"e") as connection:
        ask(connection)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            times.append(ask(connection) * 1e6)
    times.sort()
    return {"p50 us": median(times), "p99 us": times[int(0.99 * len(times))]}


def connections(port: int, seconds: float) -> dict[str, float]:
    """Connect, ask once and close, one after the other."""
    count, begin = 0, time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        with connect(port, b"e") as connection:
            ask(connection)
        count += 1
    return {"connections/s": count / taken}


MEASURES: tuple[Callable[[int, float], dict[str, float]], ...] = (
    throughput,
    round_trips,
    connections,
)


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.05, 60), default=1.0, show_default=True)
@click.option("--peer", "peers", multiple=True, type=click.Choice(list(PEERS)))
def main(*, rounds: int, seconds: float, peers: tuple[str, ...]) -> None:
    """
    Measure the proxy for streams of this checkout beside others, on 127.0.0.1.

    Each round measures each of them: one stream at full speed, 64 bytes there and back one after
    the other, and connections one after the other that ask once. ROUNDS times all of that, of
    SECONDS seconds each.
    """
    rows: Rows = defaultdict(lambda: defaultdict(list))
    chosen = peers or tuple(PEERS)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-proxy-")))
            ports = start(chosen, folder, stack)
            for turn in range(rounds):
                for peer in chosen[:: 1 if turn % 2 == 0 else -1]:
                    for measure in MEASURES:
                        for name, value in measure(ports[peer], seconds).items():
                            rows[peer][name].append(value)
    except (BenchmarkError, OSError) as error:
        raise click.ClickException(str(error)) from error
    show(rows, chosen, rounds, seconds)


def start(peers: tuple[str, ...], folder: Path, stack: ExitStack) -> dict[str, int]:
    """Start what is measured; leaving the stack ends it."""
    script = str(HERE / "peers" / "origin.py")
    origin = serving("origin", (sys.executable, script, LIFETIME), folder)
    ports = {"direct": stack.enter_context(origin).ports["tcp"]}
    for peer in peers:
        if peer != "direct":
            script = str(HERE / "peers" / "relays.py")
            command = (sys.executable, script, peer, str(ports["direct"]), LIFETIME)
            ports[peer] = stack.enter_context(serving(peer, command, folder)).ports["tcp"]
    return ports


def show(rows: Rows, peers: tuple[str, ...], rounds: int, seconds: float) -> None:
    """Print medians of the rounds, with the lowest and the highest."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=SIMPLE)
    table.add_column("", no_wrap=True)
    names = list(rows[peers[0]])
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for peer in peers:
        found = [rows[peer][name] for name in names]
        cells = [f"{median(one):,.0f}\n{min(one):,.0f}-{max(one):,.0f}" for one in found]
        table.add_row(PEERS[peer], *cells)
    console.print(table)
    console.print(
        "Medians of {rounds} rounds of {seconds:g} s each, below the lowest and the highest. "
        "Python {python}, Twisted {twisted}, Linux {kernel}, {usable_cpus} CPUs.".format(
            rounds=rounds, seconds=seconds, **describe_machine()
        )
    )


if __name__ == "__main__":
    main()
