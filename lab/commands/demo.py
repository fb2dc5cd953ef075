"""``lab demo``: the laboratory once, on this machine, and what happened there."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from attrs import define, field
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults
from twisted.python.failure import Failure

from lab import units
from lab.arithmetic import wire
from lab.arithmetic.asking import Answer
from lab.arithmetic.client import Traffic
from lab.arithmetic.numbers import OPERATORS, evaluate
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import Request
from lab.backoff import Backoff
from lab.commands.asking import make_client
from lab.commands.demo_download import DownloadLeg, download, make_file
from lab.commands.demo_echo import FAULTS, EchoLeg, echo
from lab.commands.processes import TwistdProcess
from lab.commands.running import FAILED, OK, run
from lab.commands.types import COUNT, SEED
from lab.errors import LabError
from lab.rng import Random, stream
from lab.statistics import Histogram

DROP_RATE = 0.3
# Twelve attempts: of a thousand requests, one in two thousand runs of the demo loses one.
_PATIENT = Backoff(first=0.02, cap=60.0)
_AT_ONCE = 20
# Where everything listens.
_PLACE = {kind: f"{kind}:0:interface=127.0.0.1" for kind in ("tcp", "udp")}


@define
class Leg:
    """
    One part of the demo, and what was seen in it.

    Args:
        name: What is shown of it.
        endpoint: Where the server listens, as a client's endpoint string.
    """

    name: str
    endpoint: str
    requests: int = 0
    right: int = 0
    wrong: int = 0
    dropped: int = 0
    error: str = ""
    traffic: Traffic = field(factory=Traffic)
    latency: Histogram = field(factory=Histogram)

    def answered(self, answer: Answer, request: Request) -> None:
        """There is an answer; look whether it is right."""
        value = evaluate(request.operator, request.left, request.right)
        if (answer.reply.code, answer.reply.value) == (wire.OK, value):
            self.right += 1
            self.latency.add(answer.waited)
        else:
            self.wrong += 1
            reply = answer.reply.encode().decode()
            self.error = f"the answer to {request.encode().decode()} is not {reply}"

    def failed(self, failure: Failure) -> None:
        """There is none."""
        failure.trap(LabError)
        self.error = str(failure.value)

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        times = (self.latency.percentile(50), self.latency.percentile(99), self.latency.most)
        again = self.traffic.sent - self.traffic.requests
        counts = (self.requests, again, self.dropped, self.right)
        return self.name, *(f"{n:,}" for n in counts), *map(units.show_seconds, times)


def questions(random: Random, count: int) -> list[Request]:
    """That many requests, of all operators, each with a right answer."""
    names = sorted(OPERATORS)
    return [
        Request(random.choice(names), random.randint(1, 99), random.randint(1, 9))
        for _ in range(count)
    ]


async def ask(
    reactor: Any, leg: Leg, requests: list[Request], seed: int, step: Callable[[], object]
) -> None:
    """Ask all requests of a leg, a few at a time."""
    leg.requests = len(requests)
    client = make_client(reactor, leg.endpoint, ClientSettings(_PATIENT), seed)
    room = DeferredSemaphore(_AT_ONCE)

    def one(request: Request) -> Deferred[object]:
        """Ask one of them."""
        asked = client.request(request.encode())
        asked.addCallbacks(leg.answered, leg.failed, callbackArgs=(request,))
        ended: Deferred[object] = asked.addBoth(lambda result: (step(), result)[1])
        return ended

    try:
        asked = [room.run(one, request) for request in requests]
        await gatherResults(asked, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()  # what happened, above all that it was cancelled
    finally:
        leg.traffic = client.traffic
        await client.close()


def table(legs: Sequence[Leg | EchoLeg | DownloadLeg]) -> Table:
    """What happened, a row for each leg."""
    title = "What was asked, what the network did, what came back"
    rows = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    rows.add_column("part", no_wrap=True)
    for name in ("requests", "resent", "dropped", "right", "p50", "p99", "max"):
        rows.add_column(name, justify="right", no_wrap=True)
    for leg in legs:
        rows.add_row(*leg.row)
    return rows


async def _main(reactor: Any, count: int, seed: int) -> int:
    """Start the server, ask it, end it, and judge."""
    console = Console()
    legs: list[Leg] = []
    parts: list[EchoLeg | DownloadLeg] = []

    def event(entry: dict[str, Any]) -> None:
        """Count what the server drops while it is asked on a leg."""
        if legs and "dropped: " in entry["message"]:
            legs[-1].dropped += 1

    with TemporaryDirectory(prefix="lab-demo-") as folder:
        root = _folder(folder, "served", seed)
        arguments = ["lab-server", "--drop-rate", str(DROP_RATE), "--seed", str(seed)]
        for kind in ("tcp", "udp"):
            arguments += ["--arithmetic", _PLACE[kind]]
        arguments += ["--echo", _PLACE["udp"], *_files(root)]
        async with _running(reactor, console, arguments, 4, event) as (_, starting):
            tcp, udp, upstream, files = await starting
            legs += [Leg("tcp", tcp), Leg(f"udp, {DROP_RATE:.0%} loss", udp)]
            faulty = ["lab-proxy", "--listen", _PLACE["udp"], "--upstream", upstream]
            faulty += [word for fault in FAULTS for word in ("--fault", fault)]
            faulty += ["--seed", str(seed)]
            second = ["lab-server", *_files(root)]
            async with (
                _running(reactor, console, faulty, 1) as (_, proxying),
                _running(reactor, console, second, 1) as (other, mirroring),
            ):
                await _ask_all(reactor, console, legs, count, seed)
                (place,) = await proxying
                parts += await echo(reactor, place, seed)
                (mirror,) = await mirroring
                there = (files, mirror), (root, Path(folder))
                parts.append(await download(reactor, *there, seed, other.kill))
    for told in parts if not console.is_terminal else ():
        console.print(told.told, highlight=False)
    console.print(table([*legs, *parts]))
    return _judge(console, legs, parts, count)


def _folder(folder: str, name: str, seed: int) -> Path:
    """A directory with the file that is downloaded."""
    root = Path(folder) / name
    root.mkdir()
    make_file(root, seed)
    return root


def _files(root: Path) -> list[str]:
    """Options of a server that serves this directory."""
    return ["--download", _PLACE["tcp"], "--root", str(root)]


@asynccontextmanager
async def _running(
    reactor: Any,
    console: Console,
    arguments: list[str],
    places: int,
    event: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> AsyncIterator[tuple[TwistdProcess, Deferred[list[str]]]]:
    """A process that starts while others are asked already, and has ended at the end."""
    process = TwistdProcess(event)
    starting = process.start(reactor, arguments, places)
    console.print("twistd -n " + " ".join(arguments), highlight=False, soft_wrap=True)
    try:
        yield process, starting
    finally:
        starting.addErrback(lambda _: None)  # what matters more has failed before
        await process.stop()


def _judge(
    console: Console, legs: list[Leg], parts: list[EchoLeg | DownloadLeg], count: int
) -> int:
    """Say what was wrong, if anything was, and what to do next; the exit code."""
    for leg in legs:
        if leg.right != leg.requests:
            console.print(f"{leg.name}: {leg.requests - leg.right} without a right answer")
            console.print(f"  {leg.error}", highlight=False)
    for part in parts:
        if not part.whole:
            console.print(f"{part.name}: {part.error or part.told}", highlight=False)
    right = all(leg.right == leg.requests == count for leg in legs)
    right = right and all(part.whole for part in parts)
    console.print("Every answer was right." if right else "Not every answer was right.")
    console.print(
        "Go on with: twistd -n lab-server, and in another terminal: lab arithmetic --help"
    )
    return OK if right else FAILED


async def _ask_all(reactor: Any, console: Console, legs: list[Leg], count: int, seed: int) -> None:
    """Ask on each leg in turn, with a bar on a terminal and a line elsewhere."""
    columns = (TextColumn("{task.description:30}"), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal)
    with bars:
        for leg in legs:
            bar = bars.add_task(leg.name, total=count)

            def step(bar: Any = bar) -> None:
                """One request has ended."""
                bars.advance(bar)
                bars.refresh()

            requests = questions(stream(seed, "demo", leg.name), count)
            await ask(reactor, leg, requests, seed, step)
            if not console.is_terminal:
                console.print(
                    f"arithmetic, {leg.name}: {leg.right} of {count} right", highlight=False
                )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--requests", type=COUNT, default="200", show_default=True, help="On each leg.")
@click.option("--seed", type=SEED, default="7", show_default=True, help="Draws all that is drawn.")
def command(requests: int, seed: int) -> None:
    """
    Run the laboratory once, on this machine, and show what happened.

    It starts a real `twistd -n lab-server` in a process of its own on free ports of 127.0.0.1,
    asks it over TCP, and over UDP while the server drops 30 % of what comes in; then a stream
    of packets and a file come from its echo service through a `twistd -n lab-proxy` that delays and
    loses. Last, a file is downloaded from two servers, of which one is killed midway. It prints a
    table, and ends after a few seconds; exit code 0 only if every answer was right and the files
    whole.
    """
    run(lambda reactor: _main(reactor, requests, seed))
