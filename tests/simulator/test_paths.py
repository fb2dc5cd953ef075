"""The ways between hosts."""

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.recorder import Capture
from lab.faults.datagrams import Bandwidth, Blackhole, Corrupt, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Replay
from lab.faults.link import PATIENCE
from lab.faults.streams import SlowClose
from lab.simulator.kernel import Kernel
from lab.simulator.paths import LATENCY, Path
from lab.simulator.tapping import Tap
from tests.capture.blocks import packets


class PathTests(SynchronousTestCase):
    """What arrives, and when."""

    def setUp(self) -> None:
        """A way."""
        self.kernel, self.journal = Kernel(), Journal()
        self.path = Path("a>b", self.kernel, Dice(7), self.journal)
        self.seen: list[tuple[float, object]] = []

    def note(self, what: object) -> None:
        """It has arrived."""
        self.seen.append((self.kernel.now, what))

    def run_all(self) -> list[tuple[float, object]]:
        """Let all arrive."""
        self.kernel.run(float("inf"))
        return self.seen

    def test_nothing_wrong(self) -> None:
        """Datagrams and control arrive after the usual time, in order."""
        self.path.send(b"one", self.note)
        self.path.control(self.note, "two")
        self.assertEqual(self.run_all(), [(LATENCY, b"one"), (LATENCY, "two")])

    def test_latency(self) -> None:
        """A latency that is set takes the place of the usual one, for control without jitter."""
        self.path.set([Fault(Latency(0.5), "a"), Fault(Latency(0.25, 0.1), "b")])
        self.path.send(b"one", self.note)
        self.path.control(self.note, "two")
        self.run_all()
        times = {what: time for time, what in self.seen}
        self.assertEqual(times["two"], 0.75)
        self.assertTrue(0.65 <= times[b"one"] <= 0.85)
        self.assertNotEqual(times[b"one"], 0.75)

    def test_faults_without_latency(self) -> None:
        """Other faults add to the usual time; what they decide is in the journal."""
        self.path.set([Fault(Corrupt(1.0), "corrupt")])
        self.path.send(b"a", self.note)
        ((time, data),) = self.run_all()
        self.assertEqual(time, LATENCY)
        self.assertNotEqual(data, b"a")
        self.assertEqual([entry.place.link for entry in self.journal.entries], ["a>b"])

    def test_set_again(self) -> None:
        """What is set takes the place of what was wrong before."""
        self.path.set([Fault(Blackhole(), "hole")])
        self.path.send(b"lost", self.note)
        self.path.set([])
        self.path.send(b"a", self.note)
        self.assertEqual(self.run_all(), [(LATENCY, b"a")])

    def test_pipes_follow(self) -> None:
        """Connections that are there are told of other faults; theirs are those of streams."""

        class StandIn:
            """A pipe."""

            followed = 0

            def follow(self) -> None:
                """Note it."""
                self.followed += 1

        pipe = StandIn()
        self.path.pipes[pipe] = None
        both = Fault(Latency(0.5), "both")
        self.path.set([both, Fault(Reorder(0.5), "datagrams"), Fault(SlowClose(1.0), "streams")])
        self.assertEqual(pipe.followed, 1)
        self.assertEqual([fault.name for fault in self.path.streams], ["both", "streams"])

    def test_held_back(self) -> None:
        """What nobody overtakes comes in the end, also when several are held back."""
        self.path.set([Fault(Reorder(1.0, 5), "reorder")])
        self.path.send(b"0", self.note)
        self.kernel.at(0.5, self.path.send, b"1", self.note)
        expected = [(PATIENCE + LATENCY, b"0"), (0.5 + PATIENCE + LATENCY, b"1")]
        self.assertEqual(self.run_all(), expected)

    def test_held_back_by_what_is_gone(self) -> None:
        """What was held back when all faults are taken away is lost with them, and nothing else."""
        self.path.set([Fault(Reorder(1.0, 5), "reorder")])
        self.path.send(b"0", self.note)
        self.path.set([])
        self.assertEqual(self.run_all(), [])

    def test_rate_of_all(self) -> None:
        """What waits for its turn arrives then, and at once when the faults are others."""
        rate = Fault(Bandwidth(1000.0, scope="proxy"), "rate")
        self.path.set([rate, Fault(Reorder(0.5, 5), "reorder")])
        for _ in range(10):
            self.path.send(bytes(100), self.note)
        self.kernel.run(0.1 + LATENCY)
        before = len(self.seen)
        self.assertLessEqual(before, 1)
        self.kernel.run(0.55)
        self.path.set([rate])
        self.kernel.run(0.551)
        self.assertGreater(len(self.seen), before + 4)
        self.path.send(bytes(100), self.note)
        self.assertEqual(self.run_all()[-1], (0.652, bytes(100)))

    def test_cut(self) -> None:
        """While it is cut, datagrams are lost, and control waits until it is mended."""
        self.path.cut = True
        self.path.send(b"lost", self.note)
        self.path.control(self.note, "one")
        self.path.control(self.note, "two")
        self.assertEqual(self.run_all(), [])
        self.kernel.run(5.0)
        self.path.heal()
        self.path.send(b"three", self.note)
        expected = [(5.0 + LATENCY, what) for what in ("one", "two", b"three")]
        self.assertEqual(self.run_all(), expected)

    def test_hold(self) -> None:
        """While it is held, datagrams wait, too, and all go on in order."""
        self.path.cut = self.path.keeps = True
        self.path.send(b"one", self.note)
        self.path.control(self.note, "two")
        self.assertEqual(self.run_all(), [])
        self.path.heal()
        self.assertEqual(self.run_all(), [(LATENCY, b"one"), (LATENCY, "two")])
        self.assertFalse(self.path.keeps)

    def test_each_setting_draws(self) -> None:
        """Faults that are set again draw other numbers, and a replay knows which were which."""
        loss = [Fault(Loss(0.5), "loss")]

        def losses(path: Path) -> list[bool]:
            """Which of two times 50 datagrams arrive."""
            found: list[bytes] = []
            for start in (0, 50):
                path.set(loss)
                for n in range(start, start + 50):
                    path.send(bytes([n]), found.append)
                self.kernel.run(self.kernel.now + 1)
            return [bytes([n]) in found for n in range(100)]

        first = losses(self.path)
        self.assertNotEqual(first[:50], first[50:])
        self.assertEqual({entry.place.connection for entry in self.journal.entries}, {0, 1})
        again = Path("a>b", self.kernel, Replay.of(self.journal), Journal())
        self.assertEqual(losses(again), first)

    def test_tap(self) -> None:
        """A capture sees what leaves, what is done to it, and what arrives of control."""
        file = bytearray()
        self.path.tap = Tap(Capture(file.extend, ""), self.kernel, "a", "b")
        self.path.send(b"", self.note, b"1")
        self.path.control(self.note, "two", packet=b"2")
        self.path.control(self.note, "unseen")
        self.path.set([Fault(Latency(0.5), "late")])
        self.path.send(b"", lambda copy, told: self.note(told), b"3")
        self.path.cut = True
        self.path.control(self.note, "three", packet=b"4")
        self.path.send(b"", self.note, b"5")
        self.path.heal()
        self.path.cut = self.path.keeps = True
        self.path.send(b"", lambda copy, told: self.note("held"), b"6")
        self.path.heal()
        self.run_all()
        found = [(one.data, one.side, one.comment) for one in packets(bytes(file))]
        late, cut = "delayed 500 ms by late, latency=500", "dropped by partition"
        expected = [
            (b"1", 0, ""), (b"2", 0, ""), (b"3", 0, late), (b"4", 0, cut), (b"5", 0, cut),
            (b"4", 0, ""), (b"6", 0, "held back by hold"), (b"6", 0, late),
            (b"2", 1, ""), (b"4", 1, ""),
        ]  # fmt: skip
        self.assertEqual(found, expected)
        self.assertEqual(
            [what for _, what in self.seen], [b"", "two", "unseen", late, "three", "held"]
        )
