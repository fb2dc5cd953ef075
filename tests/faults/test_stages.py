"""The stages that the faults of a stream are."""

import math
from collections.abc import Iterable
from itertools import pairwise

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Latency,
    Loss,
    Noop,
    Settings,
)
from lab.faults.fault import Fault
from lab.faults.journal import Place
from lab.faults.sharing import Buckets
from lab.faults.stages import (
    SEGMENT,
    STAGES,
    CutStage,
    LimitDataStage,
    Schedule,
    SharedBandwidthStage,
    Stage,
    size_of,
)
from lab.faults.streams import (
    CLOSE,
    END,
    RESET,
    Cut,
    Item,
    LimitData,
    Mark,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timed,
    Timeout,
)
from lab.faults.verdicts import Verdict
from lab.rng import stream


def begin(kind: Settings, *, now: float = 0.0, seed: int = 7, **times: float) -> Stage:
    """The stage of a fault."""
    schedule = Schedule(Fault(kind, "it", **times), now)
    return STAGES[type(kind)](kind, kind.begin(stream(seed)), schedule)


def sizes(found: Iterable[Timed]) -> list[tuple[float, int]]:
    """When how many bytes go out; times to the microsecond."""
    return [(round(at, 6), size_of(item)) for at, item in found]


def joined(found: Iterable[Timed]) -> bytes:
    """All bytes."""
    return b"".join(item for _, item in found if isinstance(item, bytes))


@define
class Always:
    """A judge that always says the same."""

    verdict: Verdict

    def judge(self, size: int, now: float) -> Verdict:
        """Say it."""
        return self.verdict


class ScheduleTests(SynchronousTestCase):
    """When a fault works."""

    def of(self, **times: float) -> Schedule:
        """Of a link that began at 100 s."""
        return Schedule(Fault(Noop(), "it", **times), 100.0)

    def test_always(self) -> None:
        """Without times it works from the begin for ever."""
        schedule = self.of()
        self.assertTrue(schedule.works(100.0))
        self.assertEqual(schedule.until(100.0), math.inf)
        self.assertEqual(schedule.window(100.0), (100.0, math.inf))

    def test_once(self) -> None:
        """From its begin to just before its end."""
        schedule = self.of(after=1.0, duration=2.0)
        works = [now for now in (100.0, 101.0, 102.9, 103.0, 104.0) if schedule.works(now)]
        self.assertEqual(works, [101.0, 102.9])
        self.assertEqual(schedule.until(102.0), 103.0)
        self.assertEqual(schedule.window(100.0), (101.0, 103.0))
        self.assertEqual(schedule.window(103.0), (math.inf, math.inf))

    def test_again(self) -> None:
        """Every period has a window; between two of them the next one counts."""
        schedule = self.of(after=1.0, duration=2.0, every=5.0)
        self.assertEqual(schedule.window(102.0), (101.0, 103.0))
        self.assertEqual(schedule.window(103.0), (106.0, 108.0))
        self.assertEqual(schedule.window(106.0), (106.0, 108.0))
        self.assertEqual(schedule.window(118.0), (121.0, 123.0))

    def test_without_a_gap(self) -> None:
        """A period that is as long as the fault works is one that never ends."""
        schedule = self.of(after=1.0, duration=2.0, every=2.0)
        self.assertEqual(schedule.window(109.0), (101.0, math.inf))

    def test_never(self) -> None:
        """A duration of 0 never works."""
        for schedule in (self.of(duration=0.0), self.of(duration=0.0, every=1.0)):
            self.assertFalse(any(schedule.works(now) for now in (100.0, 100.5, 101.0)))

    @given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 99))
    def test_as_the_fault_says(self, after: int, duration: int, more: int, now: int) -> None:
        """On whole numbers, which have no rounding, it is what `Fault.works` says."""
        for every in (0, duration + more):
            fault = Fault(Noop(), "it", after=after, duration=duration, every=every)
            schedule = Schedule(fault, 100.0)
            self.assertEqual(schedule.works(100.0 + now), fault.works(now))
            start, end = schedule.window(100.0 + now)
            self.assertGreater(end, 100.0 + now)
            self.assertEqual(start <= 100.0 + now, fault.works(now))


