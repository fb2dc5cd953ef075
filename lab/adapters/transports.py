"""What a transport can do, where Twisted's interfaces alone do not say it."""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport, ITCPTransport


def is_tcp(transport: Any) -> bool:
    """Whether there is TCP below; Twisted's Unix sockets say of themselves that they are TCP."""
    peer = transport.getPeer()
    return ITCPTransport.providedBy(transport) and isinstance(peer, IPv4Address | IPv6Address)


def can_half_close(transport: object) -> bool:
    """Whether the transport can end its own half; TLS can't, whatever the socket below can."""
    return IHalfCloseableDescriptor.providedBy(transport) and not ISSLTransport.providedBy(
        transport
    )
