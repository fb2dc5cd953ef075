"""UDP ports of hosts, and the groups that they join. Knows no reactor."""

import errno
import os
from typing import TYPE_CHECKING

from twisted.internet.abstract import isIPAddress
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
    MulticastJoinError,
)
from twisted.internet.interfaces import IListeningPort, IMulticastTransport, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

if TYPE_CHECKING:
    from lab.simulator.hosts import Host

#: Most bytes of a datagram over IPv4.
LARGEST = 65507
Address = tuple[str, int]


def is_group(address: str) -> bool:
    """
    Whether an IPv4 address is that of a multicast group (RFC 5771).

    >>> is_group("224.0.0.9"), is_group("10.0.0.2")
    (True, False)
    """
    return 224 <= int(address.partition(".")[0]) <= 239


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
        shared: Whether others may have the same port, if they say so, too.

    Raises:
        twisted.internet.error.CannotListenError: The port is taken.

    Attributes:
        number: Its number.
        loops: Whether what it sends to a group is for its own host, too.
        ttl: How many hops what it sends to a group takes; 0 for none.
    """

    maxThroughput = 256 * 1024
    loops = True
    ttl = 1

    def __init__(
        self,
        host: "Host",
        port: int,
        protocol: DatagramProtocol,
        interface: str,
        size: int,
        *,
        shared: bool = False,
    ) -> None:
        self._host = host
        self._shared = shared
        self._protocol = protocol
        self._interface = interface
        self._size = size
        self._peer: Address | None = None
        self._addresses: set[str] = set()  # those that were sent to, and so are addresses
        self.number = port
        self.startListening()

    def startListening(self) -> None:
        """Open the port."""
        ports = self._host.udp
        port = self.number or self._host.free_port(ports)
        sharers = self._host.shared.setdefault(port, {}) if self._shared else {}
        if port in ports and ports[port] not in sharers:
            raise CannotListenError(self._interface, port, OSError(98, "Address already in use"))
        self.number = port
        ports[port] = self
        if self._shared:
            sharers[self] = None
        self._host.within(self._protocol.makeConnection, self)

    def stopListening(self) -> Deferred[None]:
        """Close the port, and leave its groups."""
        ports, sharers = self._host.udp, self._host.shared.get(self.number, {})
        if ports.get(self.number) is self or self in sharers:
            sharers.pop(self, None)
            for members in self._host.groups.values():
                members.pop(self, None)
            del ports[self.number]
            if sharers:  # the one that came last has it now
                ports[self.number] = list(sharers)[-1]
            self._host.within(self._protocol.doStop)
        return succeed(None)

    def loseConnection(self) -> None:
        """The same."""
        self.stopListening()

    def getHost(self) -> IPv4Address:
        """Our address."""
        return IPv4Address("UDP", self._host.address, self.number)

    def connect(self, host: str, port: int) -> None:
        """Hear nobody else, and be told when nobody is there."""
        if self._peer:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        if not isIPAddress(host):
            raise InvalidAddressError(host, "not an IPv4 or IPv6 address.")
        # What comes from our own loopback comes from our only address.
        self._peer = self._host.find(host) or host, port

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
        self._host.send_datagram(self, to, bytes(packet))

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


@implementer(IMulticastTransport)
class MulticastPort(Port):
    """
    A UDP port that may join groups.

    As on Linux, what is sent to a group that any port of a host has joined is heard by all its
    ports of that number.
    """

    def getOutgoingInterface(self) -> str:
        """A host has one."""
        return self._host.address

    def setOutgoingInterface(self, addr: str | int) -> Deferred[int]:
        """Nothing changes."""
        return succeed(1)

    def getLoopbackMode(self) -> bool:
        """Whether what is sent to a group is for this host, too."""
        return self.loops

    def setLoopbackMode(self, mode: bool) -> None:
        """Let it be so, or not."""
        self.loops = bool(mode)

    def getTTL(self) -> int:
        """How far what is sent to a group goes."""
        return self.ttl

    def setTTL(self, ttl: int) -> None:
        """How far: 0 for nowhere but this host; all others are one hop away."""
        self.ttl = ttl

    def joinGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Hear what is sent to a group; fails with ``MulticastJoinError`` if that is none."""
        if not isIPAddress(addr) or not is_group(addr):
            return self._no(addr, interface, errno.EINVAL)
        members = self._host.groups.setdefault(addr, {})
        if self in members:
            return self._no(addr, interface, errno.EADDRINUSE)
        members[self] = None
        return succeed(None)

    def leaveGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Hear it no more; fails with ``MulticastJoinError`` if it has not been joined."""
        members = self._host.groups.get(addr, {})
        if self not in members:
            return self._no(addr, interface, errno.EADDRNOTAVAIL)
        del members[self]
        return succeed(None)

    def _no(self, addr: str, interface: str, number: int) -> Deferred[None]:
        """It can't be done."""
        return fail(MulticastJoinError(addr, interface, number, os.strerror(number)))