class StageTests(SynchronousTestCase):
    """What a stage does if it does nothing."""

    def test_nothing(self) -> None:
        """It lets pass, and has nothing to do or to give back."""
        plain = Stage()
        self.assertEqual(plain.take(b"a", 1.0), [(1.0, b"a")])
        self.assertEqual(plain.spare(END, 2.0), [(2.0, END)])
        self.assertEqual((plain.deadline(), plain.tick(1.0)), (None, ()))
        plain.follow(plain)
        plain.close()
        self.assertEqual((plain.flush(), plain.leave(), plain.size), ([], [], 0))


class JudgedTests(SynchronousTestCase):
    """Faults that judge chunks as they judge datagrams."""

    def test_latency(self) -> None:
        """A chunk is later by just the latency; a mark waits only for what is before it."""
        stage = begin(Latency(0.02))
        self.assertEqual(list(stage.take(b"abc", 1.0)), [(1.02, b"abc")])
        self.assertEqual(list(stage.take(END, 1.0)), [(1.0, END)])

    def test_jitter(self) -> None:
        """20 ms and 10 ms of jitter: from 10 to 30 ms, and half below 20."""
        stage = begin(Latency(0.02, 0.01))
        found = [next(iter(stage.take(b"a", 0.0)))[0] for _ in range(4000)]
        self.assertTrue(0.01 <= min(found) < 0.0101)
        self.assertTrue(0.0299 < max(found) <= 0.03)
        self.assertApproximates(sum(found) / 4000, 0.02, 0.0004)

    def test_noop(self) -> None:
        """Nothing happens."""
        self.assertEqual(list(begin(Noop()).take(b"abc", 1.0)), [(1.0, b"abc")])

    def test_corrupt(self) -> None:
        """Just so many bits differ, and the length is the same."""
        [(at, item)] = begin(Corrupt(1.0, 3)).take(bytes(100), 1.0)
        self.assertEqual((at, size_of(item)), (1.0, 100))
        assert isinstance(item, bytes)
        self.assertEqual(int.from_bytes(item, "big").bit_count(), 3)

    def test_blackhole(self) -> None:
        """Bytes vanish, and the end with them."""
        stage = begin(Blackhole())
        items: tuple[Item, ...] = (b"abc", END, CLOSE, RESET)
        self.assertEqual([list(stage.take(item, 1.0)) for item in items], [[]] * 4)

    def losses(self, kind: PacketLoss, number: int = 20_000) -> list[bool]:
        """Which chunks are lost."""
        stage = begin(kind)
        return [not list(stage.take(b"a", 0.0)) for _ in range(number)]

    def test_packet_loss(self) -> None:
        """Whole chunks are gone, at the rate; the end never is."""
        found = self.losses(PacketLoss(0.3))
        self.assertApproximates(sum(found) / len(found), 0.3, 0.01)
        self.assertEqual(list(begin(PacketLoss(1.0)).take(END, 1.0)), [(1.0, END)])

    def test_packet_loss_correlated(self) -> None:
        """After a loss the probability is larger by the correlation; else it is the rate."""
        found = self.losses(PacketLoss(0.2, 0.5))
        after = {lost: [now for last, now in pairwise(found) if last == lost] for lost in (0, 1)}
        self.assertApproximates(sum(after[0]) / len(after[0]), 0.2, 0.015)
        self.assertApproximates(sum(after[1]) / len(after[1]), 0.7, 0.015)

    def test_packet_loss_of_any_numbers(self) -> None:
        """What is no probability is taken as the nearest."""
        self.assertFalse(any(self.losses(PacketLoss(-1.0, 5.0), 100)))
        self.assertTrue(all(self.losses(PacketLoss(7.0, -5.0), 100)))


