"""Connections, ports and endpoints without a network: what happens is what the test says."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

PEER = IPv4Address("TCP", "127.0.0.1", 49152)


class Transport(StringTransport):
    """A connection whose end comes when it is asked for."""

    def __init__(self) -> None:
        super().__init__(peerAddress=PEER)
        self.aborted = False

    def lines(self) -> list[bytes]:
        """What was written since the last call."""
        lines = self.value().splitlines()
        self.clear()
        return lines

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


def to_next_timer(clock: Clock) -> None:
    """Let time pass until something is due, as a reactor does."""
    timer = min(clock.getDelayedCalls(), key=lambda call: call.getTime())
    clock.rightNow = timer.getTime()
    clock.advance(0)


class StreamStandIn:
    """An endpoint whose attempts end when the test says so."""

    def __init__(self) -> None:
        #: Attempts that have not ended.
        self.attempts: list[tuple[Factory, Deferred[Any]]] = []
        #: How many there were.
        self.tried = 0

    def connect(self, factory: Factory) -> Deferred[Any]:
        """One more attempt."""
        attempt: Deferred[Any] = Deferred()
        self.attempts.append((factory, attempt))
        self.tried += 1
        return attempt

    def accept(self) -> tuple[Any, Transport]:
        """The oldest attempt succeeds."""
        factory, attempt = self.attempts.pop(0)
        protocol: Any = factory.buildProtocol(PEER)
        transport = Transport()
        protocol.makeConnection(transport)
        attempt.callback(protocol)
        return protocol, transport

    def refuse(self, error: Exception) -> None:
        """The oldest attempt fails."""
        self.attempts.pop(0)[1].errback(error)


class Port:
    """A UDP port without a network."""

    def __init__(self, protocol: DatagramProtocol, interface: str) -> None:
        self.protocol = protocol
        self.interface = interface
        self.peer: tuple[str, int] | None = None
        self.sent: list[tuple[bytes, tuple[str, int] | None]] = []
        self.open = True
        protocol.makeConnection(self)

    def connect(self, host: str, port: int) -> None:
        """Hear nobody else."""
        self.peer = host, port

    def write(self, datagram: bytes, addr: tuple[str, int] | None = None) -> None:
        """Note it."""
        self.sent.append((datagram, addr))

    def getHost(self) -> IPv4Address:
        """Our address."""
        return IPv4Address("UDP", "127.0.0.1", 50000)

    def stopListening(self) -> Deferred[None]:
        """Close, and tell the protocol so."""
        self.open = False
        self.protocol.doStop()
        return succeed(None)


class DatagramStandIn:
    """An endpoint whose addresses are known when the test says so."""

    host, port = "example.invalid", 50000

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self.known = list(addresses)
        self.resolving: Deferred[list[tuple[str, int]]] = Deferred()
        #: Ports that were opened.
        self.ports: list[Port] = []

    def addresses(self) -> Deferred[list[tuple[str, int]]]:
        """The addresses, now if they are known."""
        return succeed(self.known) if self.known else self.resolving

    def listen(self, protocol: DatagramProtocol, interface: str = "") -> Port:
        """One more port."""
        self.ports.append(Port(protocol, interface))
        return self.ports[-1]


class Wire(StringTransport):
    """A transport that says whether it was cut, and takes two ends as the real ones do."""

    cut = False

    def abortConnection(self) -> None:
        """At once."""
        self.cut = True
        self.loseConnection()

    def unregisterProducer(self) -> None:
        """Also if there is none."""
        if self.producer is not None:
            super().unregisterProducer()
