"""
The clock of a simulation, and what is due on it. Knows neither hosts nor packets.

**What it must do.** Call things in the order of their times, those of one time in the order in
which they were asked for, millions of them, and let some be withdrawn.

**How it does it.** A heap of lists. ``task.Clock`` sorts all its calls at every call, which makes
1,000 calls/s of 43,000 when there are 5,000 timers. An event that is withdrawn stays in the heap
without its function, until its time or until there are more such than others.
"""

import heapq
import math
from collections.abc import Callable
from typing import Any

from attrs import define, field

from lab.rng import Random

#: An event: when, its number, its function (None if it was withdrawn), its arguments.
Event = list[Any]


@define(eq=False)
class Kernel:
    """
    Virtual time.

    Attributes:
        now: In seconds; during an event its time, and never less than before.
        done: Events that have happened.
        watch: Called after each event, if there is anything to watch for.
    """

    now: float = 0.0
    done: int = 0
    watch: Callable[[], object] | None = None
    _events: list[Event] = field(factory=list)
    _numbers: int = 0
    _withdrawn: int = 0

    def at(self, when: float, function: Callable[..., object], *arguments: Any) -> Event:
        """
        Call a function at a time.

        Args:
            when: In seconds; what is past is done at once, after what is due already.
            function: What is called.
            arguments: With what.

        Returns:
            The event, for `withdraw`.
        """
        self._numbers += 1
        event: Event = [when, self._numbers, function, arguments]
        if when < self.now:
            event[0] = self.now
        heapq.heappush(self._events, event)
        return event

    #: As `at`, for timers of hosts: those of one time have no order that could be relied on.
    timer = at

    def withdraw(self, event: Event) -> None:
        """Let an event not happen; one that has happened, or was withdrawn, stays as it is."""
        if event[2] is not None:
            event[2], event[3] = None, ()
            self._withdrawn += 1
            if self._withdrawn > 64 and self._withdrawn * 2 > len(self._events):
                self._events = [one for one in self._events if one[2] is not None]
                heapq.heapify(self._events)
                self._withdrawn = 0

    def next(self) -> float:
        """When something happens next, in seconds; infinity if nothing will."""
        events = self._events
        while events and events[0][2] is None:
            heapq.heappop(events)
            self._withdrawn -= 1
        return events[0][0] if events else math.inf

    def step(self) -> None:
        """
        Let the next event happen.

        Raises:
            IndexError: There is none.
        """
        self.next()
        event = heapq.heappop(self._events)
        when, _, function, arguments = event
        event[2] = None
        self.now = when
        self.done += 1
        function(*arguments)
        if self.watch is not None:
            self.watch()

    def run(self, until: float) -> None:
        """Let all happen that is due up to a time, in seconds, and stand there."""
        # As `next` and `step`, without their calls: this loop is most of a simulation.
        pop = heapq.heappop
        while self._events and self._events[0][0] <= until:
            event = pop(self._events)
            when, _, function, arguments = event
            if function is None:
                self._withdrawn -= 1
                continue
            event[2] = None
            self.now = when
            self.done += 1
            function(*arguments)
            if self.watch is not None:
                self.watch()
        if until < math.inf:
            self.now = max(self.now, until)

    @property
    def waiting(self) -> int:
        """How many events are to come."""
        return len(self._events) - self._withdrawn


@define(eq=False)
class ShuffledKernel(Kernel):
    """
    Virtual time on which timers have no order among the events of their time.

    Timers of one time happen in a drawn order, and each before, between or behind the other
    events of that time, which keep their order.

    Args:
        random: Draws.
    """

    _random: Random = field(kw_only=True)
    #: Their numbers are drawn, and less than 0.
    _timers: Kernel = field(init=False, factory=Kernel)

    def timer(self, when: float, function: Callable[..., object], *arguments: Any) -> Event:
        """As `Kernel.at`, but in any order."""
        event: Event = [max(self.now, when), -1.0 - self._random.random(), function, arguments]
        heapq.heappush(self._timers._events, event)  # noqa: SLF001 - it is a kernel, too
        return event

    def withdraw(self, event: Event) -> None:
        """Let an event not happen."""
        if event[1] < 0:
            self._timers.withdraw(event)
        else:
            Kernel.withdraw(self, event)

    def next(self) -> float:
        """When something happens next, in seconds; infinity if nothing will."""
        return min(Kernel.next(self), self._timers.next())

    def step(self) -> None:
        """Let the next event happen; if a timer and another are due, a draw decides."""
        other, timer = Kernel.next(self), self._timers.next()
        if other < timer or (other == timer and self._random.random() < 0.5):
            Kernel.step(self)
            return
        event = heapq.heappop(self._timers._events)  # noqa: SLF001 - the same
        self.now, _, function, arguments = event
        event[2] = None
        self.done += 1
        function(*arguments)
        if self.watch is not None:
            self.watch()

    def run(self, until: float) -> None:
        """Let all happen that is due up to a time, in seconds, and stand there."""
        while self.waiting and self.next() <= until:
            self.step()
        if until < math.inf:
            self.now = max(self.now, until)

    @property
    def waiting(self) -> int:
        """How many events are to come."""
        return len(self._events) - self._withdrawn + self._timers.waiting
