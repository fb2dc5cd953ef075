"""Downloads, measured."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.pattern import characters
from lab.experiments import simulated
from lab.experiments.of_download import NAME, DownloadSubject, make_file
from lab.experiments.subject import Found
from tests.experiments.cells import cell, repetition, value
from tests.helpers import folder

SUBJECT = DownloadSubject()


def run(*lines: str) -> Found:
    """What one repetition shows."""
    return simulated.run(repetition("service=download", *lines), 600.0)[0]


class DownloadTests(SynchronousTestCase):
    """In the simulator."""

    def test_rate(self) -> None:
        """Each client takes as long as the rate of its way says; two servers halve that."""
        for servers, seconds in ((1, 2.0), (2, 1.0)):
            found = run(
                "size=2M", "clients=2", f"servers={servers}", "fault=bandwidth:rate=1048.576"
            )
            self.assertEqual(value(found, "success"), 1.0)
            self.assertEqual(len(found.measures["duration"].samples), 2)
            self.assertApproximates(max(found.measures["duration"].samples), seconds, 0.2)
            self.assertApproximates(value(found, "throughput"), 2 * 2**21 / seconds, 400_000)

    def test_small(self) -> None:
        """Of one piece nothing is wasted with one server."""
        found = run("size=1K")
        self.assertEqual((value(found, "success"), value(found, "wasted")), (1.0, 0.0))

    def test_failed(self) -> None:
        """A client that does not get the file took no time."""
        found = run("size=1M", "fault=blackhole")
        self.assertEqual(value(found, "success"), 0.0)
        self.assertEqual(set(found.measures), {"success", "wasted"})

    def test_file(self) -> None:
        """What the server serves is made once, whole, in a folder for its size."""
        place = folder(self)
        one = cell("service=download", "size=3K")
        words = SUBJECT.arguments(one, place)
        self.assertEqual(
            words[:4], ["--download", "tcp:0:interface=127.0.0.1", "--root", str(place / "3K")]
        )
        made = place / "3K" / NAME
        self.assertEqual(made.read_bytes(), characters(1, 0, 3072))
        self.assertGreaterEqual(made.stat().st_blocks * 512, 3072)
        before = made.stat().st_mtime_ns
        SUBJECT.arguments(one, place)
        self.assertEqual(made.stat().st_mtime_ns, before)
        make_file(made, 10)
        self.assertEqual(made.read_bytes(), characters(1, 0, 10))
