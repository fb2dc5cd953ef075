"""What the options of ``lab`` can be: the readers of `lab.units` as types of click's."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lab import units
from lab.errors import LocalError

Value = TypeVar("Value")


class Typed(click.ParamType[Value]):
    """A click type from one of the readers of `lab.units`."""

    def __init__(self, read: Callable[[str, str], Value], name: str) -> None:
        self._read = read
        self.name = name

    def convert(self, value: Any, param: Any, ctx: Any) -> Value:
        """Read, or end with the one line that says what is allowed."""
        try:
            return self._read(str(value), max(param.opts, key=len).lstrip("-"))
        except LocalError as error:
            raise click.UsageError(str(error), ctx) from error


TIME = Typed(units.seconds, "seconds")
SECONDS = Typed(units.positive_seconds, "seconds")
COUNT = Typed(units.count, "count")
SEED = Typed(units.seed, "seed")
SHARE = Typed(units.probability, "0..1")
