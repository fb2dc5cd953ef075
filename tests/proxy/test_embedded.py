"""One proxy in process: its port, its connections, and its end."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Latency, Loss
from lab.faults.journal import Dice, Journal
from lab.proxy.embedded import Embedded
from lab.proxy.upstreams import read_upstream
from lab.simulator.network import Network
from lab.simulator.testing import SimulationMixin
from tests.proxy.scenes import Peer, Serving, echo


class Answerer(DatagramProtocol):
    """Answers."""

    transport: Any = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Send it back."""
        self.transport.write(datagram, addr)


class Asker(DatagramProtocol):
    """Notes what comes, and refusals."""

    transport: Any = None

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Note it."""
        self.seen.append(datagram)

    def connectionRefused(self) -> None:
        """Nobody is there."""
        self.refused += 1


class EmbeddedCase(SimulationMixin, SynchronousTestCase):
    """A proxy on one host, a server on another."""

    net: Network

    def begin(self, upstream: str = "tcp:server:80") -> Embedded:
        """The proxy."""
        reactor = self.net.host("proxy").reactor
        server = self.net.host("server").reactor
        self.servers = Serving(lambda: Peer(data=echo))
        server.listenTCP(80, self.servers)
        server.listenUDP(80, Answerer())
        self.journal = Journal()
        return Embedded(
            reactor,
            "db",
            read_upstream(reactor, upstream),
            decisions=Dice(0),
            journal=self.journal,
            interface="127.0.0.1",
        )

    def connect(self, proxy: Embedded) -> Any:
        """A client that is connected, and has been answered."""
        peer = Peer()
        factory = Factory.forProtocol(lambda: peer)
        factory.noisy = False
        reactor = self.net.host("client").reactor
        self.net.run_until(TCP4ClientEndpoint(reactor, *proxy.address).connect(factory))
        peer.transport.write(b"hello")
        self.net.run_until(peer.arrived(5))
        return peer

    def idle(self) -> bool:
        """Whether nothing is left on the host of the proxy."""
        host = self.net.host("proxy")
        return not (host.tcp or host.udp or host.ends or host.reactor.getDelayedCalls())


class StreamTests(EmbeddedCase):
    """Before a stream."""

    def test_told(self) -> None:
        """What has happened, in a line."""
        proxy = self.begin()
        self.assertEqual(
            proxy.told(),
            "no fault; 0 accepted, 0 refused, 0 bytes up, 0 bytes down",
        )
        proxy.faults.add(Latency(0.5), None, "downstream")
        proxy.faults.add(Loss(0.0), "lossy", "both")
        self.connect(proxy)
        self.assertEqual(
            proxy.told(),
            "latency hit 1 time, lossy hit 0 times; "
            "1 accepted, 0 refused, 5 bytes up, 5 bytes down",
        )

    def test_reset(self) -> None:
        """Both ends see RST."""
        proxy = self.begin()
        client = self.connect(proxy)
        proxy.reset()
        self.net.run(1)
        self.assertEqual([client.why, self.servers.all[0].why], ["ConnectionLost"] * 2)

    def test_until_hit(self) -> None:
        """Who waits goes on when a fault has hit so often, or learns that it has not in time."""
        proxy = self.begin()
        proxy.faults.add(Latency(0.0), "no", "both")
        name = proxy.faults.add(Latency(0.5), None, "both")
        self.net.run(1)
        late = [Deferred.fromCoroutine(proxy.until_hit(name, at_least)) for at_least in (1, 2, 3)]
        never = Deferred.fromCoroutine(proxy.until_hit("no", patience=2.0))
        self.connect(proxy)
        self.successResultOf(late[0])
        self.net.run_until(late[1], limit=0.01)
        self.net.run(2)
        error = self.failureResultOf(never, AssertionError)
        self.assertIn("no of db has hit 0 times, and not 1; ", error.getErrorMessage())
        self.assertNoResult(late[2])
        self.net.run(7)
        self.failureResultOf(late[2], AssertionError)
        unknown = Deferred.fromCoroutine(proxy.until_hit("on"))
        error = self.failureResultOf(unknown, LocalError)
        self.assertEqual(error.getErrorMessage(), "fault of db is 'on'; give one of no, latency")

    def test_down_and_up(self) -> None:
        """Connections end with FIN and clients are refused, until it is there again."""
        proxy = self.begin()
        client = self.connect(proxy)
        address = proxy.address
        for _ in range(2):
            self.net.run_until(proxy.down())
        self.net.run_until(client.end_seen)
        factory = Factory.forProtocol(Peer)
        reactor = self.net.host("client").reactor
        refused = TCP4ClientEndpoint(reactor, *address).connect(factory)
        self.net.run(1)
        self.assertIn("refused", self.failureResultOf(refused).getErrorMessage())
        for _ in range(2):
            self.net.run_until(proxy.up())
        self.assertEqual(proxy.address, address)
        self.connect(proxy)

    def test_order(self) -> None:
        """Who does not wait gets what was asked for all the same."""
        proxy = self.begin()
        for _ in range(3):
            proxy.down()
            proxy.up()
        self.net.run(1)
        self.connect(proxy)

    def test_taken(self) -> None:
        """Where somebody else listens, it does not."""
        proxy = self.begin()
        self.net.run_until(proxy.down())
        other = self.net.host("proxy").reactor.listenTCP(proxy.address[1], Factory())
        error = self.failureResultOf(proxy.up(), LocalError)
        self.assertIn("db can't listen: ", error.getErrorMessage())
        other.stopListening()
        self.net.run_until(proxy.up())
        self.connect(proxy)

    def test_close(self) -> None:
        """Nothing is left: of open connections, of some that linger, of some that are begun."""
        proxy = self.begin()
        clients = [self.connect(proxy) for _ in range(3)]
        proxy.faults.add(Latency(9.0), None, "both")
        clients[0].transport.write(b"under way")
        self.net.run(1)
        proxy.relay.drop()
        lingering = clients[-1]
        reactor = self.net.host("client").reactor
        self.net.partition("proxy", "server")
        waiting = Peer()
        connected = TCP4ClientEndpoint(reactor, *proxy.address).connect(
            Factory.forProtocol(lambda: waiting)
        )
        self.net.run_until(connected)
        self.net.run(0.5)
        self.assertEqual(proxy.relay.connections, 1)
        self.assertFalse(self.idle())
        self.net.run_until(proxy.close(), limit=0.001)
        self.assertTrue(self.idle())
        self.net.run(1)
        self.assertEqual([lingering.why, waiting.why], ["ConnectionLost"] * 2)
        self.net.run_until(proxy.close())


class DatagramTests(EmbeddedCase):
    """Before a port of datagrams."""

    def ask(self, proxy: Embedded) -> Asker:
        """Send one."""
        asker = Asker()
        port = self.net.host("client").reactor.listenUDP(0, asker)
        port.connect(*proxy.address)
        port.write(b"hello")
        self.net.run(1)
        return asker

    def test_relayed(self) -> None:
        """There are sessions and bytes, and no connections to reset."""
        proxy = self.begin("udp:server:80")
        self.assertEqual(self.ask(proxy).seen, [b"hello"])
        self.assertIn("1 accepted", proxy.told())
        error = self.assertRaises(LocalError, proxy.reset)
        self.assertEqual(str(error), "db is udp, which has no connections to reset; use drop")

    def test_down_and_up(self) -> None:
        """Nobody listens, and then there is somebody again."""
        proxy = self.begin("udp:server:80")
        self.net.run_until(proxy.down())
        asker = self.ask(proxy)
        self.assertEqual((asker.seen, asker.refused), ([], 1))
        self.net.run_until(proxy.up())
        self.assertEqual(self.ask(proxy).seen, [b"hello"])

    def test_close(self) -> None:
        """Nothing is left, of what is under way either."""
        proxy = self.begin("udp:server:80")
        proxy.faults.add(Latency(9.0), None, "both")
        self.ask(proxy)
        self.assertFalse(self.idle())
        self.net.run_until(proxy.close(), limit=0.001)
        self.assertTrue(self.idle())
