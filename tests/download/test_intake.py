"""Whether a download may read on."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.budget import Rates
from lab.download import intake
from lab.download.intake import Intake


class IntakeTests(SynchronousTestCase):
    """What one download reads."""

    def test_disk(self) -> None:
        """Nothing is read while too much waits for the disk, until half of that is stored."""
        self.patch(intake, "ROOM", 100)
        one = Intake(Rates(math.inf, math.inf))
        held = []
        for size in (100, 1, -40, -11, 20, 30, 1, -51):
            (one.wait if size > 0 else one.stored)(abs(size))
            held.append(one.held)
        self.assertEqual(held, [False, True, True, False, False, False, True, False])
        self.assertEqual(one.queued, 50)

    def test_rate(self) -> None:
        """Who was too fast waits once, for as long as that takes."""
        one = Intake(Rates(math.inf, 1000.0))
        self.assertEqual(one.came(50, 0.0), math.inf)
        self.assertFalse(one.held)
        wait = one.came(1000, 0.0)
        self.assertApproximates(wait, 0.95, 0.06)
        self.assertTrue(one.held)
        self.assertEqual(one.came(10, 0.1), math.inf)
        one.go_on()
        self.assertFalse(one.held)

    def test_short_waits(self) -> None:
        """It is not held for a moment."""
        one = Intake(Rates(math.inf, 1000.0))
        self.assertEqual(one.came(150, 0.0), math.inf)
        self.assertFalse(one.held)

    def test_together(self) -> None:
        """The rate is that of all downloads."""
        pace = Rates(math.inf, 1000.0)
        Intake(pace).came(1000, 0.0)
        self.assertLess(Intake(pace).came(1, 0.0), math.inf)
