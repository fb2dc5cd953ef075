"""``lab plot``: a capture or a journal as a picture."""

from pathlib import Path
from typing import Any

import click

from lab.commands.pictures import PICTURE, mistakes
from lab.commands.types import TIME
from lab.errors import LocalError

#: The kinds of pictures.
KINDS = ("ladder", "time")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--kind", default="ladder", show_default=True, metavar="KIND",
    help="ladder: packets as arrows between hosts; time: numbers over time.",
)  # fmt: skip
@click.option(
    "--from", "begin", type=TIME, default="0", show_default=True, metavar="SECONDS",
    help="Leave out what was before.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=PICTURE, metavar="FILE",
    help="The picture, .png or .svg; that of FILE with .svg if not said.",
)  # fmt: skip
def command(path: Path, *, kind: str, begin: float, output: Path | None) -> None:
    """
    Draw FILE, a capture in pcapng or a journal of faults.

    A ladder has hosts as lines and packets as arrows, with flags, numbers and how texts begin;
    what was lost ends in a cross. Over time there are TCP's sequence numbers, or packets counted,
    with what was sent again, lost or doubled marked. Of a capture of the simulator both sides of
    each link are known, and so are loss and delay. A ladder has the first 200 packets; --from
    shows later ones.

    \b
    Examples:
      lab plot run.pcapng
      lab plot run.pcapng --kind time -o run.png
      lab plot decisions.jsonl

    Exit codes: 0 ok, 2 usage.
    """
    from lab.experiments.plots import ladder, progress
    from lab.experiments.plots.paper import paint
    from lab.experiments.seen import look

    with mistakes():
        if kind not in KINDS:
            raise LocalError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
        seen = look(path, begin)

        def draw(figure: Any) -> None:
            """Draw the kind that is wanted."""
            if kind == "ladder":
                ladder.draw(figure, path.name, seen.arrows, seen.notes)
            else:
                progress.draw(figure, path.name, seen.traces, seen.notes)

        place = output or path.with_suffix(".svg")
        paint(place, draw)
        click.echo(place)
