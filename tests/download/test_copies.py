"""The copies of pieces that are on their way."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.copies import Copies
from lab.download.landing import Landing


def make(piece: int) -> Landing:
    """A copy of ten bytes."""
    return Landing(piece, 10 * piece, 10, b"")


class CopiesTests(SynchronousTestCase):
    """Which of them are needed, and which may be put into the file."""

    def setUp(self) -> None:
        """None."""
        self.copies = Copies()

    def begin(self, piece: int = 0) -> Landing:
        """One more."""
        return self.copies.begin(piece, make)

    def test_direct(self) -> None:
        """The only one is, until another is whole; also if that is wrong."""
        one, two, other = self.begin(), self.begin(), self.begin(1)
        self.assertEqual([one.direct, two.direct, other.direct], [True, False, True])
        self.copies.check(two)
        self.assertEqual([one.direct, two.direct, other.direct], [False, False, True])
        self.assertTrue(self.copies.checked(two))
        self.assertFalse(one.direct)
        self.assertFalse(self.copies.checked(two))
        self.assertFalse(self.begin().direct)

    def test_again(self) -> None:
        """When it was wrong, and there is no other, the next one is."""
        one = self.begin()
        self.copies.check(one)
        self.assertTrue(one.direct)
        self.copies.checked(one)
        self.assertTrue(self.begin().direct)

    def test_partial(self) -> None:
        """Another source goes on where one was lost; of two, with the last."""
        one, two = self.begin(), self.begin()
        one.add(b"abc", "a")
        self.copies.keep(one)
        self.copies.keep(two)
        self.assertEqual((one.dropped, self.copies.wasted), (True, 3))
        self.assertIs(self.begin(), two)
        self.assertIsNot(self.begin(), two)

    def test_dropped(self) -> None:
        """What came of those that nobody needs is wasted, once."""
        one, two, other = self.begin(), self.begin(), self.begin(1)
        for landing in (one, two, other):
            landing.add(b"abc", "a")
        self.copies.keep(two)
        self.copies.drop_all(0)
        self.copies.drop(one)
        self.assertEqual((one.dropped, two.dropped, other.dropped), (True, True, False))
        self.assertEqual(self.copies.wasted, 6)
        self.copies.clear()
        self.assertEqual((other.dropped, self.copies.wasted), (True, 9))
        self.assertIsNot(self.begin(), two)

    @given(st.lists(st.tuples(st.sampled_from("bkcxd"), st.integers(0, 5)), max_size=40))
    def test_never_two(self, steps: list[Any]) -> None:
        """Of a piece, never two copies are direct, and none while another is checked."""
        copies = Copies()
        alive: list[Landing] = []
        checking: list[Landing] = []
        for step, number in steps:
            one = alive[number % len(alive)] if alive else None
            if step == "b" or one is None:
                made = copies.begin(0, make)
                alive += [made] if made not in alive else []
            elif step == "k" and one not in checking:
                copies.keep(one)
            elif step == "c" and one not in checking:
                copies.check(one)
                checking.append(one)
            elif step == "x" and one in checking:
                copies.checked(one)
                alive.remove(one)
                checking.remove(one)
            elif step == "d":
                copies.drop_all(0)
            alive = [landing for landing in alive if not landing.dropped]
            checking = [landing for landing in checking if not landing.dropped]
            direct = [landing for landing in alive if landing.direct]
            self.assertLessEqual(len(direct), 1)
            if checking and direct:
                self.assertIn(direct[0], checking)
