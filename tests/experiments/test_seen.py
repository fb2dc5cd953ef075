"""What was seen of a network."""

import io
import os

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import ACK, PSH, SYN, tcp, udp
from lab.capture.recorder import Capture
from lab.errors import LocalError
from lab.experiments import seen
from lab.experiments.plots.ladder import Arrow
from lab.experiments.seen import look, of_capture, of_journal
from lab.faults.journal import Entry, Journal, Place, Toxicity
from lab.faults.verdicts import Verdict
from tests.helpers import folder

A, B = ("10.0.0.2", 1000), ("10.0.0.3", 80)


class CaptureTests(SynchronousTestCase):
    """Captures."""

    def setUp(self) -> None:
        """Begin one."""
        self.file = io.BytesIO()
        self.capture = Capture(self.file.write, "test")
        self.sides = self.capture.side("a-to-b"), self.capture.side("b-to-a")

    def sent(self, at: float, data: bytes, arrives: float | None = None, comment: str = "") -> None:
        """A packet is sent, and may arrive."""
        self.capture.packet(self.sides[0], at, data, inbound=False, comment=comment)
        if arrives is not None:
            self.capture.packet(self.sides[1], arrives, data, inbound=True)

    def look(self, begin: float = 0.0) -> seen.Seen:
        """What was seen."""
        self.file.seek(0)
        return of_capture(self.file, begin)

    def test_datagrams(self) -> None:
        """Hosts have their names; datagrams say how large they are and how they begin."""
        self.capture.name("10.0.0.2", "client")
        self.sent(0, udp(A, B, b"+,1,1\nmore"), 0.5)
        self.sent(1, udp(A, B, b"\xff" * 9))
        found = self.look()
        self.assertEqual(found.arrows, [
            Arrow("client", "10.0.0.3", 0.0, 0.5, "UDP 10 bytes: +,1,1"),
            Arrow("client", "10.0.0.3", 1.0, 1.0, "UDP 9 bytes", lost=True),
        ])  # fmt: skip
        (trace,) = found.traces
        self.assertEqual((trace.name, trace.unit), ("UDP client:1000 to 10.0.0.3:80", "packet"))
        marks = [(mark.at, mark.number, mark.kind) for mark in trace.marks]
        self.assertEqual(marks, [(0, 0, "sent"), (1, 1, "lost")])
        self.assertEqual([one.sent for one in self.look(0.7).arrows], [1.0])

    def test_duplicate(self) -> None:
        """A duplicate stands where it arrives."""
        one = udp(A, B, b"x")
        self.sent(0, one, 0.5)
        self.capture.packet(self.sides[1], 0.75, one, inbound=True)
        marks = [(mark.at, mark.kind) for mark in self.look().traces[0].marks]
        self.assertEqual(marks, [(0, "sent"), (0.75, "duplicate")])

    def test_segments(self) -> None:
        """TCP has flags and numbers; acknowledgements stand with what they acknowledge."""
        for at, way, flags, numbers, data in [
            (0, (A, B), SYN, (70, 0), b""),
            (1, (B, A), SYN | ACK, (500, 71), b""),
            (2, (A, B), PSH | ACK, (71, 501), b"a $5 question that is rather long"),
            (3, (B, A), ACK, (501, 104), b""),
            (4, (A, B), PSH, (71, 0), b"a"),
            (5, (A, B), 0, (104, 0), b""),
        ]:
            self.sent(at, tcp(*way, flags, numbers=numbers, data=data))
        found = self.look()
        self.assertEqual(
            [one.label for one in found.arrows],
            [
                "SYN, seq 0",
                "SYN, ACK, seq 0, ack 1",
                r"PSH, ACK, seq 1, 33 bytes: a \$5 question that is r…",
                "ACK, seq 1, ack 34",
                "PSH, seq 1, 1 bytes: a",
                "no flags, seq 34",
            ],
        )
        there, back = found.traces
        self.assertEqual(
            (there.unit, there.name), ("sequence number", "TCP 10.0.0.2:1000 to 10.0.0.3:80")
        )
        marks = [(mark.at, mark.number, mark.kind) for mark in there.marks]
        right = [(0, 1, "sent"), (1, 1, "acknowledged"), (2, 34, "sent"), (3, 34, "acknowledged"),
                 (4, 2, "again")]  # fmt: skip
        self.assertEqual(marks, right)
        self.assertEqual([mark.kind for mark in back.marks], ["sent", "acknowledged"])

    def test_loopback(self) -> None:
        """Where a host talks with itself, its ports are told apart."""
        self.sent(0, udp(("::1", 5), ("::1", 7), b"x"))
        self.sent(1, udp(("127.0.0.1", 5), ("127.0.0.1", 7), b"x"))
        ends = [(one.source, one.to) for one in self.look().arrows]
        self.assertEqual(ends, [("[::1]:5", "[::1]:7"), ("127.0.0.1:5", "127.0.0.1:7")])

    def test_left_out(self) -> None:
        """What is left out is said."""
        self.patch(seen, "MOST", 2)
        for number in range(5):
            self.sent(number, udp(A, B, b"x"))
        self.sent(9, b"what is this")
        right = ["3 packets behind the first 2 left out", "1 packets of other protocols left out"]
        self.assertEqual(self.look().notes, right)


