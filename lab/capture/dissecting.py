"""
What is in a packet: addresses, TCP's numbers and flags, how much it carries.

Ethernet (with VLAN), Linux cooked, loopback and plain IP below; TCP, UDP and ICMP above. Others,
and all fragments but the first, are nothing. No bytes raise anything.
"""

import struct
from ipaddress import ip_address

from attrs import frozen

from lab.capture.packets import ACK, FIN, PSH, RST, SYN, Address

#: How much of what a packet carries is kept.
KEPT = 64
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_NAMES = {_TCP: "TCP", _UDP: "UDP", _ICMP: "ICMP", _ICMPV6: "ICMP"}
#: Flags as they are written.
_FLAGS = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"))
_TYPES = {0x0800, 0x86DD}
_VLAN = {0x8100, 0x88A8}
# Headers of IPv6 that have the next one's number, and their length, at their begin.
_MORE = {0, 43, 60}
_FRAGMENT = 44


@frozen
class Segment:
    """
    What a packet says.

    Args:
        protocol: TCP, UDP or ICMP.
        source: Who sent it; the port is 0 in ICMP.
        to: Who shall have it.
        size: How many bytes it carries.
        data: The first of these, if they were kept.
        seq: The number of the first of these, in TCP.
        ack: The number of the byte that is expected next, in TCP.
        flags: Of TCP, added up.
        id: Of two packets of one content, those with another id are not one packet twice.
    """

    protocol: str
    source: Address
    to: Address
    size: int
    data: bytes = b""
    seq: int = 0
    ack: int = 0
    flags: int = 0
    id: int = 0

    @property
    def flag_names(self) -> str:
        """The flags, in words."""
        return ", ".join(name for flag, name in _FLAGS if self.flags & flag)

    @property
    def length(self) -> int:
        """How many numbers it takes: SYN and FIN count 1 each."""
        return self.size + bool(self.flags & SYN) + bool(self.flags & FIN)


def dissect(link: int, data: bytes) -> Segment | None:
    """
    Take a packet apart.

    Args:
        link: The link type of tcpdump.org.
        data: Its bytes, or the first of them.

    Returns:
        None for what is not known.
    """
    at = _behind_link(link, data)
    if at is None:
        return None
    try:
        version = data[at] >> 4
        if version == 4:
            return _ipv4(data[at:])
        return _ipv6(data[at:]) if version == 6 else None
    except (IndexError, struct.error, ValueError):
        return None


def _behind_link(link: int, data: bytes) -> int | None:
    """Where the IP header begins."""
    if link == 1:
        return _behind_ethernet(data)
    # Loopback of BSD, plain IP (three numbers of it), Linux cooked in both versions.
    return {0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0, 113: 16, 276: 20}.get(link)


def _behind_ethernet(data: bytes) -> int | None:
    """Behind the Ethernet header, and those of VLANs."""
    at = 12
    while (kind := int.from_bytes(data[at : at + 2])) in _VLAN:
        at += 4
    return at + 2 if kind in _TYPES else None


def _ipv4(data: bytes) -> Segment | None:
    """What is in IPv4; with segmentation left to the card, the length may be 0."""
    header = (data[0] & 15) * 4
    whole, identity, fragment = struct.unpack_from("!HHH", data, 2)
    if fragment & 0x1FFF:
        return None
    ends = str(ip_address(data[12:16])), str(ip_address(data[16:20]))
    return _transport(
        data[9], ends, data[header : whole or None], (whole or len(data)) - header, identity
    )


def _ipv6(data: bytes) -> Segment | None:
    """What is in IPv6, behind headers that lie between."""
    size, kind, at = struct.unpack_from("!H", data, 4)[0] or len(data) - 40, data[6], 40
    while kind in _MORE or kind == _FRAGMENT:
        if kind == _FRAGMENT and struct.unpack_from("!H", data, at + 2)[0] >> 3:
            return None
        kind, at = data[at], at + (8 if kind == _FRAGMENT else 8 + 8 * data[at + 1])
    ends = str(ip_address(data[8:24])), str(ip_address(data[24:40]))
    return _transport(kind, ends, data[at : 40 + size], 40 + size - at, 0)


def _transport(
    kind: int, ends: tuple[str, str], data: bytes, size: int, identity: int
) -> Segment | None:
    """What is in TCP, UDP or ICMP."""
    name = _NAMES.get(kind)
    if name is None:
        return None
    if name == "ICMP":
        source, to = (ends[0], 0), (ends[1], 0)
        return Segment(name, source, to, max(0, size - 8), data[8 : 8 + KEPT], id=identity)
    ports = struct.unpack_from("!HH", data)
    source, to = (ends[0], ports[0]), (ends[1], ports[1])
    if name == "UDP":
        return Segment(name, source, to, max(0, size - 8), data[8 : 8 + KEPT], id=identity)
    seq, ack, offset, flags = struct.unpack_from("!IIBB", data, 4)
    header = (offset >> 4) * 4
    return Segment(
        name, source, to, max(0, size - header), data[header : header + KEPT], seq, ack, flags & 31
    )
