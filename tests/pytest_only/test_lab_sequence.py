"""The command ``lab sequence`` against a real server: what it shows, keeps and says at the end."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.sequence.values import value
from lab.sequence.wire import read_server
from tests.pytest_only.processes import LAB, PATIENCE, Ended, Server, run, running, serving

PLACE = "tcp:{}:interface=127.0.0.1"
EQUAL = "system - SUCCESS! local checksum and server checksum are equal"
DIFFERENT = "system - FAILURE! local checksum and server checksum are different"


def serve(*options: str, port: int = 0, window: str = "20") -> object:
    """A server of quick sequences."""
    words = ("--interval", "20ms", "--reconnect-window", window, *options)
    return serving(*words, places=[PLACE.format(port)], service="sequence")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that all tests may use that do not end it."""
    with serve() as server:  # type: ignore[attr-defined]
        yield server


def receive(*words: str, cwd: Path) -> Ended:
    """Run ``lab sequence`` to its end."""
    return run(LAB, "sequence", *words, cwd=cwd)


def log(folder: Path) -> str:
    """What was logged there."""
    return (folder / "logs" / "app.log").read_text()


def test_success(server: Server, tmp_path: Path) -> None:
    """Standard output and the log file have the line, and nothing has the key."""
    ended = receive(server.places[0], "20", "--log-level", "debug", cwd=tmp_path)
    lines = ended.lines
    assert (ended.code, lines[-1]) == (0, EQUAL)
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(20))
    assert re.search(rf"^\S+ info {EQUAL}$", log(tmp_path), re.MULTILINE)
    assert "number 19" in log(tmp_path)


@pytest.mark.parametrize("level", ["error", "warn"])
def test_quiet_log(server: Server, tmp_path: Path, level: str) -> None:
    """The line is there at any level, and then nothing else."""
    words = ("2", "--log-file", "deep/er/a.log", "--log-level", level)
    assert receive(server.places[0], *words, cwd=tmp_path).code == 0
    assert (tmp_path / "deep/er/a.log").read_text().split(" ", 1)[1] == f"info {EQUAL}\n"


def test_json(server: Server, tmp_path: Path) -> None:
    """Every line is an object, the last one has the line."""
    ended = receive(server.places[0], "3", "--json", cwd=tmp_path)
    events = [json.loads(line) for line in ended.lines]
    assert [event["event"] for event in events] == ["session", *["number"] * 3, "ended"]
    assert events[-1]["verdict"] == EQUAL


@pytest.mark.thorough
def test_killed_again_and_again(server: Server, tmp_path: Path) -> None:
    """After each ``kill -9`` the same command goes on; nothing comes twice, nothing is missing."""
    words = (LAB, "sequence", server.places[0], "60", "--state", "a.state")
    shown: list[int] = []
    key, kept = b"", list[int]()
    for kill in (5, 3, 9, 1):
        with running(*words, cwd=tmp_path) as process:
            for _ in range(kill):
                process.line(lambda line: line[0].isdigit())
            ended = process.end(signal.SIGKILL)
            shown += [int(line.split()[0]) for line in ended.lines]
        lines = (tmp_path / "a.state").read_bytes().split(b"\n")[:-1]
        session, *numbers = [read_server(line) for line in lines]
        key = session.key  # type: ignore[union-attr]
        kept = [number.value for number in numbers]  # type: ignore[union-attr]
        assert kept == [value(key, index) for index in range(len(kept))]
        # What was told is kept; the last one may be kept and not told.
        assert sorted(set(shown)) == sorted(shown)
        assert max(shown) < len(kept)
    ended = receive(*words[2:], cwd=tmp_path)
    assert (ended.code, ended.lines[-1]) == (0, EQUAL)
    assert [int(line.split()[0]) for line in ended.lines[:-1]] == list(range(len(kept), 60))
    assert not (tmp_path / "a.state").exists()
    assert key.hex() not in log(tmp_path) + ended.out + ended.err


@pytest.mark.thorough
def test_server_killed(tmp_path: Path) -> None:
    """A server in memory that is killed has forgotten: exit code 3, and the last index."""
    with serve() as server:  # type: ignore[attr-defined]
        port = server.address("tcp")[1]
        with running(LAB, "sequence", server.places[0], "500", cwd=tmp_path) as process:
            process.line(lambda line: line.startswith("7 "))
            server.process.end(signal.SIGKILL)
            with serve(port=port):  # type: ignore[attr-defined]
                ended = process.wait()
    last = [line for line in ended.lines if line[0].isdigit()][-1].split()[0]
    assert ended.code == 3
    assert ended.lines[-1] == f"system - FAILURE! rejected: unknown; the last index is {last}"
    assert "the next attempt is in" in ended.err
    assert ended.lines[-1] in log(tmp_path)


