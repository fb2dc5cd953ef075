"""Cores on datagram ports, on a stand-in for a port and on loopback."""

import errno
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.datagram import Address, PeerProtocol, PeersProtocol, answers_too
from lab.adapters.driver import Driver
from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.core import Finished
from tests.helpers import captured_logs, together

ONE, OTHER, THIRD = (("192.0.2.1", port) for port in (5000, 5001, 5002))


class CountingCore:
    """
    Answers each message with its number; ``bye`` ends it.

    Args:
        addr: Whose it is.
    """

    def __init__(self, addr: Address | None = None) -> None:
        self.addr = addr
        self.heard: list[bytes] = []
        self.out: list[bytes] = []
        self.told: list[object] = []
        self.due: float | None = None
        #: When it was told that its peer is gone.
        self.closed: list[float] = []

    def message(self, data: bytes, now: float) -> None:
        """Count it; be due in 10 s."""
        self.heard.append(data)
        self.out.append(b"%d %s" % (len(self.heard), data))
        self.due = now + 10
        if data == b"bye":
            self.told.append(Finished("enough"))

    def tick(self, now: float) -> None:
        """Silent for too long."""
        self.due = None
        self.told.append(Finished("silent"))

    def close(self, now: float) -> None:
        """Note it, and say something that nobody hears."""
        self.closed.append(now)
        self.due = None

    def outgoing(self) -> list[bytes]:
        """The answers."""
        out, self.out = self.out, []
        return out

    def events(self) -> list[object]:
        """The end perhaps."""
        told, self.told = self.told, []
        return told

    def deadline(self) -> float | None:
        """After silence."""
        return self.due


class Port:
    """A UDP port without a network."""

    def __init__(self, protocol: DatagramProtocol) -> None:
        self.protocol = protocol
        self.peer: Address | None = None
        self.sent: list[tuple[bytes, Address | None]] = []
        #: What the next writes raise.
        self.errors: list[BaseException | None] = []
        self.stopped = 0
        protocol.makeConnection(self)

    def connect(self, host: str, port: int) -> None:
        """Hear nobody else."""
        self.peer = host, port

    def write(self, datagram: bytes, addr: Address | None = None) -> None:
        """Note it, or raise."""
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        self.sent.append((datagram, addr))

    def stopListening(self) -> Deferred[None]:
        """Close, and tell the protocol so."""
        self.stopped += 1
        self.protocol.doStop()
        return succeed(None)


