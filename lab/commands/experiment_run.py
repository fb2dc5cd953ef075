"""``lab experiment run``: carry out a plan, as real processes or in the simulator."""

import logging
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

import click
from attrs import evolve

from lab.commands.cell_client import COMMAND
from lab.commands.experiment_progress import Lines, make_progress
from lab.commands.experiment_report import SUMMARY, write
from lab.commands.running import FAILED, OK
from lab.commands.types import COUNT
from lab.errors import LabError, LocalError
from lab.experiments.plan import Plan, show
from lab.experiments.pools import Inline, pool
from lab.experiments.processes import Stage
from lab.experiments.results import PLACE
from lab.experiments.running import Run
from lab.experiments.samples import find
from lab.experiments.working import Work


class Interrupted(BaseException):
    """
    Somebody wants it to end.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def interrupt(number: int, _: object) -> NoReturn:
    """A signal has come."""
    raise Interrupted(number)


def listed(plan: Plan, *, simulated: bool) -> str:
    """The cells of a plan as a table: what is the same in all of them stands above."""
    same = {key: values[0] for key, values in plan.lists.items() if len(values) == 1}
    rows = [["cell", *(key for key in plan.lists if key not in same)]]
    for number, cell in enumerate(plan.cells(), 1):
        rows.append([str(number), *(show(cell.values[key]) for key in rows[0][1:])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    head = ", ".join(f"{key} = {show(value)}" for key, value in same.items())
    each = len(list(plan.repeated(next(plan.cells()), simulated=simulated)))
    warm_up = each - plan.repetitions
    kinds = _many(plan.repetitions, "repetition") + (
        f" and {warm_up:,} to warm up" if warm_up else ""
    )
    runs = f"{_many(len(plan), 'cell')}, of each {kinds}: {_many(len(plan) * each, 'run')}"
    return "\n".join([f"{plan.service}: {head}", *lines, runs])


def _many(number: int, what: str) -> str:
    """So many of something."""
    return f"{number:,} {what}{'s' * (number != 1)}"


#: Where it runs, and how many are given to it at a time.
Place = tuple[Executor, Callable[[], int]]


@contextmanager
def here(jobs: int | None, *, simulated: bool) -> Iterator[Place]:
    """This machine: real processes one repetition at a time in this process, if not said."""
    jobs = jobs or (_processors() if simulated else 1)
    if jobs == 1 and not simulated:
        yield Inline(), lambda: 1
        return
    with pool(jobs) as made:
        yield made, lambda: 1 if jobs == 1 else 2 * jobs


@contextmanager
def elsewhere(scheduler: str, jobs: int | None, folder: Path, view: Lines) -> Iterator[Place]:
    """The workers of a Dask cluster: all their threads have the next one waiting, if not said."""
    from lab.experiments.cluster import check, cluster

    check(scheduler)
    _hush()
    with cluster(scheduler, folder, view.say) as made:
        yield made, lambda: jobs or max(1, 2 * made.threads)


def _hush() -> None:
    """What Dask has to say is said by us, in one line; it sets its loggers up when it is there."""
    import distributed  # noqa: F401 - see above

    for name in ("distributed", "distributed.client", "tornado", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"distributed\.")


def tell_figures(folder: Path) -> None:
    """Write the table of figures beside the results."""
    # It takes a while to import what computes them.
    from lab.experiments.cells import load
    from lab.experiments.summary import table

    write(folder / SUMMARY, table(load(folder)))


def carry_out(run: Run, where: AbstractContextManager[Place], view: Lines) -> int:
    """Run it; gives the exit code."""
    work = Work(run.plan.name, run.plan.limit)
    if not run.simulated:
        stage = Stage(time.monotonic, run.folder.resolve(), COMMAND)
        work = Work(run.plan.name, run.plan.limit, stage, time.time)
    with where as (executor, ahead), view:
        failed = run.carry_out(executor, work, ahead=ahead, begin=view.begin, watch=view.done)
    tell_figures(run.folder)
    view.say(f"results are in {run.folder / PLACE}")
    if failed:
        view.complain(f"{failed:,} of them are failures; run it again to try those again")
    return FAILED if failed else OK


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("plan", metavar="PLAN")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where everything goes; the plan's name without its ending if not said.",
)  # fmt: skip
@click.option("--simulate", is_flag=True, help="In the simulator, not as real processes.")
@click.option("--dry-run", is_flag=True, help="List the cells, and run none.")
@click.option(
    "--jobs", type=COUNT, metavar="N",
    help="So many at a time: 1 of real ones, all processors for simulated ones, if not said.",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="tcp://HOST:PORT",
    help="On the workers of this Dask cluster, not on this machine; needs txlab[cluster].",
)  # fmt: skip
@click.option("--repetitions", type=COUNT, metavar="N", help="Of each cell, not those of the plan.")
def command(  # noqa: PLR0913 - one for each option
    plan: str,
    *,
    to: Path | None,
    simulate: bool,
    dry_run: bool,
    jobs: int | None,
    scheduler: str | None,
    repetitions: int | None,
) -> int:
    """
    Run all cells of PLAN, an INI file or the name of one of lab experiment plans.

    The lists of its section [experiment] make cells, each of which is run several times: as a
    server, a proxy with the faults before it, and clients, all in processes of their own on
    127.0.0.1; or with --simulate in the simulator. Results are lines of DIR/times/results.jsonl,
    and DIR/times/summary.csv has their figures.
    After Ctrl-C or kill -9 the same command goes on: what is finished is not done again.

    \b
    Examples:
      lab experiment run rpc --dry-run
      lab experiment run rpc --simulate --to rpc-simulated
      lab experiment run plan.ini --repetitions 30
      lab experiment run plan.ini --scheduler tcp://10.0.0.1:8786

    Exit codes: 0 ok, 1 some runs failed, 2 usage, 130 interrupted.
    """
    try:
        chosen = find(plan)
        if repetitions is not None:
            chosen = evolve(chosen, repetitions=repetitions)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    if dry_run:
        click.echo(listed(chosen, simulated=simulate))
        return OK
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    run = Run(chosen, to or Path(chosen.name), simulate)
    view = make_progress(time.monotonic)
    where = (
        here(jobs, simulated=simulate)
        if scheduler is None
        else elsewhere(scheduler, jobs, run.folder, view)
    )
    try:
        return carry_out(run, where, view)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except Interrupted as stopped:
        again = shlex.join(["lab", *sys.argv[1:]])
        sys.stderr.write(f"interrupted; what is finished is kept, go on with: {again}\n")
        return 128 + stopped.number


def _processors() -> int:
    """How many this process may use."""
    from lab.simulator.parallel import cpus

    return cpus()