class BandwidthTests(SynchronousTestCase):
    """A rate."""

    def test_pieces(self) -> None:
        """5,000 bytes at 10 KB/s: 1,000 bytes every 100 ms, as Toxiproxy was seen to do."""
        stage = begin(Bandwidth(10_000.0))
        found = sizes(stage.take(bytes(5000), 2.0))
        self.assertEqual(found, [(2.1, 1000), (2.2, 1000), (2.3, 1000), (2.4, 1000), (2.5, 1000)])
        self.assertEqual(sizes(stage.take(bytes(500), 2.3)), [(2.55, 500)])
        self.assertEqual(sizes(stage.take(bytes(500), 9.0)), [(9.05, 500)])
        self.assertEqual(list(stage.take(END, 9.0)), [(9.0, END)])

    def test_burst(self) -> None:
        """So many bytes pass at once after a silence."""
        stage = begin(Bandwidth(1000.0, burst=250.0))
        found = sizes(stage.take(bytes(400), 1.0))
        self.assertEqual(found, [(1.0, 100), (1.0, 100), (1.05, 100), (1.15, 100)])

    def test_nothing_passes(self) -> None:
        """A rate of 0 holds everything as long as it works."""
        self.assertEqual(list(begin(Bandwidth(0.0)).take(b"a", 1.0)), [(math.inf, b"a")])
        stage = begin(Bandwidth(0.0), duration=3.0)
        self.assertEqual(list(stage.take(END, 1.0)), [(3.0, END)])

    def test_stops(self) -> None:
        """When the rate ends, what waits for it goes; nothing is owed when it begins again."""
        stage = begin(Bandwidth(1000.0), duration=1.0, every=2.0)
        found = sizes(stage.take(bytes(400), 0.75))
        self.assertEqual(found, [(0.85, 100), (0.95, 100), (1.0, 100), (1.0, 100)])
        self.assertEqual(sizes(stage.take(bytes(100), 2.0)), [(2.1, 100)])

    @settings(deadline=None, max_examples=20)
    @given(st.floats(1000, 10**6), st.floats(0.001, 3.0))
    def test_rate(self, rate: float, share: float) -> None:
        """Over 100 s of more bytes than can pass, the rate is right within 1 %."""
        stage = begin(Bandwidth(rate))
        chunk = bytes(max(100, int(share * rate)))
        passed, given_bytes = 0, 0
        while given_bytes < 102.0 * rate:
            passed += sum(size_of(item) for at, item in stage.take(chunk, 0.0) if at <= 100.0)
            given_bytes += len(chunk)
        self.assertApproximates(passed / (100.0 * rate), 1.0, 0.01)

    def test_slow(self) -> None:
        """Less than a byte per piece is a byte at a time."""
        self.assertEqual(sizes(begin(Bandwidth(4.0)).take(b"ab", 0.0)), [(0.25, 1), (0.5, 1)])

    def test_flush(self) -> None:
        """After a flush nothing is owed."""
        stage = begin(Bandwidth(1000.0))
        stage.take(bytes(5000), 0.0)
        self.assertEqual(stage.flush(), [])
        self.assertEqual(sizes(stage.take(bytes(100), 1.0)), [(1.1, 100)])


class SharedBandwidthTests(SynchronousTestCase):
    """A rate that others have as well."""

    def begin(self, rate: float = 1000.0, **times: float) -> list[SharedBandwidthStage]:
        """Two stages at one bucket."""
        fault, buckets = Fault(Bandwidth(rate, scope="proxy"), "it", **times), Buckets()
        return [
            SharedBandwidthStage(buckets.lane(fault, Place("a-b"), 0.0), Schedule(fault, 0.0))
            for _ in range(2)
        ]

    def test_pieces(self) -> None:
        """Bytes go in pieces in turn with those of others, and the end goes behind them."""
        one, other = self.begin()
        self.assertEqual(list(one.take(bytes(250), 0.0)), [])
        self.assertEqual(list(one.take(END, 0.0)), [])
        self.assertEqual(list(other.take(bytes(50), 0.0)), [])
        self.assertEqual((one.size, one.pieces, one.deadline()), (250, 4, 0.1))
        for stage, found in (
            (one, [(0.1, 100)]),
            (other, [(0.15, 50)]),
            (one, [(0.25, 100)]),
            (one, [(0.3, 50), (0.3, 0)]),
        ):
            self.assertEqual(sizes(stage.tick(stage.deadline() or 0.0)), found)
        self.assertEqual((one.size, one.pieces, one.deadline()), (0, 0, None))
        self.assertEqual(list(one.take(END, 1.0)), [(1.0, END)])

    def test_it_stops(self) -> None:
        """When the fault stops working, all that waits may go, and has cost others nothing."""
        one, other = self.begin(duration=0.5)
        list(one.take(bytes(5000), 0.0))
        self.assertEqual(sizes(one.tick(0.1)), [(0.1, 100)])
        self.assertEqual(sizes(one.tick(0.41)), [(0.2, 100), (0.3, 100), (0.4, 100)])
        self.assertEqual(list(other.take(b"x", 0.45)), [])
        self.assertEqual(one.deadline(), 0.5)
        self.assertEqual(joined(one.tick(0.5)), bytes(4600))
        self.assertEqual(list(one.spare(b"x", 0.6)), [(0.6, b"x")])

    def test_rate_0(self) -> None:
        """Nothing passes while it works, for ever perhaps."""
        (one, _), (for_ever, _) = self.begin(0.0, duration=0.5), self.begin(0.0)
        for stage, deadline in ((one, 0.5), (for_ever, None)):
            self.assertEqual(list(stage.take(b"abc", 0.0)), [])
            self.assertEqual(stage.deadline(), deadline)
        self.assertEqual(list(one.tick(0.5)), [(0.5, b"abc")])
        self.assertEqual(for_ever.flush(), [b"abc"])

    def test_closed(self) -> None:
        """One that is closed leaves its time to others."""
        one, other = self.begin()
        list(one.take(bytes(5000), 0.0))
        one.close()
        list(other.take(bytes(100), 0.0))
        self.assertEqual(other.deadline(), 0.1)


