"""Steps that are done at their times."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lab.faults.journal import Dice
from lab.proxy.bodies import Wanted
from lab.proxy.registry import Registry
from lab.proxy.stepping import Stepping
from lab.proxy.steps import Step
from lab.proxy.streams import StreamRelay
from lab.proxy.toxics import Toxic
from lab.simulator.network import simulate
from tests.commands.servers import FakeReactor
from tests.helpers import captured_logs
from tests.proxy.relays import FakeRelay
from tests.proxy.scenes import Peer, Serving, echo

LISTEN = "tcp:0:interface=127.0.0.1"


class SteppingTests(SynchronousTestCase):
    """On a clock, with relays that carry nothing."""

    def setUp(self) -> None:
        """A registry with two proxies, one of TCP and one of UDP."""
        self.reactor: Any = FakeReactor()
        self.relays: dict[str, FakeRelay] = {}
        self.registry = Registry(self.reactor, self.make)
        wanted = [
            Wanted("a", "up:1", LISTEN),
            Wanted("b", "up:1", "udp:0:interface=127.0.0.1"),
            Wanted("c", "up:1", LISTEN),
        ]
        self.successResultOf(Deferred.fromCoroutine(self.registry.populate(wanted)))

    def make(self, name: str, upstream: str, protocol: str) -> FakeRelay:
        """A relay."""
        self.relays[name] = FakeRelay(name, upstream, protocol)
        return self.relays[name]

    def start(self, *texts: str, names: Sequence[str] = ("a", "b", "gone")) -> Stepping:
        """These steps; the third proxy is not theirs, and one of theirs is not there."""
        stepping = Stepping(self.reactor, self.registry, names, [Step.read(text) for text in texts])
        self.reactor.advance(5.0)
        stepping.start()
        self.addCleanup(stepping.stop)
        return stepping

    def advance(self, seconds: float) -> list[str]:
        """Let time pass; what is logged."""
        with captured_logs() as events:
            self.reactor.advance(seconds)
        return [formatEvent(event) for event in events]

    def names(self, proxy: str) -> list[str]:
        """The names of the toxics of a proxy."""
        return [toxic.name for toxic in self.registry.get(proxy).toxics]

    def test_partition_and_heal(self) -> None:
        """Both directions are cut at the time, and mended at the other; the log has lines."""
        self.start("10:partition", "15:heal")
        self.assertEqual(self.advance(9.999), [])
        self.assertEqual(self.names("a"), [])
        self.assertEqual(self.advance(0.002), ["at 10 s: partition (a, b)"])
        both = ["partition_upstream", "partition_downstream"]
        self.assertEqual([self.names(name) for name in "abc"], [both, both, []])
        kinds = {name: self.registry.get(name).toxics[0].type for name in "ab"}
        self.assertEqual(kinds, {"a": "partition", "b": "blackhole"})
        self.assertEqual(self.relays["a"].faults[-1], (both[:1], both[1:]))
        self.assertEqual(self.advance(5.0), ["at 15 s: heal (a, b)"])
        self.assertEqual([self.names(name) for name in "ab"], [[], []])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nothing_to_do(self) -> None:
        """What is cut is cut no further, and what is not is healed all the same."""
        self.registry.add_toxic("a", Toxic("noop", "noop"))
        self.start("0:heal", "1:partition", "2:partition")
        for number in range(3):
            self.assertEqual(len(self.advance(1.0 if number else 0.0)), 1)
        self.assertEqual(self.names("a"), ["noop", "partition_upstream", "partition_downstream"])

    def test_half_cut(self) -> None:
        """What somebody else has cut in one direction is cut in the other, and healed in both."""
        self.registry.add_toxic("a", Toxic("partition", "partition_downstream"))
        self.start("1:partition", "2:heal")
        self.advance(1.0)
        self.assertEqual(self.names("a"), ["partition_downstream", "partition_upstream"])
        self.advance(1.0)
        self.assertEqual(self.names("a"), [])

    def test_no_drift(self) -> None:
        """A step that comes again does so at whole periods, however late the clock is each time."""
        stepping = self.start("10/60:partition", "15/60:heal")
        seen = []
        while len(seen) < 200:
            (call,) = self.reactor.getDelayedCalls()
            seen.append(call.getTime() - 5.0)
            self.advance(call.getTime() + 0.003 - self.reactor.seconds())
        for number, at in enumerate(seen):
            expected = 60 * (number // 2) + (15 if number % 2 else 10)
            self.assertApproximates(at, expected, 1e-6)
        stepping.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_down_and_up(self) -> None:
        """Ports are closed, which ends connections, and are opened again."""
        self.start("1:down", "2:up")
        self.advance(1.0)
        self.assertEqual(
            {p.name: p.enabled for p in self.registry.all()}, {"a": False, "b": False, "c": True}
        )
        self.assertEqual([self.relays[name].drops for name in "abc"], [1, 1, 0])
        self.advance(1.0)
        self.assertTrue(all(proxy.enabled for proxy in self.registry.all()))

    def test_drop(self) -> None:
        """Connections end, and ports stay open."""
        self.start("1/1:drop")
        self.advance(1.0)
        self.advance(1.0)
        self.assertEqual([self.relays[name].drops for name in "abc"], [2, 2, 0])
        self.assertTrue(self.registry.get("a").enabled)

    def test_reset(self) -> None:
        """As in the API, all proxies listen, and have no toxics."""
        for name in "ac":
            self.registry.add_toxic(name, Toxic("noop", "noop"))
        self.start("1:down", "1:reset")
        self.assertIn("at 1 s: reset (a, b)", self.advance(1.0))
        self.assertTrue(all(proxy.enabled for proxy in self.registry.all()))
        self.assertEqual([self.names(name) for name in "abc"], [[], [], []])

    def test_fault(self) -> None:
        """A fault comes to all; if it is there already, it begins anew, behind the others."""
        self.start("1/10:latency:latency=100,duration=5000")
        self.advance(1.0)
        self.assertEqual([self.names(name) for name in "abc"], [["latency_downstream"]] * 2 + [[]])
        self.registry.add_toxic("a", Toxic("noop", "noop"))
        before = len(self.relays["a"].faults)
        self.advance(10.0)
        self.assertEqual(self.names("a"), ["noop", "latency_downstream"])
        told = [down for _, down in self.relays["a"].faults[before:]]
        self.assertEqual(told, [["noop"], ["noop", "latency_downstream"]])

    def test_what_cannot_be_done(self) -> None:
        """It is a line in the log, for each proxy; others have it, and steps go on."""
        self.start("1:duplicate:probability=1,copies=100", "2:down", names=("b", "c"))
        self.registry.add_toxic(
            "b", Toxic("duplicate", "x", attributes={"copies": 99}, protocol="udp")
        )
        lines = self.advance(1.0)
        told = [line.partition(" of ")[2] for line in lines if "copies=100 of" in line]
        self.assertTrue(told[0].startswith("b: toxics make 10,100 of a datagram"), told)
        self.assertTrue(told[1].startswith("c: type is 'duplicate'; give one of"), told)
        self.assertEqual(self.names("b"), ["x"])
        self.advance(1.0)
        self.assertFalse(self.registry.get("c").enabled)

    def test_bug(self) -> None:
        """A bug in a step is a traceback, and later steps are done."""
        self.patch(self.registry, "drop", lambda name: 1 / 0)
        self.start("1:drop", "2:partition")
        self.assertEqual(self.advance(1.0)[-1], "a step has met a bug")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.advance(1.0)
        self.assertEqual(len(self.names("a")), 2)

    def test_one_after_the_other(self) -> None:
        """A step that waits holds up those behind it; after the end none of them is done."""
        waiting: Deferred[None] = Deferred()

        async def slow(*given: object) -> None:
            """Wait."""
            await waiting

        self.patch(self.registry, "update", slow)
        stepping = self.start("1:down", "2:partition", "3:drop")
        self.advance(2.5)
        self.assertEqual(self.names("a"), [])
        stepping.stop()
        stepping.stop()
        waiting.callback(None)
        self.assertEqual((self.names("a"), self.reactor.getDelayedCalls()), ([], []))
        stepping.start()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_late(self) -> None:
        """A clock that stood still finds each step once, and what is in force then is right."""
        self.start("10/60:partition", "15/60:heal")
        lines = self.advance(72.0)
        self.assertEqual(lines, ["at 15 s: heal (a, b)", "at 70 s: partition (a, b)"])
        self.assertEqual(len(self.names("a")), 2)

    def test_no_steps(self) -> None:
        """Without steps there is nothing to wait for."""
        self.start()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class TrafficTests(SynchronousTestCase):
    """What connections notice, on a simulated network."""

    def test_edges(self) -> None:
        """Bytes stop at the edge of a cut, and all come at the other."""
        with simulate(7) as net:
            here, there = net.host("proxy").reactor, net.host("server").reactor
            net.run_until(TCP4ServerEndpoint(there, 80).listen(Serving(lambda: Peer(data=echo))))

            def make(*given: str) -> StreamRelay:
                """The relay."""
                connect = TCP4ClientEndpoint(here, "server", 80)
                return StreamRelay(here, "a", lambda: connect, decisions=Dice(7))

            registry = Registry(here, make)
            wanted = [Wanted("a", "server:80", "tcp:81")]
            net.run_until(Deferred.fromCoroutine(registry.populate(wanted)))
            steps = [Step.read("1/2:partition"), Step.read("2/2:heal")]
            stepping = Stepping(here, registry, ["a"], steps)
            stepping.start()
            begin = net.now
            client, reactor = Peer(), net.host("client").reactor
            client.seconds = reactor.seconds
            factory = Serving(lambda: client)
            net.run_until(TCP4ClientEndpoint(reactor, "proxy", 81).connect(factory))
            while net.now < begin + 6.2:
                client.transport.write(b"x")
                net.run(0.05)
            times = [at - begin for at in client.times]
            gaps = [(a, b) for a, b in pairwise(times) if b - a > 0.5]
            for (a, b), number in zip(gaps, range(3), strict=True):
                self.assertTrue(1 + 2 * number - 0.06 < a < 1 + 2 * number + 0.01)
                self.assertTrue(2 + 2 * number < b < 2 + 2 * number + 0.01, (a, b))
            stepping.stop()
