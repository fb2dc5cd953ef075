"""The echo service on streams: in memory, in the simulator, and over real sockets."""

import hashlib
from typing import Any

import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ClientEndpoint,
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.stream import PIECE, READ_AHEAD
from lab.echo.budget import Budget
from lab.echo.pattern import characters
from lab.echo.settings import ServerSettings
from lab.echo.tcp import EchoClient, EchoFactory, EchoProtocol
from lab.echo.wire import LIMIT, read_reply
from lab.errors import RemoteError
from lab.faults.datagrams import Bandwidth, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut, Slicer
from lab.simulator import exhaust, explore, simulate
from lab.simulator.network import Network
from lab.testing import chunkings
from tests.adapters.test_stream import Context
from tests.helpers import captured_logs, folder

PEER = IPv4Address("TCP", "192.0.2.1", 5000)


def whole(length: int, offset: int = 0) -> bytes:
    """All that is sent of a file."""
    text = characters(0, offset, length)
    digest = hashlib.sha256(text).hexdigest().encode()
    return b"200 ready %d\n%s\nsha256 %s\n" % (length, text, digest)


class Peer(Protocol):
    """
    A client that notes what it gets.

    Args:
        said: What it says at once.
        over: Whether that is all.
        reads: Whether it reads.
    """

    def __init__(self, said: bytes, *, over: bool = True, reads: bool = True) -> None:
        self._said, self._over, self._reads = said, over, reads
        self.got = bytearray()
        self.ended: Deferred[bytes] = Deferred()
        self.connected_: Deferred[Peer] = Deferred()

    def connectionMade(self) -> None:
        """Say it."""
        if not self._reads:
            self.transport.pauseProducing()
        self.transport.write(self._said)
        if self._over:
            self.transport.loseWriteConnection()
        self.connected_.callback(self)

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        self.ended.callback(bytes(self.got))


