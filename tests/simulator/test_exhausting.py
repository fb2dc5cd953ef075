"""Every placement of a few faults."""

from twisted.trial.unittest import SynchronousTestCase

from lab import simulator
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.verdicts import DROP
from lab.simulator import exhaust
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

    def test_names(self) -> None:
        """What everybody needs can be had from the package, and nothing else."""
        self.assertIs(simulator.exhaust, exhaust)
        self.assertRaises(AttributeError, getattr, simulator, "exhausted")
