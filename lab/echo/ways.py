"""
What runs a core of the echo clients: a way, with a Deferred for each thing that it does.

Knows no transport: whoever has one plugs it in (`lab.adapters.routes`).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.echo.outcomes import Characters, Done, Gone
from lab.errors import NoAnswer, Unreachable

#: Takes characters of a file: where they belong, and which they are. It may give a Deferred, and is
#: not called again before that has fired.
Write = Callable[[int, bytes], "Deferred[Any] | None"]


def ignore(*_: object) -> None:
    """Where things go that nobody wants to know."""


@define(eq=False)
class Way:
    """
    A core on one connection or port, and a Deferred for each thing that it does.

    Args:
        core: What it runs.
        clock: Gives the time.
        chunks: Whether it takes what comes as it comes, and not in lines.
        show: Called with the events that end nothing; what it raises ends all.
        may_end: Called with an end; whether that is to be told at once.
        gone: Called when no transport is needed any more.
    """

    core: Any
    _clock: IReactorTime
    chunks: bool = False
    show: Callable[[Any], object] = ignore
    may_end: Callable[[Done], bool] = bool
    gone: Callable[[], object] = ignore
    driver: Driver = field(init=False)
    _results: dict[int, Deferred[Any]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """The driver."""
        self.driver = Driver(self.core, self._clock)
        self.driver.tell = self._tell

    @property
    def waiting(self) -> int:
        """How much needs a transport."""
        waiting: int = self.core.waiting
        return waiting

    @property
    def heard(self) -> bool:
        """Whether the server has ever answered."""
        heard: bool = self.core.heard
        return heard

    def result(self, number: int, cancel: Callable[[float], object]) -> Deferred[Any]:
        """
        What comes of something that the core does.

        Args:
            number: What the core calls it.
            cancel: Called with the time when nobody wants it any more.
        """
        result: Deferred[Any] = Deferred(lambda _: self._cancel(number, cancel))
        self._results[number] = result
        return result

    def open(self) -> None:
        """There is a transport now."""
        self.core.open(self._clock.seconds())
        self.driver.settle()

    def closed(self, error: Unreachable) -> None:
        """The transport is gone."""
        self.fail(error)

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """There will be no transport."""
        self.core.lost(error, self._clock.seconds())
        self.driver.settle()

    def hold(self, *, wanted: bool) -> None:
        """Nobody takes what the core gives; or somebody does again."""
        (self.core.hold if wanted else self.core.release)(self._clock.seconds())
        self.driver.settle()

    def abandon(self, reason: Failure) -> None:
        """What belongs to the core has failed on our side."""
        result = self._results.pop(0, None)
        self.core.stop(self._clock.seconds())
        self.driver.settle()
        if result is not None:
            result.errback(reason)

    def finish(self, event: Done) -> None:
        """Tell how something has ended, unless nobody wants to know."""
        result = self._results.pop(event.number, None)
        if result is None:
            return
        if isinstance(event.value, Exception):
            result.errback(event.value)
        else:
            result.callback(event.value)

    def _cancel(self, number: int, cancel: Callable[[float], object]) -> None:
        """Nobody waits for this any more; it may have an end all the same."""
        cancel(self._clock.seconds())
        self.driver.settle()
        self._results.pop(number, None)

    def _tell(self, event: Any) -> None:
        """Something has ended, or happened."""
        if isinstance(event, Gone):
            self.gone()
        elif not isinstance(event, Done):
            try:
                self.show(event)
            except Exception:  # noqa: BLE001 - whatever a callback of the application's raises
                self.abandon(Failure())
        elif self.may_end(event):
            self.finish(event)


@define(eq=False)
class Sink:
    """
    Where the characters of a file go, one write at a time.

    Args:
        write: Takes them.
        progress: Told of them.
        total: How many there will be.
        room: So many may wait, in bytes, before the core is held.
    """

    _write: Write
    _progress: Callable[[int, int], object]
    _total: int
    _room: int
    way: Way = field(init=False)
    _queue: deque[Characters] = field(init=False, factory=deque)
    _waiting: int = field(init=False, default=0)
    _written: int = field(init=False, default=0)
    _writing: Deferred[Any] | None = field(init=False, default=None)
    _held: bool = field(init=False, default=False)
    _going: bool = field(init=False, default=False)
    _over: bool = field(init=False, default=False)
    #: How it ended, and what is told of that when all was written.
    _done: Done | None = field(init=False, default=None)

    def take(self, event: Characters) -> None:
        """Some characters came."""
        if not self._over:
            self._queue.append(event)
            self._waiting += len(event.data)
            self._go()

    def drop(self, reason: Failure) -> Failure:
        """It has failed, or nobody wants it any more: nothing more is written."""
        self._over = True
        self._queue.clear()
        return reason

    def may_end(self, event: Done) -> bool:
        """The core has come to an end; gives whether that is to be told at once."""
        self._done = event
        return not (self._queue or self._writing)

    def _go(self) -> None:
        """Write, as long as nothing has to be waited for."""
        if self._going:
            return
        self._going = True
        while self._queue and self._writing is None:
            event = self._queue.popleft()
            writing = maybeDeferred(self._write, event.offset, event.data)
            self._writing = writing
            writing.addCallback(self._wrote, len(event.data)).addErrback(self._fail)
        self._going = False
        self._hold()
        if self._done is not None and not self._queue and self._writing is None:
            self.way.finish(self._done)

    def _wrote(self, _: object, size: int) -> None:
        """It was taken."""
        self._writing = None
        self._waiting -= size
        self._written += size
        self._progress(self._written, self._total)
        self._go()

    def _fail(self, reason: Failure) -> None:
        """It can't be written: that is the end of it."""
        self._writing = None
        self.drop(reason)
        self.way.abandon(reason)

    def _hold(self) -> None:
        """Hold the core, or let it go on."""
        wanted = self._writing is not None and self._waiting > self._room
        if wanted != self._held and self._done is None and not self._over:
            self._held = wanted
            self.way.hold(wanted=wanted)