class LatePeer(Peer):
    """One that stops reading at the first bytes: before those there may be a handshake."""

    def __init__(self, said: bytes) -> None:
        super().__init__(said, over=False)
        self.stopped: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Note it, and stop."""
        super().dataReceived(data)
        if not self.stopped.called:
            self.transport.pauseProducing()
            self.stopped.callback(None)


class ProtocolTests(SynchronousTestCase):
    """On a stand-in for a connection."""

    def connect(self, factory: EchoFactory) -> tuple[EchoProtocol, StringTransport]:
        """One more connection."""
        protocol, transport = factory.buildProtocol(PEER), StringTransport(peerAddress=PEER)
        protocol.makeConnection(transport)
        return protocol, transport

    def test_any_chunks(self) -> None:
        """However requests are cut, their answers are the same."""
        said = b"hello\r\n#k 40\necho 5\nstream 0 2\n\nprobe 7 8 xyz\n"
        clock = Clock()
        protocol, transport = self.connect(EchoFactory(clock))
        protocol.dataReceived(said)
        clock.advance(0)
        expected = transport.value()
        self.assertEqual(expected.count(b"\n"), 10)
        for chunks in chunkings(said):
            clock = Clock()
            protocol, transport = self.connect(EchoFactory(clock))
            for chunk in chunks:
                protocol.dataReceived(chunk)
                clock.advance(0)
            clock.pump([0] * 9)
            self.assertEqual(transport.value(), expected)

    def test_shared(self) -> None:
        """Connections share counters and budget; addresses count by their host."""
        factory = EchoFactory(Clock(), ServerSettings(streams=2))
        (one, _), (_two, _), (three, transport) = (self.connect(factory) for _ in range(3))
        for protocol in (one, _two, three):
            protocol.dataReceived(b"stream\n")
        self.assertEqual(transport.value(), b"429 1000 there are 2 streams of this address\n")
        one.connectionLost()
        three.dataReceived(b"stream\n")
        self.assertEqual((factory.counters.streams, factory.budget.running), (3, 2))
        other = factory.buildProtocol(IPv4Address("TCP", "192.0.2.2", 5000))
        other.makeConnection(StringTransport())
        other.dataReceived(b"stream\n")
        self.assertEqual(factory.budget.running, 3)
        budget = Budget(ServerSettings())
        self.assertIs(EchoFactory(Clock(), budget=budget).budget, budget)

    def test_alone(self) -> None:
        """A protocol needs no factory, and no address."""
        clock = Clock()
        transport = StringTransport()
        protocol = EchoProtocol(clock, ServerSettings())
        protocol.makeConnection(transport)
        protocol.dataReceived(b"hello\n")
        self.assertEqual(transport.value(), b"hello\n")
        factory = EchoFactory(clock)
        protocol = factory.buildProtocol(None)
        self.assertIs(protocol.factory, factory)

    def test_nothing_left(self) -> None:
        """A connection that is lost leaves no timer."""
        clock = Clock()
        for said in (b"", b"a\n", b"stream\n", b"1000000\n"):
            protocol, _ = self.connect(EchoFactory(clock))
            protocol.dataReceived(said)
            protocol.connectionLost()
            self.assertEqual(clock.getDelayedCalls(), [])

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=80), max_size=8))
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        """Whatever comes, however it is cut, the next connection is answered."""
        clock = Clock()
        factory = EchoFactory(clock)
        protocol, _ = self.connect(factory)
        for chunk in chunks:
            protocol.dataReceived(chunk)
            clock.advance(0.01)
        protocol.connectionLost()
        protocol, transport = self.connect(factory)
        protocol.dataReceived(b"hello\n")
        self.assertEqual((transport.value(), factory.budget.running), (b"hello\n", 0))


def meet(net: Network, peer: Peer, limits: ServerSettings | None = None) -> EchoFactory:
    """A server, and this client of it."""
    factory = EchoFactory(net.host("server").reactor, limits)
    net.host("server").reactor.listenTCP(50001, factory)
    endpoint = HostnameEndpoint(net.host("client").reactor, "server", 50001)
    endpoint.connect(Factory.forProtocol(lambda: peer)).addErrback(lambda _: None)
    return factory


def file_that_is_cut(net: Network) -> None:
    """A short file on a connection with a cut that is to be placed: what arrives is a prefix."""
    for way in (("client", "server"), ("server", "client")):
        net.link(*way, Fault(Cut(), "cut"))
    peer = Peer(b"60\n", over=False)
    factory = meet(net, peer)
    net.at(5.0, lambda: peer.transport and peer.transport.loseConnection())
    net.run(20)
    if not whole(60).startswith(peer.got):
        raise AssertionError(bytes(peer.got))
    if factory.budget.running or net.host("server").reactor.getDelayedCalls():
        raise AssertionError("something is left")


def bad_network(net: Network) -> None:
    """A file and a stream on a network that loses, delays and cuts in pieces."""
    for way in (("client", "server"), ("server", "client")):
        faults = (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss"), (Slicer(100, 50), "slicer")
        net.link(*way, *(Fault(*of) for of in faults))
    if net.seed % 2:
        net.at(0.3, net.partition, "server", "client")
        net.at(3.0, net.heal, "server", "client")
    peer = Peer(b"hello\n50000\nstream 10 20 200\n7\n")
    meet(net, peer)
    got = net.run_until(peer.ended, limit=600)
    head, tail = b"hello\n" + whole(50_000), whole(7)
    if not (got.startswith(head) and got.endswith(tail)):
        raise AssertionError("a file is wrong")
    *packets, end = map(read_reply, got[len(head) : -len(tail)].splitlines())
    if [one.seq for one in packets] != list(range(20)) or end.count != 20:
        raise AssertionError("a stream is wrong")


class SimulatedTests(SynchronousTestCase):
    """On virtual networks."""

    def test_times(self) -> None:
        """Packets come at their times and one way later, and what follows comes behind them."""
        times = []

        class Timed(Peer):
            """Notes when."""

            def dataReceived(self, data: bytes) -> None:
                """At this time."""
                times.append(round(net.now, 6))

        with simulate(7) as net:
            peer = Timed(b"stream 100 5\nhello\n")
            factory = meet(net, peer)
            net.run_until(peer.ended)
            begin = times[0]
            steps = [0, 0.1, 0.2, 0.3, 0.4]
            self.assertEqual([round(at - begin, 6) for at in times[:5]], steps)
            self.assertEqual(factory.budget.running, 0)

    def test_ten_thousand(self) -> None:
        """10,000 packets, one a millisecond, end at 9.999 s, though the way is slow."""
        with simulate(7) as net:
            net.link("server", "client", Fault(Latency(0.2), "late"))
            peer = Peer(b"stream 1 10000\n")
            meet(net, peer, ServerSettings(packets=10_000))
            got = net.run_until(peer.ended, limit=60).splitlines()
            self.assertEqual(got[-1], b"end 10000 0 0 0")
            first, last = (read_reply(got[n]).sent_ns for n in (0, 9999))
            self.assertApproximates(last - first, 9_999_000_000, 10)

    def test_cut_at_every_byte(self) -> None:
        """Wherever a connection is cut: what arrives is a prefix, and nothing is left behind."""
        self.assertGreater(exhaust(file_that_is_cut), 130)

    def test_bad_network(self) -> None:
        """On bad networks all arrives, in order."""
        self.assertEqual(explore(bad_network, range(20)), 20)

    def test_slow_link(self) -> None:
        """A slow way takes its time, and the server holds little meanwhile."""
        with simulate(7) as net:
            net.link("server", "client", Fault(Bandwidth(1_000_000.0), "slow"))
            peer = Peer(b"5000000\n")
            meet(net, peer)
            held = []
            net.always("little is held", lambda: held.append(holds(net)) or max(held) < 600_000)
            got = net.run_until(peer.ended, limit=60)
            self.assertEqual(got, whole(5_000_000))
            self.assertGreater(net.now, 4.9)

    def test_reads_nothing(self) -> None:
        """A client that reads nothing costs the same for a file of any size, and a stream."""
        for said in (b"123456789\n", b"stream 0 1000 65507\n", b"stream 1 1000 65507\n"):
            with simulate(7) as net:
                peer = Peer(said, reads=False)
                factory = meet(net, peer)
                net.run(100)
                self.assertLess(holds(net), PIECE + READ_AHEAD)
                self.assertEqual(factory.budget.running, 1)
                net.run(400)
                # It is let go in the end, and its place is free.
                self.assertEqual((factory.budget.running, holds(net)), (0, 0))

    def test_text_read_late(self) -> None:
        """Who takes nothing for a minute gets every byte of his text; the server holds little."""
        said = b"".join(b"%05d %s\n" % (number, b"x" * 994) for number in range(4000))
        with simulate(7) as net:
            peer = Peer(said, reads=False)
            meet(net, peer)
            net.run(60)
            self.assertEqual((bytes(peer.got), holds(net) < 2**21), (b"", True))
            peer.transport.resumeProducing()
            self.assertEqual(net.run_until(peer.ended, limit=60), said)

    def test_reads_late(self) -> None:
        """One that reads late misses nothing of a file, and packets are late and not lost."""
        with simulate(7) as net:
            peer = Peer(b"2000000\nstream 1 1000 1000\n", reads=False)
            meet(net, peer)
            net.run(100)
            peer.transport.resumeProducing()
            got = net.run_until(peer.ended, limit=60)
            head = whole(2_000_000)
            self.assertTrue(got.startswith(head))
            end = read_reply(got.splitlines()[-1])
            self.assertEqual(end.count, 1000)
            peer = Peer(b"stream 1 1000 1000\n", reads=False)
            endpoint = TCP4ClientEndpoint(net.host("client").reactor, "server", 50001)
            endpoint.connect(Factory.forProtocol(lambda: peer))
            net.run(5)
            peer.transport.resumeProducing()
            end = read_reply(net.run_until(peer.ended).splitlines()[-1])
            self.assertEqual(end.count, 1000)
            self.assertGreater(end.missed, 300)
            self.assertGreater(end.max_ns, 3_000_000_000)

    def test_echoes_to_nobody(self) -> None:
        """Megabytes that are to come back to one that reads nothing are not taken from it."""
        for line in (b"x" * 60_000 + b"\n", b"x" * 100 + b"\n", b"\n"):
            with simulate(7) as net:
                said = line * (2_000_000 // len(line))
                peer = Peer(said, reads=False)
                meet(net, peer)
                net.run(10)
                self.assertLess(holds(net), 4 * LIMIT)
                peer.transport.resumeProducing()
                self.assertEqual(net.run_until(peer.ended, limit=60), said)

    def test_quit_of_a_slow_reader(self) -> None:
        """Who has said quit may take what was due before it slowly: it is not cut."""
        with simulate(7) as net:
            peer = Peer(b"400000\nquit\n", over=False, reads=False)
            meet(net, peer)
            net.run(1)
            for _ in range(10):
                peer.transport.resumeProducing()
                net.run(0.001)
                peer.transport.pauseProducing()
                net.run(4)
            peer.transport.resumeProducing()
            self.assertEqual(net.run_until(peer.ended, limit=10), whole(400_000))

    def test_quit(self) -> None:
        """A quit in a stream ends it with what there was, and then the connection."""
        with simulate(7) as net:
            peer = Peer(b"stream 100 1000\n", over=False)
            meet(net, peer)
            net.run(1.05)
            peer.transport.write(b"hello\nquit\nnever\n")
            got = net.run_until(peer.ended, limit=1).splitlines()
            self.assertEqual([line.split()[0] for line in got[-3:]], [b"packet", b"end", b"hello"])
            self.assertEqual(read_reply(got[-2]).count, len(got) - 2)


def holds(net: Network) -> int:
    """Bytes that the server holds for its peers: to be sent, and lines and bodies that wait."""
    total = 0
    for end in net.host("server").ends:
        total += len(end._buffer)
        if isinstance(end.protocol, EchoProtocol):
            total += sum(map(len, end.protocol._lines)) + len(end.protocol._reader._rest)
    return total


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 30

    async def serve(self, endpoint: IStreamServerEndpoint, **words: Any) -> Any:
        """A server that ends with the test."""
        self.factory = EchoFactory(real_reactor, ServerSettings(**words))
        port = await endpoint.listen(self.factory)
        self.addCleanup(port.stopListening)
        return port.getHost()

    async def ask(self, endpoint: IStreamClientEndpoint, peer: Peer) -> Peer:
        """A client of it."""
        await endpoint.connect(Factory.forProtocol(lambda: peer))
        return await peer.connected_

    async def test_all(self) -> None:
        """Text, a file, a stream, and the end when the client has said that it is over."""
        place = await self.serve(serverFromString(real_reactor, "tcp:0:interface=127.0.0.1"))
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port)
        peer = await self.ask(endpoint, Peer(b"hello\n3000000\nstream 1 20 200\n"))
        got = await peer.ended
        head = b"hello\n" + whole(3_000_000)
        self.assertTrue(got.startswith(head))
        *packets, end = map(read_reply, got[len(head) :].splitlines())
        self.assertEqual([one.seq for one in packets], list(range(20)))
        self.assertEqual(end.count, 20)

    def watch(self) -> Deferred[EchoProtocol]:
        """Fires when the server's protocol is told that its peer does not read."""
        paused: Deferred[EchoProtocol] = Deferred()
        build = self.factory.buildProtocol

        def building(addr: Any) -> EchoProtocol:
            """Build one that says so."""
            protocol = build(addr)
            pause = protocol.pauseProducing

            def pausing() -> None:
                """The first time that a body waits."""
                pause()
                if not paused.called:
                    paused.callback(protocol)

            protocol.pauseProducing = pausing
            return protocol

        self.factory.buildProtocol = building
        return paused

    async def late(self, endpoint: IStreamClientEndpoint) -> None:
        """A client that reads nothing at first, and then gets every byte."""
        paused = self.watch()
        peer = LatePeer(b"20000000\nhello\nquit\n")
        await self.ask(endpoint, peer)
        await peer.stopped
        protocol = await paused
        self.assertTrue(protocol._driver.busy())
        peer.transport.resumeProducing()
        self.assertEqual(await peer.ended, whole(20_000_000) + b"hello\n")

    async def test_late(self) -> None:
        """Over TCP."""
        place = await self.serve(serverFromString(real_reactor, "tcp:0:interface=127.0.0.1"))
        await self.late(TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port))

    async def test_late_unix(self) -> None:
        """Over a Unix socket."""
        path = folder(self) / "socket"
        await self.serve(serverFromString(real_reactor, f"unix:{path}"))
        await self.late(clientFromString(real_reactor, f"unix:{path}"))

    async def test_late_tls(self) -> None:
        """Over TLS."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(ours)
        listens = SSL4ServerEndpoint(real_reactor, 0, Context(ours), interface="127.0.0.1")
        port = (await self.serve(listens)).port
        await self.late(SSL4ClientEndpoint(real_reactor, "127.0.0.1", port, Context(theirs)))

    async def client(self, endpoint: IStreamClientEndpoint) -> None:
        """A client of ours: a text, limits, a file, a stream, probes, and a text again."""
        client = EchoClient(real_reactor, endpoint)
        self.addCleanup(client.close)
        self.assertEqual(await client.echo(b"stream 10"), b"stream 10")
        self.assertEqual((await client.limits()).packets, 1000)
        parts: list[bytes] = []
        received = await client.file(3_000_000, lambda offset, data: parts.append(data))
        self.assertTrue(received.confirmed)
        self.assertEqual(b"".join(parts), characters(0, 0, 3_000_000))
        asked = client.stream(0.001, 50, 200), client.probe(0.001, 50, 200)
        stream, probes = [await one for one in asked]
        self.assertEqual((stream.report.received, stream.ended), (50, True))
        self.assertEqual((probes.report.answered, probes.ended), (50, True))
        self.assertEqual(await client.echo(b"hello"), b"hello")

    async def test_client(self) -> None:
        """Over TCP."""
        place = await self.serve(serverFromString(real_reactor, "tcp:0:interface=127.0.0.1"))
        await self.client(TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port))

    async def test_client_unix(self) -> None:
        """Over a Unix socket."""
        path = folder(self) / "socket"
        await self.serve(serverFromString(real_reactor, f"unix:{path}"))
        await self.client(clientFromString(real_reactor, f"unix:{path}"))

    async def test_client_tls(self) -> None:
        """Over TLS."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(ours)
        listens = SSL4ServerEndpoint(real_reactor, 0, Context(ours), interface="127.0.0.1")
        port = (await self.serve(listens)).port
        await self.client(SSL4ClientEndpoint(real_reactor, "127.0.0.1", port, Context(theirs)))

    async def test_client_slow(self) -> None:
        """A client whose writer takes its time reads no more meanwhile, and misses nothing."""
        place = await self.serve(serverFromString(real_reactor, "tcp:0:interface=127.0.0.1"))
        paused = self.watch()
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port)
        client = EchoClient(real_reactor, endpoint)
        self.addCleanup(client.close)
        parts: list[bytes] = []
        asked = client.file(
            20_000_000, lambda offset, data: parts.append(data) or (paused if not offset else None)
        )
        self.assertTrue((await asked).confirmed)
        self.assertTrue(paused.called)
        self.assertEqual(sum(map(len, parts)), 20_000_000)

    async def test_client_refuses_endless_lines(self) -> None:
        """A server whose line does not end is let go, without a word in the log."""

        class Endless(Protocol):
            """Says nothing but nines."""

            def dataReceived(self, data: bytes) -> None:
                """More of them."""
                self.transport.write(b"9" * 70_000)

        listens = serverFromString(real_reactor, "tcp:0:interface=127.0.0.1")
        port = await listens.listen(Factory.forProtocol(Endless))
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", port.getHost().port)
        client = EchoClient(real_reactor, endpoint)
        self.addCleanup(client.close)
        with captured_logs() as events:
            for asked in (
                client.echo(b"hello"),
                client.limits(),
                client.stream(0.01, 10, 64),
                client.probe(0.01, 10, 64),
                client.file(10, bool),
            ):
                with self.assertRaises(RemoteError):
                    await asked
        self.assertEqual([event for event in events if event["log_namespace"][:3] == "lab"], [])
