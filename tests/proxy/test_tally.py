"""What faults have done, counted."""

from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import Blackhole, Corrupt, Latency, Loss, Settings
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Place
from lab.faults.pipe import StreamLink
from lab.faults.streams import Cut, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.proxy.tally import Tally


class TallyTests(SynchronousTestCase):
    """What is one, and what is none."""

    def counted(self, settings: Settings) -> int:
        """What a fault does with two chunks of three bytes and an end."""
        tally = Tally()
        link = StreamLink([Fault(settings, "it")], Dice(7), Place("a-b"), watch=tally)
        link.feed(b"abc", 0.0)
        link.feed(b"def", 1.0)
        link.end(2.0)
        while (due := link.deadline()) is not None:
            link.tick(due)
        return tally.get("it", 0)

    def test_streams(self) -> None:
        """Chunks, ends, and connections that are ended; each event once."""
        for settings, number in [
            (Latency(0.1), 2),
            (Latency(0.0), 0),
            (SlowClose(0.1), 1),
            (Slicer(1), 2),
            (Blackhole(), 3),
            (Timeout(), 3),
            (Timeout(0.5), 2),  # a chunk, and the connection
            (ResetPeer(0.5), 2),
            (LimitData(3), 1),  # with the last byte of a chunk
            (LimitData(4), 1),  # in the middle of one
            (LimitData(0), 1),
            (LimitData(100), 0),
            (Cut(1.0), 1),
        ]:
            self.assertEqual(self.counted(settings), number, settings)

    def test_datagrams(self) -> None:
        """Each verdict that is no delivery as usual, even if something was drawn for it."""
        tally = Tally()
        for verdict in (DROP, DELIVER, Verdict((0.0,), draw=0.5), Verdict((0.5,))):
            tally.judged(Fault(Loss(0.5), "loss"), verdict)
        self.assertEqual(tally, {"loss": 2})

    def test_keep(self) -> None:
        """Those of faults that are gone are forgotten."""
        tally, loss = Tally(), Fault(Loss(0.5), "loss")
        tally.judged(loss, DROP)
        tally.judged(Fault(Corrupt(1.0), "corrupt"), Verdict(flips=(1,)))
        tally.keep((loss,))
        self.assertEqual(tally, {"loss": 1})
