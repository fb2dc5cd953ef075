"""What is asked of one source after the other."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.download import question
from lab.download.client import Answered, Failed
from lab.download.outcomes import Broken, Rejected
from lab.download.wire import Busy, List, Refused
from lab.errors import LocalError, Unreachable


class Fake:
    """A connection that says what it is told to."""

    def __init__(self, says: Any, tell: Any) -> None:
        self._says, self._tell = says, tell
        self.asked: list[Any] = []
        self.ended: Deferred[None] | None = None

    def ask(self, request: Any) -> int:
        """Note it."""
        self.asked.append(request)
        return 1

    def begin(self) -> None:
        """Say it, and something else that nobody waits for."""
        if self._says is not None:
            event = Failed(self._says) if isinstance(self._says, Exception) else None
            self._tell(event or Answered(1, self._says))
            self._tell(Failed(Unreachable("gone")))

    def end(self) -> Any:
        """It ends later."""
        self.ended = Deferred()
        return self.ended


class AskTests(SynchronousTestCase):
    """Who is asked, and whose answer counts."""

    def ask(self, *says: Any) -> Deferred[Any]:
        """Ask sources that say these things."""
        self.made: list[Fake] = []
        self.closing: list[Any] = []

        def connect(endpoint: Any, tell: Any) -> Any:
            """The next connection; what follows from nothing waits for an event."""
            self.made.append(Fake(endpoint, tell))
            return self.made[-1]

        names: Any = {f"s{number}": said for number, said in enumerate(says)}
        work = question.ask(List(), names, connect, self.closing.append)
        return Deferred.fromCoroutine(work)

    def test_first_answer(self) -> None:
        """The first that answers; the others are not asked, and all connections end."""
        done = self.ask(Unreachable("no"), Broken("what"), ("entry",), ("other",))
        self.assertEqual(self.successResultOf(done), ("entry",))
        self.assertEqual([fake.asked for fake in self.made], [[List()]] * 3)
        self.assertEqual(self.closing, [fake.ended for fake in self.made])

    def test_refusal(self) -> None:
        """A refusal is an answer."""
        error = self.failureResultOf(self.ask(Refused(404, "none"), ()), Rejected).value
        self.assertEqual(str(error), "s0: 404 none")
        error = self.failureResultOf(self.ask(Busy(1.0, "later"), ()), Rejected).value
        self.assertEqual(str(error), "s0: 429 later")

    def test_nobody(self) -> None:
        """If nobody answers, what the first said."""
        error = self.failureResultOf(self.ask(Unreachable("no"), Broken("what")), Unreachable).value
        self.assertEqual(str(error), "s0: no")
        self.failureResultOf(self.ask(), LocalError)

    def test_cancelled(self) -> None:
        """Nobody wants to know any more: nobody else is asked."""
        done = self.ask(None, ())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((len(self.made), len(self.closing)), (1, 1))
