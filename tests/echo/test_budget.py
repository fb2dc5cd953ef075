"""What all peers of a server share."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.budget import AGAIN
from lab.echo.budget import Budget
from lab.echo.settings import ServerSettings


def make(**words: Any) -> Budget:
    """A budget with these settings."""
    return Budget(ServerSettings(**words))


class StreamsTests(SynchronousTestCase):
    """Streams at a time."""

    def test_of_an_address(self) -> None:
        """One address has no more than its own, whatever others have; what ends makes room."""
        budget = make(streams=2)
        for _ in range(2):
            self.assertIsNone(budget.begin("a", 0.0))
            self.assertIsNone(budget.begin("b", 0.0))
        refused = (AGAIN, "there are 2 streams of this address")
        self.assertEqual(budget.begin("a", 0.0), refused)
        self.assertEqual(budget.running, 4)
        budget.end("a")
        self.assertIsNone(budget.begin("a", 0.0))
        self.assertEqual(budget.begin("a", 0.0), refused)

    def test_in_all(self) -> None:
        """All together have no more than there are."""
        budget = make(total_streams=2)
        self.assertIsNone(budget.begin("a", 0.0))
        self.assertIsNone(budget.begin("b", 0.0))
        self.assertEqual(budget.begin("c", 0.0), (AGAIN, "there are 2 streams in all"))
        budget.end("a")
        self.assertIsNone(budget.begin("c", 0.0))


class RateTests(SynchronousTestCase):
    """Bytes a second."""

    def test_waits(self) -> None:
        """Who may send has not to wait, and spends of what all have."""
        budget = make(rate=1000.0)
        self.assertEqual((budget.share, budget.wait("a", 5.0)), (1024, 0))
        budget.spend("a", 1100, 5.0)
        self.assertEqual((budget.wait("a", 5.0), budget.wait("b", 5.0)), (1.0, 0))

    def test_refused(self) -> None:
        """While others use all up no more begin; one that is alone waits by itself."""
        budget = make(rate=1000.0)
        budget.spend("a", 1100, 5.0)
        self.assertIsNone(budget.begin("a", 5.0))
        wait, reason = budget.begin("a", 5.0) or (0, "")
        self.assertEqual((wait, reason), (1.0, "this address has its 1000 bytes a second"))
        self.assertIsNone(budget.begin("b", 5.0))
        self.assertIsNone(budget.begin("a", 6.0))

    def test_refused_in_all(self) -> None:
        """So it is with what all have together."""
        budget = make(total_rate=1000.0)
        budget.spend("a", 1100, 5.0)
        self.assertIsNone(budget.begin("a", 5.0))
        refused = (1.0, "all 1000 bytes a second are in use")
        self.assertEqual(budget.begin("b", 5.0), refused)
        self.assertIsNone(budget.begin("b", 6.0))
