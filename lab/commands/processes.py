"""
Processes of ours: a real ``twistd`` that is started, listened to, and always ended.

It ends with us, also if we are killed: its standard input is then at its end, for which it waits.
"""

import re
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from lab.commands.logged_process import LoggedProcess
from lab.errors import LabError
from lab.experiments.processes import TWISTD

# Of a session of its own: Ctrl-C on a terminal is for us, and we end it.
_TWISTD = (*TWISTD[:2], f"import os; os.setsid(); {TWISTD[2]}", *TWISTD[3:])


class ServerError(LabError):
    """A process of ours did not start, or ended by itself."""


class TwistdProcess(LoggedProcess):
    """
    ``twistd -n`` in a process of its own, whose log is read as it is written.

    Args:
        event: Called with each event of the log, a dict.
        lost: Called when it ends by itself though it had started.
    """

    def __init__(
        self,
        event: Callable[[dict[str, Any]], None],
        lost: Callable[[ServerError], object] = lambda _: None,
    ) -> None:
        super().__init__()
        self._event, self._lost = event, lost
        self._wanted_end = False
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
        self.spawn(reactor, [*_TWISTD, *arguments, "--log-format", "json"])
        return ready

    def stop(self) -> Deferred[None]:
        """End it; fires when it has ended."""
        return self._end(signal.SIGTERM)

    def kill(self) -> Deferred[None]:
        """Have it end at once, as if it had crashed; fires when it has ended."""
        return self._end(signal.SIGKILL)

    def logged(self, event: dict[str, Any]) -> None:
        """An event of its log, which may say where it listens."""
        self.last += event["message"].splitlines()
        self._event(event)
        place = _place(event)
        if place and "listens on" in event["message"]:
            self._listens(place)

    def ended(self, why: str) -> None:
        """It did not start, it was to end, or it has ended by itself."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.errback(ServerError(f"the server did not start: {why}"))
        elif not self._wanted_end:
            self._lost(ServerError(f"it has ended by itself: {why}"))

    def _end(self, number: int) -> Deferred[None]:
        """Have it end by a signal."""
        self._wanted_end = True
        self.send_signal(number)
        return self.gone

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
