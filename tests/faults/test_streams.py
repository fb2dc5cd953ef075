"""Stages of a stream, each by itself."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import (
    Settings,
)
from lab.faults.streams import (
    LimitData,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from lab.faults.verdicts import DELIVER
from lab.rng import stream


class SettingsTests(SynchronousTestCase):
    """What settings refuse, and what they are."""

    def test_refused(self) -> None:
        """A time or number below 0, or none."""
        for wrong in (-1.0, math.inf, math.nan):
            self.assertRaises(LocalError, SlowClose, wrong)
            self.assertRaises(LocalError, Timeout, wrong)
            self.assertRaises(LocalError, ResetPeer, wrong)
        error = self.assertRaises(LocalError, LimitData, -1)
        self.assertEqual(str(error), "bytes is -1; give 0 or more")

    def test_drawn(self) -> None:
        """What follows from sizes and times is no decision."""
        kinds: list[Settings] = [SlowClose(), Timeout(), ResetPeer(), LimitData(), Partition()]
        for kind in [*kinds, Slicer(10)]:
            self.assertFalse(kind.drawn)
            self.assertIs(kind.begin(stream(7)).judge(1, 0.0), DELIVER)
        self.assertTrue(Slicer(10, 1).drawn)
        self.assertTrue(PacketLoss().drawn)


class SlicerTests(SynchronousTestCase):
    """Where chunks are cut."""

    def test_halves(self) -> None:
        """Without variation a chunk is halved until it is small enough; nothing is drawn."""
        self.assertEqual(Slicer(2).cut(b"abcdefg", None), [b"a", b"bc", b"de", b"fg"])
        self.assertEqual(Slicer(10).cut(b"abc", None), [b"abc"])

    @given(st.integers(-5, 50), st.integers(-5, 50), st.binary(max_size=500), st.floats(0, 1))
    def test_bytes_are_equal(self, size: int, variation: int, data: bytes, draw: float) -> None:
        """Whatever the numbers, all bytes are there in order, and no slice is too large."""
        found = Slicer(size, variation).cut(data, draw)
        self.assertEqual(b"".join(found), data)
        self.assertLessEqual(max(map(len, found)), max(1, size) + max(0, variation))

    def test_one_draw_for_a_chunk(self) -> None:
        """With variation a chunk's cuts follow from one draw, which the judge makes."""
        judge = Slicer(10, 5).begin(stream(7))
        draws = [judge.judge(100, 0.0).draw for _ in range(10)]
        self.assertEqual(len(set(draws)), 10)
        self.assertNotEqual(*(Slicer(10, 5).cut(bytes(500), draw) for draw in draws[:2]))


class PacketLossTests(SynchronousTestCase):
    """Chunks that are dropped."""

    def lost(self, settings: PacketLoss, number: int = 20_000) -> list[bool]:
        """Which of so many."""
        judge = settings.begin(stream(7))
        return [not judge.judge(100, 0.0).delays for _ in range(number)]

    def test_rate(self) -> None:
        """Without correlation the rate is the one that was asked for; numbers are clamped."""
        self.assertApproximates(sum(self.lost(PacketLoss(0.3))) / 20_000, 0.3, 0.01)
        self.assertTrue(all(self.lost(PacketLoss(7.0), 100)))
        self.assertFalse(any(self.lost(PacketLoss(-1.0), 100)))

    def test_correlation(self) -> None:
        """After a loss the probability is higher by the correlation."""
        found = self.lost(PacketLoss(0.1, 0.4))
        after = [now for before, now in pairwise(found) if before]
        self.assertApproximates(sum(after) / len(after), 0.5, 0.03)
