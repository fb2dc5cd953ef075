"""``lab arithmetic``: ask an arithmetic server, once or in a conversation."""

import json
import re
import sys
from typing import Any

import click
from attrs import define, evolve
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from lab.arithmetic import wire
from lab.arithmetic.asking import Asking
from lab.arithmetic.numbers import OPERATORS
from lab.arithmetic.settings import ClientSettings
from lab.commands.asking import make_client, make_settings, retry_options
from lab.commands.running import FAILED, OK, code_of, complain, run
from lab.commands.types import COUNT, SECONDS
from lab.errors import LabError, LocalError

DEFAULT = "tcp:localhost:50000"
# Requests under way at most, when many are given at once.
_AT_ONCE = 100


class _Requests(click.Command):
    """A command among whose arguments requests like ``-,5,3`` are no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the dash of a subtraction from the parser."""
        return super().parse_args(ctx, [f"\0{a}" if a.startswith("-,") else a for a in args])


_HELP = """\
A request is OPERATOR,LEFT,RIGHT: one of + - * / // % ** and two decimal numbers.
    +,1,1        2
    /,7,2        3.5
    **,2,100     1267650600228229401496703205376
    /,1,0        refused: the reply is 300,-1
Also: help, quit; Up and Down recall what was typed."""


@define
class Questions:
    """
    Asks one line at a time, and says what came of it.

    Args:
        client: Is asked with.
        as_json: Whether what came of it is a JSON object.

    Attributes:
        prompt: What stands before the line that is typed.
        code: The worst exit code so far.
    """

    _client: Asking
    _as_json: bool
    prompt: str = "arithmetic> "
    code: int = OK

    async def line(self, text: str) -> str:
        """
        Ask one request.

        Returns:
            What is to be printed: the value, the reply that refuses, or a JSON object.

        Raises:
            LabError: There was no answer, and not everything is JSON.
        """
        request = text.strip()
        try:
            answer = await self._client.request(request.encode())
        except LabError as error:
            self.code = max(self.code, code_of(error))
            if not self._as_json:
                raise
            return json.dumps({"request": request, "error": str(error)})
        reply = answer.reply
        if reply.code != wire.OK:
            self.code = max(self.code, FAILED)
        if self._as_json:
            return json.dumps(
                {
                    "request": request,
                    "code": reply.code,
                    "value": reply.value,
                    "attempts": answer.attempts,
                    "seconds": round(answer.waited, 6),
                }
            )
        return evolve(reply, id=b"").encode().decode().removeprefix("200,")

    def complete(self, text: str) -> list[str]:
        """The operators, where one has to stand."""
        return (
            [f"{name}," for name in OPERATORS if name.startswith(text)] if "," not in text else []
        )


async def _ask_all(questions: Questions, requests: tuple[str, ...]) -> None:
    """Ask what stands on the command line, many at once; print in its order."""
    room = DeferredSemaphore(_AT_ONCE)
    asked = [room.run(Deferred.fromCoroutine, questions.line(one)) for one in requests]
    try:
        for answer in asked:
            try:
                click.echo(await answer)
            except LabError:
                complain(Failure())
    finally:
        for answer in asked:  # at Ctrl-C nobody waits for the others any more
            answer.addErrback(_ignore)


def _ignore(_: Failure) -> None:
    """What nobody waits for any more may fail."""


def _split(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The endpoint and the requests; no request looks like an endpoint, with a word and a colon."""
    if words and re.match(r"[a-z][a-z0-9]*:", words[0]):
        return words[0], words[1:]
    return DEFAULT, words


async def _main(
    reactor: Any, words: tuple[str, ...], settings: ClientSettings, *, as_json: bool
) -> int:
    """Ask, then let the connections go."""
    endpoint, requests = _split(words)
    client = make_client(reactor, endpoint, settings)
    questions = Questions(client, as_json)
    try:
        if requests:
            await _ask_all(questions, requests)
            return questions.code
        from lab.commands.conversation.converse import converse

        code = await converse(
            reactor, questions, help=_HELP, code_of=lambda failure: code_of(failure.value)
        )
        return code or (OK if sys.stdin.isatty() else questions.code)
    finally:
        await client.close()


@click.command(cls=_Requests, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [REQUEST]...")
@retry_options
@click.option("--deadline", type=SECONDS, help="Give a request up after so long in all.")
@click.option("--connections", type=COUNT, default="1", show_default=True, help="To spread over.")
@click.option(
    "--repeat", is_flag=True, help="Send again what was in flight on a broken connection."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each request.")
def command(words: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """
    Ask the arithmetic server at ENDPOINT, which is tcp:localhost:50000 if none is given.

    A REQUEST is OPERATOR,LEFT,RIGHT with one of + - * / // % ** and two numbers; without any, a
    conversation begins: a prompt on a terminal, one request a line on a pipe. An ENDPOINT is
    tcp:HOST:PORT, udp:HOST:PORT, tls:HOST:PORT, unix:PATH or another endpoint string of
    Twisted's. Times are in seconds (0.1, 100ms, 2s).

    \b
    Examples:
      lab arithmetic tcp:localhost:50000 '+,1,1' '*,6,7'
      lab arithmetic udp:localhost:50000 --timeout .1 --backoff '**,2,100'
      echo '/,1,3' | lab arithmetic

    With --timeout .1 --backoff a request is sent at 0, 0.1, 0.3, 0.7 and 1.5 s and given up at
    3.1 s: the timeout doubles while it is at most --max-timeout. Exit codes: 0 all answered,
    1 refused (the reply is 300,-1) or no connection, 2 usage, 3 nobody listens there, 5 no
    answer in time, 130 interrupted.
    """
    try:
        settings = make_settings(**options)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    plain = tuple(word.removeprefix("\0") for word in words)
    run(lambda reactor: _main(reactor, plain, settings, as_json=as_json))
