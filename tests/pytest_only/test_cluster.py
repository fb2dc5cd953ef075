"""
``lab experiment run --scheduler``: a real scheduler, two workers, and one of them is killed.

All of it is on loopback, and everybody is ended by the id of the process.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.experiments.results import PLACE, read
from tests.helpers import thorough
from tests.pytest_only.processes import BIN, LAB, PATIENCE, Process, now, run, running

RUN = (LAB, "experiment", "run", "plan.ini")
SIMULATED = """
[experiment]
service = arithmetic
rate = 50
count = 200
fault = none, loss:probability=0.2
backoff = none, exponential
timeout = 100ms
repetitions = 12
"""
REAL = "[experiment]\nservice=arithmetic\ncount=3\nclients=1,2\nproxy=no\nrepetitions=1\nwarm-up=0"


@contextmanager
def merged(*words: str, cwd: Path | None = None) -> Iterator[Process]:
    """A process whose standard error is on its standard output."""
    with running("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *words, cwd=cwd) as process:
        yield process


def finish(results: Path, count: int) -> None:
    """Wait until so many results are there."""
    with running("tail", "-n", "+1", "-F", str(results)) as new:
        for _ in range(count):
            new.line(lambda line: True)


@contextmanager
def dask(*words: str) -> Iterator[Process]:
    """A command of Dask."""
    place = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    with merged(str(BIN / "dask"), *words, *place) as process:
        yield process


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, Process, list[Process]]]:
    """A scheduler's address, the scheduler, and two workers of one thread each."""
    with ExitStack() as stack:
        scheduler = stack.enter_context(dask("scheduler", "--port", "0"))
        found = re.search(r"tcp://\S+", scheduler.line(lambda line: "Scheduler at:" in line))
        assert found is not None
        place = ("--local-directory", str(folder))
        workers = [
            stack.enter_context(dask("worker", found[0], "--no-nanny", "--nthreads", "1", *place))
            for _ in range(2)
        ]
        for worker in workers:
            worker.line(lambda line: "Registered to:" in line)
        yield found[0], scheduler, workers


def lines(results: Path) -> int:
    """How many results there are."""
    return results.read_bytes().count(b"\n") if results.is_file() else 0


def until(done: Callable[[], bool]) -> None:
    """Look again and again whether something is so."""
    deadline = now() + PATIENCE
    while not done():
        assert now() < deadline
        os.sched_yield()


def children(process: Process) -> list[int]:
    """The processes that any thread of it has started."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(word) for one in threads for word in (one / "children").read_text().split()]


def there(pid: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@thorough
def test_simulated(tmp_path: Path) -> None:
    """
    Nothing is lost and nothing is there twice: the file is that of a run on one machine.

    That is one in which a worker is killed; another is stopped by Ctrl-C, goes on, and loses its
    scheduler.
    """
    (tmp_path / "plan.ini").write_text(SIMULATED)
    results, longer = tmp_path / "there" / PLACE, tmp_path / "longer" / PLACE
    with cluster(tmp_path / "workers") as (address, scheduler, workers):
        words = (*RUN, "--simulate", "--scheduler", address, "--to")
        with merged(*words, "there", cwd=tmp_path) as process:
            finish(results, 5)
            workers[0].send(signal.SIGKILL)
            assert lines(results) < 48
            ended = process.wait()
        assert (ended.code, ended.lines[0]) == (0, "48 of 48 runs are to be done")
        words = (*words, "longer", "--repetitions", "1000")
        with merged(*words, cwd=tmp_path) as process:
            finish(longer, 3)
            ended = process.end(signal.SIGINT)
        assert (ended.code, ended.lines[0]) == (130, "4,000 of 4,000 runs are to be done")
        assert ended.lines[-1].startswith("interrupted; what is finished is kept, go on with: lab ")
        kept = lines(longer)
        with merged(*words, cwd=tmp_path) as process:
            finish(longer, kept + 3)
            scheduler.send(signal.SIGKILL)
            ended = process.wait()
        assert (ended.code, ended.lines[0]) == (1, f"{4000 - kept:,} of 4,000 runs are to be done")
        assert ended.lines[-1].startswith(f"scheduler {address} is lost; what is finished is kept")
        assert "Traceback" not in ended.out
    found = [(one.key, one.repetition) for one in read(longer)]
    assert kept + 3 <= len(found) == len(set(found))
    assert run(*RUN, "--simulate", "--jobs", "1", "--to", "here", cwd=tmp_path).code == 0
    assert results.read_bytes() == (tmp_path / "here" / PLACE).read_bytes()


@thorough
def test_real(tmp_path: Path) -> None:
    """What the killed worker had begun is done by the other one; its processes end with it."""
    (tmp_path / "plan.ini").write_text(REAL)
    with cluster(tmp_path / "workers") as (address, _, workers):
        with merged(*RUN, "--to", "there", "--scheduler", address, cwd=tmp_path) as process:
            process.line(lambda line: "2 of 2 runs are to be done" in line)
            until(lambda: any(map(children, workers)))
            (busy,) = filter(children, workers)
            orphans = children(busy)
            busy.send(signal.SIGKILL)
            ended = process.wait()
        assert ended.code == 0
        until(lambda: not any(map(there, orphans)))
    results = list(read(tmp_path / "there" / PLACE))
    assert [(one.cell["clients"], one.repetition) for one in results] == [(1, 0), (2, 0)]
    assert [(one.error, len(one.processes)) for one in results] == [("", 2), ("", 3)]
    names = {path.name for path in (tmp_path / "there" / "logs").iterdir()}
    assert {"server-1-1c0f.log", "client-1-2c0f.log", "client-2-2c0f.log"} < names
