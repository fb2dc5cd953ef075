"""What all peers of a server share."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab import budget as module
from lab.budget import BURST, Places, Rates

NO_LIMIT = {"each": math.inf, "in_all": math.inf}


class PlacesTests(SynchronousTestCase):
    """How many at a time."""

    def test_of_an_address(self) -> None:
        """One address has no more than its own, whatever others have; what ends makes room."""
        places = Places(2, 100, "files")
        for address in ("a", "b", "a", "b"):
            self.assertIsNone(places.refusal(address))
            places.begin(address)
        self.assertEqual(places.refusal("a"), "there are 2 files of this address")
        self.assertEqual((places.taken, places.of("a"), places.addresses()), (4, 2, 2))
        places.end("a")
        self.assertIsNone(places.refusal("a"))

    def test_in_all(self) -> None:
        """All together have no more than there are."""
        places = Places(100, 2, "files")
        places.begin("a")
        places.begin("b")
        self.assertEqual(places.refusal("c"), "there are 2 files in all")
        places.end("a")
        self.assertIsNone(places.refusal("c"))

    def test_nothing_is_kept(self) -> None:
        """Of an address that has none nothing is kept."""
        places = Places(1, 1, "files")
        for number in range(100):
            places.begin(f"{number}")
            places.end(f"{number}")
        self.assertEqual((places._of, places.taken, places.addresses()), ({}, 0, 0))


class RateTests(SynchronousTestCase):
    """Bytes a second."""

    def test_no_limit(self) -> None:
        """Without a limit nobody waits."""
        rates = Rates(**NO_LIMIT)
        rates.spend("a", 10**12, 0.0)
        self.assertEqual(rates.wait("a", 0.0), 0)
        self.assertEqual(rates.share, 2**30)

    @settings(deadline=None)
    @given(
        st.sampled_from(["each", "in_all"]),
        st.floats(1000, 10**9),
        st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 1)), min_size=1, max_size=50),
    )
    def test_held(self, name: str, rate: float, turns: list[tuple[int, float]]) -> None:
        """Who waits as long as is said has the rate: no more than burst and one share above it."""
        rates = Rates(**{**NO_LIMIT, name: rate})
        now, sent = 1e9, 0
        for size, pause in turns:
            now += pause + rates.wait("a", now + pause)
            wait = rates.wait("a", now)
            self.assertLess(wait, 1e-6)  # as exact as a float can be at that time
            taken = min(size, rates.share)
            rates.spend("a", taken, now)
            sent += taken
            most = (now - 1e9 + BURST) * rate + rates.share
            self.assertLess(sent, most * 1.001 + 1)

    def test_whose(self) -> None:
        """What one address uses up another is not charged for, but all are for that of all."""
        rates = Rates(1000.0, math.inf)
        rates.spend("a", 1100, 5.0)
        self.assertEqual((rates.wait("a", 5.0), rates.wait("b", 5.0)), (1.0, 0))
        self.assertEqual(rates.wait("a", 6.0), 0)
        rates = Rates(math.inf, 1000.0)
        rates.spend("a", 1100, 5.0)
        self.assertEqual((rates.wait("a", 5.0), rates.wait("b", 5.0)), (1.0, 1.0))

    def test_share(self) -> None:
        """What may be sent at once is what a bucket holds, but never too little to be worth it."""
        self.assertEqual(Rates(1_000_000.0, math.inf).share, 100_000)
        self.assertEqual(Rates(math.inf, 50_000.0).share, 5000)
        self.assertEqual(Rates(1.0, math.inf).share, 1024)

    def test_forgotten(self) -> None:
        """Only so many buckets are kept; the one that was not used for longest goes."""
        self.patch(module, "ADDRESSES", 3)
        rates = Rates(1000.0, math.inf)
        for address in ("a", "b", "c", "a", "d"):
            rates.spend(address, 1000, 0.0)
        self.assertEqual(list(rates._full), ["c", "a", "d"])
        self.assertEqual((rates.wait("b", 0.0), rates.wait("c", 0.0)), (0, 0.9))

    def test_booked(self) -> None:
        """Shares that are spent in advance have their times in the order of booking."""
        rates, times = Rates(math.inf, 1000.0), []
        for address in "abcabc":
            times.append(round(rates.wait(address, 5.0), 6))
            rates.spend(address, 200, 5.0)
        self.assertEqual(times, [0, 0.1, 0.3, 0.5, 0.7, 0.9])

    def test_parts(self) -> None:
        """A share may be one of many, down to what is worth it."""
        rates = Rates(1_000_000.0, math.inf)
        self.assertEqual([rates.part(of) for of in (1, 4, 1000)], [100_000, 25_000, 1024])
