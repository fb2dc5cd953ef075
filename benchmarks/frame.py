"""
What all benchmarks have in common: the machine, ``--json`` and ``--plot``.

A benchmark knows how to measure, and hands over what each peer did in each round.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field, frozen
from rich.console import Console

from lab.errors import LocalError
from lab.experiments.plots.paper import COLOURS, ending, headline, paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS = "txlab"
"""What the others are compared with, if nothing else is said."""

Figures = dict[str, float]
"""What one round of one peer says, by what it is."""

Rounds = dict[str, list[Figures]]
"""The rounds of each peer."""

_LOGARITHMIC = 20
"""From so many times the least on, bars are drawn on a logarithmic scale."""


def describe_machine() -> dict[str, str | int | float]:
    """Tell what the figures depend on."""
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "python": platform.python_version(),
        "twisted": _version("twisted"),
        "uvloop": _version("uvloop"),
        "kernel": platform.release(),
        "cpu": _processor(),
        "cpus": os.cpu_count() or 0,
        "usable_cpus": len(os.sched_getaffinity(0)),
        "tcp_congestion_control": congestion.read_text().strip() if congestion.exists() else "-",
        "load_average": round(os.getloadavg()[0], 1),
    }


def head(machine: dict[str, str | int | float]) -> str:
    """Say the same in a line for people."""
    return (
        "Python {python}, Twisted {twisted}, uvloop {uvloop}, Linux {kernel}, {usable_cpus} of "
        "{cpus} CPUs ({cpu}), TCP congestion control {tcp_congestion_control}, load "
        "{load_average} before.".format(**machine)
    )


def _version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def _processor() -> str:
    """Return the name of the CPU, as the kernel has it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@frozen
class Table:
    """
    What was measured of one kind.

    Args:
        title: For people.
        rounds: Of each peer.
        by: The figure by which peers are compared.
        ours: The peer that the others are compared with.
    """

    title: str
    rounds: Rounds
    by: str
    ours: str

    def medians(self, peer: str) -> Figures:
        """The median of each of a peer's figures."""
        found = self.rounds[peer]
        return {name: median(one[name] for one in found) for name in found[0]}

    def ratio(self, peer: str) -> float | None:
        """Our figure divided by a peer's, the median of the rounds; None if there is none."""
        mine, theirs = self.rounds.get(self.ours, []), self.rounds[peer]
        pairs = zip(mine, theirs, strict=False)
        known = [(a[self.by], b[self.by]) for a, b in pairs if b.get(self.by) and self.by in a]
        return median(a / b for a, b in known) if known else None

    def as_json(self) -> dict[str, Any]:
        """All that there is to know."""
        return {
            "title": self.title,
            "compared_by": self.by,
            "ours": self.ours,
            "peers": {
                peer: {"medians": self.medians(peer), "ours_is": self.ratio(peer), "rounds": found}
                for peer, found in self.rounds.items()
            },
        }


