"""
The one loop that runs a core: feed it, write what it sends, tell what it says, keep one timer.

Knows no transport: a stream and a datagram port both give it a function that writes.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lab.core import Broken, Core, Finished, Left, Series


def _nowhere(_: Any) -> None:
    """Where things go that nobody takes."""


def _never(*_: Any) -> bool:
    """What most cores are and most clocks do."""
    return False


@define(eq=False)
class Driver:
    """
    Runs one core.

    Args:
        core: What is run.
        clock: Gives the time, and calls when it has come.

    Attributes:
        write: Called with the messages to send; what is sent while there is no transport is
            dropped, as a network would.
        tell: Called with each event but `lab.core.Finished`, `lab.core.Left` and `lab.core.Broken`.
        finish: Called with the reason when the core wants the connection to end.
        leave: Called with the reason when the peer wants it.
        abort: Called with the reason when the connection has to end at once.
        busy: Says whether the core is; see `lab.core.BusyCore`.
        reply: Answers lines with bytes, and may be called while nothing is outgoing; None if the
            core can't. See `lab.core.PromptCore`.
        give: Called with bytes that a core has to send when its time has come, see
            `lab.core.TickingCore`; None while there is nobody to take them.
        send: Gives bytes to the system, and says how many it takes, or raises `OSError`; None while
            it can't be known that nothing else has to be sent before them.
    """

    core: Core
    clock: IReactorTime
    write: Callable[[list[Any]], None] = _nowhere
    tell: Callable[[Any], None] = _nowhere
    finish: Callable[[str], None] = _nowhere
    leave: Callable[[str], None] = _nowhere
    abort: Callable[[str], None] = _nowhere
    give: Callable[[bytes], None] | None = None
    send: Callable[[bytes], int] | None = None
    _timer: IDelayedCall | None = None
    _due: float = 0.0
    #: What a wheel sends until the timer comes.
    _series: Series | None = None
    _ticked: float = 0.0
    _settling: bool = False
    _more: bool = False
    _stopped: bool = False
    busy: Callable[[], bool] = field(init=False)
    reply: Callable[[bytes, float], bytes | None] | None = field(init=False)
    #: The same core if it strikes, or takes batches, and the clock if it is a wheel. Methods are
    #: not kept: there are many drivers, and each would be one thing more for the garbage collector.
    _striking: Any = field(init=False)
    _batching: Any = field(init=False)
    _wheel: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Find out once what the core can do."""
        self.busy = getattr(self.core, "busy", _never)
        self.reply = getattr(self.core, "reply", None)
        self._striking = self.core if hasattr(self.core, "strike") else None
        self._batching = self.core if hasattr(self.core, "messages") else None
        self._wheel = self.clock if hasattr(self.clock, "again") else None

    def message(self, data: bytes) -> None:
        """The peer sent one message."""
        self.core.message(data, self.clock.seconds())
        self.settle()

    def messages(self, batch: list[bytes]) -> int:
        """The peer sent these messages; returns how many were taken."""
        now = self.clock.seconds()
        taken: int = (
            self._each(batch, now)
            if self._batching is None
            else self._batching.messages(batch, now)
        )
        self.settle()
        return taken

    def now(self) -> float:
        """The time as the core knows it, in seconds: a tick is never before its deadline."""
        return max(self.clock.seconds(), self._ticked)

    def close(self) -> None:
        """The peer is gone."""
        self.core.close(self.clock.seconds())
        self.settle()
        self.stop()

    def stop(self) -> None:
        """End the timer for good: a driver that is stopped holds nothing of the reactor's."""
        self._stopped = True
        self._disarm()

    def unplug(self) -> None:
        """There is no transport any more; what is sent is dropped."""
        self.write = self.finish = self.leave = self.abort = _nowhere
        self.give = None
        self.queue()

    def queue(self) -> None:
        """From now on something may have to be sent before what ``send`` would."""
        self.send = None
        if self._series is not None:
            self._disarm()
            self._arm()

    def settle(self) -> None:
        """Do what the core wants done, after any call to it."""
        # Whom we tell may call the core again, and through it us: one loop does it all, so that
        # everything is written and told in order.
        self._more = True
        if self._settling:
            return
        self._settling = True
        try:
            while self._more:
                self._more = False
                self._deliver()
        finally:
            self._settling = False
        self._arm()

    def _deliver(self) -> None:
        """Write and tell once."""
        out, events = self.core.outgoing(), self.core.events()
        if out:
            self.write(out)
        for event in events:
            if isinstance(event, Finished):
                self.finish(event.reason)
            elif isinstance(event, Left):
                self.leave(event.reason)
            elif isinstance(event, Broken):
                self.abort(event.reason)
            else:
                self.tell(event)

    def _arm(self) -> None:
        """Be called at the deadline, or before: a timer that comes too early is set again."""
        deadline = self.core.deadline()
        due = self._due if self._series is None else self._series.due()
        if deadline is None or self._stopped or (self._timer and due <= deadline):
            return
        self._disarm()
        self._due = deadline
        self._timer = self.clock.callLater(max(0, deadline - self.clock.seconds()), self._tick)

    def _disarm(self) -> None:
        """No timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._series = None

    def _tick(self) -> None:
        """The timer has come."""
        made, self._timer, self._series = self._timer, None, None
        # Floating point may bring a clock a hair before the time it was asked for.
        now, due = self.clock.seconds(), self._due
        now = max(now, due)
        self._ticked = now
        if self._striking is not None and self.give is not None:
            series = self._striking.strike(now)
            if series is not None:
                self.give(series.take(now))
                self._go_on(series, made)
                return
        deadline = self.core.deadline()
        if deadline is not None and deadline <= now:
            self.core.tick(now)
        self.settle()

    def _go_on(self, series: Series, made: Any) -> None:
        """Be called when the next line of a series is due, or have a wheel send it."""
        if self._timer is not None or self._stopped:
            return
        # A wheel need not make another timer; see `lab.adapters.wheel`.
        if self._wheel is not None:
            if self.send is not None and self._wheel.send(made, series, self.send):
                self._timer, self._series = made, series
                return
            due = self.core.deadline()
            if due is not None and self._wheel.again(made, due):
                self._timer, self._due = made, due
                return
        self._arm()

    def _each(self, batch: list[bytes], now: float) -> int:
        """A batch for a core that takes one message at a time."""
        for data in batch:
            self.core.message(data, now)
        return len(batch)
