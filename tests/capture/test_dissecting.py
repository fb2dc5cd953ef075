"""Packets are taken apart."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.dissecting import KEPT, Segment, dissect
from lab.capture.packets import ACK, FIN, PSH, SYN, tcp, udp, unreachable

FOUR, OTHER = ("10.0.0.1", 1000), ("10.0.0.2", 80)
SIX, SIXTH = ("2001:db8::1", 1000), ("2001:db8::2", 80)
PAIRS = st.sampled_from([(FOUR, OTHER), (SIX, SIXTH)])
LINKS = [0, 1, 12, 101, 108, 113, 276, 99]


class DissectTests(SynchronousTestCase):
    """What is found in a packet."""

    @settings(max_examples=60, deadline=None)
    @given(PAIRS, st.integers(0, 31), st.integers(0, 2**33), st.binary(max_size=100))
    def test_tcp(
        self, pair: tuple[tuple[str, int], ...], flags: int, seq: int, data: bytes
    ) -> None:
        """All of a segment of TCP."""
        made = tcp(*pair, flags, numbers=(seq, 7), data=data)
        right = Segment("TCP", *pair, len(data), data[:KEPT], seq % 2**32, 7, flags)
        self.assertEqual(dissect(1, made), right)

    @settings(max_examples=30, deadline=None)
    @given(PAIRS, st.binary(max_size=100))
    def test_udp(self, pair: tuple[tuple[str, int], ...], data: bytes) -> None:
        """All of a datagram."""
        self.assertEqual(
            dissect(1, udp(*pair, data)), Segment("UDP", *pair, len(data), data[:KEPT])
        )

    def test_icmp(self) -> None:
        """ICMP has no ports."""
        for pair in ((FOUR, OTHER), (SIX, SIXTH)):
            found = dissect(1, unreachable(udp(*pair, b"x")))
            assert found is not None
            self.assertEqual(
                (found.protocol, found.source, found.to[1]), ("ICMP", (pair[1][0], 0), 0)
            )

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(LINKS), st.binary(max_size=90))
    def test_garbage(self, link: int, data: bytes) -> None:
        """No bytes raise anything."""
        dissect(link, data)

    @settings(max_examples=100, deadline=None)
    @given(PAIRS, st.data())
    def test_damaged(self, pair: tuple[tuple[str, int], ...], data: st.DataObject) -> None:
        """Neither does a packet that was cut, or has other bytes."""
        whole = bytearray(tcp(*pair, ACK, numbers=(1, 1), data=b"x"))
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        dissect(1, bytes(whole[: data.draw(st.integers(0, len(whole)))]))

    def test_links(self) -> None:
        """The same behind other headers; behind none that is known there is nothing."""
        ip = udp(FOUR, OTHER, b"hello")[14:]
        right = dissect(101, ip)
        self.assertEqual(right, Segment("UDP", FOUR, OTHER, 5, b"hello"))
        for link, size in ((0, 4), (113, 16), (276, 20)):
            self.assertEqual(dissect(link, bytes(size) + ip), right)
        vlan = bytes(12) + b"\x81\0\0\1\x08\0"
        self.assertEqual(dissect(1, vlan + ip), right)
        self.assertIsNone(dissect(99, ip))
        self.assertIsNone(dissect(1, bytes(12) + b"\x08\x06" + bytes(28)))
        self.assertIsNone(dissect(101, b"\x70" + ip[1:]))

    def test_kept_in_part(self) -> None:
        """Of a packet that was not kept whole the sizes are right."""
        made = tcp(FOUR, OTHER, PSH | ACK, numbers=(1, 1), data=b"x" * 1000)
        found = dissect(1, made[:60])
        assert found is not None
        self.assertEqual((found.size, found.data), (1000, b"xxxxxx"))

    def test_left_to_the_card(self) -> None:
        """A packet whose length was left to the network card is as long as it is."""
        made = bytearray(udp(FOUR, OTHER, b"hello"))
        made[16:18] = bytes(2)
        found = dissect(1, bytes(made))
        assert found is not None
        self.assertEqual(found.size, 5)

    def test_fragments(self) -> None:
        """The first fragment counts, the others are nothing; unknown protocols, too."""
        made = bytearray(udp(FOUR, OTHER, b"hello"))
        made[20:22] = b"\x20\0"
        self.assertIsNotNone(dissect(1, bytes(made)))
        made[20:22] = b"\0\1"
        self.assertIsNone(dissect(1, bytes(made)))
        made[20:22], made[23] = b"\0\0", 47
        self.assertIsNone(dissect(1, bytes(made)))

    def test_headers_between(self) -> None:
        """Headers of IPv6 between its own and that of UDP are passed over."""
        made = udp(SIX, SIXTH, b"hello")
        right = dissect(1, made)

        def with_header(kind: int, header: bytes) -> bytes:
            """The packet with one more header."""
            size = struct.unpack_from("!H", made, 18)[0] + len(header)
            return made[:18] + struct.pack("!HB", size, kind) + made[21:54] + header + made[54:]

        self.assertEqual(dissect(1, with_header(0, b"\x11\0" + bytes(6))), right)
        self.assertEqual(dissect(1, with_header(44, b"\x11\0\0\1" + bytes(4))), right)
        self.assertIsNone(dissect(1, with_header(44, b"\x11\0\0\x09" + bytes(4))))

    def test_words(self) -> None:
        """Flags in words; SYN and FIN take a number each."""
        found = Segment("TCP", FOUR, OTHER, 5, flags=SYN | ACK)
        self.assertEqual((found.flag_names, found.length), ("SYN, ACK", 6))
        self.assertEqual(Segment("TCP", FOUR, OTHER, 5, flags=FIN | SYN).length, 7)
