"""Groups of commands that import a command when it is called: ``lab`` has to start at once."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """
    A group that knows the names of its commands.

    Args:
        commands_of: Name -> module of lab.commands, and its line in the help.
        named: As `click.Group`.
    """

    def __init__(self, *, commands_of: Mapping[str, tuple[str, str]], **named: Any) -> None:
        super().__init__(**named)
        self.commands_of = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names."""
        return list(self.commands_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.commands_of:
            return None
        module: Any = import_module(f"lab.commands.{self.commands_of[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_of.items()])
