"""The console of a server: on its terminal, on a pipe, and at the control socket of a daemon."""

import json
import os
import re
import select
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import thorough
from tests.pytest_only.processes import LAB, PATIENCE, TWISTD, ask_tcp, read_all, run, running
from tests.pytest_only.terminals import terminal

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

NOWHERE = ("--echo", "tcp:0:interface=127.0.0.1")
WEB = ("--web", "tcp:0:interface=127.0.0.1")


def test_terminal(tmp_path: Path) -> None:
    """Words at the prompt; the log appears above it; quit ends the console alone."""
    words = ("-n", "--pidfile=", "lab-server", "--console", "--idle", "0.2")
    with terminal(*words, *NOWHERE, cwd=tmp_path, program=TWISTD) as (screen, process):
        port = re.search(r"listens on tcp:127.0.0.1:(\d+)", screen.until(r"echo listens on .*"))
        assert port
        place = ("127.0.0.1", int(port[1]))
        screen.until("lab-server> ")
        screen.type("st\t")
        screen.until("statistics  stop")
        screen.type("a\t")
        screen.until("lab-server> statistics\x1b")
        with socket.create_connection(place, PATIENCE):
            screen.until(r"\r\x1b\[K\S+ \[.*\] .* is let go: .*\r\n\rlab-server> statistics\x1b\[K")
        screen.type("\r")
        screen.until(r"echo at tcp:127.0.0.1:\d+: 0 echoed")
        screen.type("help\r")
        screen.until("cut the connection of a client")
        screen.type("quit\r")
        screen.until("the console has ended; the server goes on")
        assert ask_tcp(place, b"hello\n") == b"hello\n"
        os.kill(process.pid, signal.SIGTERM)
        screen.until("echo ends: 1 echoed")
        assert process.wait(PATIENCE) == -signal.SIGTERM


@thorough
def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C at the prompt stops the server."""
    words = ("-n", "--pidfile=", "lab-server", "--console", *NOWHERE)
    with terminal(*words, cwd=tmp_path, program=TWISTD) as (screen, process):
        screen.until("lab-server> ")
        screen.type("\x03")
        screen.until("Server Shut Down")
        assert process.wait(PATIENCE) == 0


def test_pipe() -> None:
    """On a pipe each line is a word; its end is not that of the server, stop is."""
    ended = run(TWISTD, "-n", "--pidfile=", "lab-server", *NOWHERE, "--console",
                input="clients\nx\n\nstop\n")  # fmt: skip
    assert ended.code == 0
    assert "no clients\n" in ended.out
    assert "line 2: no word is 'x'; give one of clients, " in ended.err
    assert "the server stops\n" in ended.out


@thorough
def test_background() -> None:
    """Without a terminal there is no console, but there is a control socket."""
    ended = run(TWISTD, "lab-server", *NOWHERE, "--console")
    assert ended.code == 2
    assert re.fullmatch(r"lab-server: console needs twistd -n; .* --control .*\n", ended.err)


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """A server in the background: its control socket, its port for HTTP, and its end."""
    (folder / "large").write_bytes(bytes(3_000_000))
    control = folder / "control"
    files = (f"--pidfile={folder / 'pid'}", f"--logfile={folder / 'log'}")
    options = ("--root", str(folder), "--limit-rate", "100K", "--control", f"unix:{control}")
    ended = run(TWISTD, *files, "lab-server", *WEB, *options, cwd=folder)
    assert ended.code == 0, ended.err
    pid = int((folder / "pid").read_text())
    ends = os.pidfd_open(pid)
    try:
        port = re.search(r"web listens on tcp:127.0.0.1:(\d+)", (folder / "log").read_text())
        assert port
        yield control, int(port[1]), ends
    finally:
        if not select.select([ends], [], [], 0)[0]:
            signal.pidfd_send_signal(ends, signal.SIGKILL)
        os.close(ends)


def test_daemon(tmp_path: Path) -> None:
    """All words, from a process of its own: what goes on is seen, cut, and stopped."""
    with daemon(tmp_path) as (control, port, ends):
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
        ask = (LAB, "server", "--control", str(control))
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            peer.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.recv(1000)
            told = json.loads(run(*ask, "transfers", "--json").out)["transfers"]
            assert [(one["name"], one["length"]) for one in told] == [("large", 3_000_000)]
            assert 0 < told[0]["sent"] < 3_000_000
            assert re.search(r"GET '/large'\n", run(*ask, "clients").out)
            ended = run(*ask, input=f"disconnect {told[0]['client']}\nx\ntransfers\n")
            assert (ended.code, ended.out.split("\n")[1:]) == (3, ["no transfers", ""])
            assert ended.err.startswith("line 2: no word is 'x'")
            try:
                while peer.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        ended = run(*ask, input="statistics\nstop\n")
        assert ended.code == 0
        assert re.fullmatch(
            r"web at tcp:127.0.0.1:\d+: 1 requests, .*\nthe server stops\n", ended.out
        )
        assert select.select([ends], [], [], PATIENCE)[0]
        assert not control.exists()


@thorough
def test_killed(tmp_path: Path) -> None:
    """A socket that a killed server has left is replaced."""
    control = tmp_path / "control"
    words = ("-n", "--pidfile=", "lab-server", *NOWHERE, "--control", f"unix:{control}")
    for _ in range(2):
        with running(TWISTD, *words) as process:
            process.line(lambda line: "control listens on" in line)
            with socket.socket(socket.AF_UNIX) as asking:
                asking.connect(str(control))
                asking.sendall(b"clients\nquit\n")
                assert read_all(asking) == b"no clients\n\n"
            assert process.end(signal.SIGKILL).code == -signal.SIGKILL
        assert control.exists()


@thorough
def test_terminal_of_client(tmp_path: Path) -> None:
    """The same prompt for the server in another process; quit leaves it alone."""
    control = tmp_path / "control"
    words = ("-n", "--pidfile=", "lab-server", *NOWHERE, "--control", f"unix:{control}")
    with running(TWISTD, *words) as process:
        process.line(lambda line: "control listens on" in line)
        with terminal("server", "--control", str(control), cwd=tmp_path) as (screen, client):
            screen.until("lab-server> ")
            screen.type("stat\t\r")
            screen.until("echo at tcp:127.0.0.1:")
            screen.type("quit\r")
            assert client.wait(PATIENCE) == 0
        assert process.end().code == -signal.SIGTERM
