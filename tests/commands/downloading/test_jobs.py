"""Downloads that go on while a person types."""

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.aside import Aside
from lab.commands.downloading.batch import Batch
from lab.commands.downloading.fetching import Downloads
from lab.commands.downloading.jobs import Jobs
from lab.download.outcomes import Progress
from lab.errors import LocalError
from tests.commands.downloading.scenes import FakeClient, Seen


class JobsTests(SynchronousTestCase):
    """Their numbers, how far they are, how they end."""

    def setUp(self) -> None:
        """None yet."""
        self.client, self.view, self.aside = FakeClient(), Seen(), Aside()
        self.jobs = Jobs(Downloads(self.client, 3), self.aside)  # type: ignore[arg-type]
        self.addCleanup(self.jobs.cancel, "all")

    def start(self, *names: str) -> None:
        """Begin one."""
        self.jobs.start(f"get {' '.join(names)}", Batch(names, Path("/none")), self.view)

    def test_rows(self) -> None:
        """A row for each, by numbers that are not used again."""
        self.assertEqual((self.jobs.rows(), self.jobs.percent()), ([], ""))
        self.start("a")
        self.start("b\n", "c")
        self.client.gots["b\n"].watch(Progress(100, 25))
        rows = ["1  get a: a: begins", "2  get b\\n c: 0 of 2 files, 25 of 100 bytes (25 %)"]
        self.assertEqual(self.jobs.rows()[0], rows[0])
        self.assertTrue(self.jobs.rows()[1].startswith(rows[1]), self.jobs.rows())
        self.assertEqual(self.jobs.percent(), "2 jobs, 25 %")
        self.client.gots["a"].comes()
        self.start("d")
        self.assertEqual(list(self.jobs.running), [2, 3])

    def test_waits(self) -> None:
        """One that has to wait for others is there as well."""
        self.start("a", "b", "c")
        self.start("d")
        self.assertEqual(self.jobs.rows()[1], "2  get d: begins")
        self.assertEqual(self.jobs.percent(), "2 jobs")

    def test_one(self) -> None:
        """One is one."""
        self.start("a")
        self.assertEqual(self.jobs.percent(), "1 job")

    def test_end(self) -> None:
        """The prompt is drawn anew when one is over; one that never goes on is none."""
        drawn: list[str] = []
        with self.aside.above(drawn.append):
            self.start("a")
            self.client.gots["a"].comes()
        self.assertEqual((drawn, self.jobs.running), ([""], {}))
        self.start("..")
        self.assertEqual(self.jobs.running, {})

    def test_cancel(self) -> None:
        """One by its number, or all."""
        for name in ("a", "b", "c"):
            self.start(name)
        self.jobs.cancel("2")
        self.assertEqual(list(self.jobs.running), [1, 3])
        self.assertEqual(self.client.cancelled, ["b"])
        self.assertIn(("stopped", "b", 0), self.view.events)
        self.jobs.cancel("all")
        self.assertEqual(self.jobs.running, {})
        self.jobs.cancel("all")

    def test_cancel_those_that_wait(self) -> None:
        """They do not begin because others end."""
        self.start("a", "b", "c")
        self.start("d")
        self.jobs.cancel("all")
        self.assertEqual((self.client.order, self.jobs.running), (["a", "b", "c"], {}))

    def test_cancel_takes_a_while(self) -> None:
        """One that is being stopped is there until it has stopped, and is not stopped twice."""
        self.client.lingers = Deferred()
        self.start("a")
        for which in ("1", "all", "1"):
            self.jobs.cancel(which)
        self.assertEqual((self.client.cancelled, list(self.jobs.running)), (["a"], [1]))
        self.client.lingers.callback(None)
        self.assertEqual(self.jobs.running, {})

    def test_mistakes(self) -> None:
        """What is no job is said, with what there is."""
        error = self.assertRaises(LocalError, self.jobs.cancel, "1")
        self.assertEqual(str(error), "job is '1'; there is no job; give its number or all")
        self.start("a")
        for which in ("2", "-1", "a", "\u0661"):
            error = self.assertRaises(LocalError, self.jobs.cancel, which)
            self.assertEqual(str(error), f"job is {which!r}; there is 1; give its number or all")

    def test_bug(self) -> None:
        """What is none of our errors is not lost."""
        self.start("a")
        self.client.gots["a"].done.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
