"""Commands of click's that take their options from an INI file as well."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from lab.commands.ini import OVERRIDDEN, as_words, read_section
from lab.errors import LocalError

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: The option, and what a file can't set.
CONFIG = "config"
_NOT_IN_FILE = {CONFIG, "help"}


def config_option(section: str) -> Callable[[_Command], _Command]:
    """The option ``--config``, for a command of the class `Configured`."""
    return click.option(
        "-c", "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help=f"An INI file; what its section [{section}] says counts, also against other options.",
    )  # fmt: skip


class Configured(click.Command):
    """
    A command that has `config_option`; what the file overrides is said on standard error.

    Attributes:
        section: Its section in the file.
    """

    section = ""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note what was typed, to show it where the file overrides it."""
        typed, _, _ = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[__name__] = typed
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Let the file have its say, then run."""
        path = ctx.params.pop(CONFIG)
        if path is not None:
            try:
                self.override(ctx, path)
            except LocalError as error:
                raise click.UsageError(str(error), ctx) from error
        return super().invoke(ctx)

    def override(self, ctx: click.Context, path: Path) -> None:
        """
        Parse the section as a command line, and take over what it sets.

        What is empty there is as if it were not said; only of options that have no default.

        Args:
            ctx: Has the parameters.
            path: The file.

        Raises:
            LocalError: It can't be read, or says what no option can.
            UsageError: A value can't be.
        """
        section = read_section(path, self.section)
        options = {
            max(one.opts, key=len).removeprefix("--"): one
            for one in self.get_params(ctx)
            if isinstance(one, click.Option)
        }
        known = options.keys() - _NOT_IN_FILE
        flags = {name for name, option in options.items() if option.is_flag}
        bare = {name for name, one in options.items() if not isinstance(one.default, str)} - flags
        said = {name: text for name, text in section.items() if text or name not in bare}
        words = as_words(said, known, flags)
        kept = dict(ctx.meta)  # all contexts share it
        from_file = self.make_context(ctx.info_name, words, parent=ctx.parent)
        ctx.meta.update(kept)
        for name, text in section.items():
            key = options[name].name or ""
            given = ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE
            if given and ctx.params[key] != from_file.params[key]:
                typed = "yes" if name in flags else ctx.meta[__name__][key]
                shown = {"given": typed, "value": text or "nothing", "file": path}
                sys.stderr.write(OVERRIDDEN.format(option=f"--{name}", **shown) + "\n")
            ctx.params[key] = from_file.params[key]
