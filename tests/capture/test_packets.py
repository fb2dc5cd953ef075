"""Packets that are made up."""

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import ACK, FIN, PSH, RST, SYN, tcp, udp, unreachable
from lab.errors import LocalError

V4 = ("10.0.0.2", 49152), ("10.0.0.3", 80)
V6 = ("fe80::2", 49152), ("2001:db8::3", 80)
ENDS = st.sampled_from([V4, V6])


def total(data: bytes) -> int:
    """The sum of RFC 1071, word by word: 0xFFFF if the checksum in it is right."""
    found = 0
    for at in range(0, len(data), 2):
        found += int.from_bytes(data[at : at + 2].ljust(2, b"\0"))
        found = (found & 0xFFFF) + (found >> 16)
    return found


def opened(packet: bytes) -> tuple[str, str, int, bytes]:
    """Addresses, protocol and payload; what lies below is checked."""
    if packet[12:14] == b"\x08\x00":
        header = packet[14:34]
        assert total(header) == 0xFFFF
        assert struct.unpack_from("!H", header, 2)[0] == len(packet) - 14
        source, to, protocol, payload = header[12:16], header[16:20], header[9], packet[34:]
    else:
        assert packet[12:15] == b"\x86\xdd\x60"
        header = packet[14:54]
        assert struct.unpack_from("!H", header, 4)[0] == len(packet) - 54
        source, to, protocol, payload = header[8:24], header[24:40], header[6], packet[54:]
    assert packet[0:2] == packet[6:8] == b"\2\0"
    assert (packet[2:6], packet[8:12]) == (to[-4:], source[-4:])
    pseudo = source + to + struct.pack("!II", len(payload), protocol)
    assert total(payload if protocol == 1 else pseudo + payload) == 0xFFFF
    return str(ip_address(source)), str(ip_address(to)), protocol, payload


class PacketTests(SynchronousTestCase):
    """Headers, and checksums by the long way."""

    @given(ENDS, st.binary(max_size=200))
    def test_udp(self, ends: tuple[tuple[str, int], tuple[str, int]], data: bytes) -> None:
        """Ports, length, checksum, data."""
        source, to, protocol, payload = opened(udp(*ends, data))
        self.assertEqual((source, to, protocol), (ends[0][0], ends[1][0], 17))
        self.assertEqual(struct.unpack_from("!HHH", payload), (49152, 80, 8 + len(data)))
        self.assertEqual(payload[8:], data)

    def test_udp_whose_sum_is_0(self) -> None:
        """0 says that there is no checksum, so it is written the other way."""
        found = None
        for word in range(2**16):
            packet = udp(*V4, struct.pack("!H", word))
            if packet[40:42] == b"\xff\xff":
                found = packet
            self.assertNotEqual(packet[40:42], b"\0\0")
        assert found is not None
        opened(found)

    def test_groups(self) -> None:
        """The MAC address of a group follows from its address."""
        packet = udp(V4[0], ("239.129.2.3", 80), b"")
        self.assertEqual(packet[:12].hex(), "01005e010203" + "02000a000002")
        packet = udp(V6[0], ("ff02::fb", 80), b"")
        self.assertEqual(packet[:12].hex(), "3333000000fb" + "020000000002")

    def test_too_long(self) -> None:
        """No datagram has more than 65,507 bytes over IPv4, or 65,527 over IPv6."""
        udp(*V4, bytes(65507))
        error = self.assertRaises(LocalError, udp, *V4, bytes(65508))
        self.assertEqual(str(error), "datagram has 65,508 bytes; give at most 65,507")
        udp(*V6, bytes(65527))
        error = self.assertRaises(LocalError, udp, *V6, bytes(65528))
        self.assertEqual(str(error), "datagram has 65,528 bytes; give at most 65,527")

    @given(
        ENDS,
        st.integers(0, 31),
        st.tuples(st.integers(0, 2**33), st.integers(0, 2**33)),
        st.integers(0, 2**20),
        st.binary(max_size=200),
    )
    def test_tcp(
        self,
        ends: tuple[tuple[str, int], tuple[str, int]],
        flags: int,
        numbers: tuple[int, int],
        window: int,
        data: bytes,
    ) -> None:
        """All fields; numbers go round at 32 bits, windows are in eighths but for SYN's."""
        packet = tcp(*ends, flags, numbers=numbers, window=window, data=data)
        _, _, protocol, payload = opened(packet)
        fields = struct.unpack_from("!HHIIBBH", payload)
        length = 28 if flags & SYN else 20
        shown = min(65535, window if flags & SYN else window // 8)
        expected = (49152, 80, numbers[0] % 2**32, numbers[1] % 2**32, length * 4, flags, shown)
        self.assertEqual((protocol, fields), (6, expected))
        options = bytes([2, 4, 5, 180, 3, 3, 3, 0]) if flags & SYN else b""
        self.assertEqual(payload[18:], b"\0\0" + options + data)

    def test_flags(self) -> None:
        """The bits of RFC 9293."""
        self.assertEqual((FIN, SYN, RST, PSH, ACK), (1, 2, 4, 8, 16))

    def test_unreachable(self) -> None:
        """ICMP goes back, with the header and 8 bytes of what was sent."""
        sent = udp(*V4, b"hello, world")
        source, to, protocol, payload = opened(unreachable(sent))
        self.assertEqual((source, to, protocol), ("10.0.0.3", "10.0.0.2", 1))
        self.assertEqual((payload[:2], payload[8:]), (b"\3\3", sent[14:42]))

    def test_unreachable_v6(self) -> None:
        """ICMPv6 holds as much as fits into the smallest MTU."""
        sent = udp(*V6, bytes(3000))
        source, to, protocol, payload = opened(unreachable(sent))
        self.assertEqual((source, to, protocol), ("2001:db8::3", "fe80::2", 58))
        self.assertEqual((payload[:2], payload[8:]), (b"\1\4", sent[14:][:1232]))

    def test_no_address(self) -> None:
        """A name is no address."""
        error = self.assertRaises(LocalError, udp, ("client", 1), V4[1], b"")
        self.assertIn("'client' does not appear to be an IPv4 or IPv6 address", str(error))

    def test_two_families(self) -> None:
        """There is no such packet."""
        error = self.assertRaises(LocalError, udp, V4[0], V6[1], b"")
        self.assertIn("are of two families", str(error))
