"""``lab experiment report``: a run as one page of HTML."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.commands.pictures import mistakes
from lab.errors import LocalError

if TYPE_CHECKING:
    from lab.experiments.cells import Run

#: The folder of plans in the directory of an experiment, and the table of its figures.
CONFIGS, SUMMARY = "configs", Path("times", "summary.csv")
# So many bytes of a plan are shown.
_MOST = 2**16


def plans_of(folder: Path) -> dict[str, str]:
    """The text of each INI file that a run has kept, by its name."""
    return {
        path.name: path.read_bytes()[:_MOST].decode(errors="replace")
        for path in sorted((folder / CONFIGS).glob("*.ini"))
    }


def again(folder: Path, plans: dict[str, str], run: "Run") -> str:
    """What to type to have a run once more, beside the first."""
    plan = str(folder / CONFIGS / next(iter(plans))) if plans else f"{run.experiment}.ini"
    simulate = ["--simulate"] if run.simulated else []
    words = ["lab", "experiment", "run", plan, *simulate, "--to", f"{folder.name or 'run'}-again"]
    return shlex.join(words)


def write(path: Path, text: str) -> None:
    """
    Write a file.

    Raises:
        LocalError: It can't be written.
    """
    try:
        # As it is: CSV has line endings of its own (RFC 4180).
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise LocalError(f"output is {str(path)!r}; {error.strerror}") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The page; DIR/report.html if not said.",
)  # fmt: skip
@click.option(
    "--csv", "table_to", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The figures as CSV; DIR/times/summary.csv if not said.",
)  # fmt: skip
def command(path: Path, *, output: Path | None, table_to: Path | None) -> None:
    """
    Make one page of HTML of an experiment, and a CSV file of its figures.

    DIR is the directory of an experiment, or its file of results. The page has pictures, figures
    with 95 % intervals, warnings, the plan, versions, and the command that repeats it; everything
    is inside, nothing comes from a network.

    \b
    Example:
      lab experiment report rpc -o rpc.html

    Exit codes: 0 ok, 2 usage.
    """
    from lab.experiments.cells import load
    from lab.experiments.report import Report
    from lab.experiments.summary import table

    with mistakes():
        run = load(path)
        folder = path if path.is_dir() else path.parent
        plans = plans_of(folder)
        page, figures = output or folder / "report.html", table_to or _summary(path)
        write(page, Report(run, again(folder, plans, run), plans).page())
        click.echo(page)
        write(figures, table(run))
        click.echo(figures)


def _summary(path: Path) -> Path:
    """Where the table goes: beside the results."""
    return path / SUMMARY if path.is_dir() else path.with_name(SUMMARY.name)
