"""What a client is told in the end."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.outcomes import Broken, Cut, Received, Rejected, Stalled, WrongData
from lab.echo.wire import TOO_LARGE, Busy, Refused
from lab.errors import NoAnswer, RemoteError, Unreachable


class ReceivedTests(SynchronousTestCase):
    """What came of a file."""

    def test_whole(self) -> None:
        """Nothing is missing."""
        received = Received(10, 90)
        self.assertEqual((received.whole, received.received, received.next), (True, 90, 100))

    def test_missing(self) -> None:
        """It goes on where the first is missing."""
        received = Received(10, 90, ((30, 40), (99, 100)))
        self.assertEqual((received.whole, received.received, received.next), (False, 79, 30))


class ErrorTests(SynchronousTestCase):
    """Errors: of which kind they are, and what they say."""

    def test_rejected(self) -> None:
        """What the server says is in it."""
        refused = Refused(TOO_LARGE, "count is 5; at most 4")
        error = Rejected(refused)
        self.assertEqual(str(error), "the server refuses: count is 5; at most 4")
        self.assertEqual((error.reply, isinstance(error, RemoteError)), (refused, True))
        self.assertEqual(str(Rejected(Busy(10, "later"))), "the server refuses: later")

    def test_so_far(self) -> None:
        """Errors in the middle say how far it got, and are of the kind of those before it."""
        so_far = Received(0, 10, ((5, 10),))
        kinds = {
            WrongData: RemoteError,
            Broken: RemoteError,
            Cut: Unreachable,
            Stalled: NoAnswer,
        }
        for kind, base in kinds.items():
            error = kind("that is why", so_far)
            self.assertIsInstance(error, base)
            self.assertEqual((str(error), error.so_far), ("that is why", so_far))
