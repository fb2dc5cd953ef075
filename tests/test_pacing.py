"""Planned times."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.pacing import Schedule


class ScheduleTests(SynchronousTestCase):
    """Equal steps from a start."""

    def test_due(self) -> None:
        """What has come is given once, the start included."""
        schedule = Schedule(rate=10, start=5.0, count=3)
        self.assertEqual(schedule.due(4.9), [])
        self.assertEqual(schedule.due(5.0), [5.0])
        self.assertEqual(schedule.due(5.0), [])
        self.assertEqual(schedule.next(), 5.1)
        self.assertEqual(schedule.due(9.0), [5.1, 5.2])
        self.assertEqual((schedule.next(), schedule.due(99.0)), (None, []))

    def test_most(self) -> None:
        """No more than was asked for is given, and the rest the next time."""
        schedule = Schedule(rate=10, start=5.0, count=3)
        self.assertEqual(schedule.due(9.0, most=2), [5.0, 5.1])
        self.assertEqual(schedule.due(9.0, most=2), [5.2])

    def test_endless(self) -> None:
        """Without a count there is always a next one."""
        schedule = Schedule(rate=2, start=0.0)
        self.assertEqual(len(schedule.due(1000.0)), 2001)
        self.assertEqual(schedule.next(), 1000.5)

    def test_take(self) -> None:
        """They may be counted, too."""
        schedule = Schedule(rate=10, start=5.0, count=9)
        self.assertEqual([schedule.take(now) for now in (4.9, 5.0, 5.35)], [0, 1, 3])
        self.assertEqual([schedule.take(9.0, 2) for _ in range(4)], [2, 2, 1, 0])

    def test_behind(self) -> None:
        """What is further behind than it may be is put off, with all that follows."""
        schedule = Schedule(rate=10, start=5.0, count=100, behind=0.25)
        self.assertEqual(schedule.take(5.2), 3)
        self.assertEqual(schedule.take(5.5), 3)  # due at 5.3, 5.4, 5.5: 0.2 s behind
        self.assertEqual(schedule.take(7.0), 3)  # those of 5.6 to 7.0, of which 0.25 s are left
        self.assertApproximates(schedule.next(), 7.05, 1e-9)
        self.assertEqual((schedule.take(99.0), schedule.take(99.0)), (3, 0))

    @settings(deadline=None)
    @given(
        st.floats(1, 1e9),
        st.floats(0, 0.1),
        st.lists(st.tuples(st.floats(0, 1), st.integers(1, 200)), max_size=20),
    )
    def test_never_faster(self, rate: float, behind: float, steps: list[tuple[float, int]]) -> None:
        """However often it stood still: never more in a time than it has, and what was put off."""
        schedule, now = Schedule(rate, 0.0, behind=behind), 0.0
        taken: list[tuple[float, int]] = []
        for step, most in steps:
            now += step
            taken.append((now, schedule.take(now, most)))
            for number, (begun, _) in enumerate(taken):
                since = sum(count for _, count in taken[number:])
                bound = (now - begun + behind) * rate + 1
                self.assertLessEqual(since, bound * (1 + 1e-6) + 1e-3)

    def test_no_drift(self) -> None:
        """After a million steps of a tenth the time is exact."""
        schedule = Schedule(rate=10, start=0.0)
        schedule.done = 1_000_000
        self.assertEqual(schedule.next(), 100_000.0)

    @settings(deadline=None)
    @given(
        st.floats(0.1, 1000),
        st.floats(0, 1e6),
        st.integers(1, 200),
        st.lists(st.floats(0, 1), max_size=20),
    )
    def test_any_moments(self, rate: float, start: float, count: int, steps: list[float]) -> None:
        """Whenever it is asked, all comes once, in order, and nothing before its time."""
        schedule, now, given_times = Schedule(rate, start, count), start, []
        for step in [*steps, count / rate]:
            now += step
            times = schedule.due(now)
            following = schedule.next()
            self.assertTrue(all(time <= now for time in times))
            self.assertTrue(following is None or following > now)
            given_times += times
        given_times += schedule.due(math.inf)
        self.assertEqual(given_times, [start + n / rate for n in range(count)])

    def test_refused(self) -> None:
        """Rates and counts that can't be; the error says what can."""
        for rate in (0.0, -1.0, math.inf, math.nan):
            error = self.assertRaises(LocalError, Schedule, rate, 0.0)
            self.assertIn("give more than 0", str(error))
        error = self.assertRaises(LocalError, Schedule, 1.0, 0.0, 0)
        self.assertEqual(str(error), "count is 0; give 1 or more")
