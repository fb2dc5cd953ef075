"""One thing after the other, elsewhere."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.testing import MemoryReactorClock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import directlyProvides

from lab.download.lane import Lane, elsewhere


class LaneTests(SynchronousTestCase):
    """What is done when."""

    def setUp(self) -> None:
        """A lane on which nothing ends by itself."""
        self.begun: list[tuple[Any, Deferred[Any]]] = []
        self.lane = Lane(self.run_later)

    def run_later(self, function: Any) -> Deferred[Any]:
        """Begin something."""
        ended: Deferred[Any] = Deferred()
        self.begun.append((function, ended))
        return ended

    def end(self) -> None:
        """What goes on ends."""
        function, ended = self.begun[-1]
        try:
            ended.callback(function())
        except ValueError as error:
            ended.errback(error)

    def test_order(self) -> None:
        """One at a time, in order; a failure is that of one only."""
        first = self.lane.do(int, "x")
        second = self.lane.do(int, "7")
        self.assertEqual(len(self.begun), 1)
        self.end()
        self.failureResultOf(first, ValueError)
        self.end()
        self.assertEqual(self.successResultOf(second), 7)

    def test_drop(self) -> None:
        """What has not begun is not done; what comes after it is, behind what goes on."""
        first, second = self.lane.do(int, "1"), self.lane.do(int, "2")
        self.lane.drop()
        third = self.lane.do(int, "3")
        self.failureResultOf(second, CancelledError)
        self.end()
        self.end()
        self.assertEqual((self.successResultOf(first), self.successResultOf(third)), (1, 3))


class ElsewhereTests(TestCase):
    """Where things are done."""

    def test_here(self) -> None:
        """A reactor without threads: here and now."""
        done = elsewhere(MemoryReactorClock())(lambda: 7)
        self.assertEqual(self.successResultOf(done), 7)

    def test_thread(self) -> None:
        """A thread of the reactor's."""
        reactor, pool = MemoryReactorClock(), ThreadPool(1, 1)
        directlyProvides(reactor, IReactorThreads)
        reactor.getThreadPool = lambda: pool  # type: ignore[attr-defined]
        calls: list[Any] = []
        reactor.callFromThread = lambda *call: calls.append(call)  # type: ignore[method-assign]
        done = elsewhere(reactor)(lambda: 7)
        pool.start()
        pool.stop()  # when all was done
        for function, *arguments in calls:
            function(*arguments)
        self.assertEqual(self.successResultOf(done), 7)
