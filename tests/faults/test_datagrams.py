"""What each fault does to datagrams."""

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from math import inf, nan, sqrt

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import (
    SCOPES,
    Bandwidth,
    Blackhole,
    Corrupt,
    Duplicate,
    Latency,
    Loss,
    Noop,
    Reorder,
    Settings,
)
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.rng import stream

MILLION = 1_000_000


def verdicts(settings: Settings, number: int, size: int = 100, step: float = 0.0) -> list[Verdict]:
    """On so many units of this size, one every so many seconds."""
    judge = settings.begin(stream(7, "test"))
    return [judge.judge(size, index * step) for index in range(number)]


def lost(settings: Settings, number: int = MILLION) -> list[bool]:
    """Which of so many units are lost."""
    return [not verdict.delays for verdict in verdicts(settings, number)]


def rate(of: Iterable[bool]) -> float:
    """The share that is true."""
    found = list(of)
    return sum(found) / len(found)


def bursts(of: Iterable[bool]) -> Iterator[int]:
    """The lengths of the runs that are true."""
    return (len(list(run)) for true, run in groupby(of) if true)


class LossTests(SynchronousTestCase):
    """Datagrams that never arrive."""

    def assertRate(self, found: float, expected: float, dependence: float = 1.0) -> None:
        """Within 3 sigma; losses that come together make sigma larger by that factor."""
        sigma = sqrt(expected * (1 - expected) / MILLION) * dependence
        self.assertApproximates(found, expected, 3 * sigma)

    def test_random(self) -> None:
        """The rate is the one that was asked for, and bursts are as long as chance makes them."""
        for probability in (0.01, 0.3):
            found = lost(Loss(probability))
            self.assertRate(rate(found), probability)
            lengths = list(bursts(found))
            mean = sum(lengths) / len(lengths)
            self.assertApproximates(mean, 1 / (1 - probability), 0.02)

    def test_correlated(self) -> None:
        """Correlation makes bursts and keeps the rate, where netem's formula loses it."""
        for probability, correlation in ((0.01, 0.25), (0.1, 0.25), (0.1, 0.5), (0.3, 0.5)):
            found = lost(Loss(probability, correlation))
            dependence = sqrt((1 + correlation) / (1 - correlation))
            self.assertRate(rate(found), probability, dependence)
            lengths = list(bursts(found))
            self.assertGreater(sum(lengths) / len(lengths), 1.02 / (1 - probability))

    def test_every(self) -> None:
        """Every third is lost, and no other."""
        self.assertEqual(lost(Loss(every=3), 7), [False, False, True] * 2 + [False])
        self.assertEqual(lost(Loss(every=1), 3), [True] * 3)

    def test_gilbert_elliott(self) -> None:
        """Rate and mean burst are those of the model: p / (p + r), and 1 / r."""
        found = lost(Loss(p=0.01, r=0.25))
        self.assertRate(rate(found), 0.01 / 0.26, sqrt(2 / 0.26))
        lengths = list(bursts(found))
        self.assertApproximates(sum(lengths) / len(lengths), 4.0, 0.08)

    def test_gilbert_elliott_with_losses_in_both_states(self) -> None:
        """The rate is that of the bad state times 1-h and of the good one times 1-k."""
        found = lost(Loss(p=0.02, r=0.2, h=0.4, k=0.99))
        bad = 0.02 / 0.22
        self.assertRate(rate(found), bad * 0.6 + (1 - bad) * 0.01, sqrt(2 / 0.22))

    def test_always_and_never(self) -> None:
        """1 is all, 0 is none."""
        self.assertEqual(rate(lost(Loss(1.0), 1000)), 1.0)
        self.assertEqual(rate(lost(Loss(0.0), 1000)), 0.0)

    def test_draw_is_told(self) -> None:
        """A verdict names the number that decided."""
        for settings in (Loss(0.3), Loss(p=0.1, r=0.3)):
            drops = [v for v in verdicts(settings, 1000) if v == DROP]
            self.assertTrue(drops)
            self.assertTrue(all(0 <= verdict.draw <= 1 for verdict in drops))

    def test_refused(self) -> None:
        """What can't be is refused, and the text says what can."""
        wrong = (
            {"probability": 1.1}, {"probability": -0.1}, {"probability": nan}, {"p": 2.0},
            {"r": -1.0}, {"h": 3.0}, {"k": nan}, {"correlation": 1.0}, {"every": -1},
            {"probability": 0.1, "every": 2}, {"every": 2, "p": 0.1},
        )  # fmt: skip
        for arguments in wrong:
            error = self.assertRaises(LocalError, Loss, **arguments)
            self.assertIn("; give ", str(error))


