"""Twisted's own code and ours, unmodified and unaware, on virtual hosts."""

import io
from typing import Any

import trustme
from OpenSSL import SSL
from twisted.application.internet import ClientService, StreamServerEndpointService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols import amp
from twisted.protocols.basic import FileSender, LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.arithmetic import tcp, udp
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.errors import NoAnswer
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.rng import stream
from lab.simulator.network import Network, simulate
from tests.helpers import thorough


class Echo(LineReceiver):
    """Says each line twice."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        """Twice."""
        self.sendLine(line * 2)


class Asks(LineReceiver):
    """Asks one line, and tells the answer."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.sendLine(b"ab")

    def lineReceived(self, line: bytes) -> None:
        """It is answered."""
        self.answer.callback(line)
        self.transport.loseConnection()


class Page(Resource):
    """One page."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """A large one."""
        return b"page " * 50_000


class Sum(amp.Command):
    """Adds two numbers."""

    arguments = ((b"a", amp.Integer()), (b"b", amp.Integer()))
    response = ((b"total", amp.Integer()),)


class Adder(amp.AMP):
    """Answers `Sum`."""

    @Sum.responder
    def sum(self, a: int, b: int) -> dict[str, int]:
        """Add."""
        return {"total": a + b}


class Sends(Protocol):
    """Sends a file and closes."""

    def connectionMade(self) -> None:
        """Begin."""
        sending = FileSender().beginFileTransfer(io.BytesIO(b"x" * 3_000_000), self.transport)
        sending.addCallback(lambda _: self.transport.loseConnection())


class Collects(Protocol):
    """Gathers all bytes up to the end."""

    def __init__(self) -> None:
        self.data = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """More."""
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """All."""
        self.done.callback(self.data)


@implementer(IOpenSSLContextFactory)
class Context:
    """Gives a context that is there already."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def getContext(self) -> SSL.Context:
        """The context."""
        return self._context


def tls(context: SSL.Context, inner: Factory, clock: Any, *, is_client: bool) -> Any:
    """Twisted's wrapper around the protocols of a factory."""
    return TLSMemoryBIOFactory(Context(context), is_client, inner, clock)


class UnmodifiedTests(SynchronousTestCase):
    """Each of them works as on a real reactor."""

    def run_pair(self, serve: Any, ask: Any, seed: int = 7) -> Any:
        """Serve on one host, and ask from another; returns what the asking gives."""
        with simulate(seed) as net:
            self.net = net
            net.host("server").start(lambda reactor, disk: serve(reactor))
            return net.run_until(Deferred.fromCoroutine(ask(net.host("client").reactor)), 600)

    def test_line_receiver(self) -> None:
        """Endpoints by host name, services, and lines."""

        def serve(reactor: Any) -> None:
            place = TCP4ServerEndpoint(reactor, 7000)
            StreamServerEndpointService(place, Factory.forProtocol(Echo)).startService()

        async def ask(reactor: Any) -> bytes:
            place = HostnameEndpoint(reactor, "server", 7000)
            asks = await place.connect(Factory.forProtocol(Asks))
            return await asks.answer

        self.assertEqual(self.run_pair(serve, ask), b"abab")

    def test_web(self) -> None:
        """A site and an agent."""

        def serve(reactor: Any) -> None:
            reactor.listenTCP(80, Site(Page(), reactor=reactor))

        async def ask(reactor: Any) -> tuple[int, bytes]:
            response = await Agent(reactor).request(b"GET", b"http://server/")
            body = Collects()
            response.deliverBody(body)
            return response.code, await body.done

        self.assertEqual(self.run_pair(serve, ask), (200, b"page " * 50_000))

    def test_amp(self) -> None:
        """Remote procedure calls, a hundred in flight."""

        def serve(reactor: Any) -> None:
            reactor.listenTCP(7001, Factory.forProtocol(Adder))

        async def ask(reactor: Any) -> list[int]:
            place = HostnameEndpoint(reactor, "server", 7001)
            remote = await place.connect(Factory.forProtocol(amp.AMP))
            asked = [remote.callRemote(Sum, a=n, b=n) for n in range(100)]
            return [answer["total"] for answer in await gatherResults(asked)]

        self.assertEqual(self.run_pair(serve, ask), [2 * n for n in range(100)])

    def test_file_sender(self) -> None:
        """A pull producer fills the way as far as it goes, and no byte is missing."""

        def serve(reactor: Any) -> None:
            reactor.listenTCP(7002, Factory.forProtocol(Sends))

        async def ask(reactor: Any) -> bytes:
            place = HostnameEndpoint(reactor, "server", 7002)
            collects = await place.connect(Factory.forProtocol(Collects))
            return await collects.done

        self.assertEqual(self.run_pair(serve, ask), b"x" * 3_000_000)
        # 256 KiB may be under way, and a round trip takes 2 ms.
        self.assertApproximates(self.net.now, 3_000_000 / 2**18 * 0.002, 0.01)

    def test_tls(self) -> None:
        """TLS on both ends, by Twisted's own wrapper, which has to be given the clock."""
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        authority = trustme.CA()
        authority.issue_cert("server").configure_cert(ours)
        authority.configure_trust(theirs)
        theirs.set_verify(SSL.VERIFY_PEER)

        def serve(reactor: Any) -> None:
            inner = Factory.forProtocol(Echo)
            reactor.listenTCP(443, tls(ours, inner, reactor, is_client=False))

        async def ask(reactor: Any) -> bytes:
            inner = Factory.forProtocol(Asks)
            factory = tls(theirs, inner, reactor, is_client=True)
            asks = await HostnameEndpoint(reactor, "server", 443).connect(factory)
            return await asks.wrappedProtocol.answer

        self.assertEqual(self.run_pair(serve, ask), b"abab")

    def test_client_service(self) -> None:
        """A service that connects again, with its backoff, after its server was away."""
        with simulate(7) as net:
            server, client = net.host("server"), net.host("client")
            server.start(lambda reactor, _: reactor.listenTCP(7000, Factory.forProtocol(Echo)))
            place = HostnameEndpoint(client.reactor, "server", 7000)
            service = ClientService(place, Factory.forProtocol(Protocol), clock=client.reactor)
            service.startService()
            first = net.run_until(service.whenConnected())
            server.crash()
            first.transport.write(b"anybody there?\n")
            net.run(60)
            self.assertTrue(first.connected)  # silence is all there is
            server.restart()
            first.transport.write(b"hello?\n")
            net.run(5)
            second = net.run_until(service.whenConnected(), limit=120)
            self.assertIsNot(second, first)
            net.run_until(service.stopService())


