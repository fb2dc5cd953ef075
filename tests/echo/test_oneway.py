"""The measure of a stream that goes one way."""

import math
import tracemalloc
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import order as order_room
from lab.echo.figures import Fate, Figures, Sender
from lab.echo.oneway import OneWay
from lab.errors import LocalError
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Place
from lab.faults.link import DatagramLink
from tests.echo.model import Model, Seen, arrivals
from tests.helpers import thorough

# A power of two: exact in floats.
CLOSE = 2**-20


def measured(seen: list[Seen], **more: Any) -> OneWay:
    """The measure of these arrivals."""
    stream = OneWay(**more)
    for one in seen:
        stream.arrived(one.number, one.sent, one.at, one.size)
    return stream


class OneWayTests(SynchronousTestCase):
    """Counts, figures and classes."""

    def test_nothing(self) -> None:
        """When nothing comes, all is lost that was asked for, and there is nothing else to say."""
        report = OneWay(5, keep=True).report()
        self.assertEqual((report.packets, report.received, report.lost), (5, 0, 5))
        self.assertEqual((report.size, report.seconds, report.bits_per_second), (0, 0.0, 0.0))
        self.assertEqual((report.pdv, report.ipdv, report.reordering.extent), (None, None, None))
        self.assertEqual(report.bursts.lengths, ((5, 1),))
        self.assertEqual([row.lost for row in report.intervals], [5])
        report = OneWay().report()
        self.assertEqual((report.packets, report.intervals, report.bursts.periods), (0, (), None))

    def test_expected(self) -> None:
        """What is lost at the end is known if somebody says how many there were."""
        seen = [Seen(0, 0.0, 1.0), Seen(2, 0.2, 1.2)]
        self.assertEqual(measured(seen).report().lost, 1)
        self.assertEqual(measured(seen, expected=10).report().lost, 8)
        stream = measured(seen)
        stream.ended(4, 1, 0.001, 0.002)
        self.assertEqual(stream.report().lost, 2)
        self.assertEqual(stream.report().sender, Sender(4, 1, 0.001, 0.002))
        self.assertEqual((stream.received, stream.missing, stream.duplicates), (2, 1, 0))

    def test_rows_so_far(self) -> None:
        """While more may come, a row has lost only what is below the highest number."""
        stream = measured([Seen(0, 0.0, 1.0), Seen(2, 0.2, 1.2)], expected=10)
        self.assertEqual([row.lost for row in stream.so_far()], [1])
        self.assertEqual([row.lost for row in stream.report().intervals], [8])

    def test_end_is_not_believed(self) -> None:
        """A sender can't have sent more than it was asked for, or less than came."""
        stream = measured([Seen(2, 0.0, 1.0)], expected=5)
        stream.ended(10**9, 0, 0.0, 0.0)
        self.assertEqual(stream.report().packets, 5)
        stream.ended(1, 0, 0.0, 0.0)
        self.assertEqual(stream.report().packets, 3)

    def test_stopped(self) -> None:
        """Who stops a stream has lost nothing of what would have come."""
        stream = measured([Seen(0, 0.0, 1.0), Seen(2, 0.2, 1.2)], expected=1000, keep=True)
        stream.stopped()
        self.assertEqual((stream.report().lost, len(stream.packets())), (1, 3))

    def test_foreign(self) -> None:
        """Numbers that are not in the stream change nothing but their own count."""
        report = measured([Seen(-1, 0.0, 1.0), Seen(5, 0.0, 1.0)], expected=5).report()
        self.assertEqual((report.foreign, report.received, report.size), (2, 0, 0))
        self.assertEqual(measured([Seen(-1, 0.0, 1.0)]).report().foreign, 1)

    def test_timeout(self) -> None:
        """Behind a silence all is overdue, even if it comes quickly then; what is lost stays so."""
        seen = [Seen(0, 0.0, 1.0), Seen(1, 0.1, 3.0), Seen(2, 0.2, 5.5), Seen(3, 0.3, 5.6)]
        stream = measured(seen, expected=4, timeout=2.0, keep=True)
        report = stream.report()
        self.assertEqual((report.received, report.lost, report.overdue), (2, 2, 2))
        self.assertEqual((report.seconds, report.size), (2.0, 128))
        self.assertEqual([packet.copies for packet in stream.packets()], [1, 1, 0, 0])

    def test_timeout_before_the_first(self) -> None:
        """The silence may be at the beginning, if that is known."""
        seen = [Seen(0, 0.0, 9.0)]
        self.assertEqual(measured(seen, begun=1.0, timeout=2.0).report().overdue, 1)
        self.assertEqual(measured(seen, timeout=2.0).report().overdue, 0)

    def test_late(self) -> None:
        """Late is more than the bound behind the first successor; it is received all the same."""
        seen = [Seen(2, 0.0, 1.0), Seen(0, 0.0, 1.125), Seen(1, 0.0, 1.25)]
        stream = measured(seen, late=0.125, keep=True, expected=3)
        report = stream.report()
        self.assertEqual((report.received, report.reordered, report.late), (3, 2, 1))
        self.assertEqual([packet.late for packet in stream.packets()], [False, True, False])
        assert report.reordering.late is not None
        self.assertEqual((report.reordering.late.least, report.reordering.late.most), (0.125, 0.25))
        self.assertEqual([row.late for row in report.intervals], [1])

    def test_rate(self) -> None:
        """Bits a second count from the beginning, with all copies."""
        seen = [Seen(0, 0.0, 10.5), Seen(1, 0.5, 11.0), Seen(1, 0.5, 12.0)]
        report = measured(seen, begun=10.0).report()
        self.assertEqual((report.seconds, report.bits_per_second), (2.0, 3 * 64 * 8 / 2))
        self.assertEqual([row.bits_per_second for row in report.intervals], [512.0] * 3)
        self.assertEqual(report.intervals[-1].end, 3.0)

    def test_intervals(self) -> None:
        """What was missing in one interval and came in another one was not lost."""
        seen = [Seen(0, 0.0, 0.0), Seen(3, 0.3, 0.5), Seen(2, 0.2, 1.5)]
        report = measured(seen, expected=6).report()
        rows = [(row.received, row.lost, row.reordered) for row in report.intervals]
        self.assertEqual(rows, [(2, 1, 0), (1, 2, 1)])
        self.assertEqual([row.packets for row in report.intervals], [3, 3])

    def test_delays_of_rows(self) -> None:
        """Delays in rows are those above the least of all, wherever that was."""
        seen = [Seen(0, 0.0, 5.0), Seen(1, 0.5, 5.25), Seen(2, 1.0, 6.25)]
        first, second = measured(seen).report().intervals
        self.assertEqual((first.least, first.mean, first.most), (0.0, 0.125, 0.25))
        self.assertEqual((second.least, second.most), (0.5, 0.5))

    def test_forgotten(self) -> None:
        """What is too far back to be judged changes nothing but its own count."""
        with mock.patch.object(order_room, "GAPS", 2):
            seen = [Seen(number, 0.0, number) for number in (1, 3, 5, 7)]
            stream = measured([*seen, Seen(1, 0.0, 9.0), Seen(0, 0.0, 9.0)], expected=8, keep=True)
        report = stream.report()
        self.assertEqual((report.forgotten, report.received, report.lost), (2, 4, 4))
        self.assertEqual((report.duplicates, report.reordered), (0, 0))
        self.assertEqual([packet.copies for packet in stream.packets()], [0, 1] * 4)

    def test_clocks(self) -> None:
        """The clocks of sender and receiver may show what they like."""
        seen = [Seen(n, n / 64, n / 64 + (n % 5) / 1024) for n in range(100)]
        far = [Seen(n.number, n.sent - 2**20, n.at + 2**20, n.size) for n in seen]
        self.assertEqual(measured(far).report(), measured(seen).report())

    def test_bounded(self) -> None:
        """Of fifty thousand packets every third is lost, more than are remembered: 8 MB do."""
        stream = OneWay()
        tracemalloc.start()
        try:
            for number in range(50_000):
                if number % 3:
                    stream.arrived(number, number / 1000, number / 1000 + number % 7 / 1e4, 64)
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(stream.report().lost, 16_667)
        self.assertLess(size, 8_000_000)

    def test_refused(self) -> None:
        """Numbers that can't be; the error says what can."""
        for settings_, words in (
            ({"expected": -1}, "expected is -1; give 0 or more packets"),
            ({"keep": True}, "keep is set without expected"),
            ({"timeout": 0.0}, "timeout is 0 s; give more than 0"),
            ({"timeout": math.nan}, "timeout is nan s"),
            ({"late": -1.0}, "late is -1 s; give 0 or more"),
            ({"interval": 0.0}, "interval is 0 s; give more than 0"),
        ):
            error = self.assertRaises(LocalError, OneWay, **settings_)
            self.assertIn(words, str(error))


