"""A real ``twistd lab-proxy --capture``: tshark judges what is in the file or the FIFO."""

import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attrs import frozen

from lab.capture.packets import FIN, RST, SYN
from tests.capture.blocks import Packet, packets
from tests.pytest_only.processes import (
    PATIENCE,
    TWISTD,
    Ended,
    Process,
    Server,
    address,
    connected,
    datagrams,
    proxying,
    read_all,
    run,
    running,
)
from tests.pytest_only.test_capture import TSHARK, column, followed, judge, pytestmark, tshark
from tests.pytest_only.test_proxy import Raw, echo, upstream

__all__ = ["pytestmark"]  # without tshark all of this is skipped

HERE = "127.0.0.1:0"
UDP = "udp:0:interface=127.0.0.1"
CLIENT, UPSTREAM = "proxy-client", "proxy-upstream"
DATA = bytes(range(256)) * 800  # 204,800 bytes
PIECE = 4096


@pytest.fixture(scope="module")
def echoing() -> Iterator[str]:
    """The address of a server that sends back what it gets."""
    with upstream(echo) as where:
        yield where


@contextmanager
def capturing(file: Path, where: str, *faults: str, api: bool = False) -> Iterator[Server]:
    """A proxy with these faults and a capture; it has ended when this has."""
    words = [word for fault in faults for word in ("--fault", fault)]
    more = ("--api", "tcp:0:interface=127.0.0.1") if api else ()
    options = ("--listen", HERE, "--upstream", where, "--capture", str(file), "--seed", "12")
    with proxying(*options, *words, *more, ports=1 + api) as proxy:
        yield proxy
        ended(proxy)


def ended(proxy: Server) -> Ended:
    """End it."""
    found = proxy.process.end()
    assert not found.err
    return found


def talk(where: tuple[str, int], data: bytes = DATA) -> bytes:
    """Send all in pieces, end, and hear as much as comes."""
    heard = b""
    with connected(where) as connection, suppress(ConnectionError):
        for start in range(0, len(data), PIECE):
            connection.sendall(data[start : start + PIECE])
        connection.shutdown(socket.SHUT_WR)
        while more := connection.recv(65536):
            heard += more
    return heard


@frozen
class Row:
    """What tshark says of a packet."""

    side: str
    way: str
    stream: str
    flags: int
    data: bytes
    comment: str
    analysis: str
    malformed: str
    severity: str


#: The fields of tshark that these are.
FIELDS = (
    "frame.interface_name", "frame.packet_flags_direction", "tcp.stream", "tcp.flags",
    "tcp.payload", "frame.comment", "tcp.analysis.flags", "_ws.malformed", "_ws.expert.severity",
)  # fmt: skip
ERROR = "8388608"


class Judged:
    """
    A capture as tshark reads it: nothing malformed, and no connection with a flaw.

    Args:
        file: Its path.
    """

    def __init__(self, file: Path) -> None:
        self.rows = [
            Row(side, way, stream, int(flags or "0", 16), bytes.fromhex(data), *more)
            for side, way, stream, flags, data, *more in column(file, *FIELDS)
        ]
        for row in self.rows:
            assert not row.malformed, row
            assert not row.analysis, row
            assert ERROR not in row.severity, row

    def sent(self, side: str, *, inbound: bool, number: int = 0) -> bytes:
        """The bytes of TCP that went one way at an interface, of the first connection there."""
        way = "1" if inbound else "2"
        streams = list(dict.fromkeys(row.stream for row in self.rows if row.side == side))
        chosen = [row for row in self.rows if (row.side, row.stream) == (side, streams[number])]
        return b"".join(row.data for row in chosen if int(row.way, 16) == int(way))

    def comments(self, side: str, word: str = "") -> list[str]:
        """The comments at one interface that have this word in them."""
        found = [row.comment for row in self.rows if row.side == side and row.comment]
        return [comment for comment in found if word in comment]

    def flagged(self, flag: int) -> int:
        """How many packets have this flag of TCP."""
        return sum(bool(row.flags & flag) for row in self.rows)


def alone(file: Path, side: str) -> Path:
    """A file with the packets of one interface."""
    one = file.with_name(f"{side}.pcapng")
    tshark(file, "-Y", f'frame.interface_name == "{side}"', "-w", str(one))
    return one


