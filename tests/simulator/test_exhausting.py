"""Every placement of a few faults."""

import multiprocessing
import os
import signal
from threading import Event
from typing import Any
from unittest import mock

from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from lab import simulator
from lab.errors import LabError, LocalError
from lab.faults.datagrams import Duplicate, Latency, Loss, Noop, Reorder
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.faults.verdicts import DROP
from lab.simulator import exhaust, exhausting, replay
from lab.simulator.exploring import ExplorationFailed
from lab.simulator.network import Network
from tests.simulator.test_datagrams import Notes


class Sends:
    """A scenario of so many datagrams, with these faults on their way; notes what arrives."""

    def __init__(self, number: int, *faults: Fault) -> None:
        self.number, self.faults = number, faults
        self.seen: list[list[int]] = []
        self.wrong: list[list[int]] = []

    def __call__(self, net: Network) -> None:
        """Send; fail if what arrives is wrong."""
        a, b = net.host("a"), net.host("b")
        net.link(a, b, *self.faults)
        notes = Notes()
        b.reactor.listenUDP(5000, notes)
        port = a.reactor.listenUDP(0, Notes())
        for n in range(self.number):
            port.write(b"%d" % n, (b.address, 5000))
        net.run(5)
        arrived = [int(data) for data, _ in notes.seen[1:]]
        self.seen.append(arrived)
        if arrived in self.wrong:
            raise AssertionError(f"arrived: {arrived}")


class ExhaustTests(SynchronousTestCase):
    """What is placed where."""

    def runs(self, sends: Sends, faults: int) -> set[tuple[int, ...]]:
        """What arrives in all runs; there are as many as it says, besides those that count."""
        number = exhaust(sends, faults)
        self.assertGreaterEqual(len(sends.seen), number)
        self.assertEqual(number, len(set(map(tuple, sends.seen))))
        return set(map(tuple, sends.seen))

    def test_one_loss(self) -> None:
        """Each datagram is lost in one run, whatever the probability; and none in one."""
        found = self.runs(Sends(3, Fault(Loss(0.9), "loss")), 1)
        self.assertEqual(found, {(0, 1, 2), (1, 2), (0, 2), (0, 1)})

    def test_two_losses(self) -> None:
        """Each two are lost in one run, too."""
        found = self.runs(Sends(3, Fault(Loss(0.0), "loss")), 2)
        self.assertEqual(found, {(0, 1, 2), (1, 2), (0, 2), (0, 1), (0,), (1,), (2,)})

    def test_others(self) -> None:
        """Duplicates and reordering are placed as well; a latency is no matter of placing."""
        found = self.runs(
            Sends(2, Fault(Duplicate(0.1), "twice"), Fault(Latency(0.1, 0.05), "late")), 1
        )
        self.assertEqual(found, {(0, 1), (0, 0, 1), (0, 1, 1)})
        # The last one can't be overtaken, and comes where it was.
        sends = Sends(3, Fault(Reorder(0.1), "reorder"))
        self.assertEqual(exhaust(sends), 4)
        self.assertIn([1, 0, 2], sends.seen)
        self.assertIn([0, 2, 1], sends.seen)

    def test_nothing_placed(self) -> None:
        """Without any fault there is one run."""
        sends = Sends(2)
        self.assertEqual((exhaust(sends, 0), sends.seen), (1, [[0, 1]]))

    def test_found(self) -> None:
        """The failure names the faults that were placed, and no others."""
        sends = Sends(4, Fault(Loss(0.5), "loss"))
        sends.wrong = [[0, 3]]
        self.assertEqual(exhaust(sends, 1), 5)
        found = self.assertRaises(ExplorationFailed, exhaust, sends, 2).found
        entries = [(entry.unit, entry.verdict) for entry in found.journal.entries]
        self.assertEqual(entries, [(1, DROP), (2, DROP)])

    def test_most(self) -> None:
        """It ends when there are too many runs, and says what helps."""
        sends = Sends(3, Fault(Loss(0.5), "loss"))
        self.assertEqual(exhaust(sends, 2, most=7), 7)
        sends.seen.clear()
        error = self.assertRaises(LocalError, exhaust, sends, 2, most=6)
        text = "more than 6 runs; give a shorter scenario, fewer faults or more runs"
        self.assertEqual((str(error), len(sends.seen)), (text, 6))

    def test_some_connections(self) -> None:
        """What works on some units only can be placed on all; of others none is touched."""
        faults = Fault(Loss(0.5), "loss", toxicity=0.5), Fault(Noop(), "noop", toxicity=0.5)
        self.assertEqual(len(self.runs(Sends(2, *faults), 2)), 4)

    def test_names(self) -> None:
        """What everybody needs can be had from the package, and nothing else."""
        self.assertIs(simulator.exhaust, exhaust)
        self.assertRaises(AttributeError, getattr, simulator, "exhausted")


