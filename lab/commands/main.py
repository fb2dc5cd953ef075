"""The command ``lab``: what people type. Each subcommand is imported when it is used."""

from importlib import import_module
from typing import Any

import click

#: Subcommand -> module of lab.commands, and its line in the help.
COMMANDS = {
    "arithmetic": ("arithmetic", "Ask an arithmetic server."),
    "demo": ("demo", "Run the laboratory once, on this machine, and show what happened."),
    "download": ("download", "Download files that arrive whole, from one server or many."),
    "echo": ("echo", "Have an echo server send back what you type."),
    "file": ("file", "Receive a file from an echo server, and check every character."),
    "proxy": ("proxying", "Talk to a running proxy."),
    "sequence": ("sequence", "Receive a resumable sequence of numbers."),
    "server": ("overseeing", "Look after a running server."),
    "simulate": ("simulate", "Run a script on the simulated network."),
    "stream": ("stream", "Measure what a network does to a stream of packets."),
}


class _Lazy(click.Group):
    """A group that knows the names of its commands, and imports one when it is called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a mistake is one line on standard error and exit code 2."""
        run: Any = super().main
        try:
            code = run(*args, **{**kwargs, "standalone_mode": False})
        except click.UsageError as error:
            path, text = error.ctx.command_path if error.ctx else "lab", error.format_message()
            # Where a command is missing the text is the whole help.
            line = text if "\n" in text else f"{path}: {text}  ({path} --help)"
            click.echo(line, err=True)
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            raise SystemExit(130) from None
        raise SystemExit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module: Any = import_module(f"lab.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="txlab", prog_name="lab")
def main() -> None:
    """
    The commands of txlab, a network-protocol laboratory on Twisted.

    The services themselves are started with `twistd -n lab-server`; `lab demo` shows one of them.
    Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 data wrong, 5 timed out,
    130 interrupted.
    """
