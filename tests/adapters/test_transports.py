"""What transports can do, on those that Twisted gives."""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from lab.adapters.transports import can_half_close, is_tcp


def transport(peer: Any, *interfaces: Any) -> StringTransport:
    """A transport to this peer, with these interfaces."""
    made = StringTransport(peerAddress=peer)
    alsoProvides(made, *interfaces)
    return made


class TransportsTests(SynchronousTestCase):
    """By their interfaces and addresses."""

    def test_is_tcp(self) -> None:
        """An address of IP says it; a Unix socket is none, though it provides the interface."""
        for peer, expected in [
            (IPv4Address("TCP", "127.0.0.1", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (UNIXAddress(b"/run/lab"), False),
        ]:
            self.assertIs(is_tcp(transport(peer, ITCPTransport)), expected)
        self.assertFalse(is_tcp(transport(IPv4Address("TCP", "127.0.0.1", 1))))

    def test_can_half_close(self) -> None:
        """TLS passes on what its socket provides, and can't do it."""
        peer = IPv4Address("TCP", "127.0.0.1", 1)
        self.assertTrue(can_half_close(transport(peer, IHalfCloseableDescriptor)))
        self.assertFalse(can_half_close(transport(peer, IHalfCloseableDescriptor, ISSLTransport)))
        self.assertFalse(can_half_close(StringTransport()))
