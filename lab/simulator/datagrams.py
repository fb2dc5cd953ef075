"""UDP ports of hosts. Knows no reactor."""

from typing import TYPE_CHECKING

from twisted.internet.abstract import isIPAddress
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

if TYPE_CHECKING:
    from lab.simulator.network import Host

#: Most bytes of a datagram over IPv4.
LARGEST = 65507
Address = tuple[str, int]


@implementer(IListeningPort, IUDPTransport)
class Port:
    """
    A UDP port.

    Args:
        host: Where it is.
        port: 0 for a free one.
        protocol: Hears what comes in.
        interface: Of no meaning but for what `getHost` says: a host has one address.
        size: Longer datagrams are cut, as by Twisted.

    Raises:
        twisted.internet.error.CannotListenError: The port is taken.
    """

    maxThroughput = 256 * 1024

    def __init__(
        self, host: "Host", port: int, protocol: DatagramProtocol, interface: str, size: int
    ) -> None:
        self._host = host
        self._protocol = protocol
        self._interface = interface
        self._size = size
        self._peer: Address | None = None
        self._addresses: set[str] = set()  # those that were sent to, and so are addresses
        self._port = port
        self.startListening()

    def startListening(self) -> None:
        """Open the port."""
        ports = self._host.udp
        port = self._port or self._host.free_port(ports)
        if port in ports:
            raise CannotListenError(self._interface, port, OSError(98, "Address already in use"))
        self._port = port
        ports[port] = self
        self._host.within(self._protocol.makeConnection, self)

    def stopListening(self) -> Deferred[None]:
        """Close the port."""
        if self._host.udp.get(self._port) is self:
            del self._host.udp[self._port]
            self._host.within(self._protocol.doStop)
        return succeed(None)

    def loseConnection(self) -> None:
        """The same."""
        self.stopListening()

    def getHost(self) -> IPv4Address:
        """Our address."""
        return IPv4Address("UDP", self._host.address, self._port)

    def connect(self, host: str, port: int) -> None:
        """Hear nobody else, and be told when nobody is there."""
        if self._peer:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        if not isIPAddress(host):
            raise InvalidAddressError(host, "not an IPv4 or IPv6 address.")
        self._peer = host, port

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        """Send a datagram."""
        to = self._peer or addr
        if to is None or (addr is not None and addr != to):
            raise ValueError(f"datagram is sent to {addr}, but the port is connected to {to}")
        if to[0] not in self._addresses:
            if not isIPAddress(to[0]):
                raise InvalidAddressError(to[0], "write() only accepts IP addresses, not hostnames")
            self._addresses.add(to[0])
        if len(packet) > LARGEST:
            raise MessageLengthError(f"message is {len(packet)} bytes; give at most {LARGEST}")
        self._host.send_datagram((self._host.address, self._port), to, bytes(packet))

    def writeSequence(self, packets: list[bytes], addr: Address) -> None:
        """Send all as one datagram."""
        self.write(b"".join(packets), addr)

    def arrive(self, data: bytes, source: Address) -> None:
        """A datagram is here."""
        if self._peer in (None, source):
            self._host.call(self._protocol.datagramReceived, data[: self._size], source)

    def refused(self, peer: Address) -> None:
        """ICMP says that nobody listens there."""
        if self._peer == peer:
            self._host.call(self._protocol.connectionRefused)

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """There is no broadcast here."""

    def getBroadcastAllowed(self) -> bool:
        """There is none."""
        return False