class LatencyTests(SynchronousTestCase):
    """Datagrams that arrive later."""

    def delays(self, settings: Latency, number: int = 10_000) -> list[float]:
        """The delays of so many units."""
        return [verdict.delays[0] for verdict in verdicts(settings, number)]

    def test_constant(self) -> None:
        """Without jitter each is delayed by the same, and that is no decision."""
        self.assertEqual(set(self.delays(Latency(0.02))), {0.02})
        self.assertFalse(Latency(0.02).drawn)
        self.assertTrue(Latency(0.02, 0.001).drawn)

    def test_jitter(self) -> None:
        """Uniform jitter is spread from the one end to the other."""
        found = self.delays(Latency(0.02, 0.01))
        self.assertApproximates(sum(found) / len(found), 0.02, 0.0002)
        self.assertApproximates(min(found), 0.01, 0.0001)
        self.assertApproximates(max(found), 0.03, 0.0001)

    def test_distribution(self) -> None:
        """Jitter is the standard deviation of a normal distribution."""
        found = self.delays(Latency(1.0, 0.1, "normal"))
        deviation = sqrt(sum((delay - 1.0) ** 2 for delay in found) / len(found))
        self.assertApproximates(deviation, 0.1, 0.003)

    def test_correlation(self) -> None:
        """Correlated delays come near the one before."""

        def step(delays: list[float]) -> float:
            """The mean step from one to the next."""
            return sum(abs(a - b) for a, b in pairwise(delays)) / len(delays)

        free = step(self.delays(Latency(1.0, 0.1)))
        self.assertLess(step(self.delays(Latency(1.0, 0.1, correlation=0.9))), free / 2)

    def test_never_early(self) -> None:
        """Jitter that is larger than the latency makes no delay of less than nothing."""
        found = self.delays(Latency(0.01, 0.1, "normal"))
        self.assertEqual(min(found), 0.0)

    def test_refused(self) -> None:
        """What can't be is refused, and the text says what can."""
        wrong = (
            {"latency": -1.0}, {"latency": inf}, {"latency": nan}, {"jitter": -1.0},
            {"distribution": "flat"}, {"correlation": 1.0},
        )  # fmt: skip
        for arguments in wrong:
            error = self.assertRaises(LocalError, Latency, **arguments)
            self.assertIn("; give ", str(error))


class OthersTests(SynchronousTestCase):
    """Duplicates, reordering, corruption, and the two extremes."""

    def test_duplicate(self) -> None:
        """So many are there more than once, each with so many copies besides."""
        found = verdicts(Duplicate(0.1, copies=2), 100_000)
        self.assertEqual({len(verdict.delays) for verdict in found}, {1, 3})
        self.assertApproximates(rate(len(v.delays) == 3 for v in found), 0.1, 0.003)

    def test_reorder(self) -> None:
        """So many are held back, each for so many others."""
        found = verdicts(Reorder(0.1, displacement=3), 100_000)
        self.assertEqual({verdict.held for verdict in found}, {0, 3})
        self.assertApproximates(rate(v.held > 0 for v in found), 0.1, 0.003)

    @given(st.binary(max_size=50), st.integers(1, 1000), st.integers(0, 100))
    def test_corrupt(self, data: bytes, bits: int, seed: int) -> None:
        """Exactly so many bits differ, as far as there are so many, and the length is equal."""
        judge = Corrupt(1.0, bits).begin(stream(seed))
        ((_, changed),) = judge.judge(len(data), 0.0).apply(data)
        self.assertEqual(len(changed), len(data))
        differ = sum((a ^ b).bit_count() for a, b in zip(data, changed, strict=True))
        self.assertEqual(differ, min(bits, 8 * len(data)))

    def test_corrupt_rate(self) -> None:
        """So many are hit, and bits all over the unit."""
        found = verdicts(Corrupt(0.2, bits=3), 100_000)
        self.assertApproximates(rate(bool(v.flips) for v in found), 0.2, 0.004)
        self.assertEqual({bit for verdict in found for bit in verdict.flips}, set(range(800)))

    def test_blackhole(self) -> None:
        """Nothing passes."""
        self.assertEqual(set(verdicts(Blackhole(), 10)), {DROP})

    def test_noop(self) -> None:
        """Everything passes."""
        self.assertEqual(set(verdicts(Noop(), 10)), {DELIVER})

    def test_refused(self) -> None:
        """What can't be is refused, and the text says what can."""
        wrong: list[tuple[type, dict[str, float]]] = [
            (Duplicate, {"probability": 2}), (Duplicate, {"copies": 0}),
            (Reorder, {"probability": -1}), (Reorder, {"displacement": 0}),
            (Corrupt, {"probability": nan}), (Corrupt, {"bits": 0}), (Corrupt, {"bits": 1001}),
        ]  # fmt: skip
        for settings, arguments in wrong:
            error = self.assertRaises(LocalError, settings, **arguments)
            self.assertIn("; give ", str(error))