def test_plain(tmp_path: Path, echoing: str) -> None:
    """Without faults each interface has a connection without a flaw, and all of its bytes."""
    file = tmp_path / "run.pcapng"
    file.write_bytes(b"what was here before")
    before = time.time()
    with capturing(file, echoing) as proxy:
        for _ in range(3):
            assert talk(proxy.address("tcp")) == DATA
        port = proxy.address("tcp")[1]
    judge(file)
    seen = Judged(file)
    for side in (CLIENT, UPSTREAM):
        assert followed(alone(file, side)) == (DATA, DATA)
        for number in range(3):
            for inbound in (True, False):
                assert seen.sent(side, inbound=inbound, number=number) == DATA
    assert (seen.flagged(SYN), seen.flagged(FIN), seen.flagged(RST)) == (12, 12, 0)
    asked = ("frame.interface_name", "frame.interface_description")
    assert {tuple(row) for row in column(file, *asked)} == {
        (CLIENT, f"from clients to proxy, which listens on 127.0.0.1:{port}"),
        (UPSTREAM, f"from proxy to {echoing}"),
    }
    ports = {cell for (cell,) in column(file, "tcp.dstport", words=("-Y", "tcp.flags == 2"))}
    assert ports == {str(port), echoing.split(":")[1]}
    times = [float(row[0]) for row in column(file, "frame.time_epoch")]
    assert times == sorted(times)
    assert before - 1 < times[0] <= times[-1] < time.time() + 1


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("latency:latency=30,jitter=10", "delayed "),
        ("packet_loss:loss_rate=1", "dropped by packet_loss_"),
        ("loss:probability=0.1", "lost and sent again by loss_"),
        ("limit_data:bytes=10000", "dropped by limit_data_"),
        ("slicer:average_size=500,size_variation=50", "sliced by slicer_"),
    ],
)
def test_faults(tmp_path: Path, echoing: str, fault: str, words: str, stream: str) -> None:
    """What a fault does is said where it came in, and where it goes out if it does."""
    file = tmp_path / "run.pcapng"
    with capturing(file, echoing, f"{fault},stream={stream}") as proxy:
        heard = talk(proxy.address("tcp"))
    seen = Judged(file)
    first, last = (CLIENT, UPSTREAM) if stream == "upstream" else (UPSTREAM, CLIENT)
    assert seen.comments(first, words)
    assert seen.comments(last, "dropped") == []
    assert bool(seen.comments(last, words)) is not words.startswith("dropped")
    assert seen.sent(CLIENT, inbound=False) == heard
    assert DATA.startswith(seen.sent(CLIENT, inbound=True))
    if "limit_data" in fault:
        (comment,) = seen.comments(last, "ended by limit_data_")
        assert comment.endswith(", bytes=10000")
        assert len(seen.sent(last, inbound=False)) == 10_000


def test_reset(tmp_path: Path, echoing: str) -> None:
    """RST goes out at both sides, and says why."""
    file = tmp_path / "run.pcapng"
    with (
        capturing(file, echoing, "reset_peer:timeout=50") as proxy,
        connected(proxy.address("tcp")) as connection,
    ):
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    seen = Judged(file)
    for side in (CLIENT, UPSTREAM):
        assert seen.comments(side, "ended") == ["ended by reset_peer_downstream, timeout=50"]
    assert seen.flagged(RST) == 2
    assert seen.sent(CLIENT, inbound=False) == b""


def test_refused(tmp_path: Path) -> None:
    """A client without an upstream is there all the same."""
    file = tmp_path / "run.pcapng"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with capturing(file, f"127.0.0.1:{nobody.getsockname()[1]}") as proxy:
            assert talk(proxy.address("tcp"), b"") == b""
    seen = Judged(file)
    (comment,) = seen.comments(CLIENT)
    assert comment.startswith("no upstream: ")
    assert {row.side for row in seen.rows} == {CLIENT}


