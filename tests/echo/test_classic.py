"""The services of RFC 862, 863 and 864."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.stream import PIECE
from lab.core import Finished
from lab.echo.classic import (
    IDLE,
    MOST,
    CharacterCore,
    CharacterDatagramProtocol,
    ClassicFactory,
    DiscardCore,
    DiscardDatagramProtocol,
    EchoCore,
    EchoDatagramProtocol,
)
from lab.rng import stream
from lab.simulator import simulate
from lab.simulator.network import Network
from lab.testing import Playbook
from lab.wire.tokens import ALLOWED, HEADERS

RING = bytes(range(32, 127))
PEER = ("192.0.2.1", 5000)


class Peer(Protocol):
    """
    A client that notes what it gets.

    Args:
        said: What it says at once, and then no more.
        most: It leaves when it has so many bytes.
        reads: Whether it reads.
    """

    def __init__(self, said: bytes = b"", most: int = 10**9, *, reads: bool = True) -> None:
        self._said, self._most, self._reads = said, most, reads
        self.got = bytearray()
        self.ended: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Say it."""
        if not self._reads:
            self.transport.pauseProducing()
        self.transport.write(self._said)
        if self._said:
            self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.got += data
        if len(self.got) >= self._most:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        self.ended.callback(bytes(self.got))


def meet(net: Network, core: Any, peer: Peer) -> None:
    """A server of this kind, and a client of it."""
    server = net.host("server").reactor
    server.listenTCP(7, ClassicFactory(server, core))
    endpoint = HostnameEndpoint(net.host("client").reactor, "server", 7)
    endpoint.connect(Factory.forProtocol(lambda: peer))


def check_characters(got: bytes) -> None:
    """These are lines of chargen, from the first on: 72 characters, each one further."""
    for number, line in enumerate(got.split(b"\r\n")):
        start = number % 95
        expected = (RING * 2)[start : start + 72]
        assert expected.startswith(line), (number, line)
        assert line == expected or number == got.count(b"\r\n"), (number, line)


class CoreTests(SynchronousTestCase):
    """Without a network."""

    def test_echo(self) -> None:
        """What comes goes back."""
        play = Playbook(EchoCore(0.0)).receives(b"a\r\n", b"\x00")
        play.sends(b"a\r\n").sends(b"\x00").closes().end()

    def test_discard(self) -> None:
        """Nothing goes back."""
        Playbook(DiscardCore(0.0)).receives(b"a", b"b").closes().end()

    def test_characters(self) -> None:
        """Lines for ever, whole ones in each piece; what comes changes nothing."""
        core = CharacterCore(0.0)
        (body,) = core.outgoing()
        got = body.read(10, 0.0)
        self.assertEqual(len(got), 95 * 74)
        self.assertEqual(core.messages([b"a", b"b"], 0.0), 2)
        self.assertTrue(core.busy())
        got += body.read(PIECE, 0.0)
        self.assertTrue(PIECE - 95 * 74 < len(got) <= PIECE + 95 * 74)
        check_characters(got)

    def test_idle(self) -> None:
        """Who sends nothing for long is let go; every byte gives it the whole time again."""
        for core in (EchoCore(0.0), DiscardCore(0.0)):
            core.message(b"a", 100.0)
            core.outgoing()
            play = Playbook(core, 100.0).wait(10**6)
            play.tells(Finished("nothing moved for 300 s"), 100.0 + IDLE).end()

    def test_idle_characters(self) -> None:
        """So is who takes no characters; it does not help to send."""
        core = CharacterCore(0.0)
        core.read(10, 50.0)
        core.messages([b"a"], 300.0)
        self.assertEqual(core.deadline(), 350.0)


class StreamTests(SynchronousTestCase):
    """On virtual networks."""

    @settings(deadline=None, max_examples=30)
    @given(st.binary(min_size=1, max_size=5000))
    def test_echo(self, said: bytes) -> None:
        """All that was sent comes back, and then the end."""
        with simulate(7) as net:
            peer = Peer(said)
            meet(net, EchoCore, peer)
            self.assertEqual(net.run_until(peer.ended), said)

    def test_echo_to_nobody(self) -> None:
        """What is not read is not taken; when it is read all comes back."""
        with simulate(7) as net:
            said = bytes(range(256)) * 10_000
            peer = Peer(said, reads=False)
            meet(net, EchoCore, peer)
            net.run(10)
            self.assertLess(sum(len(end._buffer) for end in net.host("server").ends), 200_000)
            peer.transport.resumeProducing()
            self.assertEqual(net.run_until(peer.ended), said)

    def test_discard(self) -> None:
        """Nothing comes back but the end."""
        with simulate(7) as net:
            peer = Peer(b"hello" * 100_000)
            meet(net, DiscardCore, peer)
            self.assertEqual(net.run_until(peer.ended), b"")

    def test_characters(self) -> None:
        """They come as long as they are read, whether the client says something or not."""
        for said in (b"", b"hello" * 100_000):
            with simulate(7) as net:
                peer = Peer(said, 1_000_000)
                meet(net, CharacterCore, peer)
                got = net.run_until(peer.ended)
                self.assertGreaterEqual(len(got), 1_000_000)
                check_characters(got)
                net.run(5)
                self.assertEqual(net.host("server").reactor.getDelayedCalls(), [])

    def test_characters_for_nobody(self) -> None:
        """Who reads none costs little, and is let go in the end."""
        with simulate(7) as net:
            meet(net, CharacterCore, Peer(reads=False))
            net.run(100)
            (end,) = net.host("server").ends
            self.assertTrue(0 < len(end._buffer) < 2 * PIECE)
            net.run(IDLE)
            self.assertEqual(len(net.host("server").ends), 0)

    def test_nothing_left(self) -> None:
        """A connection that is lost leaves no timer."""
        clock = Clock()
        for core in (EchoCore, DiscardCore, CharacterCore):
            factory = ClassicFactory(clock, core)
            protocol = factory.buildProtocol(None)
            self.assertIs(protocol.factory, factory)
            self.assertEqual(factory.connections, 1)
            protocol.makeConnection(StringTransport())
            protocol.dataReceived(b"a")
            protocol.connectionLost()
            self.assertEqual(clock.getDelayedCalls(), [])


