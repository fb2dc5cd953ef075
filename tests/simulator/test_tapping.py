"""What a capture sees of a simulation."""

from typing import Any

from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import ACK, FIN, PSH, RST, SYN
from lab.faults.datagrams import Corrupt, Duplicate, Latency, Loss, Settings
from lab.faults.fault import Fault
from lab.faults.journal import Journal, Replay
from lab.faults.streams import LimitData, PacketLoss, Partition, ResetPeer, Timeout
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.capture.blocks import Packet, blocks, packets
from tests.capture.test_flows import fields
from tests.capture.test_packets import opened
from tests.helpers import folder

#: What the client sends, and the server says again.
DATA = bytes(range(256)) * 20


class Echo(Protocol):
    """Says everything again."""

    def dataReceived(self, data: bytes) -> None:
        """Say it again."""
        assert self.transport is not None
        self.transport.write(data)


class Talk(Protocol):
    """Sends `DATA`, hears as much, and closes."""

    heard = b""

    def connectionMade(self) -> None:
        """Send it."""
        assert self.transport is not None
        self.transport.write(DATA)

    def dataReceived(self, data: bytes) -> None:
        """Hear it."""
        assert self.transport is not None
        self.heard += data
        if len(self.heard) == len(DATA):
            self.transport.loseConnection()


class Send(DatagramProtocol):
    """Sends ten datagrams."""

    def __init__(self, to: str, port: int = 7) -> None:
        self._to = to, port

    def startProtocol(self) -> None:
        """Send them."""
        transport: Any = self.transport
        for number in range(10):
            transport.write(b"number %d" % number, self._to)


def talk(net: Network, port: int = 80) -> None:
    """A TCP connection between two hosts."""
    net.host("server").reactor.listenTCP(80, Factory.forProtocol(Echo))
    factory = ClientFactory()
    factory.noisy, factory.protocol = False, Talk  # type: ignore[assignment]
    net.host("client").reactor.connectTCP("server", port, factory)


class Seen:
    """One packet of TCP or UDP in a capture."""

    def __init__(self, packet: Packet) -> None:
        self.at = round(packet.when / 1e9 - 946_684_800, 6)
        self.side, self.inbound, self.comment = packet.side, packet.flags == 1, packet.comment
        self.source, _, self.protocol, payload = opened(packet.data)
        self.data = payload[8:]
        self.seq = self.ack = self.flags = 0
        if self.protocol == 6:
            self.seq, self.ack, self.flags, self.data = fields(packet.data)


