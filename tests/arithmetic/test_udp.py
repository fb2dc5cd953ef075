"""The arithmetic service on datagrams."""

import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.adapters.routes import RESOLVING
from lab.arithmetic.server import ArithmeticServerCore
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.arithmetic.udp import ArithmeticClient, ArithmeticDatagramProtocol
from lab.backoff import Backoff
from lab.errors import ConnectionRefused, NoAnswer, Unreachable
from lab.faults.datagrams import Blackhole, Loss
from lab.rng import stream
from tests.adapters.stand_ins import DatagramStandIn, Port
from tests.helpers import captured_logs

ONE, OTHER = ("192.0.2.1", 5000), ("192.0.2.1", 5001)
SCHEDULE = Backoff(first=0.1, cap=2.0)


class ServerTests(SynchronousTestCase):
    """The protocol that answers."""

    def make(self, settings: ServerSettings | None = None, seed: int = 7) -> None:
        """A server on a clock."""
        self.clock = Clock()
        rate = settings.drop_rate if settings else 0.0
        drops = Loss(rate).begin(stream(seed, "drops"))
        self.server = ArithmeticDatagramProtocol(self.clock, settings, drops)
        self.port = Port(self.server, "")

    def answers(self, *datagrams: bytes, peer: tuple[str, int] = ONE) -> list[bytes]:
        """What is sent because of these datagrams, which all goes back where they came from."""
        del self.port.sent[:]
        for datagram in datagrams:
            self.server.datagramReceived(datagram, peer)
        self.assertEqual({address for _, address in self.port.sent} - {peer}, set())
        return [answer for answer, _ in self.port.sent]

    def test_answers(self) -> None:
        """A datagram is a request, with or without a line ending, and so is its answer."""
        self.make()
        for ending in (b"", b"\n", b"\r\n"):
            self.assertEqual(self.answers(b"+,1,1" + ending), [b"200,2"])
        self.assertEqual(self.answers(b"#k-1 *,6,7"), [b"#k-1 200,42"])
        lines = b"", b"\n", b"+,1,1\n\n", b"+,1,1\r\r\n", b"+,1,1\n+,2,2"
        for wrong in (*lines, b"/,1,0", b"9" * 1025):
            self.assertEqual(self.answers(wrong), [b"300,-1"])

    def test_peers(self) -> None:
        """Ids of different peers have nothing to do with each other; counters count for all."""
        self.make()
        self.assertEqual(self.answers(b"#k-1 +,1,1"), [b"#k-1 200,2"])
        self.assertEqual(self.answers(b"#k-1 +,2,2", peer=OTHER), [b"#k-1 200,4"])
        self.assertEqual(self.answers(b"#k-1 +,1,1"), [b"#k-1 200,2"])
        counters = self.server.counters
        self.assertEqual((counters.executed, counters.repeated), (2, 1))

    def test_cache_is_bounded(self) -> None:
        """Only so many answers are kept, and evictions are counted."""
        self.make(ServerSettings(cache_entries=10))
        for n in range(25):
            self.answers(b"#k-%d +,1,1" % n)
        self.assertEqual(self.server.replies.evicted, 15)

    def test_proof(self) -> None:
        """An answer of more than three times its request goes only to a proved address."""
        self.make()
        (challenge,) = self.answers(b"**,10,2000")
        self.assertLess(len(challenge), 60)
        token = challenge.removeprefix(b"401 ")
        (answer,) = self.answers(b"token=" + token + b" **,10,2000")
        self.assertEqual(answer, b"200,1" + b"0" * 2000)
        (again,) = self.answers(b"token=" + token + b" **,10,2000", peer=OTHER)
        self.assertTrue(again.startswith(b"401 "))

    def dropped(self, rate: float, seed: int, count: int = 1000) -> list[int]:
        """The numbers of the datagrams that got no answer."""
        self.make(ServerSettings(drop_rate=rate), seed)
        return [n for n in range(count) if not self.answers(b"+,1,1")]

    def test_drop_rate(self) -> None:
        """The share that is dropped is the one asked for; within 3 sigma of 0.3."""
        dropped = self.dropped(0.3, 7)
        self.assertApproximates(len(dropped), 300, 3 * (1000 * 0.3 * 0.7) ** 0.5)
        self.assertEqual((self.server.received, self.server.dropped), (1000, len(dropped)))

    def test_drop_all_or_none(self) -> None:
        """With 1 all are dropped, with 0 none is."""
        self.assertEqual(len(self.dropped(1.0, 7)), 1000)
        self.assertEqual(self.dropped(0.0, 7), [])

    def test_seed(self) -> None:
        """One seed drops the same datagrams again, and another others."""
        self.assertEqual(self.dropped(0.3, 7), self.dropped(0.3, 7))
        self.assertNotEqual(self.dropped(0.3, 7), self.dropped(0.3, 8))

    def test_seed_whatever_they_hold(self) -> None:
        """What is dropped depends on the seed and on how many came before, and on nothing else."""
        expected = self.dropped(0.3, 7, 50)
        self.make(ServerSettings(drop_rate=0.3))
        data = (b"", b"nonsense", b"#k-1 +,1,1", b"**,10,4000")
        found = [
            n for n in range(50) if not self.answers(data[n % 4], peer=OTHER if n % 3 else ONE)
        ]
        self.assertEqual(found, expected)

    def test_any_fault_may_judge(self) -> None:
        """What drops is one of the faults of the laboratory, whichever."""
        self.make()
        self.server = ArithmeticDatagramProtocol(self.clock, drops=Blackhole().begin(stream(0)))
        self.port = Port(self.server, "")
        self.assertEqual(self.answers(b"+,1,1"), [])

    def test_drops_are_logged(self) -> None:
        """Each drop is a line in the log that names the datagram."""
        with captured_logs() as events:
            dropped = self.dropped(0.3, 7, 20)
        events = [event for event in events if "dropped" in event.get("log_format", "")]
        self.assertEqual([event["number"] for event in events], [n + 1 for n in dropped])
        found = {(event["host"], event["port"], event["size"], event["rate"]) for event in events}
        self.assertEqual(found, {(*ONE, 5, 0.3)})

    def test_idle(self) -> None:
        """A peer that is silent for long is forgotten, and its next datagram answered."""
        self.make(ServerSettings(idle=10))
        self.answers(b"/,6,3")
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.answers(b"/,6,3"), [b"200,2"])

    def test_ends(self) -> None:
        """A port that is closed leaves nothing in the reactor."""
        self.make()
        self.answers(b"/,6,3")
        self.port.stopListening()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sums_at_once(self) -> None:
        """A sum without an id needs no core, which another request does."""
        self.make()
        self.assertEqual(self.answers(b"-,1,3"), [b"200,-2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.answers(b"/,6,3"), [b"200,2"])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.server.counters.executed, 2)

    @given(st.lists(st.sampled_from(b"+-*/#k,,,019 \r\n"), max_size=70).map(bytes))
    def test_as_a_core(self, request: bytes) -> None:
        """Whatever way a datagram goes, its answer and what is counted are those of a core."""
        self.make()
        core = ArithmeticServerCore(ServerSettings(), 0.0)
        core.message(request.removesuffix(b"\n").removesuffix(b"\r"), 0.0)
        self.assertEqual(self.answers(request), core.outgoing())
        self.assertEqual(self.server.counters, core.counters)

    @given(st.lists(st.binary(max_size=1100), max_size=20))
    def test_any_bytes(self, datagrams: list[bytes]) -> None:
        """Each datagram, whatever it holds, has one answer, and none raises."""
        self.make()
        self.assertEqual(len(self.answers(*datagrams)), len(datagrams))


class ClientTests(SynchronousTestCase):
    """How a client comes to its ports, and what it does without them."""

    def make(self, *addresses: tuple[str, int], **settings: Any) -> ArithmeticClient:
        """A client on stand-ins; without addresses its server's name is being resolved."""
        self.clock, self.endpoint = Clock(), DatagramStandIn(*addresses)
        settings = {"retry": SCHEDULE, **settings}
        endpoint: Any = self.endpoint
        return ArithmeticClient(self.clock, endpoint, ClientSettings(**settings), stream(7))

    def answer(self, index: int = -1, value: int = 2) -> None:
        """Answer the last request on one of the ports."""
        port = self.endpoint.ports[index]
        id = port.sent[-1][0].split()[0]
        port.protocol.datagramReceived(id + b" 200,%d" % value, port.peer)

    def test_asks(self) -> None:
        """The first request opens the port, the second uses it."""
        client = self.make(ONE)
        self.assertEqual(self.endpoint.ports, [])
        first = client.ask("+", 1, 1)
        self.answer()
        self.assertEqual(self.successResultOf(first), 2)
        second = client.ask("+", 1, 2)
        self.answer(value=3)
        self.assertEqual(self.successResultOf(second), 3)
        (port,) = self.endpoint.ports
        self.assertEqual((port.peer, port.interface, len(port.sent)), (ONE, "", 2))

    def test_waits_for_the_address(self) -> None:
        """What is asked while a name is resolved is sent when that is done, on one port."""
        client = self.make()
        asked = [client.ask("+", 1, 1) for _ in range(3)]
        self.clock.advance(1)
        self.assertEqual(self.endpoint.ports, [])
        self.endpoint.resolving.callback([ONE])
        (port,) = self.endpoint.ports
        self.assertEqual(len(port.sent), 3)
        for one in asked:
            one.addErrback(lambda _: None)

    def test_ipv6(self) -> None:
        """The port is of the family of the address."""
        self.make(("::1", 5)).ask("+", 1, 1).addErrback(lambda _: None)
        self.assertEqual(self.endpoint.ports[0].interface, "::")

    def test_schedule(self) -> None:
        """Sent at 0, 0.1, 0.3, 0.7 and 1.5 s, given up at 3.1 s."""
        asked = self.make(ONE).ask("+", 1, 1)
        times: list[float] = []
        while not asked.called:
            (port,) = self.endpoint.ports
            times += [self.clock.seconds()] * (len(port.sent) - len(times))
            (timer,) = self.clock.getDelayedCalls()
            self.clock.rightNow = timer.getTime()
            self.clock.advance(0)
        self.assertEqual([round(time, 9) for time in times], [0, 0.1, 0.3, 0.7, 1.5])
        error = self.failureResultOf(asked, NoAnswer).value
        self.assertEqual(str(error), "no answer within 3.1 s after 5 attempts")

    def test_unknown_name(self) -> None:
        """A name without an address fails what waits; the next request tries again."""
        client = self.make()
        asked = client.ask("+", 1, 1)
        self.endpoint.resolving.errback(DNSLookupError("no such name"))
        error = self.failureResultOf(asked, Unreachable).value
        self.assertIn("no address for example.invalid: ", str(error))
        self.endpoint.known = [ONE]
        again = client.ask("+", 1, 1)
        self.answer()
        self.assertEqual(self.successResultOf(again), 2)

    def test_slow_name(self) -> None:
        """A name that isn't resolved in time has no address."""
        asked = self.make(retry=Backoff.fixed(60)).ask("+", 1, 1)
        self.clock.advance(RESOLVING)
        self.failureResultOf(asked, Unreachable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """ICMP says that nobody listens: what is in flight fails at once; the next asks again."""
        client = self.make(ONE)
        asked = client.ask("+", 1, 1)
        self.endpoint.ports[0].protocol.connectionRefused()
        error = self.failureResultOf(asked, ConnectionRefused).value
        self.assertEqual(str(error), "nobody listens at udp:example.invalid:50000")
        self.assertFalse(self.endpoint.ports[0].open)
        again = client.ask("+", 1, 1)
        self.answer()
        self.assertEqual(self.successResultOf(again), 2)
        self.assertEqual(len(self.endpoint.ports), 2)

    def test_next_address(self) -> None:
        """A name's first address may be the wrong one: one that refuses is followed by the next."""
        client = self.make(("::1", 5), ONE)
        asked = client.ask("+", 1, 1)
        self.endpoint.ports[0].protocol.connectionRefused()
        self.answer()
        self.assertEqual(self.successResultOf(asked), 2)
        self.assertEqual([port.peer for port in self.endpoint.ports], [("::1", 5), ONE])
        self.assertEqual([len(port.sent) for port in self.endpoint.ports], [1, 1])

    def test_no_next_address_for_a_server_that_ends(self) -> None:
        """Once an address has answered, it is the right one, also when it refuses later."""
        client = self.make(ONE, OTHER)
        client.ask("+", 1, 1)
        self.answer()
        asked = client.ask("+", 1, 1)
        self.endpoint.ports[0].protocol.connectionRefused()
        self.failureResultOf(asked, ConnectionRefused)
        self.assertEqual(len(self.endpoint.ports), 1)

    def test_close(self) -> None:
        """Closing ends whatever is under way, and leaves nothing in the reactor."""
        for addresses in ([], [ONE]):
            client = self.make(*addresses)
            asked = client.ask("+", 1, 1)
            self.assertIsNone(self.successResultOf(client.close()))
            error = self.failureResultOf(asked, Unreachable).value
            self.assertEqual(str(error), "the client was closed")
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertFalse(any(port.open for port in self.endpoint.ports))
        self.assertIsNone(self.successResultOf(self.make().close()))  # never asked

    def test_several_ports(self) -> None:
        """Each port has an id of its own."""
        client = self.make(ONE, connections=2)
        for _ in range(2):
            client.ask("+", 1, 1).addErrback(lambda _: None)
        names = {port.sent[0][0].split(b"-")[0] for port in self.endpoint.ports}
        self.assertEqual(len(names), 2)

    def test_defaults(self) -> None:
        """Settings and random numbers need not be given."""
        endpoint: Any = DatagramStandIn(ONE)
        client = ArithmeticClient(Clock(), endpoint)
        asked = client.ask("+", 1, 1)
        (port,) = endpoint.ports
        port.protocol.datagramReceived(port.sent[0][0].split()[0] + b" 200,2", ONE)
        self.assertEqual(self.successResultOf(asked), 2)


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 10

    def serve(self, interface: str = "127.0.0.1", **settings: Any) -> Any:
        """A server that ends with the test."""
        self.server = ArithmeticDatagramProtocol(reactor, ServerSettings(**settings))
        port = DatagramServerEndpoint(reactor, 0, interface).listen(self.server)
        self.addCleanup(port.stopListening)
        return port

    def client(self, port: Any, retry: Backoff, **settings: Any) -> ArithmeticClient:
        """A client that ends with the test."""
        host = port.getHost()
        endpoint = DatagramClientEndpoint(reactor, host.host, host.port)
        client = ArithmeticClient(reactor, endpoint, ClientSettings(retry, **settings), stream(7))
        self.addCleanup(client.close)
        return client

    async def test_loss(self) -> None:
        """With 30 % loss, 200 requests are all answered right, and each is executed once."""
        port = self.serve(drop_rate=0.3)
        client = self.client(port, Backoff(first=0.01, cap=60))
        asked = [client.ask("*", n, n) for n in range(200)]
        self.assertEqual([await one for one in asked], [n * n for n in range(200)])
        self.assertEqual(self.server.counters.executed, 200)
        self.assertGreater(self.server.dropped, 0)
        self.assertGreater(client.traffic.sent, 200)

    async def test_ipv6(self) -> None:
        """Over IPv6."""
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            raise SkipTest(f"needs IPv6 on loopback: {error}") from error
        client = self.client(self.serve("::1"), Backoff.fixed(5))
        self.assertEqual(await client.ask("+", 1, 1), 2)

    async def test_refused(self) -> None:
        """A port where nobody listens fails fast, long before the timeout."""
        port = self.serve()
        client = self.client(port, Backoff.fixed(60))
        await port.stopListening()
        with self.assertRaises(ConnectionRefused):
            await client.ask("+", 1, 1)

    async def test_shortest_timeout(self) -> None:
        """With a timeout of a millisecond the datagram is sent."""
        client = self.client(self.serve(drop_rate=1.0), Backoff.fixed(0.001))
        with self.assertRaises(NoAnswer):
            await client.ask("+", 1, 1)
        self.assertEqual(client.traffic.sent, 1)
