"""``lab experiment compare``: whether one run is worse than another."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.commands.experiment_plot import read_where
from lab.commands.pictures import mistakes
from lab.commands.running import FAILED, OK
from lab.commands.types import Typed
from lab.errors import LocalError

if TYPE_CHECKING:
    from lab.experiments.cells import Run
    from lab.experiments.comparison import Comparison, Row


def threshold(text: str, name: str) -> float:
    """
    Read a ratio from 1 on.

    Raises:
        LocalError: None.

    >>> threshold("1.05", "threshold")
    1.05
    """
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) < 1:
        raise LocalError(f"{name} is {text!r}; give a ratio of 1 or more, for example 1.05")
    return float(text)


def line(row: "Row", names: list[str]) -> list[str]:
    """A row of the table."""
    from lab.experiments.cells import show
    from lab.experiments.plots.paper import Scale

    scale = Scale.of(row.unit, max(map(abs, row.means)))
    means = (f"{mean * scale.factor:.4g} {scale.unit}".strip() for mean in row.means)
    interval = row.interval
    return [
        *(show(name, row.cell.get(name, "")) for name in names),
        row.measure,
        "{}, {}".format(*row.counts),
        *means,
        f"{row.ratio:.3f}",
        f"{interval.low:.3f} to {interval.high:.3f}" if interval else "",
        f"{row.probability:.3g}",
        row.verdict,
    ]


def print_table(one: "Run", other: "Run", found: "Comparison") -> None:
    """Show all rows, then what there is to say of the others."""
    from lab.experiments.cells import varied

    names = varied(one.cells)
    head = [*names, "measure", "n", one.name or "A", other.name or "B"]
    head += ["B/A", "95 %", "p", "verdict"]
    rows = [head, *(line(row, names) for row in found.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(words).rstrip())
    for run, cells in zip((one, other), found.only, strict=True):
        for cell in cells:
            click.echo(f"only {run.name} has {cell.label(run.parameters)}")


def as_json(found: "Comparison") -> str:
    """All rows as one object."""
    first, second = ([dict(cell.values) for cell in cells] for cells in found.only)
    values: dict[str, Any] = {
        "rows": [row.as_json() for row in found.rows],
        "only_first": first,
        "only_second": second,
        "blind": found.blind,
        "worse": found.worse,
    }
    return json.dumps(values, allow_nan=False)


def runs(
    first: Path,
    second: Path | None,
    between: tuple[str, str, str] | None,
    where: dict[str, str],
) -> "tuple[Run, Run]":
    """
    The two runs that are compared.

    Args:
        first: The directory of the one.
        second: That of the other; None for the same.
        between: A parameter, and its value in the cells of either that are compared; None for all.
        where: Other values that these cells have.

    Raises:
        LocalError: They can't be read, or have no such cells, or there is nothing to compare.
    """
    from lab.experiments.cells import load

    if second is None and between is None:
        raise LocalError("B is missing; give a second run, or --between PARAMETER ONE OTHER")
    one = load(first).where(where)
    other = one if second is None else load(second).where(where)
    if between is None:
        return one, other
    parameter, *texts = between
    return one.only(parameter, texts[0]), other.only(parameter, texts[1])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", required=False, type=click.Path(path_type=Path), metavar="[B]")
@click.option(
    "--between", nargs=3, metavar="PARAMETER ONE OTHER",
    help="Compare cells with one value of a parameter with those with another one.",
)  # fmt: skip
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE",
    help="Only cells in which a parameter has this value; repeatable.",
)  # fmt: skip
@click.option("--measure", multiple=True, metavar="NAME", help="Only this; repeatable.")
@click.option(
    "--statistic", default="mean", show_default=True, metavar="NAME",
    help="What a repetition's number is: mean, median, p90, p95, p99, p99.9.",
)  # fmt: skip
@click.option(
    "--threshold", "limit", type=Typed(threshold, "ratio"), default="1.05", show_default=True,
    metavar="RATIO", help="Worse is what is worse by more than this.",
)  # fmt: skip
@click.option("--json", "json_wanted", is_flag=True, help="Print one object.")
def command(  # noqa: PLR0913 - what can be set, by name
    first: Path,
    second: Path | None,
    *,
    between: tuple[str, str, str] | None,
    where: tuple[str, ...],
    measure: tuple[str, ...],
    statistic: str,
    limit: float,
    json_wanted: bool,
) -> int:
    """
    Compare two runs of an experiment, cell by cell, and fail if B is worse than A.

    A and B are directories of experiments, or files of results. Each cell that both have gets the
    ratio of B to A with its 95 % interval, and the probability of so large a difference by
    chance: the rank test of Mann and Whitney, corrected for the number of rows (Holm). B is worse
    where the ratio is beyond --threshold in the direction that is worse for the measure, and the
    probability is below 0.05. Without --measure all are compared of which less or more is better.
    With --between A has the cells with ONE, and B, which may be the same run, those with OTHER.

    \b
    Examples:
      lab experiment compare before after --measure latency --statistic p99 --threshold 1.1
      lab experiment compare rpc --between backoff none exponential --measure success

    Exit codes: 0 nothing is worse, 1 something is, 2 usage.
    """
    from lab.experiments.comparison import Question, compare

    with mistakes():
        one, other = runs(first, second, between, read_where(where))
        found = compare(one, other, Question(measure, statistic, limit))
    if json_wanted:
        click.echo(as_json(found))
    else:
        print_table(one, other, found)
    if found.blind:
        click.echo(
            f"{found.blind:,} rows have too few repetitions to tell any difference from chance",
            err=True,
        )
    return FAILED if found.worse else OK
