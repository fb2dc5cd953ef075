"""A Dask cluster as an executor: real ones of one process, and clients that are stood in for."""

import asyncio
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import distributed
from attrs import define, evolve, field
from distributed.scheduler import KilledWorker, WorkerState
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LabError, LocalError
from lab.experiments import cluster as room
from lab.experiments.cluster import Cluster, check, cluster
from lab.experiments.plan import read
from lab.experiments.pools import Inline
from lab.experiments.remote import Done
from lab.experiments.results import PLACE, Result
from lab.experiments.running import Run
from lab.experiments.working import Work
from tests.experiments.cells import repetition
from tests.helpers import folder

PLAN = read(
    "[experiment]\nservice=arithmetic\ncount=3\nfault=none,loss:probability=0.5\nrepetitions=4",
    "mine",
)


@contextmanager
def dask(workers: int = 1) -> Iterator[distributed.LocalCluster]:
    """A scheduler, and workers of two threads, in this process."""
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as made:
        yield made


class Threads(dict[str, int]):
    """The threads of each worker, for who waits for them and who does not."""

    def __await__(self) -> Generator[None, None, "Threads"]:
        """They are there."""
        return self
        yield


@define(eq=False)
class Client(Executor):
    """As much of Dask's client as is used: its loop, and its executor, too."""

    threads: list[dict[str, int]] = field(factory=lambda: [{"a": 2}])
    given: list["Future[Done]"] = field(factory=list)
    called: list[Callable[[], object]] = field(factory=list)

    @property
    def loop(self) -> "Client":
        """Its loop."""
        return self

    def add_callback(self, function: Callable[[], object]) -> None:
        """It is called some time."""
        self.called.append(function)

    def get_executor(self, **options: object) -> "Client":
        """Its executor."""
        assert options == {"pure": False}
        return self

    def nthreads(self) -> Threads:
        """The threads of each worker."""
        if not self.threads:
            raise OSError("Timed out")
        return Threads(self.threads.pop(0))

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Whoever tests says what comes of it."""
        self.given.append(Future())
        return self.given[-1]


class RealTests(SynchronousTestCase):
    """With a scheduler and workers."""

    def setUp(self) -> None:
        """A folder, and what was said."""
        self.folder = folder(self)
        self.said: list[str] = []

    def test_run(self) -> None:
        """The file is that of a run without Dask; a worker that comes late is waited for."""
        with dask(0) as there:

            def say(text: str) -> None:
                self.said.append(text)
                there.scale(1)

            address = there.scheduler_address
            with cluster(address, self.folder / "there", say) as executor:
                self.assertEqual(executor.threads, 2)
                run = Run(PLAN, self.folder / "there", simulated=True)
                self.assertEqual(run.carry_out(executor, Work("mine", 60.0), ahead=lambda: 4), 0)
        Run(PLAN, self.folder / "here", simulated=True).carry_out(Inline(), Work("mine", 60.0))
        self.assertEqual(*((self.folder / one / PLACE).read_bytes() for one in ("here", "there")))
        self.assertEqual(self.said, [f"waiting for a worker of {address}"])

    def test_worker(self) -> None:
        """The address of a worker is none of a scheduler."""
        with dask() as there:
            address = there.workers[0].address
            with (
                self.assertRaisesRegex(LabError, "is a worker of Dask; give its scheduler"),
                cluster(address, self.folder, print),
            ):
                self.fail("it is no scheduler")

    def test_lost(self) -> None:
        """A scheduler that goes away between two words."""

        def refuse(*given: object, **named: object) -> None:
            raise OSError("Timed out\nfor good")

        self.patch(distributed, "Client", refuse)
        with (
            dask(0) as there,
            self.assertRaisesRegex(LabError, "^scheduler tcp.* does not answer: Timed out$"),
            cluster(there.scheduler_address, self.folder, print),
        ):
            self.fail("it has gone")


class AddressTests(SynchronousTestCase):
    """Where a scheduler is."""

    def test_form(self) -> None:
        """Those of Dask, and nothing else."""
        for good in ("tcp://host:8786", "tls://10.0.0.1:1", "tcp://[fe80::1%eth0]:65535"):
            check(good)
        for bad in ("", "host:8786", "tcp://host", "tcp://host:0", "tcp://host:65536",
                    "http://host:80", "tcp://a b:1", "tcp://:1", "tcp://h:1/x"):  # fmt: skip
            with self.assertRaisesRegex(LocalError, "^scheduler is '.*'; give tcp://HOST:PORT, "):
                check(bad)

    @settings(max_examples=30)
    @given(st.text() | st.from_regex(r"(tcp|tls)://[^\n]*:[0-9]+"))
    def test_any(self, text: str) -> None:
        """Whatever is given, there is no other error."""
        try:
            check(text)
        except LocalError as error:
            self.assertEqual(len(str(error).splitlines()), 1)

    def test_without_dask(self) -> None:
        """What to install is said."""
        self.patch(room, "find_spec", lambda name: None)
        with self.assertRaisesRegex(LocalError, r"pip install 'txlab\[cluster\]'"):
            check("tcp://127.0.0.1:8786")

    def refused(self, port: int) -> str:
        """What is said of a port."""
        with (
            self.assertRaises(LabError) as caught,
            cluster(f"tcp://127.0.0.1:{port}", Path(), print),
        ):
            self.fail("nobody is there")
        return str(caught.exception).replace(str(port), "PORT")

    def test_nobody(self) -> None:
        """Nobody listens, or whoever does says nothing."""
        self.patch(room, "PATIENCE", 0.2)
        late = "scheduler tcp://127.0.0.1:PORT does not answer within 0.2 s"
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.assertEqual(self.refused(port), late)
        self.assertEqual(self.refused(port), late)

    def test_other(self) -> None:
        """Somebody speaks another language."""
        with socket.create_server(("127.0.0.1", 0)) as server:

            def speak() -> None:
                """Say something, and go."""
                with server.accept()[0] as peer:
                    peer.sendall(b"220 mail.example ESMTP at your service\r\n")

            thread = threading.Thread(target=speak)
            thread.start()
            said = self.refused(server.getsockname()[1])
            thread.join(60)
        self.assertTrue(said.startswith("tcp://127.0.0.1:PORT is no scheduler of Dask: "), said)


class ClusterTests(SynchronousTestCase):
    """What comes of what was given to a client."""

    def setUp(self) -> None:
        """One repetition is given."""
        self.folder = folder(self)
        self.said: list[str] = []
        self.client = Client()
        self.cluster = Cluster(self.client, "tcp://s:1", self.folder, self.said.append)
        self.work, self.one = Work("mine", 60.0), repetition("service=arithmetic")
        self.future = self.cluster.submit(self.work, self.one)

    def back(self, **logs: bytes) -> Done:
        """What a worker sends back."""
        return Done(self.work.failed(self.one, ""), "tcp://w:1", logs)

    def again(self) -> "Future[Result]":
        """Give it once more."""
        return self.cluster.submit(self.work, self.one)

    def test_logs(self) -> None:
        """They are added to the files, which are in their folder whatever a worker says."""
        for _ in range(2):
            self.again()
            self.client.given[-1].set_result(self.back(**{"../a.log": b"x", "b.log": b"y"}))
        found = {path.name: path.read_bytes() for path in (self.folder / "logs").iterdir()}
        self.assertEqual(found, {"a.log": b"xx", "b.log": b"yy"})

    def test_nowhere(self) -> None:
        """Logs that can't be kept end the run."""
        (self.folder / "logs").write_text("")
        self.client.given[0].set_result(self.back(**{"a.log": b"x"}))
        with self.assertRaisesRegex(LocalError, "^to is '.*'; File exists"):
            self.future.result()

    def test_killed(self) -> None:
        """A task that has killed its workers is a failure, and the run goes on."""
        last = WorkerState(
            address="tcp://w:1", status=distributed.Status.running, pid=1, name="w", nthreads=1,
            memory_limit=1, local_directory="", nanny="", server_id="",
        )  # fmt: skip
        self.client.given[0].set_exception(KilledWorker("task", last, 3))
        result = self.future.result()
        self.assertEqual(result.error, "each worker that began it has died, tcp://w:1 last")
        self.assertEqual((result.cell, result.seed), (self.one.cell.values, self.one.seed))

    def test_errors(self) -> None:
        """Ours are told as they are; others mean that a worker lacks something."""
        self.client.given[0].set_exception(LocalError("worker tcp://w:1 has txlab 0.0.1"))
        with self.assertRaisesRegex(LocalError, "has txlab 0.0.1$"):
            self.future.result()
        again = self.again()
        self.client.given[1].set_exception(ModuleNotFoundError("No module named 'lab'\n"))
        with self.assertRaisesRegex(
            LabError, "^a worker can't do it: ModuleNotFoundError: No module named 'lab'; what is "
        ):
            again.result()
        again = self.again()
        self.client.given[2].set_result(None)  # type: ignore[arg-type]
        with self.assertRaises(AttributeError):
            again.result()

    def test_lost(self) -> None:
        """Dask cancels what it can't bring any more."""
        self.client.given[0].cancel()
        with self.assertRaisesRegex(LabError, "^scheduler tcp://s:1 is lost; what is finished is"):
            self.future.result()
        self.client.threads.clear()
        with self.assertRaisesRegex(LabError, "is lost"), self.cluster:
            self.fail("it is lost")

    def test_other_versions(self) -> None:
        """It is told once for each of them, and results are kept."""
        back = self.back()
        theirs = {**back.result.versions, "python": "3.99.1"}
        for _ in range(2):
            future = self.again()
            result = evolve(back.result, versions=theirs)
            self.client.given[-1].set_result(evolve(back, result=result))
            self.assertEqual(future.result(), result)
        ours = self.work.versions["python"]
        (said,) = self.said
        self.assertTrue(said.startswith(f"worker tcp://w:1 has python 3.99.1, and this is {ours}"))
        self.assertEqual(self.work.versions["txlab"], version("txlab"))

    def test_workers(self) -> None:
        """How many there are is looked at again and again; that all are gone is said."""
        self.client.threads = [{"a": 2, "b": 1}, {"a": 2}, {}, {}]
        seen = []
        with self.cluster:
            seen.append(self.cluster.threads)
            for _ in range(4):
                asyncio.run(self.cluster._look())
                seen.append(self.cluster.threads)
        self.assertEqual(seen, [3, 2, 0, 0, 0])
        self.assertEqual(self.said, ["no worker of tcp://s:1 is left; waiting for one"])
        self.assertEqual(len(self.client.called), 2)
