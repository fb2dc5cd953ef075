"""
``twistd lab-server --workers N``: so many processes that serve together, and one that sees to them.

Each of them is a whole ``twistd lab-server``, with sockets of its own at ports that they share (see
`lab.adapters.reuseport`). The first process serves nobody. It holds the TCP ports from before the
first worker until after the last; it has the log of all, with their numbers; a worker that ends is
started again. Their standard input is a pipe whose other end it has, so that they end with it,
however it ends; what they are to do comes by that, too, since everybody can read command lines.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from lab.adapters.endpoints import serverFromString
from lab.adapters.reuseport import ReservedPorts
from lab.adapters.service import why_not
from lab.backoff import Backoff
from lab.commands.logged_process import LoggedProcess
from lab.errors import LabError, LocalError
from lab.experiments.orphans import end_with_parent

#: A worker that has lived for so long was well, in seconds.
WELL = 10.0
#: Waits before a worker that was not is started again; behind the last, all end.
WAITS = Backoff(first=0.1, cap=2.0)
#: Workers that were told to end have so long, in seconds.
GRACE = 10.0
_PROGRAM = "from lab.commands.workers import work; work()"
# Of an event in the log of a worker: what is the log's own.
_TAKEN = {"time", "level", "namespace", "message", "failure", "format", "worker", "text"}
_LEVELS = {level.name: level for level in LogLevel.iterconstants()}


class WorkersError(LabError):
    """Workers end as soon as they are started."""


@define(eq=False)
class Reservations:
    """
    The ports of all endpoints, held before there is a worker.

    Args:
        reactor: Of this process.
    """

    _reactor: Any
    #: Of each endpoint: it has one socket.
    _taken: list[ReservedPorts] = field(init=False, factory=list)

    def take(self, name: str, text: str) -> None:
        """
        Take that of an endpoint.

        Raises:
            LocalError: It can't be had; the text says why.
        """
        ports = ReservedPorts(self._reactor)
        endpoint: Any = serverFromString(ports, text)
        failures: list[Failure] = []
        maybeDeferred(endpoint.listen, Factory()).addErrback(failures.append)
        for failure in failures:
            raise LocalError(f"{name} can't listen on {text}: {why_not(failure.value)}")
        self._taken.append(ports)

    def ports(self) -> list[int]:
        """The numbers of the ports, in the order of their endpoints."""
        return [ports.taken[0].getsockname()[1] for ports in self._taken]

    def release(self, kinds: Collection[int]) -> None:
        """Let go of those whose sockets are of these kinds."""
        for ports in self._taken:
            for one in ports.taken:
                if one.type in kinds:
                    one.close()


class WorkerProcess(LoggedProcess):
    """
    One life of a worker.

    Args:
        words: Of its twistd.
        event: Called with each event of its log, a dict.
        over: Called when it has ended, with the last that it said, or how it ended.
    """

    def __init__(
        self,
        words: list[str],
        event: Callable[[dict[str, Any]], None],
        over: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._words, self._event, self._over = words, event, over

    def connectionMade(self) -> None:
        """Tell it what to do; the pipe stays open for as long as we live."""
        self.transport.write(json.dumps(self._words).encode() + b"\n")

    def logged(self, event: dict[str, Any]) -> None:
        """It has logged something."""
        self._event(event)

    def wrote(self, text: str) -> None:
        """Whatever else it says is news as well."""
        self._event({"level": "info", "message": text})

    def complained(self, text: str) -> None:
        """What it says when it fails, which may be why it ends."""
        super().complained(text)
        self._event({"level": "error", "message": text})

    def ended(self, why: str) -> None:
        """It has ended."""
        self._over(why)

    def end(self, reactor: Any) -> Deferred[None]:
        """Have it end, in good order if it can; fires when it has."""
        self.send_signal(signal.SIGTERM)
        timer = reactor.callLater(GRACE, self.send_signal, signal.SIGKILL)
        self.gone.addCallback(lambda _: timer.cancel() if timer.active() else None)
        return self.gone


class Supervisor(Service):
    """
    Has workers, while it runs.

    Args:
        reactor: Spawns processes.
        endpoints: What they serve, as names of services and endpoint strings.
        count: How many workers there are.
        words: Makes the words of their twistd, when the ports of the endpoints are known.
        fail: Called with the error if they end again and again.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[tuple[str, str]],
        count: int,
        words: Callable[[list[int]], list[str]],
        fail: Callable[[WorkersError], None],
    ) -> None:
        self._reactor, self._endpoints, self._make, self._fail = reactor, endpoints, words, fail
        self._held = Reservations(reactor)
        self._words: list[str] = []
        self._waits: dict[int, Iterator[float]] = {n: WAITS.waits() for n in range(1, count + 1)}
        self._living: dict[int, WorkerProcess] = {}
        self._timers: dict[int, IDelayedCall] = {}
        #: How many endpoints each worker still has to listen at.
        self._left: dict[int, int] = {}

    def privilegedStartService(self) -> None:
        """
        Take the ports.

        Raises:
            LocalError: They can't be had.
        """
        super().privilegedStartService()
        self._take()

    def startService(self) -> None:
        """
        Start the workers, as soon as the reactor runs and sees them end.

        Raises:
            LocalError: The ports can't be had.
        """
        super().startService()
        if not self._words:
            self._take()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[Any]:
        """End the workers."""
        super().stopService()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._held.release((SOCK_STREAM, SOCK_DGRAM))
        return gatherResults([one.end(self._reactor) for one in self._living.values()])

    def _take(self) -> None:
        """Take the ports of all endpoints."""
        for name, text in self._endpoints:
            self._held.take(name, text)
        self._words = self._make(self._held.ports())

    def _begin(self) -> None:
        """Start all."""
        for number in self._waits if self.running else ():
            self._start(number)

    def _start(self, number: int) -> None:
        """Start one."""
        self._timers.pop(number, None)
        began = self._reactor.seconds()
        self._left[number] = len(self._endpoints)
        process = WorkerProcess(
            self._words,
            lambda event: self._relay(number, event),
            lambda why: self._ended(number, began, why),
        )
        self._living[number] = process
        words = [sys.executable, "-c", _PROGRAM]
        self._reactor.spawnProcess(process, sys.executable, words, env=os.environ)

    def _relay(self, number: int, event: dict[str, Any]) -> None:
        """Log what a worker has logged."""
        text = "\n".join(filter(None, (event["message"], event.get("failure"))))
        known = {name: value for name, value in event.items() if name not in _TAKEN}
        level = _LEVELS.get(str(event.get("level")), LogLevel.info)
        log = Logger(event.get("namespace", self._log.namespace))
        log.emit(level, "worker {worker}: {text}", worker=number, text=text, **known)
        if "endpoint" in known and "listens on" in text:
            self._left[number] -= 1
            if not self._left[number]:
                self._listens()

    def _listens(self) -> None:
        """A worker listens everywhere: it has the ports of datagrams now, too."""
        self._held.release((SOCK_DGRAM,))
        if not any(self._left.values()):
            self._log.info("{workers} workers serve", workers=len(self._left))

    def _ended(self, number: int, began: float, why: str) -> None:
        """A worker has ended: start another, unless that does not help."""
        del self._living[number]
        if not self.running:
            return
        if self._reactor.seconds() - began >= WELL:
            self._waits[number] = WAITS.waits()
        wait = next(self._waits[number], None)
        if wait is None:
            self._fail(WorkersError(f"worker {number} ends whenever it is started: {why}"))
            return
        self._log.error(
            "worker {worker} has ended, and is started again in {wait:g} s: {why}",
            worker=number,
            wait=wait,
            why=why,
        )
        self._timers[number] = self._reactor.callLater(wait, self._start, number)


def work() -> None:
    """Be a worker: the main program of its process."""
    # A terminal sends it to all; the supervisor is the one to say when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            return  # nobody wants anything
        line += data
    end_with_parent()
    sys.argv = ["twistd", *json.loads(line)]
    from twisted.scripts.twistd import run

    run()
