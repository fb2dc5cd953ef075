"""Sequences from a real ``twistd lab-server``, by a client that is nothing but a socket."""

import signal
import socket
from collections.abc import Iterator

import pytest

from lab.sequence.values import Checksum, value
from lab.sequence.wire import proof
from tests.pytest_only.processes import PATIENCE, Server, connected, read_line, serving

PLACES = ("tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of quick sequences, at two ports."""
    options = ("--interval", "20ms", "--reconnect-window", "5", "--heartbeat-interval", ".5")
    with serving(*options, places=PLACES, service="sequence") as server:
        yield server


def words(connection: socket.socket) -> list[str]:
    """The words of one line."""
    connection.settimeout(PATIENCE)
    return read_line(connection).decode().split()


def test_resumed(server: Server) -> None:
    """A connection that is reset in the middle costs nothing; it goes on at the other port."""
    first, second = (tuple(place.rsplit(":", 2)[1:]) for place in server.places)
    with connected((first[0], int(first[1]))) as connection:
        connection.sendall(b"start 5\n")
        name, id, key, n, interval = words(connection)
        assert (name, n, interval) == ("session", "5", "0.02")
        numbers = [int(words(connection)[2]) for _ in range(2)]
        linger = b"\1\0\0\0\0\0\0\0"  # closing it resets it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with connected((second[0], int(second[1]))) as connection:
        connection.sendall(b"resume %s 2\n" % id.encode())
        name, nonce = words(connection)
        assert name == "challenge"
        secret = bytes.fromhex(key)
        connection.sendall(b"proof %s\n" % proof(secret, id, nonce, 2).encode())
        assert words(connection) == ["resumed", "2"]
        numbers += [int(words(connection)[2]) for _ in range(3)]
        assert numbers == [value(secret, index) for index in range(5)]
        checksum = Checksum()
        for number in numbers:
            checksum.add(number)
        assert words(connection) == ["checksum", *checksum.digest()]
        connection.sendall(b"done\n")
        assert connection.recv(1) == b""
    ended = server.process.end(signal.SIGINT)
    assert ended.code == -signal.SIGINT
    assert "1 begun, 1 resumed, 1 done, 0 rejected" in ended.out
    assert key not in ended.out + ended.err


WRONG = {
    b"start 0": b"300 n is '0'; give 1 to 65535\n",
    b"start 65536": b"300 n is '65536'; give 1 to 65535\n",
    b"start x": b"300 n is 'x'; give 1 to 65535\n",
    b"done": b"300 done is only for the answer to a checksum\n",
    b"\xff\x00": b"300 the line is not ASCII\n",
    b"x" * 5000: b"300 the line is too long; give at most 1,024 bytes\n",
    b"resume " + b"0" * 32 + b" 0": b"rejected unknown\n",
}


def test_wrong(server: Server) -> None:
    """What can't be is answered in one line, and the connection ends."""
    host, port = server.places[0].rsplit(":", 2)[1:]
    for line, answer in WRONG.items():
        with connected((host, int(port))) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(line + b"\n")
            assert read_line(connection) == answer
            assert connection.recv(1) == b""
