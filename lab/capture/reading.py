"""
Reads pcapng files (draft-ietf-opsawg-pcapng), those of others, too. Knows no protocols.

What is not known is passed over; a file that ends within a block, as one does that is still being
written, has the blocks before it. Memory is that of one block.
"""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import IO

from attrs import Factory, define, frozen

from lab.errors import LocalError

#: Most bytes of a block.
LONGEST = 2**24
_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_MAGIC = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_COMMENT, _FLAGS, _RESOLUTION, _OFFSET = 1, 2, 9, 14


@frozen
class Packet:
    """
    A packet, as a file has it.

    Args:
        at: When, in nanoseconds since 1970.
        side: The number of its interface in the file, from 0.
        link: What its bytes begin with, a link type of tcpdump.org.
        data: Its bytes, or as many of them as were kept.
        inbound: Whether it came in there, or went out; None if that is not known.
        comment: What was said of it.
    """

    at: int
    side: int
    link: int
    data: bytes
    inbound: bool | None = None
    comment: str = ""


@frozen
class Name:
    """The name of an address."""

    address: str
    name: str


@frozen
class _Interface:
    """What is to be known of an interface to read its packets."""

    link: int
    ticks: int = 10**6  # a second
    offset: int = 0


@define
class _Reader:
    """Reads the blocks of a file, one after the other."""

    order: str = "<"
    sides: int = 0  # of the sections before
    interfaces: list[_Interface] = Factory(list)

    def block(self, kind: int, body: bytes) -> Iterator[Packet | Name]:
        """What there is in a block."""
        if kind == _INTERFACE:
            link = struct.unpack_from(f"{self.order}H", body)[0]
            options = self._options(body[8:])
            ticks = _ticks(options.get(_RESOLUTION, b"\6")[0])
            offset = options.get(_OFFSET, bytes(8))
            seconds = struct.unpack(f"{self.order}q", offset)[0]
            self.interfaces.append(_Interface(link, ticks, seconds))
        elif kind == _PACKET:
            yield self._packet(body)
        elif kind == _NAMES:
            yield from self._names(body)

    def _packet(self, body: bytes) -> Packet:
        """A packet."""
        side, high, low, kept, _ = struct.unpack_from(f"{self.order}IIIII", body)
        interface = self.interfaces[side]
        options = self._options(body[20 + kept + -kept % 4 :])
        flags = struct.unpack(f"{self.order}I", options.get(_FLAGS, bytes(4)))[0] & 3
        return Packet(
            (high << 32 | low) * 10**9 // interface.ticks + interface.offset * 10**9,
            self.sides + side,
            interface.link,
            body[20 : 20 + kept],
            {1: True, 2: False}.get(flags),
            options.get(_COMMENT, b"").decode(errors="replace"),
        )

    def _names(self, body: bytes) -> Iterator[Name]:
        """The names of addresses."""
        for kind, value in self._records(body):
            if kind in {1, 2}:
                size = 4 if kind == 1 else 16
                name = value[size:].partition(b"\0")[0].decode(errors="replace")
                yield Name(str(ip_address(value[:size])), name)

    def _options(self, body: bytes) -> dict[int, bytes]:
        """Options by their numbers; of several with one number the first."""
        found: dict[int, bytes] = {}
        for number, value in self._records(body):
            found.setdefault(number, value)
        return found

    def _records(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Options or records, to the one that ends them."""
        at = 0
        while at + 4 <= len(body):
            number, size = struct.unpack_from(f"{self.order}HH", body, at)
            if not number:
                return
            yield number, body[at + 4 : at + 4 + size]
            at += 4 + size + -size % 4

    def begin(self, magic: bytes) -> None:
        """A section begins: its order of bytes, and interfaces of its own."""
        self.order = _MAGIC[magic]
        self.sides += len(self.interfaces)
        self.interfaces = []


def read(file: IO[bytes]) -> Iterator[Packet | Name]:
    """
    Read a file.

    Args:
        file: Open, at its begin.

    Raises:
        LocalError: It is none of pcapng, or a block can't be one.
    """
    reader, number = _Reader(), 0
    while len(head := file.read(8)) == 8:
        number += 1
        try:
            kind = struct.unpack(f"{reader.order}I", head[:4])[0]
            magic = b""
            if kind == _SECTION:
                magic = file.read(4)
                if len(magic) < 4:
                    return
                reader.begin(magic)
            size = struct.unpack(f"{reader.order}I", head[4:])[0] - 12
            if not len(magic) <= size <= LONGEST or size % 4 or (number == 1 and not magic):
                raise ValueError(size)  # noqa: TRY301 - as what else is wrong
            body = file.read(size - len(magic))
            if len(body) + len(magic) < size or len(file.read(4)) < 4:
                return
            yield from reader.block(kind, body)
        except (IndexError, KeyError, ValueError, struct.error) as error:
            if number == 1:
                raise LocalError("it is no pcapng file") from error
            raise LocalError(f"block {number} is none of pcapng") from error


def _ticks(resolution: int) -> int:
    """How many there are in a second."""
    return int(2 ** (resolution & 127) if resolution & 128 else 10**resolution)