class JobsTests(SynchronousTestCase):
    """Several processes."""

    def setUp(self) -> None:
        """A scenario, in this process and in others."""
        self.here = os.getpid()
        self.sends = Sends(5, Fault(Loss(0.5), "loss"))

    def test_equal(self) -> None:
        """However many there are, as many runs are made, and the same failure is told first."""
        found = []
        for jobs in (1, 2, 3):
            for faults, runs in ((0, 1), (1, 6), (2, 16), (3, 26)):
                self.assertEqual(exhaust(self.sends, faults, jobs=jobs), runs)
            wrong = Sends(5, Fault(Loss(0.5), "loss"))
            wrong.wrong = [[0, 2, 4], [2, 3, 4], [1, 2]]
            error = self.assertRaises(ExplorationFailed, exhaust, wrong, 2, jobs=jobs)
            self.assertEqual([entry.unit for entry in error.found.journal.entries], [0, 1])
            self.assertIsInstance(error.found.error, AssertionError)
            self.assertEqual(multiprocessing.active_children(), [])
            found.append((str(error), error.found.runs))
        self.assertEqual(found, [found[0]] * 3)

    def test_in_others(self) -> None:
        """Only the run without faults is made here; 0 jobs are one process for each CPU."""
        exhaust(self.sends, 2, jobs=2)
        self.assertEqual(len(self.sends.seen), 1)
        self.assertEqual(exhaust(self.sends, jobs=0), 6)
        error = self.assertRaises(LocalError, exhaust, self.sends, jobs=-1)
        self.assertEqual(str(error), "jobs is -1; give 0 for one for each CPU, or more")

    def test_most(self) -> None:
        """The bound is one for all processes; a failure behind it is not told, one ahead is."""
        self.sends.wrong = [[0, 2, 3]]  # without 1 and 4: run 10 of 16
        for jobs in (1, 2):
            error = self.assertRaises(LocalError, exhaust, self.sends, 2, most=9, jobs=jobs)
            self.assertIn("more than 9 runs", str(error))
            failed = self.assertRaises(
                ExplorationFailed, exhaust, self.sends, 2, most=10, jobs=jobs
            )
            self.assertEqual(failed.found.runs, 10)
        self.sends.wrong = []
        for jobs in (1, 2):
            self.assertEqual(exhaust(self.sends, 2, most=16, jobs=jobs), 16)
            for most in (1, 3, 15):
                self.assertRaises(LocalError, exhaust, self.sends, 2, most=most, jobs=jobs)

    def test_one_process(self) -> None:
        """What the others do, done here, where it can be seen: no run is made but those needed."""

        def here(work: Any, given: Any, jobs: int) -> Any:
            """As `in_processes`."""
            yield from ((piece, work(piece)) for piece in given)

        with mock.patch.object(exhausting, "in_processes", here):
            self.assertEqual(exhaust(self.sends, 2, jobs=2), len(self.sends.seen))
            self.assertRaises(LocalError, exhaust, self.sends, 2, most=3, jobs=2)
            self.sends.wrong = [[2, 3, 4]]
            found = self.assertRaises(ExplorationFailed, exhaust, self.sends, 2, jobs=2).found
        self.assertEqual(found.runs, 3)

    def test_right_when_run_again(self) -> None:
        """What only fails in another process is no failure of the simulation."""

        def elsewhere(net: Network) -> None:
            """Fail there."""
            self.sends(net)
            if os.getpid() != self.here:
                raise ValueError

        error = self.assertRaises(LabError, exhaust, elsewhere, jobs=2)
        self.assertIn("a run failed, and was right when it was run again", str(error))
        self.assertIn('"unit": 0', str(error))

    def test_interrupted(self) -> None:
        """Ctrl-C ends all processes."""

        def interrupts(net: Network) -> None:
            """Be interrupted by one of the others; none of them comes to an end."""
            self.sends(net)
            if os.getpid() != self.here:
                if 0 not in self.sends.seen[-1]:
                    os.kill(self.here, signal.SIGINT)
                Event().wait(60)

        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.assertRaises(KeyboardInterrupt, exhaust, interrupts, jobs=2)
        self.assertEqual(multiprocessing.active_children(), [])


