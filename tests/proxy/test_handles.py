"""What a test may do to a proxy, and ask of it: on a simulated network."""

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Corrupt, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut, LimitData
from lab.proxy.handles import DECISIONS, Handle, Handles
from lab.simulator import simulate
from lab.simulator.network import Network
from lab.simulator.testing import SimulationMixin
from tests.proxy.scenes import Peer, Serving, echo
from tests.proxy.test_embedded import Answerer, Asker

_T = TypeVar("_T")


class Counting(Handle):
    """A handle that counts the calls that would go to another thread."""

    calls = 0

    def run(self, function: Callable[[], _T]) -> _T:
        """Call it."""
        self.calls += 1
        return function()


class HandlesCase(SimulationMixin, SynchronousTestCase):
    """Proxies on one host, a server on another."""

    net: Network

    def begin(self, seed: int = 0) -> None:
        """Have a server, and proxies."""
        server = self.net.host("server").reactor
        self.servers = Serving(lambda: Peer(data=echo))
        server.listenTCP(80, self.servers)
        server.listenUDP(80, Answerer())
        reactor = self.net.host("proxy").reactor
        self.handles = Handles(Counting, reactor, seed, "127.0.0.1")

    def connect(self, proxy: Handle) -> Any:
        """A client that is connected."""
        peer = Peer()
        reactor = self.net.host("client").reactor
        peer.seconds = reactor.seconds
        factory = Factory.forProtocol(lambda: peer)
        factory.noisy = False
        self.net.run_until(TCP4ClientEndpoint(reactor, proxy.host, proxy.port).connect(factory))
        return peer

    def ask(self, proxy: Handle, text: bytes = b"hello", peer: Any = None) -> Any:
        """A client that has been answered."""
        peer = peer or self.connect(proxy)
        peer.transport.write(text)
        self.net.run_until(peer.arrived(len(peer.got) + len(text)), limit=60)
        return peer


class FaultTests(HandlesCase):
    """What is wrong with it."""

    def setUp(self) -> None:
        """Have a proxy."""
        super().setUp()
        self.begin()
        self.proxy = self.handles.before("tcp:server:80")

    def test_where(self) -> None:
        """It says where it is, and before what."""
        proxy = self.proxy
        self.assertEqual(proxy.address, (self.net.host("proxy").address, proxy.port))
        self.assertEqual(proxy.address, (proxy.host, proxy.port))
        self.assertEqual(proxy.text, f"tcp:{proxy.host}:{proxy.port}")
        self.assertEqual((proxy.name, proxy.upstream), ("proxy", "tcp:server:80"))
        self.assertEqual(proxy.protocol, "tcp")

    def test_in_seconds_and_bytes(self) -> None:
        """A latency is so many seconds, each way; a limit so many bytes."""
        peer = self.ask(self.proxy)
        direct = self.net.now
        self.proxy.add(Latency(3.0), stream="both")
        self.ask(self.proxy, peer=peer)
        self.assertApproximates(self.net.now, direct + 6, 0.01)
        self.proxy.remove("latency")
        self.proxy.add(LimitData(7))
        peer = self.connect(self.proxy)
        peer.transport.write(b"0123456789")
        self.net.run_until(peer.end_seen, limit=1)
        self.assertEqual(peer.got, b"0123456")

    def test_add(self) -> None:
        """All that a fault has can be said; its name comes back."""
        times = {"after": 1.0, "duration": 2.0, "every": 3.0}
        name = self.proxy.add(Loss(0.5), name="x", stream="upstream", toxicity=0.25, **times)
        expected = Fault(Loss(0.5), "x", "upstream", 0.25, **times)
        self.assertEqual((name, self.proxy.faults), ("x", (expected,)))
        self.assertEqual(self.proxy.add(Loss(0.25)), "loss")
        self.assertEqual(self.proxy.faults[1], Fault(Loss(0.25), "loss"))

    def test_for_a_while(self) -> None:
        """A fault of a ``with`` is gone behind it, whatever happens in it; its hits are not."""
        with self.proxy.fault(Latency(0.5), name="late", stream="upstream") as name:
            self.ask(self.proxy)
        self.assertEqual((name, self.proxy.faults), ("late", ()))
        self.proxy.assert_hit("late")
        with self.assertRaises(ZeroDivisionError), self.proxy.fault(Latency(0.5)):
            _ = 1 / 0
        self.assertEqual(self.proxy.faults, ())
        with self.proxy.fault(Latency(0.5)) as name:
            self.proxy.remove(name)
        self.assertEqual(self.proxy.hits, {"late": 1, "latency": 0})

    def test_cut(self) -> None:
        """Nothing passes and nobody is told; then all goes on, and it was a hit in each way."""
        peer = self.ask(self.proxy)
        self.assertEqual(self.proxy.cut(), "partition")
        peer.transport.write(b"anybody?")
        peer.transport.loseWriteConnection()
        other = self.connect(self.proxy)
        other.transport.write(b"nobody?")
        self.servers.all[0].transport.write(b"me")
        self.net.run(60)
        self.assertEqual([bytes(one.got) for one in self.servers.all], [b"hello", b""])
        self.assertEqual((bytes(peer.got), peer.why, other.why), (b"hello", "", ""))
        self.proxy.heal()
        self.net.run_until(peer.arrived(15), limit=1)
        self.net.run_until(self.servers.all[0].end_seen, limit=1)
        self.assertEqual(peer.got, b"hellomeanybody?")
        self.assertEqual(self.proxy.faults, ())
        self.proxy.assert_hit("partition", at_least=4)

    def test_reset_and_drop(self) -> None:
        """Connections end as they are told to."""
        for end, why in ((self.proxy.reset, "ConnectionLost"), (self.proxy.drop, "ConnectionDone")):
            peer = self.ask(self.proxy)
            self.assertEqual(self.proxy.connections, 1)
            end()
            self.assertEqual(self.proxy.connections, 0)
            self.net.run(0.5)
            if not peer.why:
                peer.transport.loseConnection()
                self.net.run(0.5)
            self.assertEqual(peer.why, why)


