"""
How fast is the proxy? ``python benchmarks/proxy.py`` measures it for streams, beside others.

With ``--datagrams`` it measures that for datagrams.

One origin answers behind all of them, and is also asked directly. All are measured in turn, round
after round, so that whatever else the machine does hits all of them. Compare within a run, never
one run with another. Of the peers, those that are not installed are left out.
"""

import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click
from attrs import frozen
from rich.box import SIMPLE
from rich.table import Table

from frame import Frame, framed
from processes import BenchmarkError, Running, compile_program, cpu_seconds, serving
from proxies import DATAGRAMS, LIFETIME, PROXIES, Proxy, choose, running
from report import cell

DIRECT = "direct"
"""The origin without a proxy."""

OURS = "relay"
"""Ours, without faults: what ratios are of."""

AT_A_TIME = 32
"""How many connections there are at a time, or datagrams on their way, where there are many."""

LESS_IS_BETTER = {"CPU s/GiB", "p50 us", "p99 us", "CPU us, 1", f"CPU us, {AT_A_TIME}"}
"""Of which figures less is better."""

Rows = dict[str, dict[str, list[float]]]
"""The figures of each round, by peer and by what they are."""


@frozen
class Client:
    """
    What asks, which is a program in C that is cheaper than any proxy.

    Args:
        program: ``ends``, compiled.
        seconds: How long each measurement takes.
    """

    program: Path
    seconds: float

    def run(self, mode: str, proxy: Running, *more: int) -> dict[str, float]:
        """
        Measure once.

        Raises:
            BenchmarkError: The proxy did not do what it should.
        """
        (port,) = proxy.ports.values()
        words = [mode, str(port), str(self.seconds), *map(str, more)]
        command = [str(self.program), *words]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=self.seconds + 60, check=False
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{proxy.name}: {mode} has no end") from None
        if done.returncode:
            raise BenchmarkError(f"{proxy.name}: {done.stderr.strip()}")
        found: dict[str, float] = json.loads(done.stdout)
        return found


Measure = Callable[[Client, Running], dict[str, float]]
"""Gives figures by what they are."""


def throughput(client: Client, proxy: Running) -> dict[str, float]:
    """One stream at full speed; the rate is that of what has arrived when the origin says so."""
    before = cpu_seconds(proxy.pid)
    found = client.run("stream", proxy)
    cpu = cpu_seconds(proxy.pid) - before
    sent = found["bytes"]
    return {"MB/s": sent / found["seconds"] / 1e6, "CPU s/GiB": cpu / (sent / 2**30)}


def round_trips(client: Client, proxy: Running) -> dict[str, float]:
    """One question after the other."""
    found = client.run("ask", proxy)
    return {"p50 us": found["p50"], "p99 us": found["p99"]}


def connections(client: Client, proxy: Running) -> dict[str, float]:
    """Connections that ask once and close, one after the other and many at a time."""
    found = {}
    for number, name in ((1, "conn./s"), (AT_A_TIME, f"{AT_A_TIME} at a time")):
        got = client.run("connect", proxy, number)
        found[name] = got["count"] / got["seconds"]
    return found


def datagrams(client: Client, proxy: Running) -> dict[str, float]:
    """Datagrams that come back, one after the other and many at a time."""
    found = {}
    for number, name in ((1, "1 at a time"), (AT_A_TIME, f"{AT_A_TIME} at a time")):
        before = cpu_seconds(proxy.pid)
        got = client.run("datagrams", proxy, number)
        found[name] = got["count"] / got["seconds"]
        found[f"CPU us, {number}"] = (cpu_seconds(proxy.pid) - before) / got["count"] * 1e6
        found[f"lost, {number}"] = got["lost"]
    return found


