"""
A ``twistd`` in a process of its own, whose log is read as it is written.

Knows neither what the process is for nor what happens when it ends.
"""

import json
import os
import sys
from collections import deque
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from lab.wire.lines import LineReader

# Bytes of a line; a longer one, which our servers don't write, would be the last read.
_LINE = 2**20
# So many lines are kept of what it has said.
_LAST = 20


class LoggedProcess(ProcessProtocol):
    """
    A process that writes a log in JSON; a subclass says what happens then.

    Attributes:
        last: The last lines that tell why it ends, if it does.
        gone: Fires when it has ended.
    """

    transport: Any

    def __init__(self) -> None:
        self._out, self._errors = LineReader(_LINE), LineReader(_LINE)
        self.last: deque[str] = deque(maxlen=_LAST)
        self.gone: Deferred[None] = Deferred()

    def spawn(self, reactor: Any, words: list[str]) -> None:
        """Start it, with these words as its command line."""
        reactor.spawnProcess(self, sys.executable, words, env=os.environ)

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(number)

    def logged(self, event: dict[str, Any]) -> None:
        """An event of its log has come; its ``message`` is a text."""

    def wrote(self, text: str) -> None:
        """A line of its standard output that is none of a log."""
        self.last.append(text)

    def complained(self, text: str) -> None:
        """A line of its standard error."""
        self.last.append(text)

    def ended(self, why: str) -> None:
        """It has ended; why is what it said last, or how it has ended."""

    def outReceived(self, data: bytes) -> None:
        """Some of its log."""
        for line in self._out.feed(data):
            event = _read_event(line)
            if event is None:
                self.wrote(line.decode(errors="replace"))
            else:
                self.logged(event)

    def errReceived(self, data: bytes) -> None:
        """What it says when it fails."""
        for line in self._errors.feed(data):
            self.complained(line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:
        """It has ended, perhaps within a line."""
        for line in filter(None, self._errors.feed(b"\n")):
            self.complained(line.decode(errors="replace"))
        self.ended(self.last[-1] if self.last else reason.getErrorMessage())
        self.gone.callback(None)


def _read_event(line: bytes) -> dict[str, Any] | None:
    """A line of a JSON log, or None if it is anything else that a process may write."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("message"), str)
    return event if known else None