class ClosingTests(SynchronousTestCase):
    """Faults that are about the end."""

    def test_slow_close(self) -> None:
        """The end is later, whoever made it; bytes and resets are not."""
        stage = begin(SlowClose(0.5))
        found = [next(iter(stage.take(item, 1.0)))[0] for item in (b"abc", END, CLOSE, RESET)]
        self.assertEqual(found, [1.0, 1.5, 1.5, 1.0])

    def test_timeout(self) -> None:
        """Everything is dropped, and it closes after a silence that only chunks break."""
        stage = begin(Timeout(0.3), now=1.0)
        self.assertEqual(stage.deadline(), 1.3)
        self.assertEqual(list(stage.take(b"abc", 1.1)), [])
        self.assertEqual(list(stage.take(END, 1.2)), [])
        self.assertAlmostEqual(stage.deadline() or 0.0, 1.4)
        self.assertEqual(list(stage.tick(1.4)), [(1.4, CLOSE)])

    def test_timeout_never(self) -> None:
        """A timeout of 0 drops everything, and never closes."""
        stage = begin(Timeout(0.0))
        self.assertEqual(list(stage.take(b"abc", 0.0)), [])
        self.assertIsNone(stage.deadline())

    def test_timeout_at_times(self) -> None:
        """A silence counts from when the fault works, anew each time it works."""
        self.assertEqual(begin(Timeout(0.5), after=2.0).deadline(), 2.5)
        stage = begin(Timeout(0.5), duration=1.0, every=4.0)
        self.assertEqual(stage.deadline(), 0.5)
        stage.take(b"a", 0.75)
        self.assertEqual(stage.deadline(), 4.5)
        stage.take(b"a", 4.5)
        self.assertEqual(stage.deadline(), 8.5)
        self.assertIsNone(begin(Timeout(0.5), duration=0.25, every=1.0).deadline())
        self.assertIsNone(begin(Timeout(0.5), duration=0.5).deadline())

    def test_timeout_taken_away(self) -> None:
        """It closes the connection."""
        self.assertEqual(begin(Timeout(0.5)).leave(), [CLOSE])

    def test_reset(self) -> None:
        """So long after the first chunk or end, and never on a connection that is idle."""
        for first in (b"abc", END):
            stage = begin(ResetPeer(0.5))
            self.assertIsNone(stage.deadline())
            self.assertEqual(list(stage.take(first, 1.0)), [(math.inf, first)])
            stage.take(b"more", 1.25)
            self.assertEqual(stage.deadline(), 1.5)
            self.assertEqual(list(stage.tick(1.5)), [(1.5, RESET)])

    def test_reset_idle(self) -> None:
        """It counts from the begin, if that is wanted."""
        stage = begin(ResetPeer(0.5, idle=True), now=3.0)
        self.assertEqual(stage.deadline(), 3.5)
        stage.take(b"abc", 3.25)
        self.assertEqual(stage.deadline(), 3.5)
        self.assertEqual(begin(ResetPeer(0.5, idle=True), after=2.0).deadline(), 2.5)
        self.assertIsNone(begin(ResetPeer(0.5, idle=True), duration=0.0).deadline())

    def test_reset_when_the_fault_stops(self) -> None:
        """No byte is missing in what passes before the reset, and that comes."""
        stage = begin(ResetPeer(5.0), duration=1.0)
        self.assertEqual(list(stage.take(b"abc", 0.5)), [(1.0, b"abc")])
        self.assertEqual(stage.deadline(), 5.5)

    def test_limit(self) -> None:
        """Just so many bytes, and then a close right behind them."""
        stage = begin(LimitData(5))
        self.assertEqual(list(stage.take(b"abc", 1.0)), [(1.0, b"abc")])
        self.assertEqual(list(stage.take(END, 1.0)), [(1.0, END)])
        self.assertEqual(list(stage.take(b"defg", 2.0)), [(2.0, b"de"), (2.0, CLOSE)])
        exact = begin(LimitData(3))
        self.assertEqual(list(exact.take(b"abc", 1.0)), [(1.0, b"abc"), (1.0, CLOSE)])

    def test_limit_of_nothing(self) -> None:
        """With 0 it closes at the first chunk."""
        self.assertEqual(list(begin(LimitData(0)).take(b"abc", 1.0)), [(1.0, CLOSE)])

    def test_limit_follows(self) -> None:
        """A changed limit goes on with the count; one that has been passed closes."""
        old, new = LimitDataStage(LimitData(100)), LimitDataStage(LimitData(3))
        old.take(b"abcdef", 1.0)
        new.follow(old)
        self.assertEqual(new.passed, 6)
        self.assertEqual(list(new.take(b"g", 2.0)), [(2.0, CLOSE)])
        new.follow(begin(Noop()))
        self.assertEqual(new.passed, 6)

    def test_cut(self) -> None:
        """Bytes up to the cut, and a reset right behind them; none if there are none."""
        cases = ((0, [RESET]), (2, [b"ab", RESET]), (3, [b"abc", RESET]), (None, [b"abc"]))
        for cut, expected in cases:
            found = list(CutStage(Always(Verdict(cut=cut))).take(b"abc", 1.0))
            self.assertEqual(found, [(1.0, item) for item in expected])
        self.assertEqual(list(begin(Cut(1.0)).take(END, 1.0)), [(1.0, END)])

    def test_partition(self) -> None:
        """Bytes and end are held until it ends; never, if it never does."""
        stage = begin(Partition(), after=1.0, duration=2.0, every=4.0)
        self.assertEqual(list(stage.take(b"abc", 1.5)), [(3.0, b"abc")])
        self.assertEqual(list(stage.spare(b"def", 3.0)), [(3.0, b"def")])
        self.assertEqual(list(stage.take(END, 5.0)), [(7.0, END)])
        self.assertEqual(list(begin(Partition()).take(END, 5.0)), [(math.inf, END)])


