"""
The numbers of a sequence, and the checksum over them. Knows no protocol.

**What it must do.** Give the number at any index at once, without those before it; all numbers of a
sequence differ, and those of two sequences have nothing to do with each other.

**How it does it.** The index is encrypted: a keyed permutation of the integers of 32 bits. It is a
Feistel network with four rounds (Luby and Rackoff, "How to construct pseudorandom permutations",
1988), whose round function is keyed BLAKE2b (RFC 7693).
"""

import hashlib
import struct
import zlib
from typing import Any

from attrs import define, field

#: Most numbers of a sequence.
LONGEST = 65535
_ROUNDS = 0, 1, 2, 3
_block = struct.Struct(">HB").pack
_word = struct.Struct(">I").pack
# The same key proves who somebody is: what is made of it here is made for nothing else.
_PURPOSE = b"lab sequence"


def value(key: bytes, index: int) -> int:
    """
    The number at an index, 0 to 2**32 - 1.

    Args:
        key: Of the sequence, up to 64 bytes.
        index: 0 to 2**32 - 1; another index gives another number.

    >>> [value(bytes(16), index) for index in range(3)]
    [993498128, 3230368384, 861534375]
    """
    return Values(key).value(index)


class Values:
    """
    The numbers of one sequence; for many of them it is faster than `value`.

    Args:
        key: Of the sequence, up to 64 bytes.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        # A copy need not take in the key again.
        self._keyed = hashlib.blake2b(digest_size=2, key=key, person=_PURPOSE).copy

    def value(self, index: int) -> int:
        """The number at an index, as `value` gives it."""
        left, right, keyed = index >> 16, index & 0xFFFF, self._keyed
        for number in _ROUNDS:
            mixed = keyed()
            mixed.update(_block(right, number))
            left, right = right, left ^ int.from_bytes(mixed.digest())
        return left << 16 | right


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

    def add(self, number: int) -> None:
        """Go on with one more."""
        data = _word(number)
        self._crc = zlib.crc32(data, self._crc)
        self._sha.update(data)
        self.count += 1

    def digest(self) -> tuple[str, str]:
        """CRC-32 (8 hexadecimal digits) and SHA-256 (64) over all so far."""
        return f"{self._crc:08x}", self._sha.hexdigest()