def test_datagrams(tmp_path: Path) -> None:
    """Datagrams that were dropped are on one interface; the others on both."""
    file = tmp_path / "run.pcapng"
    sent = [b"number %d" % number for number in range(30)]
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        where = f"udp:127.0.0.1:{server.getsockname()[1]}"
        fault = ("--fault", "loss:probability=0.5,stream=upstream", "--seed", "12")
        with proxying(
            "--listen", UDP, "--upstream", where, "--capture", str(file), *fault
        ) as proxy:
            with datagrams(("127.0.0.1", int(proxy.places[0].split(":")[2]))) as port:
                for data in sent:
                    port.send(data)
                for _ in range(len(sent) - len(lost_of(file, len(sent)))):
                    data, back = server.recvfrom(99)
                    server.sendto(data, back)
                    assert port.recv(99) == data
            ended(proxy)
    judge(file)
    both: dict[str, list[str]] = {}
    for side, way in ((CLIENT, 1), (UPSTREAM, 2), (UPSTREAM, 1), (CLIENT, 2)):
        which = f'frame.interface_name == "{side}" && frame.packet_flags_direction == {way}'
        rows = column(file, "udp.payload", "frame.comment", words=("-Y", which))
        both[f"{side} {way}"] = [bytes.fromhex(row[0]).decode() for row in rows if not row[1]]
        if (side, way) == (CLIENT, 1):
            lost = [row[1] for row in rows if row[1]]
    assert both.pop(f"{CLIENT} 1") == both[f"{CLIENT} 2"]
    assert both[f"{UPSTREAM} 1"] == both[f"{UPSTREAM} 2"] == both[f"{CLIENT} 2"]
    assert all(comment.startswith("dropped by loss_upstream, p=0.5, draw 0.") for comment in lost)
    assert len(lost) + len(both[f"{CLIENT} 2"]) == len(sent)


def lost_of(file: Path, number: int) -> list[Packet]:
    """Wait until so many packets have come in at the first interface; those that were dropped."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [
            one for one in packets(whole(file.read_bytes())) if (one.side, one.flags) == (0, 1)
        ]
        if len(found) == number:
            return [one for one in found if one.comment]
        assert time.monotonic() < deadline
        os.sched_yield()


def test_api(tmp_path: Path, echoing: str) -> None:
    """Proxies that the API makes are in it, each with interfaces of its own, and their toxics."""
    file = tmp_path / "run.pcapng"
    with capturing(file, echoing, api=True) as proxy:
        raw = Raw(address(proxy.places[1]))
        there = raw.create(echoing)
        raw.add("limit_data", bytes=3)
        with connected(there) as connection:
            connection.sendall(b"hello")
            assert read_all(connection) == b"hel"
    seen = Judged(file)
    assert seen.sent("p-client", inbound=False) == b"hel"
    assert seen.comments("p-upstream", "dropped by limit_data_downstream, bytes=3")


def test_unix(tmp_path: Path, echoing: str) -> None:
    """A socket without addresses has some that are made up, with its path as a name."""
    file, path = tmp_path / "run.pcapng", tmp_path / "proxy.sock"
    options = ("--listen", f"unix:{path}", "--upstream", echoing, "--capture", str(file))
    words = (TWISTD, "-n", "--pidfile=", "lab-proxy", "--log-format", "json", *options)
    with running(*words) as process:
        process.event("listens on")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(b"hello")
            assert connection.recv(99) == b"hello"
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(99) == b""
        process.started()
        process.end()
    judge(file)
    for side in (CLIENT, UPSTREAM):
        for inbound in (True, False):
            assert Judged(file).sent(side, inbound=inbound) == b"hello"
    (row,) = column(file, "ipv6.dst_host", words=("-N", "n", "-Y", "tcp.flags == 2 && ipv6"))
    assert row == [str(path)]


def test_killed(tmp_path: Path, echoing: str) -> None:
    """After kill -9 the file has all that was relayed."""
    file = tmp_path / "run.pcapng"
    options = ("--listen", HERE, "--upstream", echoing, "--capture", str(file))
    with proxying(*options) as proxy:
        assert talk(proxy.address("tcp")) == DATA
        proxy.process.end(signal.SIGKILL)
    seen = Judged(file)
    for side in (CLIENT, UPSTREAM):
        assert seen.sent(side, inbound=True) == seen.sent(side, inbound=False) == DATA


def test_full(tmp_path: Path, echoing: str) -> None:
    """A disk that gets full ends the capture, with one line in the log; all else goes on."""
    file = tmp_path / "run.pcapng"
    options = ("--listen", HERE, "--upstream", echoing, "--capture", str(file))
    limited = ("bash", "-c", 'ulimit -f 100; exec "$@"', "-", TWISTD, "-n", "--pidfile=")
    with running(*limited, "lab-proxy", "--log-format", "json", *options) as process:
        host, _, port = process.event("listens on")["listen"].rpartition(":")
        process.started()
        for _ in range(3):
            assert talk((host, int(port))) == DATA
        process.end()
        assert len(process.events(f"capture {file} ends: File too large")) == 1
    assert file.stat().st_size <= 102_400
    assert len(Judged(file).rows) > 10


def test_unwritable(tmp_path: Path) -> None:
    """It is one line at the start."""
    path = tmp_path / "no" / "where"
    options = ("--listen", HERE, "--upstream", HERE, "--capture", str(path))
    done = run(TWISTD, "-n", "--pidfile=", "lab-proxy", *options)
    assert done.code == 1
    assert done.err == f"capture is {str(path)!r}; No such file or directory\n"


def whole(data: bytes) -> bytes:
    """As many blocks as are there."""
    at = 0
    while at + 8 <= len(data) and at + (size := struct.unpack_from("<I", data, at + 4)[0]) <= len(
        data
    ):
        at += size
    return data[:at]


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """The path of a FIFO."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def gone(process: Process) -> int:
    """How many packets were dropped for a reader that has gone."""
    dropped: int = process.event("has no reader any more")["dropped"]
    return dropped


