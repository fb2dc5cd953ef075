"""A part of a file that comes in pieces."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import assembly
from lab.echo.assembly import DIGESTS, Assembly
from lab.echo.pattern import characters
from lab.echo.wire import Data, File

SEED = 3
WANTED = File(200, 20, seed=SEED)
TEXT = characters(SEED, 20, 180)
DIGEST = hashlib.sha256(TEXT).hexdigest()


def piece(start: int, stop: int) -> Data:
    """The characters between."""
    return Data(start, characters(SEED, start, stop - start))


class TakeTests(SynchronousTestCase):
    """Pieces."""

    @given(st.lists(st.tuples(st.integers(0, 210), st.integers(1, 90)), max_size=12))
    def test_any_pieces(self, parts: list[tuple[int, int]]) -> None:
        """Whatever pieces come: each character once, and what is missing is what did not come."""
        there, given_ = Assembly(WANTED), dict[int, int]()
        for start, size in parts:
            new = there.take(piece(start, start + size))
            for offset, data in new:
                fresh = dict(enumerate(data, offset))
                self.assertFalse(fresh.keys() & given_.keys())
                given_ |= fresh
        self.assertEqual(given_, {place: TEXT[place - 20] for place in given_})
        missing = set(range(20, 200)) - given_.keys()
        received = there.received(1.0, 2)
        self.assertEqual({place for gap in received.missing for place in range(*gap)}, missing)
        self.assertEqual((there.size, there.whole), (180 - len(missing), not missing))
        self.assertEqual(received.sha256, None if missing else DIGEST)
        self.assertEqual((received.seconds, received.requests), (1.0, 2))
        outside = sum(start < 20 or start + size > 200 for start, size in parts)
        self.assertEqual((there.damaged, received.damaged), (outside, outside))
        self.assertEqual(there.lacks(20, 200), bool(missing))
        covered = {place for gap in there.gaps() for place in range(*gap)}
        self.assertLessEqual(missing, covered)

    def test_damaged(self) -> None:
        """What the file has not there is not taken."""
        there = Assembly(WANTED)
        self.assertEqual(there.take(Data(20, TEXT[:9] + b"x")), [])
        self.assertEqual((there.size, there.damaged, there.duplicates), (0, 1, 0))

    def test_duplicates(self) -> None:
        """A piece that brings nothing new is one."""
        there = Assembly(WANTED)
        self.assertEqual(there.take(piece(20, 30)), [(20, TEXT[:10])])
        self.assertEqual(there.take(piece(22, 25)), [])
        self.assertEqual(there.take(piece(28, 32)), [(30, TEXT[10:12])])
        self.assertEqual((there.size, there.duplicates), (12, 1))

    def test_many_parts(self) -> None:
        """Only so many parts are known apart; those that belong to one of them go on."""
        self.patch(assembly, "PARTS", 3)
        there = Assembly(WANTED)
        for place in (30, 40, 50, 60):
            there.take(piece(place, place + 1))
        self.assertEqual((there.size, there.unread), (3, 1))
        for start, stop in ((31, 40), (60, 61), (100, 101)):
            there.take(piece(start, stop))
        self.assertEqual((there.size, there.unread), (13, 2))


class GapTests(SynchronousTestCase):
    """What is to be asked for."""

    def test_near(self) -> None:
        """Gaps with little between are one, and none is too long."""
        self.patch(assembly, "NEAR", 5)
        self.patch(assembly, "PART", 50)
        there = Assembly(WANTED)
        for start, stop in ((20, 40), (44, 50), (56, 60), (64, 70)):
            there.take(piece(start, stop))
        gaps = [(40, 44), (50, 64), (70, 120), (120, 170), (170, 200)]
        self.assertEqual(list(there.gaps()), gaps)

    def test_none(self) -> None:
        """When all is there, there is none."""
        there = Assembly(WANTED)
        there.take(piece(20, 200))
        self.assertEqual((list(there.gaps()), there.stop), ([], 200))


class DigestTests(SynchronousTestCase):
    """SHA-256."""

    def test_confirmed(self) -> None:
        """It is when all is there and the server has said the same, whatever else it said."""
        there = Assembly(WANTED)
        there.note("0" * 64)
        self.assertEqual((there.confirmed, there.contradicted), (False, False))
        there.take(piece(20, 200))
        self.assertEqual((there.confirmed, there.contradicted), (False, True))
        there.note(DIGEST)
        self.assertEqual((there.confirmed, there.contradicted), (True, False))
        self.assertTrue(there.received(0.0, 1).confirmed)

    def test_said_nothing(self) -> None:
        """Without a word of the server's it is neither."""
        there = Assembly(WANTED)
        there.take(piece(20, 200))
        self.assertEqual((there.confirmed, there.contradicted), (False, False))

    def test_bounded(self) -> None:
        """A server may say as many as it likes."""
        there = Assembly(WANTED)
        for number in range(100):
            there.note(f"{number:064x}")
        self.assertEqual(len(there._digests), DIGESTS)
