"""Repetitions as real processes over loopback."""

import http.client
import time

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.cell_client import COMMAND
from lab.errors import LabError, NoAnswer
from lab.experiments import children, processes
from lab.experiments.plan import Repetition
from lab.experiments.processes import Stage, texts
from lab.experiments.results import Process
from lab.experiments.subject import Found
from tests.experiments.cells import cell, repetition, value
from tests.helpers import folder


class ProcessesTests(SynchronousTestCase):
    """Few and small ones: each takes seconds to start."""

    def setUp(self) -> None:
        """A folder for the experiment."""
        self.folder = folder(self)

    def run_(
        self, one: Repetition, limit: float = 60.0
    ) -> tuple[Found, float, tuple[Process, ...]]:
        """Run a repetition."""
        return processes.run(one, limit, Stage(time.monotonic, self.folder, COMMAND))

    def test_through_proxies(self) -> None:
        """A cut is made in proxies before servers; all processes are accounted for, and gone."""
        started: list[children.Child] = []
        begin = children.Family.start

        def start(*given: object) -> children.Child:
            started.append(begin(*given))  # type: ignore[arg-type]
            return started[-1]

        self.patch(children.Family, "start", start)
        one = repetition(
            "service=sequence", "clients=2", "count=20", "cut=300ms", "cut-after=100ms",
            "fault=latency:latency=20;noop",
        )  # fmt: skip
        found, lasted, used = self.run_(one)
        self.assertEqual((value(found, "completion"), value(found, "wrong")), (1.0, 0.0))
        # 19 intervals of 20 ms: some numbers waited for the end of the cut, at 400 ms.
        self.assertGreater(found.measures["lateness"].histogram.most, 0.1)  # type: ignore[union-attr]
        self.assertGreater(lasted, 0.38)
        ids = [process.id for process in used]
        self.assertEqual(ids, ["client-1", "client-2", "server-1", "proxy-1"])
        self.assertTrue(all(process.cpu > 0 and process.memory > 0 for process in used))
        self.assertTrue(all(child.ended for child in started))
        logs = sorted(path.name for path in (self.folder / "logs").iterdir())
        self.assertEqual(logs, sorted(f"{id}-2c0f.log" for id in ids))
        self.assertIn("listens on", (self.folder / "logs" / "server-1-2c0f.log").read_text())

    def test_without_proxy(self) -> None:
        """Clients may ask servers themselves."""
        found, _, used = self.run_(repetition("service=arithmetic", "count=3", "proxy=no"))
        self.assertEqual(value(found, "success"), 1.0)
        self.assertEqual([process.id for process in used], ["client-1", "server-1"])

    def test_limit(self) -> None:
        """A limit is a limit."""
        with self.assertRaisesRegex(NoAnswer, "server-1 to server-1: to listen: not within"):
            self.run_(repetition("service=arithmetic"), 0.0)


class ProxyTests(SynchronousTestCase):
    """What a proxy is asked for."""

    def test_refused(self) -> None:
        """What it does not do is an error, with its words."""

        class Answer:
            status = 404

            def read(self, size: int) -> bytes:
                return b"proxy not found\n"

        self.patch(http.client.HTTPConnection, "request", lambda *_: None)
        self.patch(http.client.HTTPConnection, "getresponse", lambda _: Answer())
        with self.assertRaisesRegex(LabError, "the proxy refuses GET /x: proxy not found"):
            processes._request(1, "GET", "/x", None)

    def test_gone(self) -> None:
        """And so is one that does not answer."""

        def refuse(*given: object) -> None:
            raise ConnectionRefusedError("nobody there")

        self.patch(http.client.HTTPConnection, "request", refuse)
        with self.assertRaisesRegex(LabError, "the proxy does not answer: nobody there"):
            processes._request(1, "GET", "/x", None)

    def test_texts(self) -> None:
        """Each fault has an option of its own."""
        self.assertEqual(texts(cell("service=echo")), [])
        self.assertEqual(texts(cell("service=echo", "fault=noop;loss")), ["noop", "loss"])
