"""The numbers of a sequence, and their checksum."""

import hashlib
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.sequence.values import LONGEST, Checksum, value

KEYS = st.binary(min_size=16, max_size=16)


def index_of(key: bytes, number: int) -> int:
    """The other way round: the rounds backwards."""
    left, right = number >> 16, number & 0xFFFF
    for round_ in reversed(range(4)):
        half = left.to_bytes(2) + bytes([round_])
        mixed = hashlib.blake2b(half, digest_size=2, key=key, person=b"lab sequence").digest()
        left, right = right ^ int.from_bytes(mixed), left
    return left << 16 | right


class ValueTests(SynchronousTestCase):
    """A permutation with a key."""

    @given(KEYS, st.integers(0, 2**32 - 1))
    def test_permutation(self, key: bytes, index: int) -> None:
        """Every index can be had back from its number: so no two have the same."""
        number = value(key, index)
        self.assertTrue(0 <= number < 2**32)
        self.assertEqual(index_of(key, number), index)

    def test_spread(self) -> None:
        """A whole sequence has no number twice, and they lie all over."""
        found = [value(bytes(16), index) for index in range(LONGEST)]
        self.assertEqual(len(set(found)), LONGEST)
        self.assertApproximates(sum(found) / LONGEST / 2**31, 1.0, 0.01)

    def test_keys(self) -> None:
        """Two keys give two sequences."""
        one, other = ([value(bytes([key]) * 16, n) for n in range(100)] for key in (1, 2))
        self.assertEqual(sum(a == b for a, b in zip(one, other, strict=True)), 0)


class ChecksumTests(SynchronousTestCase):
    """Over numbers, in their order."""

    @given(st.lists(st.integers(0, 2**32 - 1)))
    def test_as_over_bytes(self, numbers: list[int]) -> None:
        """It is that of the bytes of them all."""
        found = Checksum()
        for number in numbers:
            found.add(number)
        data = b"".join(struct.pack(">I", number) for number in numbers)
        expected = f"{zlib.crc32(data):08x}", hashlib.sha256(data).hexdigest()
        self.assertEqual((found.digest(), found.count), (expected, len(numbers)))

    def test_order(self) -> None:
        """Two numbers that are exchanged make another one."""
        one, other = Checksum(), Checksum()
        for a, b in ((1, 2), (2, 1)):
            one.add(a)
            other.add(b)
        self.assertNotEqual(one.digest(), other.digest())