class SlicerTests(SynchronousTestCase):
    """Slices."""

    def test_times(self) -> None:
        """A wait after each slice: of the same chunk, of the next, and of the end."""
        stage = begin(Slicer(2, 0, 0.5))
        self.assertEqual(list(stage.take(b"abcd", 1.0)), [(1.0, b"ab"), (1.5, b"cd")])
        self.assertEqual(list(stage.take(b"e", 1.25)), [(2.0, b"e")])
        self.assertEqual(list(stage.take(END, 1.5)), [(2.5, END)])
        self.assertEqual(list(stage.take(b"f", 9.0)), [(9.0, b"f")])
        self.assertEqual(stage.flush(), [])
        self.assertEqual(list(stage.take(b"g", 9.0)), [(9.0, b"g")])

    def test_sizes(self) -> None:
        """Slices are about as large as is said, and none larger than average and variation."""
        found = [size_of(item) for _, item in begin(Slicer(100, 20)).take(bytes(32_768), 0.0)]
        self.assertLessEqual(max(found), 120)
        self.assertTrue(60 <= sum(found) / len(found) <= 120)
        self.assertGreater(len(set(found)), 10)

    def test_draw(self) -> None:
        """The cuts of a chunk follow from its draw, and from nothing else."""
        slicer = Slicer(10, 5)
        self.assertEqual(slicer.cut(bytes(500), 0.25), slicer.cut(bytes(500), 0.25))
        self.assertNotEqual(slicer.cut(bytes(500), 0.25), slicer.cut(bytes(500), 0.75))

    @given(st.integers(), st.integers(), st.floats(), st.binary(min_size=1, max_size=3000))
    def test_any_numbers(self, size: int, variation: int, delay: float, data: bytes) -> None:
        """Whatever the numbers, the bytes are the same and times never go back."""
        found = list(begin(Slicer(size, variation, delay)).take(data, 1.0))
        self.assertEqual(joined(found), data)
        self.assertTrue(all(item for _, item in found))
        self.assertEqual([at for at, _ in found], sorted(at for at, _ in found))

    def test_numbers_that_killed(self) -> None:
        """No attributes, and an average of 10 with a variation of 40, ended the original."""
        for slicer in (Slicer(), Slicer(10, 40), Slicer(1000, 1000), Slicer(0, 10**30)):
            self.assertEqual(joined(begin(slicer).take(bytes(5000), 0.0)), bytes(5000))