@define
class Frame:
    """
    Collects what a benchmark measures, and writes it where the user wants it.

    Args:
        name: Of the benchmark.
        json_file: Where JSON goes, ``-`` for standard output; None for nowhere.
        plot_file: The same of a picture, which is a PNG or an SVG.
        machine: What the figures depend on, as it was before.

    Attributes:
        more: What goes into the JSON object, too.
    """

    name: str
    json_file: str | None = None
    plot_file: str | None = None
    machine: dict[str, Any] = field(factory=describe_machine)
    more: dict[str, Any] = field(factory=dict)
    _tables: list[Table] = field(factory=list)

    @property
    def quiet(self) -> bool:
        """Whether standard output is for JSON only."""
        return self.json_file == "-"

    def console(self) -> Console:
        """A console on which no table is cut, besides standard output if that is for JSON."""
        width = None if sys.stdout.isatty() else 120
        return Console(highlight=False, width=width, stderr=self.quiet)

    def add(self, title: str, rounds: Rounds, by: str = "", ours: str = OURS) -> None:
        """
        Take over what was measured.

        Args:
            title: For people.
            rounds: Of each peer, at least one.
            by: The figure by which they are compared; by default the first.
            ours: The peer that the others are compared with.
        """
        first = next(iter(next(iter(rounds.values()))[0]))
        self._tables.append(Table(title, rounds, by or first, ours))

    def write(self) -> None:
        """
        Write the files that are wanted.

        Raises:
            LocalError: A file can't be written.
        """
        if self.json_file:
            document = {
                "benchmark": self.name,
                "arguments": sys.argv[1:],
                "machine": self.machine,
                **self.more,
                "tables": [table.as_json() for table in self._tables],
            }
            with click.open_file(self.json_file, "w") as file:
                file.write(json.dumps(document, indent=2) + "\n")
        if self.plot_file:
            paint(Path(self.plot_file), self._draw)

    def _draw(self, figure: "Figure") -> None:
        """One panel a table, below each other."""
        sizes = [len(table.rounds) + 1 for table in self._tables]
        figure.set_size_inches(9.0, 0.34 * sum(sizes) + 0.5 * len(sizes) + 1.2)
        panels = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=sizes)
        for axes, table in zip(panels.flat, self._tables, strict=True):
            _bars(axes, table)
        headline(figure, f"benchmarks/{self.name}.py", head(self.machine))


def _bars(axes: "Axes", table: Table) -> None:
    """The medians as bars, the rounds as dots, and how many times each ours is."""
    peers = [peer for peer, found in table.rounds.items() if table.by in found[0]]
    middle = [table.medians(peer)[table.by] for peer in peers]
    most, least = max(middle), min(middle)
    if least > 0 and most / least >= _LOGARITHMIC:
        axes.set_xscale("log")
    for place, (peer, value) in enumerate(zip(peers, middle, strict=True)):
        ours = peer == table.ours
        # Not by the colour alone: ours is hatched, and has no ratio.
        colour, hatch = (COLOURS[0], "//") if ours else (COLOURS[5], "")
        axes.barh(place, value, color=colour, hatch=hatch, edgecolor="white", height=0.7)
        dots = [one[table.by] for one in table.rounds[peer]]
        axes.plot(dots, [place] * len(dots), "o", color="black", markersize=3, alpha=0.6)
        ratio = None if ours else table.ratio(peer)
        text = _short(value) + ("" if ratio is None else f"  (ours {ratio:.2f} x)")
        axes.annotate(
            text,
            (max(value, *dots), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    axes.set_yticks(range(len(peers)), peers, fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.4)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    title = table.by if table.title == table.by else f"{table.title}: {table.by}"
    axes.set_title(title, fontsize="medium", loc="left")


def _short(value: float) -> str:
    """A figure in few characters."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def framed(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Give a command ``--json`` and ``--plot``, and the machine in its first line.

    Args:
        name: Of the benchmark. The command is called with its `Frame` as ``frame``.
    """

    def decorate(main: Callable[..., None]) -> Callable[..., None]:
        """Around one command."""

        @click.option(
            "--json",
            "json_file",
            metavar="FILE",
            type=click.Path(dir_okay=False, allow_dash=True),
            help="Write all that was measured to this file, too; - is standard output, alone.",
        )
        @click.option(
            "--plot",
            "plot_file",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help="Draw it: medians as bars, rounds as dots; .png or .svg.",
        )
        @wraps(main)
        def run(*, json_file: str | None, plot_file: str | None, **named: Any) -> None:
            frame = Frame(name, json_file, plot_file)
            try:
                if plot_file:
                    ending(Path(plot_file))  # before all is measured in vain
                click.echo(head(frame.machine), err=frame.quiet)
                main(frame=frame, **named)
                frame.write()
            except LocalError as error:
                raise click.ClickException(str(error)) from error

        return run

    return decorate
