"""
How connections begin: listening ports, connectors, and the handshake between two ends.

SYN, SYN/ACK and ACK each take the latency of their way. A host that is down answers nothing, a
port where nobody listens answers with RST. Unix sockets are the same within one host, by path.
"""

import errno
import os
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    BadFileError,
    CannotListenError,
    ConnectError,
    ConnectionDone,
    DNSLookupError,
)
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.capture.packets import ACK, RST, SYN
from lab.simulator.streams import Address, End

if TYPE_CHECKING:
    from lab.simulator.hosts import Host


class Client(End):
    """The end that connects."""

    def __init__(self, host: "Host", connector: "Connector", here: Address, there: Address) -> None:
        super().__init__(host, here, there)
        self._connector = connector
        self._host.trace("syn", here, there)
        self.out.send(SYN, host.knock, there, self)

    def answered(self, server: "Server") -> None:
        """SYN/ACK is here."""
        self.out.acknowledge(1)
        if self.disconnected:
            self.out.send(RST, server.vanish)
            return
        self._connector.cancelTimeout()
        protocol = self._connector.buildProtocol(self._there)
        if protocol is None:
            self.out.send(RST, server.vanish)
            self.vanish()
            self._connector.connectionLost(Failure(ConnectionDone()))
            return
        self.out.send(ACK, server.accepted, self)
        self.opened(server, protocol)

    def refused(self) -> None:
        """RST is here instead."""
        self.failIfNotConnected(TwistedRefused(111, "Connection refused"))

    def failIfNotConnected(self, error: BaseException) -> None:
        """Give up, unless it is connected or has given up already."""
        if not self.connected and not self.disconnected:
            self.vanish()
            self._connector.connectionFailed(Failure(error))

    def ended(self, reason: BaseException) -> None:
        """Tell the factory."""
        self._connector.connectionLost(Failure(reason))


class Server(End):
    """The end that is connected to."""

    def __init__(self, port: "Port", host: "Host", client: Client) -> None:
        super().__init__(host, client.getPeer(), client.getHost())
        self._port = port
        self.out.acknowledge(1)
        self.out.send(SYN, client.answered, self)

    def accepted(self, client: Client) -> None:
        """ACK is here: the connection can be used."""
        if self.disconnected:
            self.out.send(RST, client.reset)
            return
        protocol = self._host.within(self._port.factory.buildProtocol, client.getHost())
        self._peer = client
        if protocol is None:
            self.connected = True
            self._lost(ConnectionDone())
        else:
            self.opened(client, protocol)


class Connector(BaseConnector):
    """
    Connects, as often as it is told to.

    Args:
        host: Where it is.
        name: Where it connects to: a name or an address.
        port: The port there.
        factory: Builds the protocol.
        timeout: How long it tries, in seconds; None for as long as it takes.
        bindAddress: Of no meaning: a host has one address.
    """

    def __init__(
        self,
        host: "Host",
        name: str,
        port: int,
        factory: Any,
        timeout: float | None,
        bindAddress: Any,
    ) -> None:
        self._host = host
        self._name, self._port = name, port
        reactor: Any = host.reactor
        super().__init__(factory, timeout, reactor)  # type: ignore[arg-type]

    def _makeTransport(self) -> Any:
        """Begin to connect."""
        address = self._host.find(self._name)
        if address is None:
            return _Nowhere(self._host, self, DNSLookupError(f"no host named {self._name!r}"))
        here = IPv4Address("TCP", self._host.address, self._host.free_port(self._host.tcp))
        return Client(self._host, self, here, IPv4Address("TCP", address, self._port))

    # Its factory's code is code of the host, whoever calls.

    def connect(self) -> None:
        """Begin, and tell the factory."""
        self._host.within(super().connect)

    def buildProtocol(self, addr: Any) -> Any:
        """The factory's protocol for a connection."""
        return self._host.within(super().buildProtocol, addr)

    def connectionFailed(self, reason: Failure) -> None:
        """Tell the factory."""
        self._host.within(super().connectionFailed, reason)

    def connectionLost(self, reason: Failure) -> None:
        """Tell the factory."""
        self._host.within(super().connectionLost, reason)

    def getDestination(self) -> IPv4Address:
        """Where it connects to."""
        return IPv4Address("TCP", self._name, self._port)


