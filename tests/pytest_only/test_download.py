"""The download server as a process: what it serves, and what it costs who asks for much."""

import hashlib
import os
import random
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.pytest_only.processes import (
    TWISTD,
    Process,
    Server,
    connected,
    read_all,
    read_line,
    run,
    serving,
)
from tests.pytest_only.test_server import status

PLACES = ["tcp:0:backlog=1024:interface=127.0.0.1"]
SPARSE = 2**32
LARGE = bytes(range(256)) * 12_000
#: What the server may take in all, in bytes.
COST = 100 * 2**20
LIMIT = 16_384

Place = tuple[str, int]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with some files, and a secret beside it."""
    root = tmp_path_factory.mktemp("beside") / "root"
    (root / "d").mkdir(parents=True)
    (root.parent / "secret").write_bytes(b"secret")
    (root / "small").write_bytes(b"12345")
    (root / "d" / "a b").write_bytes(b"inner")
    (root / "large").write_bytes(LARGE)
    (root / "out").symlink_to("../secret")
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as file:
        file.truncate(SPARSE)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    """A server of it, which serves all of it to many."""
    words = ("--root", str(root), "--recursive", "--transfers", "500")
    with serving(*words, places=PLACES, service="download") as server:
        yield server


def ask(server: Server, said: bytes) -> bytes:
    """Say this, and that it is all; the answers."""
    with connected(server.address("tcp")) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_reply(connection: socket.socket) -> bytes:
    """The line of a reply to get, and so many bytes."""
    code, length, _ = read_line(connection).split()
    assert code == b"200"
    return read_exactly(connection, int(length))


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    data = bytearray()
    while len(data) < size:
        more = connection.recv(min(2**20, size - len(data)))
        assert more
        data += more
    return bytes(data)


def open_files(process: Process, root: Path) -> int:
    """How many of the files in a directory a process has open."""
    opened = 0
    for fd in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it is closed meanwhile
            opened += fd.readlink().is_relative_to(root.resolve())
    return opened


def test_everything(server: Server) -> None:
    """All requests on one connection, one behind the other."""
    sha = hashlib.sha256(LARGE).hexdigest().encode()
    pieces = [LARGE[start : start + 2**20] for start in range(0, len(LARGE), 2**20)]
    with connected(server.address("tcp")) as connection:
        connection.sendall(
            b"list\nget small\nget large 1000000 1000000\r\nstat large\nhashes large\n"
            b"get d/a%20b\nget out\nget fifo\nget ../secret\nget %2E%2E/secret\nlist d/*\nquit\n"
        )
        assert read_line(connection) == b"200 4\n"
        entries = [read_line(connection).split() for _ in range(4)]
        assert [(entry[0], entry[2]) for entry in entries] == [
            (b"5", b"d/a%20b"),
            (b"%d" % len(LARGE), b"large"),
            (b"5", b"small"),
            (b"%d" % SPARSE, b"sparse"),
        ]
        assert read_reply(connection) == b"12345"
        assert read_reply(connection) == LARGE[1_000_000:2_000_000]
        status = read_line(connection).split()
        assert (status[1], status[4]) == (b"%d" % len(LARGE), sha)
        hashed = read_line(connection).split()
        assert hashed[3:] == [b"1048576", b"%d" % len(pieces)]
        for piece in pieces:
            assert read_line(connection) == hashlib.sha256(piece).hexdigest().encode() + b"\n"
        assert read_reply(connection) == b"inner"
        rest = read_all(connection).splitlines()
    assert [line[:4] for line in rest[:4]] == [b"404 ", b"404 ", b"300 ", b"300 "]
    assert (rest[4], rest[5].split()[2]) == (b"200 1", b"d/a%20b")


def test_tag(server: Server, root: Path) -> None:
    """A version that was replaced is served no more."""
    (root / "d" / "version").write_bytes(b"first")
    with connected(server.address("tcp")) as connection:
        connection.sendall(b"get d/version 0 0\n")
        tag = read_line(connection).split()[2]
        connection.sendall(b"get d/version 0 - %s\n" % tag)
        assert read_reply(connection) == b"first"
        (root / "d" / "new").write_bytes(b"other")
        (root / "d" / "new").rename(root / "d/version")
        connection.sendall(b"get d/version 0 - %s\nget d/version\n" % tag)
        assert read_line(connection).startswith(b"409 the tag is ")
        assert read_reply(connection) == b"other"
    (root / "d" / "version").unlink()


def test_hostile(server: Server) -> None:
    """Whatever comes, others are served; a line too long is told off and nothing more is read."""
    bytes_of = random.Random(7)
    for _ in range(50):
        with connected(server.address("tcp")) as connection:
            connection.sendall(bytes_of.randbytes(2000) + b"\n")
    assert ask(server, b"x" * LIMIT + b"\n").startswith(b"300 request is 'xxxx")
    with connected(server.address("tcp")) as connection:
        connection.sendall(b"get small\n" + b"x" * (LIMIT + 1))
        assert read_reply(connection) == b"12345"
        assert read_all(connection) == b"413 the line is too long; give at most 16,384 bytes\n"
    assert ask(server, b"get small\n").endswith(b"\n12345")


def test_cut(server: Server, root: Path) -> None:
    """Who breaks off in the middle leaves no file open, of whatever he wanted."""
    for said in (b"get sparse\n", b"hashes sparse\n", b"get small\nget sparse\n"):
        with connected(server.address("tcp")) as connection:
            connection.sendall(said)
            if b"get" in said:
                read_exactly(connection, 100_000)
            else:
                assert read_line(connection).startswith(b"102 ")
            assert open_files(server.process, root)
    while open_files(server.process, root):
        assert ask(server, b"get small\n").endswith(b"\n12345")


def test_fifty_slow_readers(server: Server) -> None:
    """Fifty clients of a file of 4 GiB, who read some of it and then nothing: memory is bounded."""
    with ExitStack() as stack:
        place = server.address("tcp")
        connections = [stack.enter_context(connected(place)) for _ in range(50)]
        for connection in connections:
            connection.sendall(b"get sparse\n")
        for _ in range(4):
            for connection in connections:
                assert len(read_exactly(connection, 2**20)) == 2**20
        assert ask(server, b"get small\n").endswith(b"\n12345")
        assert status(server.process.pid, "VmHWM") < COST


def test_two_hundred(server: Server) -> None:
    """Two hundred clients at once, each with its part of a file, and every byte is right."""
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        place, got = server.address("tcp"), {}
        for number in range(200):
            connection = stack.enter_context(connected(place))
            connection.sendall(b"get large %d 200000\nquit\n" % number)
            got[number] = bytearray()
            ready.register(connection, selectors.EVENT_READ, number)
        while ready.get_map():
            for key, _ in ready.select():
                data = socket.socket.recv(key.fileobj, 2**20)  # type: ignore[arg-type]
                got[key.data] += data
                if not data:
                    ready.unregister(key.fileobj)
    for number, data in got.items():
        assert data.partition(b"\n")[2] == LARGE[number : number + 200_000]
    assert status(server.process.pid, "VmHWM") < COST


def test_says_what_it_serves(root: Path) -> None:
    """The directory of the start, though twistd goes elsewhere; only what is served counts."""
    twistd = (TWISTD, "-n", "--pidfile=", "--rundir=/")
    (root / ".hidden").touch()
    with serving(places=PLACES, service="download", twistd=twistd, cwd=root) as server:
        assert ask(server, b"get small\n").endswith(b"\n12345")
        assert ask(server, b"get .hidden\n").startswith(b"300 ")
        event = server.process.event("download serves")
        assert (event["root"], event["what"]) == (str(root), "3 files")


def test_mistake(tmp_path: Path) -> None:
    """A root that is no directory ends the start, with one line."""
    words = ("--download", PLACES[0], "--root", str(tmp_path / "nothing"))
    ended = run(TWISTD, "-n", "--pidfile=", "lab-server", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("nothing': No such file or directory; give a directory\n")
    assert ended.err.count("\n") == 1
