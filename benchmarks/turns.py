"""What measures take in turns, and the table of it: ours beside others."""

import shutil
from collections import defaultdict
from collections.abc import Callable
from statistics import median

import click
from rich.box import SIMPLE
from rich.table import Table

from frame import OURS, Figures, Frame
from report import cell

Measure = Callable[[], Figures]
"""One round of one of them."""


def there(program: str, package: str = "") -> str | None:
    """
    Where a peer is installed; says what to install if it is not.

    Args:
        program: Its name.
        package: Of Debian, if that is not called as the program.
    """
    # Servers are where not everybody looks.
    found = shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin")
    if found is None:
        click.echo(f"{program} is left out: apt-get install {package or program}", err=True)
    return found


def take_turns(measures: dict[str, Measure], rounds: int) -> dict[str, list[Figures]]:
    """The figures of each, round after round, every other one backwards."""
    found: dict[str, list[Figures]] = defaultdict(list)
    for turn in range(rounds):
        for name in list(measures)[:: 1 if turn % 2 == 0 else -1]:
            found[name].append(measures[name]())
    return {name: found[name] for name in measures}


def show(
    frame: Frame, title: str, found: dict[str, list[Figures]], by: str = "", ours: str = OURS
) -> None:
    """
    Print medians of the rounds, and ours divided by each of the others'; the frame has them, too.

    Args:
        frame: Of the benchmark.
        title: Above it.
        found: What `take_turns` has found; a figure that is missing is left blank.
        by: What is divided; the first figure by default.
        ours: What is divided by the others.
    """
    names = list(found[ours][0])
    table = Table(
        box=SIMPLE, title=title, title_justify="left", collapse_padding=True, pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for name in (*names, f"{ours} is"):
        table.add_column(name, justify="right", no_wrap=True)
    first = by or names[0]
    for peer, rounds in found.items():
        cells = [cell([one[name] for one in rounds]) if name in rounds[0] else "" for name in names]
        ratio = median(o[first] / t[first] for o, t in zip(found[ours], rounds, strict=True))
        table.add_row(peer, *cells, f"{ratio:.2f}")
    frame.console().print(table)
    frame.add(title, found, by, ours)
