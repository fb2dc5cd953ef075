"""The addresses of both ends, real ones and made-up ones."""

from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.ends import NAMED, OURS, THEIRS, address, in_words, pair
from lab.capture.packets import udp
from lab.capture.recorder import Capture
from tests.capture.blocks import blocks


@frozen
class Odd:
    """An address of a kind that nobody knows."""

    name: Any = None


ENDS = st.sampled_from([
    ("127.0.0.1", 80), ("::1", 80), ("::ffff:10.0.0.1", 80), ("fe80::1%lo", 80), ("0.0.0.0", 80),
    ("::", 80), IPv4Address("TCP", "10.0.0.1", 1), IPv6Address("TCP", "::1", 1), None, Odd(),
    UNIXAddress(None), UNIXAddress(b""), UNIXAddress(b"/run/lab"), Odd(b"\0abstract"),
    UNIXAddress(b"/\xff"), Odd("a name"), Odd("\ud800"), ("localhost", 80),
])  # fmt: skip


class EndsTests(SynchronousTestCase):
    """Pairs of addresses."""

    def setUp(self) -> None:
        """A capture in memory."""
        self.file = bytearray()
        self.capture = Capture(self.file.extend, "")

    def pair(self, host: Any, peer: Any, number: int = 0) -> tuple[Any, Any]:
        """The pair."""
        return pair(self.capture, host, peer, number)

    def names(self) -> list[bytes]:
        """The records of names in the capture."""
        found = [block for block in blocks(bytes(self.file)) if block.kind == 4]
        return [value for block in found for _, value in block.options(0)]

    def test_real(self) -> None:
        """Addresses are as they are; those of IPv4 in IPv6 are those of IPv4."""
        here, there = IPv4Address("TCP", "10.0.0.1", 80), IPv4Address("TCP", "10.0.0.2", 1024)
        self.assertEqual(self.pair(here, there), (("10.0.0.1", 80), ("10.0.0.2", 1024)))
        here, there = ("::ffff:10.0.0.1", 80), ("::ffff:10.0.0.2", 1024)
        self.assertEqual(self.pair(here, there), (("10.0.0.1", 80), ("10.0.0.2", 1024)))
        six = IPv6Address("TCP", "fe80::1%lo", 80), ("fe80::2", 1024, 0, 1)
        self.assertEqual(self.pair(*six), (("fe80::1", 80), ("fe80::2", 1024)))
        self.assertEqual(self.names(), [])

    def test_all_addresses(self) -> None:
        """A port on all addresses is on that of loopback for its clients there."""
        for host, peer, here, there in [
            ("0.0.0.0", "127.0.0.2", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0", "10.0.0.2", "0.0.0.0", "10.0.0.2"),
            ("::", "::1", "::1", "::1"),
            ("::", "fe80::2", "::", "fe80::2"),
            ("::", "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ]:
            self.assertEqual(self.pair((host, 80), (peer, 1024)), ((here, 80), (there, 1024)))

    def test_made_up(self) -> None:
        """A path has always the same address, and its name; others have ports of their own."""
        path = UNIXAddress(b"/run/lab")
        expected = "2001:db8:d121:1b83:89fe:291f:def9:6349", NAMED
        self.assertEqual(self.pair(path, UNIXAddress(None), 5), (expected, (THEIRS[0], 49157)))
        self.assertEqual(self.pair(None, path, 16384), ((OURS[0], 49152), expected))
        names = [packed[16:] for packed in self.names()]
        self.assertEqual(names, [b"/run/lab\0", b"unnamed-there\0", b"unnamed-here\0"])
        other, _ = self.pair(UNIXAddress(b"/run/other"), None)
        self.assertNotEqual(other, expected)

    def test_two_families(self) -> None:
        """Both are made up, and have their addresses as names."""
        here, there = self.pair(("10.0.0.1", 80), ("::1", 1024))
        self.assertTrue(here[0].startswith("2001:db8:"))
        self.assertNotEqual(here, there)
        self.assertEqual([name[16:] for name in self.names()], [b"10.0.0.1:80\0", b"[::1]:1024\0"])

    @given(ENDS, ENDS, st.integers(0, 100_000))
    def test_always(self, host: Any, peer: Any, number: int) -> None:
        """Whatever the ends are, a packet can be made of the pair."""
        here, there = self.pair(host, peer, number)
        udp(here, there, b"")
        udp(there, here, b"")

    def test_none(self) -> None:
        """What is no address."""
        for end in (None, Odd(), UNIXAddress(b"/x"), ("localhost", 80)):
            self.assertIsNone(address(end))
        self.assertEqual(in_words(Odd("a name")), "a name")
        self.assertEqual(in_words(UNIXAddress(b"/\xff")), "/\ufffd")
