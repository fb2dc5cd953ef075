"""The measure of probes that are answered."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import order, roundtrip
from lab.echo.figures import Packet
from lab.echo.report import ProbeReport
from lab.echo.roundtrip import Counts, RoundTrip
from lab.errors import LocalError
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Place
from lab.faults.link import DatagramLink


class Reflector:
    """
    The server's side: it counts, and answers whatever comes.

    Args:
        skew: What its clock shows more.
    """

    def __init__(self, skew: float = 1000.0) -> None:
        self.skew = skew
        self.seen: set[int] = set()
        self.duplicates = 0

    def answer(self, number: int, at: float) -> tuple[int, Counts, float]:
        """What it answers to a probe."""
        self.duplicates += number in self.seen
        self.seen.add(number)
        return number, self.counts, at + self.skew

    @property
    def counts(self) -> Counts:
        """What it has counted."""
        return Counts(len(self.seen), self.duplicates)


class RoundTripTests(SynchronousTestCase):
    """Counts and figures."""

    def probes(self, count: int, **more: Any) -> RoundTrip:
        """So many probes have left, one every quarter of a second."""
        found = RoundTrip(**more)
        for number in range(count):
            found.sent(number, number / 4)
        return found

    def ways(self, report: ProbeReport) -> tuple[int, int, int, int]:
        """Where they went."""
        return report.answered, report.lost_up, report.lost_down, report.lost_unknown

    def test_nothing(self) -> None:
        """Without probes there is nothing to say, without answers nobody knows which way."""
        report = RoundTrip().report()
        self.assertEqual((report.sent, report.lost, report.intervals), (0, 0, ()))
        self.assertEqual((report.round_trip, report.up, report.down.pdv), (None, None, None))
        self.assertEqual(self.ways(self.probes(3).report()), (0, 0, 0, 3))

    def test_answered(self) -> None:
        """Round trips are of the prober's clock alone, the two ways of the differences."""
        probes = self.probes(3)
        for number, there, back in ((0, 0.125, 0.25), (1, 0.25, 0.25), (2, 0.125, 0.5)):
            sent = number / 4
            at = sent + there + back
            probes.answered(number, Counts(number + 1), 77.0 + sent + there, at, 64)
        report = probes.report()
        self.assertEqual(self.ways(report), (3, 0, 0, 0))
        trip, up, down = report.round_trip, report.up, report.down.pdv
        assert trip is not None
        assert up is not None
        assert down is not None
        self.assertEqual((trip.least, trip.most, trip.count), (0.375, 0.625, 3))
        self.assertEqual((up.least, up.most, down.least, down.most), (0.0, 0.125, 0.0, 0.25))
        self.assertEqual(probes.so_far(9.0), report.intervals)
        (row,) = report.intervals
        self.assertEqual((row.received, row.lost, row.size), (3, 0, 192))
        self.assertEqual((row.least, row.most), (0.375, 0.625))

    def test_ways(self) -> None:
        """Which way probes went follows from what the server counted."""
        probes = self.probes(6)
        probes.answered(0, Counts(1), 0.0, 0.1, 64)
        # 1 never came there; the answer to 2 was lost.
        probes.answered(3, Counts(3), 0.0, 0.8, 64)
        self.assertEqual(self.ways(probes.report()), (2, 1, 1, 2))
        probes.counted(Counts(4))
        self.assertEqual(self.ways(probes.report()), (2, 2, 2, 0))
        report = probes.report()
        self.assertEqual((report.down.packets, report.down.lost), (4, 2))

    def test_before(self) -> None:
        """What the server had counted before is none of these probes."""
        probes = self.probes(2, before=Counts(100, 5))
        probes.answered(1, Counts(101, 5), 0.0, 0.5, 64)
        probes.counted(Counts(101, 5))
        report = probes.report()
        self.assertEqual(self.ways(report), (1, 1, 0, 0))
        self.assertEqual((report.duplicates_up, report.down.lost), (0, 0))

    def test_duplicates(self) -> None:
        """A copy of a probe has an answer of its own; a copy of an answer is the same again."""
        probes = self.probes(2, keep=True)
        for counts in (Counts(1), Counts(1, 1), Counts(1, 1)):
            probes.answered(0, counts, 0.0, 0.5, 64)
        report = probes.report()
        self.assertEqual((report.duplicates_up, report.duplicates_down), (1, 1))
        self.assertEqual((report.answered, report.intervals[0].duplicates), (1, 2))
        self.assertEqual([packet.copies for packet in probes.packets()], [3, 0])

    def test_overdue(self) -> None:
        """An answer that takes longer than the timeout is none, nor is another one after it."""
        probes = self.probes(2, timeout=1.0, keep=True)
        for at in (1.5, 1.75):
            probes.answered(0, Counts(1), 0.5, at, 64)
        probes.answered(1, Counts(2), 0.5, 1.25, 64)
        report = probes.report()
        self.assertEqual(self.ways(report), (1, 0, 0, 0))
        self.assertEqual((report.overdue, report.lost), (1, 1))
        self.assertEqual(report.round_trip and report.round_trip.count, 1)
        self.assertEqual([packet.copies for packet in probes.packets()], [0, 1])

    def test_in_flight(self) -> None:
        """A row before the end counts as lost only what is overdue."""
        probes = self.probes(8, timeout=1.0)
        probes.answered(1, Counts(1), 0.5, 0.5, 64)
        probes.answered(5, Counts(2), 0.5, 1.5, 64)

        def rows(now: float | None = None) -> list[tuple[int, int, int]]:
            """What they say."""
            found = probes.report().intervals if now is None else probes.so_far(now)
            return [(row.received, row.lost, row.in_flight) for row in found]

        self.assertEqual(rows(1.0), [(1, 0, 3), (1, 0, 3)])
        # The first left at 0, the third at 0.5 s.
        self.assertEqual(rows(1.25), [(1, 1, 2), (1, 0, 3)])
        self.assertEqual(rows(2.125), [(1, 3, 0), (1, 1, 2)])
        self.assertEqual(rows(9.0), rows())
        probes.timeout = None
        self.assertEqual(rows(9.0), [(1, 0, 3), (1, 0, 3)])

    def test_in_flight_of_many(self) -> None:
        """What was sent too long ago is not known any more, and lost."""
        self.patch(roundtrip, "WINDOW", 4)
        (first, last) = self.probes(6).so_far(1.5)
        self.assertEqual((first.lost, first.in_flight, last.in_flight), (2, 2, 2))

    def test_foreign(self) -> None:
        """Answers to what was not asked change nothing but their own count."""
        probes = self.probes(1)
        for number in (-1, 1):
            probes.answered(number, Counts(9, 9), 0.0, 0.0, 64)
        report = probes.report()
        self.assertEqual((report.foreign, self.ways(report)), (2, (0, 0, 0, 1)))

    def test_forgotten(self) -> None:
        """What was sent too long ago is not known any more."""
        self.patch(roundtrip, "WINDOW", 4)
        probes = self.probes(6, keep=True)
        probes.answered(1, Counts(1), 0.0, 2.0, 64)
        probes.answered(2, Counts(2), 0.0, 2.0, 64)
        probes.answered(5, Counts(3), 0.0, 2.0, 64)
        report = probes.report()
        self.assertEqual((report.forgotten, report.answered), (1, 2))
        self.assertEqual(report.round_trip and report.round_trip.least, 0.75)
        self.assertEqual(report.round_trip and report.round_trip.most, 1.5)
        self.assertEqual(probes.packets()[2], Packet(2, 0.5, 1.5))

    def test_gaps_forgotten(self) -> None:
        """The same if there were too many gaps since."""
        self.patch(order, "GAPS", 1)
        probes = self.probes(4)
        for number in (1, 3, 0):
            probes.answered(number, Counts(1), 0.0, 1.0, 64)
        report = probes.report()
        self.assertEqual((report.answered, report.forgotten), (2, 1))

    def test_reordered(self) -> None:
        """An answer behind that to a later probe."""
        probes = self.probes(2, keep=True)
        probes.answered(1, Counts(2), 0.5, 1.0, 64)
        probes.answered(0, Counts(1), 0.25, 1.1, 64)
        report = probes.report()
        self.assertEqual((report.reordered, report.down.reordered), (1, 1))
        self.assertEqual(report.intervals[0].reordered, 1)
        self.assertEqual([packet.extent for packet in probes.packets()], [1, 0])
        # Both took 0.25 s on the way up, by some clock.
        self.assertEqual(report.up and report.up.most, 0.0)

    def test_server_that_lies(self) -> None:
        """Counts that can't be give sums that can."""
        probes = self.probes(3)
        probes.answered(0, Counts(10**18, 10**18), 1e300, 0.5, 64)
        probes.answered(1, Counts(0, 0), -1e300, 0.5, 64)
        probes.counted(Counts(0, 0))
        self.assertEqual(self.ways(probes.report()), (2, 0, 1, 0))

    def test_refused(self) -> None:
        """Times that can't be."""
        for settings_, words in (
            ({"timeout": 0.0}, "timeout is 0 s"),
            ({"timeout": math.nan}, "timeout is nan s"),
            ({"interval": -1.0}, "interval is -1 s"),
            ({"late": -1.0}, "late is -1 s"),
        ):
            self.assertIn(words, str(self.assertRaises(LocalError, RoundTrip, **settings_)))


