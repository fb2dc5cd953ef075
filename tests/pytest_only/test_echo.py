"""The echo server as a process: what it costs who asks for much and reads nothing."""

import hashlib
import select
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from lab.echo.pattern import first_difference
from tests.pytest_only.processes import Process, connected, read_line, running
from tests.pytest_only.test_server import status

SERVER = """
from twisted.internet import reactor
from lab.echo.tcp import EchoFactory
port = reactor.listenTCP(0, EchoFactory(reactor), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""
FILE = 123_456_789
#: A client may cost so much, whatever it asks for, in bytes.
COST = 2 * 2**20
WARM = b"file 10\n" + b"x" * 1000 + b"\nstream 0 1\n"

Place = tuple[str, int]


@pytest.fixture
def server() -> Iterator[tuple[Process, Place]]:
    """A server, and where it is; it has answered something of each kind."""
    with running(sys.executable, "-c", SERVER) as process:
        place = "127.0.0.1", int(process.line(bool))
        ask(place, WARM)
        yield process, place


def ask(place: Place, said: bytes) -> None:
    """Say this, and read all answers."""
    with connected(place) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def costs(process: Process, before: int) -> int:
    """How much more memory the server has had at any time since."""
    return status(process.pid, "VmHWM") - before


def turns(place: Place) -> None:
    """Let the server have more turns than it takes to fill all buffers of the system."""
    with connected(place) as connection:
        for _ in range(500):
            connection.sendall(b"hello\n")
            assert read_line(connection) == b"hello\n"


def test_file_that_is_not_read(server: tuple[Process, Place]) -> None:
    """A file of the largest size to nobody, while others are answered; then every byte arrives."""
    process, place = server
    before = status(process.pid, "VmHWM")
    with connected(place) as connection:
        connection.sendall(b"%d\n" % FILE)
        turns(place)
        assert costs(process, before) < COST
        assert read_line(connection) == b"200 ready %d\n" % FILE
        digest, at, buffer = hashlib.sha256(), 0, bytearray(2**20)
        while at < FILE:
            size = connection.recv_into(buffer, min(len(buffer), FILE - at))
            data = bytes(buffer[:size])
            assert first_difference(0, at, data) is None
            digest.update(data)
            at += size
        assert read_line(connection) == b"\n"
        assert read_line(connection) == b"sha256 %s\n" % digest.hexdigest().encode()
    assert costs(process, before) < COST


@pytest.mark.parametrize("said", [b"stream 0 1000 65507\n", b"stream 1 1000 65507\n"])
def test_stream_that_is_not_read(server: tuple[Process, Place], said: bytes) -> None:
    """65 MB of packets to nobody; then they all arrive."""
    process, place = server
    before = status(process.pid, "VmHWM")
    with connected(place) as connection:
        connection.sendall(said)
        turns(place)
        assert costs(process, before) < COST
        for seq in range(1000):
            packet = b""
            while len(packet) < 65_507:
                packet += connection.recv(65_507 - len(packet))
            assert packet.startswith(b"packet %d " % seq)
        assert read_line(connection).startswith(b"end 1000 ")
    assert costs(process, before) < COST


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 65_507,
        pytest.param(b"x" * 50, marks=pytest.mark.thorough),
        pytest.param(b"", marks=pytest.mark.thorough),
    ],
)
def test_echo_that_is_not_read(server: tuple[Process, Place], line: bytes) -> None:
    """Megabytes that come back to nobody: they are not taken, and then all come back."""
    process, place = server
    before = status(process.pid, "VmHWM")
    chunk = (line + b"\n") * (2**20 // (len(line) + 1))
    # Lines without text take the longest, for there are so many.
    count = (200 if len(line) > 10 else 20) * 2**20 // len(chunk)
    with connected(place) as connection:
        connection.setblocking(False)
        sent = 0
        # Until it is not taken any more: all buffers on the way are full.
        while not sent or _writable(connection):
            sent += connection.send(chunk[sent % len(chunk) :])
        connection.setblocking(True)
        assert sent < 100 * 2**20
        assert costs(process, before) < COST

        def rest() -> None:
            """Send the rest."""
            connection.sendall(chunk[sent % len(chunk) :])
            for _ in range(count - sent // len(chunk) - 1):
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=rest)
        sender.start()
        got = 0
        while data := connection.recv(2**20):
            got += len(data)
        sender.join()
    assert got == count * len(chunk)
    assert costs(process, before) < COST


def _writable(connection: socket.socket) -> bool:
    """Whether something may be sent, now or in a while."""
    return bool(select.select([], [connection], [], 0.5)[1])