class Port:
    """A UDP port without a network."""

    def __init__(self, protocol: DatagramProtocol) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        protocol.makeConnection(self)

    def write(self, datagram: bytes, addr: Any = None) -> None:
        """Note it."""
        self.sent.append((datagram, addr))

    def getHost(self) -> IPv4Address:
        """Our address."""
        return IPv4Address("UDP", "127.0.0.1", 50007)


class DatagramTests(SynchronousTestCase):
    """On a stand-in for a port."""

    def answers(self, server: DiscardDatagramProtocol, *datagrams: bytes) -> list[bytes]:
        """What is sent for these, all to where they came from."""
        port = Port(server)
        for datagram in datagrams:
            server.datagramReceived(datagram, PEER)
        self.assertEqual({addr for _, addr in port.sent} - {PEER}, set())
        return [datagram for datagram, _ in port.sent]

    def test_echo(self) -> None:
        """Each datagram comes back as it is."""
        said = [b"", b"a\n", b"\x00" * 65_507]
        self.assertEqual(self.answers(EchoDatagramProtocol(Clock()), *said), said)

    def test_discard(self) -> None:
        """None comes back."""
        server = DiscardDatagramProtocol(Clock())
        self.assertEqual(self.answers(server, b"a", b""), [])
        self.assertEqual(server.received, 2)

    def test_characters(self) -> None:
        """Of 0 to 512 characters, all lengths of it, the same ones with the same seed."""
        server = CharacterDatagramProtocol(Clock(), stream(7))
        got = self.answers(server, *[b"x" * 1000] * 5000)
        self.assertEqual({len(one) for one in got}, set(range(MOST + 1)))
        for one in got:
            check_characters(one.removesuffix(b"\r"))
        again = CharacterDatagramProtocol(Clock(), stream(7))
        self.assertEqual(self.answers(again, *[b"x" * 1000] * 5000), got)
        self.assertEqual(len(self.answers(CharacterDatagramProtocol(Clock()), b"x")), 1)

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 200))
    def test_no_amplification(self, size: int) -> None:
        """Never more than three times what came, headers counted."""
        server = CharacterDatagramProtocol(Clock(), stream(7))
        got = self.answers(server, *[b"x" * size] * 300)
        most = min(MOST, ALLOWED * (size + HEADERS) - HEADERS)
        self.assertLessEqual(max(map(len, got)), most)
        self.assertGreater(max(map(len, got)), most * 0.9)

    def test_nothing_kept(self) -> None:
        """Of no peer anything is kept, and there is no timer."""
        clock = Clock()
        for build in (EchoDatagramProtocol, DiscardDatagramProtocol, CharacterDatagramProtocol):
            server = build(clock)
            self.answers(server, b"a")
            self.assertEqual((len(server._drivers), clock.getDelayedCalls()), (0, []))

    def test_no_loops(self) -> None:
        """Datagrams of servers are not answered."""
        for build in (EchoDatagramProtocol, CharacterDatagramProtocol):
            server = build(Clock())
            port = Port(server)
            for number in (7, 19, 1023, 50007):
                server.datagramReceived(b"a", ("192.0.2.1", number))
            self.assertEqual((port.sent, server.ignored, server.received), ([], 4, 4))


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 20

    async def ask(self, core: Any, peer: Peer) -> bytes:
        """What this client gets of a server of this kind."""
        endpoint = TCP4ServerEndpoint(real_reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(ClassicFactory(real_reactor, core))
        self.addCleanup(port.stopListening)
        place = TCP4ClientEndpoint(real_reactor, "127.0.0.1", port.getHost().port)
        await place.connect(Factory.forProtocol(lambda: peer))
        return await peer.ended

    async def test_echo(self) -> None:
        """Megabytes come back."""
        said = bytes(range(256)) * 10_000
        self.assertEqual(await self.ask(EchoCore, Peer(said)), said)

    async def test_characters(self) -> None:
        """Megabytes come."""
        check_characters(await self.ask(CharacterCore, Peer(most=5_000_000)))
        gone: Deferred[None] = Deferred()
        real_reactor.callLater(0, gone.callback, None)
        await gone