class OneWayPropertyTests(SynchronousTestCase):
    """Any arrivals, beside the definitions of the RFCs."""

    def same(self, figures: Figures | None, values: list[float]) -> None:
        """Figures are those of the values."""
        if not values:
            self.assertIsNone(figures)
            return
        assert figures is not None
        self.assertEqual(figures.count, len(values))
        rank = -(-len(values) // 2) - 1
        for got, exact in (
            (figures.least, min(values)),
            (figures.most, max(values)),
            (figures.mean, math.fsum(values) / len(values)),
            (figures.p50, sorted(values)[rank]),
            (figures.p99, max(values)),
        ):
            self.assertApproximates(got, exact, CLOSE)

    def compare(self, stream: OneWay, model: Model) -> None:
        """A report and each packet are what the model says."""
        report = stream.report()
        counts = (report.packets, report.received, report.lost, report.duplicates)
        firsts, taken = len(model.firsts), len(model.taken)
        self.assertEqual(counts, (model.packets, firsts, len(model.lost), taken - firsts))
        self.assertEqual((report.foreign, report.overdue), (model.foreign, model.overdue))
        self.assertEqual(report.reordered, len(model.reordered))
        late = [one for one in model.reordered if model.behind(one) > model.late]
        self.assertEqual(report.late, len(late))
        self.same(report.ipdv, model.ipdv)
        self.same(report.pdv, model.pdv)
        self.same(report.reordering.extent, [model.extent(one) for one in model.reordered])
        self.same(report.reordering.late, [model.behind(one) for one in model.reordered])
        self.same(report.bursts.periods, [float(length) for length in model.bursts])
        self.same(report.bursts.distances, [float(length) for length in model.distances])
        lengths = sorted((length, model.bursts.count(length)) for length in set(model.bursts))
        self.assertEqual(list(report.bursts.lengths), lengths)
        ns = [model.n(one) for one in model.reordered]
        n_reordered = [sum(n >= least for n in ns) for least in range(1, max(ns, default=0) + 1)]
        self.assertEqual(list(report.reordering.n), n_reordered)
        self.assertApproximates(report.jitter, model.jitter, 1e-9)
        for row, wanted in zip(report.intervals, model.rows(0.25), strict=True):
            self.assertEqual({name: getattr(row, name) for name in wanted}, wanted)
        for number, packet in enumerate(stream.packets()):
            self.assertEqual((packet.number, packet.copies), (number, model.copies(number)))
            lost = number in model.lost
            self.assertEqual(packet.fate, Fate.LOST if lost else Fate.RECEIVED)
            if not lost:
                (one,) = (one for one in model.firsts if one.number == number)
                self.assertEqual((packet.extent, packet.late), (model.extent(one), one in late))

    @settings(deadline=None)
    @given(
        arrivals(),
        st.integers(0, 5),
        st.sampled_from([None, 0.1, 0.4]),
        st.sampled_from([0.0, 0.1]),
    )
    def test_any(self, seen: list[Seen], more: int, timeout: float | None, late: float) -> None:
        """All figures, counts, rows and classes of packets that come anyhow."""
        expected = max((one.number for one in seen), default=-1) + 1 + more
        stream = measured(
            seen, expected=expected, timeout=timeout, late=late, interval=0.25, keep=True
        )
        self.compare(stream, Model(seen, expected, expected, timeout, late))

    @settings(deadline=None)
    @given(arrivals())
    def test_nobody_knows_how_many(self, seen: list[Seen]) -> None:
        """Without a number of packets, the highest that came is the last."""
        report, model = measured(seen, late=0.0).report(), Model(seen, 0, late=0.0)
        self.assertEqual((report.packets, report.lost), (model.packets, len(model.lost)))
        self.same(report.bursts.periods, [float(length) for length in model.bursts])


class GroundTruthTests(SynchronousTestCase):
    """A link that breaks things and writes down what it did, and what the receiver says of it."""

    def compare(self, count: int, seed: int = 7) -> None:
        """No packet of so many is misclassified: one every 2 ms, over a link with all faults."""
        journal, place = Journal(), Place("a-b")
        faults = [
            Fault(Loss(0.03), "loss"),
            Fault(Duplicate(0.01), "duplicate"),
            Fault(Reorder(0.02, 5), "reorder"),
            Fault(Latency(0.02, 0.005), "latency"),
        ]
        link = DatagramLink(faults, Dice(seed), place, journal=journal)
        came = []
        for number in range(count):
            now = number / 500
            while (due := link.deadline()) is not None and due <= now:
                came += link.tick(due)
            came += link.send(b"%064d" % number, now)
        while (due := link.deadline()) is not None:
            came += link.tick(due)
        came.sort(key=lambda arrival: arrival.at)
        numbers = [int(arrival.data) for arrival in came]
        stream = OneWay(count, timeout=2.0, keep=True)
        for number, arrival in zip(numbers, came, strict=True):
            stream.arrived(number, 1e6 + number / 500, arrival.at, len(arrival.data))

        # Each fault counts the units that it sees: the duplicates' are those that were not lost.
        decided = {name: {entry.unit for entry in journal.entries if entry.place.fault == name}
                   for name in ("loss", "duplicate")}  # fmt: skip
        survived = [number for number in range(count) if number not in decided["loss"]]
        twice = {survived[unit] for unit in decided["duplicate"]}
        behind, highest, before = set(), -1, set[int]()
        for number in numbers:
            if number < highest and number not in before:
                behind.add(number)
            highest = max(highest, number)
            before.add(number)

        wrong = [
            packet
            for packet in stream.packets()
            if packet.copies != (packet.number not in decided["loss"]) + (packet.number in twice)
            or (packet.extent > 0) != (packet.number in behind)
        ]
        self.assertEqual(wrong, [])
        report = stream.report()
        counts = (report.packets, report.lost, report.duplicates, report.reordered)
        self.assertEqual(counts, (count, len(decided["loss"]), len(twice), len(behind)))
        self.assertEqual((report.foreign, report.overdue, report.forgotten), (0, 0, 0))
        self.assertEqual(sum(row.lost for row in report.intervals), report.lost)
        self.assertEqual(sum(row.received for row in report.intervals), report.received)
        self.assertGreater(min(counts), count / 500)

    def test_ten_thousand(self) -> None:
        """Ten thousand packets."""
        self.compare(10_000)

    @thorough
    def test_hundred_thousand(self) -> None:
        """A hundred thousand."""
        self.compare(100_000, seed=1)
