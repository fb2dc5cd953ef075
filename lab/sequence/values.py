"""
The numbers of a sequence, and the checksum over them. Knows no protocol.

**What it must do.** Give the number at any index at once, without those before it; all numbers of a
sequence differ, and those of two sequences have nothing to do with each other.

**How it does it.** The index is encrypted: a keyed permutation of the integers of 32 bits. It is a
Feistel network whose round functions are keyed BLAKE2b (RFC 7693). It has three rounds, which are
enough where nobody can ask for the index of a number (Luby and Rackoff, "How to construct
pseudorandom permutations", 1988). What goes into the first of them is the index itself: a hash has
room for the words of 32 indices that follow each other.
"""

import hashlib
import struct
import zlib
from typing import Any

from attrs import define, field

#: Most numbers of a sequence.
LONGEST = 65535
_input = struct.Struct(">HB").pack
_words = struct.Struct(">32H").unpack
_word = int.from_bytes
# The same key proves who somebody is: what is made of it here is made for nothing else.
_PURPOSE = b"lab sequence"


def value(key: bytes, index: int) -> int:
    """
    The number at an index, 0 to 2**32 - 1.

    Args:
        key: Of the sequence, up to 64 bytes.
        index: 0 to 2**32 - 1; another index gives another number.

    >>> [value(bytes(16), index) for index in range(3)]
    [2827844077, 3787870548, 3809897515]
    """
    return Values(key).values(index, 1)[0]


class Values:
    """
    The numbers of one sequence; for many of them it is faster than `value`.

    Args:
        key: Of the sequence, up to 64 bytes.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        # A copy need not take in the key again.
        self._keyed = hashlib.blake2b(digest_size=64, key=key, person=_PURPOSE).copy

    def values(self, index: int, count: int) -> list[int]:
        """So many numbers, the first at this index, as `value` gives them."""
        keyed, found = self._keyed, []
        several, words = -1, ()
        for at in range(index, index + count):
            left, right = at >> 16, at & 0xFFFF
            if right >> 5 != several:
                several = right >> 5
                first = keyed()
                first.update(_input(several, 0))
                words = _words(first.digest())
            left, right = right, left ^ words[right & 31]
            second = keyed()
            second.update(_input(right, 1))
            left, right = right, left ^ _word(second.digest()[:2])
            third = keyed()
            third.update(_input(right, 2))
            left, right = right, left ^ _word(third.digest()[:2])
            found.append(left << 16 | right)
        return found


@define(eq=False)
class Checksum:
    """
    The checksum over numbers as big-endian integers of 32 bits, in their order.

    Attributes:
        count: How many numbers it is over.
    """

    count: int = field(init=False, default=0)
    _crc: int = field(init=False, default=0)
    _sha: Any = field(init=False, factory=hashlib.sha256)

    def add(self, *numbers: int) -> None:
        """Go on with these."""
        data = struct.pack(f">{len(numbers)}I", *numbers)
        self._crc = zlib.crc32(data, self._crc)
        self._sha.update(data)
        self.count += len(numbers)

    def digest(self) -> tuple[str, str]:
        """CRC-32 (8 hexadecimal digits) and SHA-256 (64) over all so far."""
        return f"{self._crc:08x}", self._sha.hexdigest()