@pytest.mark.thorough
def test_restart(tmp_path: Path) -> None:
    """With --on-reject restart it begins anew."""
    words = (LAB, "sequence", "--on-reject", "restart", "--state", "a.state")
    with serve() as server:  # type: ignore[attr-defined]
        port = server.address("tcp")[1]
        with running(*words, server.places[0], "30", cwd=tmp_path) as process:
            process.line(lambda line: line.startswith("7 "))
            server.process.end(signal.SIGKILL)
            with serve(port=port):  # type: ignore[attr-defined]
                ended = process.wait()
    assert (ended.code, ended.lines[-1]) == (0, EQUAL)
    assert [int(line.split()[0]) for line in ended.lines[:-1]][-30:] == list(range(30))


def test_interrupted(server: Server, tmp_path: Path) -> None:
    """Ctrl-C is 130, SIGTERM 143, without a traceback; the file stays."""
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        words = (server.places[0], "500", "--state", "a.state")
        with running(LAB, "sequence", *words, cwd=tmp_path) as process:
            process.line(lambda line: line[0].isdigit())
            ended = process.end(number)
        assert ended.code == code
        said = ended.err.splitlines()[-2:]
        assert said == ["goes on from a.state when it is typed again", "interrupted"]
        assert (tmp_path / "a.state").exists()


def test_nobody_there(tmp_path: Path) -> None:
    """It tries for ever, and says so; Ctrl-C ends it."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))  # not listening: connections are refused
        place = f"tcp:127.0.0.1:{port.getsockname()[1]}"
        with running(LAB, "sequence", place, "--json", cwd=tmp_path) as process:
            for _ in range(3):
                event = json.loads(process.line(lambda line: '"retry"' in line))
                assert "refused" in event["reason"]
            assert process.end(signal.SIGINT).code == 130


def test_different(tmp_path: Path) -> None:
    """A server whose checksum is of other numbers: exit code 4, and both places say so."""
    with socket.create_server(("127.0.0.1", 0)) as port:

        def serve() -> None:
            """One client, to which the checksum is a lie."""
            connection, _ = port.accept()
            with connection:
                connection.recv(100)
                lines = [f"session {'1' * 32} {'2' * 32} 2 0.1", "number 0 5", "number 1 6"]
                lines.append(f"checksum {'0' * 8} {'0' * 64}")
                connection.sendall("".join(f"{line}\n" for line in lines).encode())
                while connection.recv(100):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        ended = receive(f"tcp:127.0.0.1:{port.getsockname()[1]}", "2", cwd=tmp_path)
        thread.join(PATIENCE)
    assert (ended.code, ended.lines) == (4, ["0 5", "1 6", DIFFERENT])
    assert DIFFERENT in log(tmp_path)


def test_terminal(server: Server, tmp_path: Path) -> None:
    """On a terminal a bar shows how far it is."""
    ours, theirs = pty.openpty()
    words = (LAB, "sequence", server.places[0], "12")
    process = subprocess.Popen(words, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], PATIENCE)[0]:
            shown += os.read(ours, 65536)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
        process.kill()
        code = process.wait()
    text = shown.decode()
    assert code == 0
    assert "0 of 12, 0/s, 0 reconnections, 0:00:00 left" in text
    assert re.search(r"[1-9]\d* of 12, [0-9.]+/s, 0 reconnections", text)
    assert EQUAL in text


@pytest.mark.thorough
def test_two_at_one_file(server: Server, tmp_path: Path) -> None:
    """Two processes can't go on from one file: one line, exit code 2, and the first goes on."""
    words = ("sequence", server.places[0], "5000", "--state", "a.state")
    with running(LAB, *words, cwd=tmp_path) as process:
        process.line(lambda line: line[0].isdigit())
        ended = run(LAB, *words, cwd=tmp_path)
        assert (ended.code, ended.out) == (2, "")
        assert "state is 'a.state'; another process has it" in ended.err
        process.line(lambda line: line[0].isdigit())
        assert process.end(signal.SIGINT).code == 130