class PeersTests(SynchronousTestCase):
    """A core for each peer."""

    def make(self, peers: int = 100) -> None:
        """A port that keeps so many cores."""
        self.clock = Clock()
        self.cores: list[CountingCore] = []
        self.server = PeersProtocol(self.clock, self.build, peers)
        self.port = Port(self.server)

    def build(self, addr: Address) -> CountingCore:
        """One more core."""
        self.cores.append(CountingCore(addr))
        return self.cores[-1]

    def receive(self, *datagrams: tuple[bytes, Address]) -> list[tuple[bytes, Address | None]]:
        """What is sent because of these."""
        del self.port.sent[:]
        for data, addr in datagrams:
            self.server.datagramReceived(data, addr)
        return self.port.sent

    def test_two_peers(self) -> None:
        """Two peers, of one host too, have cores of their own; each answer goes to its asker."""
        self.make()
        sent = self.receive((b"a", ONE), (b"b", OTHER), (b"c", ONE), (b"d", OTHER), (b"e", ONE))
        self.assertEqual(
            sent,
            [(b"1 a", ONE), (b"1 b", OTHER), (b"2 c", ONE), (b"2 d", OTHER), (b"3 e", ONE)],
        )
        self.assertEqual([core.addr for core in self.cores], [ONE, OTHER])

    @given(st.lists(st.tuples(st.binary(max_size=3), st.integers(0, 4)), max_size=30))
    def test_any_order(self, datagrams: list[tuple[bytes, int]]) -> None:
        """However the datagrams of peers are mixed, each hears its own, in order."""
        self.make()
        self.receive(*((data, ("::1", port)) for data, port in datagrams if data != b"bye"))
        for core in self.cores:
            own = [data for data, port in datagrams if ("::1", port) == core.addr]
            self.assertEqual(core.heard, [data for data in own if data != b"bye"])
        self.assertEqual(len({core.addr for core in self.cores}), len(self.cores))

    def test_together(self) -> None:
        """Datagrams that leave together keep their place among others."""
        self.make()
        self.receive((b"a", ONE))
        self.cores[0].out = [b"1", together(b"2345", 2), b"6", b"7", together(b"89", 1)]  # type: ignore[list-item]
        sent = [data for data, _ in self.receive((b"b", ONE))]
        self.assertEqual(sent, [b"1", b"23", b"45", b"6", b"7", b"8", b"9", b"2 b"])
        del self.port.sent[:]
        self.server._send([together(b"1234", 2), together(b"56", 1)], ONE)
        self.assertEqual([data for data, _ in self.port.sent], [b"12", b"34", b"5", b"6"])

    def test_room(self) -> None:
        """With no room for a new peer, the one that was silent for longest is closed."""
        self.make(peers=2)
        self.receive((b"a", ONE), (b"b", OTHER), (b"c", ONE))
        self.clock.advance(1)
        self.assertEqual(self.receive((b"d", THIRD)), [(b"1 d", THIRD)])
        self.assertEqual([core.closed for core in self.cores], [[], [1.0], []])
        self.assertEqual(self.receive((b"e", ONE)), [(b"3 e", ONE)])
        self.assertEqual(self.receive((b"f", OTHER)), [(b"1 f", OTHER)])
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)

    def test_default_room(self) -> None:
        """Ten thousand peers are kept unless told otherwise."""
        met: list[CountingCore] = []

        def build(addr: Address) -> CountingCore:
            met.append(CountingCore(addr))
            met[-1].deadline = lambda: None  # ten thousand timers would take their time
            return met[-1]

        server = PeersProtocol(Clock(), build)
        Port(server)
        for port in range(10_001):
            server.datagramReceived(b"a", ("192.0.2.1", port))
        self.assertEqual([core.addr for core in met if core.closed], [("192.0.2.1", 0)])

    def test_finished(self) -> None:
        """A peer whose core has finished gets its answer, and a new core when it comes again."""
        self.make()
        sent = self.receive((b"a", ONE), (b"bye", ONE), (b"c", ONE))
        self.assertEqual(sent, [(b"1 a", ONE), (b"2 bye", ONE), (b"1 c", ONE)])
        self.assertEqual([core.closed for core in self.cores], [[0.0], []])

    def test_silent(self) -> None:
        """Cores have their timers, and one that has finished leaves none."""
        self.make()
        self.receive((b"a", ONE))
        self.clock.advance(4)
        self.receive((b"b", OTHER))
        self.clock.advance(6)
        self.assertEqual([core.closed for core in self.cores], [[10.0], []])
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [14.0])

    def test_finished_twice(self) -> None:
        """A core that finishes once more while it is closed is forgotten once."""
        self.make()
        self.receive((b"a", ONE))
        (core,) = self.cores
        core.told = [Finished("one"), Finished("two")]
        self.receive((b"b", ONE))
        self.assertEqual(len(core.closed), 1)

    def test_end(self) -> None:
        """A port that is closed closes all cores, and leaves nothing in the reactor."""
        self.make()
        self.receive((b"a", ONE), (b"b", OTHER))
        self.clock.advance(1)
        self.port.stopListening()
        self.assertEqual([core.closed for core in self.cores], [[1.0], [1.0]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_last_words(self) -> None:
        """What cores say when the port is closed already is dropped, and is no error."""
        self.make()
        self.receive((b"a", ONE))
        (core,) = self.cores
        core.out = [b"last words"]
        del self.port.sent[:]
        self.port.stopListening()
        self.assertEqual((self.port.sent, core.out, self.server.unsent), ([], [], 0))

    def test_not_sent(self) -> None:
        """What the system does not take is lost, counted and logged; all else goes on."""
        self.make()
        self.port.errors = [OSError(errno.ENOBUFS, "No buffer space available")]
        with captured_logs() as events:
            sent = self.receive((b"a", ONE), (b"b", ONE))
        self.assertEqual(sent, [(b"2 b", ONE)])
        self.assertEqual(self.server.unsent, 1)
        (event,) = events
        self.assertEqual((event["log_level"], event["to"]), (LogLevel.debug, ONE))
        self.assertEqual(event["error"].errno, errno.ENOBUFS)

    def test_rest_of_a_batch(self) -> None:
        """Of several messages, one that is not taken does not hold back the others."""
        self.make()
        self.port.errors = [None, PermissionError(errno.EPERM, "not permitted"), None]
        self.server._send([b"a", b"b", b"c"], ONE)
        self.assertEqual(self.port.sent, [(b"a", ONE), (b"c", ONE)])
        self.assertEqual(self.server.unsent, 1)


class LoopTests(SynchronousTestCase):
    """Datagrams that must not be answered."""

    def test_answers_too(self) -> None:
        """Those of ports below 1024, and of the number of the own port."""
        ports = {port: answers_too(port, 50001) for port in (0, 7, 1023, 1024, 50000, 50001)}
        self.assertEqual([port for port, too in ports.items() if too], [0, 7, 1023, 50001])


class PeerTests(SynchronousTestCase):
    """One core against one peer."""

    def setUp(self) -> None:
        """A port that is open."""
        self.core, self.refused = CountingCore(), 0
        self.driver = Driver(self.core, Clock())
        self.protocol = PeerProtocol(self.driver, ONE, self.refuse)
        self.port = Port(self.protocol)

    def refuse(self) -> None:
        """Count it."""
        self.refused += 1

    def test_talks(self) -> None:
        """It hears its peer only, and answers without an address."""
        self.assertEqual(self.port.peer, ONE)
        self.protocol.datagramReceived(b"a", ONE)
        self.assertEqual(self.port.sent, [(b"1 a", None)])

    def test_refused(self) -> None:
        """`connectionRefused` closes the port, and is reported once, though closing tells too."""
        self.protocol.connectionRefused()
        self.assertEqual((self.refused, self.port.stopped), (1, 1))
        self.protocol.connectionRefused()
        self.assertEqual((self.refused, self.port.stopped), (1, 1))

    def test_refused_while_sending(self) -> None:
        """When sending brings it to light, the other messages go nowhere, and nothing raises."""

        def write(datagram: bytes, addr: Address | None = None) -> None:
            self.port.sent.append((datagram, addr))
            self.protocol.connectionRefused()

        self.port.write = write
        self.core.out = [b"a", b"b"]
        self.driver.settle()
        self.assertEqual(self.port.sent, [(b"a", None)])
        self.assertEqual((self.refused, self.protocol.unsent), (1, 0))

    def test_closed_by_the_reactor(self) -> None:
        """A port that closes without our doing is reported as refused, and sends no more."""
        self.port.protocol.doStop()
        self.protocol.connectionRefused()
        self.assertEqual((self.refused, self.port.stopped), (1, 0))
        self.assertNotEqual(self.driver.write, self.protocol._send)
        self.driver.message(b"a")
        self.assertEqual(self.port.sent, [])

    def test_end(self) -> None:
        """A port that we close is not refused, and sends no more."""
        self.assertIsNone(self.successResultOf(self.protocol.end()))
        self.assertEqual((self.refused, self.port.stopped), (0, 1))
        self.assertNotEqual(self.driver.write, self.protocol._send)
        self.driver.message(b"a")
        self.assertEqual(self.port.sent, [])

    def test_next_port(self) -> None:
        """After it, the driver can have a port to another address."""
        self.protocol.connectionRefused()
        port = Port(PeerProtocol(self.driver, OTHER, self.refuse))
        self.driver.message(b"a")
        self.assertEqual((port.peer, port.sent, self.port.sent), (OTHER, [(b"1 a", None)], []))


class WatchedProtocol(PeerProtocol):
    """Says when it is refused, and when its port is closed, by whomever."""

    def __init__(self, core: CountingCore, peer: Address) -> None:
        self.refused: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()
        super().__init__(Driver(core, Clock()), peer, lambda: self.refused.callback(None))

    def stopProtocol(self) -> None:
        """Say so."""
        super().stopProtocol()
        self.closed.callback(None)


class Listener(DatagramProtocol):
    """A peer on a real socket that gives each datagram to a Deferred."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[tuple[bytes, Address]]] = []

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Give it to who waits for longest."""
        self.waiting.pop(0).callback((datagram, addr))

    def next(self) -> Deferred[tuple[bytes, Address]]:
        """The next datagram and where it is from."""
        self.waiting.append(Deferred())
        return self.waiting[-1]


class LoopbackTests(TestCase):
    """Over real sockets, with what a kernel says."""

    timeout = 10

    def listen(self, protocol: DatagramProtocol) -> Any:
        """A port that ends with the test."""
        port = DatagramServerEndpoint(reactor, 0, "127.0.0.1").listen(protocol)
        self.addCleanup(port.stopListening)
        return port

    def ask(self, host: Any, core: CountingCore) -> WatchedProtocol:
        """A port that asks there, and ends with the test unless it is refused."""
        protocol = WatchedProtocol(core, (host.host, host.port))
        DatagramClientEndpoint(reactor, host.host, host.port).listen(protocol)
        self.addCleanup(lambda: None if protocol.refused.called else protocol.end())
        return protocol

    async def test_two_peers(self) -> None:
        """Two sockets of one host are two peers."""
        server = PeersProtocol(Clock(), CountingCore)
        place = self.listen(server).getHost()
        listeners = [Listener(), Listener()]
        ports = [self.listen(listener) for listener in listeners]
        for number in (b"1", b"2"):
            for listener, port in zip(listeners, ports, strict=True):
                answer = listener.next()
                port.write(b"x", (place.host, place.port))
                self.assertEqual((await answer)[0], number + b" x")

    async def test_refused(self) -> None:
        """ICMP ends the port and is reported, on this reactor too; then a port can be had again."""
        gone = DatagramServerEndpoint(reactor, 0, "127.0.0.1").listen(DatagramProtocol())
        nowhere = gone.getHost()
        await gone.stopListening()
        core = CountingCore()
        protocol = self.ask(nowhere, core)
        core.out = [b"anybody?"]
        protocol._driver.settle()
        await protocol.refused
        await protocol.closed
        self.assertIsNone(protocol.transport)
        listener = Listener()
        core.out, heard = [b"anybody?"], listener.next()
        place = self.listen(listener)
        self.ask(place.getHost(), core)._driver.settle()
        self.assertEqual((await heard)[0], b"anybody?")

    async def test_largest(self) -> None:
        """The largest datagram that IPv4 carries arrives whole, and so does its answer."""
        largest = 65_507
        core = CountingCore()
        heard: Deferred[bytes] = Deferred()
        core.message = lambda data, now: heard.callback(data)
        server = PeersProtocol(Clock(), CountingCore)
        protocol = self.ask(self.listen(server).getHost(), core)
        core.out = [b"x" * (largest - 2)]
        protocol._driver.settle()
        self.assertEqual(await heard, b"1 " + b"x" * (largest - 2))
        self.assertEqual((protocol.unsent, server.unsent), (0, 0))

    async def test_too_large(self) -> None:
        """One that is larger is lost and counted, on either side, and what follows arrives."""
        core = CountingCore()
        heard: Deferred[bytes] = Deferred()
        core.message = lambda data, now: heard.callback(data)
        server = PeersProtocol(Clock(), CountingCore)
        protocol = self.ask(self.listen(server).getHost(), core)
        core.out = [b"x" * 65_508, b"x" * 65_507, b"after"]
        protocol._driver.settle()
        # The second fits, but not with the two bytes that are put before it.
        self.assertEqual(await heard, b"2 after")
        self.assertEqual((protocol.unsent, server.unsent), (1, 1))

    async def test_others_are_not_heard(self) -> None:
        """A client's port takes datagrams of its peer only."""
        listener = Listener()
        asked = listener.next()
        core = CountingCore()
        place = self.listen(listener)
        protocol = self.ask(place.getHost(), core)
        core.out = [b"hello"]
        protocol._driver.settle()
        _, addr = await asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.sendto(b"from a stranger", addr)
        answer = listener.next()
        place.write(b"from the peer", addr)
        self.assertEqual((await answer)[0], b"1 from the peer")
        self.assertEqual(core.heard, [b"from the peer"])
