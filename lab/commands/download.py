"""``lab download``: files that arrive whole, from one server or many, at once or in a talk."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from lab import units
from lab.commands.configured import Configured, config_option
from lab.commands.conversation.aside import Aside
from lab.commands.conversation.converse import converse, on_terminal
from lab.commands.conversation.pipe import OUTPUT_CLOSED
from lab.commands.conversation.session import one_line
from lab.commands.downloading.actions import Actions
from lab.commands.downloading.batch import Batch
from lab.commands.downloading.fetching import (
    DEFAULT,
    Downloads,
    code_of,
    make_client,
    make_settings,
)
from lab.commands.downloading.talk import Talk
from lab.commands.downloading.views import complain, make_view
from lab.commands.downloading.words import HELP, Completer
from lab.commands.hosts import is_endpoint, read_hosts
from lab.commands.running import Stopped, run
from lab.commands.types import SECONDS, SEED, Typed
from lab.download.settings import ClientSettings
from lab.download.tcp import DownloadClient
from lab.errors import LabError, LocalError

#: Section of an INI file.
SECTION = "lab-download"
_NAMES = f"{__name__}.names"


def _sha256(text: str, name: str) -> str:
    """64 hexadecimal digits."""
    if not re.fullmatch("[0-9A-Fa-f]{64}", text.strip()):
        raise LocalError(f"{name} is {text!r}; give 64 hexadecimal digits")
    return text.strip().lower()


_RATE = Typed(units.rate, "bytes/s")
_SHA256 = Typed(_sha256, "hex")
_PARALLEL = Typed(lambda text, name: units.count(text, name, most=100), "count")


class _Download(Configured):
    """Keeps what stands behind ``--``: those are names, whatever they look like."""

    section = SECTION

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before it."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_NAMES] = tuple(args[cut + 1 :]) if "--" in args else None
        return super().parse_args(ctx, args[:cut])


def choose(
    words: Sequence[str], names: Sequence[str] | None, hosts: Path | None
) -> tuple[list[str], tuple[str, ...]]:
    """
    The servers and the names of files.

    Args:
        words: Of the command line before ``--``.
        names: Those behind it; None if there is none, and then names are among the words.
        hosts: A list of servers, for where none is named; all of them are asked.

    Raises:
        LocalError: A word is no endpoint, or the list can't be had.

    >>> choose(["tcp:a:1", "tcp:b:1", "x"], None, None)
    (['tcp:a:1', 'tcp:b:1'], ('x',))
    """
    count = next((at for at, word in enumerate(words) if not is_endpoint(word)), len(words))
    if names is None:
        names = words[count:]
    elif count < len(words):
        raise LocalError(
            f"endpoint is {words[count]!r}; give endpoints before --, as {DEFAULT}, names behind it"
        )
    servers = list(dict.fromkeys(words[:count])) or read_hosts(hosts, DEFAULT)
    return servers, tuple(dict.fromkeys(names))


@frozen
class Wanted:
    """
    What is wanted, and how.

    Args:
        servers: To be asked, as endpoint strings.
        names: Of files; without any a talk begins.
        folder: Where they go.
        execute: Commands instead of a talk.
        sha256: What the one file has to have.
        parallel: Most files at once.
        clobber: Whether files that are here are replaced.
        as_json: Whether what is printed is JSON.
        seed: Draws the jitter.
    """

    servers: Sequence[str]
    names: tuple[str, ...]
    folder: Path
    execute: str | None = None
    sha256: str | None = None
    parallel: int = 3
    clobber: bool = True
    as_json: bool = False
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not self.folder.is_dir():
            raise LocalError(f"to is {str(self.folder)!r}; there is no such folder")
        if self.names and self.execute is not None:
            raise LocalError("there are names and commands; give one of them")
        if self.sha256 is not None and len(self.names) != 1:
            raise LocalError(f"sha256 is of one file; there are {len(self.names)} names")


@frozen
class Session:
    """
    What is done with one client.

    Args:
        reactor: Of the program.
        client: Gets files.
        wanted: What is wanted.
    """

    _reactor: Any
    _client: DownloadClient
    _wanted: Wanted

    async def names(self) -> int:
        """Files by their names; gives the exit code."""
        wanted = self._wanted
        batch = Batch(wanted.names, wanted.folder, wanted.sha256)
        view = make_view(self._reactor.seconds, None, as_json=wanted.as_json)
        try:
            return await self._downloads().fetch(batch, view)
        except CancelledError:
            raise _interrupted(batch) from None

    async def execute(self, text: str) -> int:
        """Commands of the command line."""
        actions = self._actions(None)
        talk = self._talk(actions, Aside(click.echo))
        try:
            if said := await talk.line(text):
                click.echo(said)
        except LabError as error:
            complain(one_line(error))
        except CancelledError:
            raise _interrupted(actions.batch) from None
        return talk.code

    async def talk(self) -> int:
        """Commands that are typed, or come on a pipe."""
        person = on_terminal(0, 1)
        aside = Aside(click.echo)
        actions = self._actions(aside if person else None)
        talk = self._talk(actions, aside)

        def noted(failure: Failure) -> int:
            """The exit code of an error, of which the first counts."""
            code = code_of(failure.value)
            talk.note(code)
            return code

        try:
            code = await converse(
                self._reactor, talk, help=HELP, code_of=noted, last="quit", in_flight=1, aside=aside
            )
        except CancelledError:
            raise _interrupted(actions.batch) from None
        finally:
            if actions.jobs.running:
                actions.jobs.cancel("all")
        return code if person or code == OUTPUT_CLOSED else talk.code

    def _downloads(self) -> Downloads:
        """Brings files here."""
        return Downloads(self._client, self._wanted.parallel, self._wanted.clobber)

    def _actions(self, aside: Aside | None) -> Actions:
        """What words do; with an aside, downloads go on while a person types."""
        wanted = self._wanted
        return Actions(
            self._reactor,
            self._client,
            self._downloads(),
            wanted.servers,
            wanted.folder.resolve(),
            aside,
            wanted.as_json,
        )

    def _talk(self, actions: Actions, aside: Aside) -> Talk:
        """Carries out lines."""
        completer = Completer(
            self._reactor, self._client, lambda: actions.folder, lambda: actions.jobs.running
        )
        errors = aside.say if on_terminal(0, 1) else complain
        return Talk(actions, completer, aside, errors, self._wanted.as_json)


def _interrupted(batch: Batch | None) -> Stopped:
    """What there is to say of Ctrl-C."""
    left = batch.left() if batch else ""
    return Stopped(f"interrupted; {left}; run the same command to go on" if left else "interrupted")


async def _main(reactor: Any, wanted: Wanted, settings: ClientSettings) -> int:
    """Do what is wanted, then let everything go."""
    client = make_client(reactor, wanted.servers, settings, wanted.seed)
    session = Session(reactor, client, wanted)
    try:
        if wanted.names:
            return await session.names()
        if wanted.execute is not None:
            return await session.execute(wanted.execute)
        return await session.talk()
    finally:
        await client.close()


@click.command(cls=_Download, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT]... [--] [NAME]...")
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="DIR", default=".", show_default=True,
    help="Where the files go.",
)  # fmt: skip
@click.option("-e", "--execute", metavar="COMMANDS", help="Commands of the talk: 'ls; get a'.")
@click.option("--sha256", type=_SHA256, help="What the one file has to have, or it is refused.")
@click.option("--limit-rate", type=_RATE, help="Most bytes a second of all together (64K, 10M).")
@click.option(
    "--timeout", type=SECONDS, default="10", show_default=True,
    help="A server that is silent, or can't be reached, for so long is given up.",
)  # fmt: skip
@click.option(
    "--parallel", type=_PARALLEL, default="3", show_default=True, help="Most files at once."
)
@click.option("--no-clobber", is_flag=True, help="Keep files that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each event.")
@click.option("--seed", type=SEED, help="Draws the jitter of waits.")
@click.option(
    "--hosts", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="A list of servers, all of which are asked; hosts.txt if there is one.",
)  # fmt: skip
@config_option(SECTION)
def command(words: tuple[str, ...], **options: Any) -> None:
    """
    Download each NAME from the servers at ENDPOINT, which all have the same files.

    Every piece is checked, a wrong one is fetched again, and a file has its name only when it is
    whole. What was interrupted, by whatever, goes on where it ended when the same command is run
    again. Without a NAME a talk begins: a prompt on a terminal, one command a line on a pipe;
    "help" lists its words.

    ENDPOINT is tcp:HOST:PORT, tls:HOST:PORT, unix:PATH or another endpoint string of Twisted's. If
    none is given: all of --hosts, of hosts.txt, or tcp:localhost:50002. Words that look like
    endpoints come first; behind -- everything is a NAME.

    \b
    Examples:
      lab download tcp:localhost:50002 big.iso --to /tmp
      lab download tcp:one:50002 tcp:two:50002 tcp:three:50002 -- big.iso
      lab download tcp:localhost:50002 -e 'ls *.txt; mget *.txt'
      lab download tcp:localhost:50002

    Exit codes, of the first that failed: 0 all are here, 1 a connection broke or the disk is full,
    2 usage, 3 the server refuses or nobody listens there, 4 data wrong, 5 no server said anything
    any more, 130 interrupted.
    """
    hosts, names = options.pop("hosts"), click.get_current_context().meta[_NAMES]
    timeout, limit_rate = options.pop("timeout"), options.pop("limit_rate")
    folder, clobber = options.pop("to"), not options.pop("no_clobber")
    try:
        settings = make_settings(timeout, limit_rate)
        servers, chosen = choose(words, names, hosts)
        wanted = Wanted(servers, chosen, folder, clobber=clobber, **options)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    run(lambda reactor: _main(reactor, wanted, settings))
