"""The plans that come with the package."""

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.plan import LONGEST, PlanError
from lab.experiments.samples import find, samples
from tests.helpers import folder


class SampleTests(SynchronousTestCase):
    """Plans by their names."""

    def test_all(self) -> None:
        """Each can be read, varies something, and says what it is for."""
        self.assertEqual(list(samples()), ["backoff", "download", "rpc", "sequence", "stream"])
        for name, title in samples().items():
            plan = find(name)
            self.assertGreater(len(plan), 4)
            self.assertEqual((plan.name, plan.repetitions >= 10), (name, True))
            self.assertRegex(title, r"^[A-Z].*, over .*\.$")

    def test_file(self) -> None:
        """A file goes before a plan of the package; its name without the ending is the plan's."""
        path = folder(self) / "mine.ini"
        path.write_text("[experiment]\nservice = echo\n")
        self.assertEqual((find(str(path)).name, find(str(path)).service), ("mine", "echo"))

    def test_mistakes(self) -> None:
        """One line each."""
        place = folder(self)
        with self.assertRaisesRegex(
            LocalError, "plan is 'nix'; No such file or directory: give a file, or one of backoff,"
        ):
            find("nix")
        with self.assertRaisesRegex(LocalError, "Is a directory"):
            find(str(place))
        with self.assertRaisesRegex(LocalError, "null"):
            find("\0")
        (place / "plan.ini").write_bytes(b"\xff")
        with self.assertRaisesRegex(LocalError, "it is no text of UTF-8"):
            find(str(place / "plan.ini"))
        (place / "plan.ini").write_text("x" * (LONGEST + 9))
        with self.assertRaisesRegex(PlanError, "plan has"):
            find(str(place / "plan.ini"))
