"""Files that are nowhere."""

import random
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.pattern import BLOCK, characters, chunks, first_difference

SEEDS = st.integers(0, 2**63 - 1)
OFFSETS = st.integers(0, 3 * BLOCK) | st.integers(0, 10**15)
LENGTHS = st.integers(0, 3 * BLOCK)
PRINTABLE = set(string.printable.encode()) - set(string.whitespace.encode())


class CharactersTests(SynchronousTestCase):
    """What a file consists of."""

    @settings(deadline=None)
    @given(SEEDS, OFFSETS, LENGTHS, LENGTHS)
    @example(0, 0, 0, BLOCK)
    @example(0, 0, BLOCK, BLOCK)
    def test_function_of_the_offset(self, seed: int, offset: int, one: int, two: int) -> None:
        """Parts are the same whether they were made together or each alone."""
        whole = characters(seed, offset, one + two)
        self.assertEqual(len(whole), one + two)
        parts = characters(seed, offset, one), characters(seed, offset + one, two)
        self.assertEqual(b"".join(parts), whole)

    def test_printable(self) -> None:
        """All are printable ASCII without space, and all of those come up."""
        self.assertEqual(set(characters(7, 0, 100_000)), PRINTABLE)

    def test_blocks(self) -> None:
        """A block begins with its number, and then has the text, rotated by its number."""
        text = characters(7, 16, BLOCK - 16)
        for number in (0, 1, 255, 2000, 4099, 4100):
            block = characters(7, number * BLOCK, BLOCK)
            self.assertEqual(block[:16], b"%016x" % number)
            turn = number % 4099
            self.assertEqual(block[16 : 16 + 3000 - turn], text[turn:3000])

    def test_made_as_described(self) -> None:
        """The reference says how the text follows from the seed."""
        drawn = random.Random("7:echo file").randbytes(4099)
        text = bytes(33 + byte % 94 for byte in drawn)
        self.assertEqual(characters(7, 16, BLOCK - 16), text[: BLOCK - 16])

    def test_no_two_blocks(self) -> None:
        """No block is another, not even without its number, and none of another seed."""
        blocks = [characters(seed, n * BLOCK, BLOCK)[16:] for seed in (0, 1) for n in range(500)]
        self.assertEqual(len(set(blocks)), 1000)

    @given(OFFSETS, LENGTHS, st.integers(1, 2 * BLOCK))
    @settings(deadline=None)
    def test_chunks(self, offset: int, length: int, size: int) -> None:
        """Chunks are of the size that was asked for, but for the last, and make up the part."""
        made = list(chunks(3, offset, length, size))
        self.assertEqual(b"".join(made), characters(3, offset, length))
        self.assertEqual({len(chunk) for chunk in made[:-1]} - {size}, set())
        self.assertTrue(all(made))

    def test_chunks_unless_said(self) -> None:
        """A default size makes the same."""
        self.assertEqual(b"".join(chunks(3, 5, 200_000)), characters(3, 5, 200_000))


class DifferenceTests(SynchronousTestCase):
    """What is not the file is found."""

    @settings(deadline=None)
    @given(SEEDS, OFFSETS, st.integers(1, 100_000), st.data())
    def test_changed(self, seed: int, offset: int, length: int, data: st.DataObject) -> None:
        """A byte that is changed is found where it is; without it there is nothing."""
        part = bytearray(characters(seed, offset, length))
        self.assertIsNone(first_difference(seed, offset, bytes(part)))
        place = data.draw(st.integers(0, length - 1))
        part[place] ^= data.draw(st.integers(1, 255))
        self.assertEqual(first_difference(seed, offset, bytes(part)), offset + place)

    @settings(deadline=None)
    @given(st.integers(0, 10**6), st.integers(1, 10_000))
    def test_missing(self, offset: int, missing: int) -> None:
        """Where bytes are missing, what follows is not the file."""
        part = characters(0, offset + missing, BLOCK)
        self.assertIsNotNone(first_difference(0, offset, part))

    def test_nothing(self) -> None:
        """Nothing is right everywhere."""
        self.assertIsNone(first_difference(0, 5, b""))
