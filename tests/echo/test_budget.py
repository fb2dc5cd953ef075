"""What all peers of a server share."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import budget as module
from lab.echo.budget import AGAIN, BURST, Budget
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

    def test_nothing_is_kept(self) -> None:
        """Of an address that has none nothing is kept."""
        budget = make()
        for number in range(100):
            budget.begin(f"{number}", 0.0)
            budget.spend(f"{number}", 1000, 0.0)
            budget.end(f"{number}")
        self.assertEqual((budget._streams, len(budget._full), budget.running), ({}, 0, 0))


class RateTests(SynchronousTestCase):
    """Bytes a second."""

    def test_no_limit(self) -> None:
        """Without a limit nobody waits."""
        budget = make()
        budget.spend("a", 10**12, 0.0)
        self.assertEqual(budget.wait("a", 0.0), 0)
        self.assertEqual(budget.share, 2**30)

    @settings(deadline=None)
    @given(
        st.sampled_from(["rate", "total_rate"]),
        st.floats(1000, 10**9),
        st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 1)), min_size=1, max_size=50),
    )
    def test_held(self, name: str, rate: float, turns: list[tuple[int, float]]) -> None:
        """Who waits as long as is said has the rate: no more than burst and one share above it."""
        budget = make(**{name: rate})
        now, sent = 1e9, 0
        for size, pause in turns:
            now += pause + budget.wait("a", now + pause)
            wait = budget.wait("a", now)
            self.assertLess(wait, 1e-6)  # as exact as a float can be at that time
            taken = min(size, budget.share)
            budget.spend("a", taken, now)
            sent += taken
            most = (now - 1e9 + BURST) * rate + budget.share
            self.assertLess(sent, most * 1.001 + 1)

    def test_whose(self) -> None:
        """What one address uses up another is not charged for, but all are for that of all."""
        budget = make(rate=1000.0)
        budget.spend("a", 1100, 5.0)
        self.assertEqual((budget.wait("a", 5.0), budget.wait("b", 5.0)), (1.0, 0))
        self.assertEqual(budget.wait("a", 6.0), 0)
        budget = make(total_rate=1000.0)
        budget.spend("a", 1100, 5.0)
        self.assertEqual((budget.wait("a", 5.0), budget.wait("b", 5.0)), (1.0, 1.0))

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

    def test_share(self) -> None:
        """What may be sent at once is what a bucket holds, but never too little to be worth it."""
        self.assertEqual(make(rate=1_000_000.0).share, 100_000)
        self.assertEqual(make(rate=math.inf, total_rate=50_000.0).share, 5000)
        self.assertEqual(make(rate=1.0).share, 1024)

    def test_forgotten(self) -> None:
        """Only so many buckets are kept; the one that was not used for longest goes."""
        self.patch(module, "ADDRESSES", 3)
        budget = make(rate=1000.0)
        for address in ("a", "b", "c", "a", "d"):
            budget.spend(address, 1000, 0.0)
        self.assertEqual(list(budget._full), ["c", "a", "d"])
        self.assertEqual((budget.wait("b", 0.0), budget.wait("c", 0.0)), (0, 0.9))