class JournalTests(SynchronousTestCase):
    """Journals."""

    def read(self, *lines: Entry | Toxicity, begin: float = 0.0) -> seen.Seen:
        """What was decided."""
        text = "\n".join(Journal(list(lines), seed=7).lines()) + "\n\n"
        return of_journal(io.BytesIO(text.encode()), begin)

    def test_of_a_simulation(self) -> None:
        """A link of a simulation has its ends in its name; what is dropped is lost."""
        place = Place("a>b", fault="loss")
        found = self.read(
            Entry(place, 3, 1.5, Verdict(())), Entry(place, 4, 2.0, Verdict((0.25, 0.5)))
        )
        self.assertEqual(
            found.arrows,
            [
                Arrow("a", "b", 1.5, 1.5, "loss: drop, unit 3 (connection 0)", lost=True),
                Arrow(
                    "a", "b", 2.0, 2.5, "loss: duplicate, unit 4 (connection 0)", kind="duplicate"
                ),
            ],
        )
        (trace,) = found.traces
        self.assertEqual((trace.name, trace.unit), ("loss on a>b", "unit"))
        marks = [(mark.at, mark.number, mark.kind) for mark in trace.marks]
        self.assertEqual(marks, [(1.5, 3, "lost"), (2.0, 4, "duplicate")])

    def test_of_a_proxy(self) -> None:
        """A proxy has a client and a server; directions are told apart."""
        found = self.read(
            *(
                Entry(Place("proxy", 1, way, "late"), 0, 0.0, Verdict((0.1,)))
                for way in ("upstream", "downstream")
            )
        )
        ends = [(one.source, one.to) for one in found.arrows]
        self.assertEqual(
            ends, [("client of proxy", "server of proxy"), ("server of proxy", "client of proxy")]
        )
        self.assertEqual(
            [one.name for one in found.traces],
            ["late on proxy upstream", "late on proxy downstream"],
        )
        self.assertEqual(found.traces[0].marks[0].kind, "delayed")

    def test_left_out(self) -> None:
        """Toxicity is no unit; what was before, and behind very many, is left out."""
        place = Place("proxy", 1, "upstream", "late")
        several = [Entry(place, n, n, Verdict((0.1,))) for n in range(4)]
        found = self.read(Toxicity(place, 0.0, hit=True, draw=0.5), *several, begin=2)
        self.assertEqual([one.sent for one in found.arrows], [2, 3])
        self.assertEqual(found.notes[1:], ["1 decisions of toxicity not drawn"])
        self.patch(seen, "MOST", 3)
        self.assertEqual(self.read(*several).notes[1:], ["2 lines behind the first 3 left out"])

    def test_damaged(self) -> None:
        """A line that is none is named."""
        error = self.assertRaises(LocalError, of_journal, io.BytesIO(b'\n{"a": 1}\n'))
        self.assertTrue(str(error).startswith("line 2 is b'{\"a\": 1}'"), error)


class LookTests(SynchronousTestCase):
    """Either, by what the file begins with."""

    def test_either(self) -> None:
        """A capture is told from a journal."""
        place = folder(self)
        with (place / "x.pcapng").open("wb") as file:
            capture = Capture(file.write, "test")
            capture.packet(capture.side("a"), 0, udp(A, B, b"x"), inbound=False)
        self.assertEqual(look(place / "x.pcapng").traces[0].unit, "packet")
        line = Entry(Place("a>b", fault="loss"), 3, 1.5, Verdict(())).encode()
        (place / "x.jsonl").write_text(line)
        self.assertEqual(look(place / "x.jsonl").traces[0].unit, "unit")

    def test_mistakes(self) -> None:
        """No file, one that is neither, and one in which there is nothing."""
        place, never = folder(self), Entry(Place("a>b"), 3, float("inf"), Verdict(())).encode()
        for name, data, text in [
            ("none", None, "No such file or directory"),
            ("text", b"hello\n", "give a pcapng file or a journal"),
            ("cap", b"\n\r\r\n0000hello", "it is no pcapng file: give a pcapng file or a journal"),
            ("empty", b"", "nothing in it could be drawn"),
            ("gzip", b"\x1f\x8b\x08" + bytes(300), "a journal"),
            ("no_end", bytes(2**21), "a journal"),
            ("never", never.encode(), "a journal"),
        ]:
            if data is not None:
                (place / name).write_bytes(data)
            error = self.assertRaises(LocalError, look, place / name)
            self.assertTrue(str(error).endswith(text), error)
            self.assertNotIn("\n", str(error))
            self.assertTrue(str(error).isprintable(), error)
            self.assertLess(len(str(error)), 150 + len(str(place)))

    def test_fifo(self) -> None:
        """A FIFO is refused; nobody has to write to it before that is said."""
        place = folder(self) / "fifo"
        os.mkfifo(place)
        held = os.open(place, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, held)
        os.write(held, b"or to open it would wait for ever")
        error = self.assertRaises(LocalError, look, place)
        self.assertIn("it is a FIFO: give a pcapng file or a journal", str(error))
