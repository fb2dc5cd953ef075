"""The attempts of a request."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.attempts import CHALLENGES, LONGEST, TIMES, Attempts, Patience


class AttemptsTests(SynchronousTestCase):
    """When a request is sent, and what."""

    def test_schedule(self) -> None:
        """Each attempt waits as long as was said, and then there is none."""
        attempts = Attempts(b"limits", iter([1.0, 2.0]))
        self.assertEqual(attempts.due, math.inf)
        found = [(attempts.again(now), attempts.due) for now in (5.0, 6.0, 8.0)]
        self.assertEqual(found, [(True, 6.0), (True, 8.0), (False, 8.0)])
        self.assertEqual(attempts.count, 2)

    def test_late(self) -> None:
        """A timer that is a little late moves nothing; after a standstill it is waited again."""
        attempts = Attempts(b"limits", iter([1.0, 1.0, 1.0]))
        attempts.again(0.0)
        attempts.again(1.05)
        self.assertEqual(attempts.due, 2.0)
        attempts.again(2.5)
        self.assertEqual(attempts.due, 3.5)

    def test_last(self) -> None:
        """It is given up at a time, whatever attempts are left; before the first, too."""
        attempts = Attempts(b"limits", iter([1.0, 9.0, 9.0]), last=3.0)
        self.assertEqual(attempts.due, 3.0)
        attempts.again(0.0)
        attempts.again(1.0)
        self.assertEqual(attempts.due, 3.0)
        self.assertFalse(attempts.again(3.0))

    def test_proof(self) -> None:
        """A token stands before the request from then on, but for a server that asks for ever."""
        attempts = Attempts(b"#a limits", iter([1.0]))
        self.assertEqual(attempts.data, b"#a limits")
        believed = [attempts.prove(b"t%d" % number) for number in range(CHALLENGES + 1)]
        self.assertEqual(believed, [True] * CHALLENGES + [False])
        self.assertEqual(attempts.data, b"token=t3 #a limits")
        self.assertNotIn("t3", repr(attempts))


class PatienceTests(SynchronousTestCase):
    """With a server that is too busy."""

    def test_wait(self) -> None:
        """As long as it says, within limits, and not for ever."""
        patience = Patience()
        waits = [patience.wait(wait_ms) for wait_ms in (1, 2500, 10**15, *[7] * (TIMES - 3))]
        self.assertEqual(waits[:4], [0.001, 2.5, LONGEST, 0.007])
        self.assertEqual([patience.wait(7), len(waits)], [None, TIMES])
