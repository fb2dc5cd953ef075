"""Hosts, the ways between them, and the run of it all."""

import gc
import hashlib
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Blackhole, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.journal import Replay
from lab.simulator import network
from lab.simulator.network import Network, SimulationFailed, frozen_heap, simulate
from tests.capture.blocks import packets
from tests.helpers import folder
from tests.simulator.test_datagrams import Notes
from tests.simulator.test_parity import Connecting, Side


class HostTests(SynchronousTestCase):
    """What is on a network."""

    def test_names(self) -> None:
        """A host is made when it is first named, and has an address that no other has."""
        net = Network(7)
        hosts = [net.host(f"h{n}") for n in range(600)]
        self.assertIs(net.host("h5"), hosts[5])
        self.assertEqual(len({host.address for host in hosts}), 600)


class RunTests(SynchronousTestCase):
    """How time passes, and how a run fails."""

    def test_run(self) -> None:
        """Time passes as far as it is told; what is planned comes at its time."""
        seen: list[object] = []
        with simulate(7) as net:
            net.at(2.0, lambda: seen.append(net.now))
            net.at(3.0, seen.append, "three")
            net.run(2.5)
            self.assertEqual((seen, net.now), ([2.0], 2.5))
            net.run(1.0)
            self.assertEqual((seen, net.now), ([2.0, "three"], 3.5))

    def test_run_until(self) -> None:
        """It stops at the moment of the result, and gives it; a failure is raised."""
        net = Network(7)
        reactor = net.host("a").reactor
        self.assertEqual(net.run_until(deferLater(reactor, 2.0, lambda: 5)), 5)
        self.assertEqual(net.now, 2.0)
        self.assertEqual(net.run_until(succeed(6)), 6)
        self.assertRaises(ZeroDivisionError, net.run_until, fail(ZeroDivisionError()))

    def test_no_result(self) -> None:
        """Without a result in time, or without anything that could bring one, it says so."""
        net = Network(7)
        self.assertIn(
            "no result at 0 s",
            str(self.assertRaises(SimulationFailed, net.run_until, Deferred())),
        )
        net.host("a").reactor.callLater(10, print)
        error = self.assertRaises(SimulationFailed, net.run_until, Deferred(), limit=5)
        self.assertEqual(str(error), "seed 7: no result at 0 s")

    def test_exceptions(self) -> None:
        """An exception is logged with its host, and fails the run; the others go on."""
        net = Network(7)
        seen: list[int] = []
        net.host("a").reactor.callLater(1, lambda: 1 / 0)
        net.host("b").reactor.callLater(2, seen.append, 1)
        error = self.assertRaises(SimulationFailed, net.run, 5)
        self.assertEqual(seen, [1])
        text = "seed 7, 5 s: a: ZeroDivisionError('division by zero')"
        self.assertEqual(str(error), text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_exception_at_the_end(self) -> None:
        """A run that nobody looked at fails when it is left."""

        def run() -> None:
            """Leave with a failure."""
            with simulate(7) as net:
                net.host("a").reactor.callLater(1, lambda: 1 / 0)
                net.kernel.run(5)

        self.assertRaises(SimulationFailed, run)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_always(self) -> None:
        """What always should hold fails the run at the moment at which it does not."""
        net = Network(7)
        values: list[int] = []
        net.always("few values", lambda: len(values) < 3)
        for second in range(5):
            net.at(second, values.append, second)
        error = self.assertRaises(SimulationFailed, net.run, 9)
        text = "seed 7, 2 s: 'few values' does not hold, and always should"
        self.assertEqual((str(error), values), (text, [0, 1, 2]))

    def test_eventually(self) -> None:
        """What should hold in the end fails the run if it never has; once is enough."""
        values: list[int] = []
        with simulate(7) as net:
            net.eventually("one value", lambda: len(values) == 1)
            net.at(1, values.append, 1)
            net.at(2, values.append, 2)
            net.run(5)
        with self.assertRaises(SimulationFailed) as caught, simulate(7) as net:
            net.eventually("three values", lambda: len(values) == 3)
            net.at(1, lambda: None)
            net.run(5)
        text = "seed 7, 5 s: 'three values' has never held, and should in the end"
        self.assertEqual(str(caught.exception), text)

    def test_sometimes(self) -> None:
        """What should hold in some run only is noted."""
        values: list[int] = []
        with simulate(7) as net:
            net.sometimes("a value", lambda: bool(values))
            net.sometimes("two values", lambda: len(values) == 2)
            net.at(1, values.append, 1)
            net.run(5)
        self.assertEqual(net.checks.held, {"a value": True, "two values": False})

    def test_unhandled(self) -> None:
        """A Deferred whose failure nobody handles fails the run, also if it is found late."""

        def forget(*, in_a_cycle: bool) -> None:
            """Let a Deferred fail, and forget it."""
            failing: Any = fail(ValueError("nobody looks"))
            if in_a_cycle:
                failing.itself = failing

        for in_a_cycle in (False, True):
            with self.assertRaises(SimulationFailed) as caught, simulate(7) as net:
                net.host("a").reactor.callLater(1, forget, in_a_cycle=in_a_cycle)
                net.kernel.run(5)
            self.assertIn("unhandled in a Deferred: ValueError('nobody", str(caught.exception))
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class LinkTests(SynchronousTestCase):
    """What is wrong with the ways."""

    def setUp(self) -> None:
        """Two hosts that send datagrams."""
        self.make(Network(7))

    def make(self, net: Network) -> None:
        """The same on this network."""
        self.net = net
        self.a, self.b = net.host("a"), net.host("b")
        self.seen = Notes()
        self.b.reactor.listenUDP(5000, self.seen)
        self.port = self.a.reactor.listenUDP(0, Notes())

    def arrived(self, number: int = 50) -> list[int]:
        """Which of so many datagrams arrive."""
        del self.seen.seen[:]
        for n in range(number):
            self.port.write(b"%d" % n, (self.b.address, 5000))
            self.net.run(0.1)
        return [int(data) for data, _ in self.seen.seen]

    def test_one_way(self) -> None:
        """A fault is on one direction, and may be named by host or by name."""
        self.net.link("b", self.a, Fault(Blackhole(), "hole"))
        self.assertEqual(len(self.arrived(5)), 5)
        self.net.link(self.a, "b", Fault(Blackhole(), "hole"))
        self.assertEqual(self.arrived(5), [])
        self.net.link("a", "b")
        self.assertEqual(len(self.arrived(5)), 5)

    def test_partition(self) -> None:
        """A way that is cut loses datagrams until it is mended; the other direction is free."""
        self.net.partition(self.b, self.a)
        self.assertEqual(len(self.arrived(5)), 5)
        self.net.partition("a", "b")
        self.assertEqual(self.arrived(5), [])
        self.net.heal("a", "b")
        self.assertEqual(len(self.arrived(5)), 5)

    def test_digest(self) -> None:
        """A digest is of all that was sent, however much that is and however often it is asked."""
        digests = []
        for often in (True, False):
            self.make(Network(7))
            for n in range(1500):
                self.port.write(b"%d" % n, (self.b.address, 5000))
                self.net.run(0.001)
                if often and n % 100 == 0:
                    self.net.digest()
            digests.append(self.net.digest())
        self.assertEqual(digests[0], digests[1])
        self.port.write(b"one more", (self.b.address, 5000))
        self.assertNotEqual(self.net.digest(), digests[1])

    def test_replay(self) -> None:
        """A journal gives the same losses again, without dice."""
        faults = (Fault(Loss(0.3), "loss"), Fault(Latency(0.02, 0.01), "late"))
        self.net.link("a", "b", *faults)
        found, digest = self.arrived(), self.net.digest()
        self.assertTrue(20 < len(found) < 45)
        recorded = Replay.of(self.net.journal)
        self.make(Network(99, recorded))
        self.net.link("a", "b", *faults)
        self.assertEqual((self.arrived(), self.net.digest()), (found, digest))

    def test_hold(self) -> None:
        """What is held arrives when it is released."""
        net = Network(7)
        a, b = net.host("a"), net.host("b")
        here, there = Notes(), Notes()
        a.reactor.listenUDP(0, here)
        b.reactor.listenUDP(7, there)
        net.hold(a, "b")
        here.transport.write(b"hello", (b.address, 7))  # type: ignore[union-attr]
        net.run(5)
        self.assertEqual(there.seen, ["started"])
        net.release("a", b)
        net.run(5)
        self.assertEqual(len(there.seen), 2)


SCRIPT = """
from tests.simulator.test_unmodified import ArithmeticTests
test = ArithmeticTests()
for seed in range(100):
    net = test.bad_network(seed)
    test.serve(net)
    client = test.ask(net, __import__("lab.backoff").backoff.Backoff.fixed(0.2, attempts=60))
    for n in range(5):
        net.run_until(client.ask("+", n, n))
    print(net.digest())
"""
#: The hash of what it prints, on every version of Python. It is another one only when something is
#: sent otherwise than before, or another random number is drawn.
PRINTED = "03fe93585c1fcc7299d49c9c6b574998"


class DeterminismTests(SynchronousTestCase):
    """The same run everywhere."""

    def test_processes(self) -> None:
        """
        A hundred seeds give the same traces in processes whose hashes differ, and on all versions
        of Python.
        """
        outputs = []
        for seed in ("0", "1"):
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                cwd=Path(__file__).parents[2],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
                capture_output=True,
                text=True,
                check=True,
            )
            outputs.append(done.stdout)
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(len(set(outputs[0].split())), 100)
        found = hashlib.blake2b(outputs[0].encode(), digest_size=16).hexdigest()
        self.assertEqual(found, PRINTED)


