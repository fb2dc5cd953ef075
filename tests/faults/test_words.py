"""What faults have done, in words."""

from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import Corrupt, Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Place, Toxicity
from lab.faults.streams import Cut, LimitData
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.faults.words import all_told, decided, done_by, told


class WordsTests(SynchronousTestCase):
    """One line each."""

    def test_each_kind(self) -> None:
        """What was done, by whom, with which settings, and the draw."""
        cases = [
            (Loss(0.3), Verdict((), draw=0.1131), "dropped by x, p=0.3, draw 0.113"),
            (Loss(every=3), DROP, "dropped by x, every=3"),
            (Latency(0.02, 0.005), Verdict((0.0213,), draw=0.26),
             "delayed 21.3 ms by x, latency=20, jitter=5, draw 0.260"),
            (Duplicate(0.5), Verdict((0.0, 0.0)), "duplicated by x, p=0.5"),
            (Corrupt(0.25, bits=2), Verdict(flips=(1, 2)), "corrupted by x, p=0.25, bits=2"),
            (Cut(0.25), Verdict(cut=3, draw=0.5), "cut by x, p=0.25, draw 0.500"),
            (Reorder(0.25, 5), Verdict(held=5), "held back by x, p=0.25, displacement=5"),
        ]  # fmt: skip
        for settings, verdict, expected in cases:
            self.assertEqual(told(Fault(settings, "x"), verdict), expected)

    def test_nothing(self) -> None:
        """What was delivered as it came; a draw alone does nothing to it."""
        for verdict in (DELIVER, Verdict(draw=0.5)):
            self.assertEqual(told(Fault(Loss(0.3), "x"), verdict), "")

    def test_several(self) -> None:
        """In their order."""
        touches = [
            (Fault(Latency(0.02), "far"), Verdict((0.02,))),
            (Fault(Loss(0.3), "loss"), DROP),
        ]
        expected = "delayed 20 ms by far, latency=20; dropped by loss, p=0.3"
        self.assertEqual((all_told(touches), all_told([])), (expected, ""))

    def test_without_verdict(self) -> None:
        """What a fault of streams has done."""
        found = done_by(Fault(LimitData(10), "limit"), "ended")
        self.assertEqual(found, "ended by limit, bytes=10")
        self.assertEqual(
            told(Fault(LimitData(10), "limit"), "dropped"), "dropped by limit, bytes=10"
        )

    def test_decision(self) -> None:
        """A decision names the link, the fault and the unit."""
        entry = Entry(Place("a>b", 2, "upstream", "loss"), 3, 1.5, DROP)
        self.assertEqual(decided(entry), "drop by loss on a>b, unit 3")
        hit = Toxicity(entry.place, 1.5, hit=True, draw=0.2)
        self.assertEqual(decided(hit), "hit by loss on a>b, connection 2")
