"""The header of the PROXY protocol, read back by Twisted's parsers."""

from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.haproxy._exceptions import InvalidProxyHeader
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from lab.wire.proxy_protocol import VERSIONS, encode

PARSERS: dict[int, Any] = {1: V1Parser, 2: V2Parser}
PORTS = st.integers(0, 65535)
ENDS = st.tuples(st.ip_addresses().map(str), PORTS)
V4, V6 = ("192.0.2.7", 50123), ("2001:db8::7", 50124)
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def read(version: int, header: bytes) -> tuple[Any, Any]:
    """Both ends, as Twisted's parser of that version reads them; nothing may be left."""
    info, rest = PARSERS[version]().feed(header + b"rest")
    assert rest == b"rest", rest
    return info.source, info.destination


def plain(host: str) -> Any:
    """An address, without IPv6 around it if it is one of IPv4."""
    found = ip_address(host)
    return getattr(found, "ipv4_mapped", None) or found


class EncodeTests(SynchronousTestCase):
    """What is written."""

    def test_version_1(self) -> None:
        """The examples of section 2.1; the longest line has 107 characters with its ending."""
        found = encode(1, ("255.255.255.255", 65535), ("255.255.255.255", 65535))
        line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"
        self.assertEqual(found, line)
        self.assertEqual(encode(1, V6, ("::1", 80)), b"PROXY TCP6 2001:db8::7 ::1 50124 80\r\n")
        self.assertEqual(encode(1, None, V4), b"PROXY UNKNOWN\r\n")
        longest = ("ffff:" * 7 + "fffe", 65535)
        self.assertLessEqual(len(encode(1, longest, longest)), 107)

    def test_version_2(self) -> None:
        """Section 2.2: signature, version and command, family, length, addresses, ports."""
        head = SIGNATURE + b"\x21\x11\x00\x0c" + bytes((192, 0, 2, 7, 192, 0, 2, 1))
        self.assertEqual(encode(2, V4, ("192.0.2.1", 80)), head + b"\xc3\xcb\x00\x50")
        found = encode(2, V6, ("::1", 80))
        self.assertEqual(found[:16], SIGNATURE + b"\x21\x21\x00\x24")
        self.assertEqual(found[16:32], bytes.fromhex("20010db8" + "00" * 11 + "07"))
        self.assertEqual(found[32:], bytes(15) + b"\x01" + b"\xc3\xcc\x00\x50")
        for ends in ((None, None), (V4, None), (None, V4)):
            self.assertEqual(encode(2, *ends), SIGNATURE + b"\x20\x00\x00\x00")

    def test_zone(self) -> None:
        """A zone is of this machine alone, and not written."""
        ends = ("fe80::1%lo", 1), ("fe80::2", 2)
        self.assertEqual(encode(1, *ends), b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n")
        self.assertEqual(encode(2, *ends), encode(2, ("fe80::1", 1), ends[1]))

    def test_families(self) -> None:
        """IPv4 within IPv6 is IPv4; of different families, both are IPv6."""
        mapped = f"::ffff:{V4[0]}", V4[1]
        for version in VERSIONS:
            self.assertEqual(encode(version, mapped, mapped), encode(version, V4, V4))
            ends = V4, V6
            for first, second in (ends, ends[::-1]):
                found = read(version, encode(version, first, second))
                for one, there in zip((first, second), found, strict=True):
                    self.assertEqual(type(there).__name__, "IPv6Address")
                    self.assertEqual((plain(there.host), there.port), (plain(one[0]), one[1]))

    @given(st.sampled_from(VERSIONS), ENDS, ENDS)
    def test_any(self, version: int, source: tuple[str, int], there: tuple[str, int]) -> None:
        """Twisted's parser reads back any two ends, and knows where the header is over."""
        found = read(version, encode(version, source, there))
        for one, end in zip((source, there), found, strict=True):
            self.assertEqual((plain(one[0]), one[1]), (plain(end.host), end.port))

    def test_nobody(self) -> None:
        """Without addresses the parser finds none; that of version 1 can't read the short line."""
        self.assertEqual(read(2, encode(2, None, None)), (None, None))
        self.assertRaises(InvalidProxyHeader, read, 1, encode(1, None, None))
