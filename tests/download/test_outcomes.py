"""What a client is told."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.outcomes import Broken, Changed, InUse, NoRoom, Progress, Rejected, State, worst
from lab.errors import LocalError, Unreachable


class OutcomeTests(SynchronousTestCase):
    """Words, and the kinds of errors."""

    def test_words(self) -> None:
        """A state is a word that can be shown, and put in JSON."""
        self.assertEqual(f"{State.LYING}", "lying")
        self.assertEqual(Progress().sources, ())

    def test_ours(self) -> None:
        """What is wrong with the target is ours, and nobody else's."""
        for kind in (NoRoom, InUse):
            self.assertTrue(issubclass(kind, LocalError))

    def test_worst(self) -> None:
        """What a server has said says more than that one is gone; the first of a kind is told."""
        gone, refused = Unreachable("gone"), Rejected("no")
        self.assertEqual(worst([("a", gone), ("b", refused)]), ("b", refused))
        self.assertEqual(worst([("a", Broken("what")), ("b", Changed("so"))])[0], "b")
        self.assertEqual(worst([("a", gone), ("b", Unreachable("gone, too"))]), ("a", gone))
