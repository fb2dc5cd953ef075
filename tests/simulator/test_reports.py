"""What there is to say of a run that has failed."""

import os
import sys
from typing import Any
from unittest import mock

from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.simulator import simulate
from lab.simulator.network import Network
from lab.simulator.reports import EVENTS, HOSTS, WAITS, command, report, seeds_given
from tests.simulator.test_parity import Connecting, Side
from tests.simulator.test_tapping import Send


def environment(**values: str) -> Any:
    """An environment that has these of the variables that matter, and no others."""
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTEST_CURRENT_TEST", "LAB_SEED"}
    }
    return mock.patch.dict(os.environ, others | values, clear=True)


class CommandTests(SynchronousTestCase):
    """How to run it again."""

    def test_what_was_typed(self) -> None:
        """The command of this process, with the seed, as a shell reads it."""
        with environment(), mock.patch.object(sys, "orig_argv", ["python", "my script.py"]):
            self.assertEqual(command(7), "LAB_SEED=7 python 'my script.py'")

    def test_a_test(self) -> None:
        """Under pytest, the test that runs."""
        with environment(PYTEST_CURRENT_TEST="tests/test_a.py::test_b[1] (call)"):
            self.assertEqual(command(7), "LAB_SEED=7 pytest 'tests/test_a.py::test_b[1]'")

    def test_seeds(self) -> None:
        """The environment's seed takes the place of all others."""
        for given, expected in (("", [1, 2]), ("7", [7]), ("-7", [-7])):
            with environment(LAB_SEED=given):
                self.assertEqual(list(seeds_given([1, 2])), expected)
        with environment():
            self.assertEqual(seeds_given([1, 2]), [1, 2])

    def test_no_seed(self) -> None:
        """What is no number is refused."""
        with environment(LAB_SEED="seven"):
            error = self.assertRaises(LocalError, seeds_given, [])
        self.assertEqual(str(error), "LAB_SEED is 'seven'; give a whole number")


class ReportTests(SynchronousTestCase):
    """What happened, and what is waited for."""

    def test_nothing(self) -> None:
        """A network on which nothing has happened."""
        with environment(), mock.patch.object(sys, "orig_argv", ["python", "a.py"]):
            found = report(Network(7)).splitlines()
        self.assertEqual(
            found,
            [
                "simulation with seed 7, at 0.000000 s; to run it again:",
                "  LAB_SEED=7 python a.py",
                "last events:",
                "  none",
                "waiting:",
            ],
        )

    def test_all_kinds(self) -> None:
        """Ports, connections, timers; hosts that are down, or have nothing to do."""
        net = Network(7)
        a, b, _ = net.host("a"), net.host("b"), net.host("idle")
        b.reactor.listenTCP(80, Factory.forProtocol(Protocol))
        side = Side({"made": lambda side: side.transport.write(bytes(300_000))})
        a.reactor.connectTCP("b", 80, Connecting(side))
        a.reactor.connectTCP("10.9.9.9", 80, Connecting(Side({})))
        a.reactor.listenUDP(5000, DatagramProtocol())
        loop = LoopingCall(print)
        loop.clock = a.reactor  # type: ignore[assignment]
        loop.start(5, now=False).addErrback(lambda _: None)
        net.host("broken").crash()
        net.run(0.0045)
        found = report(net).splitlines()
        waiting = found[found.index("waiting:") + 1 :]
        self.assertEqual(
            waiting,
            [
                "  a (10.0.0.2)",
                "    listens on UDP 5000",
                "    TCP 10.0.0.2:49152 > 10.0.0.3:80 connected, 0 bytes to send, 37,856 under way",
                "    TCP 10.0.0.2:49153 > 10.9.9.9:80 connecting, 0 bytes to send, 0 under way",
                "    calls LoopingCall at 5.000000 s",
                "    calls Client.failIfNotConnected at 30.000000 s",
                "  b (10.0.0.3)",
                "    listens on TCP 80",
                "    TCP 10.0.0.3:80 > 10.0.0.2:49152 connected, 0 bytes to send, 0 under way",
                "  idle (10.0.0.4) waits for nothing",
                "  broken (10.0.0.5) has crashed",
            ],
        )

    def test_many_timers(self) -> None:
        """Of very many the next are told."""
        net = Network(7)
        for number in range(100):
            net.host("a").reactor.callLater(100 - number, print)
        found = report(net).splitlines()[-WAITS - 1 :]
        self.assertEqual(found[0], "    calls print at 1.000000 s")
        self.assertEqual(found[-1], "    and 90 more")

    def test_many_hosts(self) -> None:
        """So are hosts."""
        net = Network(7)
        for number in range(100):
            net.host(f"h{number}")
        found = report(net).splitlines()
        self.assertEqual(found[-1], "  and 80 more hosts")
        self.assertEqual(len(found), 5 + HOSTS + 1)

    def test_events(self) -> None:
        """What was sent last, with what faults have decided, in order; no more than are of use."""
        net = Network(7)
        a, b = net.host("a"), net.host("b")
        net.link(a, b, Fault(Loss(every=2), "loss"))
        for _ in range(200):
            a.reactor.listenUDP(0, Send(b.address)).stopListening()
            net.run(1)
        net.partition(b, a)
        net.run(1)
        net.heal(b, a)
        net.hold(b, a)
        found = report(net).splitlines()
        begin = found.index("last events:") + 1
        events = [line.strip() for line in found[begin : found.index("waiting:")]]
        self.assertEqual(len(events), EVENTS)
        self.assertEqual(events[3], "199.000000 s  udp 10.0.0.2:49351 10.0.0.3:7 8 bytes")
        self.assertEqual(
            events[-5:],
            [
                "199.000000 s  drop by loss on a>b, unit 1997",
                "199.000000 s  drop by loss on a>b, unit 1999",
                "200.000000 s  partition b a",
                "201.000000 s  heal b a",
                "201.000000 s  hold b a",
            ],
        )

    def test_decisions(self) -> None:
        """Which connections a fault works on is told as well; times are those of the run."""
        net = Network(7)
        a, b = net.host("a"), net.host("b")
        net.run(2)
        net.link(a, b, Fault(Loss(1.0), "loss", toxicity=0.5))
        net.run(1)
        self.assertIn("  2.000000 s  hit by loss on a>b, connection 0\n", report(net))
        a.reactor.listenUDP(0, Send(b.address)).stopListening()
        self.assertIn("  3.000000 s  drop by loss on a>b, unit 0\n", report(net))
        self.assertEqual([entry.at for entry in net.journal.entries[:2]], [0.0, 1.0])

    def test_note(self) -> None:
        """What leaves a simulation has the report as its note."""
        with self.assertRaises(ValueError) as raised, simulate(7) as net:
            net.run(1)
            raise ValueError("wrong")
        (note,) = raised.exception.__notes__
        self.assertTrue(note.startswith("simulation with seed 7, at 1.000000 s; to run it again:"))
