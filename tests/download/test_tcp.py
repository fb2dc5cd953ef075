"""The download service on streams: in memory, in the simulator, and over real sockets."""

import hashlib
import os
import resource
from pathlib import Path
from random import Random
from typing import Any

import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ClientEndpoint,
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.stream import PIECE, READ_AHEAD
from lab.download import connection, digests
from lab.download.catalogue import Catalogue
from lab.download.disk import Disk
from lab.download.landing import Landing
from lab.download.memory import MemoryCatalogue
from lab.download.outcomes import Fetched, NoRoom, Progress, Rejected
from lab.download.settings import ClientSettings, ServerSettings
from lab.download.shared import Client, Transfer
from lab.download.tcp import DownloadClient, DownloadFactory, DownloadProtocol, show_peer
from lab.download.wire import LIMIT, Entry, encode
from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut, Slicer
from lab.simulator import exhaust, explore, simulate
from lab.simulator.network import Network
from lab.testing import chunkings
from tests.adapters.test_stream import Context, Transport
from tests.echo.test_tcp import LatePeer, Peer
from tests.helpers import captured_logs, folder

PEER = IPv4Address("TCP", "192.0.2.1", 5000)
FILES = {"a": b"0123456789", "b": b"", "c d": b"x" * 300}


def content(data: bytes, files: Any, name: str) -> bytes:
    """The reply to a get."""
    return b"200 %d %s\n%s" % (len(data), files.open(name).tag.encode(), data)


