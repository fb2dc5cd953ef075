"""What the client's cores share."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.operation import STALL, Operation
from lab.echo.outcomes import Done, Gone
from lab.errors import NoAnswer, Unreachable
from tests.echo.cores import common


class Ending(Operation):
    """An operation that ends when its transport does."""

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """That was it."""
        super().lost(error, now)
        self._end(error)
        self._end("something else")
        self._go()
        self._go()


class OperationTests(SynchronousTestCase):
    """Ends."""

    def test_one_end(self) -> None:
        """There is one end, and one time when no transport is needed any more."""
        core = Ending(**common())
        self.assertEqual((core.over, core.waiting), (False, 1))
        core.close(1.0)
        done, gone = core.events()
        assert isinstance(done, Done)
        self.assertEqual((done.number, str(done.value)), (0, "the connection is lost"))
        self.assertIsInstance(gone, Gone)
        self.assertEqual((core.over, core.waiting, core.events()), (True, 0, []))

    def test_sent(self) -> None:
        """What is sent is counted, and given once."""
        core = Ending(**common())
        core._say(b"word")
        self.assertEqual((core.outgoing(), core.outgoing()), ([b"word"], []))
        self.assertEqual(core.traffic.sent, 1)

    def test_jitter(self) -> None:
        """Attempts wait as the settings say."""
        attempts = Ending(**common())._attempts(b"word", 9.0)
        self.assertTrue(attempts.again(0.0))
        self.assertEqual((attempts.due, attempts.last), (0.1, 9.0))

    def test_standstill(self) -> None:
        """Whoever was not running looks first for what waits to be read, if there may be some."""
        core = Ending(**common())
        core._due = 5.0
        self.assertFalse(core._is_due(4.9))
        self.assertTrue(core._is_due(5.0))
        self.assertTrue(core._is_due(50.0))
        core.heard = True
        self.assertTrue(core._is_due(5.0 + STALL))
        self.assertFalse(core._is_due(50.0))
        self.assertFalse(core._is_due(50.0))
        self.assertTrue(core._is_due(50.0 + STALL))
        # It is put off once, however slow we are.
        core._due = 60.0
        self.assertFalse(core._is_due(70.0))
        self.assertTrue(core._is_due(80.0))


class WordsTests(SynchronousTestCase):
    """What is said."""
