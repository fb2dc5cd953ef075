"""Addresses as Go writes them."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.proxy.addresses import Address, AddressError, is_endpoint, protocol_of, with_port


class ReadTests(SynchronousTestCase):
    """What is read."""

    def test_shown(self) -> None:
        """As Go shows it once it listens."""
        for text, shown in (
            ("", "[::]:0"),
            (":80", "[::]:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("[::]:80", "[::]:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("LocalHost:80", "127.0.0.1:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:", "127.0.0.1:0"),
            ("127.0.0.1:+80", "127.0.0.1:80"),
            ("127.0.0.1:-0", "127.0.0.1:0"),
            ("127.0.0.1:http", "127.0.0.1:80"),
            ("127.0.0.1:HTTPS", "127.0.0.1:443"),
            ("[0:0::1]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("redis:6379", "redis:6379"),
        ):
            self.assertEqual(Address.read(text).shown, shown, text)

    def test_text(self) -> None:
        """A host of IPv6 has brackets."""
        self.assertEqual(str(Address("::1", 80)), "[::1]:80")
        self.assertEqual(str(Address("", 80)), ":80")

    def test_numeric(self) -> None:
        """What needs no resolver."""
        for text in ("", ":80", "127.0.0.1:80", "[::1]:80", "localhost:80"):
            self.assertTrue(Address.read(text).numeric, text)
        self.assertFalse(Address.read("redis:80").numeric)

    def test_errors(self) -> None:
        """Go's words."""
        for text, why in (
            ("garbage", "address garbage: missing port in address"),
            ("a:b:80", "address a:b:80: too many colons in address"),
            ("[::1", "address [::1: missing ']' in address"),
            ("[:1", "address [:1: missing ']' in address"),
            ("[::1]", "address [::1]: missing port in address"),
            ("[::1]x:80", "address [::1]x:80: missing port in address"),
            ("[::1]:8:0", "address [::1]:8:0: too many colons in address"),
            ("[a[]:80", "address [a[]:80: unexpected '[' in address"),
            ("a[:80", "address a[:80: unexpected '[' in address"),
            ("a]:80", "address a]:80: unexpected ']' in address"),
            ("a:8]0", "address a:8]0: unexpected ']' in address"),
            ("127.0.0.1:99999", "address 99999: invalid port"),
            ("127.0.0.1:-1", "address -1: invalid port"),
            ("127.0.0.1:" + "9" * 99, f"address {'9' * 99}: invalid port"),
            ("127.0.0.1:nope", "lookup tcp/nope: unknown port"),
        ):
            self.assertEqual(str(self.assertRaises(AddressError, Address.read, text)), why)

    def test_datagrams(self) -> None:
        """Go carries but one name of a port of UDP with it."""
        self.assertEqual(Address.read(":Domain", "udp").port, 53)
        error = self.assertRaises(AddressError, Address.read, ":http", "udp")
        self.assertEqual(str(error), "lookup udp/http: unknown port")

    def test_names(self) -> None:
        """What can be no name is not looked for."""
        Address("redis", 80).check_name()
        Address("müller.example", 80).check_name()
        for host in ("a b", "a" * 70, "..", "a\0b", "\ud800"):
            error = self.assertRaises(AddressError, Address(host, 80).check_name)
            self.assertEqual(str(error), f"lookup {host}: no such host")

    @given(st.text() | st.text("[]:.01a%-+"))
    def test_fuzz(self, text: str) -> None:
        """No text raises anything but an AddressError; what is shown is read as the same."""
        with contextlib.suppress(AddressError):
            address = Address.read(text)
            address.check_name()
            self.assertEqual(Address.read(address.shown).shown, address.shown)


class EndpointTests(SynchronousTestCase):
    """Endpoint strings of Twisted's."""

    def test_is_endpoint(self) -> None:
        """By how it begins."""
        for text in ("tcp:80", "unix:/tmp/s", "tls:a:443", "ssl:443:privateKey=k", "udp:80"):
            self.assertTrue(is_endpoint(text), text)
        for text in ("redis:80", "tcp", ":80", "[::1]:80", "udp", "tcps:80"):
            self.assertFalse(is_endpoint(text), text)

    def test_protocol(self) -> None:
        """By its prefix; what is no endpoint string is for streams."""
        for text, protocol in (("udp:53", "udp"), ("unix:/s", "tcp"), ("redis:80", "tcp")):
            self.assertEqual(protocol_of(text), protocol)

    def test_with_port(self) -> None:
        """Only a free port gets a number."""
        for text, found in (
            ("tcp:0", "tcp:7"),
            ("tcp:port=0", "tcp:port=7"),
            ("ssl:0:interface=::1", "ssl:7:interface=::1"),
            ("udp:0:interface=127.0.0.1", "udp:7:interface=127.0.0.1"),
            ("tcp:80", "tcp:80"),
            ("tcp:01", "tcp:01"),
            ("unix:0", "unix:0"),
            ("haproxy:tcp:0:interface=::1", "haproxy:tcp:7:interface=::1"),
            ("tls:/a:port=0:interface=::1", "tls:/a:port=7:interface=::1"),
            (r"haproxy:tls:/a\:b:port=0", r"haproxy:tls:/a\:b:port=7"),
            ("tls:/a:port=01", "tls:/a:port=01"),
            ("haproxy:unix:0", "haproxy:unix:0"),
        ):
            self.assertEqual(with_port(text, 7), found)
