"""Real workers of ``twistd lab-server --workers``: served by all, and ended with the first."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from lab.sequence.settings import ClientSettings
from lab.sequence.tcp import SequenceClient
from lab.sequence.wire import Resumed
from tests.pytest_only.processes import (
    PATIENCE,
    PLACES,
    TWISTD,
    Ended,
    Server,
    ask_tcp,
    ask_udp,
    running,
    serving,
)
from tests.redis_server import RealRedis, free_port


def workers(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == parent and words[0] != "Z":
            found.append(int(path.parent.name))
    return found


def gone(pids: list[int]) -> None:
    """Wait until there are no such processes."""
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}/stat").exists() for pid in pids):
        assert time.monotonic() < deadline, pids
        os.sched_yield()


@pytest.fixture
def server() -> Iterator[Server]:
    """Two workers that serve arithmetic."""
    with serving("--workers", "2") as server:
        server.process.event("2 workers serve")
        yield server


def served(ended: Ended) -> dict[int, int]:
    """How many requests over TCP each worker has answered, by its last words."""
    found = re.findall(r"worker (\d+): arithmetic ends: (\d+) executed", ended.out)
    return {int(number): int(count) for number, count in found}


def test_both_serve_and_all_end(server: Server) -> None:
    """Connections come to both; SIGTERM ends both in good order, and then the first process."""
    pids = workers(server.process.pid)
    for _ in range(64):
        assert ask_tcp(server.address("tcp"), b"+,1,1\n") == b"200,2\n"
        assert ask_udp(server.address("udp"), b"#a +,1,1") == b"#a 200,2"
    ended = server.process.end()
    assert ended.code == -signal.SIGTERM
    counts = served(ended)
    assert set(counts) == {1, 2}
    assert all(counts.values())
    assert sum(counts.values()) == 64
    gone(pids)


def test_a_worker_that_dies(server: Server) -> None:
    """Another takes its place, at the same ports; a supervisor that is killed leaves none."""
    one, two = workers(server.process.pid)
    os.kill(one, signal.SIGKILL)
    server.process.event("is started again in 0.1 s")
    server.process.event("arithmetic listens on udp")
    assert two in workers(server.process.pid)
    for _ in range(16):
        assert ask_tcp(server.address("tcp"), b"+,1,1\n") == b"200,2\n"
    pids = workers(server.process.pid)
    assert len(pids) == 2
    server.process.end(signal.SIGKILL)
    gone(pids)


@pytest.mark.thorough
def test_they_end_again_and_again(tmp_path: Path) -> None:
    """Workers that can't start any more are the end: one line that says why, and exit code 1."""
    root = tmp_path / "root"
    root.mkdir()
    words = ("lab-server", "--workers", "2", "--download", PLACES[0], "--root", str(root))
    with running(TWISTD, "-n", "--pidfile=", *words) as process:
        process.line(lambda line: "2 workers serve" in line)
        pids = workers(process.pid)
        root.rmdir()
        os.kill(pids[0], signal.SIGKILL)
        ended = process.wait()
        gone(pids)
    assert ended.code == 1
    (line,) = (line for line in ended.err.splitlines() if "ends whenever" in line)
    assert re.fullmatch(r"worker \d ends whenever it is started: lab-server: root is .*", line)


@pytest.mark.thorough
@pytest_twisted.ensureDeferred
async def test_sequences_go_on_at_another_worker() -> None:
    """With sessions in Redis a client resumes at whichever worker it comes to."""
    redis = RealRedis(free_port())
    try:
        store = f"redis://127.0.0.1:{redis.port}/0"
        options = ("--workers", "2", "--interval", "20ms", "--sessions", store)
        place = ("tcp:0:interface=127.0.0.1",)
        with serving(*options, places=place, service="sequence") as server:
            server.process.event("2 workers serve")
            endpoint = TCP4ClientEndpoint(reactor, *server.address("tcp"))
            client = SequenceClient(reactor, endpoint, ClientSettings(100, retry=0.01))
            resumed: list[object] = []

            def show(event: object) -> None:
                """Break the connection off now and then: half of the next are at the other."""
                if isinstance(event, Resumed):
                    resumed.append(event)
                elif getattr(event, "index", 1) % 8 == 0:
                    client.abort()

            ended = await client.receive(show)
            assert ended.outcome == "equal"
            assert len(resumed) >= 10
            out = server.process.end().out
        found = re.findall(r"worker (\d): sequence ends: \d+ begun, (\d+) resumed", out)
        assert sum(int(count) for _, count in found) == len(resumed)
        assert all(int(count) for _, count in found)
    finally:
        redis.clean()
