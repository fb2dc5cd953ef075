"""What faults have done, in words."""

from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import Corrupt, Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Place, Toxicity
from lab.faults.streams import Cut, LimitData, PacketLoss
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.faults.words import all_told, decided, done_by, segment_comments, told


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

    def test_segments(self) -> None:
        """Each segment has what was done to a byte of its, once, in the order in which it was."""
        late = Fault(Latency(0.02), "late"), Verdict((0.02,))
        gone = Fault(LimitData(10), "limit"), "dropped"
        touched = [(0, 4, late), (3, 5, gone), (8, 9, gone), (0, 4, late)]
        far, dropped = "delayed 20 ms by late, latency=20", "dropped by limit, bytes=10"
        self.assertEqual(
            segment_comments(touched, 9, 2), [far, f"{far}; {dropped}", dropped, "", dropped]
        )
        self.assertEqual(segment_comments([], 4, 2), ["", ""])

    def test_lost_of_a_stream(self) -> None:
        """TCP sends again what is lost; what another fault drops is gone."""
        for settings, said in (
            (Loss(0.3), "lost and sent again by x, p=0.3"),
            (PacketLoss(0.3), "dropped by x, loss_rate=0.3"),
        ):
            touched = [(0, 2, (Fault(settings, "x"), DROP))]
            self.assertEqual(segment_comments(touched, 2, 2), [said])

    def test_many(self) -> None:
        """A segment of very many pieces tells of some, and how many more there are."""
        fault = Fault(Corrupt(0.5), "x")
        touched = [(0, 1, (fault, Verdict(flips=(1,), draw=n / 1000))) for n in range(20)]
        (comment,) = segment_comments(touched, 1, 1)
        self.assertEqual(comment.count("corrupted"), 8)
        self.assertTrue(comment.endswith("draw 0.007 and 12 times more"))