class BandwidthTests(SynchronousTestCase):
    """A rate, its bucket and its queue."""

    def arrivals(self, settings: Bandwidth, times: list[float], size: int = 1000) -> list[float]:
        """When units of this size that are sent at these times arrive; infinity: never."""
        judge = settings.begin(stream(0))
        found = []
        for time in times:
            verdict = judge.judge(size, time)
            found.append(time + verdict.delays[0] if verdict.delays else inf)
        return found

    def assertTimes(self, found: list[float], expected: list[float]) -> None:
        """Equal to a nanosecond."""
        self.assertEqual([round(time, 9) for time in found], expected)

    def test_rate(self) -> None:
        """Units leave one behind the other; each arrives when its last byte has been sent."""
        found = self.arrivals(Bandwidth(10_000.0), [0, 0, 0, 1, 1.05])
        self.assertTimes(found, [0.1, 0.2, 0.3, 1.1, 1.2])

    def test_burst(self) -> None:
        """A full bucket lets its bytes pass at once, and then fills again at the rate."""
        found = self.arrivals(Bandwidth(10_000.0, burst=2000.0), [0, 0, 0, 0, 0.3, 9, 9, 9])
        self.assertTimes(found, [0, 0, 0.1, 0.2, 0.3, 9, 9, 9.1])

    def test_throughput(self) -> None:
        """Over a thousand seconds, the rate is kept to 1 % with any burst."""
        for burst in (0.0, 5000.0):
            times = [index * 0.05 for index in range(20_000)]
            found = self.arrivals(Bandwidth(10_000.0, burst), times)
            passed = sum(1000 for time in found if time <= 1000)
            self.assertApproximates(passed / 1000, 10_000.0, 100.0)

    def test_queue_in_bytes(self) -> None:
        """What finds the queue full is dropped; what has been sent makes room."""
        found = self.arrivals(Bandwidth(10_000.0, queue=2000.0), [0, 0, 0, 0.1, 0.1])
        self.assertTimes(found, [0.1, 0.2, inf, 0.3, inf])

    def test_queue_in_packets(self) -> None:
        """The same, counted in units."""
        settings = Bandwidth(10_000.0, packets=2)
        self.assertTimes(self.arrivals(settings, [0, 0, 0, 0.1], 500), [0.05, 0.1, inf, 0.15])

    def test_scope(self) -> None:
        """There are three, and what else is said is told."""
        for scope in SCOPES:
            self.assertEqual(Bandwidth(1.0, scope=scope).scope, scope)
        error = self.assertRaises(LocalError, Bandwidth, 1.0, scope="all")
        self.assertEqual(str(error), "scope is 'all'; give one of connection, client, proxy")

    def test_unit_larger_than_the_queue(self) -> None:
        """It never passes."""
        self.assertEqual(self.arrivals(Bandwidth(10_000.0, queue=999.0), [0, 5]), [inf, inf])

    def test_nothing_passes(self) -> None:
        """With a rate of 0."""
        self.assertEqual(self.arrivals(Bandwidth(), [0, 1]), [inf, inf])

    def test_no_decision(self) -> None:
        """It draws nothing."""
        self.assertFalse(Bandwidth(1.0).drawn)

    @given(
        st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000)), max_size=60),
        st.floats(0, 5000),
        st.integers(0, 20_000),
        st.integers(0, 5),
    )
    def test_never_more_than_the_bucket_gives(
        self, sent: list[tuple[float, int]], burst: float, queue: int, packets: int
    ) -> None:
        """Up to any time no more arrives than burst and rate allow, in order, within bounds."""
        judge = Bandwidth(1000.0, burst, queue, packets).begin(stream(0))
        now, last, passed = 0.0, 0.0, 0.0
        waiting: list[tuple[float, int]] = []
        for step, size in sent:
            now += step
            verdict = judge.judge(size, now)
            if not verdict.delays:
                continue
            at = now + verdict.delays[0]
            self.assertGreaterEqual(at, last)
            last, passed = at, passed + size
            self.assertLessEqual(passed, burst + 1000.0 * at + 1e-6)
            waiting = [(time, n) for time, n in waiting if time > now] + [(at, size)]
            waiting = [(time, n) for time, n in waiting if time > now]
            if queue:
                self.assertLessEqual(sum(n for _, n in waiting), max(queue, 0))
            if packets:
                self.assertLessEqual(len(waiting), packets)

    def test_refused(self) -> None:
        """What can't be is refused, and the text says what can."""
        for name in ("rate", "burst", "queue", "packets"):
            for value in (-1, inf, nan):
                error = self.assertRaises(LocalError, Bandwidth, **{name: value})
                self.assertIn("give 0 or more", str(error))
