"""What a worker of a cluster does: the room is real, and Dask is stood in for."""

import fcntl
import os
import pickle
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import distributed
from attrs import define, evolve, field
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments import processes, remote
from lab.experiments.children import Unwanted
from lab.experiments.plan import Repetition
from lab.experiments.processes import Stage
from lab.experiments.remote import Done, Remote, logs, machine
from lab.experiments.subject import Found, one
from lab.experiments.working import Work, versions
from tests.experiments.cells import repetition
from tests.helpers import folder


@define
class State:
    """What a worker knows of a task."""

    state: str


@define
class Worker:
    """As much of Dask's worker as is used; it is its own machine of states."""

    local_directory: str
    address: str = "tcp://10.0.0.2:4000"
    tasks: dict[str, State] = field(factory=lambda: {"mine": State("executing")})

    @property
    def state(self) -> "Worker":
        """What it knows."""
        return self

    def get_current_task(self) -> str:
        """The task of this thread."""
        return "mine"


def clock() -> float:
    """The time."""
    return 5.0


class RemoteTests(SynchronousTestCase):
    """One repetition."""

    def setUp(self) -> None:
        """A worker with a folder of its own."""
        self.folder = folder(self)
        self.worker = Worker(str(self.folder / "worker"))
        self.patch(distributed, "get_worker", lambda: self.worker)
        self.patch(tempfile, "tempdir", str(self.folder))

    def test_simulated(self) -> None:
        """The result is that of any other process; there are no logs."""
        work, given = Work("mine", 60.0), repetition("service=arithmetic")
        self.assertEqual(Remote(work)(given), Done(work(given), self.worker.address, {}))

    def test_real(self) -> None:
        """All that is needed is there, logs come back, and the next one has none of them."""
        stages: list[Stage] = []

        def run(_: Repetition, limit: float, stage: Stage) -> Any:
            """Log."""
            stages.append(stage)
            place = stage.folder / "logs" / f"server-{len(stages)}.log"
            place.parent.mkdir(parents=True)
            place.write_text("there\n")
            self.assertTrue(stage.wanted())
            self.worker.tasks.clear()
            self.assertFalse(stage.wanted())
            self.worker.tasks["mine"] = State("executing")
            return Found({"success": one(1.0)}), 2.0, ()

        self.patch(processes, "run", run)
        stage = Stage(clock, Path("/not/there"), ("/their/python", "-c", "pass"))
        doing = pickle.loads(pickle.dumps(Remote(Work("mine", 60.0, stage, clock))))
        given = repetition("service=echo")
        for number in (1, 2):
            done = doing(given)
            self.assertEqual(done.logs, {f"server-{number}.log": b"there\n"})
            self.assertEqual((done.result.error, done.result.began), ("", 5.0))
        self.assertEqual(stages[0].folder, Path(self.worker.local_directory, "txlab"))
        self.assertEqual(stages[0].client, (sys.executable, "-c", "pass"))

    def test_versions(self) -> None:
        """Those of this machine are in the result; another txlab is refused."""
        theirs = versions(simulated=True)
        work = Work("mine", 60.0, versions=theirs | {"python": "2.7.18"})
        done = Remote(work)(repetition("service=arithmetic"))
        self.assertEqual(done.result.versions, theirs)
        old = evolve(work, versions=theirs | {"txlab": "0.0.1"})
        with self.assertRaisesRegex(
            LocalError, "worker tcp://10.0.0.2:4000 has txlab .*, and this is 0.0.1; install the"
        ):
            Remote(old)(repetition("service=arithmetic"))

    def test_unwanted(self) -> None:
        """What was cancelled while it waited is not done; and it is waited for its turn."""
        raised: list[BaseException] = []

        def perform() -> None:
            try:
                Remote(Work("mine", 60.0))(repetition("service=arithmetic"))
            except Unwanted as error:
                raised.append(error)

        with remote._turn:
            thread = threading.Thread(target=perform)
            thread.start()
            self.worker.tasks["mine"].state = "cancelled"
        thread.join(60)
        self.assertEqual([str(error) for error in raised], ["nobody waits for it any more"])

    def test_machine(self) -> None:
        """One worker has it, and then the next."""
        with machine():
            (path,) = self.folder.glob("txlab-*.lock")
            handle = os.open(path, os.O_RDWR)
            self.addCleanup(os.close, handle)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_logs(self) -> None:
        """Of long ones the end is kept; other files are none."""
        self.patch(remote, "LOGS", 10)
        (self.folder / "a.log").write_bytes(b"0123456789")
        (self.folder / "b.log").write_bytes(b"01")
        (self.folder / "c.txt").write_bytes(b"01")
        self.assertEqual(logs(self.folder), {"a.log": b"56789", "b.log": b"01"})
        self.assertEqual(logs(self.folder / "none"), {})
