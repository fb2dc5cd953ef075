"""What clients are told, and what is made of what they saw."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.subject import Job, one, share, shown_size, timed, together
from lab.statistics import Histogram
from tests.experiments.cells import cell


def histogram(*values: float) -> Histogram:
    """One of these values."""
    made = Histogram()
    for value in values:
        made.add(value)
    return made


class JobTests(SynchronousTestCase):
    """The job of a client."""

    def test_json(self) -> None:
        """It can be told to another process."""
        for folder in (None, Path("/tmp/here")):
            job = Job(cell("service = echo"), 3, ("udp:localhost:1",), 5, folder)
            self.assertEqual(Job.from_json(json.loads(json.dumps(job.as_json()))), job)

    def test_endpoint(self) -> None:
        """Clients take turns with the servers."""
        jobs = [Job(cell("service = echo"), number, ("a", "b"), 5) for number in (1, 2, 3)]
        self.assertEqual([job.endpoint for job in jobs], ["a", "b", "a"])


class SumTests(SynchronousTestCase):
    """Parts of several clients."""

    def test_histograms(self) -> None:
        """They are put together."""
        parts = [{"x": histogram(1, 2).as_json()}, {"x": histogram(2, 3).as_json()}]
        self.assertEqual(together(parts, "x"), histogram(1, 2, 2, 3))

    def test_share(self) -> None:
        """Nothing of nothing is 0."""
        self.assertEqual((share(1, 4), share(0, 0)), (0.25, 0.0))

    def test_measures(self) -> None:
        """One value, and times, of which less is better."""
        self.assertEqual((one(2.0, "B/s", "more").samples, one(2.0).unit), ((2.0,), "1"))
        self.assertEqual(timed("s", histogram(1)).better, "less")

    def test_sizes(self) -> None:
        """A size is shown in the largest unit that it has a whole number of."""
        shown = {0: "0", 1000: "1000", 1024: "1K", 1536: "1536", 3 * 2**20: "3M", 2**40: "1024G"}
        self.assertEqual({size: shown_size(size) for size in shown}, shown)