MEASURES: tuple[Measure, ...] = (
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
@click.option("--datagrams", "udp", is_flag=True, help="Of datagrams, not of streams.")
@framed("proxy")
def main(
    *,
    frame: Frame,
    rounds: int,
    seconds: float,
    only: tuple[str, ...],
    commands: tuple[str, ...],
    udp: bool,
) -> None:
    """
    Measure the proxy for streams of this checkout beside others, on 127.0.0.1.

    Each round measures each of them: one stream at full speed, 64 bytes there and back one after
    the other, and connections that ask once, one after the other and 32 at a time. ROUNDS times
    all of that, of SECONDS seconds each. Of datagrams: 64 bytes there and back, one on its way and
    32, and how many were lost.
    """
    known, measures = (DATAGRAMS, (datagrams,)) if udp else (PROXIES, MEASURES)
    try:
        proxies = choose(known, only, commands)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-proxy-")))
            client = Client(compile_program("ends", folder), seconds)
            started = start(client, "echo" if udp else "origin", proxies, folder, stack)
            if only and DIRECT not in only:
                del started[DIRECT]
            rows = measure_all(client, started, rounds, measures)
    except (BenchmarkError, OSError) as error:
        raise click.ClickException(str(error)) from error
    titles = {DIRECT: "no proxy", **{name: proxy.title for name, proxy in known.items()}}
    titles |= {name: proxy.title for name, proxy in proxies.items()}
    show(frame, rows, titles, rounds, seconds)


def measure_all(
    client: Client, started: dict[str, Running], rounds: int, measures: tuple[Measure, ...]
) -> Rows:
    """
    Measure all in turn, round after round.

    Raises:
        BenchmarkError: There is nothing to measure.
    """
    if not started:
        raise BenchmarkError("nothing of that is there to be measured")
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for turn in range(rounds):
        for measure in measures:
            for name in list(started)[:: 1 if turn % 2 == 0 else -1]:
                for what, value in measure(client, started[name]).items():
                    rows[name][what].append(value)
    return rows


def start(
    client: Client, kind: str, proxies: dict[str, Proxy], folder: Path, stack: ExitStack
) -> dict[str, Running]:
    """Start such an origin, and what is measured if it is there; leaving the stack ends all."""
    command = (str(client.program), kind, LIFETIME)
    origin = stack.enter_context(serving("origin", command, folder))
    found = {DIRECT: origin}
    for name, proxy in proxies.items():
        if proxy.there:
            (port,) = origin.ports.values()
            found[name] = stack.enter_context(running(name, proxy, port, folder))
        else:
            click.echo(f"{proxy.title} is left out: there is no {proxy.program}", err=True)
    return found


def ratio(rows: Rows, name: str, what: str) -> float | None:
    """
    How much better ours is: the median of the rounds of the one divided by the other.

    None for what has none: there is no proxy, or ours did not run.
    """
    ours, theirs = rows.get(OURS, {}).get(what), rows[name][what]
    if not ours or name in {OURS, DIRECT} or 0 in {*ours, *theirs}:
        return None
    pairs = zip(ours, theirs, strict=True)
    return median(b / a if what in LESS_IS_BETTER else a / b for a, b in pairs)


def show(frame: Frame, rows: Rows, titles: dict[str, str], rounds: int, seconds: float) -> None:
    """
    Print medians of the rounds, the lowest and the highest, and how much better ours is.

    The frame has them, too.
    """
    table = Table(box=SIMPLE)
    table.add_column("", no_wrap=True)
    for what in next(iter(rows.values())):
        table.add_column(what, justify="right", no_wrap=True)
    for name, found in rows.items():
        cells = []
        for what, values in found.items():
            times = ratio(rows, name, what)
            shown = cell(values) + (f"\n{times:.2f} x" if times is not None else "")
            cells.append("" if name == DIRECT and "CPU" in what else shown)
        table.add_row(titles[name], *cells)
    frame.console().print(table)
    frame.console().print(
        f"Medians of {rounds} rounds of {seconds:g} s each, below the lowest and the highest, and "
        f"how much better {titles[OURS]} is, round by round."
    )
    for what in next(iter(rows.values())):
        # One table a figure: each is a picture of its own.
        each = {titles[name]: [{what: one} for one in found[what]] for name, found in rows.items()}
        frame.add(what, each, ours=titles.get(OURS, ""))


if __name__ == "__main__":
    main()
