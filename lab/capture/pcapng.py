r"""
Blocks of a pcapng file (draft-ietf-opsawg-pcapng). Knows no protocols.

A file is a section header, then interfaces, names and packets in any order, but each packet
behind its interface. All numbers are little-endian.
"""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

#: Ethernet, in the list of link types of tcpdump.org.
ETHERNET = 1
#: Bits of a packet's flags that say which way it went.
INBOUND, OUTBOUND = 1, 2
# The types of blocks.
_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
# The numbers of options. Each block but the common two counts its own from 2.
_COMMENT = 1
_HARDWARE, _APPLICATION = 2, 4
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9
_FLAGS = 2
# Of the records of a block of names.
_IPV4, _IPV6 = 1, 2
# What is longer does not fit an option's 16 bits of length; cut at whole characters.
_LONGEST = 65_000


def section(comment: str, *, hardware: str = "", application: str = "") -> bytes:
    """
    What a file begins with.

    Args:
        comment: What the file is about.
        hardware: What the packets were seen on.
        application: What has written it.
    """
    # A magic number, the version 1.0, and a length of the section that is not known.
    fixed = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    texts = [(_COMMENT, comment), (_HARDWARE, hardware), (_APPLICATION, application)]
    return _block(_SECTION, fixed, [(number, _text(text)) for number, text in texts if text])


def interface(name: str, description: str = "") -> bytes:
    """An interface, the next in number from 0; its packets are Ethernet, their times in ns."""
    options = [(_NAME, _text(name)), (_RESOLUTION, b"\x09")]
    if description:
        options.insert(1, (_DESCRIPTION, _text(description)))
    return _block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0), options)


def names(known: Iterable[tuple[str, str]]) -> bytes:
    """Which addresses have which names; a name that no C string can hold is passed over."""
    body = b""
    for address, name in known:
        if "\0" in name:
            continue
        packed = _address(address)
        kind = _IPV4 if len(packed) == 4 else _IPV6
        body += _entry(kind, packed + _text(name) + b"\0")
    return _block(_NAMES, body + _entry(0, b""), [])


def packet(side: int, when: int, data: bytes, *, flags: int = 0, comment: str = "") -> bytes:
    """
    A packet.

    Args:
        side: The number of its interface.
        when: In nanoseconds since 1970.
        data: Its bytes, from the Ethernet header on.
        flags: `INBOUND` or `OUTBOUND`, or 0 for neither.
        comment: What there is to say of it.
    """
    # Not by `_block`: of these there are very many.
    options = _entry(_COMMENT, _text(comment)) if comment else b""
    if flags:
        options += _FLAG_OPTIONS[flags]
    if options:
        options += _NO_MORE
    size = len(data)
    rest = bytes(-size % 4) + options
    length = 32 + size + len(rest)
    fixed = _FIXED.pack(_PACKET, length, side, when >> 32, when & 0xFFFFFFFF, size, size)
    return b"".join((fixed, data, rest, length.to_bytes(4, "little")))


def count(data: bytes) -> int:
    """How many whole blocks there are."""
    found = at = 0
    while at < len(data):
        at += struct.unpack_from("<I", data, at + 4)[0]
        found += 1
    return found


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    """A block: its length stands at both ends."""
    if options:
        body += b"".join(_entry(number, value) for number, value in options) + _entry(0, b"")
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _entry(number: int, value: bytes) -> bytes:
    """An option, or a record of names."""
    return struct.pack("<HH", number, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    """Filled up to whole 32 bits."""
    return data + bytes(-len(data) % 4)


# What packets begin with, and the options that they usually have.
_FIXED = struct.Struct("<IIIIIII")
_FLAG_OPTIONS = {flags: _entry(_FLAGS, struct.pack("<I", flags)) for flags in (INBOUND, OUTBOUND)}
_NO_MORE = _entry(0, b"")


def _text(text: str) -> bytes:
    """A text, cut where it is too long."""
    encoded = text.encode(errors="replace")
    return encoded[:_LONGEST].decode(errors="ignore").encode()


def _address(address: str) -> bytes:
    """An IP address in network order."""
    return (IPv6Address(address) if ":" in address else IPv4Address(address)).packed