class LossTests(SynchronousTestCase):
    """Loss, as TCP has it: a delay."""

    def run_out(self, stage: Stage) -> list[Timed]:
        """All that comes because time comes."""
        found: list[Timed] = []
        while (due := stage.deadline()) is not None:
            found += stage.tick(due)
        return found

    def test_a_lost_segment_holds_the_rest(self) -> None:
        """The second segment comes 0.2 s later, and so does the third, which waits for it."""
        stage = begin(Loss(every=2))
        found = stage.take(bytes(3 * SEGMENT), 1.0)
        self.assertEqual(sizes(found), [(1.0, SEGMENT)])
        self.assertEqual(list(stage.take(END, 1.1)), [])
        self.assertEqual((stage.size, stage.deadline()), (2 * SEGMENT, 1.2))
        # The third transmission arrived; the fourth, which is the second segment again, is lost.
        self.assertEqual(list(stage.tick(1.2)), [])
        self.assertAlmostEqual(stage.deadline() or 0.0, 1.6)
        found = list(stage.tick(1.6))
        self.assertEqual(sizes(found), [(1.6, SEGMENT), (1.6, SEGMENT), (1.6, 0)])
        self.assertEqual((found[-1][1], stage.size, stage.deadline()), (END, 0, None))

    def test_positions(self) -> None:
        """What judges chunks knows where in the stream they begin, and the stage which are lost."""
        for fault in (Latency(0.5), Slicer(2, 0), Cut(0.0)):
            stage = begin(fault)
            stage.take(b"abcd", 0.0)
            stage.spare(b"ef", 0.0)
            stage.spare(END, 0.0)
            self.assertEqual(stage.position, 6)
        stage = begin(Loss(1.0))
        stage.spare(b"abcd", 0.0)
        stage.take(b"ef", 0.0)
        stage.take(b"gh", 0.1)
        self.assertEqual(stage.position, 6)
        stage.tick(0.2)
        self.assertEqual(stage.position, 4)

    def test_waits_double(self) -> None:
        """0.2, 0.4, 0.8 s, and so on, up to 120 s."""
        stage = begin(Loss(1.0))
        stage.take(b"a", 0.0)
        now, waits = 0.0, []
        for _ in range(12):
            due = stage.deadline()
            assert due is not None
            waits.append(round(due - now, 6))
            now = due
            self.assertEqual(list(stage.tick(now)), [])
        expected = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 120.0, 120.0]
        self.assertEqual(waits, expected)

    def test_untouched(self) -> None:
        """What comes while the fault does not work waits for what was lost before."""
        stage = begin(Loss(1.0))
        self.assertEqual(list(stage.spare(b"a", 0.0)), [(0.0, b"a")])
        stage.take(b"b", 0.0)
        self.assertEqual(list(stage.spare(b"c", 1.0)), [])
        self.assertEqual(stage.flush(), [b"b", b"c"])
        self.assertEqual((stage.size, stage.deadline()), (0, None))

    def test_pieces(self) -> None:
        """What has no time yet is in pieces, the end one of them; most faults keep none."""
        stage = begin(Loss(1.0))
        stage.take(b"a" * (2 * SEGMENT), 0.0)
        stage.take(END, 0.0)
        self.assertEqual((stage.size, stage.pieces), (2 * SEGMENT, 3))
        self.assertEqual(begin(Noop()).pieces, 0)

    def test_rate(self) -> None:
        """Of 20,000 segments, the share of the probability is late."""
        late = 0
        stage = begin(Loss(0.1))
        for _ in range(20_000):
            late += not list(stage.take(b"a", 0.0))
            self.run_out(stage)
        self.assertApproximates(late / 20_000, 0.1, 0.007)

    @given(st.lists(st.binary(min_size=1, max_size=4000)), st.floats(0, 0.9), st.integers(0, 99))
    def test_nothing_is_missing(self, chunks: list[bytes], loss: float, seed: int) -> None:
        """However much is lost, the bytes are the same."""
        stage = begin(Loss(loss), seed=seed)
        found = [timed for chunk in chunks for timed in stage.take(chunk, 0.0)]
        self.assertEqual(joined(found + self.run_out(stage)), b"".join(chunks))
        self.assertEqual(stage.size, 0)


class ItemTests(SynchronousTestCase):
    """What passes."""

    def test_size(self) -> None:
        """A mark has no bytes."""
        self.assertEqual((size_of(b"abc"), size_of(Mark("x"))), (3, 0))
