"""The two ends of a connection, beyond what the parity suite compares with real ones."""

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.simulator.network import Network, SimulationFailed
from lab.simulator.paths import LATENCY
from lab.simulator.streams import BUFFER, SEGMENT, WINDOW
from tests.simulator.test_parity import SCRIPTS, Connecting, HalfSide, Numbers, Side, pair


class StreamCase(SynchronousTestCase):
    """A test case with two hosts and a connection between them."""

    def setUp(self) -> None:
        """Two hosts, one of which listens."""
        self.net = Network(7)
        self.here, self.there = self.net.host("here"), self.net.host("there")
        self.factory = Factory()
        self.factory.noisy = False
        self.factory.buildProtocol = lambda addr: self.server  # type: ignore[method-assign]
        self.port = self.there.reactor.listenTCP(80, self.factory)
        self.connect(Side({}), Side({}))

    def connect(self, client: Side, server: Side, settle: float = 1.0) -> None:
        """Connect these two."""
        self.client, self.server = client, server
        self.connecting = Connecting(client)
        self.connector = self.here.reactor.connectTCP("there", 80, self.connecting)
        self.net.kernel.run(self.net.now + settle)


class TransportTests(StreamCase):
    """What an end is for its protocol."""

    def test_interfaces(self) -> None:
        """It is what Twisted's interfaces say, and knows both addresses."""
        transport = self.client.transport
        for interface in (ITCPTransport, IConsumer, IPushProducer, IHalfCloseableDescriptor):
            verifyObject(interface, transport)
        self.assertEqual(transport.getPeer(), IPv4Address("TCP", self.there.address, 80))
        self.assertEqual(self.server.transport.getPeer(), transport.getHost())
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        self.assertEqual((transport.getTcpNoDelay(), transport.getTcpKeepAlive()), (True, False))
        self.assertIsNone(transport.readConnectionLost(None))

    def test_in_words(self) -> None:
        """For reports: ends, state, and what has not gone."""
        self.client.transport.write(b"abc")
        ends = f"TCP {self.here.address}:49152 > {self.there.address}:80"
        expected = f"{ends} connected, 3 bytes to send, 0 under way"
        self.assertEqual(str(self.client.transport), expected)
        self.net.run(0.0)
        expected = f"{ends} connected, 0 bytes to send, 3 under way"
        self.assertEqual(str(self.client.transport), expected)
        self.here.reactor.listenUNIX("/run/lab", self.factory)
        side = Side({})
        self.here.reactor.connectUNIX("/run/lab", Connecting(side))
        self.net.run(0.0)
        expected = "unix  > /run/lab connected, 0 bytes to send, 0 under way"
        self.assertEqual(str(side.transport), expected)

    def test_made_raises(self) -> None:
        """A protocol that raises when it is connected loses its connection."""
        raises = Side({"made": lambda side: 1 / 0})
        self.connect(Side({}), raises)
        self.assertEqual(self.client.seen, ["made", "ConnectionDone"])
        self.assertEqual(raises.seen, ["made", "ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_no_protocol(self) -> None:
        """An end whose factory builds nothing has nobody to tell that it is over."""
        self.factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        self.connect(Side({}), self.server)
        self.assertEqual(self.client.seen, ["made", "ConnectionDone"])


class WritingTests(StreamCase):
    """What goes out, and how fast."""

    def test_segments(self) -> None:
        """Bytes leave in segments, in order, one latency away."""
        chunks: list[bytes] = []
        self.server.script["data"] = lambda side, data: chunks.append(data)
        data = bytes(range(256)) * 40
        self.client.transport.writeSequence([data[:100], data[100:], b""])
        self.net.run(LATENCY / 2)
        self.assertEqual(chunks, [])
        self.net.run(LATENCY)
        self.assertEqual(b"".join(chunks), data)
        self.assertEqual({len(chunk) for chunk in chunks[:-1]}, {SEGMENT})

    def test_no_text(self) -> None:
        """Text is refused."""
        self.assertRaises(TypeError, self.client.transport.write, "text")

    def test_window(self) -> None:
        """Of what a peer does not read, no more than the window is under way."""
        self.server.transport.pauseProducing()
        self.client.transport.write(b"x" * (WINDOW + 100_000))
        self.net.run(10)
        self.assertEqual(len(self.client.transport._buffer), 100_000)
        self.assertEqual(self.server.seen, ["made"])
        self.server.transport.resumeProducing()
        self.net.run(10)
        self.assertEqual(len(self.server.seen[1]), WINDOW + 100_000)

    def test_push_producer(self) -> None:
        """It is paused while much waits, and resumed when all has left."""
        self.server.transport.pauseProducing()
        numbers = Numbers(self.client, 100, 10_000, streaming=True)
        self.net.run(10)
        self.assertTrue(numbers.paused)
        self.assertTrue(0 < len(self.client.transport._buffer) <= BUFFER + 10_000)
        self.server.transport.resumeProducing()
        self.net.run(10)
        self.assertEqual((numbers.left, len(self.server.seen[1])), (0, 1_000_000))

    def test_producers_are_told(self) -> None:
        """There is one producer at a time; it is stopped when the connection ends."""
        stopped: list[int] = []

        class Producer:
            """Produces nothing."""

            def resumeProducing(self) -> None:
                """Nothing."""

            pauseProducing = resumeProducing

            def stopProducing(self) -> None:
                """Note it."""
                stopped.append(1)

        transport = self.client.transport
        transport.registerProducer(Producer(), streaming=True)
        self.assertRaises(RuntimeError, transport.registerProducer, Producer(), 1)
        self.server.transport.abortConnection()
        self.net.run(1)
        self.assertEqual((stopped, self.client.seen[-1]), ([1], "ConnectionLost"))
        transport.registerProducer(Producer(), streaming=True)
        self.assertEqual(stopped, [1, 1])

    def test_closes_when_all_is_produced(self) -> None:
        """Closed while a pull producer has more, a connection waits until that is through."""
        numbers = Numbers(self.client, 5, 1000, streaming=False)
        self.client.transport.loseConnection()
        self.net.run(1)
        self.assertEqual(numbers.left, 0)
        self.assertEqual(len(self.server.seen[1]), 5000)
        self.assertEqual(self.server.seen[2:], ["ConnectionDone"])

    def test_producer_gone_meanwhile(self) -> None:
        """A producer that is taken away before its turn is not asked."""
        asked: list[int] = []

        class Producer:
            """Notes that it is asked."""

            def resumeProducing(self) -> None:
                """Note it."""
                asked.append(1)

        transport = self.client.transport
        transport.registerProducer(Producer(), streaming=False)
        transport.write(b"x")
        self.net.kernel.step()  # it would be asked in the next turn
        transport.unregisterProducer()
        self.net.run(1)
        self.assertEqual(asked, [1])


class EndingTests(StreamCase):
    """How connections end."""

    def test_scripts(self) -> None:
        """Every script of the parity suite, in a simulation."""
        for name in SCRIPTS:
            client, server = pair(name)
            self.connect(client, server, settle=60.0)
            self.assertTrue(client.over.called and server.over.called, name)
        self.assertEqual(len(self.here.ends), 1)

    def test_stop_producing(self) -> None:
        """A transport that is told to stop closes."""
        self.client.transport.stopProducing()
        self.client.transport.loseConnection()
        self.net.run(1)
        self.assertEqual(self.server.seen, ["made", "ConnectionDone"])

    def test_after_the_end(self) -> None:
        """What is said to a transport after its end changes nothing."""
        transport = self.client.transport
        transport.loseConnection()
        self.net.run(1)
        for call in (
            lambda: transport.write(b"x"),
            transport.loseConnection,
            transport.abortConnection,
            transport.loseWriteConnection,
            transport.resumeProducing,
            transport.pauseProducing,
            transport.reset,
            transport.end,
        ):
            call()
        self.net.run(1)
        self.assertEqual(self.client.seen, ["made", "ConnectionDone"])
        self.assertEqual(self.server.seen, ["made", "ConnectionDone"])

    def test_crash_in_the_same_turn(self) -> None:
        """A host that crashes right after an abort tells nobody."""
        self.client.transport.abortConnection()
        self.here.crash()
        self.net.run(1)
        self.assertEqual((self.client.seen, self.server.seen), (["made"], ["made"]))

    def test_unread_bytes(self) -> None:
        """Closed with bytes unread, the peer sees a reset, as with a real kernel."""
        self.server.transport.pauseProducing()
        self.client.transport.write(b"x")
        self.net.run(1)
        self.server.transport.loseConnection()
        self.net.run(1)
        self.assertEqual(self.client.seen, ["made", "ConnectionLost"])

    def test_bytes_for_nobody(self) -> None:
        """Bytes that arrive after the end are answered with a reset."""
        self.connect(HalfSide({}), HalfSide({}))
        self.server.transport.loseConnection()
        self.net.run(1)
        self.assertEqual(self.client.seen, ["made", "read end"])
        self.client.transport.write(b"x")
        self.net.run(1)
        self.assertEqual(self.client.seen, ["made", "read end", "ConnectionLost"])

    def test_end_while_paused(self) -> None:
        """The end of the peer waits as its bytes do."""
        self.server.transport.pauseProducing()
        self.client.transport.loseConnection()
        self.net.run(1)
        self.assertEqual(self.server.seen, ["made"])
        self.server.transport.resumeProducing()
        self.net.run(1)
        self.assertEqual(self.server.seen, ["made", "ConnectionDone"])

    def test_raises(self) -> None:
        """A protocol that raises after it has closed is logged, and nothing more happens."""

        def close_and_raise(side: Side, data: bytes) -> None:
            """Close, and have a bug."""
            side.transport.abortConnection()
            raise ZeroDivisionError

        for action in (close_and_raise, lambda side, data: 1 / 0):
            self.connect(Side({}), Side({"data": action}))
            self.client.transport.write(b"x" * 5000)
            self.assertRaises(SimulationFailed, self.net.run, 1)
            self.net.failures.clear()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(len(self.server.seen), 3)
            self.assertIn(self.client.seen[-1], ("ConnectionLost", "ConnectionDone"))

    def test_cut(self) -> None:
        """While the way is cut bytes wait; mended, they arrive in order, and none is missing."""
        self.client.transport.write(b"one ")
        self.net.partition("here", "there")
        self.net.run(1)
        self.client.transport.write(b"two ")
        self.client.transport.loseConnection()
        self.net.run(60)
        self.assertEqual(self.server.seen, ["made"])
        self.net.heal("here", "there")
        self.net.run(1)
        self.assertEqual(self.server.seen, ["made", b"one two ", "ConnectionDone"])

    def test_a_protocol_of_ones_own(self) -> None:
        """A plain protocol may be on both ends."""
        self.connect(Side({}), self.server)
        self.assertIsInstance(self.client, Protocol)
