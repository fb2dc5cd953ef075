"""Answers that take time."""

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Datagrams
from lab.echo.pattern import characters
from lab.echo.runs import FileRun, PacketRun, PieceRun, Run
from lab.echo.wire import (
    Data,
    Digest,
    File,
    FileEnd,
    Packet,
    Ready,
    Stream,
    StreamEnd,
    read_reply,
)
from tests.echo.cores import each


def taken(run: Run, size: int, now: float) -> list[Any]:
    """What is due, as values."""
    return [read_reply(data.removesuffix(b"\n")) for data in each(run.take(size, now))]


def end(run: Run) -> Any:
    """The last message."""
    return read_reply(run.last()[-1])


class PacketTests(SynchronousTestCase):
    """Packets of a stream."""

    def test_plan(self) -> None:
        """The first is due at once, each other an interval later, exactly."""
        run = PacketRun(Stream(10, 5), 100.0)
        self.assertEqual(run.first(), [])
        times = []
        while (due := run.next()) is not None:
            times.append(due)
            self.assertEqual(run.take(10**6, due - 0.001), [])
            (packet,) = taken(run, 10**6, due)
            self.assertEqual((packet.seq, packet.sent_ns), (len(times) - 1, int(due * 1e9)))
        self.assertEqual(times, [100.0 + number / 100 for number in range(5)])
        self.assertEqual(run.take(10**6, 200.0), [])
        self.assertEqual(end(run), StreamEnd(5, 0, 0, 0))

    def test_late(self) -> None:
        """What is late leaves at once, and the rest by the plan; how late it was is said."""
        run = PacketRun(Stream(10, 10, id=b"k"), 0.0)
        self.assertEqual(len(each(run.take(10**6, 0.0))), 1)
        self.assertEqual([packet.seq for packet in taken(run, 10**6, 0.035)], [1, 2, 3])
        self.assertEqual(run.next(), 0.04)
        self.assertEqual(len(each(run.take(10**6, 0.04))), 1)
        self.assertEqual(len(each(run.take(10**6, 1.0))), 5)
        # Late by 25, 15, 5 ms, and by 950, 940, 930, 920, 910 ms.
        late = [25, 15, 5, 950, 940, 930, 920, 910]
        mean = sum(late) * 1_000_000 // 10
        self.assertEqual(end(run), StreamEnd(10, 7, mean, 950_000_000, b"k"))

    def test_one_interval_late_is_not_missed(self) -> None:
        """A packet that leaves an interval after its time, and no more, is not missed."""
        for late, missed in ((0.3, 0), (0.3 + 1e-9, 1)):
            run = PacketRun(Stream(300, 1), 0.1 + 0.2)
            run.take(100, 0.1 + 0.2 + late)
            self.assertEqual(end(run).missed, missed)

    @settings(deadline=None)
    @given(
        st.integers(0, 20),
        st.integers(1, 40),
        st.integers(64, 300),
        st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 1000)), max_size=60),
    )
    def test_any_times(
        self, interval: int, count: int, size: int, turns: list[tuple[float, int]]
    ) -> None:
        """Whenever it is asked: each packet once, in order, of its size, never before its time."""
        run = PacketRun(Stream(interval, count, size, b"k"), 5.0, b"\n")
        now, sent = 5.0, []
        for pause, room in [*turns, *[(0.1, 10**6)] * count]:
            now += pause
            packets = each(run.take(room, now))
            self.assertLessEqual(len(packets), max(1, room // size))
            self.assertEqual({len(packet) for packet in packets} - {size}, set())
            sent += [read_reply(packet[:-1]) for packet in packets]
            for packet in sent[-1:]:
                self.assertLessEqual(5.0 + packet.seq * interval / 1000, now)
        self.assertEqual([packet.seq for packet in sent], list(range(count)))
        self.assertIsNone(run.next())
        self.assertEqual(end(run).count, count)

    def test_at_once(self) -> None:
        """With interval 0 and no rate all are due, and none is late."""
        run = PacketRun(Stream(0, 100, 100), 5.0)
        self.assertEqual(run.next(), 5.0)
        self.assertEqual(len(each(run.take(1050, 7.0))), 10)
        self.assertEqual(len(each(run.take(10**6, 9.0))), 90)
        self.assertEqual((run.next(), end(run)), (None, StreamEnd(100, 0, 0, 0)))

    def test_rate(self) -> None:
        """With interval 0 and a rate they are due at that rate, and none is late either."""
        run = PacketRun(Stream(0, 100), 5.0, rate=10.0, burst=9)
        self.assertEqual(len(each(run.take(10**6, 5.85))), 9)
        self.assertEqual(run.next(), 5.9)
        # What could not leave for a while does not leave all at once.
        self.assertEqual(len(each(run.take(10**6, 100.0))), 10)
        self.assertApproximates(run.next(), 100.1, 1e-9)
        self.assertEqual(len(each(run.take(300, 101.05))), 4)
        run.stop()
        self.assertEqual(end(run), StreamEnd(23, 0, 0, 0))

    def test_together(self) -> None:
        """What is due at a time is in one piece."""
        for ending in (b"", b"\n"):
            run = PacketRun(Stream(0, 1000, 1200), 5.0, ending)
            (piece,) = run.take(120 * 1200, 5.0)
            self.assertIsInstance(piece, Datagrams)
            self.assertEqual((len(piece), piece.size), (120, 1200))
            (single,) = run.take(1, 6.0)
            self.assertEqual((type(single), len(single)), (bytes, 1200))
            # What was given is made whenever it is asked for.
            for _ in range(2):
                read = [read_reply(data[:1199]) for data in each([piece, single])]
                self.assertEqual([packet.seq for packet in read], list(range(121)))
                self.assertEqual({packet.sent_ns for packet in read[:120]}, {5 * 10**9})

    def test_stop(self) -> None:
        """One that is stopped has ended, and says how many there were."""
        for interval in (0, 10):
            run = PacketRun(Stream(interval, 100), 0.0)
            run.take(64, 0.0)
            run.stop()
            self.assertEqual((run.next(), run.take(10**6, 9.0)), (None, []))
            self.assertEqual(end(run), StreamEnd(1, 0, 0, 0))
        run = PacketRun(Stream(), 0.0)
        run.stop()
        self.assertEqual(end(run), StreamEnd(0, 0, 0, 0))

    def test_real_times(self) -> None:
        """Also at the time of today a packet is late by what it is late by."""
        run = PacketRun(Stream(1, 1), 1.8e9)
        (packet,) = taken(run, 100, 1.8e9 + 0.25)
        self.assertIsInstance(packet, Packet)
        # A float of that size has steps of 238 ns, and 256 times a billion.
        self.assertApproximates(packet.sent_ns, 1_800_000_000_250_000_000, 256)
        self.assertEqual(end(run), StreamEnd(1, 1, 250_000_000, 250_000_000))


PARTS = st.builds(File, st.just(50_000), st.integers(0, 30_000), st.integers(0, 20_000))


class FileTests(SynchronousTestCase):
    """Characters of a file on a stream."""

    @settings(deadline=None)
    @given(PARTS, st.lists(st.integers(1, 9000), max_size=9))
    def test_characters(self, request: File, sizes: list[int]) -> None:
        """However many at a time: those of the part, in order, and their digest."""
        run = FileRun(request, 5.0)
        self.assertEqual(read_reply(run.first()[0]), Ready(request.length))
        got = b""
        for size in [*sizes, 100_000]:
            data = b"".join(run.take(size, 6.0))
            self.assertLessEqual(len(data), size)
            got += data
        self.assertEqual(got, characters(0, request.offset, request.length))
        self.assertEqual(run.next(), None)
        self.assertEqual(run.last()[0], b"")
        self.assertEqual(end(run), Digest(hashlib.sha256(got).hexdigest()))

    def test_seed(self) -> None:
        """The seed is of the characters."""
        run = FileRun(File(100, seed=9, id=b"k"), 0.0)
        self.assertEqual(run.take(100, 0.0), [characters(9, 0, 100)])
        self.assertEqual((run.first(), end(run).id), ([b"#k 200 ready 100"], b"k"))

    def test_stop(self) -> None:
        """One that is stopped gives no more."""
        run = FileRun(File(100), 5.0)
        self.assertEqual(run.next(), 5.0)
        run.take(10, 5.0)
        run.stop()
        self.assertEqual((run.next(), run.take(10, 6.0)), (None, []))


class PieceTests(SynchronousTestCase):
    """Characters of a file in datagrams."""

    @settings(deadline=None)
    @given(PARTS, st.integers(1, 3000), st.lists(st.floats(0, 3), max_size=9))
    def test_pieces(self, request: File, piece: int, times: list[float]) -> None:
        """Each piece is where it says, and together they are the part."""
        run = PieceRun(request, 0.0, piece, 1000.0, 10**6)
        (ready,) = map(read_reply, run.first())
        self.assertEqual((ready.length, ready.piece), (request.length, piece))
        got, sent = b"", []
        for now in [*sorted(times), 1e6]:
            for data in taken(run, 10**9, now):
                self.assertIsInstance(data, Data)
                self.assertEqual(data.offset, request.offset + len(got))
                got += data.characters
                sent.append(len(data.characters))
        self.assertEqual(got, characters(0, request.offset, request.length))
        self.assertEqual({*sent[:-1], piece}, {piece})
        self.assertEqual(ready.count, len(sent))
        self.assertEqual(run.next(), None)
        self.assertEqual(end(run), FileEnd(len(sent), hashlib.sha256(got).hexdigest()))

    def test_paced(self) -> None:
        """They are due at their rate, and no more at a time than is asked for."""
        run = PieceRun(File(100_000, id=b"k"), 5.0, 1000, 10.0, 20)
        self.assertEqual(run.first(), [b"#k 200 ready 100000 1000 100"])
        self.assertEqual(run.next(), 5.0)
        self.assertEqual(len(each(run.take(10**6, 5.0))), 1)
        self.assertEqual(run.next(), 5.1)
        self.assertEqual(len(each(run.take(2500, 6.0))), 2)
        self.assertEqual(run.next(), 5.3)
        (one,) = run.take(1, 6.0)
        self.assertTrue(one.startswith(b"#k data 3000 "))
        self.assertEqual(len(each(run.take(10**6, 90.0))), 21)
        self.assertApproximates(run.next(), 90.1, 1e-9)

    def test_stop(self) -> None:
        """One that is stopped gives no more."""
        run = PieceRun(File(100_000), 5.0, 1000, 10.0)
        run.stop()
        self.assertEqual((run.next(), run.take(10**6, 1e6)), (None, []))