class ProtocolTests(SynchronousTestCase):
    """On a stand-in for a connection."""

    def setUp(self) -> None:
        """A clock, which has no threads, and files."""
        self.clock = Clock()
        self.files = MemoryCatalogue(FILES)

    def connect(
        self, factory: DownloadFactory, address: Any = PEER
    ) -> tuple[DownloadProtocol, Transport]:
        """One more connection."""
        protocol = factory.buildProtocol(address)
        transport = Transport(room=10**9)
        transport.peerAddr = address
        protocol.makeConnection(transport)
        return protocol, transport

    def test_any_chunks(self) -> None:
        """However requests are cut, their answers are the same."""
        said = b"get a\nlist a\nstat a\r\nget b\nhashes a\nget c%20d 290\nget x\n\n"
        digest = hashlib.sha256(FILES["a"]).hexdigest()
        tag = self.files.open("a").tag
        expected = content(FILES["a"], self.files, "a") + b"200 1\n10 0 a\n"
        expected += f"200 10 0 {tag} {digest}\n".encode() + content(b"", self.files, "b")
        expected += f"200 10 {tag} 1048576 1\n{digest}\n".encode()
        expected += content(b"x" * 10, self.files, "c d")
        expected += b"404 there is no file 'x'\n"
        expected += b"300 request is ''; give one of list, stat, get, hashes, quit\n"
        for chunks in chunkings(said):
            protocol, transport = self.connect(DownloadFactory(self.clock, self.files))
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.clock.pump([0] * 30)
            self.assertEqual(transport.value(), expected)
            self.assertEqual(transport.producerState, "producing")
            protocol.connectionLost()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connections(self) -> None:
        """So many connections of an address, and in all; others are told so, and let go."""
        factory = DownloadFactory(
            self.clock, self.files, ServerSettings(connections=1, total_connections=2)
        )
        self.connect(factory)
        _, transport = self.connect(factory)
        text = b"429 1000 there are 1 connections of this address\n"
        self.assertEqual((transport.value(), transport.half_closed), (text, True))
        other = IPv4Address("TCP", "192.0.2.2", 5000)
        _, transport = self.connect(factory, other)
        text = b"429 1000 there are 2 connections in all\n"
        self.assertEqual((transport.value(), transport.half_closed), (text, True))
        for protocol in list(factory.connected.values()):
            protocol.connectionLost()
        self.assertEqual(factory.shared.connections.taken, 0)
        _, transport = self.connect(factory)
        self.assertEqual((transport.value(), factory.counters.busy), (b"", 2))
        self.assertEqual(self.clock.getDelayedCalls()[:-1], [])

    def test_seen(self) -> None:
        """Who is there and what is on its way can be seen; counters go on."""
        self.clock.advance(5)
        self.files.put("large", bytes(10**6))
        factory = DownloadFactory(self.clock, self.files)
        self.assertEqual((factory.clients(), factory.transfers()), ([], []))
        one, transport = self.connect(factory)
        transport.producer.pauseProducing()
        protocol, transport = self.connect(factory, IPv6Address("TCP", "::1", 5))
        protocol.dataReceived(b"get large 100\n")
        transport.producer.pauseProducing()
        self.clock.advance(1)
        idle, busy = factory.clients()
        self.assertEqual(idle, Client(1, "192.0.2.1:5000", 5.0, 0, 0, "", None))
        sent = 4 * PIECE
        transfer = Transfer(2, "large", 10**6, 100, 10**6 - 100, sent, sent, 5.0)
        self.assertEqual(busy, Client(2, "[::1]:5", 5.0, 1, sent, "get large", transfer))
        self.assertEqual(factory.transfers(), [transfer])
        self.assertEqual(factory.counters.read_bytes, sent)
        one.connectionLost()
        self.assertEqual([client.number for client in factory.clients()], [2])
        protocol.connectionLost()
        self.assertEqual((factory.clients(), factory.shared.transfers.taken), ([], 0))
        self.assertEqual(show_peer(UNIXAddress(None)), "unix")

    def test_disconnect(self) -> None:
        """A client may be cut."""
        factory = DownloadFactory(self.clock, self.files)
        _, transport = self.connect(factory)
        self.assertFalse(factory.disconnect(2))
        self.assertFalse(transport.aborted)
        self.assertTrue(factory.disconnect(1))
        self.assertTrue(transport.aborted)

    def test_gone(self) -> None:
        """Who goes takes what it wanted with it, whatever that is."""
        for said in (b"", b"a\n", b"get a\n", b"list\n", b"hashes a\nget b\n", b"quit\n"):
            factory = DownloadFactory(self.clock, self.files)
            protocol, _ = self.connect(factory)
            protocol.dataReceived(said)
            protocol.connectionLost()
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual((len(factory.workshop), factory.shared.transfers.taken), (0, 0))
            self.assertEqual(factory.counters.hashed, 0)

    def test_shorter(self) -> None:
        """A file that becomes shorter ends the connection at once."""
        self.files.put("large", bytes(10**6))
        factory = DownloadFactory(self.clock, self.files)
        protocol, transport = self.connect(factory)
        protocol.dataReceived(b"get large\nget a\n")
        self.files.write("large", b"")
        with captured_logs() as events:
            self.clock.advance(0)
        self.assertTrue(transport.aborted)
        reasons = [event.get("reason") for event in events]
        self.assertIn("get large can't be read: it is shorter than it was", reasons)
        self.assertLess(len(transport.value()), 10**6)

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=80), max_size=8))
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        """Whatever comes, however it is cut, the next connection is answered."""
        factory = DownloadFactory(self.clock, self.files)
        protocol, _ = self.connect(factory)
        for chunk in chunks:
            protocol.dataReceived(chunk)
            self.clock.advance(0.01)
        protocol.connectionLost()
        protocol, transport = self.connect(factory)
        protocol.dataReceived(b"get a\n")
        self.assertEqual(transport.value(), content(FILES["a"], self.files, "a"))
        protocol.connectionLost()
        self.assertEqual(factory.shared.transfers.taken, 0)


def meet(
    net: Network, peer: Peer, limits: ServerSettings | None = None, large: int = 10**6
) -> DownloadFactory:
    """A server with a large file, and this client of it."""
    files = MemoryCatalogue({**FILES, "large": pattern(large)})
    factory = DownloadFactory(net.host("server").reactor, files, limits)
    net.host("server").reactor.listenTCP(50002, factory)
    join(net, "client", peer)
    return factory


