"""Endpoints with a header of the PROXY protocol, before Twisted's own server of it."""

from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReactorTCP
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy import proxyEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.proxy_protocol import HeadedEndpoint
from lab.simulator.network import simulate
from lab.wire.proxy_protocol import encode
from tests.helpers import certify, folder
from tests.proxy.scenes import Peer, Serving, Whole, echo, lose, shut

reactor: Any = real_reactor
ENDS = {
    4: (IPv4Address("TCP", "192.0.2.7", 1234), IPv4Address("TCP", "192.0.2.1", 80)),
    6: (IPv6Address("TCP", "2001:db8::7", 1234), IPv6Address("TCP", "2001:db8::1", 80)),
}


def hosts(peer: Any) -> list[tuple[str, int]]:
    """Whom a server takes for its client, and where it thinks that has connected to."""
    transport = peer.transport
    return [(end.host, end.port) for end in (transport.getPeer(), transport.getHost())]


def plain(ends: Any) -> list[tuple[str, int]]:
    """As `hosts`; Twisted writes IPv6 without its short form."""
    return [(end.host.replace("::", ":0:0:0:0:0:"), end.port) for end in ends]


class MemoryTests(SynchronousTestCase):
    """What becomes of a connection that is only imagined."""

    def setUp(self) -> None:
        """A reactor, and an endpoint."""
        self.reactor = MemoryReactorClock()
        self.endpoint = HeadedEndpoint(self.reactor, 1, "tcp:192.0.2.9:80")

    def test_everything_else(self) -> None:
        """What is inside finds everything else that the reactor has."""
        self.assertTrue(IReactorTCP.providedBy(self.endpoint._sockets))
        self.assertEqual(self.endpoint._sockets.seconds(), 0.0)

    def test_failed(self) -> None:
        """A connection that fails, fails as without a header."""
        connecting = self.endpoint.connect(Serving())
        _, _, factory, *_ = self.reactor.tcpClients[0]
        factory.clientConnectionFailed(None, ConnectError())
        self.reactor.advance(60)
        self.failureResultOf(connecting)

    def test_no_protocol(self) -> None:
        """A factory that makes none has no connection."""
        connecting = self.endpoint.connect(Factory.forProtocol(lambda: None))  # type: ignore[arg-type, return-value]
        _, _, factory, *_ = self.reactor.tcpClients[0]
        self.assertIs(factory.buildProtocol(None), None)
        self.reactor.advance(60)
        self.failureResultOf(connecting)

    def test_two_at_a_time(self) -> None:
        """Each has its own header, whichever is there first."""
        first = self.endpoint.connect_for(Serving(), *ENDS[4])
        second = self.endpoint.connect(Serving())
        written = []
        for _, _, factory, *_ in self.reactor.tcpClients[::-1]:
            heading = factory.buildProtocol(None)
            transport: Any = type("Wire", (), {"write": lambda self, data: written.append(data)})()
            heading.makeConnection(transport)
        self.assertEqual(
            written,
            [encode(1, None, None), encode(1, ("192.0.2.7", 1234), ("192.0.2.1", 80))],
        )
        for connecting in (first, second):
            self.successResultOf(connecting)


class SimulatedTests(SynchronousTestCase):
    """On a network that is only imagined: any reactor will do."""

    def test_header_first(self) -> None:
        """The header, then what the client sends."""
        with simulate(7) as net:
            client, server = net.host("client").reactor, net.host("server").reactor
            servers = Serving()
            net.run_until(TCP4ServerEndpoint(server, 80).listen(servers))
            endpoint = HeadedEndpoint(client, 1, "tcp:server:80")
            sending = Serving(lambda: Peer(made=lambda one: one.transport.write(b"hello")))
            net.run_until(endpoint.connect_for(sending, *ENDS[4]))
            net.run(1)
            line = encode(1, ("192.0.2.7", 1234), ("192.0.2.1", 80))
            self.assertEqual(servers.all[0].got, line + b"hello")


