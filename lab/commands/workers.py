"""
``twistd lab-server --workers N``: so many processes that serve together, and one that sees to them.

Each of them is a whole ``twistd lab-server``, with sockets of its own at ports that they share (see
`lab.adapters.reuseport`). The first process serves nobody. It holds the TCP ports from before the
first worker until after the last; it has the log of all, with their numbers; a worker that ends is
started again. Their standard input is a pipe whose other end it has, so that they end with it,
however it ends; what they are to do comes by that, too, since everybody can read command lines.
"""

import atexit
import json
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from lab.adapters.endpoints import serverFromString
from lab.adapters.reuseport import SHARED, ReservedPorts, SharedPorts, check_system
from lab.adapters.service import why_not
from lab.backoff import Backoff
from lab.commands.options import one_line
from lab.errors import LabError, LocalError
from lab.experiments.orphans import end_with_parent
from lab.wire.lines import LineReader

#: Most workers.
MOST = 256
#: A worker that has lived for so long was well, in seconds.
WELL = 10.0
#: Waits before a worker that was not is started again; behind the last, all end.
WAITS = Backoff(first=0.1, cap=2.0)
#: Workers that were told to end have so long, in seconds.
GRACE = 10.0
# Bytes of a line of the log; a longer one, which our servers don't write, would be the last read.
_LINE = 2**20
_PROGRAM = "from lab.commands.workers import work; work()"
# Of an event in the log of a worker: what is the log's own.
_TAKEN = {"time", "level", "namespace", "message", "failure", "format", "worker", "text"}
#: Options of twistd that say what a supervisor does, and not how its workers serve.
_NOT_WITH = ("uid", "gid", "chroot")


class WorkersError(LabError):
    """Workers end as soon as they are started."""


def check_workers(options: Mapping[str, Any], twistd: Mapping[str, Any] | None, count: int) -> None:
    """
    Whether these options are ones for several processes.

    Args:
        options: Of the server: words, as they were given, and the endpoints by their services.
        twistd: Its own.
        count: How many processes.

    Raises:
        LocalError: They are not.
    """
    check_system()
    if count > MOST:
        raise LocalError(f"workers is {count}; give at most {MOST}")
    for name in ("control", "console"):
        if options[name]:
            raise LocalError(f"{name} is for a server of one process; leave --workers out")
    for name in _NOT_WITH:
        if twistd is not None and twistd.get(name):
            raise LocalError(f"workers share ports as one user; leave {name} of twistd out")


def check_shared(endpoints: Sequence[tuple[str, str]], sessions: str) -> None:
    """
    Whether several processes can serve these.

    Args:
        endpoints: Services, and endpoint strings.
        sessions: Where those of sequences are.

    Raises:
        LocalError: They can't.
    """
    for name, text in endpoints:
        if text.partition(":")[0] not in SHARED:
            raise LocalError(
                f"{name} is at {text!r}; workers can share {', '.join(SHARED)}, no other endpoint"
            )
        if name == "sequence" and not sessions.startswith("redis:"):
            raise LocalError(
                f"sessions is {sessions!r}, of one process; workers that serve sequences need "
                "--sessions redis://HOST:PORT/DATABASE (or name other services only)"
            )


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


class WorkerProcess(ProcessProtocol):
    """
    One life of a worker.

    Args:
        words: Of its twistd.
        event: Called with each event of its log, a dict.
        ended: Called when it has ended, with the last that it said, or how it ended.
    """

    transport: Any

    def __init__(
        self,
        words: list[str],
        event: Callable[[dict[str, Any]], None],
        ended: Callable[[str], None],
    ) -> None:
        self._words, self._event, self._ended = words, event, ended
        self._reader, self._errors = LineReader(_LINE), LineReader(_LINE)
        self._last: deque[str] = deque(maxlen=1)
        self._over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Tell it what to do; the pipe stays open for as long as we live."""
        self.transport.write(json.dumps(self._words).encode() + b"\n")

    def outReceived(self, data: bytes) -> None:
        """Some of its log."""
        for line in self._reader.feed(data):
            self._event(_read_event(line))

    def errReceived(self, data: bytes) -> None:
        """What it says when it fails."""
        for line in self._errors.feed(data):
            text = line.decode(errors="replace")
            self._last.append(text)
            self._event({"level": "error", "message": text})

    def processEnded(self, reason: Failure) -> None:
        """It has ended."""
        self._ended(self._last[0] if self._last else reason.getErrorMessage())
        self._over.callback(None)

    def end(self, reactor: Any) -> Deferred[None]:
        """Have it end, in good order if it can; fires when it has."""
        self._signal("TERM")
        timer = reactor.callLater(GRACE, self._signal, "KILL")
        self._over.addCallback(lambda _: timer.cancel() if timer.active() else None)
        return self._over

    def _signal(self, name: str) -> None:
        """Send it a signal, if it is there."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)


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
        level = LogLevel.lookupByName(event["level"])
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


def shared_reactors(reactor: Any, ports: str | None, count: int) -> list[Any]:
    """
    What the endpoints of this process listen on: of a worker, ports that it shares.

    Args:
        reactor: Of the process.
        ports: The numbers with commas between them, for a worker.
        count: How many endpoints there are.

    Raises:
        LocalError: That are not the ports of so many.
    """
    if ports is None:
        return [reactor] * count
    form = ",".join(["[0-9]{1,5}"] * count)
    if not re.fullmatch(form, ports):
        raise LocalError(f"worker is {ports!r}; that is for processes that --workers has started")
    return [SharedPorts(reactor, int(port)) for port in ports.split(",")]


def server_words(options: Any, ports: Sequence[int]) -> list[str]:
    """
    The words of a worker's ``lab-server``: what the options of its supervisor have come to.

    Args:
        options: Those; `lab.commands.server.Options`.
        ports: Where its endpoints are.
    """
    own = {"config", "control", "console", "log-format", "seed", "worker", "workers"}
    words = [f"--worker={','.join(map(str, ports))}", f"--seed={options.seed}"]
    for name, default in options.defaults.items():
        value = options[name]
        if name in own or value == default:
            continue
        words.append(f"--{name}" if isinstance(default, int) else f"--{name}={value}")
    words += [f"--{name}={text}" for name in options.repeatable for text in options[name]]
    reactor = (options.parent or {}).get("reactor")
    twistd = ["-n", "--pidfile=", *([f"--reactor={reactor}"] if reactor else [])]
    return [*twistd, "lab-server", "--log-format=json", *words]


def give_up(reactor: Any, error: WorkersError) -> None:
    """End the program, with one line and exit code 1: twistd itself knows no such end."""
    one_line(type(error), error, None)
    atexit.register(_exit)
    reactor.stop()


def _exit() -> None:
    """End here, at the end of everything else."""
    sys.stdout.flush()
    os._exit(1)


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


def _read_event(line: bytes) -> dict[str, Any]:
    """A line of a worker's log; anything else that a process may write is news as well."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        event = None
    known = isinstance(event, dict) and {"level", "message"} <= event.keys()
    return event if known else {"level": "info", "message": line.decode(errors="replace")}
