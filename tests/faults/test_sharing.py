"""Rates that links have together."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Noop
from lab.faults.fault import Fault
from lab.faults.journal import Place
from lab.faults.sharing import (
    KEPT,
    LEAST,
    Bucket,
    Buckets,
    Lane,
    check_shared,
    is_shared,
)
from tests.faults.turns import in_time

HERE = Place("a-b")


def lanes(number: int, **more: Any) -> list[Lane]:
    """Lanes at one bucket, of 1,000 bytes/s unless something else is said."""
    buckets = Buckets()
    fault = Fault(Bandwidth(**{"rate": 1000.0, "scope": "proxy", **more}), "slow")
    return [buckets.lane(fault, HERE, 0.0) for _ in range(number)]


def fill(lane: Lane, count: int, size: int, now: float = 0.0) -> None:
    """Let so many units of this size wait."""
    for number in range(count):
        lane.put(number, size, now)


def sent(several: Sequence[Lane], until: float) -> list[tuple[float, int]]:
    """Let time pass; when something has left, and from which lane."""
    return [
        (round(when, 9), number)
        for at, number in in_time(several, until)
        for when, _ in several[number].pop(at)
    ]


class TurnTests(SynchronousTestCase):
    """Who is sent when."""

    def test_alone(self) -> None:
        """One lane has the whole rate, to the byte, and keeps its order."""
        (lane,) = lanes(1)
        fill(lane, 50, 100)
        self.assertEqual((lane.size, lane.units), (5000, 50))
        found = lane.pop(2.05)
        self.assertEqual([unit for _, unit in found], list(range(20)))
        self.assertEqual([round(at, 9) for at, _ in found], [n / 10 for n in range(1, 21)])
        self.assertEqual((lane.size, lane.units, round(lane.deadline() or 0, 9)), (3000, 30, 2.1))

    def test_together(self) -> None:
        """Two that have much to send have half each, whoever was first, and no more together."""
        both = lanes(2)
        fill(both[0], 1000, 100)
        self.assertEqual(len(sent(both, 0.35)), 3)
        fill(both[1], 1000, 100, 0.35)
        found = [number for _, number in sent(both, 2.35)]
        self.assertEqual((found.count(0), found.count(1)), (10, 10))

    def test_bytes_count(self) -> None:
        """A lane with small units gets as many bytes as one with large ones."""
        both = lanes(2, rate=10_000.0)
        fill(both[0], 500, 1500)
        fill(both[1], 20_000, 60)
        found = [number for _, number in sent(both, 10.0)]
        self.assertApproximates(found.count(0) * 1500, found.count(1) * 60, 2 * 1500)
        self.assertApproximates(found.count(0) * 1500 + found.count(1) * 60, 100_000, 1500)

    def test_little_to_say(self) -> None:
        """Who has little to send waits for one turn of each other, however much they have."""
        several = lanes(11, rate=100_000.0)
        for lane in several[:10]:
            fill(lane, 5000, 1000)
        several[10].put("x", 10, 0.0)
        ((at, _),) = [one for one in sent(several, 0.2) if one[1] == 10]
        self.assertApproximates(at, 0.1, 0.011)

    def test_late(self) -> None:
        """Nothing is lost when somebody asks late: turns are taken at the times that they had."""
        (lane,) = lanes(1)
        fill(lane, 50, 100)
        found = [lane.pop(at) for at in (0.05, 0.55, 1.95)]
        self.assertEqual([len(one) for one in found], [0, 5, 14])

    def test_burst(self) -> None:
        """After a silence the burst passes at once, for all lanes together."""
        both = lanes(2, burst=500.0)
        for lane in both:
            fill(lane, 10, 100, 5.0)
        found = sent(both, 6.0)
        self.assertEqual([at for at, _ in found].count(5.0), 5)
        self.assertEqual(len(found), 15)

    def test_nothing_passes(self) -> None:
        """At a rate of 0 what waits has no time, and what may be dropped is."""
        (lane,) = lanes(1, rate=0.0)
        lane.put("x", 5, 0.0)
        self.assertEqual((lane.deadline(), lane.pop(1e9), lane.size), (None, [], 5))
        self.assertFalse(lane.offer("y", 5, 0.0))
        self.assertEqual(lane.flush(), ["x"])

    def test_marks(self) -> None:
        """What has no bytes leaves with what is before it."""
        (lane,) = lanes(1)
        lane.put("x", 100, 0.0)
        lane.put("end", 0, 0.0)
        self.assertEqual([unit for _, unit in lane.pop(0.1)], ["x", "end"])
        lane.put("end", 0, 0.5)
        self.assertEqual(lane.pop(0.5), [(0.5, "end")])

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3000), st.floats(0, 0.5)), max_size=60
        ),
        st.sampled_from([0.0, 5000.0]),
    )
    def test_never_more(self, plan: list[tuple[int, int, float]], burst: float) -> None:
        """Whatever comes when, no span of time has more than the rate and the burst."""
        rate, several, now = 10_000.0, lanes(4, rate=10_000.0, burst=burst), 0.0
        sizes: dict[tuple[int, int], int] = {}
        found: list[tuple[float, int]] = []
        for count, (number, size, wait) in enumerate(plan):
            now += wait
            for index, lane in enumerate(several):
                found += [(at, sizes[index, unit]) for at, unit in lane.pop(now)]
            sizes[number, count] = size
            several[number].put(count, size, now)
        while any(lane.units for lane in several):
            now = min(lane.deadline() or now for lane in several if lane.units)
            for index, lane in enumerate(several):
                found += [(at, sizes[index, unit]) for at, unit in lane.pop(now)]
        found.sort()
        self.assertEqual(sum(size for _, size in found), sum(size for _, size, _ in plan))
        for first in range(len(found)):
            there = 0
            for at, size in found[first:]:
                there += size
                largest = max(size for _, size in found)
                self.assertLessEqual(there, rate * (at - found[first][0]) + burst + largest + 0.01)


class QueueTests(SynchronousTestCase):
    """What waits at most."""

    def offered(self, lane: Lane, count: int, now: float = 0.0) -> int:
        """How many of so many units of 100 bytes there was room for."""
        return sum(lane.offer(number, 100, now) for number in range(count))

    def test_limits(self) -> None:
        """Bytes and units count for all lanes together."""
        for limit in ({"queue": 1000.0}, {"packets": 10}):
            one, other = lanes(2, **limit)
            self.assertEqual(self.offered(one, 20), 10)
            self.assertEqual(self.offered(other, 20), 0)
            one.pop(0.5)
            self.assertEqual(self.offered(other, 20, 0.5), 5)
        self.assertEqual(self.offered(lanes(1)[0], 1000), 1000)

    def test_first_in_line(self) -> None:
        """One that always comes first to a place that is free does not keep the other out."""
        both, passed = lanes(2, packets=10), [0, 0]
        for n in range(200):
            now = n * 0.05
            for number, lane in enumerate(both):
                passed[number] += len(lane.pop(now))
                lane.offer(n, 100, now)
        self.assertApproximates(passed[0], passed[1], 12)
        self.assertApproximates(sum(passed), 99, 1)

    def test_who_is_silent(self) -> None:
        """A share is kept for others only as long as they might come back."""
        one, other = lanes(2, packets=10)
        self.offered(one, 10)
        self.assertEqual(self.offered(other, 1), 0)
        one.pop(0.5)
        self.assertEqual(self.offered(one, 10, 0.5), 0)
        one.pop(1.0)
        self.assertEqual(self.offered(one, 10, 1.1), 10)

    def test_one_at_least(self) -> None:
        """Many that share a short queue may each have one in it, while there is room."""
        several = lanes(5, packets=3)
        self.assertEqual([self.offered(lane, 2) for lane in several], [2, 1, 0, 0, 0])


class EndTests(SynchronousTestCase):
    """What a lane leaves behind."""

    def test_given_back(self) -> None:
        """Who goes away blocks nobody: the turns that it had are free again."""
        several = lanes(101)
        for lane in several:
            fill(lane, 10, 100)
        for lane in several[1:]:
            lane.close()
            lane.close()
        found = [at for at, _ in sent(several[:1], 5.0)]
        self.assertEqual(len(found), 10)
        self.assertApproximates(found[-1], 1.0, 0.1)

    def test_flush(self) -> None:
        """What is given up has cost nothing, and comes in its order."""
        one, other = lanes(2)
        fill(one, 5, 100)
        self.assertEqual(one.flush(), [0, 1, 2, 3, 4])
        self.assertEqual((one.size, one.units, one.deadline()), (0, 0, None))
        other.put("x", 100, 0.0)
        self.assertEqual(other.deadline(), 0.1)

    def test_place_in_the_queue(self) -> None:
        """Nor is its place in the queue taken any more."""
        one, other = lanes(2, packets=3)
        for lane in (one, one, one):
            lane.offer("x", 100, 0.0)
        other.offer("x", 100, 0.0)
        one.close()
        self.assertEqual(sum(other.offer("x", 100, 0.0) for _ in range(5)), 3)


class BucketsTests(SynchronousTestCase):
    """Which links have one together."""

    def test_scope(self) -> None:
        """A bucket is that of a fault, a direction and, if it says so, a client."""
        buckets, up = Buckets(), Place("a-b", 0, "upstream")
        for scope, same in (("proxy", True), ("client", False)):
            fault = Fault(Bandwidth(1000.0, scope=scope), "slow")
            first = buckets.lane(fault, HERE, 0.0, "10.0.0.1").bucket
            self.assertIs(buckets.lane(fault, HERE, 0.0, "10.0.0.1").bucket, first)
            self.assertIs(buckets.lane(fault, HERE, 0.0, "10.0.0.2").bucket is first, same)
            self.assertIsNot(buckets.lane(fault, up, 0.0, "10.0.0.1").bucket, first)
            other = Fault(Bandwidth(1000.0, scope=scope), "other")
            self.assertIsNot(buckets.lane(other, HERE, 0.0, "10.0.0.1").bucket, first)

    def test_goes_on(self) -> None:
        """A client that comes again finds its bucket as it has left it."""
        buckets, fault = Buckets(), Fault(Bandwidth(1000.0, 5000.0, scope="client"), "slow")
        for _ in range(10):
            lane = buckets.lane(fault, HERE, 0.0, "a")
            lane.put("x", 1000, 0.0)
            lane.pop(0.0)
            lane.close()
        lane = buckets.lane(fault, HERE, 0.0, "a")
        lane.put("x", 1000, 0.0)
        self.assertEqual(lane.deadline(), 1.0)

    def test_forgotten(self) -> None:
        """Clients that have gone cost no memory, but for some of those whose bucket is not full."""
        for burst, most in ((0.0, 200), (1e12, KEPT + 200)):
            buckets = Buckets()
            fault = Fault(Bandwidth(1000.0, burst, scope="client"), "slow")
            for number in range(KEPT * 3):
                lane = buckets.lane(fault, HERE, float(number), str(number))
                lane.put("x", 10**9 if burst else 100, float(number))
                lane.pop(number + 1.0)
                lane.close()
            self.assertLess(len(buckets._buckets), 2 * most + 200)

    def test_pieces(self) -> None:
        """A turn takes 10 ms, or `LEAST` bytes."""
        self.assertEqual(Bucket(Bandwidth(1e6)).turn, 10_000)
        self.assertEqual(Bucket(Bandwidth(1.0)).piece, LEAST)

    def test_nobody_to_share_it(self) -> None:
        """A fault that is shared is refused where nothing can be."""
        shared, own = Fault(Bandwidth(1.0, scope="proxy"), "all"), Fault(Bandwidth(1.0), "one")
        self.assertEqual(
            [is_shared(f) for f in (shared, own, Fault(Noop(), "n"))], [True, False, False]
        )
        check_shared([own], None)
        check_shared([shared], Buckets().lane)
        error = self.assertRaises(LocalError, check_shared, [own, shared], None)
        self.assertEqual(str(error), "scope of 'all' is 'proxy'; a link by itself has connection")
