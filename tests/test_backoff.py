"""The waits of what is tried again."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff, no_answer
from lab.errors import LocalError
from lab.rng import stream

POLICIES = st.builds(
    lambda first, ratio, factor, attempts, jitter: Backoff(
        first, first * ratio, factor, attempts, jitter
    ),
    st.floats(1e-3, 10),
    st.floats(1.01, 1e3),
    st.floats(1.1, 5),
    st.none() | st.integers(1, 12),
    st.floats(0, 1),
)


class WaitsTests(SynchronousTestCase):
    """The waits, one by one."""

    def assertWaits(self, policy: Backoff, *waits: float) -> None:
        """These are the waits of a policy."""
        for got, expected in zip(policy.waits(), waits, strict=True):
            self.assertAlmostEqual(got, expected, places=12)

    def test_doubles_to_the_cap(self) -> None:
        """Waits double while they are not above the cap."""
        self.assertWaits(Backoff(first=0.1, cap=2.0), 0.1, 0.2, 0.4, 0.8, 1.6)

    def test_cap_itself(self) -> None:
        """A wait that is as long as the cap is still made."""
        self.assertWaits(Backoff(first=0.5, cap=2.0), 0.5, 1.0, 2.0)

    def test_raised_cap(self) -> None:
        """A higher cap gives more attempts."""
        self.assertWaits(Backoff(first=1.0, cap=5.0), 1, 2, 4)

    def test_factor(self) -> None:
        """Waits may grow by another factor."""
        self.assertWaits(Backoff(first=1.0, cap=30.0, factor=3.0), 1, 3, 9, 27)

    def test_attempts(self) -> None:
        """The number of attempts ends it before the cap does, and not after it."""
        self.assertWaits(Backoff(first=0.1, cap=2.0, attempts=2), 0.1, 0.2)
        self.assertWaits(Backoff(first=1.0, cap=2.0, attempts=9), 1, 2)

    def test_default(self) -> None:
        """One second, then two."""
        self.assertWaits(Backoff(), 1, 2)

    def test_fixed(self) -> None:
        """Without backoff there is one attempt, or so many that wait equally long."""
        self.assertWaits(Backoff.fixed(3.0), 3)
        self.assertWaits(Backoff.fixed(3.0, attempts=3), 3, 3, 3)

    @settings(deadline=None)
    @given(POLICIES)
    def test_any_policy(self, policy: Backoff) -> None:
        """Waits start at the first, grow by the factor, and end at the cap or the attempts."""
        waits = list(policy.waits())
        self.assertEqual(waits[0], policy.first)
        self.assertTrue(all(math.isclose(b, a * policy.factor) for a, b in pairwise(waits)))
        self.assertTrue(max(waits) <= policy.cap)
        ended = waits[-1] * policy.factor > policy.cap
        self.assertTrue(ended or len(waits) == policy.attempts)
        self.assertTrue(policy.attempts is None or len(waits) <= policy.attempts)


class JitterTests(SynchronousTestCase):
    """Waits that are drawn."""

    @settings(deadline=None)
    @given(POLICIES, st.integers(0, 2**32))
    def test_within_bounds(self, policy: Backoff, seed: int) -> None:
        """There are as many waits as without jitter, each within its bounds."""
        drawn = list(policy.waits(stream(seed, "jitter")))
        for got, wait in zip(drawn, policy.waits(), strict=True):
            least, most = wait * (1 - policy.jitter), wait * (1 + policy.jitter)
            self.assertTrue(least * 0.999999 <= got <= most * 1.000001, (got, wait))

    def test_from_the_stream(self) -> None:
        """Equal streams give equal waits, other streams other waits."""
        policy = Backoff(first=0.1, cap=2.0, jitter=0.5)
        one, same, other = (list(policy.waits(stream(seed))) for seed in (1, 1, 2))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)

    def test_both_directions(self) -> None:
        """Over many draws waits come near both bounds, and near none of them on average."""
        policy = Backoff.fixed(1.0, attempts=2000, jitter=0.25)
        waits = list(policy.waits(stream(7)))
        self.assertTrue(0.75 <= min(waits) < 0.76)
        self.assertTrue(1.24 < max(waits) <= 1.25)
        self.assertTrue(0.98 < sum(waits) / len(waits) < 1.02)

    def test_no_stream_is_touched_without_jitter(self) -> None:
        """A policy without jitter draws nothing."""
        random = stream(7)
        list(Backoff(first=0.1, cap=2.0).waits(random))
        self.assertEqual(random.random(), stream(7).random())


class RefusalTests(SynchronousTestCase):
    """Policies that can't be."""

    def test_bounds(self) -> None:
        """Each number has its bounds, and the error says them."""
        for arguments, text in [
            ({"first": 0.0}, "timeout is 0 s; give more than 0, for example 0.1"),
            ({"first": -1.0}, "timeout is -1 s; give more than 0, for example 0.1"),
            ({"first": math.nan}, "timeout is nan s; give more than 0, for example 0.1"),
            ({"first": math.inf}, "timeout is inf s; give more than 0, for example 0.1"),
            ({"factor": 0.5}, "factor is 0.5; give 1 or more"),
            ({"factor": math.inf}, "factor is inf; give 1 or more"),
            ({"factor": math.nan}, "factor is nan; give 1 or more"),
            ({"attempts": 0}, "attempts is 0; give 1 or more"),
            ({"jitter": 1.1}, "jitter is 1.1; give 0 to 1"),
            ({"jitter": -0.1}, "jitter is -0.1; give 0 to 1"),
            ({"jitter": math.nan}, "jitter is nan; give 0 to 1"),
        ]:
            error = self.assertRaises(LocalError, Backoff, **arguments)
            self.assertEqual(str(error), text)

    def test_start_below_cap(self) -> None:
        """The first wait must be below the cap; the error says how to raise that."""
        for cap in (2.0, 1.9, math.nan):
            error = self.assertRaises(LocalError, Backoff, 2.0, cap)
            self.assertIn("--max-timeout", str(error))

    def test_endless(self) -> None:
        """Waits that would never end need a number of attempts."""
        for arguments in ({"factor": 1.0}, {"cap": math.inf}):
            error = self.assertRaises(LocalError, Backoff, **arguments)
            self.assertIn("never end", str(error))
            self.assertEqual(len(list(Backoff(attempts=3, **arguments).waits())), 3)


class WordsTests(SynchronousTestCase):
    """What is told of attempts."""

    def test_no_answer(self) -> None:
        """How long it was waited, and for how many attempts."""
        self.assertEqual(str(no_answer(0, 0.5)), "no connection within 500 ms")
        self.assertEqual(str(no_answer(1, 1.0)), "no answer within 1 s after 1 attempt")
        self.assertEqual(str(no_answer(2, 2.0)), "no answer within 2 s after 2 attempts")
