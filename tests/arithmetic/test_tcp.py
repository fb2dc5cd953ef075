"""The arithmetic service on streams."""

from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.arithmetic.tcp import ArithmeticClient, ArithmeticFactory, ArithmeticProtocol
from lab.arithmetic.wire import LIMIT
from lab.backoff import Backoff
from lab.errors import ConnectionRefused, NoAnswer, Unreachable
from lab.rng import stream
from lab.testing import chunkings
from tests.adapters.stand_ins import PEER, StreamStandIn, Transport, to_next_timer
from tests.helpers import folder

SCHEDULE = Backoff(first=0.1, cap=2.0)


class ServerTests(SynchronousTestCase):
    """The protocol that answers."""

    def setUp(self) -> None:
        """A factory on a clock."""
        self.clock = Clock()
        self.factory = ArithmeticFactory(self.clock, ServerSettings(idle=10))

    def connect(self) -> tuple[ArithmeticProtocol, Transport]:
        """One more connection."""
        protocol, transport = self.factory.buildProtocol(PEER), Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_any_chunks(self) -> None:
        """However a stream is cut, each line has its answer, in order."""
        for chunks in chunkings(b"+,1,1\r\n/,1,0\n#k-1 *,6,7\nnonsense\n\n"):
            protocol, transport = self.connect()
            for chunk in chunks:
                protocol.dataReceived(chunk)
            answers = [b"200,2", b"300,-1", b"#k-1 200,42", b"300,-1", b"300,-1"]
            self.assertEqual(transport.lines(), answers)

    def test_one_write_for_a_chunk(self) -> None:
        """What came together is answered together."""
        protocol, transport = self.connect()
        writes: list[bytes] = []
        transport.write = writes.append
        protocol.dataReceived(b"+,1,1\n" * 1000)
        self.assertEqual(writes, [b"200,2\n" * 1000])

    def test_a_thousand_clients(self) -> None:
        """A thousand connections, fed byte by byte in any order, never mix their answers."""
        order = Random(7)
        connections = [self.connect() for _ in range(1000)]
        requests = [iter(b"+,%d,1\n*,2,%d\n" % (n, n)) for n in range(1000)]
        open_ = list(range(1000))
        while open_:
            place = order.randrange(len(open_))
            byte = next(requests[open_[place]], None)
            if byte is None:
                open_[place] = open_[-1]
                open_.pop()
            else:
                connections[open_[place]][0].dataReceived(bytes([byte]))
        for n, (_, transport) in enumerate(connections):
            self.assertEqual(transport.lines(), [b"200,%d" % (n + 1), b"200,%d" % (2 * n)])
        self.assertEqual(self.factory.counters.executed, 2000)

    def test_counters_of_all_connections(self) -> None:
        """The factory counts for all of them together."""
        for _ in range(3):
            self.connect()[0].dataReceived(b"+,1,1\n/,1,0\n")
        counters = self.factory.counters
        self.assertEqual((counters.executed, counters.refused), (3, 3))

    def test_too_long(self) -> None:
        """A line over the limit is refused, the connection ends, and what follows is nothing."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"+,1,1\n" + b"9" * (LIMIT + 1))
        self.assertEqual(transport.lines(), [b"200,2", b"300,-1"])
        protocol.dataReceived(b"\n+,1,1\n")
        self.assertEqual(transport.lines(), [])
        self.clock.advance(10)
        self.assertTrue(transport.aborted)

    def test_idle(self) -> None:
        """Ten seconds without a whole line end the connection, whatever bytes come."""
        protocol, transport = self.connect()
        for byte in b"+,1,1\n+,1,1":
            protocol.dataReceived(bytes([byte]))
            self.clock.advance(1.0)
        self.assertFalse(transport.disconnecting or transport.aborted)
        self.clock.advance(5.0)
        self.assertTrue(transport.disconnecting or transport.aborted)
        self.assertEqual(transport.lines(), [b"200,2"])

    def test_ends(self) -> None:
        """A connection that is gone leaves nothing in the reactor."""
        protocol, _ = self.connect()
        protocol.dataReceived(b"+,1,1\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_default_settings(self) -> None:
        """Without settings it has those of `ServerSettings`."""
        protocol, transport = ArithmeticFactory(self.clock).buildProtocol(None), Transport()
        protocol.makeConnection(transport)
        self.clock.advance(ServerSettings().idle - 1)
        self.assertFalse(transport.disconnecting or transport.aborted)

    @given(st.binary(max_size=3000))
    def test_any_bytes(self, data: bytes) -> None:
        """No bytes raise, and every whole line within the limit has one answer."""
        self.setUp()
        protocol, transport = self.connect()
        protocol.dataReceived(data)
        whole = data.split(b"\n")[:-1]
        if all(len(line) <= LIMIT for line in data.split(b"\n")):
            self.assertEqual(len(transport.lines()), len(whole))


class ClientTests(SynchronousTestCase):
    """How a client comes to its connections, and what it does without them."""

    def make(self, **settings: Any) -> ArithmeticClient:
        """A client on stand-ins."""
        self.clock, self.endpoint = Clock(), StreamStandIn()
        settings = {"retry": SCHEDULE, **settings}
        endpoint: Any = self.endpoint
        return ArithmeticClient(self.clock, endpoint, ClientSettings(**settings), stream(7))

    def answer(self, protocol: Any, transport: Transport) -> None:
        """Answer all requests that came, as a server would."""
        for line in transport.lines():
            id, request = line.split()
            self.assertEqual(request, b"+,1,1")
            protocol.dataReceived(id + b" 200,2\n")

    def test_connects_when_asked(self) -> None:
        """The first request makes the connection, the second uses it; nothing is sent before."""
        client = self.make()
        self.assertEqual(self.endpoint.tried, 0)
        first, second = client.ask("+", 1, 1), client.ask("+", 1, 1)
        protocol, transport = self.endpoint.accept()
        self.answer(protocol, transport)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (2, 2))
        third = client.ask("+", 1, 1)
        self.answer(protocol, transport)
        self.assertEqual(self.successResultOf(third), 2)
        self.assertEqual(self.endpoint.tried, 1)

    def test_attempts_on_the_schedule(self) -> None:
        """Attempts to connect are made at 0, 0.1, 0.3, 0.7 and 1.5 s; then the reason is told."""
        asked = self.make().ask("+", 1, 1)
        times = []
        while not asked.called:
            times.append(round(self.clock.seconds(), 9))
            self.endpoint.refuse(TwistedRefused())
            if not asked.called:
                to_next_timer(self.clock)
        self.assertEqual(times, [0, 0.1, 0.3, 0.7, 1.5])
        error = self.failureResultOf(asked, ConnectionRefused).value
        text = "no connection after 5 attempts: Connection was refused by other side."
        self.assertEqual(str(error), text)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent_host(self) -> None:
        """An attempt that nobody answers takes as long as its wait, and no longer."""
        asked = self.make().ask("+", 1, 1)
        while not asked.called:
            to_next_timer(self.clock)
        self.assertEqual((self.endpoint.tried, round(self.clock.seconds(), 9)), (5, 3.1))
        error = self.failureResultOf(asked, NoAnswer).value
        self.assertEqual(str(error), "no connection in time after 5 attempts")

    def test_last_reason(self) -> None:
        """The reason that is told is that of the last attempt, in the system's words."""
        asked = self.make(retry=Backoff.fixed(1.0)).ask("+", 1, 1)
        self.endpoint.refuse(ConnectBindError(osError=98, string="bound"))
        error = self.failureResultOf(asked, Unreachable).value
        self.assertEqual(str(error), "no connection after 1 attempt: Address already in use")

    def test_nobody_waits(self) -> None:
        """Without a request in flight no further attempt is made."""
        asked = self.make(deadline=0.2).ask("+", 1, 1)
        while self.clock.getDelayedCalls():
            if self.endpoint.attempts:
                self.endpoint.refuse(TwistedRefused())
            else:
                to_next_timer(self.clock)
        self.failureResultOf(asked, NoAnswer)
        self.assertEqual(self.endpoint.tried, 2)

    def test_connection_after_failures(self) -> None:
        """An attempt that succeeds sends what waited for it, and its timeouts count from then."""
        asked = self.make().ask("+", 1, 1)
        for _ in range(3):
            self.endpoint.refuse(TwistedRefused())
            to_next_timer(self.clock)
        protocol, transport = self.endpoint.accept()
        self.assertEqual(len(transport.lines()), 1)
        self.clock.advance(0.09)
        self.assertEqual(transport.lines(), [])
        self.clock.advance(0.02)
        self.answer(protocol, transport)
        self.assertEqual(self.successResultOf(asked), 2)

    def test_broken_connection(self) -> None:
        """What was in flight fails with the reason; the next request connects anew."""
        client = self.make()
        asked = client.ask("+", 1, 1)
        protocol, _ = self.endpoint.accept()
        protocol.connectionLost(Failure(ConnectionLost()))
        error = self.failureResultOf(asked, Unreachable).value
        self.assertTrue(str(error).startswith("the connection broke: "), error)
        self.assertEqual(self.endpoint.tried, 1)
        again = client.ask("+", 1, 1)
        self.answer(*self.endpoint.accept())
        self.assertEqual(self.successResultOf(again), 2)

    def test_repeat(self) -> None:
        """If asked, what was in flight is sent again on the next connection."""
        asked = self.make(repeat=True).ask("+", 1, 1)
        protocol, transport = self.endpoint.accept()
        sent = transport.lines()
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertNoResult(asked)
        protocol, transport = self.endpoint.accept()
        self.assertEqual(transport.value().splitlines(), sent)
        self.answer(protocol, transport)
        self.assertEqual(self.successResultOf(asked), 2)

    def test_repeat_ends(self) -> None:
        """A request that is repeated on connection after connection ends with its attempts."""
        asked = self.make(repeat=True).ask("+", 1, 1)
        while not asked.called:
            if self.endpoint.attempts:
                protocol, _ = self.endpoint.accept()
                self.clock.advance(0.01)
                protocol.connectionLost(Failure(ConnectionLost()))
            else:
                to_next_timer(self.clock)
            self.assertLess(self.endpoint.tried, 1000)
        self.failureResultOf(asked, NoAnswer)

    def test_oversized_answer(self) -> None:
        """A server that never ends its line is let go, and the request fails."""
        asked = self.make().ask("+", 1, 1)
        protocol, transport = self.endpoint.accept()
        protocol.dataReceived(b"9" * 5000)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(asked, Unreachable)

    def test_several_connections(self) -> None:
        """Each connection has its own id and buffers; a half line of one is none of another's."""
        client = self.make(connections=2)
        asked = [client.ask("+", 1, 1) for _ in range(2)]
        (one, one_way), (other, other_way) = self.endpoint.accept(), self.endpoint.accept()
        ids = [transport.value().split()[0] for transport in (one_way, other_way)]
        self.assertNotEqual(ids[0].split(b"-")[0], ids[1].split(b"-")[0])
        one.dataReceived(ids[0] + b" 20")
        other.dataReceived(ids[1] + b" 200,2\n")
        self.assertNoResult(asked[0])
        self.assertEqual(self.successResultOf(asked[1]), 2)
        one.dataReceived(b"0,2\n")
        self.assertEqual(self.successResultOf(asked[0]), 2)
        # The answer to a request of the one on the connection of the other is late, and no more.
        third = client.ask("+", 1, 1)
        id = one_way.value().splitlines()[-1].split()[0]
        other.dataReceived(id + b" 200,3\n")
        self.assertNoResult(third)
        self.assertEqual(client.traffic.late, 1)
        third.addErrback(lambda _: None)

    def states(self) -> Iterator[tuple[ArithmeticClient, Deferred[Any]]]:
        """A client in each of the states that a connection may be in, and its request."""
        client = self.make()
        yield client, client.ask("+", 1, 1)  # connecting
        client = self.make()
        asked = client.ask("+", 1, 1)
        self.endpoint.refuse(TwistedRefused())
        yield client, asked  # waiting for the next attempt
        client = self.make()
        asked = client.ask("+", 1, 1)
        protocol, transport = self.endpoint.accept()
        transport.loseConnection = lambda: protocol.connectionLost(Failure(ConnectionDone()))
        yield client, asked  # connected

    def test_close(self) -> None:
        """Closing ends whatever is under way, and leaves nothing in the reactor."""
        for client, asked in self.states():
            self.assertIsNone(self.successResultOf(client.close()))
            error = self.failureResultOf(asked, Unreachable).value
            self.assertEqual(str(error), "the client was closed")
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(self.make().close()))  # unconnected

    def test_close_waits_for_the_end(self) -> None:
        """`close` fires when the connection is gone."""
        client = self.make()
        client.ask("+", 1, 1).addErrback(lambda _: None)
        protocol, _ = self.endpoint.accept()
        closing = client.close()
        self.assertNoResult(closing)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIsNone(self.successResultOf(closing))

    def test_defaults(self) -> None:
        """Settings and random numbers need not be given."""
        endpoint: Any = StreamStandIn()
        client = ArithmeticClient(Clock(), endpoint)
        asked = client.ask("+", 1, 1)
        protocol, transport = endpoint.accept()
        self.answer(protocol, transport)
        self.assertEqual(self.successResultOf(asked), 2)


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 10

    async def serve(self, place: str) -> tuple[Any, ArithmeticFactory]:
        """A server that ends with the test."""
        factory = ArithmeticFactory(reactor)
        self.port = await serverFromString(reactor, place).listen(factory)
        self.addCleanup(self.port.stopListening)
        return self.port.getHost(), factory

    def client(self, place: str, **settings: Any) -> ArithmeticClient:
        """A client that ends with the test."""
        endpoint = clientFromString(reactor, place)
        client = ArithmeticClient(reactor, endpoint, ClientSettings(**settings))
        self.addCleanup(client.close)
        return client

    async def test_many(self) -> None:
        """A thousand requests are in flight on three connections, and each has its answer."""
        host, factory = await self.serve("tcp:0:interface=127.0.0.1")
        client = self.client(f"tcp:127.0.0.1:{host.port}", connections=3)
        asked = [client.ask("*", n, n) for n in range(1000)]
        self.assertEqual([await one for one in asked], [n * n for n in range(1000)])
        self.assertEqual(factory.counters.executed, 1000)

    async def test_unix(self) -> None:
        """Over a Unix socket."""
        path = folder(self) / "socket"
        await self.serve(f"unix:{path}")
        self.assertEqual(await self.client(f"unix:{path}").ask("+", 1, 1), 2)

    async def test_refused(self) -> None:
        """A port where nobody listens is a refused connection."""
        host, _ = await self.serve("tcp:0:interface=127.0.0.1")
        await self.port.stopListening()
        with self.assertRaises(ConnectionRefused) as caught:
            await self.client(f"tcp:127.0.0.1:{host.port}").ask("+", 1, 1)
        text = "no connection after 1 attempt: Connection refused"
        self.assertEqual(str(caught.exception), text)
