"""
What blocks is done elsewhere, in threads: one thing after the other, or two things at a time.

**How it does it.** A thread that has done one thing would wait until the reactor has time to give
it the next, and a reactor that is busy has that late. So it is given some at once, if some wait.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

#: Calls a function elsewhere, and gives the Deferred of what comes of it.
Run = Callable[[Callable[[], Any]], Deferred[Any]]

#: So many things are done at a time, at most; and so many, one after the other, by a thread before
#: it tells what came of them.
WIDTH = 2
TURN = 4


def elsewhere(reactor: Any, without: Run = maybeDeferred) -> Run:
    """
    A thread of the reactor's.

    Args:
        reactor: May have threads.
        without: What is used where it has none, as a simulated one; it is done here and now if
            not said.
    """
    if not IReactorThreads.providedBy(reactor):
        return without
    return partial(deferToThreadPool, reactor, reactor.getThreadPool())


@frozen(eq=False)
class _Job:
    """
    One thing.

    Args:
        track: Those of one track are done in order; None for what is done alone.
        result: Fires with what comes of it.
        work: Does it.
    """

    track: int | None
    result: Deferred[Any]
    work: Callable[[], Any]


@define(eq=False)
class Lane:
    """
    Does things in order.

    Args:
        run: Does them.
    """

    _run: Run
    _queue: deque[_Job] = field(init=False, factory=deque)
    #: The tracks on which something is being done.
    _running: set[int | None] = field(init=False, factory=set)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do this alone, when all is done that was given before; fires with what comes of it."""
        return self._add(None, partial(function, *arguments))

    def beside(self, number: int, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        Do this in order with others of the same number; those of others may be done meanwhile.

        Returns:
            Fires with what comes of it.
        """
        return self._add(number % WIDTH, partial(function, *arguments))

    def drop(self) -> None:
        """What has not begun is not done; it fails."""
        dropped, self._queue = self._queue, deque()
        for job in dropped:
            job.result.errback(CancelledError())

    def _add(self, track: int | None, work: Callable[[], Any]) -> Deferred[Any]:
        """There is one thing more."""
        job = _Job(track, Deferred(), work)
        self._queue.append(job)
        self._next()
        return job.result

    def _next(self) -> None:
        """Go on."""
        while jobs := self._turn():
            self._running.add(jobs[0].track)
            self._run(partial(_each, [job.work for job in jobs])).addBoth(self._done, jobs)

    def _turn(self) -> list[_Job]:
        """What is done next by one thread; nothing if all that there is has to wait."""
        if None in self._running or not self._queue:
            return []
        if self._queue[0].track is None:
            return [] if self._running else [self._queue.popleft()]
        found: list[_Job] = []
        for job in self._queue:
            if job.track is None or len(found) == TURN:
                break
            if job.track not in self._running and job.track == (found or [job])[0].track:
                found.append(job)
        for job in found:
            self._queue.remove(job)
        return found

    def _done(self, values: Sequence[Any] | Failure, jobs: Sequence[_Job]) -> None:
        """They are done."""
        self._running.discard(jobs[0].track)
        each = [values] * len(jobs) if isinstance(values, Failure) else values
        for job, value in zip(jobs, each, strict=True):
            job.result.callback(value)
        self._next()


def _each(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do one after the other, whatever comes of them."""
    return [_value(work) for work in works]


def _value(work: Callable[[], Any]) -> Any:
    """What comes of it."""
    try:
        return work()
    except Exception:  # noqa: BLE001 - whatever it is, who has asked is told
        return Failure()
