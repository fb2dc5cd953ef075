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
until its slot ends or more than half of all are such. An entry is the call itself, which knows the
slot that it is valid in: nothing else is made for it that Python's garbage collector would have to
look at, and a full collection takes long where there are many connections.

A wait that is short is not worth a slot: below ``shortest`` it is the reactor's, exactly.

Most calls of a server with many clients only send the next line of a `lab.core.Series`. So a call
may leave that to the wheel, `TimerWheel.send`: all lines of a slot are taken first, and then sent
one after the other. That takes less than to do Python's own work between two calls of the system,
perhaps because each drives the other out of the processor's caches; and whoever receives is woken
less often.

**What was refused.** A ring of slots with a ring above it for each turn: a dictionary needs no
cascade, and waits may be as long as they like. Calls at the begin of their slot: they would be
early.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import ceil
from operator import attrgetter
from typing import Any

from attrs import define, field
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from lab.core import Series
from lab.errors import LocalError

#: Of a slot, in seconds: no call is later than this.
SLOT = 0.01
#: Waits that are shorter are the reactor's, in seconds.
SHORTEST = 0.1
#: So are those that are longer; more than thirty years, in seconds.
LONGEST = 1e9
#: So many entries that nobody makes are no reason to tidy up.
_FEW = 64
_NAMELESS: dict[str, Any] = {}
_log = Logger()


@implementer(IDelayedCall)
class WheelCall:
    """
    A call that waits in a wheel.

    Attributes:
        time: When it is to be made, in seconds.
        series: What the wheel sends instead, as long as that is all; see `TimerWheel.send`.
        send: Sends that.
    """

    __slots__ = (
        "_arguments",
        "_call",
        "_called",
        "_named",
        "_order",
        "_slot",
        "_wheel",
        "send",
        "series",
        "time",
    )

    def __init__(
        self,
        wheel: "TimerWheel",
        call: Callable[..., object],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        self.time = 0.0
        #: The slot that it is to be made in; entries of it in others are not valid.
        self._slot: int | None = None
        #: Which addition or move its last was.
        self._order = 0
        self._wheel = wheel
        self._call: Callable[..., object] | None = call
        self._arguments = arguments
        self._named = named
        self._called = False
        self.series: Series | None = None
        self.send: Callable[[bytes], object] = len

    def getTime(self) -> float:
        """When it is to be made, in seconds."""
        return self.time

    def active(self) -> bool:
        """Whether it was neither made nor cancelled."""
        return self._slot is not None

    def cancel(self) -> None:
        """
        Don't make it.

        Raises:
            twisted.internet.error.AlreadyCalled: It was made.
            twisted.internet.error.AlreadyCancelled: It was cancelled before.
        """
        self._check()
        self._call, self._arguments, self._named, self._slot = None, (), _NAMELESS, None
        self.send = len
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
        """Refuse what comes too late; whoever moves a call wants it to be made."""
        if self._slot is None:
            raise AlreadyCalled if self._called else AlreadyCancelled
        self.series = None

    def _make(self) -> None:
        """Make it; a mistake in it harms no other."""
        self._slot, self._called = None, True
        self.series, self.send = None, len
        try:
            self._call(*self._arguments, **self._named)  # type: ignore[misc]
        except BaseException:  # noqa: BLE001 - as Twisted does
            _log.failure("a timed call failed")
        if self._slot is None:
            # It is not made again, and keeps nothing.
            self._call, self._arguments, self._named = None, (), _NAMELESS


#: Calls in the order in which they are made.
_in_order = attrgetter("time", "_order")


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
    _slots: dict[int, list[WheelCall]] = field(init=False, factory=dict)
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

    def again(self, call: IDelayedCall, time: float) -> bool:
        """
        Make a call once more, with the same arguments: for whoever is called over and over.

        Args:
            call: The one that is being made just now.
            time: When to make it, in seconds.

        Returns:
            Whether it will be: this takes half the time of `callLater`. If not, because it is none
            of this wheel's, is not being made, or the wait is none for slots, use that.
        """
        if type(call) is not WheelCall or call._slot is not None or call._call is None:  # noqa: SLF001
            return False
        if not self._shortest <= time - self.seconds() < LONGEST:
            return False
        call._called = False  # noqa: SLF001
        self._calls += 1
        self._put(call, time)
        return True

    def send(self, call: IDelayedCall, series: Series, send: Callable[[bytes], object]) -> bool:
        """
        Send lines of a series, each when its time has come, and then make a call once more.

        It is made when but one line is left, and when the series may not be sent from. If less is
        sent than all, it is made at once; what is left is the next line then.

        Args:
            call: The one that is being made just now.
            series: What is sent.
            send: Sends, and says how many bytes. If it says anything else, or raises an error, none
                were sent: the call will find out why.

        Returns:
            Whether it will be made so. If not, because `again` would not make it or there are less
            than two lines, nothing has happened.
        """
        if len(series.lines) < 2 or not isinstance(call, WheelCall):
            return False
        if not self.again(call, series.due()):
            return False
        call.series, call.send = series, send
        return True

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """All that wait: the calls of the wheel, and those that the reactor has of others."""
        slots = self._slots.items()
        ours = [call for number, slot in slots for call in _valid(number, slot)]
        theirs = self._reactor.getDelayedCalls()
        return [*ours, *(call for call in theirs if call is not self._waiting)]

    def _put(self, call: WheelCall, time: float) -> None:
        """Have a call made at a time; an entry that it had is not valid any more."""
        number = ceil(time / self._slot)
        if number * self._slot < time:
            number += 1  # the quotient was rounded
        self._order = call._order = self._order + 1  # noqa: SLF001
        call.time, call._slot = time, number  # noqa: SLF001
        self._entries += 1
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = [call]
            heappush(self._heap, number)
            self._wait()
        else:
            slot.append(call)
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
            number: kept for number, slot in self._slots.items() if (kept := _valid(number, slot))
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

    def _sent(self, number: int, slot: list[WheelCall], now: float) -> list[WheelCall]:
        """Send what there is of series in a slot; gives the calls that are to be made."""
        left, taken = [], []
        for call in _valid(number, slot):
            series = call.series
            if series is None or len(series.lines) < 2 or not series.due() <= now < series.until:
                left.append(call)
                continue
            taken.append((call, series, series.take(now)))
            following = series.due()
            if series.lines and following < series.until:
                self._put(call, following)
            else:
                left.append(call)
        for call, series, line in taken:
            try:
                sent = call.send(line)
            except Exception:  # noqa: BLE001 - whoever is called finds out why; see `send`
                sent = None
            if sent != len(line):
                series.give_back(line[sent:] if isinstance(sent, int) else line)
                call._slot = number  # noqa: SLF001 - two classes of one thing
                left.append(call)
        return left

    def _turn(self) -> None:
        """Make the calls of all slots that have ended by now."""
        self._waiting, self._turning = None, True
        # Floating point may bring a clock a hair before the time it was asked for.
        now = max(self.seconds(), self._next * self._slot)
        while self._heap and self._heap[0] * self._slot <= now:
            number = heappop(self._heap)
            slot = self._slots.pop(number)
            self._entries -= len(slot)
            slot.sort(key=_in_order)
            for call in self._sent(number, slot, now):
                if call._slot == number:  # noqa: SLF001
                    self._calls -= 1
                    call._make()
        self._turning = False
        if self._calls:
            self._wait()
        else:
            self._tidy()


def _valid(number: int, slot: list[WheelCall]) -> list[WheelCall]:
    """The calls that are to be made in a slot, each once."""
    return list(dict.fromkeys(call for call in slot if call._slot == number))  # noqa: SLF001