class CaptureTests(SynchronousTestCase):
    """What goes to a capture; `test_tapping` looks at the packets."""

    def test_sides(self) -> None:
        """A capture sees both sides of a way between hosts, and one of a way to nobody."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file) as net:
            a, b = net.host("a"), net.host("b")
            for where in (b.address, "10.9.9.9"):
                a.reactor.connectTCP(where, 80, Connecting(Side({})))
            net.run(0.001)
        # Two SYNs leave, one arrives, and is answered.
        self.assertEqual(len(packets(file.read_bytes())), 4)


class OrderTests(SynchronousTestCase):
    """Timers of one time."""

    def run_one(self, seed: int, order: str) -> tuple[list[object], bytes, str]:
        """Timers on two hosts at the same times, with bytes under way between them."""
        seen: list[object] = []
        got = bytearray()
        data = bytes(range(256)) * 20
        with simulate(seed, order=order) as net:
            here, there = net.host("here"), net.host("there")
            factory = Factory()
            factory.noisy = False
            factory.buildProtocol = lambda addr: Side(  # type: ignore[method-assign]
                {"data": lambda side, data: got.extend(data)}
            )
            there.reactor.listenTCP(80, factory)
            client = Side({})
            here.reactor.connectTCP("there", 80, Connecting(client))
            net.run(1)
            for start in range(0, len(data), 512):
                part = data[start : start + 512]
                net.at(2 + start // 2048 * 0.001, client.transport.write, part)
            for n in range(3):
                here.reactor.callLater(1.001, seen.append, n)
                there.reactor.callLater(1.001, lambda: seen.append(f"{len(got)} bytes"))
                here.reactor.callLater(0, seen.append, f"turn {n}")
            net.run(5)
            self.assertEqual(bytes(got), data)
            return seen, bytes(got), net.digest()

    def test_shuffle(self) -> None:
        """Over seeds timers come in all orders, also between arrivals; bytes stay in theirs."""
        found = [self.run_one(seed, "shuffle") for seed in range(200)]
        turns = {tuple(seen[:3]) for seen, _, _ in found}
        self.assertEqual(turns, {("turn 0", "turn 1", "turn 2")})
        timers = {tuple(n for n in seen if n in range(3)) for seen, _, _ in found}
        self.assertEqual(timers, set(permutations(range(3))))
        # Two segments arrive at that time.
        arrived = {n for seen, _, _ in found for n in seen if str(n).endswith("bytes")}
        self.assertEqual(arrived, {"0 bytes", "1460 bytes", "2048 bytes"})

    def test_equal_seeds(self) -> None:
        """One seed gives one order."""
        for seed in range(5):
            self.assertEqual(self.run_one(seed, "shuffle"), self.run_one(seed, "shuffle"))

    def test_fifo(self) -> None:
        """Otherwise the order is that of asking, whatever the seed."""
        (first, *_), *others = (self.run_one(seed, "fifo") for seed in range(3))
        self.assertEqual(first[:3], ["turn 0", "turn 1", "turn 2"])
        self.assertTrue(all(seen == first for seen, _, _ in others))

    def test_refused(self) -> None:
        """There is no other order."""
        error = self.assertRaises(LocalError, Network, 7, order="lifo")
        self.assertEqual(str(error), "order is 'lifo'; give fifo or shuffle")


class FrozenHeapTests(SynchronousTestCase):
    """What a run need not look through."""

    def test_frozen(self) -> None:
        """What there was before is frozen meanwhile, also if something goes wrong."""
        heap = mock.Mock(get_freeze_count=lambda: 0)
        with mock.patch.object(network, "gc", heap):
            with self.assertRaises(ZeroDivisionError), frozen_heap():
                self.assertEqual(heap.method_calls, [mock.call.freeze()])
                raise ZeroDivisionError
            self.assertEqual(heap.method_calls, [mock.call.freeze(), mock.call.unfreeze()])

    def test_frozen_already(self) -> None:
        """A heap that somebody has frozen for longer stays as it is."""
        heap = mock.Mock(get_freeze_count=lambda: 1)
        with mock.patch.object(network, "gc", heap), frozen_heap():
            pass
        self.assertEqual(heap.method_calls, [])

    def test_run(self) -> None:
        """A run freezes what was there before, and nothing for longer."""
        before = gc.get_freeze_count() > 0
        with simulate(7):
            self.assertGreater(gc.get_freeze_count(), 0)
        with self.assertRaises(ZeroDivisionError), simulate(7):
            raise ZeroDivisionError
        self.assertEqual(gc.get_freeze_count() > 0, before)