class Acknowledged(DatagramProtocol):
    """Sends one datagram again until it is answered; three times at most."""

    def __init__(self, reactor: Any, there: tuple[str, int], seen: list[str]) -> None:
        self.reactor, self.there, self.seen = reactor, there, seen
        self.sent = 0

    def startProtocol(self) -> None:
        """Send."""
        self.sent += 1
        self.transport.write(b"%d" % self.sent, self.there)
        self.call = self.reactor.callLater(1, self.startProtocol if self.sent < 3 else self.over)

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """It is answered."""
        self.call.cancel()
        self.seen.append(data.decode())

    def over(self) -> None:
        """Nobody answers."""
        self.seen.append("gone")


class Answers(DatagramProtocol):
    """Sends back what comes."""

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """Answer."""
        self.transport.write(data, addr)


class BroughtForthTests(SynchronousTestCase):
    """Units that are there only because of a fault."""

    def test_each_once(self) -> None:
        """A lost answer and then a lost request, or the other way round: each two once."""
        found: list[str] = []

        def ask(net: Network) -> None:
            """Both ways lose; the name of the one that answers is the lesser one."""
            a, b = net.host("b"), net.host("a")
            net.link(a, b, Fault(Loss(0.1), "loss"))
            net.link(b, a, Fault(Loss(0.1), "loss"))
            b.reactor.listenUDP(7, Answers())
            a.reactor.listenUDP(0, Acknowledged(a.reactor, (b.address, 7), found))
            net.run(9)

        # Each of the first two is lost on one of two ways; then the third one arrives.
        self.assertEqual(exhaust(ask, 2), 1 + 2 + 2 * 2)
        self.assertEqual(sorted(found), ["1", "2", "2", "3", "3", "3", "3"])
        self.assertEqual(exhaust(ask, 3), 1 + 2 + 4 + 8)
        self.assertEqual(found.count("gone"), 8)


LINES = [b"one", b"two", b"three"]


class Serves(Protocol):
    """Sends the lines from the one on that is asked for; takes a word when it has come whole."""

    def __init__(self) -> None:
        self.asked = b""

    def dataReceived(self, data: bytes) -> None:
        """A part of the request."""
        self.asked += data
        if self.asked.endswith(b"\n"):
            first = int(self.asked)
            self.transport.write(b"".join(line + b"\n" for line in LINES[first:]))
            self.transport.loseConnection()


class Resumes(Protocol):
    """Asks for what is missing, line by line."""

    def __init__(self, client: "Client") -> None:
        self.client, self.part = client, b""

    def connectionMade(self) -> None:
        """Ask."""
        self.transport.write(b"%d\n" % self.client.next())

    def dataReceived(self, data: bytes) -> None:
        """Keep whole lines."""
        *lines, self.part = (self.part + data).split(b"\n")
        self.client.lines += lines

    def connectionLost(self, reason: Any = None) -> None:
        """Come again if there are lines missing."""
        self.client.lost(self.part)


class Client(ClientFactory):
    """
    Connects until it has all lines.

    Args:
        reactor: Where it runs.
        counts_parts: The mistake: a line that has come in part counts as one that is there.
    """

    noisy = False

    def __init__(self, reactor: Any, *, counts_parts: bool) -> None:
        self.reactor, self.counts_parts = reactor, counts_parts
        self.lines: list[bytes] = []
        self.connections = 0

    def next(self) -> int:
        """The number of the line that is missing."""
        return len(self.lines)

    def connect(self) -> None:
        """Connect."""
        self.connections += 1
        self.reactor.connectTCP("server", 80, self)

    def buildProtocol(self, addr: Any) -> Protocol:
        """A new connection."""
        return Resumes(self)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        """It was cut before it was there for the client."""
        self.lost(b"")

    def lost(self, part: bytes) -> None:
        """A connection is over, with this part of a line."""
        if part and self.counts_parts:
            self.lines.append(part)
        if self.next() < len(LINES):
            self.reactor.callLater(1, self.connect)


