"""What the commands that draw have in common: the names of pictures, and mistakes as one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lab.commands.types import Typed
from lab.errors import LocalError
from lab.experiments.plots.paper import ending


@contextmanager
def mistakes() -> Iterator[None]:
    """An error at a mistake of the user's is one of usage: one line, exit code 2."""
    try:
        yield
    except LocalError as error:
        raise click.UsageError(str(error)) from error


def picture(text: str, name: str) -> Path:
    """
    The name of a picture, whose ending says what it becomes.

    Raises:
        LocalError: Neither .png nor .svg.
    """
    try:
        ending(Path(text))
    except LocalError:
        raise LocalError(f"{name} is {text!r}; give a name that ends in .png or .svg") from None
    return Path(text)


#: The name of a picture, as the type of an option.
PICTURE = Typed(picture, "file.png|svg")
