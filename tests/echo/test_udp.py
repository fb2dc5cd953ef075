"""The echo service on datagrams: in the simulator, and over real sockets."""

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.echo.budget import Budget
from lab.echo.pattern import characters
from lab.echo.settings import ServerSettings
from lab.echo.udp import EchoClient, EchoDatagramProtocol
from lab.echo.wire import (
    LIMIT,
    Challenge,
    Data,
    FileEnd,
    Packet,
    Ready,
    StreamEnd,
    WireError,
    encode,
    read_reply,
    read_request,
)
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.simulator import exhaust, explore, simulate
from lab.simulator.network import Network
from lab.wire.tokens import ALLOWED, HEADERS

PORT = 50001
KEY = b"0123456789abcdef"
Address = tuple[str, int]


class Peer(DatagramProtocol):
    """
    Says something, again and again until there is an answer, with the token that it is told.

    Args:
        clock: When to say it again; None for once.
        place: To whom.
        said: What.
    """

    def __init__(self, clock: Any, place: Address, said: bytes) -> None:
        self._clock, self._place, self._said = clock, place, said
        self.id = read_request(said).id
        self.got: list[bytes] = []
        self.times: list[float] = []
        self.asked = 0
        self.ended: Deferred[None] = Deferred()

    def startProtocol(self) -> None:
        """Begin."""
        self.ask()

    def ask(self) -> None:
        """Say it, and again if there is no answer."""
        if not self.got and self.transport is not None:
            self.asked += 1
            self.transport.write(self._said, self._place)
            if self._clock is not None:
                self._clock.callLater(0.3, self.ask)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """An answer."""
        try:
            reply: Any = read_reply(datagram)
        except WireError:
            reply = None
        if isinstance(reply, Challenge):
            if not self._said.startswith(b"token="):
                self._said = b"token=%s %s" % (reply.token, self._said)
                self.transport.write(self._said, self._place)
            return
        self.got.append(datagram)
        if self._clock is not None:
            self.times.append(self._clock.seconds())
        if isinstance(reply, StreamEnd | FileEnd) and not self.ended.called:
            self.ended.callback(None)


def serve(net: Network, limits: ServerSettings | None = None) -> EchoDatagramProtocol:
    """A server."""
    reactor = net.host("server").reactor
    protocol = EchoDatagramProtocol(reactor, limits, key=KEY)
    reactor.listenUDP(PORT, protocol, maxPacketSize=65_535)
    return protocol


def ask(net: Network, said: bytes, name: str = "client", *, again: bool = True) -> Peer:
    """A client of it."""
    reactor = net.host(name).reactor
    place = net.host("server").address, PORT
    peer = Peer(reactor if again else None, place, said)
    reactor.listenUDP(0, peer, maxPacketSize=65_535)
    return peer


def check(peer: Peer, offset: int, length: int) -> int:
    """What came is of this part; returns how many characters did."""
    replies = [read_reply(datagram) for datagram in peer.got]
    pieces = {one.offset: one.characters for one in replies if isinstance(one, Data)}
    for at, piece in pieces.items():
        if piece != characters(0, at, len(piece)) or not offset <= at < offset + length:
            raise AssertionError("a piece is wrong")
    whole = hashlib.sha256(characters(0, offset, length)).hexdigest()
    for one in replies:
        if isinstance(one, FileEnd) and one.sha256 != whole:
            raise AssertionError("a digest is wrong")
        if isinstance(one, Ready) and one.length != length:
            raise AssertionError("a length is wrong")
    return sum(map(len, pieces.values()))


