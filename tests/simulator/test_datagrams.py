"""UDP ports of hosts."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
    MulticastJoinError,
)
from twisted.internet.interfaces import IListeningPort, IMulticastTransport, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.simulator.datagrams import LARGEST, MulticastPort
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

    def test_connected_to_loopback(self) -> None:
        """A port that is connected to 127.0.0.1 hears what comes from its own host."""
        self.port.connect("127.0.0.1", self.port.getHost().port)
        self.port.write(b"me")
        self.net.run(0)
        self.assertEqual([seen[0] for seen in self.ours.seen[1:]], [b"me"])

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


GROUP = "224.0.0.9"


class GroupTests(SynchronousTestCase):
    """What is sent to a group."""

    def setUp(self) -> None:
        """Three hosts, each with a port of the same number."""
        self.net = Network(7)
        self.hosts = [self.net.host(name) for name in "abc"]
        self.notes = [Notes() for _ in self.hosts]
        self.ports = [
            host.reactor.listenMulticast(5000, notes)
            for host, notes in zip(self.hosts, self.notes, strict=True)
        ]

    def join(self, *ports: MulticastPort) -> None:
        """Let ports join."""
        for port in ports:
            self.assertIsNone(self.successResultOf(port.joinGroup(GROUP)))

    def send(
        self, data: bytes, number: int = 5000, port: MulticastPort | None = None
    ) -> list[list[bytes]]:
        """Send from the first host to a group; returns what each hears."""
        for notes in self.notes:
            notes.seen.clear()
        (port or self.ports[0]).write(data, (GROUP, number))
        self.net.run(1)
        return [[seen[0] for seen in notes.seen] for notes in self.notes]

    def test_members(self) -> None:
        """All hosts that have joined hear it, the sender's too, until they leave."""
        self.assertEqual(self.send(b"nobody"), [[], [], []])
        self.join(*self.ports[:2])
        self.assertEqual(self.send(b"two"), [[b"two"], [b"two"], []])
        self.assertEqual(self.notes[1].seen, [(b"two", (self.hosts[0].address, 5000))])
        self.join(self.ports[2])
        self.successResultOf(self.ports[1].leaveGroup(GROUP))
        self.assertEqual(self.send(b"others"), [[b"others"], [], [b"others"]])
        self.assertEqual(self.send(b"other port", 6000), [[], [], []])
        self.hosts[2].crash()
        self.ports[0].stopListening()
        self.ports[0].startListening()
        self.assertEqual(self.send(b"gone"), [[], [], []])

    def test_crash_on_the_way(self) -> None:
        """A host that crashes before it comes hears nothing."""
        self.join(self.ports[1])
        self.ports[0].write(b"late", (GROUP, 5000))
        self.hosts[1].crash()
        self.net.run(1)
        self.assertEqual(self.notes[1].seen, ["started"])

    def test_settings(self) -> None:
        """Loopback and time to live say whether the own host and others hear it."""
        port = self.ports[0]
        verifyObject(IMulticastTransport, port)
        self.join(*self.ports)
        self.assertEqual((port.getLoopbackMode(), port.getTTL()), (True, 1))
        port.setLoopbackMode(False)
        self.assertFalse(port.getLoopbackMode())
        self.assertEqual(self.send(b"others"), [[], [b"others"], [b"others"]])
        port.setLoopbackMode(True)
        port.setTTL(0)
        self.assertEqual(port.getTTL(), 0)
        self.assertEqual(self.send(b"me"), [[b"me"], [], []])
        self.assertEqual(self.successResultOf(port.setOutgoingInterface("0.0.0.0")), 1)
        self.assertEqual(port.getOutgoingInterface(), self.hosts[0].address)

    def test_own_settings(self) -> None:
        """Of ports that share a number each has its own settings, also when it is closed."""
        self.join(*self.ports)
        reactor = self.hosts[0].reactor
        one, other = (reactor.listenMulticast(7000, Notes(), listenMultiple=True) for _ in range(2))
        one.setTTL(0)
        other.setLoopbackMode(False)
        for port, heard in ((one, [[b"x"], [], []]), (other, [[], [b"x"], [b"x"]])):
            self.assertEqual(self.send(b"x", port=port), heard)
            port.stopListening()
            self.assertEqual(self.send(b"x", port=port), heard)

    def test_refused(self) -> None:
        """What is no group, is joined twice, or left without having been joined, fails."""
        port = self.ports[0]
        self.join(port)
        for failing in (
            port.joinGroup("10.0.0.1"),
            port.joinGroup("group"),
            port.joinGroup(GROUP),
            port.leaveGroup("224.0.0.10"),
        ):
            self.failureResultOf(failing, MulticastJoinError)

    def test_shared(self) -> None:
        """Ports that share a number all hear what is for their group; one hears what is not."""
        host = self.hosts[1]
        notes = [Notes(), Notes()]
        ports = [host.reactor.listenMulticast(7000, one, listenMultiple=True) for one in notes]
        self.assertRaises(CannotListenError, host.reactor.listenMulticast, 7000, Notes())
        self.assertRaises(
            CannotListenError, host.reactor.listenMulticast, 5000, Notes(), listenMultiple=True
        )
        self.join(ports[0])
        self.send(b"all", 7000)
        self.ports[0].write(b"one", (host.address, 7000))
        self.net.run(1)
        ports[1].stopListening()
        self.ports[0].write(b"other", (host.address, 7000))
        self.net.run(1)
        heard = [[seen[0] for seen in one.seen if isinstance(seen, tuple)] for one in notes]
        self.assertEqual(heard, [[b"all", b"other"], [b"all", b"one"]])
        ports[0].stopListening()
        self.assertEqual(host.udp, {5000: self.ports[1]})

    def test_faults(self) -> None:
        """Each member has its own way, with its own faults."""
        self.join(*self.ports)
        self.net.partition("a", "b")
        self.assertEqual(self.send(b"x"), [[b"x"], [], [b"x"]])
