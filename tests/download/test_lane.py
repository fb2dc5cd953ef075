"""What blocks is done elsewhere: one thing after the other, or two at a time."""

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
        self.done: list[str] = []

    def run_later(self, function: Any) -> Deferred[Any]:
        """Begin something."""
        ended: Deferred[Any] = Deferred()
        self.begun.append((function, ended))
        return ended

    def end(self, at: int = 0) -> list[str]:
        """One of what goes on ends; gives what was done by that."""
        function, ended = self.begun.pop(at)
        self.done = []
        ended.callback(function())
        return self.done

    def note(self, name: str) -> None:
        """Something is done."""
        self.done.append(name)

    def beside(self, *names: str) -> None:
        """Have each done, in order with those of the same number, which is its end."""
        for name in names:
            self.lane.beside(int(name[1:]), self.note, name)

    def test_order(self) -> None:
        """One at a time, in order; a failure is that of one only."""
        first = self.lane.do(int, "x")
        second = self.lane.do(int, "7")
        self.assertEqual(len(self.begun), 1)
        self.end()
        self.failureResultOf(first, ValueError)
        self.end()
        self.assertEqual(self.successResultOf(second), 7)

    def test_beside(self) -> None:
        """Two at a time; of one number in order, even if there is nothing else to do."""
        self.beside("a0", "b0", "c1")
        self.assertEqual(len(self.begun), 2)
        self.assertEqual(self.end(1), ["c1"])
        self.assertEqual(len(self.begun), 1)
        self.assertEqual(self.end(), ["a0"])
        self.assertEqual(self.end(), ["b0"])
        self.assertEqual(self.begun, [])

    def test_turn(self) -> None:
        """What waits is given to a thread together, but not too much; each has its own end."""
        self.beside("a0", "b0", "c0")
        failed = self.lane.beside(2, int, "x")
        self.beside("d4", "e0")
        self.end()
        self.assertEqual(self.end(), ["b0", "c0", "d4"])
        self.failureResultOf(failed, ValueError)
        self.assertEqual(self.end(), ["e0"])

    def test_alone(self) -> None:
        """What is done alone waits for all before it, and all behind it for that."""
        self.beside("a0", "b1")
        self.lane.do(self.note, "alone")
        self.beside("c0", "d1")
        self.end()
        self.assertEqual(len(self.begun), 1)
        self.end()
        self.assertEqual(self.end(), ["alone"])
        self.assertEqual(self.end() + self.end(), ["c0", "d1"])

    def test_alone_behind(self) -> None:
        """A thread is not given what is behind something that is done alone."""
        self.beside("a0", "b0")
        self.lane.do(self.note, "alone")
        self.beside("c0")
        self.end()
        self.assertEqual([self.end(), self.end(), self.end()], [["b0"], ["alone"], ["c0"]])

    def test_no_thread(self) -> None:
        """Where nothing can be run, all fail that would have been."""
        self.beside("a0")
        waiting = [self.lane.beside(0, int, "1") for _ in range(2)]
        self.end()
        self.begun.pop()[1].errback(OSError("no more threads"))
        for result in waiting:
            self.failureResultOf(result, OSError)

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