class TapTests(SynchronousTestCase):
    """Simulations, and what is in their captures."""

    def run_(self, scenario: Any, *faults: Settings, **kw: Any) -> list[Seen]:
        """What a capture has of a scenario with these faults on the way to the server."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file, **kw) as net:
            net.host("client"), net.host("server")
            net.link("client", "server", *(Fault(one, f"f{n}") for n, one in enumerate(faults)))
            scenario(net)
            net.run(60)
        self.raw = file.read_bytes()
        return [Seen(packet) for packet in packets(self.raw)]

    def said(self, found: list[Seen], source: str, *, inbound: bool) -> list[Seen]:
        """The packets of one direction at one side."""
        return [one for one in found if one.source == source and one.inbound == inbound]

    def stream(self, found: list[Seen]) -> bytes:
        """The bytes of one direction, put together by their numbers as TCP does."""
        data = bytearray()
        for one in sorted((one for one in found if one.data), key=lambda one: one.seq):
            self.assertLessEqual(one.seq, len(data) + 1)
            data[one.seq - 1 : one.seq - 1 + len(one.data)] = one.data
        return bytes(data)

    def test_tcp(self) -> None:
        """Handshake, segments, acknowledgements and ends, on both sides."""
        found = self.run_(talk)
        client = self.said(found, "10.0.0.2", inbound=False)
        self.assertEqual([one.flags for one in client[:2]], [SYN, ACK])
        self.assertEqual(sum(one.flags == ACK | PSH for one in client), 4)
        self.assertEqual([one.flags for one in client[-2:]], [ACK | FIN, ACK])
        self.assertEqual((client[-1].seq, client[-1].ack), (len(DATA) + 2, len(DATA) + 2))
        for source in ("10.0.0.2", "10.0.0.3"):
            left = self.said(found, source, inbound=False)
            came = self.said(found, source, inbound=True)
            self.assertEqual(self.stream(left), DATA)
            self.assertEqual(self.stream(came), DATA)
            shape = [(one.flags, one.seq, one.ack, one.data) for one in left]
            self.assertEqual([(one.flags, one.seq, one.ack, one.data) for one in came], shape)
            for one, other in zip(left, came, strict=True):
                self.assertApproximates(other.at - one.at, 0.001, 2e-6)
        self.assertEqual({(one.source, one.inbound): one.side for one in found}, {
            ("10.0.0.2", False): 0, ("10.0.0.2", True): 1,
            ("10.0.0.3", False): 1, ("10.0.0.3", True): 0,
        })  # fmt: skip
        self.assertIn(b"simulation with seed 7", self.raw)
        self.assertEqual([found[0].comment, found[0].at], ["", 0.0])

    def test_hosts_that_come_later(self) -> None:
        """A way may be named before its hosts are there: both sides are seen, with their names."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file) as net:
            net.link("client", "server")
            net.host("client"), net.host("server")
            talk(net)
            net.run(60)
        raw = file.read_bytes()
        found = [Seen(packet) for packet in packets(raw)]
        self.assertEqual(sum(one.inbound for one in found) * 2, len(found))
        self.assertEqual({one.side for one in found}, {0, 1})
        self.assertEqual([block.kind for block in blocks(raw)].count(4), 2)

    def test_nothing_changes(self) -> None:
        """A run with a capture is the run without one."""
        digests = set()
        for kw in ({}, {"capture": folder(self) / "run.pcapng"}):
            with simulate(7, **kw) as net:  # type: ignore[arg-type]
                net.link("client", "server", Fault(Loss(0.3), "loss"), Fault(Latency(0.1), "far"))
                talk(net)
                net.run(60)
                digests.add(net.digest())
        self.assertEqual(len(digests), 1)

    def test_refused(self) -> None:
        """RST is the answer of a port where nobody listens."""
        found = self.run_(lambda net: talk(net, port=81))
        self.assertEqual([one.flags for one in found], [SYN, SYN, RST | ACK, RST | ACK])
        self.assertEqual([one.ack for one in found], [0, 0, 1, 1])

    def test_loss(self) -> None:
        """A segment that is lost is sent again, and both say why."""
        found = self.run_(talk, Loss(0.5))
        left = [one for one in self.said(found, "10.0.0.2", inbound=False) if one.data]
        lost = [one for one in left if one.comment]
        self.assertGreater(len(lost), 0)
        self.assertEqual(len(left), 4 + len(lost))
        for one in lost:
            self.assertRegex(one.comment, r"^dropped by f0, p=0.5, draw 0\.[0-4]\d\d$")
            later = [other for other in left if other.seq == one.seq and other.at > one.at]
            self.assertEqual(later[0].data, one.data)
            self.assertGreaterEqual(round(later[0].at - one.at, 6), 0.2)
        came = [one for one in self.said(found, "10.0.0.2", inbound=True) if one.data]
        self.assertEqual((len(came), self.stream(came), self.stream(left)), (4, DATA, DATA))
        late = {one.seq for one in came if one.comment}
        self.assertEqual(late, {one.seq for one in lost})

    def test_corrupt(self) -> None:
        """Each side shows what was there."""
        found = self.run_(talk, Corrupt(0.5))
        left = self.said(found, "10.0.0.2", inbound=False)
        came = self.said(found, "10.0.0.2", inbound=True)
        self.assertEqual(self.stream(left), DATA)
        wrong = self.stream(came)
        self.assertEqual(len(wrong), len(DATA))
        self.assertEqual(
            sum((a ^ b).bit_count() for a, b in zip(wrong, DATA, strict=True)),
            sum("corrupted by f0" in one.comment for one in left),
        )

    def test_reset(self) -> None:
        """RST comes to both sides, from the fault."""
        found = self.run_(talk, ResetPeer(0.5))
        resets = [one for one in found if one.flags & RST]
        self.assertEqual([one.inbound for one in resets], [True, True])
        self.assertEqual({one.source for one in resets}, {"10.0.0.2", "10.0.0.3"})
        self.assertEqual({one.comment for one in resets}, {"ended by f0, timeout=500"})

    def test_limit(self) -> None:
        """FIN comes to both sides, behind the last byte."""
        found = self.run_(talk, LimitData(2000))
        came = self.said(found, "10.0.0.2", inbound=True)
        self.assertEqual(self.stream(came), DATA[:2000])
        ends = [one for one in found if one.comment == "ended by f0, bytes=2000"]
        self.assertEqual([(one.flags & FIN, one.inbound) for one in ends], [(FIN, True)] * 2)
        cut = [one.comment for one in self.said(found, "10.0.0.2", inbound=False) if one.comment]
        self.assertEqual(cut[0], "dropped by f0, bytes=2000")

    def test_timeout(self) -> None:
        """What is dropped says so, and never arrives."""
        found = self.run_(talk, Timeout(5.0))
        left = [one for one in self.said(found, "10.0.0.2", inbound=False) if one.data]
        self.assertEqual({one.comment for one in left}, {"dropped by f0, timeout=5000"})
        self.assertEqual(self.stream(self.said(found, "10.0.0.2", inbound=True)), b"")

    def test_packet_loss(self) -> None:
        """What comes behind a chunk that was dropped is not taken for that."""

        def scenario(net: Network) -> None:
            """One segment after the other, whether there is an answer or not."""
            net.host("server").reactor.listenTCP(80, Factory.forProtocol(Protocol))
            factory = ClientFactory()
            factory.noisy, factory.protocol = False, Protocol  # type: ignore[assignment]
            connector: Any = net.host("client").reactor.connectTCP("server", 80, factory)
            net.run(1)
            for number in range(20):
                net.at(net.now + number, connector.transport.write, b"%02d" % number)

        found = self.run_(scenario, PacketLoss(0.5))
        left = [one for one in self.said(found, "10.0.0.2", inbound=False) if one.data]
        lost = {one.data for one in left if one.comment}
        self.assertTrue(0 < len(lost) < len(left))
        came = [one for one in self.said(found, "10.0.0.2", inbound=True) if one.data]
        self.assertEqual({one.data for one in came}, {one.data for one in left} - lost)
        self.assertEqual({one.comment for one in came}, {""})

    def test_held(self) -> None:
        """What a fault holds back says so on both sides."""

        def scenario(net: Network) -> None:
            """A way that is cut by a fault for two seconds."""
            net.link("client", "server", Fault(Partition(), "cut", duration=2.0))
            talk(net)

        found = self.run_(scenario)
        for inbound in (False, True):
            seen = [one for one in self.said(found, "10.0.0.2", inbound=inbound) if one.data]
            self.assertEqual({one.comment for one in seen}, {"held back by cut"})
            self.assertEqual(seen[0].at >= 2, inbound)

    def test_partition(self) -> None:
        """What is sent into a cut is lost, and sent again."""

        def scenario(net: Network) -> None:
            """A partition of a second, before anything is sent, and in the middle."""
            net.partition("client", "server")
            net.at(1.0, net.heal, "client", "server")
            net.at(1.0025, net.partition, "client", "server")
            net.at(2.0, net.heal, "client", "server")
            talk(net)
            net.host("client").reactor.listenUDP(0, Send("10.0.0.3"))

        found = self.run_(scenario)
        left = self.said(found, "10.0.0.2", inbound=False)
        self.assertEqual(
            [(one.flags, one.at) for one in left if one.flags & SYN], [(SYN, 0), (SYN, 1)]
        )
        lost = [one for one in left if one.comment]
        self.assertEqual({one.comment for one in lost}, {"dropped by partition"})
        self.assertEqual(sum(one.protocol == 17 for one in lost), 10)
        came = self.said(found, "10.0.0.2", inbound=True)
        self.assertEqual([one for one in came if one.protocol == 17], [])
        self.assertEqual(self.stream(came), DATA)

    def test_hold(self) -> None:
        """What is held comes when it is released, datagrams too."""

        def scenario(net: Network) -> None:
            """Everything waits for a second."""
            net.hold("client", "server")
            net.at(1.0, net.release, "client", "server")
            net.host("client").reactor.listenUDP(0, Send("10.0.0.3", 9))

        found = self.run_(scenario)
        left = self.said(found, "10.0.0.2", inbound=False)
        self.assertEqual([one.comment for one in left], ["held back by hold"] * 10 + [""] * 10)
        came = [one.data for one in self.said(found, "10.0.0.2", inbound=True)]
        self.assertEqual(came, [b"number %d" % number for number in range(10)])

    def test_unreachable_behind_a_cut(self) -> None:
        """ICMP's answer waits for the end of a cut, too."""

        def scenario(net: Network) -> None:
            """The way back is cut."""
            net.partition("server", "client")
            net.at(1.0, net.heal, "server", "client")
            net.host("client").reactor.listenUDP(0, Send("10.0.0.3", 9))

        found = [one for one in self.run_(scenario) if one.protocol == 1]
        self.assertEqual(len(found), 30)
        self.assertEqual([one.comment for one in found[:10]], ["dropped by partition"] * 10)

    def test_udp(self) -> None:
        """Every copy, and what was done to it."""
        found = self.run_(
            lambda net: net.host("client").reactor.listenUDP(0, Send("10.0.0.3")),
            Loss(0.3),
            Duplicate(0.5),
        )
        left = self.said(found, "10.0.0.2", inbound=False)
        came = self.said(found, "10.0.0.2", inbound=True)
        self.assertEqual([one.data for one in left], [b"number %d" % n for n in range(10)])
        lost = [one.data for one in left if one.comment.startswith("dropped by f0, p=0.3, draw ")]
        twice = [one.data for one in left if one.comment.startswith("duplicated by f1, p=0.5")]
        self.assertGreater(min(len(lost), len(twice)), 0)
        expected = [
            one.data for one in left if one.data not in lost for _ in range(1 + (one.data in twice))
        ]
        self.assertEqual([one.data for one in came], expected)
        self.assertEqual({one.data for one in came if one.comment}, set(twice))

    def test_unreachable(self) -> None:
        """ICMP's answer is seen on both sides."""
        found = self.run_(lambda net: net.host("client").reactor.listenUDP(0, Send("10.0.0.3", 9)))
        answers = [one for one in found if one.protocol == 1]
        self.assertEqual([one.inbound for one in answers], [False] * 10 + [True] * 10)

    def test_loopback(self) -> None:
        """What a host says to itself is seen once."""

        def scenario(net: Network) -> None:
            """A host that sends to itself."""
            net.host("client").reactor.listenUDP(0, Send("127.0.0.1", 9))

        found = self.run_(scenario)
        self.assertEqual([one.protocol for one in found], [17] * 10 + [1] * 10)

    def test_nowhere(self) -> None:
        """SYN to an address that no host has leaves, and that is all."""

        def scenario(net: Network) -> None:
            """Connect to it."""
            factory = ClientFactory()
            factory.noisy = False
            net.host("client").reactor.connectTCP("10.9.9.9", 80, factory)

        self.assertEqual([one.flags for one in self.run_(scenario)], [SYN])

    def test_replay(self) -> None:
        """A replay says what was done, without a draw."""
        found = self.run_(talk, Loss(0.5), decisions=Replay.of(Journal()))
        self.assertEqual({one.comment for one in found}, {""})

    def test_no_file(self) -> None:
        """A capture that can't be written is told before anything runs."""
        with self.assertRaises(OSError), simulate(capture=folder(self) / "no" / "where"):
            self.fail("it runs")
