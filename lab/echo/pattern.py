"""
The characters of a file that is nowhere: a function of seed and offset alone.

Knows no protocol. Printable ASCII without space, in blocks of 4,096 characters. A block begins with
its number, 16 hexadecimal digits; the rest is a text that follows from the seed, rotated by the
number. So a character that is changed differs from the text, and a block that is missing or moved
shows it by its number.
"""

from collections.abc import Iterator
from functools import lru_cache

from lab.rng import stream

#: Characters of a block, its number included.
BLOCK = 4096
#: Characters that are made at a time, unless somebody says how many.
CHUNK = 65_536
# Characters of the text. It is prime, so that the rotation has all values.
_PERIOD = 4099
_REST = BLOCK - 16
# Any byte to one of the 94 printable characters; the first three come a little more often.
_PRINTABLE = bytes(33 + byte % 94 for byte in range(256))


def characters(seed: int, offset: int, length: int) -> bytes:
    """
    A part of a file.

    Args:
        seed: Which file.
        offset: Of the first character.
        length: How many; they are made in memory.

    >>> characters(0, 0, 26)
    b'0000000000000000lfn,HcZ:Y/'
    >>> characters(0, 10, 4) == characters(0, 0, 26)[10:14]
    True
    """
    text = _text(seed)
    first = offset // BLOCK
    parts: list[bytes | memoryview] = []
    for number in range(first, -(-(offset + length) // BLOCK)):
        turn = number % _PERIOD
        parts += (b"%016x" % number, text[turn : turn + _REST])
    start = offset - first * BLOCK
    whole = b"".join(parts)
    return whole if len(whole) == length else whole[start : start + length]


def chunks(seed: int, offset: int, length: int, size: int = CHUNK) -> Iterator[bytes]:
    """
    A part of a file, so many characters at a time.

    Args:
        seed: Which file.
        offset: Of the first character.
        length: How many there are in all.
        size: How many at a time; the last may be fewer.
    """
    for start in range(0, length, size):
        yield characters(seed, offset + start, min(size, length - start))


def first_difference(seed: int, offset: int, data: bytes) -> int | None:
    """
    Where data are not those of the file.

    Args:
        seed: Which file.
        offset: Where in the file the data should be.
        data: Any length.

    Returns:
        The offset in the file of the first byte that is another; None if there is none.

    >>> first_difference(0, 14, b"00lfN")
    18
    """
    at = 0
    for expected in chunks(seed, offset, len(data)):
        if not data.startswith(expected, at):
            return offset + at + _first(expected, data[at : at + len(expected)])
        at += len(expected)
    return None


def _first(one: bytes, other: bytes) -> int:
    """Where two that differ, and are as long, do so first, by halves."""
    low, high = 0, len(one)  # before low they are equal, before high they are not
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


@lru_cache(16)
def _text(seed: int) -> memoryview:
    """The text of a seed, twice, so that it can be cut anywhere."""
    text = stream(seed, "echo file").randbytes(_PERIOD).translate(_PRINTABLE)
    return memoryview(text + text)
