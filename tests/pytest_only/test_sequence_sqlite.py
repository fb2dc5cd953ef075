"""A real server that is killed again and again in mid-sequence, and clients that lose nothing."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from lab.sequence.sqlite import Database
from lab.sequence.values import Checksum, value
from lab.sequence.wire import proof
from tests.pytest_only.processes import (
    PATIENCE,
    TWISTD,
    Ended,
    Server,
    address,
    run,
    serving,
)

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

PLACE = "tcp:0:interface=127.0.0.1"


class Meeting:
    """
    Where clients learn which server there is, and the test how many lines they have.

    Attributes:
        over: Whether no more sequences are to be begun.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._where: tuple[str, int] | None = None
        self._turn = 0
        self._lines = 0
        self.over = False

    def open(self, where: tuple[str, int]) -> None:
        """There is another server."""
        with self._changed:
            self._where, self._turn, self._lines = where, self._turn + 1, 0
            self._changed.notify_all()

    def server(self, turn: int) -> tuple[int, tuple[str, int]]:
        """The server of a later turn than this, as soon as there is one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._turn > turn, 2 * PATIENCE):
                raise AssertionError("there is no other server")
            assert self._where is not None
            return self._turn, self._where

    def line(self) -> None:
        """A client has a line more."""
        with self._changed:
            self._lines += 1
            self._changed.notify_all()

    def lines(self, number: int, clients: "list[Client]") -> None:
        """Wait until there are so many of the server that there is, or a client has failed."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._lines >= number or any(one.failed for one in clients), PATIENCE
            )
            assert came, f"{self._lines} lines"