class LoopbackTests(TestCase):
    """On real sockets, before a server that reads headers."""

    timeout = 20

    async def serve(self, text: str, make: Any = Peer) -> Any:
        """Listen until the test is over; the address."""
        self.servers = Serving(make)
        port = await serverFromString(reactor, text).listen(self.servers)
        self.addCleanup(port.stopListening)
        return port.getHost()

    async def connect(self, version: int, text: str, ends: Any, client: Any = None) -> Any:
        """A client that is connected."""
        made = client or Peer()
        factory = Factory.forProtocol(lambda: made)
        factory.noisy = False
        endpoint = HeadedEndpoint(reactor, version, text)
        connected = endpoint.connect_for(factory, *ends) if ends else endpoint.connect(factory)
        self.assertIs(await connected, made)
        return made

    async def ended(self, client: Any) -> None:
        """Close the connection."""
        server = await self.servers.first()
        lose(client)
        await gatherResults([client.lost, server.lost])

    async def test_addresses(self) -> None:
        """The server knows the client, in both versions and families."""
        for version in (1, 2):
            for ends in ENDS.values():
                where = await self.serve("haproxy:tcp:0:interface=127.0.0.1", Whole)
                client = await self.connect(version, f"tcp:127.0.0.1:{where.port}", ends)
                client.transport.write(b"hello")
                server = await self.servers.first()
                self.assertEqual(await server.arrived(5), b"hello")
                expected = [(one.host, one.port) for one in ends]
                if version == 2:
                    expected = plain(ends)
                self.assertEqual(hosts(server), expected)
                await self.ended(client)

    async def test_nobody(self) -> None:
        """Who connects for itself is who it is; so is who has no address of IP."""
        for ends in (None, (UNIXAddress(b"/a"), UNIXAddress(b"/b"))):
            where = await self.serve("haproxy:tcp:0:interface=127.0.0.1", Whole)
            client = await self.connect(2, f"tcp:127.0.0.1:{where.port}", ends)
            client.transport.write(b"hello")
            server = await self.servers.first()
            await server.arrived(5)
            self.assertEqual(hosts(server)[1], ("127.0.0.1", where.port))
            await self.ended(client)

    async def test_transport(self) -> None:
        """A protocol has the socket itself below it, and both halves of the connection."""
        where = await self.serve("tcp:0:interface=127.0.0.1", lambda: Peer(data=echo, end=shut))
        client = await self.connect(1, f"tcp:127.0.0.1:{where.port}", ENDS[4])
        self.assertIsInstance(client.transport, Connection)
        self.assertTrue(IHalfCloseableDescriptor.providedBy(client.transport))
        client.transport.write(b"hello")
        shut(client)
        self.assertEqual(await client.lost, "ConnectionDone")
        self.assertEqual(client.got, encode(1, ("192.0.2.7", 1234), ("192.0.2.1", 80)) + b"hello")
        self.assertTrue(client.ended)

    async def test_at_once(self) -> None:
        """What a protocol gives to the system at once does not overtake the header."""
        where = await self.serve("tcp:0:interface=127.0.0.1", Whole)
        hasty = Whole(made=lambda one: one.transport.writeSomeData(b"hello"))
        client = await self.connect(2, f"tcp:127.0.0.1:{where.port}", None, hasty)
        server = await self.servers.first()
        self.assertEqual(await server.arrived(21), encode(2, None, None) + b"hello")
        await self.ended(client)

    async def test_unix(self) -> None:
        """Over a Unix socket."""
        path = folder(self) / "s"
        await self.serve(f"unix:{path}", Whole)
        client = await self.connect(1, f"unix:{path}", ENDS[6])
        server = await self.servers.first()
        line = encode(1, ("2001:db8::7", 1234), ("2001:db8::1", 80))
        self.assertEqual(await server.arrived(len(line)), line)
        await self.ended(client)

    async def test_tls(self) -> None:
        """Ahead of the handshake, in plain: the server reads it below TLS."""
        self.addCleanup(self.warned)
        path = folder(self)
        certify(path, "127.0.0.1")
        pem = (path / "server.pem").read_bytes()
        options = PrivateCertificate.loadPEM(pem).options()
        for version, inside in (
            (1, "tls:{}:trustRoots={}"),
            (2, "tls:{}:trustRoots={}"),
            (1, "ssl:{}"),
        ):
            servers = Serving(Whole)
            secure = TLSMemoryBIOFactory(options, False, servers, reactor)
            below = proxyEndpoint(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))
            port = await below.listen(secure)
            self.addCleanup(port.stopListening)
            text = inside.format(f"127.0.0.1:{port.getHost().port}", path / "roots")
            client = await self.connect(version, text, ENDS[4], Whole())
            client.transport.write(b"hello")
            server = await servers.first()
            self.assertEqual(await server.arrived(5), b"hello")
            self.assertEqual(hosts(server), [(one.host, one.port) for one in ENDS[4]])
            lose(client)
            await gatherResults([client.lost, server.lost])

    def warned(self) -> None:
        """Twisted's own use of pyOpenSSL is deprecated; there is no other warning."""
        for warning in self.flushWarnings():
            self.assertIn("Passing pyOpenSSL", warning["message"])

    async def test_refused(self) -> None:
        """Where nobody listens, that is what is said."""
        port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Serving())
        free = port.getHost().port
        await port.stopListening()
        endpoint = HeadedEndpoint(reactor, 2, f"tcp:127.0.0.1:{free}")
        await self.assertFailure(endpoint.connect(Serving()), ConnectError)
