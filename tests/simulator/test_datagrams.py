"""UDP ports of hosts."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.simulator.datagrams import LARGEST
from lab.simulator.network import Network
from lab.simulator.paths import LATENCY


class Notes(DatagramProtocol):
    """Notes what it sees."""

    noisy = False

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def startProtocol(self) -> None:
        """Note it."""
        self.seen.append("started")

    def stopProtocol(self) -> None:
        """Note it."""
        self.seen.append("stopped")

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Note it."""
        self.seen.append((datagram, addr))

    def connectionRefused(self) -> None:
        """Note it."""
        self.seen.append("refused")


class PortTests(SynchronousTestCase):
    """Two hosts, and what they send each other."""

    def setUp(self) -> None:
        """Two hosts, one of which listens."""
        self.net = Network(7)
        self.here, self.there = self.net.host("here"), self.net.host("there")
        self.ours, self.theirs = Notes(), Notes()
        self.port = self.here.reactor.listenUDP(0, self.ours)
        self.other = self.there.reactor.listenUDP(5000, self.theirs, maxPacketSize=100)

    def test_there_and_back(self) -> None:
        """A datagram arrives after the latency, and names where it came from."""
        self.port.write(b"hello", (self.there.address, 5000))
        self.net.run(LATENCY / 2)
        self.assertEqual(self.theirs.seen, ["started"])
        self.net.run(LATENCY)
        address = self.port.getHost()
        self.assertEqual(self.theirs.seen[1:], [(b"hello", (self.here.address, address.port))])
        self.other.writeSequence([b"good ", b"day"], (self.here.address, address.port))
        self.net.run(LATENCY)
        self.assertEqual(self.ours.seen[1:], [(b"good day", (self.there.address, 5000))])

    def test_loopback(self) -> None:
        """A host reaches itself at once, by 127.0.0.1 and by its own address."""
        for address in ("127.0.0.1", self.here.address):
            self.port.write(b"me", (address, self.port.getHost().port))
        self.net.run(0)
        self.assertEqual([seen[0] for seen in self.ours.seen[1:]], [b"me", b"me"])

    def test_cut_to_size(self) -> None:
        """What is longer than the size that was asked for is cut, as Twisted does."""
        self.port.write(b"x" * 101, (self.there.address, 5000))
        self.net.run(1)
        self.assertEqual(len(self.theirs.seen[1][0]), 100)

    def test_connected(self) -> None:
        """A connected port sends to its peer, and hears nobody else."""
        self.port.connect(self.there.address, 5000)
        self.port.write(b"one")
        self.port.write(b"two", (self.there.address, 5000))
        self.net.run(1)
        self.assertEqual([seen[0] for seen in self.theirs.seen[1:]], [b"one", b"two"])
        to = (self.here.address, self.port.getHost().port)
        stranger = self.there.reactor.listenUDP(6000, Notes())
        stranger.write(b"psst", to)
        self.net.run(1)
        self.assertEqual(self.ours.seen, ["started"])
        self.assertRaises(ValueError, self.port.write, b"x", (self.there.address, 6000))
        self.assertRaises(RuntimeError, self.port.connect, self.there.address, 5000)
        self.assertRaises(InvalidAddressError, stranger.connect, "there", 5000)

    def test_refused(self) -> None:
        """Whoever is connected to a port where nobody listens is told; others are not."""
        self.port.write(b"anybody?", (self.there.address, 4999))
        self.net.run(1)
        self.assertEqual(self.ours.seen, ["started"])
        self.port.connect(self.there.address, 4999)
        self.port.write(b"anybody?")
        self.net.run(LATENCY * 1.5)
        self.assertEqual(self.ours.seen, ["started"])
        self.net.run(LATENCY)
        self.assertEqual(self.ours.seen, ["started", "refused"])

    def test_refused_when_gone(self) -> None:
        """ICMP for a port that is closed by now is for nobody."""
        self.port.connect(self.there.address, 4999)
        self.port.write(b"anybody?")
        self.port.stopListening()
        self.net.run(1)
        self.assertEqual(self.ours.seen, ["started", "stopped"])

    def test_nobody(self) -> None:
        """What is sent to a host that is down, or to none, is lost without a word."""
        self.there.crash()
        self.port.connect(self.there.address, 5000)
        self.port.write(b"x")
        other = self.here.reactor.listenUDP(0, Notes())
        other.write(b"x", ("192.0.2.1", 5000))
        self.net.run(1)
        self.assertEqual(self.ours.seen, ["started"])

    def test_refused_arguments(self) -> None:
        """What a socket refuses is refused."""
        self.assertRaises(ValueError, self.port.write, b"x")
        self.assertRaises(InvalidAddressError, self.port.write, b"x", ("there", 5000))
        to = (self.there.address, 5000)
        self.assertRaises(MessageLengthError, self.port.write, b"x" * (LARGEST + 1), to)
        self.port.write(b"x" * LARGEST, to)

    def test_ports(self) -> None:
        """A port is taken once; a free one is one that nobody has; a closed one is free again."""
        error = self.assertRaises(
            CannotListenError, self.there.reactor.listenUDP, 5000, Notes(), "127.0.0.1"
        )
        self.assertIn("Address already in use", str(error))
        free = {self.here.reactor.listenUDP(0, Notes()).getHost().port for _ in range(9)}
        self.assertEqual(len(free - {self.port.getHost().port}), 9)
        self.successResultOf(self.other.stopListening())
        self.successResultOf(self.other.stopListening())
        self.assertEqual(self.theirs.seen, ["started", "stopped"])
        self.there.reactor.listenUDP(5000, Notes()).loseConnection()
        self.assertEqual(self.there.udp, {})

    def test_interfaces(self) -> None:
        """It is what Twisted's interfaces say."""
        verifyObject(IUDPTransport, self.port)
        verifyObject(IListeningPort, self.port)
        self.assertEqual(self.other.getHost(), IPv4Address("UDP", self.there.address, 5000))
        self.port.setBroadcastAllowed(True)
        self.assertFalse(self.port.getBroadcastAllowed())
