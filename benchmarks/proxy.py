"""
How fast is the proxy for streams? ``python benchmarks/proxy.py`` measures it beside others.

One origin answers behind all of them, and is also asked directly. All are measured in turn, round
after round, so that whatever else the machine does hits all of them. Compare within a run, never
one run with another. Of the peers, those that are not installed are left out.
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
from rich.table import Table

from frame import Frame, framed
from processes import HERE, BenchmarkError, Running, cpu_seconds, serving
from proxies import LIFETIME, PROXIES, Proxy, choose, running
from report import cell

CHUNK = b"x" * (256 * 1024)
"""What a stream is sent in."""

QUESTION = b"x" * 64
"""What goes there and back."""

DIRECT = "direct"
"""The origin without a proxy."""

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


def throughput(proxy: Running, seconds: float) -> dict[str, float]:
    """Send for so long; the rate is that of what has arrived when the origin says how much."""
    before = cpu_seconds(proxy.pid)
    with connect(proxy.ports["tcp"], b"s") as connection:
        begin = time.perf_counter()
        sent = 0
        while time.perf_counter() - begin < seconds:
            connection.sendall(CHUNK)
            sent += len(CHUNK)
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(100)
        taken = time.perf_counter() - begin
    cpu = cpu_seconds(proxy.pid) - before
    # A proxy that knows no half-close loses the answer, but not the time at which all was over.
    if said and int(said) != sent:
        raise BenchmarkError(f"{sent:,} bytes were sent, and {int(said):,} have arrived")
    return {"MB/s": sent / taken / 1e6, "CPU s/GiB": cpu / (sent / 2**30)}


def round_trips(proxy: Running, seconds: float) -> dict[str, float]:
    """Ask one question after the other."""
    times = []
    with connect(proxy.ports["tcp"], b"e") as connection:
        ask(connection)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            times.append(ask(connection) * 1e6)
    times.sort()
    return {"p50 us": median(times), "p99 us": times[int(0.99 * len(times))]}


def connections(proxy: Running, seconds: float) -> dict[str, float]:
    """Connect, ask once and close, one after the other."""
    count, begin = 0, time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        with connect(proxy.ports["tcp"], b"e") as connection:
            ask(connection)
        count += 1
    return {"connections/s": count / taken}


MEASURES: tuple[Callable[[Running, float], dict[str, float]], ...] = (
    throughput,
    round_trips,
    connections,
)


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.05, 60), default=1.0, show_default=True)
@click.option("--only", multiple=True, type=click.Choice([DIRECT, *PROXIES]), help="Of these.")
@click.option(
    "--peer", "commands", multiple=True, metavar="CMD",
    help="One more: a command with {listen} and {upstream} for the ports.",
)  # fmt: skip
@framed("proxy")
def main(
    *, frame: Frame, rounds: int, seconds: float, only: tuple[str, ...], commands: tuple[str, ...]
) -> None:
    """
    Measure the proxy for streams of this checkout beside others, on 127.0.0.1.

    Each round measures each of them: one stream at full speed, 64 bytes there and back one after
    the other, and connections one after the other that ask once. ROUNDS times all of that, of
    SECONDS seconds each.
    """
    try:
        proxies = choose(only, commands)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-proxy-")))
            started = start(proxies, folder, stack)
            if only and DIRECT not in only:
                del started[DIRECT]
            rows = measure_all(started, rounds, seconds)
    except (BenchmarkError, OSError) as error:
        raise click.ClickException(str(error)) from error
    titles = {DIRECT: "no proxy", **{name: proxy.title for name, proxy in proxies.items()}}
    show(frame, rows, titles, rounds, seconds)


def measure_all(started: dict[str, Running], rounds: int, seconds: float) -> Rows:
    """
    Measure all in turn, round after round.

    Raises:
        BenchmarkError: There is nothing to measure.
    """
    if not started:
        raise BenchmarkError("nothing of that is there to be measured")
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for turn in range(rounds):
        for name in list(started)[:: 1 if turn % 2 == 0 else -1]:
            for measure in MEASURES:
                for what, value in measure(started[name], seconds).items():
                    rows[name][what].append(value)
    return rows


def start(proxies: dict[str, Proxy], folder: Path, stack: ExitStack) -> dict[str, Running]:
    """Start the origin, and what is measured if it is there; leaving the stack ends all."""
    script = str(HERE / "peers" / "origin.py")
    origin = stack.enter_context(serving("origin", (sys.executable, script, LIFETIME), folder))
    found = {DIRECT: origin}
    for name, proxy in proxies.items():
        if proxy.there:
            found[name] = stack.enter_context(running(name, proxy, origin.ports["tcp"], folder))
        else:
            click.echo(f"{proxy.title} is left out: there is no {proxy.program}", err=True)
    return found


def show(frame: Frame, rows: Rows, titles: dict[str, str], rounds: int, seconds: float) -> None:
    """Print medians of the rounds, with the lowest and the highest; the frame has them, too."""
    table = Table(box=SIMPLE)
    table.add_column("", no_wrap=True)
    for what in next(iter(rows.values())):
        table.add_column(what, justify="right", no_wrap=True)
    for name, found in rows.items():
        cells = [
            cell(values) if name != DIRECT or "CPU" not in what else ""
            for what, values in found.items()
        ]
        table.add_row(titles[name], *cells)
    frame.console().print(table)
    frame.console().print(
        f"Medians of {rounds} rounds of {seconds:g} s each, below the lowest and the highest."
    )
    for what in next(iter(rows.values())):
        # One table a figure: each is a picture of its own.
        each = {titles[name]: [{what: one} for one in found[what]] for name, found in rows.items()}
        frame.add(what, each, ours=titles.get("relay", ""))


if __name__ == "__main__":
    main()