def test_readers(fifo: Path, tmp_path: Path, echoing: str) -> None:
    """Whoever reads a FIFO, and whenever: a whole file, from what passes then."""
    file = tmp_path / "read.pcapng"
    with capturing(fifo, echoing) as proxy:
        where = proxy.address("tcp")
        assert talk(where) == DATA  # nobody reads yet
        for number in range(2):
            with fifo.open("rb", buffering=0) as reader:  # waits until the proxy comes
                proxy.process.event("has a reader")
                assert talk(where, b"%d" % number * 100) == b"%d" % number * 100
                data = b""
                while len([one for one in packets(whole(data)) if one.data[47] & FIN]) < 4:
                    data += reader.read(1 << 16)
            assert gone(proxy.process) == 0
            assert talk(where) == DATA
            file.write_bytes(whole(data))
            seen = Judged(file)
            for side in (CLIENT, UPSTREAM):
                assert seen.sent(side, inbound=True) == b"%d" % number * 100
        with fifo.open("rb") as last:
            proxy.process.event("has a reader")
            assert talk(where, b"last") == b"last"
            proxy.process.end()
            file.write_bytes(last.read())
    assert Judged(file).sent(CLIENT, inbound=False) == b"last"


def test_live(fifo: Path, echoing: str) -> None:
    """Wireshark reads it live, as ``wireshark -k -i FIFO`` does."""
    with capturing(fifo, echoing) as proxy:
        words = (TSHARK, "-i", str(fifo), "-c", "6", "-T", "fields", "-e", "frame.interface_name")
        live = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            proxy.process.event("has a reader")
            assert talk(proxy.address("tcp")) == DATA
            out, _ = live.communicate(timeout=PATIENCE)
        finally:
            live.kill()
            live.wait()
        gone(proxy.process)
    assert out.split() == [CLIENT] * 3 + [UPSTREAM] * 3


def test_slow_reader(fifo: Path, echoing: str) -> None:
    """One who does not read holds up nobody; what is too much is dropped, and counted."""
    data = bytes(25_000_000)
    with capturing(fifo, echoing) as proxy:
        with fifo.open("rb", buffering=0):
            proxy.process.event("has a reader")
            with connected(proxy.address("tcp")) as connection:
                for start in range(0, len(data), 1_000_000):
                    part = data[start : start + 1_000_000]
                    connection.sendall(part)
                    left = len(part)
                    while left:
                        left -= len(connection.recv(left))
            assert proxy.process.event("has a slow reader")["dropped"] > 0
            status = Path(f"/proc/{proxy.process.pid}/status").read_text()
            (used,) = [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
            assert used < 200_000  # kB
        assert gone(proxy.process) > 1000


def test_journal(tmp_path: Path, echoing: str) -> None:
    """With --journal as well, both tell the same."""
    file, journal = tmp_path / "run.pcapng", tmp_path / "journal"
    fault = ("--fault", "packet_loss:loss_rate=1,stream=upstream", "--seed", "12")
    options = ("--listen", HERE, "--upstream", echoing, "--capture", str(file))
    with proxying(*options, *fault, "--journal", str(journal)) as proxy:
        talk(proxy.address("tcp"))
        ended(proxy)
    _, *decisions = map(json.loads, journal.read_text().splitlines())
    draws = {f"{one['draw']:.3f}" for one in decisions}
    assert {comment[-5:] for comment in Judged(file).comments(CLIENT)} == draws != set()
