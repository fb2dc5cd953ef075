"""
A timer wheel: calls for thousands of connections that take one call of the reactor.

Knows no service; any program on Twisted can give one to what takes an ``IReactorTime``.

**What it must do.** Make no call before its time, and none later than a slot behind it, but for
what keeps the whole process busy. Make those of one slot in the order of their times, and those of
one time in the order in which they were asked for. Cost the same whether ten calls wait or a
million. Hold nothing of calls that were cancelled, and nothing of the reactor while none waits.

**How it does it.** Time is cut into slots; a call stands in the list of the slot in which its time
is, and is made when the slot ends. Only slots in which something stands are known: a dictionary,
and a heap of their numbers, into which one goes once for all its calls. Within a slot there is no
order until it ends. What was cancelled or moved stays where it was, as an entry that nobody makes,
until its slot ends or more than half of all are such.

A wait that is short is not worth a slot: below ``shortest`` it is the reactor's, exactly.

**What was refused.** A ring of slots with a ring above it for each turn: a dictionary needs no
cascade, and waits may be as long as they like. Calls at the begin of their slot: they would be
early.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Any

from attrs import define, field
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from lab.errors import LocalError

#: Of a slot, in seconds: no call is later than this.
SLOT = 0.01
#: Waits that are shorter are the reactor's, in seconds.
SHORTEST = 0.1
#: So are those that are longer; more than thirty years, in seconds.
LONGEST = 1e9
#: So many entries that nobody makes are no reason to tidy up.
_FEW = 64
_log = Logger()


@implementer(IDelayedCall)
class WheelCall:
    """
    A call that waits in a wheel.

    Attributes:
        time: When it is to be made, in seconds.
    """

    __slots__ = ("_arguments", "_call", "_called", "_named", "_order", "_wheel", "time")

    def __init__(
        self,
        wheel: "TimerWheel",
        call: Callable[..., object],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        self.time = 0.0
        #: The number of its entry; others of it are not valid.
        self._order = 0
        self._wheel = wheel
        self._call: Callable[..., object] | None = call
        self._arguments = arguments
        self._named = named
        self._called = False

    def getTime(self) -> float:
        """When it is to be made, in seconds."""
        return self.time

    def active(self) -> bool:
        """Whether it was neither made nor cancelled."""
        return self._call is not None

    def cancel(self) -> None:
        """
        Don't make it.

        Raises:
            twisted.internet.error.AlreadyCalled: It was made.
            twisted.internet.error.AlreadyCancelled: It was cancelled before.
        """
        self._check()
        self._call, self._arguments, self._named, self._order = None, (), {}, 0
        self._wheel._cancelled()  # noqa: SLF001 - two classes of one thing

    def reset(self, secondsFromNow: float) -> None:
        """Make it so many seconds from now instead."""
        self._check()
        self._wheel._put(self, self._wheel.seconds() + secondsFromNow)  # noqa: SLF001

    def delay(self, secondsLater: float) -> None:
        """Make it so many seconds later."""
        self._check()
        self._wheel._put(self, self.time + secondsLater)  # noqa: SLF001

    def _check(self) -> None:
        """Refuse what comes too late."""
        if self._call is None:
            raise AlreadyCalled if self._called else AlreadyCancelled

    def _make(self) -> None:
        """Make it; a mistake in it harms no other."""
        call, self._call, self._called = self._call, None, True
        try:
            call(*self._arguments, **self._named)  # type: ignore[misc]
        except BaseException:  # noqa: BLE001 - as Twisted does
            _log.failure("a timed call failed")


#: When a call is due, which entry of all it is, and the call.
_Entry = tuple[float, int, WheelCall]


@implementer(IReactorTime)
@define(eq=False)
class TimerWheel:
    """
    A clock whose calls are in slots.

    Args:
        reactor: Gives the time; it has one call of the wheel's, while there are any.
        slot: No call is made later than this after its time, in seconds.
        shortest: Shorter waits are the reactor's, in seconds; not below a slot.

    Raises:
        LocalError: Slots that can't be.
    """

    _reactor: IReactorTime
    _slot: float = SLOT
    _shortest: float = SHORTEST
    #: The time of the reactor, in seconds.
    seconds: Callable[[], float] = field(init=False)
    _slots: dict[int, list[_Entry]] = field(init=False, factory=dict)
    _heap: list[int] = field(init=False, factory=list)
    #: How many calls wait, and how many entries there are in all slots.
    _calls: int = field(init=False, default=0)
    _entries: int = field(init=False, default=0)
    _order: int = field(init=False, default=0)
    #: The reactor's call, and the slot at whose end it comes.
    _waiting: IDelayedCall | None = field(init=False, default=None)
    _next: int = field(init=False, default=0)
    _turning: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not 0 < self._slot <= self._shortest:
            raise LocalError(
                f"slot is {self._slot:g} s; give more than 0 and at most {self._shortest:g}, "
                "the shortest wait"
            )
        self.seconds = self._reactor.seconds

    def __len__(self) -> int:
        """How many calls wait for the end of a slot."""
        return self._calls

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any
    ) -> IDelayedCall:
        """Call something after so many seconds."""
        if not self._shortest <= delay < LONGEST:
            return self._reactor.callLater(delay, callable, *args, **kw)
        call = WheelCall(self, callable, args, kw)
        self._calls += 1
        self._put(call, self.seconds() + delay)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """All that wait: the calls of the wheel, and those that the reactor has of others."""
        ours = [entry[2] for slot in self._slots.values() for entry in slot if _is_valid(entry)]
        theirs = self._reactor.getDelayedCalls()
        return [*ours, *(call for call in theirs if call is not self._waiting)]

    def _put(self, call: WheelCall, time: float) -> None:
        """Have a call made at a time; an entry that it had is not valid any more."""
        number = ceil(time / self._slot)
        if number * self._slot < time:
            number += 1  # the quotient was rounded
        self._order = call._order = order = self._order + 1  # noqa: SLF001
        call.time = time
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = slot = []
            heappush(self._heap, number)
            slot.append((time, order, call))
            self._entries += 1
            self._wait()
        else:
            slot.append((time, order, call))
            self._entries += 1
        if self._entries > 2 * self._calls + _FEW:
            self._tidy()

    def _cancelled(self) -> None:
        """One call less."""
        self._calls -= 1
        if self._entries > 2 * self._calls + _FEW or not self._calls:
            self._tidy()

    def _tidy(self) -> None:
        """Drop the entries that nobody makes."""
        found = {
            number: kept
            for number, slot in self._slots.items()
            if (kept := [entry for entry in slot if _is_valid(entry)])
        }
        self._slots, self._heap = found, list(found)
        heapify(self._heap)
        self._entries = sum(map(len, found.values()))
        self._wait()

    def _wait(self) -> None:
        """Have the reactor call at the end of the next slot, or not at all."""
        if self._turning:
            return  # it is seen to at the end of the turn
        if not self._heap:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None
        elif self._waiting is None or self._next != self._heap[0]:
            self._next = self._heap[0]
            wait = max(0.0, self._next * self._slot - self.seconds())
            if self._waiting is None:
                self._waiting = self._reactor.callLater(wait, self._turn)
            else:
                self._waiting.reset(wait)

    def _turn(self) -> None:
        """Make the calls of all slots that have ended by now."""
        self._waiting, self._turning = None, True
        # Floating point may bring a clock a hair before the time it was asked for.
        now = max(self.seconds(), self._next * self._slot)
        while self._heap and self._heap[0] * self._slot <= now:
            slot = self._slots.pop(heappop(self._heap))
            self._entries -= len(slot)
            slot.sort()
            for _, order, call in slot:
                if call._order == order:  # noqa: SLF001
                    self._calls -= 1
                    call._make()
        self._turning = False
        if self._calls:
            self._wait()
        else:
            self._tidy()


def _is_valid(entry: _Entry) -> bool:
    """Whether the call of an entry is to be made at its time."""
    return entry[2]._order == entry[1]  # noqa: SLF001
