"""
Real processes for end-to-end tests: started, listened to, and always ended by their id.

Nothing here sleeps: a wait ends with the line, the bytes or the end that it waits for, or fails
after `PATIENCE`. Knows no service but the questions in `ask_tcp` and `ask_udp`.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

import pytest
from attrs import define, field, frozen

#: No wait is longer, in seconds; only failures reach it.
PATIENCE = 30.0
#: Where the scripts of this environment are.
BIN = Path(sys.executable).parent
TWISTD = str(BIN / "twistd")
LAB = str(BIN / "lab")
#: What a server listens on when a test does not say.
PLACES = ("tcp:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1")

#: Of a table of mistakes so many are made each time; the others are made in explorations.
USUAL = 3

now = time.monotonic


def cases(table: Mapping[str, str]) -> list[Any]:
    """The mistakes of a table; a process for each of them is too much for every day."""
    longer = pytest.mark.thorough
    return [
        pytest.param(one, marks=() if number < USUAL else longer)
        for number, one in enumerate(table)
    ]


@frozen
class Ended:
    """
    A process that has ended.

    Args:
        code: Its exit code; below 0 for a signal.
        out: All it wrote to standard output.
        err: All it wrote to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


class _Reader:
    """The lines of a pipe, read by a thread so that whoever writes them never waits."""

    def __init__(self, pipe: IO[str]) -> None:
        self.seen: list[str] = []
        self._pipe = pipe
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """Read until the end."""
        for line in self._pipe:
            self.seen.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def next(self, deadline: float) -> str | None:
        """The next line, or None at the end."""
        try:
            return self._lines.get(timeout=max(0.0, deadline - now()))
        except Empty:
            raise AssertionError(f"no such line in time; there were: {self.seen}") from None

    def rest(self) -> str:
        """All that was written, up to the end."""
        self._thread.join(PATIENCE)
        return "".join(self.seen)


@define(eq=False)
class Process:
    """
    One process of ours.

    Args:
        words: Its command line.
        cwd: Where it runs.
        env: Its environment; ours by default.
    """

    words: Sequence[str]
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    _popen: subprocess.Popen[str] = field(init=False)
    _out: _Reader = field(init=False)
    _err: _Reader = field(init=False)
    _ended: Ended | None = None

    def __attrs_post_init__(self) -> None:
        """Start it, with nothing on standard input."""
        # Whoever runs the tests in the background may have SIGINT ignored, which is inherited;
        # a handler is not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._popen = subprocess.Popen(
                self.words,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._out, self._err = _Reader(self._popen.stdout), _Reader(self._popen.stderr)

    @property
    def pid(self) -> int:
        """Its id."""
        return self._popen.pid

    def line(self, fits: Callable[[str], bool], patience: float = PATIENCE) -> str:
        """The next line of standard output that fits, in so many seconds."""
        deadline = now() + patience
        while (line := self._out.next(deadline)) is not None:
            if fits(line):
                return line
        raise AssertionError(f"{self.words} ended too early: {self.wait()}")

    def event(self, words: str) -> dict[str, Any]:
        """The next event of a JSON log whose message contains these words."""
        found: dict[str, Any] = json.loads(self.line(lambda line: words in message(line)))
        return found

    def events(self, words: str) -> list[dict[str, Any]]:
        """The events of a JSON log so far whose messages contain these words."""
        return [json.loads(line) for line in self._out.seen if words in message(line)]

    def started(self) -> None:
        """
        Wait until it minds SIGTERM.

        A reactor takes signals over when it begins to run, which is after services have started
        and have logged where they listen. Until then SIGTERM just kills.
        """
        deadline = now() + PATIENCE
        while not _caught(self.pid) & 1 << (signal.SIGTERM - 1):
            assert now() < deadline, f"{self.words} does not mind SIGTERM"
            os.sched_yield()

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self) -> Ended:
        """Wait until it has ended by itself."""
        if self._ended is None:
            code = self._popen.wait(PATIENCE)
            self._ended = Ended(code, self._out.rest(), self._err.rest())
            for pipe in (self._popen.stdout, self._popen.stderr):
                assert pipe is not None
                pipe.close()
        return self._ended

    def end(self, number: int = signal.SIGTERM) -> Ended:
        """Ask it to end, and wait until it has."""
        self.send(number)
        return self.wait()

    def clean(self) -> None:
        """End it, whatever it does."""
        if self._popen.poll() is None:
            self._popen.kill()
        self.wait()