class CountTests(HandlesCase):
    """What has happened."""

    def setUp(self) -> None:
        """Have a proxy."""
        super().setUp()
        self.begin()
        self.proxy = self.handles.before("tcp:server:80", name="db")

    def test_counts(self) -> None:
        """Connections, and bytes in and out in each direction."""
        self.assertEqual((self.proxy.accepted, self.proxy.refused), (0, 0))
        self.ask(self.proxy)
        self.proxy.add(LimitData(2))
        peer = self.connect(self.proxy)
        peer.transport.write(b"hello")
        self.net.run(1)
        nowhere = self.handles.before("tcp:server:81")
        self.connect(nowhere)
        self.net.run(1)
        counts = [(one.accepted, one.refused, one.connections) for one in (self.proxy, nowhere)]
        self.assertEqual(counts, [(2, 0, 1), (1, 1, 0)])
        self.assertEqual(self.proxy.received, {"upstream": 10, "downstream": 10})
        self.assertEqual(self.proxy.sent, {"upstream": 10, "downstream": 7})

    def test_assert_hit(self) -> None:
        """It passes if it was, and else says what was."""
        self.proxy.add(Latency(0.5))
        self.proxy.add(Cut(0.0), name="never")
        error = self.assertRaises(AssertionError, self.proxy.assert_hit, "latency")
        self.assertEqual(
            str(error),
            "latency of db has hit 0 times, and not 1; latency hit 0 times, never hit 0 times; "
            "0 accepted, 0 refused, 0 bytes up, 0 bytes down",
        )
        self.ask(self.proxy)
        self.proxy.assert_hit("latency")
        error = self.assertRaises(AssertionError, self.proxy.assert_hit, "latency", at_least=2)
        self.assertIn("latency of db has hit 1 time, and not 2; latency hit 1 time, ", str(error))
        error = self.assertRaises(AssertionError, self.proxy.assert_hit, "never")
        self.assertIn("never of db has hit 0 times, and not 1; latency hit 1 time, ", str(error))

    def test_slip_of_the_pen(self) -> None:
        """A name that never was is no fault that was not hit."""
        error = self.assertRaises(LocalError, self.proxy.assert_hit, "latncy")
        self.assertEqual(str(error), "fault of db is 'latncy'; there is none")
        self.proxy.add(Latency(0.5))
        self.proxy.remove("latency")
        error = self.assertRaises(LocalError, self.proxy.assert_hit, "latncy")
        self.assertEqual(str(error), "fault of db is 'latncy'; give one of latency")

    def test_in_the_thread(self) -> None:
        """All that the reactor may be changing goes through the one place."""
        proxy = self.proxy
        with proxy.fault(Latency(0.5)):
            self.ask(proxy)
        looks: list[Callable[[], object]] = [
            lambda: proxy.add(Latency(0.5)),
            lambda: proxy.remove("latency"),
            lambda: proxy.faults,
            proxy.cut,
            proxy.heal,
            proxy.reset,
            proxy.drop,
            lambda: proxy.hits,
            lambda: proxy.assert_hit("latency"),
            lambda: proxy.connections,
            lambda: proxy.accepted,
            lambda: proxy.refused,
            lambda: proxy.received,
            lambda: proxy.sent,
            lambda: proxy.journal,
        ]
        for look in looks:
            before = proxy.calls
            look()
            self.assertEqual(proxy.calls, before + 1)
        hits, received = proxy.hits, proxy.received
        hits["latency"] = received["upstream"] = 99
        self.assertNotEqual((proxy.hits, proxy.received), (hits, received))


