"""The command ``lab``: what people type. Each subcommand is imported when it is used."""

from typing import Any

import click

from lab.commands.lazy import LazyGroup

#: Subcommand -> module of lab.commands, and its line in the help.
COMMANDS = {
    "arithmetic": ("arithmetic", "Ask an arithmetic server."),
    "demo": ("demo", "Run the laboratory once, on this machine, and show what happened."),
    "download": ("download", "Download files that arrive whole, from one server or many."),
    "echo": ("echo", "Have an echo server send back what you type."),
    "experiment": ("experiment", "Measure a service over many settings, and see what comes out."),
    "file": ("file", "Receive a file from an echo server, and check every character."),
    "plot": ("plotting", "Draw a capture or a journal: a ladder, or numbers over time."),
    "proxy": ("proxying", "Talk to a running proxy."),
    "sequence": ("sequence", "Receive a resumable sequence of numbers."),
    "server": ("overseeing", "Look after a running server."),
    "simulate": ("simulate", "Run a script on the simulated network."),
    "stream": ("stream", "Measure what a network does to a stream of packets."),
}


class _Lab(LazyGroup):
    """The group of all commands."""

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


@click.command(
    cls=_Lab, commands_of=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="txlab", prog_name="lab")
def main() -> None:
    """
    The commands of txlab, a network-protocol laboratory on Twisted.

    The services themselves are started with `twistd -n lab-server`; `lab demo` shows all of them.
    Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 data wrong, 5 timed out,
    130 interrupted.
    """
