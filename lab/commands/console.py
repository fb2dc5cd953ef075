"""The console of a server on the terminal, or the pipe, where ``twistd -n`` runs."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.converse import converse, on_terminal
from lab.commands.overview import HELP, WORDS, Overview, render
from lab.commands.running import INTERRUPTED
from lab.errors import LocalError

_MORE = """
help        this
quit        end the console, and not the server; so does Ctrl-D
Ctrl-C      stop the server"""


def check_terminal(options: Mapping[str, Any], twistd: Mapping[str, Any] | None) -> None:
    """
    Whether there can be a console, if one is wanted.

    Args:
        options: Of the server.
        twistd: Its own.

    Raises:
        LocalError: twistd goes into the background.
    """
    if options["console"] and twistd is not None and not twistd.get("nodaemon"):
        raise LocalError(
            "console needs twistd -n; without a terminal give --control unix:PATH, "
            "and ask with lab server --control PATH"
        )


class ConsoleSession:
    """
    What the words do.

    Args:
        overview: Knows the answers.
        stop: Stops the server.
    """

    prompt = "lab-server> "

    def __init__(self, overview: Overview, stop: Callable[[], None]) -> None:
        self._overview = overview
        self._stop = stop

    def line(self, text: str) -> Deferred[str | None]:
        """See `lab.commands.conversation.session.Session`."""
        answer = self._overview.answer(text)
        if "stopping" in answer:
            self._stop()
        return succeed(render(answer))

    def complete(self, text: str) -> list[str]:
        """The words that begin so."""
        return [word for word in WORDS if word.startswith(text)]


@define(eq=False)
class Screen:
    """
    Standard output of a server whose console has the terminal: lines appear above the prompt.

    Args:
        say: Takes lines.
    """

    _say: Callable[[str], None]
    _begun: str = ""
    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Show whole lines."""
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self._say(f"{lines}\n")
        return len(text)

    def flush(self) -> None:
        """Whole lines are shown at once."""


class ConsoleService(Service):
    """
    The console, while the server runs and it is wanted.

    Args:
        reactor: Reads and writes.
        session: What the words do.
        stop: Stops the server.
        files: The descriptors of stdin, stdout and stderr.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        session: ConsoleSession,
        stop: Callable[[], None],
        files: tuple[int, int, int] = (0, 1, 2),
    ) -> None:
        self._reactor = reactor
        self._session = session
        self._stop = stop
        self._files = files
        self._aside = Aside(self._plain)
        self._output: TextIO = sys.stdout
        self._talk: Deferred[int] | None = None

    def show_log(self) -> None:
        """Have what is written to standard output from now on appear above the prompt."""
        if on_terminal(*self._files[:2]):
            screen: Any = Screen(self._aside.say)
            self._output, sys.stdout = sys.stdout, screen

    def _plain(self, lines: str) -> None:
        """Show lines where there is no prompt."""
        self._output.write(lines)
        self._output.flush()

    def startService(self) -> None:
        """Begin to talk."""
        super().startService()
        self._talk = converse(
            self._reactor,
            self._session,
            help=HELP + _MORE,
            files=self._files,
            last="quit",
            in_flight=1,
            aside=self._aside,
        )
        self._talk.addCallbacks(self._ended, self._failed)

    def stopService(self) -> None:
        """The server ends, and so does the talk; the terminal is as it was before."""
        super().stopService()
        if self._talk is not None:
            self._talk.cancel()

    def _ended(self, code: int) -> None:
        """Nobody talks any more."""
        self._talk = None
        if code == INTERRUPTED:
            self._stop()
        else:
            self._log.info("the console has ended; the server goes on")

    def _failed(self, failure: Failure) -> None:
        """It was ended, or can't go on."""
        self._talk = None
        if not failure.check(CancelledError):
            self._log.error("the console has ended: {why}", why=failure.getErrorMessage())