class SeveralTests(HandlesCase):
    """The proxies of a test."""

    def test_names(self) -> None:
        """They are numbered, or named; each name once."""
        self.begin()
        found = [
            self.handles.before("tcp:server:80"),
            self.handles.before("tcp:server:80", name="db"),
            self.handles.before("udp:server:80"),
        ]
        self.assertEqual([one.name for one in found], ["proxy", "db", "proxy-3"])
        self.assertEqual(list(self.handles.all.values()), found)
        error = self.assertRaises(LocalError, self.handles.before, "tcp:server:80", name="db")
        self.assertEqual(str(error), "name is 'db', which is that of another proxy; give another")

    def test_datagrams(self) -> None:
        """They have faults of their own, and can be cut and healed."""
        self.begin()
        proxy = self.handles.before("udp:server:80")
        self.assertEqual(proxy.text, f"udp:{proxy.host}:{proxy.port}")
        asker = Asker()
        port = self.net.host("client").reactor.listenUDP(0, asker)
        port.connect(*proxy.address)
        for step in (lambda: "", proxy.cut, proxy.heal, lambda: proxy.add(Corrupt(1.0))):
            step()
            port.write(b"hello")
            self.net.run(1)
        self.assertEqual((len(asker.seen), asker.seen[:2]), (3, [b"hello"] * 2))
        self.assertNotEqual(asker.seen[2], b"hello")
        self.assertEqual(proxy.hits, {"partition": 1, "corrupt": 1})
        proxy.drop()
        self.assertEqual((proxy.accepted, proxy.connections), (1, 0))

    def decide(self, seed: int, *more: Any) -> tuple[list[str], list[str]]:
        """What two proxies with losses draw: each of its own, and both together."""
        with simulate(1) as self.net:
            self.begin(seed)
            first, second = (self.handles.before("tcp:server:80") for _ in range(2))
            first.add(Loss(0.5))
            for settings in more:
                second.add(settings, toxicity=0.5)
            for _ in range(10):
                self.ask(first)
            self.ask(second)
            header, *whole = self.handles.journal.lines()
            own, others = list(first.journal.lines()), list(second.journal.lines())
            self.assertEqual([own.pop(0), others.pop(0)], [header, header])
            self.assertEqual(whole, [*own, *others])
            return own, whole

    def test_seed(self) -> None:
        """Equal seeds decide alike; another proxy's faults change nothing of that."""
        self.assertEqual(self.decide(0), self.decide(0))
        self.assertEqual(self.decide(0)[0], self.decide(0, Loss(0.5), Corrupt(0.5))[0])
        self.assertNotEqual(self.decide(0)[0], self.decide(1)[0])
        self.assertNotEqual(self.decide(0)[0], [])

    def test_report(self) -> None:
        """A report has the seed, all proxies, and the last decisions by the time of the test."""
        self.net.run(1000)
        self.begin(seed=7)
        self.assertEqual(self.handles.report(), "proxies with seed 7:\nlast decisions:\n  none")
        proxy = self.handles.before("tcp:server:80", name="db")
        other = self.handles.before("udp:server:80")
        proxy.add(Loss(every=1), duration=1.0)
        self.ask(proxy)
        lines = self.handles.report().splitlines()
        expected = f"""
proxies with seed 7:
  db at {proxy.host}:{proxy.port} before tcp:server:80
    loss hit 3 times; 1 accepted, 0 refused, 5 bytes up, 5 bytes down
  {other.name} at {other.host}:{other.port} before udp:server:80
    no fault; 0 accepted, 0 refused, 0 bytes up, 0 bytes down
last decisions:"""
        self.assertEqual(["", *lines[:6]], expected.splitlines())
        self.assertEqual(len(lines), 9)
        self.assertRegex(lines[6], r"^      0\.\d{6} s  drop by loss on db, unit 0$")
        for _ in range(2 * DECISIONS):
            self.ask(proxy)
        self.assertEqual(len(self.handles.report().splitlines()), 6 + DECISIONS)

    def test_close(self) -> None:
        """Nothing is left of any of them."""
        self.begin()
        proxies = [self.handles.before("tcp:server:80") for _ in range(3)]
        for proxy in proxies:
            self.ask(proxy)
        self.handles.before("udp:server:80")
        self.net.run_until(self.handles.close(), limit=0.001)
        host = self.net.host("proxy")
        self.assertFalse(host.tcp or host.udp or host.ends or host.reactor.getDelayedCalls())
