"""Stages of a stream, each by itself."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Judge, Settings
from lab.faults.streams import (
    Cut,
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
        for wrong in (-0.1, 1.1, math.nan):
            error = self.assertRaises(LocalError, Cut, wrong)
            self.assertEqual(str(error), f"probability is {wrong:g}; give 0 to 1")

    def test_drawn(self) -> None:
        """What follows from sizes and times is no decision."""
        kinds: list[Settings] = [SlowClose(), Timeout(), ResetPeer(), LimitData(), Partition()]
        for kind in [*kinds, Slicer(10)]:
            self.assertFalse(kind.drawn)
            self.assertIs(kind.begin(stream(7)).judge(1, 0.0), DELIVER)
        self.assertTrue(Slicer(10, 1).drawn)
        self.assertTrue(PacketLoss().drawn)
        self.assertTrue(Cut().drawn)


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


class CutTests(SynchronousTestCase):
    """Where connections are cut."""

    def passed(self, judge: Judge, size: int) -> int:
        """How many bytes pass before the cut, in chunks of this size."""
        passed = 0
        while (cut := judge.judge(size, 0.0).cut) is None:
            passed += size
        self.assertTrue(0 <= cut < size)
        return passed + cut

    def test_never_and_at_once(self) -> None:
        """With 0 all bytes pass, with 1 none; the next to both are no different."""
        for probability in (0.0, 5e-324):
            judge = Cut(probability).begin(stream(7))
            self.assertTrue(all(judge.judge(10**9, 0.0) is DELIVER for _ in range(1000)))
        for probability in (1.0, 1.0 - 2**-53):
            judge = Cut(probability).begin(stream(7))
            self.assertEqual({judge.judge(1460, 0.0).cut for _ in range(1000)}, {0})

    def test_mean(self) -> None:
        """
        How many bytes pass does not depend on chunks: it is geometric.

        Its mean is (1 - p)/p and its standard deviation (1 - p)**0.5/p: 999 and 999.5 bytes.
        Single bytes take a draw each, so there are fewer connections of them.
        """
        for size, number in ((1, 1000), (7, 10_000), (1460, 10_000)):
            random = stream(1, "cuts", size)
            found = [self.passed(Cut(0.001).begin(random), size) for _ in range(number)]
            self.assertApproximates(sum(found) / number, 999.0, 3 * 999.5 / number**0.5)
            # Half of them are cut before the median, 692 bytes.
            self.assertApproximates(
                sum(n < 693 for n in found) / number, 0.5, 3 * 0.5 / number**0.5
            )

    def test_one_draw_for_a_chunk(self) -> None:
        """However large a chunk is, it takes one draw, which the verdict has."""
        judge, random = Cut(0.001).begin(stream(7)), stream(7)
        for size in (1, 99_999, 7, 99_999):
            verdict, draw = judge.judge(size, 0.0), random.random()
            self.assertEqual(verdict.draw, None if verdict is DELIVER else draw)