def join(net: Network, host: str, peer: Peer) -> None:
    """A client of that server."""
    endpoint = HostnameEndpoint(net.host(host).reactor, "server", 50002)
    endpoint.connect(Factory.forProtocol(lambda: peer)).addErrback(lambda _: None)


def pattern(size: int) -> bytes:
    """Bytes of which none is where another could be."""
    return b"".join(b"%07d\n" % n for n in range(size // 8 + 1))[:size]


def file_that_is_cut(net: Network) -> None:
    """A short file on a connection with a cut that is to be placed: what arrives is a prefix."""
    for way in (("client", "server"), ("server", "client")):
        net.link(*way, Fault(Cut(), "cut"))
    peer = Peer(b"get a\nstat a\n", over=False)
    factory = meet(net, peer, large=0)
    net.at(5.0, lambda: peer.transport and peer.transport.loseConnection())
    net.run(20)
    whole = content(FILES["a"], factory.files, "a")
    if not whole.startswith(peer.got[: len(whole)]):
        raise AssertionError(bytes(peer.got))
    if factory.shared.transfers.taken or factory.connected or len(factory.workshop):
        raise AssertionError("something is left")
    if net.host("server").reactor.getDelayedCalls():
        raise AssertionError("a timer is left")


def bad_network(net: Network) -> None:
    """Everything on a network that loses, delays and cuts in pieces."""
    for way in (("client", "server"), ("server", "client")):
        faults = (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss"), (Slicer(100, 50), "slicer")
        net.link(*way, *(Fault(*of) for of in faults))
    peer = Peer(b"get large\nhashes large\nget a 5\nlist b\n")
    factory = meet(net, peer, large=50_000)
    data = pattern(50_000)
    got = net.run_until(peer.ended, limit=600)
    tag, digest = factory.files.open("large").tag.encode(), hashlib.sha256(data).hexdigest()
    expected = content(data, factory.files, "large")
    expected += b"200 50000 %s 1048576 1\n%s\n" % (tag, digest.encode())
    expected += content(b"56789", factory.files, "a") + b"200 1\n" + encode(Entry(0, 0, "b"))
    if got != expected + b"\n":
        raise AssertionError("something else arrived")


class SimulatedTests(SynchronousTestCase):
    """On virtual networks."""

    def test_cut_at_every_byte(self) -> None:
        """Wherever a connection is cut: what arrives is a prefix, and nothing is left behind."""
        self.assertGreater(exhaust(file_that_is_cut), 150)

    def test_bad_network(self) -> None:
        """On bad networks all arrives, in order."""
        self.assertEqual(explore(bad_network, range(10)), 10)

    def test_slow_link(self) -> None:
        """A slow way takes its time, and the server holds little meanwhile."""
        with simulate(7) as net:
            net.link("server", "client", Fault(Bandwidth(1_000_000.0), "slow"))
            peer = Peer(b"get large\n")
            factory = meet(net, peer, large=2_000_000)
            net.always("little is held", lambda: holds(net) < 600_000)
            got = net.run_until(peer.ended, limit=60)
            self.assertEqual(got, content(pattern(2_000_000), factory.files, "large"))
            self.assertGreater(net.now, 1.9)

    def test_reads_nothing(self) -> None:
        """A client that reads nothing costs little, and is let go in the end."""
        for said in (b"get large\n", b"get large\n" * 1000, b"get a\n" * 20_000):
            with simulate(7) as net:
                peer = Peer(said, reads=False)
                factory = meet(net, peer)
                net.run(100)
                self.assertLess(holds(net), 2 * PIECE + READ_AHEAD + LIMIT)
                net.run(400)
                left = (factory.shared.transfers.taken, holds(net), factory.connected)
                self.assertEqual(left, (0, 0, {}))

    def test_reads_late(self) -> None:
        """One that reads late misses nothing."""
        with simulate(7) as net:
            peer = Peer(b"get large\nget a\nquit\n", over=False, reads=False)
            factory = meet(net, peer, large=2_000_000)
            net.run(100)
            peer.transport.resumeProducing()
            expected = content(pattern(2_000_000), factory.files, "large")
            expected += content(FILES["a"], factory.files, "a")
            self.assertEqual(net.run_until(peer.ended, limit=60), expected)

    def test_many_small(self) -> None:
        """Thousands of requests at once are answered in order, and all of them are."""
        with simulate(7) as net:
            peer = Peer(b"get a 5 1\nget x\n" * 3000)
            factory = meet(net, peer)
            got = net.run_until(peer.ended, limit=60)
            one = content(b"5", factory.files, "a") + b"404 there is no file 'x'\n"
            self.assertEqual(got, one * 3000)

    def test_rates(self) -> None:
        """Three clients share the rate of all, and two of one address have no more by that."""
        with simulate(7) as net:
            net.host("server")
            peers = [Peer(b"get large\n") for _ in range(4)]
            meet(net, peers[0], ServerSettings(total_rate=300_000.0), large=1_500_000)
            for host, peer in zip(("client", "second", "third"), peers[1:], strict=True):
                join(net, host, peer)
            net.run(1)
            before = [len(peer.got) for peer in peers]
            net.run(10)
            rates = [
                (len(peer.got) - start) / 10 for peer, start in zip(peers, before, strict=True)
            ]
            for rate, expected in zip(rates, (50_000, 50_000, 100_000, 100_000), strict=True):
                self.assertApproximates(rate, expected, expected / 10)

    def test_rate_then_more(self) -> None:
        """What stands behind a file at a rate comes when that is over."""
        with simulate(7) as net:
            peer = Peer(b"get large\nget a\nlist a\n")
            factory = meet(net, peer, ServerSettings(rate=100_000.0))
            got = net.run_until(peer.ended, limit=60)
            self.assertTrue(
                got.endswith(content(FILES["a"], factory.files, "a") + b"200 1\n10 0 a\n")
            )
            self.assertApproximates(net.now, 10, 0.5)


def holds(net: Network) -> int:
    """Bytes that the server holds for its peers: to be sent, and lines that wait."""
    total = 0
    for end in net.host("server").ends:
        total += len(end._buffer)
        if isinstance(end.protocol, DownloadProtocol):
            total += sum(map(len, end.protocol._lines)) + len(end.protocol._reader._rest)
    return total


async def gone(factory: DownloadFactory) -> None:
    """The server has let all go, and their sockets are closed."""
    while factory.connected:
        await deferLater(real_reactor, 0, bool)
    await deferLater(real_reactor, 0, bool)


class LoopbackTests(TestCase):
    """Over real sockets, with files on a real disk."""

    timeout = 30

    async def serve(self, endpoint: IStreamServerEndpoint, **words: Any) -> Any:
        """A server that ends with the test."""
        self.root = folder(self)
        self.data = os.urandom(100_000) * 50
        (self.root / "large").write_bytes(self.data)
        (self.root / "small").write_bytes(b"12345")
        self.files = Catalogue(self.root)
        self.factory = DownloadFactory(real_reactor, self.files, ServerSettings(**words))
        port = await endpoint.listen(self.factory)
        self.addCleanup(port.stopListening)
        return port.getHost()

    def tcp(self) -> IStreamServerEndpoint:
        """Where to listen."""
        return serverFromString(real_reactor, "tcp:0:interface=127.0.0.1")

    async def all(self, endpoint: IStreamClientEndpoint) -> None:
        """Everything is asked, by one that reads nothing at first."""
        peer = LatePeer(b"get small 1 2\nget large 1\nhashes small\nget small\nquit\n")
        await endpoint.connect(Factory.forProtocol(lambda: peer))
        await peer.stopped
        peer.transport.resumeProducing()
        got = await peer.ended
        await gone(self.factory)
        expected = content(b"23", self.files, "small")
        expected += content(self.data[1:], self.files, "large")
        tag, digest = self.files.open("small").tag, hashlib.sha256(b"12345").hexdigest()
        expected += f"200 5 {tag} 1048576 1\n{digest}\n".encode()
        expected += content(b"12345", self.files, "small")
        self.assertEqual(len(got), len(expected))
        self.assertEqual(got, expected)
        counters = self.factory.counters
        self.assertEqual((counters.transfers, counters.sent, counters.hashed), (3, 3, 1))

    def check_bytes(self, *, system: bool) -> None:
        """Who has sent the files: the system, or we."""
        counters, size = self.factory.counters, len(self.data) - 1 + 2 + 5
        expected = (size, 0) if system else (0, size)
        self.assertEqual((counters.system_bytes, counters.read_bytes), expected)

    async def test_tcp(self) -> None:
        """Over TCP the system sends them."""
        place = await self.serve(self.tcp())
        await self.all(TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port))
        self.check_bytes(system=True)

    async def test_unix(self) -> None:
        """Over a Unix socket as well."""
        path = folder(self) / "socket"
        await self.serve(serverFromString(real_reactor, f"unix:{path}"))
        await self.all(clientFromString(real_reactor, f"unix:{path}"))
        self.check_bytes(system=True)

    async def test_tls(self) -> None:
        """Over TLS they are read."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(ours)
        listens = SSL4ServerEndpoint(real_reactor, 0, Context(ours), interface="127.0.0.1")
        port = (await self.serve(listens)).port
        await self.all(SSL4ClientEndpoint(real_reactor, "127.0.0.1", port, Context(theirs)))
        self.check_bytes(system=False)

    async def test_without_sendfile(self) -> None:
        """Where there is no such call the bytes are the same."""

        def fail(*_: Any) -> int:
            """No such call."""
            raise OSError(38, "Function not implemented")

        self.patch(os, "sendfile", fail)
        place = await self.serve(self.tcp())
        await self.all(TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port))
        self.check_bytes(system=False)

    async def test_rate(self) -> None:
        """At a rate the system sends shares."""
        place = await self.serve(self.tcp(), rate=50_000_000.0)
        await self.all(TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port))
        self.check_bytes(system=True)

    async def test_shorter(self) -> None:
        """A file that becomes shorter ends the connection: nobody waits, nothing is made up."""
        place = await self.serve(self.tcp())
        os.truncate(self.root / "large", 2**32)
        peer = LatePeer(b"get large\n")
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port)
        await endpoint.connect(Factory.forProtocol(lambda: peer))
        await peer.stopped
        os.truncate(self.root / "large", 1000)
        peer.transport.resumeProducing()
        await peer.ended
        await gone(self.factory)
        self.assertLess(len(peer.got), 2**32)
        self.assertEqual(self.factory.counters.broken, 1)
        self.assertEqual(self.factory.shared.transfers.taken, 0)

    def open_files(self) -> int:
        """How many of the files that are served are open."""
        opened = (os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir())
        return sum(path.startswith(str(self.root)) for path in opened)

    async def test_gone(self) -> None:
        """Who goes in the middle leaves nothing open."""
        place = await self.serve(self.tcp())
        os.truncate(self.root / "large", 2**32)
        peer = LatePeer(b"get large\nhashes large\n")
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port)
        await endpoint.connect(Factory.forProtocol(lambda: peer))
        await peer.stopped
        [client] = self.factory.clients()
        self.assertEqual(self.open_files(), 1)
        self.assertTrue(self.factory.disconnect(client.number))
        peer.transport.resumeProducing()
        await peer.ended
        await gone(self.factory)
        self.assertEqual(self.factory.shared.transfers.taken, 0)
        self.assertEqual(self.open_files(), 0)

    async def test_hashed_in_slices(self) -> None:
        """A large file is hashed while others are served."""
        self.patch(digests, "SLICE", 10_000)
        place = await self.serve(self.tcp())
        endpoint = TCP4ClientEndpoint(real_reactor, "127.0.0.1", place.port)
        first, second = Peer(b"stat large\n"), Peer(b"get small\n")
        for peer in (first, second):
            await endpoint.connect(Factory.forProtocol(lambda peer=peer: peer))
        self.assertEqual(await second.ended, content(b"12345", self.files, "small"))
        line = (await first.ended).split()
        await gone(self.factory)
        self.assertEqual(line[-1], hashlib.sha256(self.data).hexdigest().encode())
        self.assertEqual(self.factory.counters.hashed_bytes, len(self.data))


class ClientTests(TestCase):
    """The client, of real servers over real sockets, with threads."""

    timeout = 60

    def setUp(self) -> None:
        """Two servers of the same files, whose directories are not the same."""
        self.here = folder(self)
        self.target = self.here / "target"
        self.data = pattern(3 * 2**20 + 5)
        self.factories: list[DownloadFactory] = []

    async def serve(self, **settings: Any) -> tuple[str, IStreamClientEndpoint]:
        """A server; gives a name and its place."""
        root = self.here / f"root-{len(self.factories)}"
        root.mkdir()
        (root / "f").write_bytes(self.data)
        factory = DownloadFactory(real_reactor, Catalogue(str(root)), ServerSettings(**settings))
        self.factories.append(factory)
        self.addCleanup(lambda: Deferred.fromCoroutine(gone(factory)))
        listens = serverFromString(real_reactor, "tcp:0:interface=127.0.0.1")
        port = await listens.listen(factory)
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        return root.name, TCP4ClientEndpoint(real_reactor, "127.0.0.1", number)

    async def client(self, count: int = 1, **settings: Any) -> DownloadClient:
        """A client of so many servers."""
        places = dict([await self.serve(**settings) for _ in range(count)])
        client = DownloadClient(real_reactor, places, ClientSettings(silence=20.0))
        self.addCleanup(client.close)
        return client

    async def test_questions(self) -> None:
        """Which files there are, and what one is."""
        client = await self.client()
        [entry] = await client.list("f*")
        status = await client.stat("f")
        self.assertEqual((entry.name, entry.size), ("f", len(self.data)))
        self.assertEqual(status.sha256, hashlib.sha256(self.data).hexdigest())
        self.assertEqual(await client.list("x"), [])
        await self.assertFailure(client.stat("x"), Rejected)

    async def test_get(self) -> None:
        """A file from two servers, checked as a whole as well; and once more from none."""
        client = await self.client(2)
        digest = hashlib.sha256(self.data).hexdigest()
        fetched: Fetched = await client.get("f", self.target, sha256=digest)
        self.assertEqual(self.target.read_bytes(), self.data)
        self.assertTrue(fetched.confirmed)
        self.assertEqual(sum(source.pieces for source in fetched.sources), 4)
        self.assertEqual((await client.get("f", self.target)).fetched, 0)

    async def test_placed(self) -> None:
        """Most of it goes to the file by itself; where that can't be, the same bytes come."""
        sizes: list[int] = []
        placed = Landing.placed

        def note(landing: Landing, size: int, source: str) -> None:
            """So many went there."""
            sizes.append(size)
            placed(landing, size, source)

        self.patch(Landing, "placed", note)
        client = await self.client()
        await client.get("f", self.target)
        self.assertEqual(self.target.read_bytes(), self.data)
        self.assertGreater(sum(sizes), len(self.data) - 4 * 64 - 1)
        sizes.clear()
        self.target.unlink()
        client._settings = ClientSettings(silence=20.0, limit_rate=1e9)
        await client.get("f", self.target)
        self.patch(connection, "file_receiver", lambda *_: None)
        self.assertEqual((self.target.read_bytes(), sizes), (self.data, []))
        client._settings = ClientSettings(silence=20.0)
        self.target.unlink()
        await client.get("f", self.target)
        self.assertEqual((self.target.read_bytes(), sizes), (self.data, []))

    async def test_cut_and_resumed(self) -> None:
        """Cut anywhere, it goes on with the pieces that were whole, and ends the same."""
        client = await self.client()
        draw = Random(7)
        placed = Landing.placed
        for _ in range(4):
            self.target.unlink(missing_ok=True)
            at, left = draw.randrange(len(self.data)), [1]

            def cut(
                landing: Landing, size: int, source: str, at: int = at, left: list[int] = left
            ) -> None:
                """Somewhere."""
                placed(landing, size, source)
                if left and landing.offset + landing.got >= at:
                    left.clear()
                    for seen in list(self.factories[0].connected.values()):
                        seen.transport.abortConnection()

            self.patch(Landing, "placed", cut)
            fetched: Fetched = await client.get("f", self.target)
            self.patch(Landing, "placed", placed)
            self.assertEqual((self.target.read_bytes(), left), (self.data, []))
            self.assertEqual(fetched.wrong, 0)

    async def test_full(self) -> None:
        """A disk that takes no more in the middle of it: one line; the same call goes on."""
        self.patch(Disk, "reserve", lambda *_: None)
        client = await self.client()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**21 + 5, before[1]))
        try:
            error = await self.assertFailure(client.get("f", self.target), NoRoom)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertNotIn("\n", str(error))
        self.assertFalse(self.target.exists())
        fetched: Fetched = await client.get("f", self.target)
        self.assertEqual(self.target.read_bytes(), self.data)
        self.assertGreaterEqual(fetched.reused, 2**20)

    async def test_damaged(self) -> None:
        """What is damaged on its way is found in the file, and comes again."""
        client = await self.client()
        placed, left = Landing.placed, [1]

        def damage(landing: Landing, size: int, source: str) -> None:
            """A byte of it."""
            placed(landing, size, source)
            if landing.piece == 1 and left:
                left.clear()
                with (self.here / ".target.part").open("r+b") as file:
                    file.seek(landing.offset + landing.got - 1)
                    file.write(b"\xff")

        self.patch(Landing, "placed", damage)
        fetched: Fetched = await client.get("f", self.target)
        self.assertEqual((self.target.read_bytes(), left), (self.data, []))
        self.assertEqual(fetched.wrong, 1)

    async def test_itself(self) -> None:
        """The very file that is served is not overwritten by itself."""
        client = await self.client()
        served = self.here / "root-0" / "f"
        error = await self.assertFailure(client.get("f", served), LocalError)
        self.assertIn("the very file that is served", str(error))

    async def test_closed(self) -> None:
        """Who closes it ends what goes on, and nothing more can be asked; what came is kept."""
        client = await self.client(rate=100_000.0)
        begun: Deferred[None] = Deferred()
        getting = client.get("f", self.target, watch=lambda progress: tell(begun, progress))
        await begun
        await client.close()
        await self.assertFailure(getting, CancelledError)
        self.assertRaises(LocalError, client.get, "f", self.target)
        self.assertFalse(self.target.exists())
        self.assertTrue((self.here / ".target.part").exists())

    async def test_refused(self) -> None:
        """What can't be asked for."""
        client = await self.client()
        for call in (
            lambda: client.get("../f", self.target),
            lambda: client.get("f", self.target, sha256="abc"),
            lambda: client.stat("/etc/passwd"),
            lambda: DownloadClient(real_reactor, {}),
        ):
            self.assertRaises(LocalError, call)


def tell(begun: Deferred[None], progress: Progress) -> None:
    """Tell when the first bytes come."""
    if progress.fetched and not begun.called:
        begun.callback(None)