class ArithmeticTests(SynchronousTestCase):
    """Our own server and client."""

    def bad_network(self, seed: int) -> Network:
        """30 % loss each way, 10 % duplicates, jitter and reordering."""
        net = Network(seed)
        for a, b in (("client", "server"), ("server", "client")):
            net.link(
                a,
                b,
                Fault(Latency(0.02, 0.01), "latency"),
                Fault(Loss(0.3), "loss"),
                Fault(Duplicate(0.1), "duplicate"),
                Fault(Reorder(0.1, 2), "reorder"),
            )
        return net

    def serve(self, net: Network) -> udp.ArithmeticDatagramProtocol:
        """A server on datagrams."""
        reactor = net.host("server").reactor
        protocol = udp.ArithmeticDatagramProtocol(reactor, key=bytes(16))
        DatagramServerEndpoint(reactor, 50000).listen(protocol)
        return protocol

    def ask(self, net: Network, retry: Backoff) -> udp.ArithmeticClient:
        """Its client."""
        reactor = net.host("client").reactor
        place = DatagramClientEndpoint(reactor, "server", 50000)
        return udp.ArithmeticClient(
            reactor, place, ClientSettings(retry), stream(net.seed, "client")
        )

    def run_seeds(self, seeds: range) -> None:
        """Ask with each seed; every call has to be right, and executed once."""
        for seed in seeds:
            net = self.bad_network(seed)
            protocol = self.serve(net)
            client = self.ask(net, Backoff.fixed(0.2, attempts=60))
            asked = gatherResults([client.ask("*", n, n) for n in range(50)])
            self.assertEqual(net.run_until(asked), [n * n for n in range(50)])
            self.assertEqual(protocol.counters.executed, 50)
            self.assertGreater(client.traffic.sent, 50)

    def test_executed_once(self) -> None:
        """Each of many calls has the right answer, and was executed once."""
        self.run_seeds(range(10))

    @thorough
    def test_executed_once_with_a_thousand_seeds(self) -> None:
        """The same, a thousand times."""
        self.run_seeds(range(1000))

    def test_right_or_in_time(self) -> None:
        """With few attempts a call has its right value, or fails at just the computed instant."""
        ends = set()
        for seed in range(20):
            net = self.bad_network(seed)
            self.serve(net)
            client = self.ask(net, Backoff(first=0.1, cap=0.5))
            for n in range(5):
                begun = net.now
                try:
                    self.assertEqual(net.run_until(client.ask("+", n, n)), 2 * n)
                except NoAnswer:
                    self.assertApproximates(net.now - begun, 0.7, 1e-9)
                    ends.add("no answer")
                else:
                    self.assertLess(net.now - begun, 0.7)
                    ends.add("answer")
        self.assertEqual(ends, {"answer", "no answer"})

    def test_same_seed_same_run(self) -> None:
        """One seed does the same again, to the last packet; another something else."""
        digests = []
        for seed in (7, 7, 8):
            net = self.bad_network(seed)
            self.serve(net)
            client = self.ask(net, Backoff.fixed(0.2, attempts=60))
            net.run_until(gatherResults([client.ask("+", n, n) for n in range(50)]))
            digests.append(net.digest())
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_streams(self) -> None:
        """Over TCP: refused, then served, cut for a while, and served again."""
        with simulate(7) as net:
            client_host, server_host = net.host("client"), net.host("server")
            place = HostnameEndpoint(client_host.reactor, "server", 50000)
            settings = ClientSettings(Backoff.fixed(1.0, attempts=30), repeat=True)
            client = tcp.ArithmeticClient(client_host.reactor, place, settings, stream(7))
            first = client.ask("+", 1, 1)
            net.run(2.5)
            self.assertFalse(first.called)
            factory = tcp.ArithmeticFactory(server_host.reactor)
            server_host.reactor.listenTCP(50000, factory)
            self.assertEqual(net.run_until(first), 2)
            net.partition("client", "server")
            second = client.ask("*", 6, 7)
            net.run(5)
            self.assertFalse(second.called)
            net.heal("client", "server")
            self.assertEqual(net.run_until(second), 42)
            net.run_until(client.close())