class GroundTruthTests(SynchronousTestCase):
    """Two links that break things, and what the prober says of them."""

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 2**32), st.integers(0, 80), st.floats(0, 1), st.floats(0, 1))
    def test_ways(self, seed: int, count: int, up: float, down: float) -> None:
        """Sums for both ways are those of the journal, whatever was lost, doubled, overtaken."""
        journal, reflector, probes = Journal(), Reflector(), RoundTrip(keep=True)

        def link(name: str, loss: float) -> DatagramLink:
            """A way; what it loses is counted by the copies that it is given."""
            faults = [
                Fault(Loss(loss), "loss"),
                Fault(Duplicate(0.2), "duplicate"),
                Fault(Reorder(0.2, 3), "reorder"),
                Fault(Latency(0.02, 0.01), "latency"),
            ]
            return DatagramLink(faults, Dice(seed), Place(name), journal=journal)

        def through(link: DatagramLink, items: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
            """All these, sent at these times: what arrives, and when."""
            came = []
            for at, item in items:
                came += link.send(b"x" * 64, at, item)
            while (due := link.deadline()) is not None:
                came += link.tick(due)
            found = [(arrival.at, arrival.tag) for arrival in came]
            return sorted(found, key=lambda pair: pair[0])

        sent = [(number / 100, number) for number in range(count)]
        for at, number in sent:
            probes.sent(number, at)
        there = [(at, reflector.answer(number, at)) for at, number in through(link("up", up), sent)]
        for at, (number, counts, server_at) in through(link("down", down), there):
            probes.answered(number, counts, server_at, at, 64)
        probes.counted(reflector.counts)

        def decided(way: str, fault: str) -> int:
            """How often a fault of a way has hit."""
            places = [entry.place for entry in journal.entries]
            return sum(place.link == way and place.fault == fault for place in places)

        report = probes.report()
        self.assertEqual(report.sent, count)
        self.assertEqual(report.lost_up, decided("up", "loss"))
        self.assertEqual(report.lost, report.lost_up + report.lost_down)
        self.assertEqual(report.duplicates_up, decided("up", "duplicate"))
        # A copy of a probe has an answer of its own, so these are answers, and not probes.
        self.assertEqual(report.down.lost, decided("down", "loss"))
        self.assertEqual(report.duplicates_down, decided("down", "duplicate"))
        answered = sum(packet.copies > 0 for packet in probes.packets())
        self.assertEqual((report.answered, report.lost), (answered, count - answered))
        self.assertEqual(sum(row.lost for row in report.intervals), report.lost)