class CutTests(SynchronousTestCase):
    """Connections that are cut at each byte."""

    def scenario(self, *, counts_parts: bool = False, upstream: bool = True, down: bool = True):
        """Get all lines, in this many directions of which cuts may be."""
        self.connections: list[int] = []

        def run(net: Network) -> None:
            """Get all lines."""
            if upstream:
                net.link("client", "server", Fault(Cut(), "cut"))
            if down:
                net.link("server", "client", Fault(Cut(), "cut"))
            factory = Factory.forProtocol(Serves)
            factory.noisy = False
            net.host("server").reactor.listenTCP(80, factory)
            client = Client(net.host("client").reactor, counts_parts=counts_parts)
            client.connect()
            net.run(30)
            self.connections.append(client.connections)
            if client.lines != LINES:
                raise AssertionError(f"lines: {client.lines}")

        return run

    def test_each_byte(self) -> None:
        """A client that resumes is right after a cut at each byte, in each direction."""
        # Two bytes are asked with, 14 are the answer: one cut more than bytes in each direction.
        self.assertEqual(exhaust(self.scenario(down=False)), 1 + 3)
        self.assertEqual(exhaust(self.scenario(upstream=False)), 1 + 15)
        self.assertEqual(exhaust(self.scenario()), 1 + 3 + 15)
        # But what was cut behind the last byte was all there.
        self.assertEqual(self.connections.count(1), 2)

    def test_two_cuts(self) -> None:
        """Successive connections are cut, too."""
        number = exhaust(self.scenario(), 2)
        self.assertEqual((number, max(self.connections)), (len(self.connections), 3))
        # In one direction: 2 bytes on each connection. The first of two cuts is one of three.
        self.assertEqual(exhaust(self.scenario(down=False), 2), 1 + 3 + 3 * 3)
        self.assertEqual(exhaust(self.scenario(down=False), 3), 1 + 3 + 9 + 27)

    def test_planted_bug(self) -> None:
        """A line that has come in part and counts is found, and where it was cut is told."""
        scenario = self.scenario(counts_parts=True)
        found = self.assertRaises(ExplorationFailed, exhaust, scenario).found
        (entry,) = found.journal.entries
        self.assertEqual((entry.place.link, entry.place.connection), ("server>client", 0))
        self.assertEqual((entry.unit, entry.verdict.cut), (0, 1))
        self.assertIn('"unit": 0, "at": 0.002, "verdict": "cut", "cut": 1}', str(found))
        self.assertRaises(AssertionError, replay, scenario, found.journal)

    def test_several_chunks(self) -> None:
        """Between two chunks there is one cut, and a loss can be added to each."""
        sizes: list[int] = []

        def run(net: Network) -> None:
            """Send two chunks."""
            net.link("a", "b", Fault(Loss(), "loss"), Fault(Cut(), "cut"))
            notes = Factory.forProtocol(Sizes)
            notes.noisy, notes.sizes = False, [0]  # type: ignore[attr-defined]
            net.host("b").reactor.listenTCP(80, notes)
            reactor = net.host("a").reactor
            reactor.connectTCP("b", 80, Twice(reactor))
            net.run(30)
            sizes.append(sum(notes.sizes))  # type: ignore[attr-defined]

        # 2 losses and 6 cuts; without a fault all 5 bytes arrive, as with a loss.
        self.assertEqual(exhaust(run), 1 + 2 + 6)
        self.assertEqual(sorted(sizes), [0, 1, 2, 3, 4, 5, 5, 5, 5])
        sizes.clear()
        self.assertEqual(exhaust(run, 2), len(sizes))
        # One byte: by that cut alone, and when the chunk was lost before, and sent again.
        self.assertEqual(sizes.count(1), 2)


class Sizes(Protocol):
    """Notes how many bytes come."""

    def dataReceived(self, data: bytes) -> None:
        """Note."""
        self.factory.sizes.append(len(data))  # type: ignore[union-attr]


class Twice(ClientFactory):
    """Sends two chunks."""

    noisy = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor

    def buildProtocol(self, addr: Any) -> Protocol:
        """Send the second one later."""
        protocol = Protocol()

        def made() -> None:
            """Send."""
            protocol.transport.write(b"ab")
            self.reactor.callLater(1, protocol.transport.write, b"cde")

        protocol.connectionMade = made  # type: ignore[method-assign]
        return protocol
