"""Which bytes inside a stage faults have touched."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.streams import (
    LimitData,
)
from lab.faults.trail import Chunk, Piece, Trail
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.faults.words import Touch, Touched

ONE, OTHER = Fault(Loss(0.5), "one"), Fault(LimitData(3), "other")


class Told:
    """A watch that keeps what it is told."""

    traces = True

    def __init__(self) -> None:
        self.judgements: list[Any] = []
        self.ends: list[Fault] = []

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """Keep it."""
        self.judgements.append((fault, done, start, size))

    def ended(self, fault: Fault) -> None:
        """Keep it."""
        self.ends.append(fault)


class TrailTests(SynchronousTestCase):
    """One stage."""

    def setUp(self) -> None:
        """A trail to which two chunks have come."""
        self.told, self.end = Told(), list[Touch]()
        self.trail = Trail(self.told, self.end)
        self.chunks = [Chunk(), Chunk()]
        for chunk in self.chunks:
            self.trail.come(Piece(10, chunk))

    def touched(self) -> list[list[Touched]]:
        """What was done to both chunks."""
        return [chunk.touched for chunk in self.chunks]

    def leave(self, *sizes: int) -> list[tuple[int, int, list[str]]]:
        """What leaves in pieces of these sizes: size, where in its chunk, by whom touched."""
        found = [self.trail.leave(size) for size in sizes]
        return [(one.size, one.at, [fault.name for fault, _ in one.touches]) for one in found]

    def test_whole(self) -> None:
        """A touch of one chunk is on it, and not on the other."""
        self.trail.judged(ONE, DROP, 10, 10)
        self.assertEqual(self.leave(10, 10), [(10, 0, []), (10, 0, ["one"])])
        self.assertEqual(self.touched(), [[], [(0, 10, (ONE, DROP))]])

    def test_parts(self) -> None:
        """What is done to parts is on these, wherever they are; one may be touched twice."""
        self.trail.judged(ONE, DROP, 2, 3)
        self.trail.judged(OTHER, "dropped", 4, 12)
        self.trail.judged(ONE, DROP, 4, 1)
        self.assertEqual(
            self.leave(2, 2, 1, 5, 6, 4),
            [
                (2, 0, []),
                (2, 2, ["one"]),
                (1, 4, ["one", "other", "one"]),
                (5, 5, ["other"]),
                (6, 0, ["other"]),
                (4, 6, []),
            ],
        )
        spans = [[touched[:2] for touched in chunk] for chunk in self.touched()]
        self.assertEqual(spans, [[(2, 5), (4, 5), (5, 10), (4, 5)], [(0, 6)]])

    def test_slices(self) -> None:
        """A piece that leaves in slices keeps what was done to it, also behind the slice."""
        self.trail.judged(ONE, DROP, 0, 10)
        self.assertEqual(self.leave(3), [(3, 0, ["one"])])
        self.trail.judged(OTHER, "dropped", 5, 5)
        self.assertEqual(self.leave(2, 5), [(2, 3, ["one"]), (5, 5, ["one", "other"])])

    def test_dropped(self) -> None:
        """What a stage has not kept came last; what comes then is numbered behind it."""
        self.trail.keep(20)
        self.trail.keep(7)
        self.trail.come(Piece(5, Chunk()))
        self.trail.judged(ONE, DROP, 20, 5)
        self.assertEqual(self.leave(7, 5), [(7, 0, []), (5, 0, ["one"])])

    def test_nothing_done(self) -> None:
        """A delivery as usual is no touch, even if something was drawn; it is handed on."""
        for done in (DELIVER, Verdict(draw=0.5)):
            self.trail.judged(ONE, done, 0, 10)
        self.assertEqual(self.leave(10), [(10, 0, [])])
        self.assertEqual(self.told.judgements, [(ONE, DELIVER, 0, 10)] * 2)

    def test_cut(self) -> None:
        """What is before a cut has not been touched."""
        self.trail.judged(ONE, Verdict(cut=4), 10, 10)
        self.assertEqual(self.touched()[1], [(4, 10, (ONE, Verdict(cut=4)))])

    def test_end(self) -> None:
        """The end has no bytes; who has ended the connection is handed on."""
        self.trail.judged(OTHER, "held back", 20, 0)
        self.trail.ended(OTHER)
        self.assertEqual(self.end, [(OTHER, "held back")])
        self.assertEqual((self.touched(), self.told.ends), ([[], []], [OTHER]))

    def test_late(self) -> None:
        """Who has told of a chunk may ask to be told what is done to it later."""
        self.trail.judged(ONE, DROP, 0, 10)
        late: list[Touched] = []
        self.chunks[0].late = late.append
        self.trail.judged(OTHER, "dropped", 8, 4)
        self.assertEqual(late, [(8, 10, (OTHER, "dropped"))])
        self.assertEqual([len(touched) for touched in self.touched()], [1, 1])
