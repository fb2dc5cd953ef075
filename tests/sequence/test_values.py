"""The numbers of a sequence, and their checksum."""

import hashlib
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.sequence.values import LONGEST, Checksum, Values, value

KEYS = st.binary(min_size=16, max_size=16)


def index_of(key: bytes, number: int) -> int:
    """The other way round: the rounds backwards."""
    left, right = number >> 16, number & 0xFFFF
    for round_ in (2, 1, 0):
        # A hash of the first round is for 32 halves.
        half, word = (left, 0) if round_ else divmod(left, 32)
        data = half.to_bytes(2) + bytes([round_])
        mixed = hashlib.blake2b(data, digest_size=64, key=key, person=b"lab sequence").digest()
        left, right = right ^ int.from_bytes(mixed[2 * word : 2 * word + 2]), left
    return left << 16 | right


class ValueTests(SynchronousTestCase):
    """A permutation with a key."""

    @given(KEYS, st.integers(0, 2**32 - 1))
    def test_permutation(self, key: bytes, index: int) -> None:
        """Every index can be had back from its number: so no two have the same."""
        number = value(key, index)
        self.assertTrue(0 <= number < 2**32)
        self.assertEqual(index_of(key, number), index)

    @given(KEYS, st.integers(0, 2**32 - 100), st.integers(0, 99))
    def test_several(self, key: bytes, index: int, count: int) -> None:
        """Several at a time are those that come one at a time."""
        found = Values(key).values(index, count)
        self.assertEqual(found, [value(key, index + number) for number in range(count)])

    def test_spread(self) -> None:
        """A whole sequence has no number twice, and they lie all over."""
        found = Values(bytes(16)).values(0, LONGEST)
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