class Client(threading.Thread):
    """
    Receives one sequence after the other, of any server there is, and believes nothing.

    Attributes:
        failed: What went wrong.
        keys: Of its sessions, in hex.
        resumed: How often one went on.
        done: How many sequences it has.
    """

    def __init__(self, meeting: Meeting, seed: int) -> None:
        super().__init__(daemon=True)
        self._meeting, self._random, self._turn = meeting, Random(seed), 0
        self.failed: BaseException | None = None
        self.keys: list[str] = []
        self.resumed = self.done = 0

    def run(self) -> None:
        """Until there are enough."""
        try:
            while not self._meeting.over:
                self._receive(self._random.randint(1, 60))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.failed = error
            self._meeting.line()

    def _receive(self, n: int) -> None:
        """Receive one sequence, over as many connections as it takes."""
        self._session: tuple[str, bytes] | None = None
        self._numbers: list[int] = []
        complete = False
        while not complete:
            turn, where = self._meeting.server(self._turn)
            try:
                with socket.create_connection(where, PATIENCE) as connection:
                    complete = self._connected(connection, n)
            except OSError:
                pass
            if not complete:  # it is dead, or it would not have broken the connection off
                self._turn = turn
        self.done += 1

    def _connected(self, connection: socket.socket, n: int) -> bool:
        """Receive what comes over one connection; whether that is all."""
        if self._session is None:
            connection.sendall(b"start %d\n" % n)
        else:
            id, key = self._session
            connection.sendall(b"resume %s %d\n" % (id.encode(), len(self._numbers)))
        with connection.makefile("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    return False
                name, *words = line.decode().split()
                if name == "challenge":
                    mac = proof(key, id, words[0], len(self._numbers))
                    connection.sendall(b"proof %s\n" % mac.encode())
                elif name == "checksum":
                    checksum = Checksum()
                    for each in self._numbers:
                        checksum.add(each)
                    assert (len(self._numbers), words) == (n, [*checksum.digest()])
                    connection.sendall(b"done\n")
                    return True
                else:
                    self._take(name, words)
                self._meeting.line()
                if number % 20 == 0:
                    connection.sendall(b"heartbeat 1\n")
        return False

    def _take(self, name: str, words: list[str]) -> None:
        """Take one line, which has to be the right one."""
        if name == "session":
            assert self._session is None
            self._session = words[0], bytes.fromhex(words[1])
            self.keys.append(words[1])
        elif name == "resumed":
            assert words == [str(len(self._numbers))]
            self.resumed += 1
        elif name == "number":
            assert self._session is not None
            self._numbers.append(value(self._session[1], len(self._numbers)))
            assert words == [str(len(self._numbers) - 1), str(self._numbers[-1])]
        else:
            assert name == "alive", (name, words)


@contextmanager
def clients(meeting: Meeting, number: int) -> Iterator[list[Client]]:
    """So many clients, which have all they wanted at the end."""
    found = [Client(meeting, seed) for seed in range(number)]
    for one in found:
        one.start()
    yield found
    meeting.over = True
    for one in found:
        one.join(PATIENCE)
        assert one.failed is None, one.failed
        assert not one.is_alive()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server whose sessions are in a file."""
    options = "--interval", "10ms", "--reconnect-window", "120", "--sessions", "sqlite:s.db"
    with serving(*options, places=[PLACE], service="sequence", cwd=folder) as found:
        yield found


def kill_again_and_again(folder: Path, rounds: int) -> None:
    """Kill a server so often, at moments that are drawn, while clients receive."""
    random, meeting, said = Random(rounds), Meeting(), list[Ended]()
    with clients(meeting, 4) as found:
        for turn in range(rounds + 1):
            with server(folder) as one:
                meeting.open(address(one.places[0]))
                if turn < rounds:
                    meeting.lines(random.choice([0, 1, 2, 3, 5, 8, 20, 60]), found)
                    # An orderly end is one more way to end.
                    said.append(one.process.end(random.choice([9, 9, 9, signal.SIGTERM])))
                    continue
                meeting.over = True
                for each in found:
                    each.join(PATIENCE)
                said.append(one.process.end())
    assert sum(one.resumed for one in found) > rounds
    assert sum(one.done for one in found) > 4
    log = "".join(one.out + one.err for one in said)
    assert not [key for one in found for key in one.keys if key in log]
    assert '"level": "error"' not in log
    assert '"level": "critical"' not in log


def twistd(folder: Path, path: str) -> Ended:
    """A lab-server with sessions in this file, which ends by itself."""
    words = "lab-server", "--sequence", PLACE, "--sessions", f"sqlite:{path}"
    return run(TWISTD, "-n", "--pidfile=", *words, cwd=folder)


def test_one_server(tmp_path: Path) -> None:
    """A second server with the same file is refused in one line, and the first one goes on."""
    with server(tmp_path) as first:
        ended = twistd(tmp_path, "s.db")
        assert (ended.code, ended.err) == (1, "sessions is 'sqlite:s.db'; another process has it\n")
        assert "Traceback" not in ended.out
        ended = twistd(tmp_path, "none/s.db")
        assert ended.err == "sessions is 'sqlite:none/s.db'; No such file or directory\n"
        with socket.create_connection(address(first.places[0]), PATIENCE) as connection:
            connection.sendall(b"start 1\n")
            with connection.makefile("rb") as lines:
                names = [lines.readline().split()[0] for _ in range(3)]
                assert names == [b"session", b"number", b"checksum"]


def test_daemon(tmp_path: Path) -> None:
    """A daemon opens it after it has gone into the background, and in the folder it began in."""
    (tmp_path / "elsewhere").mkdir()
    pid_file = tmp_path / "pid"
    words = f"--pidfile={pid_file}", "--logfile=log", "--rundir=elsewhere", "lab-server"
    options = "--sequence", PLACE, "--sessions", "sqlite:s.db"
    assert run(TWISTD, *words, *options, cwd=tmp_path).code == 0
    pid = int(pid_file.read_text())
    try:
        assert (tmp_path / "s.db").exists()
        held = [fd.readlink() for fd in Path(f"/proc/{pid}/fd").iterdir()]
        assert tmp_path / "s.db" in held
    finally:
        os.kill(pid, signal.SIGKILL)


def test_orderly_end(tmp_path: Path) -> None:
    """A server that is asked to end writes how far its sessions are, exactly."""
    with server(tmp_path) as one:
        with socket.create_connection(address(one.places[0]), PATIENCE) as connection:
            connection.sendall(b"start 10000\n")
            with connection.makefile("rb") as lines:
                assert lines.readline().startswith(b"session ")
                assert lines.readline().startswith(b"number 0 ")
                one.process.send(signal.SIGTERM)
                numbers = 1 + len(lines.read().splitlines())
        ended = one.process.wait()
        assert '"level": "error"' not in ended.out
    database = Database(str(tmp_path / "s.db"))
    (left,) = database.open()
    database.close()
    assert left.sent == numbers


def test_killed(tmp_path: Path) -> None:
    """Six times: nobody notices more than that the numbers pause."""
    kill_again_and_again(tmp_path, 6)


@pytest.mark.early
def test_killed_very_often(tmp_path: Path) -> None:
    """A hundred times."""
    kill_again_and_again(tmp_path, 100)
