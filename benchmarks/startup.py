"""
How soon do the commands start? ``python benchmarks/startup.py`` says so.

Each is started anew, in turn with ``import twisted.internet.reactor``, which every program on
Twisted has to do before it can do anything. CPU time counts less of what else the machine does. The
request of ``lab arithmetic`` is answered by a server of this checkout, which has started before.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import click
from rich.box import SIMPLE
from rich.table import Table

from frame import Figures, Frame, framed
from processes import HERE, BenchmarkError, environment, serving
from report import cell
from turns import Measure, take_turns

BASE = "import twisted.internet.reactor"
"""What the others are compared with."""


def start(command: list[str]) -> Figures:
    """Run a command to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BenchmarkError(f"{' '.join(command)}: {''.join(said) or done.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ms": took * 1e3, "CPU ms": cpu * 1e3}


def commands(port: int) -> dict[str, list[str]]:
    """What is started; the programs are those of the Python that runs this."""
    lab, twistd = (_program(name) for name in ("lab", "twistd"))
    return {
        BASE: [sys.executable, "-c", BASE],
        "lab --help": [lab, "--help"],
        "lab arithmetic +,1,1": [lab, "arithmetic", f"tcp:127.0.0.1:{port}", "+,1,1"],
        "twistd --help": [twistd, "--help"],
        "twistd lab-server --help": [twistd, "lab-server", "--help"],
    }


def _program(name: str) -> str:
    """Where it is installed."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise BenchmarkError(f"{name} is not there; pip install -e .")
    return found


def show(frame: Frame, found: dict[str, list[Figures]]) -> None:
    """Print medians of the rounds, and each divided by the import of the reactor."""
    table = Table(
        box=SIMPLE, title="From the start of the process to its end", title_justify="left"
    )
    table.add_column("", no_wrap=True)
    for name in ("ms", "CPU ms", "times the import", "by CPU time"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, rounds in found.items():
        cells = [cell([one[figure] for one in rounds]) for figure in ("ms", "CPU ms")]
        pairs = list(zip(rounds, found[BASE], strict=True))
        ratios = [median(a[what] / b[what] for a, b in pairs) for what in ("ms", "CPU ms")]
        table.add_row(name, *cells, *(f"{ratio:.2f}" for ratio in ratios))
    frame.console().print(table)
    frame.add("Start and end of a process", found, "CPU ms", ours=BASE)


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=11, show_default=True)
@framed("startup")
def main(*, frame: Frame, rounds: int) -> None:
    """Measure how long the commands take that do next to nothing, and print a table."""
    script = (sys.executable, str(HERE / "peers" / "txlab.py"), "default", "3600")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="lab-startup-") as folder,
            serving("txlab", script, Path(folder)) as server,
        ):
            measures: dict[str, Measure] = {
                name: partial(start, command)
                for name, command in commands(server.ports["tcp"]).items()
            }
            found = take_turns(measures, rounds)
    except (BenchmarkError, OSError) as error:
        raise click.ClickException(str(error)) from error
    show(frame, found)
    frame.console().print(
        f"Medians of {rounds} rounds, below the lowest and the highest. Times the import: divided "
        f"by `{BASE}`, round by round."
    )


if __name__ == "__main__":
    main()
