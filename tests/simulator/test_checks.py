"""What has to hold in a run."""

from twisted.trial.unittest import SynchronousTestCase

from lab.simulator.checks import Checks


class ChecksTests(SynchronousTestCase):
    """What is said of them."""

    def test_always(self) -> None:
        """It is wrong whenever it does not hold."""
        checks, holds = Checks(), [True]
        checks.always("it", lambda: holds[0])
        self.assertIsNone(checks.look())
        holds[0] = False
        self.assertEqual(checks.look(), "'it' does not hold, and always should")
        self.assertIsNone(checks.end())

    def test_eventually(self) -> None:
        """It is wrong at the end, if it has held after no event."""
        checks, holds = Checks(), [False]
        checks.eventually("it", lambda: holds[0])
        self.assertIsNone(checks.look())
        self.assertEqual(checks.end(), "'it' has never held, and should in the end")
        holds[0] = True
        checks.look()
        holds[0] = False
        self.assertIsNone(checks.look())
        self.assertIsNone(checks.end())

    def test_sometimes(self) -> None:
        """It is never wrong; whether it has held is there to be asked."""
        checks = Checks()
        checks.sometimes("it", lambda: True)
        checks.sometimes("never", lambda: False)
        self.assertEqual(checks.held, {"it": False, "never": False})
        for _ in range(2):
            self.assertIsNone(checks.look())
            self.assertEqual(checks.held, {"it": True, "never": False})
        self.assertIsNone(checks.end())
