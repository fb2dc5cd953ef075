"""
What a command gives to a conversation, and how both kinds of conversation treat it.

Knows neither terminal nor pipe.
"""

from collections.abc import Awaitable
from typing import Protocol, cast

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred

from lab.errors import LabError

#: Most characters of a line; a longer one is refused on a pipe, and not typed on a terminal.
LINE_LIMIT = 10_000


class Session(Protocol):
    """
    What a command gives.

    Attributes:
        prompt: Plain text shown before the line that is typed; read anew for each drawing.
    """

    @property
    def prompt(self) -> str:
        """Plain text shown before the line that is typed."""

    def line(self, text: str) -> Awaitable[str | None]:
        """
        Carry out one line.

        Args:
            text: 1 to `LINE_LIMIT` characters, not all blank, without a line ending.

        Returns:
            A Deferred or a coroutine with the text to print, of any number of lines; None or
            an empty text prints nothing. It is cancelled at Ctrl-C.

        Raises:
            LabError: Its text is printed as one line, and the talk goes on. Any other
                exception is a bug and ends the talk.
            Interrupted: Its text is printed; only when it was cancelled.
        """

    def complete(self, text: str) -> list[str] | Awaitable[list[str]]:
        """
        What could stand in the place of ``text``, which is all that stands before the cursor.

        Each completion is a whole replacement and begins with ``text``, as ``get readme.txt``
        does with ``get re``; nothing is put behind it. What is awaited is given up neither at
        Ctrl-C nor after a time, so it has to come soon, and does not fail.
        """


class Interrupted(CancelledError):
    """
    A line was interrupted, and there is something to say of it all the same.

    Attributes:
        text: What is to be printed, in place of an answer.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def begin(session: Session, text: str) -> Deferred[str | None]:
    """Start to carry out a line."""
    return cast("Deferred[str | None]", maybeDeferred(session.line, text))


def complete(session: Session, text: str) -> Deferred[list[str]]:
    """Find what could stand in the place of a text."""
    return cast("Deferred[list[str]]", maybeDeferred(session.complete, text))


def encode(text: str) -> bytes:
    """The text with a line ending behind it."""
    return (text.removesuffix("\n") + "\n").encode("utf-8", "backslashreplace")


def one_line(error: LabError) -> str:
    """The text of an error, of which a peer may have written a part, without control codes."""
    return printable(str(error) or type(error).__name__)


def printable(text: str) -> str:
    r"""
    A text in one row, without control codes and whatever else is not to be seen.

    >>> printable("a\x1b[2J\n")
    'a\\x1b[2J\\n'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
