"""
Clients' endpoints that say first for whom they connect, in the header of the PROXY protocol.

**What it must do.** The header is what the server gets first, in plain: ahead of the handshake
where there is TLS inside. Everything else is as if the endpoint inside had been asked alone.

**How it does it.** The endpoint inside is given a reactor whose connections write a header first.
Which one, the factory knows that wants to be connected. When there is a connection, the factory
next to the socket builds its protocol, and within that call all factories do, up to that one, which
leaves its header: so the right one is found, however many are being connected.

**What was refused.** An endpoint for each connection: to read the string of one with TLS takes its
files each time. A protocol that writes the header above all: it would write into TLS.
"""

from typing import Any

from twisted.internet import endpoints
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, implementer, providedBy

from lab.adapters.transports import eager
from lab.wire.proxy_protocol import Address, encode


@implementer(IStreamClientEndpoint)
class HeadedEndpoint:
    """
    An endpoint whose connections begin with a header.

    Args:
        reactor: Connects.
        version: Of the PROXY protocol, 1 or 2.
        text: A client's endpoint string of Twisted's: of TCP, TLS or a Unix socket.

    Raises:
        Exception: What Twisted's parsers raise at a wrong string.
    """

    def __init__(self, reactor: Any, version: int, text: str) -> None:
        self._version = version
        self._sockets = _Sockets(reactor)
        self._inside = endpoints.clientFromString(self._sockets, text)

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect for ourselves: the header names nobody."""
        return self.connect_for(protocolFactory, None, None)

    def connect_for(
        self,
        factory: IProtocolFactory,
        source: IAddress | None,
        destination: IAddress | None,
    ) -> "Deferred[IProtocol]":
        """
        Connect for somebody.

        Args:
            factory: Makes the protocol.
            source: The address of who it is for.
            destination: The one to which that has connected.

        Returns:
            As ``connect`` of any endpoint.
        """
        header = encode(self._version, _address(source), _address(destination))
        connected: Deferred[IProtocol] = self._inside.connect(_Asking(factory, self, header))
        return connected

    def head_with(self, header: bytes) -> None:
        """Begin the connection whose protocols are being built with this."""
        self._sockets.header = header


def _address(found: IAddress | None) -> Address | None:
    """The numeric address, if it is one of IP."""
    return (found.host, found.port) if isinstance(found, IPv4Address | IPv6Address) else None


class _Asking(WrappingFactory):
    """
    The innermost factory: has its header written.

    Args:
        factory: Makes the protocol.
        endpoint: Is told of the header.
        header: What the connection begins with.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, endpoint: HeadedEndpoint, header: bytes) -> None:
        super().__init__(factory)
        self._endpoint, self._header = endpoint, header

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """As the factory itself."""
        self._endpoint.head_with(self._header)
        return self.wrappedFactory.buildProtocol(addr)


class _Sockets:
    """
    A reactor whose connections begin with a header.

    Args:
        reactor: What is asked for everything else.

    Attributes:
        header: Of the connection that is being made.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.header = b""
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        """Anything else."""
        return getattr(self._reactor, name)

    def connectTCP(
        self, host: str, port: int, factory: Any, *more: Any, **named: Any
    ) -> IConnector:
        """As Twisted's."""
        made: IConnector = self._reactor.connectTCP(
            host, port, _Writing(factory, self), *more, **named
        )
        return made

    def connectUNIX(self, address: str, factory: Any, *more: Any, **named: Any) -> IConnector:
        """As Twisted's."""
        made: IConnector = self._reactor.connectUNIX(
            address, _Writing(factory, self), *more, **named
        )
        return made

    def connectSSL(
        self, host: str, port: int, factory: Any, contextFactory: Any, *more: Any, **named: Any
    ) -> IConnector:
        """As Twisted's, with the header below TLS."""
        secure = TLSMemoryBIOFactory(
            contextFactory, isClient=True, wrappedFactory=factory, clock=self._reactor
        )
        return self.connectTCP(host, port, secure, *more, **named)


class _Writing(WrappingFactory):
    """
    The outermost factory, next to the socket: its connections begin with the header.

    Args:
        factory: Makes the protocol.
        sockets: Knows the header as soon as the protocol has been made.
    """

    noisy = False

    def __init__(self, factory: Any, sockets: _Sockets) -> None:
        super().__init__(factory)
        self._sockets = sockets

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """As the factory, and with the header."""
        made = self.wrappedFactory.buildProtocol(addr)
        return None if made is None else _Heading(made, self._sockets.header)


class _Heading(Protocol):
    """
    A protocol with a header before it; afterwards nothing is between it and the transport.

    Args:
        inner: The protocol.
        header: What its transport is to write first.
    """

    def __init__(self, inner: Any, header: bytes) -> None:
        self._inner, self._header = inner, header
        directlyProvides(self, providedBy(inner))

    def __getattr__(self, name: str) -> Any:
        """Anything else, such as what only some protocols can be told."""
        return getattr(self._inner, name)

    def makeConnection(self, transport: Any) -> None:
        """Write, and hand on."""
        # At once: what a protocol of ours sends at once would overtake what waits.
        eager(transport)(self._header)
        # Called for each chunk, so it is not handed on here.
        self.dataReceived = self._inner.dataReceived  # type: ignore[method-assign]
        self._inner.makeConnection(transport)

    def connectionLost(self, reason: Any = None) -> None:
        """Hand on."""
        self._inner.connectionLost(reason)
