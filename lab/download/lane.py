"""One thing after the other, elsewhere: what blocks is done in a thread, in order."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

#: Calls a function elsewhere, and gives the Deferred of what comes of it.
Run = Callable[[Callable[[], Any]], Deferred[Any]]


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


@define(eq=False)
class Lane:
    """
    Does one thing after the other.

    Args:
        run: Does them.
    """

    _run: Run
    _queue: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = field(
        init=False, factory=deque
    )
    _running: bool = field(init=False, default=False)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do this when all is done that was given before; fires with what comes of it."""
        result: Deferred[Any] = Deferred()
        self._queue.append((result, function, arguments))
        self._next()
        return result

    def drop(self) -> None:
        """What has not begun is not done; it fails."""
        dropped, self._queue = self._queue, deque()
        for result, _, _ in dropped:
            result.errback(CancelledError())

    def _next(self) -> None:
        """Go on."""
        while self._queue and not self._running:
            result, function, arguments = self._queue.popleft()
            self._running = True
            self._run(partial(function, *arguments)).addBoth(self._done, result)

    def _done(self, value: Any, result: Deferred[Any]) -> None:
        """It is done."""
        self._running = False
        result.callback(value)
        self._next()
