"""Blocks of a pcapng file."""

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.pcapng import INBOUND, OUTBOUND, count, interface, names, packet, section
from tests.capture.blocks import blocks, packets

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


class BlockTests(SynchronousTestCase):
    """What is written is read again."""

    def test_section(self) -> None:
        """The magic number, the version, and the texts that there are."""
        (block,) = blocks(section("a run", hardware="simulated", application="txlab"))
        self.assertEqual(block.kind, 0x0A0D0D0A)
        self.assertEqual(struct.unpack_from("<IHHq", block.body), (0x1A2B3C4D, 1, 0, -1))
        expected = [(1, b"a run"), (2, b"simulated"), (4, b"txlab")]
        self.assertEqual(block.options(16), expected)

    def test_section_without_texts(self) -> None:
        """An empty text is none."""
        (block,) = blocks(section(""))
        self.assertEqual(block.options(16), [])

    def test_interface(self) -> None:
        """Ethernet, of any length, in nanoseconds."""
        (block,) = blocks(interface("a-to-b", "the side of a"))
        self.assertEqual((block.kind, block.body[:8]), (1, struct.pack("<HHI", 1, 0, 0)))
        self.assertEqual(block.options(8), [(2, b"a-to-b"), (3, b"the side of a"), (9, b"\x09")])

    def test_interface_without_description(self) -> None:
        """A name is enough."""
        (block,) = blocks(interface("lo"))
        self.assertEqual(block.options(8), [(2, b"lo"), (9, b"\x09")])

    def test_names(self) -> None:
        """Both families; a name with a zero byte would not end where it ends."""
        known = [("10.0.0.2", "client"), ("10.0.0.3", "bad\0name"), ("fe80::1", "server")]
        (block,) = blocks(names(known))
        self.assertEqual(block.kind, 4)
        expected = [
            (1, ip_address("10.0.0.2").packed + b"client\0"),
            (2, ip_address("fe80::1").packed + b"server\0"),
        ]
        self.assertEqual(block.options(0), expected)

    @given(
        side=st.integers(0, 2**32 - 1),
        when=st.integers(0, 2**64 - 1),
        data=st.binary(max_size=100),
        flags=st.sampled_from([0, INBOUND, OUTBOUND]),
        comment=TEXTS,
    )
    def test_packet(self, side: int, when: int, data: bytes, flags: int, comment: str) -> None:
        """All of it comes back."""
        (found,) = packets(packet(side, when, data, flags=flags, comment=comment))
        self.assertEqual(
            (found.side, found.when, found.data, found.flags, found.comment),
            (side, when, data, flags, comment),
        )

    def test_long_text(self) -> None:
        """A comment that is too long is cut, at a whole character."""
        (found,) = packets(packet(0, 0, b"", comment="\u20ac" * 30_000))
        self.assertEqual(found.comment, "\u20ac" * 21_666)

    def test_text_that_is_none(self) -> None:
        """A surrogate can't be written; it is replaced."""
        (found,) = packets(packet(0, 0, b"", comment="\ud800!"))
        self.assertEqual(found.comment, "?!")

    @given(st.lists(st.binary(max_size=50), max_size=5))
    def test_count(self, several: list[bytes]) -> None:
        """Whole blocks are counted."""
        data = b"".join(packet(0, 0, one, comment="it") for one in several)
        self.assertEqual(count(data), len(several))