def _caught(pid: int) -> int:
    """The mask of the signals that a process has handlers for."""
    (line,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(line, 16)


@contextmanager
def running(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A process that has ended at the end."""
    process = Process(words, cwd, env)
    try:
        yield process
    finally:
        process.clean()


def run(
    *words: str,
    input: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end, with this on standard input."""
    done = subprocess.run(
        words,
        input=input,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def message(line: str) -> str:
    """The message of a line of a JSON log."""
    text: str = json.loads(line)["message"]
    return text


@frozen
class Server:
    """
    A server that listens.

    Args:
        process: Its process.
        places: Where it listens, as endpoint strings of clients, in the order of its options.
    """

    process: Process
    places: list[str]

    def place(self, kind: str) -> str:
        """The first endpoint of this kind."""
        return next(place for place in self.places if place.startswith(f"{kind}:"))

    def address(self, kind: str) -> tuple[str, int]:
        """The same as an address."""
        return address(self.place(kind))


def address(place: str) -> tuple[str, int]:
    """The host and port of an endpoint string."""
    host, _, port = place.partition(":")[2].rpartition(":")
    return host.replace("\\:", ":"), int(port)


@contextmanager
def serving(
    *options: str,
    places: Sequence[str] = PLACES,
    service: str = "arithmetic",
    twistd: Sequence[str] = (TWISTD, "-n", "--pidfile="),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """
    A ``twistd lab-server`` with these options that listens at these places.

    Args:
        options: Of lab-server; the log is JSON in any case.
        places: Its endpoints; 0 for a port takes a free one.
        service: What is served there.
        twistd: The command and its options, up to the name of the service.
        cwd: Where it runs.
        env: Its environment.
    """
    named = [word for place in places for word in (f"--{service}", place)]
    words = [*twistd, "lab-server", *named, "--log-format", "json", *options]
    with running(*words, cwd=cwd, env=env) as process:
        found = [process.event("listens on")["endpoint"] for _ in places]
        process.started()
        yield Server(process, found)


def place_of(event: Mapping[str, Any]) -> str:
    """Where a client finds what has logged that it listens, as an endpoint string."""
    if "listen" not in event:
        return str(event["endpoint"])
    found = re.fullmatch(r"tcp:(\d+):interface=(.+)", event["listen"])
    return f"tcp:{found[2]}:{found[1]}" if found else f"tcp:{event['listen']}"


@contextmanager
def proxying(*options: str, ports: int = 1, cwd: Path | None = None) -> Iterator[Server]:
    """
    A ``twistd lab-proxy`` with these options; the log is JSON in any case.

    Args:
        options: Of lab-proxy.
        ports: At how many places it listens: those of proxies, then that of the API.
        cwd: Where it runs.
    """
    words = (TWISTD, "-n", "--pidfile=", "lab-proxy", "--log-format", "json", *options)
    with running(*words, cwd=cwd) as process:
        found = [place_of(process.event("listens on")) for _ in range(ports)]
        process.started()
        yield Server(process, found)


@contextmanager
def connected(where: tuple[str, int]) -> Iterator[socket.socket]:
    """A TCP connection."""
    with socket.create_connection(where, PATIENCE) as connection:
        yield connection


def read_line(connection: socket.socket) -> bytes:
    """One line, with its ending; less at the end of the connection."""
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(1)
        if not more:
            break
        line += more
    return line


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def ask_tcp(where: tuple[str, int], request: bytes = b"+,1,1\n") -> bytes:
    """Ask one line over a connection of its own; the answer has its line ending."""
    with connected(where) as connection:
        connection.sendall(request)
        return read_line(connection)


@contextmanager
def datagrams(where: tuple[str, int]) -> Iterator[socket.socket]:
    """A UDP socket that is connected to a server."""
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as port:
        port.settimeout(PATIENCE)
        port.connect(where)
        yield port


def ask_udp(where: tuple[str, int], request: bytes = b"+,1,1") -> bytes:
    """Ask one datagram."""
    with datagrams(where) as port:
        port.send(request)
        return port.recv(65535)


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without what would show Python more than is installed."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    return {**{k: v for k, v in os.environ.items() if k not in hidden}, **more}