def bad_network(net: Network) -> None:
    """A file and a stream where datagrams are lost, come twice, and in another order."""
    for way in (("client", "server"), ("server", "client")):
        faults: list[Any] = [Latency(0.02, 0.01), Loss(0.2), Duplicate(0.1), Reorder(0.1)]
        net.link(*way, *(Fault(one, f"{n}") for n, one in enumerate(faults)))
    if net.seed % 3 == 0:
        net.at(0.2, net.partition, "server", "client")
        net.at(0.6, net.heal, "server", "client")
    server = serve(net)
    peer, other = ask(net, b"#f 30000"), ask(net, b"#s stream 10 50 100")
    net.sometimes("a stream is told again", lambda: other.asked > 2)
    net.sometimes("most of a file comes", lambda: len(peer.got) > 24)
    net.sometimes("most of a stream comes", lambda: len(other.got) > 45)
    net.run(30)
    if server.counters.files > 1 or server.counters.streams > 1 or server.budget.running:
        raise AssertionError("what was asked for once has begun twice, or not ended")
    check(peer, 0, 30_000)
    seen = [read_reply(datagram) for datagram in other.got]
    for end in (one for one in seen if isinstance(one, StreamEnd)):
        if end.count != 50:
            raise AssertionError(end)


def asked_once(net: Network) -> None:
    """A short file with faults that are to be placed: it begins once, and no digest lies."""
    faults = (Loss(), "loss"), (Duplicate(), "twice"), (Reorder(), "order")
    for way in (("client", "server"), ("server", "client")):
        net.link(*way, *(Fault(*of) for of in faults))
    server = serve(net)
    peer = ask(net, b"#f 3000")
    net.run(5)
    if server.counters.files != 1:
        raise AssertionError(server.counters)
    if check(peer, 0, 3000) < 3000 - 2 * 1200:
        raise AssertionError("more is lost than was")
    if not any(isinstance(read_reply(datagram), FileEnd) for datagram in peer.got):
        raise AssertionError("the end is lost, though it is told three times")


