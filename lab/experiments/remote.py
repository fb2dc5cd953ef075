"""
A repetition on a worker of a Dask cluster: what happens there, on whatever machine that is.

A worker shares no file system with anybody: what a repetition needs is made in the worker's own
folder, and what is to be kept goes back with the result. Knows nothing of the scheduler and of who
asks; `lab.experiments.cluster` does.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from lab.errors import LocalError
from lab.experiments.children import Unwanted
from lab.experiments.plan import Repetition
from lab.experiments.processes import Stage
from lab.experiments.results import Result
from lab.experiments.working import Work, versions

#: Of the logs of a repetition not more is sent back, in bytes.
LOGS = 2**24
# A simulation fences its process, so that threads of a worker take turns.
_turn = threading.Lock()


@frozen
class Done:
    """
    What a worker sends back.

    Args:
        result: The line of results.
        worker: Its address.
        logs: What processes have logged, by the name of the file.
    """

    result: Result
    worker: str
    logs: Mapping[str, bytes]


@frozen
class Remote:
    """
    Does a repetition on a worker; it can be pickled.

    Args:
        work: What does it; its folder and its programs are those of the machine that asks.
    """

    work: Work

    def __call__(self, repetition: Repetition) -> Done:
        """
        Do it, when no other of this worker runs.

        Raises:
            LocalError: This is another version of txlab.
            Unwanted: Nobody waits for it any more.
        """
        from distributed import get_worker  # noqa: PLC0415 - not there without the extra

        worker: Any = get_worker()
        work = evolve(self.work, versions=self._versions(worker.address))
        wanted = _asker(worker)
        with _turn:
            if not wanted():
                raise Unwanted("nobody waits for it any more")
            if work.stage is None:
                return Done(work(repetition), worker.address, {})
            with machine():
                stage = _here(work.stage, Path(worker.local_directory, "txlab"), wanted)
                shutil.rmtree(stage.folder / "logs", ignore_errors=True)
                result = evolve(work, stage=stage)(repetition)
                return Done(result, worker.address, logs(stage.folder / "logs"))

    def _versions(self, address: str) -> dict[str, str]:
        """Those of this machine."""
        here, theirs = _versions(simulated=self.work.stage is None), self.work.versions["txlab"]
        if here["txlab"] != theirs:
            raise LocalError(
                f"worker {address} has txlab {here['txlab']}, and this is {theirs}; install the "
                "same there"
            )
        return here


def _asker(worker: Any) -> Callable[[], bool]:
    """What says whether anybody still waits for the task of this thread."""
    task = worker.get_current_task()

    def wanted() -> bool:
        """Dask cancels it when who asked has gone; nobody but the task itself can end it then."""
        known = worker.state.tasks.get(task)
        return known is not None and known.state != "cancelled"

    return wanted


def _here(stage: Stage, folder: Path, wanted: Callable[[], bool]) -> Stage:
    """The same on this machine."""
    return evolve(stage, folder=folder, client=(sys.executable, *stage.client[1:]), wanted=wanted)


@contextmanager
def machine() -> Iterator[None]:
    """
    Have this machine for oneself: no other worker of this user does real repetitions meanwhile.

    Raises:
        OSError: The file that is locked can't be opened.
    """
    path = Path(tempfile.gettempdir(), f"txlab-{os.getuid()}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def logs(folder: Path) -> dict[str, bytes]:
    """What is in a folder of logs: of each file its last part, if it is long."""
    files = sorted(folder.glob("*.log"))
    return {path.name: _end(path, LOGS // len(files)) for path in files}


def _end(path: Path, most: int) -> bytes:
    """The end of a file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read(most)


@cache
def _versions(*, simulated: bool) -> dict[str, str]:
    """They stay as they are, and looking them up takes longer than some repetitions."""
    return versions(simulated=simulated)
