"""``lab echo``: have an echo server send back texts, files and streams, in a conversation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from attrs import asdict, define

from lab.commands import file as files
from lab.commands.conversation.converse import converse, on_terminal
from lab.commands.conversation.pipe import IN_FLIGHT
from lab.commands.conversation.session import Interrupted
from lab.commands.echoing import (
    DEFAULT,
    code_of,
    complain,
    make_client,
    make_settings,
    server_options,
)
from lab.commands.hosts import ask_which, is_endpoint, read_hosts
from lab.commands.running import DATA_WRONG, OK, run
from lab.commands.streaming import Lines, Request, Stoppable, Terminal, plain_summary
from lab.commands.streaming import summary as summary_of
from lab.commands.types import SECONDS
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ClientSettings
from lab.echo.wire import AskLimits, Echo, File, Quit, Stream, WireError, read_request
from lab.errors import LabError, LocalError

_HELP = """\
What is typed comes back, but for these:
    42                            a file of 42 characters, every one checked
    file N [OFFSET [LENGTH [SEED]]]
    stream [MS [COUNT [SIZE]]]    a packet every so many ms, and what became of each
    limits                        what the server allows
    echo TEXT                     TEXT, also if it is one of these
Also: help, quit; Up and Down recall what was typed."""
_WORDS = ("echo ", "file ", "limits", "stream ")


def read(text: str) -> Echo | File | Stream | AskLimits | Quit:
    """
    What a line asks for; what is no command of a person's is text.

    >>> read("stream 20 50"), read("stream on")
    (Stream(interval_ms=20, count=50, size=64, id=b''), Echo(text=b'stream on', id=b''))
    """
    line = text.encode("utf-8", "surrogateescape")
    try:
        request = read_request(line)
    except WireError:  # too long: whoever sends it says so
        return Echo(line)
    if isinstance(request, Echo | File | Stream | AskLimits | Quit) and not request.id:
        return request
    return Echo(line)


@define
class Questions:
    """
    Asks one line at a time, and says what came of it.

    Args:
        reactor: Of the program.
        client: Is asked with.
        endpoint: Of the server.
        as_json: Whether what came of it is a JSON object.
        printed: Whether files are written to standard output.
        live: Shows rows of streams while they last; None keeps them for the end.

    Attributes:
        prompt: What stands before the line that is typed.
        code: The worst exit code so far.
    """

    _reactor: Any
    _client: EchoAsking
    _endpoint: str
    _as_json: bool = False
    _printed: bool = False
    _live: Callable[[str], object] | None = None
    prompt: str = "echo> "
    code: int = OK

    async def line(self, text: str) -> str | None:
        """
        Carry out one line.

        Returns:
            What is to be printed.

        Raises:
            LabError: There was no answer, or a wrong one, and not everything is JSON.
            Interrupted: A stream was cancelled; this is the report of what there was of it.
        """
        asked = read(text)
        try:
            if isinstance(asked, File):
                return await self._file(asked)
            if isinstance(asked, Stream):
                return await self._stream(asked)
            if isinstance(asked, AskLimits):
                return await self._limits()
            return None if isinstance(asked, Quit) else await self._echo(asked.text)
        except LabError as error:
            self.code = max(self.code, code_of(error))
            if not self._as_json:
                raise
            return json.dumps({"request": text, "error": str(error)})

    def complete(self, text: str) -> list[str]:
        """The words that mean something."""
        return [word for word in _WORDS if word.startswith(text)]

    async def _echo(self, text: bytes) -> str:
        """Text, and whether it is the same."""
        began = self._reactor.seconds()
        back = await self._client.echo(text)
        seconds = round(self._reactor.seconds() - began, 6)
        if back != text:
            self.code = max(self.code, DATA_WRONG)
        shown, same = back.decode("utf-8", "backslashreplace"), back == text
        if self._as_json:
            return json.dumps({"echo": shown, "same": same, "seconds": seconds})
        return shown if same else f"something else came back: {shown}"

    async def _limits(self) -> str:
        """What the server allows."""
        found = await self._client.limits()
        if self._as_json:
            values = {name: value for name, value in asdict(found).items() if name != "id"}
            return json.dumps({"limits": values})
        rows = [
            ("interval", f"at least {found.interval_ms:,} ms"),
            ("packets", f"at most {found.packets:,}"),
            ("size", f"at most {found.size:,} bytes"),
            ("file", f"at most {found.file:,} characters"),
            ("rate", f"at most {found.rate:,} bytes/s" if found.rate else "as fast as can be"),
            ("streams", f"at most {found.streams:,} at a time"),
        ]
        return plain_summary(rows)

    async def _file(self, asked: File) -> str | None:
        """A file, of which a summary is said; or the file itself."""
        wanted = files.Wanted(
            self._endpoint,
            asked.n,
            asked.seed,
            reliable=True,
            printed=self._printed,
            offset=asked.offset,
            length=asked.length,
        )
        received = await files.fetch(self._reactor, self._client, wanted, files.Quiet())
        if self._printed:
            return "\n" if on_terminal(0, 1) else None
        if self._as_json:
            return json.dumps({"file": asdict(received)})
        return files.describe(received)

    async def _stream(self, asked: Stream) -> str | None:
        """A stream, and its report."""
        request = Request(self._endpoint, asked.interval_ms / 1000, asked.count, asked.size)
        rows: list[str] = []
        view = Lines(rows.append) if self._live is None else Terminal(self._live)
        waiting = Stoppable()
        measured: Measured = await waiting.wait(
            self._client.stream(request.interval, request.count, request.size, watch=view.row)
        )
        text = ""
        if self._as_json:
            text = json.dumps({"start": request.as_json()} | measured.report.as_json())
        elif self._live is None:
            text = "\n".join([*rows, plain_summary(summary_of(measured))])
        else:
            view.summary(summary_of(measured))
        if waiting.stopped:
            raise Interrupted(text)
        return text or None


async def _ask_all(questions: Questions, texts: tuple[str, ...]) -> int:
    """Carry out what stands on the command line, in its order."""
    for text in texts:
        if isinstance(read(text), Quit):
            break
        try:
            if answer := await questions.line(text):
                click.echo(answer)
        except LabError as error:
            complain(error)
        except Interrupted as interrupted:
            click.echo(interrupted.text)
            raise
    return questions.code


async def _talk(reactor: Any, questions: Questions, *, in_flight: int) -> int:
    """Carry out what is typed, or what comes on a pipe."""
    code = await converse(
        reactor,
        questions,
        help=_HELP,
        code_of=lambda failure: code_of(failure.value),
        last="quit",
        in_flight=in_flight,
    )
    return code or (OK if on_terminal(0, 1) else questions.code)


async def _main(
    reactor: Any,
    endpoint: str,
    texts: tuple[str, ...],
    settings: ClientSettings,
    *,
    as_json: bool,
    printed: bool,
) -> int:
    """Ask, then let everything go."""
    client = make_client(reactor, endpoint, settings)
    live = click.echo if not texts and on_terminal(0, 1) and not as_json else None
    questions = Questions(reactor, client, endpoint, as_json, printed, live)
    try:
        if texts:
            return await _ask_all(questions, texts)
        # A file is not written between answers that have to come before it.
        return await _talk(reactor, questions, in_flight=1 if printed else IN_FLIGHT)
    finally:
        await client.close()


def choose(words: tuple[str, ...], hosts: Path | None) -> tuple[str, tuple[str, ...]]:
    """
    The server and the texts; a person who only says that they want to talk is asked which server.

    Args:
        words: Of the command line.
        hosts: A list of servers.

    Raises:
        LocalError: The list can't be had.
    """
    if words and is_endpoint(words[0]):
        return words[0], words[1:]
    servers = read_hosts(hosts, DEFAULT)
    return (servers[0] if words or not on_terminal(0, 1) else ask_which(servers)), words


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [TEXT]...")
@server_options
@click.option("--deadline", type=SECONDS, help="Give a text up after so long in all.")
@click.option(
    "--print-file", "printed", is_flag=True, help="Write files to standard output, not a summary."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each text.")
def command(words: tuple[str, ...], *, as_json: bool, printed: bool, **options: Any) -> None:
    """
    Have the echo server at ENDPOINT send back each TEXT.

    Without a TEXT a conversation begins: a prompt on a terminal, one text a line on a pipe.
    ENDPOINT is tcp:HOST:PORT, udp:HOST:PORT, tls:HOST:PORT, unix:PATH or another endpoint string
    of Twisted's. If none is given, you are asked for one on a terminal, with the servers of --hosts
    or of hosts.txt to choose from; otherwise the first of these is it, or tcp:localhost:50001.

    A TEXT that is a number is a file of so many characters, which are checked; "stream 20 50" is a
    stream of 50 packets, one every 20 ms, and a report of it; "limits" is what the server allows;
    "quit" is the end. "echo TEXT" is any TEXT.

    \b
    Examples:
      lab echo tcp:localhost:50001 hello '  two  blanks'
      lab echo udp:localhost:50001 --timeout .1 --backoff 'stream 20 50'
      printf 'hello\n1000000\nquit\n' | lab echo

    Exit codes: 0 all came back, 1 the connection broke, 2 usage, 3 the server refuses or nobody
    listens there, 4 something else came back, 5 no answer in time, 130 interrupted.
    """
    if as_json and printed:
        raise click.UsageError("a file is no JSON; give --json or --print-file")
    hosts = options.pop("hosts")
    try:
        settings = make_settings(**options)
        endpoint, texts = choose(words, hosts)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    run(lambda reactor: _main(reactor, endpoint, texts, settings, as_json=as_json, printed=printed))