class SimulatedTests(SynchronousTestCase):
    """On virtual networks."""

    def test_times(self) -> None:
        """Packets come at their times and one way later, and the end three times."""
        with simulate(7) as net:
            serve(net)
            peer = ask(net, b"#k stream 100 5 80")
            net.run(2)
            begin = peer.times[0]
            steps = [round(at - begin, 6) for at in peer.times]
            self.assertEqual(steps, [0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.45, 0.6])
            self.assertEqual({len(datagram) for datagram in peer.got[:5]}, {80})
            self.assertEqual(peer.got[5:], [b"#k end 5 0 0 0"] * 3)

    def test_any_size(self) -> None:
        """Text of any size comes back byte for byte."""
        for size in (0, 1, 1200, 8193, LIMIT):
            with simulate(7) as net:
                serve(net)
                said = (b"\x00\xff\r\n" * (size // 4 + 1))[:size]
                peer = ask(net, said)
                net.run(1)
                self.assertEqual(peer.got, [said])

    def test_bad_network(self) -> None:
        """On bad networks what is asked for once begins once, and what comes is right."""
        self.assertEqual(explore(bad_network, range(40)), 40)

    def test_each_fault(self) -> None:
        """So it is with each loss, duplicate and reorder of a short file."""
        self.assertGreater(exhaust(asked_once), 20)

    def test_spoofed(self) -> None:
        """Who invents a sender has the victim sent at most three times his own bytes."""
        asks = [b"stream 0 1000 65507", b"123456789", b"#k file 1000000", b"limits", b"counts"]
        asks += [b"hello" * 100, b"probe 1 1", b"1", b"", b"x", b"quit", b"stream 1 9999999"]
        with simulate(7) as net:
            server, victim = serve(net, ServerSettings(packets=10**9)), ask(net, b"hello")
            own = ask(net, b"#k stream 1000 5", "attacker")
            net.run(1)
            token = own._said.split(b" ")[0]  # the attacker's own, which proves nothing here
            address = net.host("client").address, victim.transport.getHost().port
            victim.got.clear()
            spent = 0
            for number in range(2000):
                said = asks[number % len(asks)]
                data = token + b" " + said if number % 3 == 0 else said
                spent += len(data) + HEADERS
                net.at(1 + number / 1000, server.datagramReceived, data, address)
            most = [0]

            def bounded() -> bool:
                """What the victim was sent."""
                most[0] = sum(len(one) + HEADERS for one in victim.got)
                return most[0] <= ALLOWED * spent

            net.always("no amplification", bounded)
            net.run(20)
            self.assertGreater(most[0], 1000)
            self.assertEqual((server.counters.streams, server.counters.files), (1, 0))

    def test_peers_have_their_time(self) -> None:
        """While one has a stream as fast as it goes, others are answered at once."""
        with simulate(7) as net:
            serve(net)
            greedy = ask(net, b"#k stream 0 1000 10000")
            net.run(0.01)
            delays = []
            for _ in range(20):
                asked = net.now
                other = ask(net, b"hello", "other")
                net.run_until(_first(other, net))
                delays.append(net.now - asked)
                net.run(0.01)
            self.assertLess(max(delays), 0.01)
            net.run(5)
            self.assertEqual(sum(len(one) == 10_000 for one in greedy.got), 1000)

    def test_quit(self) -> None:
        """A quit stops what runs for this peer, and for no other."""
        with simulate(7) as net:
            server = serve(net)
            one, two = ask(net, b"#a stream 100 100"), ask(net, b"#a stream 100 100")
            net.run(1)
            one.transport.write(b"quit", one._place)
            net.run(20)
            self.assertLess(len(one.got), 20)
            self.assertEqual(len(two.got), 103)
            self.assertEqual(server.budget.running, 0)

    def test_forgotten(self) -> None:
        """Of peers that are silent nothing is kept, and none is left running."""
        with simulate(7) as net:
            server = serve(net, ServerSettings(idle=20.0))
            for number in range(20):
                ask(net, b"#k stream 100 5", f"client{number}")
            net.run(10)
            self.assertEqual(len(server._drivers), 20)
            net.run(60)
            self.assertEqual((len(server._drivers), server.budget.running), (0, 0))
            self.assertEqual(net.host("server").reactor.getDelayedCalls(), [])

    def test_servers_are_not_answered(self) -> None:
        """Two servers that somebody sets on each other do not talk for ever."""
        with simulate(7) as net:
            one = serve(net)
            reactor = net.host("other").reactor
            two = EchoDatagramProtocol(reactor)
            reactor.listenUDP(PORT, two, maxPacketSize=65_535)
            one.datagramReceived(b"hello", (net.host("other").address, PORT))
            one.transport.write(b"hello", (net.host("other").address, PORT))
            one.datagramReceived(b"hello", (net.host("other").address, 19))
            net.run(10)
            self.assertEqual((one.ignored, two.ignored), (2, 1))
            self.assertEqual((one.counters.echoed, two.counters.echoed), (0, 0))


def _first(peer: Peer, net: Network) -> Deferred[None]:
    """Fires when the peer has an answer."""
    answered: Deferred[None] = Deferred()
    receive = peer.datagramReceived

    def received(datagram: bytes, addr: Address) -> None:
        """It has."""
        receive(datagram, addr)
        if not answered.called:
            answered.callback(None)

    peer.datagramReceived = received  # type: ignore[method-assign]
    return answered


class Port:
    """A UDP port without a network."""

    def __init__(self, protocol: DatagramProtocol) -> None:
        self.protocol = protocol
        self.sent: list[bytes] = []
        protocol.makeConnection(self)

    def write(self, datagram: bytes, addr: Address | None = None) -> None:
        """Note it."""
        self.sent.append(datagram)

    def getHost(self) -> Any:
        """Our address."""
        return type("Here", (), {"port": PORT})


class ProtocolTests(SynchronousTestCase):
    """On a stand-in for a port."""

    def test_shared(self) -> None:
        """Peers share counters and budget, and a budget may be shared with another server."""
        budget = Budget(ServerSettings())
        server = EchoDatagramProtocol(Clock(), budget=budget)
        Port(server)
        for port in range(5000, 5010):
            server.datagramReceived(b"hello", ("192.0.2.1", port))
        self.assertEqual(server.counters.echoed, 10)
        self.assertIs(server.budget, budget)

    def test_ends(self) -> None:
        """A port that is closed leaves nothing in the reactor, and no place taken."""
        clock = Clock()
        server = EchoDatagramProtocol(clock, key=KEY)
        port = Port(server)
        peer = "192.0.2.1", 5000
        server.datagramReceived(b"stream", peer)
        token = read_reply(port.sent[0]).token
        server.datagramReceived(b"token=%s stream" % token, peer)
        self.assertEqual(server.budget.running, 1)
        server.stopProtocol()
        self.assertEqual((clock.getDelayedCalls(), server.budget.running), ([], 0))

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=100), max_size=20))
    def test_any_bytes(self, datagrams: list[bytes]) -> None:
        """Whatever comes, nothing raises, and each but a quit has one answer."""
        server = EchoDatagramProtocol(Clock())
        port = Port(server)
        for number, datagram in enumerate(datagrams):
            server.datagramReceived(datagram, ("192.0.2.1", 5000))
            self.assertEqual(len(port.sent), number + 1)


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 30

    def setUp(self) -> None:
        """A server that ends with the test."""
        self.server = EchoDatagramProtocol(real_reactor)
        port = DatagramServerEndpoint(real_reactor, 0, "127.0.0.1").listen(self.server)
        self.addCleanup(port.stopListening)
        self.place = "127.0.0.1", port.getHost().port

    def ask(self, said: bytes) -> Peer:
        """A client that ends with the test."""
        peer = Peer(None, self.place, said)
        port = real_reactor.listenUDP(0, peer, interface="127.0.0.1", maxPacketSize=65_535)
        self.addCleanup(port.stopListening)
        return peer

    async def test_any_size(self) -> None:
        """Text of any size comes back byte for byte."""
        for size in (0, 1, 1200, 8193, LIMIT):
            said = (b"\x00\xff\r\n" * (size // 4 + 1))[:size]
            peer = self.ask(said)
            answered = _first(peer, None)
            await answered
            self.assertEqual(peer.got, [said])

    async def test_stream_and_file(self) -> None:
        """A stream and a file at the same time, each with its token, each whole."""
        one, two = self.ask(b"#s stream 2 30 500"), self.ask(b"#f file 200000 1000 100000 0")
        await one.ended
        await two.ended
        self.assertEqual(check(two, 1000, 100_000), 100_000)
        packets = [read_reply(datagram) for datagram in one.got]
        self.assertEqual(
            [packet.seq for packet in packets if isinstance(packet, Packet)], list(range(30))
        )
        self.assertEqual({len(datagram) for datagram in one.got[:30]}, {500})
        self.assertEqual(encode(packets[0]), one.got[0])

    async def test_client(self) -> None:
        """A client of ours: texts, limits, a file, a stream, probes."""
        client = EchoClient(real_reactor, DatagramClientEndpoint(real_reactor, *self.place))
        self.addCleanup(client.close)
        for text in (b"", b"hello\r\n", b"stream 10", b"\xff" * (LIMIT - 12)):
            self.assertEqual(await client.echo(text), text)
        self.assertEqual((await client.limits()).packets, 1000)
        parts: dict[int, bytes] = {}
        received = await client.file(300_000, parts.__setitem__, reliable=True)
        self.assertTrue(received.whole)
        self.assertEqual(b"".join(parts[at] for at in sorted(parts)), characters(0, 0, 300_000))
        asked = client.stream(0.002, 50, 200), client.probe(0.002, 50, 200)
        stream, probes = [await one for one in asked]
        self.assertEqual((stream.report.packets, stream.ended), (50, True))
        self.assertEqual((probes.report.sent, probes.ended), (50, True))
