"""The one way into a conversation: a dialogue on a terminal, and plain lines everywhere else."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.descriptors import Input, Output
from lab.commands.conversation.pipe import IN_FLIGHT, Lines
from lab.commands.conversation.session import Session


def converse(  # noqa: PLR0913 - what can be set, by name
    reactor: Any,
    session: Session,
    *,
    help: str,
    code_of: Callable[[Failure], int] = lambda failure: 1,
    history: Path | None = None,
    files: tuple[int, int, int] = (0, 1, 2),
    last: str | None = None,
    in_flight: int = IN_FLIGHT,
    aside: Aside | None = None,
) -> Deferred[int]:
    """
    Carry out what is typed, or what comes on a pipe, until it ends.

    With a terminal on both sides a line is edited, ``help``, ``quit`` and ``exit`` are words of
    ours (with a blank before them they are requests), and errors don't change the exit code.
    Otherwise every line that is not blank is a request, up to ``in_flight`` of them are under
    way, answers are printed in the order of the lines, and errors, with the number of the line,
    go to stderr.

    Args:
        reactor: Of its interfaces `IReactorFDSet` and `IReactorTime` are used.
        session: Carries out the lines.
        help: What ``help`` prints.
        code_of: The exit code of a `LabError`, 1 to 255; asked on a pipe only.
        history: A file that keeps the last `HISTORY_LIMIT` lines that were typed.
        files: The descriptors of stdin, stdout and stderr; they are left open and as they were.
        last: A line of a pipe that ends it, as ``quit`` does on a terminal.
        in_flight: Most lines of a pipe that are under way; with 1, one after the other.
        aside: On a terminal, what is said besides, and whether the talk may end.

    Returns:
        Fires with the exit code: 0 after ``quit``, Ctrl-D and the end of input, `INTERRUPTED`
        after Ctrl-C with nothing under way, `OUTPUT_CLOSED` when nobody reads the answers; on a
        pipe the highest code of the errors. Fails with
        `LocalError` when stdin can't be read or stdout not written, and with whatever a
        session raises that is no `LabError`. Cancel it to end the talk.
    """
    stdin, stdout, stderr = files
    given, shown = Input(reactor, stdin), Output(reactor, stdout)
    if on_terminal(stdin, stdout):
        # What a terminal takes is much, and a pipe needs nothing of it.
        from lab.commands.conversation.terminal import talk

        return Deferred.fromCoroutine(talk(session, help, history, given, shown, aside or Aside()))
    errors = shown if _same(stdout, stderr) else Output(reactor, stderr)
    lines = Lines(session, code_of, given, shown, errors, last, in_flight)
    return Deferred.fromCoroutine(lines.run())


def on_terminal(stdin: int, stdout: int) -> bool:
    """Whether there is a person to talk to, on a terminal that can move its cursor."""
    return os.isatty(stdin) and os.isatty(stdout) and os.environ.get("TERM") != "dumb"


def _same(one: int, other: int) -> bool:
    """Whether two descriptors are one file, so that what is written must keep its order."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:  # one of them is closed
        return False
