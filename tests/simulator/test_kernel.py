"""The clock of a simulation."""

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.rng import stream
from lab.simulator.kernel import Kernel, ShuffledKernel

TIMES = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5]), max_size=30)


class KernelTests(SynchronousTestCase):
    """What happens, in which order, and when."""

    def setUp(self) -> None:
        """A clock, and a list of what happened when."""
        self.kernel = Kernel()
        self.seen: list[tuple[float, object]] = []

    def note(self, what: object) -> None:
        """It happened."""
        self.seen.append((self.kernel.now, what))

    @given(TIMES)
    def test_order(self, times: list[float]) -> None:
        """Things happen in the order of their times; of one time, in the order of asking."""
        self.setUp()
        for number, time in enumerate(times):
            self.kernel.at(time, self.note, number)
        self.kernel.run(9.0)
        expected = sorted((time, number) for number, time in enumerate(times))
        self.assertEqual(self.seen, expected)
        self.assertEqual((self.kernel.now, self.kernel.done), (9.0, len(times)))

    @given(TIMES, st.lists(st.sampled_from([0.0, 0.05, 0.1, 1.0]), max_size=6))
    def test_any_steps(self, times: list[float], steps: list[float]) -> None:
        """Going in steps is going at once."""
        found = []
        for way in (steps, [sum(steps)]):
            self.setUp()
            for number, time in enumerate(times):
                self.kernel.at(time, self.note, number)
            for step in way:
                self.kernel.run(self.kernel.now + step)
            self.kernel.run(9.0)
            found.append(self.seen)
        self.assertEqual(found[0], found[1])

    def test_events_make_events(self) -> None:
        """An event may ask for others, now or later; none happens in the past."""

        def begin() -> None:
            """Ask for three."""
            self.kernel.at(self.kernel.now, self.note, "now")
            self.kernel.at(0.0, self.note, "past")
            self.kernel.at(2.0, self.note, "later")

        self.kernel.at(1.0, begin)
        self.kernel.at(1.0, self.note, "same time")
        self.kernel.run(5.0)
        self.assertEqual(
            self.seen, [(1.0, "same time"), (1.0, "now"), (1.0, "past"), (2.0, "later")]
        )

    @given(TIMES, st.sets(st.integers(0, 29)))
    def test_withdrawn(self, times: list[float], gone: set[int]) -> None:
        """What was withdrawn does not happen, and withdrawing it again changes nothing."""
        self.setUp()
        events = [self.kernel.at(time, self.note, n) for n, time in enumerate(times)]
        for number in [*gone, *gone]:
            if number < len(events):
                self.kernel.withdraw(events[number])
        left = [n for n in range(len(times)) if n not in gone]
        self.assertEqual(self.kernel.waiting, len(left))
        self.kernel.run(9.0)
        self.assertEqual(sorted(n for _, n in self.seen), left)
        for event in events:
            self.kernel.withdraw(event)
        self.assertEqual(self.kernel.waiting, 0)

    def test_step(self) -> None:
        """Step by step, each event is one step; withdrawn ones are none."""
        first = self.kernel.at(1.0, self.note, "withdrawn")
        self.kernel.at(2.0, self.note, "two")
        self.kernel.at(3.0, self.note, "three")
        self.kernel.withdraw(first)
        self.assertEqual(self.kernel.next(), 2.0)
        self.kernel.step()
        self.assertEqual((self.kernel.now, self.kernel.next()), (2.0, 3.0))
        self.kernel.step()
        self.assertEqual(self.seen, [(2.0, "two"), (3.0, "three")])
        self.assertEqual((self.kernel.done, self.kernel.waiting), (2, 0))

    def test_watch(self) -> None:
        """Who watches is called after each event, at its time."""
        self.kernel.watch = lambda: self.note("watched")
        for time in (1.0, 2.0):
            self.kernel.at(time, self.note, time)
        self.kernel.step()
        self.kernel.run(9.0)
        expected = [(1.0, 1.0), (1.0, "watched"), (2.0, 2.0), (2.0, "watched")]
        self.assertEqual(self.seen, expected)

    def test_memory_is_bounded(self) -> None:
        """A timer that is set and withdrawn again and again leaves nothing behind."""
        for _ in range(10_000):
            self.kernel.withdraw(self.kernel.at(60.0, self.note, 0))
        self.assertLess(len(self.kernel._events), 200)

    def test_nothing_to_come(self) -> None:
        """Without events time stands, unless it is told to go on."""
        self.assertEqual(self.kernel.next(), float("inf"))
        self.kernel.run(float("inf"))
        self.assertEqual(self.kernel.now, 0.0)
        self.assertRaises(IndexError, self.kernel.step)
        self.kernel.run(3.0)
        self.kernel.run(1.0)
        self.assertEqual(self.kernel.now, 3.0)


class ShuffledTests(SynchronousTestCase):
    """Timers in any order."""

    def orders(self, seeds: int = 200) -> set[str]:
        """The orders of two timers and two other events of one time, over seeds."""
        found = set()
        for seed in range(seeds):
            kernel, seen = ShuffledKernel(random=stream(seed)), list[str]()
            for name in "abc":
                (kernel.timer if name < "c" else kernel.at)(1.0, seen.append, name)
            kernel.at(1.0, seen.append, "d")
            kernel.run(2.0)
            found.add("".join(seen))
        return found

    def test_any_order(self) -> None:
        """Timers come in any order, and among others in any; the others keep theirs."""
        self.assertEqual(len(self.orders()), 4 * 3)
        self.assertTrue(all(order.index("c") < order.index("d") for order in self.orders()))

    def test_in_time(self) -> None:
        """No timer is before or behind its time, and the clock ends where it is told to."""
        kernel, seen = ShuffledKernel(random=stream(7)), list[float]()
        for n in (3, 1, 2, 1):
            kernel.timer(float(n), lambda: seen.append(kernel.now))
            kernel.at(n + 0.5, lambda: seen.append(kernel.now))
        self.assertEqual((kernel.waiting, kernel.next()), (8, 1.0))
        kernel.run(2.75)
        self.assertEqual((seen, kernel.now), ([1.0, 1.0, 1.5, 1.5, 2.0, 2.5], 2.75))
        kernel.run(math.inf)
        self.assertEqual((seen[6:], kernel.now, kernel.done), ([3.0, 3.5], 3.5, 8))
        self.assertRaises(IndexError, kernel.step)

    def test_withdraw(self) -> None:
        """What is withdrawn does not happen, timer or not; what is past is done at once."""
        kernel, seen = ShuffledKernel(random=stream(7)), list[int]()
        for event in (kernel.timer(1.0, seen.append, 1), kernel.at(1.0, seen.append, 2)):
            kernel.withdraw(event)
        self.assertEqual((kernel.waiting, kernel.next()), (0, math.inf))
        kernel.run(5.0)
        event = kernel.timer(1.0, seen.append, 3)
        kernel.run(5.0)
        kernel.withdraw(event)
        self.assertEqual((seen, kernel.now, kernel.waiting), ([3], 5.0, 0))

    def test_watch(self) -> None:
        """It is called after each timer, too."""
        kernel, seen = ShuffledKernel(random=stream(7)), list[int]()
        kernel.watch = lambda: seen.append(0)
        kernel.timer(1.0, seen.append, 1)
        kernel.at(2.0, seen.append, 2)
        kernel.run(3.0)
        self.assertEqual(seen, [1, 0, 2, 0])

    def test_fifo(self) -> None:
        """Otherwise a timer is as any other event."""
        self.assertIs(Kernel.timer, Kernel.at)
