"""Reads the blocks of a pcapng file, as the draft says, for tests."""

import struct
from collections.abc import Iterator

from attrs import frozen


@frozen
class Block:
    """A block: its type, what it begins with, its options or records."""

    kind: int
    body: bytes

    def options(self, fixed: int) -> list[tuple[int, bytes]]:
        """Its options, behind so many bytes."""
        found, at = [], fixed
        while at < len(self.body):
            number, size = struct.unpack_from("<HH", self.body, at)
            if not number:
                break
            found.append((number, self.body[at + 4 : at + 4 + size]))
            at += 4 + size + -size % 4
        return found


@frozen
class Packet:
    """A packet: its interface, time in ns, bytes, flags and comment."""

    side: int
    when: int
    data: bytes
    flags: int
    comment: str


def blocks(data: bytes) -> Iterator[Block]:
    """All blocks; a length that is not the same at both ends fails."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        yield Block(kind, data[at + 8 : at + length - 4])
        at += length


def packets(data: bytes) -> list[Packet]:
    """All packets of a file."""
    return [_packet(block) for block in blocks(data) if block.kind == 6]


def _packet(block: Block) -> Packet:
    """A block of type 6."""
    side, high, low, size, whole = struct.unpack_from("<IIIII", block.body)
    assert size == whole
    options = dict(block.options(20 + size + -size % 4))
    flags = int.from_bytes(options.get(2, b""), "little")
    return Packet(
        side, high << 32 | low, block.body[20 : 20 + size], flags, options.get(1, b"").decode()
    )
