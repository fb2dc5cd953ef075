"""``lab experiment plot``: pictures of what was measured."""

from pathlib import Path

import click

from lab.commands.pictures import PICTURE, mistakes
from lab.errors import LocalError
from lab.experiments.plots.kinds import KINDS

#: Where pictures go in the directory of an experiment.
FOLDER = "plots"


def read_where(words: tuple[str, ...]) -> dict[str, str]:
    """
    Read which cells are wanted.

    Raises:
        LocalError: Not a name and a value.

    >>> read_where(("size=1M",))
    {'size': '1M'}
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise LocalError(f"where is {word!r}; give NAME=VALUE, for example size=1M")
        found[name] = value
    return found


def places(first: Path, out: Path | None, names: list[str]) -> list[list[Path]]:
    """
    Where pictures go.

    Args:
        first: The first of the directories or files of results.
        out: The name that was asked for. Of several pictures each has its own name in it; None:
            they go to the folder ``plots`` beside the results, as PNG and SVG.
        names: Of the pictures.

    Returns:
        The files of each.
    """
    if out is not None:
        if len(names) == 1:
            return [[out]]
        return [[out.with_name(f"{out.stem}-{name}{out.suffix}")] for name in names]
    folder = first / FOLDER if first.is_dir() else first.parent
    return [[folder / f"{name}.png", folder / f"{name}.svg"] for name in names]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option("--kind", metavar="KIND", help=f"Only this: {', '.join(KINDS)}.")
@click.option("--measure", metavar="NAME", help="Only of this measure.")
@click.option("--x", metavar="PARAMETER", help="What stands along the axis.")
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE",
    help="Only cells in which a parameter has this value; repeatable.",
)  # fmt: skip
@click.option("-o", "--output", type=PICTURE, metavar="FILE", help="The picture: .png or .svg.")
def command(
    paths: tuple[Path, ...],
    *,
    kind: str | None,
    measure: str | None,
    x: str | None,
    where: tuple[str, ...],
    output: Path | None,
) -> None:
    """
    Draw what lab experiment run has measured.

    DIR is the directory of an experiment, or its file of results. Several are laid over each
    other, for example a real run and a simulated one. What suits is drawn, of each measure: lines
    over a parameter, a box for each cell, a heat map over two parameters, the CDF, latency by
    percentile, and what was measured over time, with the times shaded at which faults were at
    work. Without -o that is PNG and SVG in DIR/plots.

    \b
    Examples:
      lab experiment plot rpc
      lab experiment plot rpc rpc-simulated --kind lines --measure latency -o rpc.svg
      lab experiment plot download --kind heat --where servers=2

    Exit codes: 0 ok, 2 usage.
    """
    from lab.experiments.cells import load
    from lab.experiments.plots.kinds import suiting
    from lab.experiments.plots.paper import paint

    with mistakes():
        wanted = read_where(where)
        runs = [load(path).where(wanted) for path in paths]
        pictures = suiting(runs, measure or "", kind or "")
        files = places(paths[0], output, [picture.name for picture in pictures])
        for picture, several in zip(pictures, files, strict=True):
            for file in several:
                file.parent.mkdir(exist_ok=True)
                paint(file, picture.drawing(runs, x or ""))
                click.echo(file)
