"""Repetitions in the simulator."""

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LabError
from lab.experiments import simulated
from lab.experiments.of_echo import EchoSubject
from lab.experiments.subject import Found, Part
from tests.experiments.cells import repetition, value


def run(*lines: str, seed: int = 7) -> Found:
    """What one repetition shows."""
    return simulated.run(repetition(*lines, seed=seed), 60.0)[0]


class SimulatedTests(SynchronousTestCase):
    """The whole of a cell."""

    def test_again(self) -> None:
        """All follows from the seed."""
        keys = ["service=arithmetic", "clients=3", "servers=2", "fault=loss:probability=0.2"]
        self.assertEqual(run(*keys), run(*keys))
        self.assertNotEqual(run(*keys), run(*keys, seed=8))

    def test_directions(self) -> None:
        """A fault is on the way that it names, for each client and server."""
        for stream, attempts in (("upstream", 1.0), ("downstream", 1.0)):
            found = run(
                "service=arithmetic", "clients=2", "servers=2", "count=50",
                f"fault=loss:probability=1,stream={stream}",
            )  # fmt: skip
            self.assertEqual((value(found, "success"), value(found, "attempts")), (0.0, attempts))
        twice = run(
            "service=echo", "count=20", "fault=duplicate:probability=1;duplicate:probability=1"
        )
        self.assertEqual(value(twice, "duplicates"), 3.0)

    def test_shared(self) -> None:
        """A rate of scope proxy is that of all clients of a server; others have their own."""
        for transport, limit in (("udp", ",queue=2000"), ("tcp", "")):
            for scope, servers, share in (
                ("proxy", 1, 0.25), ("proxy", 2, 0.5), ("client", 1, 1.0), ("connection", 1, 1.0),
            ):  # fmt: skip
                found = run(
                    "service=echo", f"transport={transport}", f"servers={servers}", "clients=4",
                    "size=200", "rate=50", "count=100",
                    f"fault=bandwidth:rate=10.5{limit},scope={scope}",
                )  # fmt: skip
                self.assertApproximates(value(found, "throughput"), share * 40_000, 3000)

    def test_cut(self) -> None:
        """All ways are cut for a time: a sequence goes on behind it, if it is not too long."""
        for cut, completion in (("1s", 1.0), ("5s", 0.0)):
            found = run("service=sequence", "clients=2", "servers=2", f"cut={cut}")
            self.assertEqual(value(found, "completion"), completion)

    def test_files(self) -> None:
        """A client that keeps files has a folder of its own, which is gone afterwards."""
        found = run("service=download", "clients=2", "size=1K")
        self.assertEqual(value(found, "success"), 1.0)

    def test_limit(self) -> None:
        """What has not ended by then is an error, and says how long it took else."""
        with self.assertRaisesRegex(LabError, "no result at 1 s"):
            simulated.run(repetition("service=arithmetic"), 1.0)
        _, lasted = simulated.run(repetition("service=arithmetic", "count=100"), 1.0)
        self.assertApproximates(lasted, 0.992, 0.001)

    def test_failure(self) -> None:
        """What a client fails with is raised as it is, and not as the failure of all."""

        class Failing(EchoSubject):
            def ask(self, reactor: object, job: object) -> "Deferred[Part]":
                return fail(LabError("out of order"))

        self.patch(simulated, "SUBJECTS", {"echo": Failing()})
        with self.assertRaisesRegex(LabError, "out of order"):
            run("service=echo")
