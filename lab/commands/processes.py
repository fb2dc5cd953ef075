"""
Processes of ours: a real ``twistd`` that is started, listened to, and always ended.

It ends with us, also if we are killed: its standard input is then at its end, for which it waits.
"""

import json
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from lab.errors import LabError
from lab.experiments.processes import TWISTD
from lab.wire.lines import LineReader

# Bytes of a line of the log; a longer one, which our servers don't write, would be the last read.
_LINE = 2**20
# Of a session of its own: Ctrl-C on a terminal is for us, and we end it.
_TWISTD = (*TWISTD[:2], f"import os; os.setsid(); {TWISTD[2]}", *TWISTD[3:])


class ServerError(LabError):
    """A process of ours did not start, or ended by itself."""


class TwistdProcess(ProcessProtocol):
    """
    ``twistd -n`` in a process of its own, whose log is read as it is written.

    Args:
        event: Called with each event of the log, a dict.
        lost: Called when it ends by itself though it had started.
    """

    transport: Any

    def __init__(
        self,
        event: Callable[[dict[str, Any]], None],
        lost: Callable[[ServerError], object] = lambda _: None,
    ) -> None:
        self._event, self._lost = event, lost
        self._wanted_end = False
        self._reader = LineReader(_LINE)
        self._last: deque[str] = deque(maxlen=20)
        self._ended: Deferred[None] = Deferred()
        self._places: list[str] = []
        self._wanted = 0
        self._ready: Deferred[list[str]] | None = None

    def start(self, reactor: Any, arguments: list[str], places: int) -> Deferred[list[str]]:
        """
        Start it.

        Args:
            reactor: Spawns the process.
            arguments: Of twistd, from the name of the service on.
            places: How many endpoints it will listen on.

        Returns:
            Fires with those endpoints, as a client's, in the order of listening; fails with
            `ServerError`.
        """
        self._wanted = places
        ready: Deferred[list[str]] = Deferred()
        self._ready = ready
        words = [*_TWISTD, *arguments, "--log-format", "json"]
        reactor.spawnProcess(self, sys.executable, words, env=os.environ)
        return ready

    def stop(self) -> Deferred[None]:
        """End it; fires when it has ended."""
        return self._signal(signal.SIGTERM)

    def kill(self) -> Deferred[None]:
        """Have it end at once, as if it had crashed; fires when it has ended."""
        return self._signal(signal.SIGKILL)

    def outReceived(self, data: bytes) -> None:
        """Some of its log."""
        for line in self._reader.feed(data):
            event = _read_event(line)
            if event is None:
                self._last.append(line.decode(errors="replace"))
                continue
            self._last += event["message"].splitlines()
            self._event(event)
            place = _place(event)
            if place and "listens on" in event["message"]:
                self._listens(place)

    def errReceived(self, data: bytes) -> None:
        """What it says when it fails."""
        self._last += data.decode(errors="replace").splitlines()

    def processEnded(self, reason: Failure) -> None:
        """It has ended."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.errback(ServerError(f"the server did not start: {self._last_words(reason)}"))
        elif not self._wanted_end:
            self._lost(ServerError(f"it has ended by itself: {self._last_words(reason)}"))
        self._ended.callback(None)

    def _signal(self, number: int) -> Deferred[None]:
        """Send it a signal, if it is there."""
        self._wanted_end = True
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(number)
        return self._ended

    def _last_words(self, reason: Failure) -> str:
        """What it said last, or how it has ended."""
        return self._last[-1] if self._last else reason.getErrorMessage()

    def _listens(self, endpoint: str) -> None:
        """It listens at one more endpoint."""
        self._places.append(endpoint)
        if len(self._places) == self._wanted and self._ready is not None:
            ready, self._ready = self._ready, None
            ready.callback(self._places)


def _place(event: dict[str, Any]) -> str:
    """Where a client finds what listens, by an event of a server or of a proxy; or nothing."""
    proxy = re.fullmatch(r"(tcp|udp):(\d+):interface=(.+)", str(event.get("listen")))
    return f"{proxy[1]}:{proxy[3]}:{proxy[2]}" if proxy else str(event.get("endpoint", ""))


def _read_event(line: bytes) -> dict[str, Any] | None:
    """A line of a JSON log, or None if it is anything else that a process may write."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    known = isinstance(event, dict) and isinstance(event.get("message"), str)
    return event if known else None