class UnixConnector(Connector):
    """
    The same to a Unix socket.

    Args:
        host: Where it is.
        address: The socket.
        factory: Builds the protocol.
        timeout: How long it tries, in seconds.
        check: Whether somebody has to listen who has locked it; here all do.
    """

    def __init__(
        self,
        host: "Host",
        address: UNIXAddress,
        factory: Any,
        timeout: float | None,
        *,
        check: bool,
    ) -> None:
        super().__init__(host, "", 0, factory, timeout, None)
        self._address, self._check = address, check

    def _makeTransport(self) -> Any:
        """Begin to connect."""
        if self._address.name in self._host.unix:
            return Client(self._host, self, UNIXAddress(None), self._address)
        absent = ConnectError(errno.ENOENT, os.strerror(errno.ENOENT))
        return _Nowhere(self._host, self, BadFileError() if self._check else absent)

    def getDestination(self) -> UNIXAddress:  # type: ignore[override]
        """The socket."""
        return self._address


class _Nowhere:
    """A connection to what is not there."""

    def __init__(self, host: "Host", connector: Connector, error: BaseException) -> None:
        self._connector: Connector | None = connector
        host.soon(self.failIfNotConnected, error)

    def failIfNotConnected(self, error: BaseException) -> None:
        """Give up, once."""
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.connectionFailed(Failure(error))


@implementer(IListeningPort)
class Port:
    """
    A port that listens for connections.

    Args:
        host: Where it is.
        port: 0 for a free one.
        factory: Builds protocols.
        interface: Of no meaning: a host has one address.

    Raises:
        twisted.internet.error.CannotListenError: The port is taken.
    """

    def __init__(self, host: "Host", port: int, factory: Factory, interface: str) -> None:
        self._host = host
        self._port, self._interface = port, interface
        self.factory = factory
        self.startListening()

    def startListening(self) -> None:
        """Open the port."""
        ports = self._host.tcp
        port = self._port or self._host.free_port(ports)
        if port in ports:
            raise CannotListenError(self._interface, port, OSError(98, "Address already in use"))
        self._port = port
        ports[port] = self
        self._host.within(self.factory.doStart)

    def stopListening(self) -> Deferred[None]:
        """Close the port; its connections stay."""
        if self._host.tcp.get(self._port) is self:
            del self._host.tcp[self._port]
            self._host.within(self.factory.doStop)
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> IPv4Address:
        """Our address."""
        return IPv4Address("TCP", self._host.address, self._port)

    def connect(self, client: Client) -> None:
        """SYN is here."""
        Server(self, self._host, client)


class UnixPort(Port):
    """
    A Unix socket that listens.

    Args:
        host: Where it is.
        address: Its path.
        factory: Builds protocols.

    Raises:
        twisted.internet.error.CannotListenError: The path is taken.
    """

    def __init__(self, host: "Host", address: UNIXAddress, factory: Factory) -> None:
        self._address = address
        super().__init__(host, 0, factory, "")

    def startListening(self) -> None:
        """Open it."""
        sockets = self._host.unix
        if self._address.name in sockets:
            taken = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(None, self._address.name, taken)
        sockets[self._address.name] = self
        self._host.within(self.factory.doStart)

    def stopListening(self) -> Deferred[None]:
        """Close it."""
        if self._host.unix.get(self._address.name) is self:
            del self._host.unix[self._address.name]
            self._host.within(self.factory.doStop)
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> UNIXAddress:  # type: ignore[override]
        """Our address."""
        return self._address
