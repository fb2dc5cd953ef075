"""The SHA-256 of files that are nowhere."""

import hashlib
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import sums
from lab.echo.pattern import characters
from lab.echo.sums import PART, RUNS, STATES, STEP, Sum, Sums

#: Seed, offset, length, and how many characters at a time.
PARTS = st.tuples(
    st.integers(0, 2), st.sampled_from((0, 1, 5000)), st.integers(0, 3000), st.integers(1, 700)
)


def expected(seed: int, offset: int, length: int) -> str:
    """What it has to be."""
    return hashlib.sha256(characters(seed, offset, length)).hexdigest()


def known_until(known: Sums, seed: int, offset: int, length: int) -> int:
    """How many characters of a part need not be summed up."""
    return Sum(seed, offset, length, known)._summed


class AnyTests(SynchronousTestCase):
    """Whatever is asked for, and in which order."""

    def setUp(self) -> None:
        """States are a few characters apart, and few."""
        for name, value in (("STEP", 200), ("STATES", 6), ("RUNS", 2), ("PART", 4)):
            self.enterContext(patch.object(sums, name, value))

    @settings(deadline=None)
    @given(st.lists(PARTS, max_size=12))
    def test_any_order(self, parts: list[tuple[int, int, int, int]]) -> None:
        """Parts, one after the other: each sum is that of its characters."""
        known = Sums()
        for seed, offset, length, size in parts:
            total = Sum(seed, offset, length, known)
            for at in range(0, length, size):
                total.update(characters(seed, offset + at, min(size, length - at)))
            self.assertEqual(total.hexdigest(), expected(seed, offset, length))
            self.assertEqual(total.hexdigest(), expected(seed, offset, length))
            self.assertLessEqual(len(known), 2)

    @settings(deadline=None)
    @given(st.lists(PARTS, min_size=1, max_size=5), st.data())
    def test_at_the_same_time(
        self, parts: list[tuple[int, int, int, int]], data: st.DataObject
    ) -> None:
        """Parts that are summed up by turns, some of which are never finished."""
        known, given = Sums(), [0] * len(parts)
        totals = [Sum(seed, offset, length, known) for seed, offset, length, _ in parts]
        for turn in data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=40)):
            seed, offset, length, size = parts[turn]
            more = min(size, length - given[turn])
            totals[turn].update(characters(seed, offset + given[turn], more))
            given[turn] += more
            if given[turn] == length:
                self.assertEqual(totals[turn].hexdigest(), expected(seed, offset, length))


class KnownTests(SynchronousTestCase):
    """What need not be summed up again."""

    def setUp(self) -> None:
        """Nothing is known yet."""
        self.known = Sums()

    def take(self, seed: int, offset: int, length: int, *, end: bool = True) -> None:
        """Sum up a part, a piece at a time."""
        total = Sum(seed, offset, length, self.known)
        for at in range(0, length, 2**17):
            total.update(characters(seed, offset + at, min(2**17, length - at)))
        if end:
            self.assertEqual(total.hexdigest(), expected(seed, offset, length))

    def test_same(self) -> None:
        """All of it, if it is asked for again; others are others."""
        for part in ((7, 0, STEP), (7, 1, STEP), (8, 0, STEP + 1), (0, 0, 3 * STEP + 5)):
            self.assertEqual(known_until(self.known, *part), 0)
            self.take(*part)
            again = Sum(*part, self.known)
            # Nothing is summed up any more: what is handed over does not matter.
            again.update(bytes(part[2]))
            self.assertEqual(again.hexdigest(), expected(*part))

    def test_longer(self) -> None:
        """Of a longer one only what is beyond."""
        self.take(7, 3, 2 * STEP + 5)
        longer = Sum(7, 3, 2 * STEP + 20, self.known)
        # The state is in the middle of what is handed over.
        longer.update(bytes(2 * STEP) + characters(7, 3 + 2 * STEP, 10))
        longer.update(characters(7, 3 + 2 * STEP + 10, 10))
        self.assertEqual(longer.hexdigest(), expected(7, 3, 2 * STEP + 20))

    def test_shorter(self) -> None:
        """Of a shorter one what is behind the last state, also if the longer had no end."""
        self.take(7, 3, 5 * STEP + 5, end=False)
        for length in (STEP, STEP + 1, 3 * STEP - 1, 5 * STEP, 5 * STEP + 5):
            self.assertEqual(known_until(self.known, 7, 3, length), length // STEP * STEP)
            self.take(7, 3, length)
        self.assertEqual(known_until(self.known, 7, 3, 5 * STEP + 6), 5 * STEP + 5)

    def test_not_all(self) -> None:
        """It is not to be had before all was handed over, be it known or not."""
        whole = characters(7, 0, STEP)
        for _ in range(2):
            total = Sum(7, 0, STEP, self.known)
            total.update(whole[1:])
            self.assertRaises(AssertionError, total.hexdigest)
            total.update(whole[:1])
            total.hexdigest()

    def test_of_all(self) -> None:
        """Unless something else is said, all know of it."""
        for _ in range(2):
            total = Sum(7, 9, STEP)
            total.update(characters(7, 9, STEP))
            self.assertEqual(total.hexdigest(), expected(7, 9, STEP))
        self.assertEqual(Sum(7, 9, STEP)._summed, STEP)


class BoundTests(SynchronousTestCase):
    """What is kept."""

    def setUp(self) -> None:
        """Nothing is known yet."""
        self.known = Sums()

    def test_short(self) -> None:
        """Of short parts nothing, nor of those of which little was taken."""
        for length in (STEP - 1, 10 * STEP):
            part = Sum(7, 0, length, self.known)
            part.update(bytes(STEP - 1))
        Sum(0, 0, STEP, self.known)
        self.assertEqual((len(self.known), len(self.known.run((0, 0)).counts)), (0, 1))

    def test_states(self) -> None:
        """Not too many of one beginning, however much is taken, and nowhere far apart."""
        run, sha256 = self.known.run((0, 0)), hashlib.sha256()
        for count in range(0, 2**36, 2**17):
            run.note(count, sha256)
            if count == 123_456_789 // 2**17 * 2**17:
                self.assertLess(len(run.states), 76)
            if len(run.states) == STATES:
                break
        self.assertGreater(count, 2**34)
        self.assertEqual(len(run.counts), STATES)
        run.note(2**40, sha256)
        self.assertEqual(len(run.states), STATES)
        for one, other in zip(run.counts, run.counts[1:], strict=False):
            self.assertTrue(STEP <= other - one <= max(STEP, one // PART) + 2**17)

    def test_beginnings(self) -> None:
        """Not too many: that is forgotten which was asked for longest ago, but not the first."""
        sha256 = hashlib.sha256()
        self.known.run((0, 0)).note(STEP, sha256)
        for number in range(RUNS):
            self.known.run((number, 5)).note(STEP, sha256)
        self.assertEqual(self.known.within(0, 5, STEP)[0], STEP)
        for number in (-1, -2):
            self.known.run((number, 5)).note(STEP, sha256)
        self.assertEqual(len(self.known), RUNS)
        found = [self.known.within(number, 5, STEP)[0] for number in range(-2, RUNS)]
        self.assertEqual(found, [STEP, STEP, STEP, 0, 0, *[STEP] * (RUNS - 3)])
        self.assertEqual(self.known.within(0, 0, STEP)[0], STEP)
