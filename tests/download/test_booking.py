"""How a transfer keeps to rates."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.booking import Booking
from lab.download.settings import ServerSettings
from lab.download.shared import Shared


def make(addresses: str = "a", **limits: Any) -> list[Booking]:
    """Transfers that run at a time, of these addresses."""
    shared = Shared(ServerSettings(**limits))
    for address in addresses:
        shared.transfers.begin(address)
    return [Booking(shared, address) for address in addresses]


class BookingTests(SynchronousTestCase):
    """What may be sent, and when."""

    def test_no_limit(self) -> None:
        """Without a rate all may be sent at once."""
        (one,) = make()
        self.assertEqual(one.allowed(10**15, 0.0), 10**15)

    def test_share(self) -> None:
        """A share at a time, and not before it is due."""
        (one,) = make(rate=100_000.0)
        self.assertEqual(one.allowed(10**9, 5.0), 10_000)
        one.took(4000)
        self.assertEqual(one.allowed(10**9, 5.0), 6000)
        one.took(6000)
        self.assertEqual(one.allowed(10**9, 5.0), 10_000)
        one.took(10_000)
        self.assertEqual((one.allowed(10**9, 5.0), one.due), (0, 5.1))
        self.assertEqual(one.allowed(10**9, 5.09), 0)
        self.assertEqual(one.allowed(10**9, 5.1), 10_000)

    def test_end(self) -> None:
        """Not more is booked than there is."""
        (one,) = make(rate=100_000.0)
        self.assertEqual(one.allowed(7, 5.0), 7)

    @given(st.sampled_from(["ab", "abb", "aab", "abbbbbbb"]))
    def test_addresses(self, addresses: str) -> None:
        """Two addresses have equal parts, however many transfers they have."""
        rate, sent, now = 1_000_000.0, {"a": 0, "b": 0}, 0.0
        running = make(addresses, total_rate=rate)
        ready = [0.0] * len(running)
        while now < 20:
            now = min(ready)
            at = ready.index(now)
            size = running[at].allowed(10**9, now)
            running[at].took(size)
            sent[addresses[at]] += size
            ready[at] = math.nextafter(now, math.inf) if size else running[at].due
        self.assertApproximates(sent["a"] / sent["b"], 1, 0.1)
        self.assertApproximates(sum(sent.values()), 20 * rate, 2 * rate / 10)
