"""What a client is told."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.outcomes import InUse, NoRoom, Progress, State
from lab.errors import LocalError


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
