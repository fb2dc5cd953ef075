"""``lab server``: the console of a server that has a control socket."""

import json
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from lab.adapters.transports import why
from lab.commands.control import control_path
from lab.commands.conversation.converse import converse
from lab.commands.overview import HELP, WORDS, Answer, render
from lab.commands.running import OK, REFUSED, code_of, run
from lab.errors import ConnectionRefused, LabError, LocalError, NoAnswer, RemoteError, Unreachable

#: An answer may take so long, in seconds.
PATIENCE = 10.0
_MORE = """
help        this
quit        end; the server goes on"""


class Refused(RemoteError):
    """The server has answered that it can't be done."""


class Asking(LineOnlyReceiver):
    """Asks one line after the other."""

    transport: Any
    delimiter = b"\n"
    #: Thousands of clients are told in one line.
    MAX_LENGTH = 2**26

    def __init__(self) -> None:
        self._asked: list[Deferred[Answer]] = []
        self._lost = False

    def ask(self, line: str) -> Deferred[Answer]:
        """
        Ask something.

        Returns:
            Fails with `Refused`, or `Unreachable`.
        """
        asked: Deferred[Answer] = Deferred()
        if self._lost:
            asked.errback(Unreachable("the server has closed the control socket"))
            return asked
        self._asked.append(asked)
        self.sendLine(f"{line} --json".encode("utf-8", "backslashreplace"))
        return asked

    def lineReceived(self, line: bytes) -> None:
        """An answer."""
        if not self._asked:
            self.transport.loseConnection()
            return
        asked = self._asked.pop(0)
        try:
            answer = json.loads(line)
            if "error" in answer:
                asked.errback(Refused(str(answer["error"])))
                return
        except (ValueError, TypeError):
            asked.errback(RemoteError(f"{line[:40]!a} is no answer of a server"))
            return
        asked.callback(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server has ended."""
        self._lost = True
        asked, self._asked = self._asked, []
        for one in asked:
            one.errback(Unreachable("the server has closed the control socket"))


class OverseeingSession:
    """
    What the words do.

    Args:
        reactor: Has a clock.
        asking: Asks the server.
        as_json: Whether answers are shown as they are.
    """

    prompt = "lab-server> "

    def __init__(self, reactor: Any, asking: Asking, *, as_json: bool) -> None:
        self._reactor = reactor
        self._asking = asking
        self._as_json = as_json

    async def line(self, text: str) -> str:
        """See `lab.commands.conversation.session.Session`."""
        try:
            answer = await self._asking.ask(text).addTimeout(PATIENCE, self._reactor)
        except TimedOut:
            raise NoAnswer(f"no answer within {PATIENCE:g} s") from None
        return json.dumps(answer) if self._as_json else render(answer)

    def complete(self, text: str) -> list[str]:
        """The words that begin so."""
        return [word for word in WORDS if word.startswith(text)]


async def _connect(reactor: Any, path: Path) -> Asking:
    """A connection to the control socket."""
    asking = Asking()
    try:
        await connectProtocol(UNIXClientEndpoint(reactor, str(path), PATIENCE), asking)
    except ConnectError:
        raise ConnectionRefused(
            f"no server can be asked at {str(path)!r}: {why(Failure())}; "
            f"start it with --control unix:{path}"
        ) from None
    return asking


async def _main(reactor: Any, path: Path, line: str, *, as_json: bool) -> int:
    """Ask, or talk; the exit code."""
    asking = await _connect(reactor, path)
    session = OverseeingSession(reactor, asking, as_json=as_json)
    try:
        if not line:
            return await converse(
                reactor, session, help=HELP + _MORE, code_of=_code, last="quit", in_flight=1
            )
        click.echo(await session.line(line))
    except Refused as error:
        click.echo(str(error), err=True)
        return REFUSED
    finally:
        asking.transport.loseConnection()
    return OK


def _code(failure: Failure) -> int:
    """The exit code of an error."""
    return REFUSED if isinstance(failure.value, Refused) else code_of(failure.value)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[WORD] [N]")
@click.option("--control", required=True, metavar="PATH", help="The server's control socket.")
@click.option("--json", "as_json", is_flag=True, help="Print each answer as a JSON object.")
def command(words: tuple[str, ...], *, control: str, as_json: bool) -> None:
    """
    Look after a running server: the same words as at the console of twistd lab-server.

    \b
    Words:
      clients         who is connected to the download service, also over HTTP
      transfers       the files that are on their way
      statistics      what each service has done so far
      disconnect N    cut the connection of a client, by its number
      stop            stop the server

    Without a word a conversation begins: a prompt on a terminal, one word a line on a pipe. The
    server has been started with --control unix:PATH, by the same user.

    \b
    Examples:
      lab server clients --control /run/txlab.control
      lab server statistics --control /run/txlab.control --json

    Exit codes: 0 ok, 1 the connection broke, 2 usage, 3 refused or nobody listens there, 5 no
    answer in time, 130 interrupted.
    """
    try:
        path = control_path(control)
        if words and words[0] not in WORDS:
            raise LocalError(f"no word is {words[0]!a}; give one of {', '.join(WORDS)}")
    except LabError as error:
        raise click.UsageError(str(error)) from error
    run(lambda reactor: _main(reactor, path, " ".join(words), as_json=as_json))
