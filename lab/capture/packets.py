r"""
Packets made up around what was sent: Ethernet, IP, UDP, TCP and ICMP headers.

Knows neither files nor connections. Checksums are right (RFC 1071). An address is a pair of IP
address and port; both of a packet are of one family.
"""

import struct
from functools import lru_cache
from ipaddress import ip_address

from lab.errors import LocalError

Address = tuple[str, int]

#: Flags of TCP (RFC 9293, section 3.1).
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
#: Largest segment over Ethernet, in bytes.
MSS = 1460
#: Most bytes of an IP packet behind its Ethernet header.
LARGEST = 65535
# The scale of windows (RFC 7323); each packet but SYN gives its window in these.
_SCALE = 3
# Options of SYN: the largest segment, the scale of windows, one byte to fill up.
_SYN_OPTIONS = struct.pack("!BBHBBBB", 2, 4, MSS, 3, 3, _SCALE, 0)
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_HOPS = 64


def udp(source: Address, to: Address, data: bytes) -> bytes:
    """
    A UDP datagram (RFC 768).

    Raises:
        LocalError: The addresses are none, or of two families, or there is too much data.
    """
    size = 8 + len(data)
    ends = _ends(source[0], to[0])
    if size > ends.room:
        raise LocalError(f"datagram has {len(data):,} bytes; give at most {ends.room - 8:,}")
    header = struct.pack("!HHH", source[1], to[1], size)
    found = _checksum(ends.pseudo(_UDP, size) + header + b"\0\0" + data)
    # 0 would say that there is none.
    return ends.packet(_UDP, header + struct.pack("!H", found or 0xFFFF) + data)


def tcp(
    source: Address,
    to: Address,
    flags: int,
    *,
    numbers: tuple[int, int],
    window: int = 65535,
    data: bytes = b"",
) -> bytes:
    """
    A TCP segment (RFC 9293); one with `SYN` has options for its largest segment and windows.

    Args:
        source: Who sends.
        to: Who receives.
        flags: `SYN`, `ACK` and so on, added up.
        numbers: Of its first byte, and of the byte that is expected next: the sequence and the
            acknowledgement number, counted on beyond 32 bits.
        window: How many bytes more may come, of which a header says whole eighths.
        data: At most 65,000 bytes.

    Raises:
        LocalError: The addresses are none, or of two families.
    """
    options = _SYN_OPTIONS if flags & SYN else b""
    shown = min(0xFFFF, window if flags & SYN else window >> _SCALE)
    length = 20 + len(options)
    seq, ack = numbers[0] & 0xFFFFFFFF, numbers[1] & 0xFFFFFFFF
    before = struct.pack("!HHIIBBH", source[1], to[1], seq, ack, length << 2, flags, shown)
    rest = struct.pack("!H", 0) + options + data  # no urgent data
    ends = _ends(source[0], to[0])
    found = _checksum(ends.pseudo(_TCP, length + len(data)) + before + b"\0\0" + rest)
    return ends.packet(_TCP, before + struct.pack("!H", found) + rest)


def unreachable(packet: bytes) -> bytes:
    """
    ICMP's answer that nobody listens at a port (RFC 792, RFC 4443), to whoever sent there.

    Args:
        packet: What was sent, as `udp` made it.
    """
    inner = packet[14:]
    version = inner[0] >> 4
    source, to = (inner[12:16], inner[16:20]) if version == 4 else (inner[8:24], inner[24:40])
    ends = _ends(str(ip_address(to)), str(ip_address(source)))
    if version == 4:
        body = bytes(4) + inner[:28]
        return ends.packet(_ICMP, b"\3\3" + struct.pack("!H", _checksum(b"\3\3" + body)) + body)
    body = bytes(4) + inner[: 1280 - 48]
    found = _checksum(ends.pseudo(_ICMPV6, 4 + len(body)) + b"\1\4" + body)
    return ends.packet(_ICMPV6, b"\1\4" + struct.pack("!H", found) + body)


class _Ends:
    """The headers below TCP and UDP, for one pair of hosts."""

    def __init__(self, source: str, to: str) -> None:
        try:
            here, there = ip_address(source), ip_address(to)
        except ValueError as error:
            raise LocalError(f"{error}; give IP addresses") from None
        if here.version != there.version:
            raise LocalError(f"{source} and {to} are of two families; give addresses of one")
        self._version = here.version
        #: Bytes that fit a packet behind its IP header; of IPv6 the length does not count that.
        self.room = LARGEST - 20 if here.version == 4 else LARGEST
        self._addresses = here.packed + there.packed
        kind = b"\x08\x00" if here.version == 4 else b"\x86\xdd"
        self._ethernet = _mac(there.packed) + _mac(here.packed) + kind

    def pseudo(self, protocol: int, size: int) -> bytes:
        """What a checksum counts besides the packet (RFC 9293, RFC 8200)."""
        return self._addresses + struct.pack("!II", size, protocol)

    def packet(self, protocol: int, payload: bytes) -> bytes:
        """All of a packet."""
        if self._version == 6:
            size = struct.pack("!IHBB", 6 << 28, len(payload), protocol, _HOPS)
            return self._ethernet + size + self._addresses + payload
        before = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0x4000, _HOPS, protocol)
        found = struct.pack("!H", _checksum(before + self._addresses))
        return self._ethernet + before + found + self._addresses + payload


def _mac(packed: bytes) -> bytes:
    """A MAC address: of a group as RFC 1112 and RFC 2464 say, or else a local one."""
    if len(packed) == 4 and packed[0] >> 4 == 14:
        return b"\x01\0\x5e" + bytes([packed[1] & 127]) + packed[2:]
    if len(packed) == 16 and packed[0] == 255:
        return b"33" + packed[-4:]
    return b"\2\0" + packed[-4:]


_ends = lru_cache(1024)(_Ends)


def _checksum(data: bytes) -> int:
    """
    The Internet checksum.

    A sum of 16-bit words with the carry brought round is the remainder by 65,535: one division
    of a long number is much faster than a loop.
    """
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - (int.from_bytes(data) % 0xFFFF or 0xFFFF)
