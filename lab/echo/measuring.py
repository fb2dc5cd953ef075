"""
What the cores that measure a stream or probes share: rows while it lasts, and its end.

Knows no transport.
"""

import math
from typing import Any

from attrs import define, field, frozen

from lab.echo.attempts import Attempts
from lab.echo.operation import Operation
from lab.echo.outcomes import Broken, Cut, Measured, Rejected, Row, Stalled
from lab.echo.report import Interval
from lab.echo.wire import LEAST_SIZE, LIMIT, LONGEST, Busy, Challenge, Quit, Refused, encode
from lab.errors import LocalError, NoAnswer, Unreachable

#: When all seems to be there, what is still on its way may take so long, in seconds, and twice as
#: long as the slowest was slower than the fastest besides.
LAST = 0.5
#: Over datagrams, ``quit`` is said again so many seconds later: it has no answer.
AGAIN = (0.05, 0.2)
#: Of each packet so many copies are looked at in the mean, and so many more in all: who sends more
#: than that would never come to an end.
COPIES, MORE = 16, 1000
#: The shortest row, in seconds: each costs the work of a report.
SHORTEST = 0.1


@frozen
class Plan:
    """
    What is sent, and how that is looked at.

    Args:
        interval: One packet so often, in seconds, 0 to 3,600.
        count: How many, 1 to 1,000,000,000.
        size: Bytes of each, 64 to 65,507.
        rows: Length of a row, in seconds; at least `SHORTEST`.
        keep: Whether to keep each packet.
        timeout: After a silence of so long it is over, in seconds; more than the interval.
        late: A packet so long behind its successors is late, in seconds.

    Raises:
        LocalError: A number outside what is said above.
    """

    interval: float
    count: int
    size: int
    rows: float = 1.0
    keep: bool = False
    timeout: float = 5.0
    late: float = 0.1

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _check("interval", self.interval, 0, LONGEST)
        _check("count", self.count, 1, 10**9)
        _check("size", self.size, LEAST_SIZE, LIMIT)
        _check("interval of rows", self.rows, SHORTEST, 1e6)
        _check("late", self.late, 0, 1e6)
        if not self.interval < self.timeout < math.inf:
            raise LocalError(
                f"timeout is {self.timeout:g} s; give more than the interval of {self.interval:g} s"
            )


def _check(name: str, value: float, least: float, most: float) -> None:
    """Refuse what is outside."""
    if not least <= value <= most:
        raise LocalError(f"{name} is {value:g}; give {least:,g} to {most:,g}")


@define(eq=False, kw_only=True)
class Measuring(Operation):
    """
    A measure of packets: what is the same for streams and probes.

    Args:
        plan: What is sent.

    Attributes:
        meter: Takes what comes: `lab.echo.oneway.OneWay` or `lab.echo.roundtrip.RoundTrip`.
    """

    plan: Plan
    meter: Any = field(init=False)
    _opened: bool = field(init=False, default=False)
    #: When rows begin, how much of the time since then was shown, and the length of the next.
    _start: float | None = field(init=False, default=None)
    _shown: float = field(init=False, default=0.0)
    _step: float = field(init=False)
    _ended: bool = field(init=False, default=False)
    #: When to say quit again.
    _quits: list[float] = field(init=False, factory=list)
    _arrivals: int = field(init=False, default=0)
    #: The latest time, and the smallest and the largest delay.
    _now: float = field(init=False, default=-math.inf)
    _least: float = field(init=False, default=math.inf)
    _most: float = field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        """Rows are as long as was said, until there are too many."""
        self._step = self.plan.rows

    @property
    def id(self) -> bytes:
        """Of the requests."""
        return self.name + b"-1"

    def so_far(self) -> Measured:
        """What is to be said if nothing more comes."""
        return Measured(self.meter.report(), self._packets(), self._ended)

    def tick(self, now: float) -> None:
        """A row is over, something is to be sent, or the silence was too long."""
        if self.over:
            self._quits.pop(0)
            self._say_quit()
            return
        self._show(now)
        if self._is_due(now):
            self._now = max(self._now, now)
            self._overdue(now)

    def deadline(self) -> float | None:
        """When to call `tick`."""
        if self.over:
            return self._quits[0] if self._quits else None
        due = min(self._due, self._next_row())
        return due if due < math.inf else None

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """There is no transport any more, or there will be none."""
        if self._start is None or not self.heard:
            self._end(error)
        else:
            self._finish(Cut(str(error), self.so_far()))
        if self.datagrams and self.waiting and self.heard:
            self._say(encode(Quit(self.id)))
        self._quits.clear()
        self._go()

    def stop(self, now: float) -> None:
        """Nobody wants the rest. What there is so far is told as the end, if there is something."""
        if self.over:
            return
        if self._start is None:
            self.over = True
        else:
            self._finish(self.so_far())
        self._quit(now)

    def _packets(self) -> tuple[Any, ...]:
        """Each packet, if they were kept."""
        return ()

    def _rows(self, now: float) -> tuple[Interval, ...]:
        """Those so far."""
        found: tuple[Interval, ...] = self.meter.so_far()
        return found

    def _overdue(self, now: float) -> None:
        """Silence, or something is to be sent."""

    def _wrong(self, text: str, now: float) -> None:
        """Something that is not in the protocol: a network may do that to datagrams."""
        self.traffic.malformed += 1
        if not self.datagrams:
            self._finish(Broken(text, None if self._start is None else self.so_far()))
            self._quit(now)

    def _refused(self, reply: Refused | Busy | Challenge, attempts: Attempts) -> None:
        """The server does not do what it was asked for."""
        if not isinstance(reply, Challenge):
            self._end(Rejected(reply))
            self._go()
        elif attempts.prove(reply.token):
            self._say(attempts.data)

    def _arrived(self, delay: float) -> None:
        """One more packet came, be it a copy; how long it took, in seconds, with any zero."""
        self._arrivals += 1
        if self._arrivals > COPIES * self.plan.count + MORE:
            text = f"{self._arrivals:,} packets came, and {self.plan.count:,} were asked for"
            self._finish(Broken(text, self.so_far()))
            self._quit(self._now)
        self._least, self._most = min(self._least, delay), max(self._most, delay)

    def _grace(self) -> float:
        """How long what is still on its way may take."""
        spread = max(0.0, self._most - self._least)
        return min(self.plan.timeout, LAST + 2 * spread)

    def _stall(self, now: float) -> None:
        """Nothing comes any more, on a connection that ought to be whole."""
        text = f"nothing came for {self.plan.timeout:g} s"
        self._finish(Stalled(text, self.so_far()))
        self._quit(now)

    def _finish(self, value: object) -> None:
        """It is over; the last rows come before that."""
        if not self.over and self._start is not None:
            self._show(self._now, last=True)
        self._end(value)

    def _quit(self, now: float) -> None:
        """Have the server stop, if it was asked at all."""
        if not self._opened:
            self._go()
            return
        if self.datagrams:
            self._quits = [now + later for later in AGAIN]
        self._say_quit()

    def _say_quit(self) -> None:
        """Say it; for the last time perhaps."""
        self._say(encode(Quit(self.id)))
        if not self._quits:
            self._go()

    def _next_row(self) -> float:
        """When the next row is over."""
        return math.inf if self._start is None else self._start + self._shown + self._step

    def _show(self, now: float, *, last: bool = False) -> None:
        """Tell of the rows that are over; at the end, of the others, too."""
        if self._start is None or not (last or now >= self._next_row()):
            return
        intervals = self.meter.report().intervals if last else self._rows(now)
        if intervals:
            # They are twice as long when there are too many.
            self._step = intervals[0].end
        step, number = self._step, math.ceil(self._shown / self._step - 1e-9)
        self._shown = number * step
        while now >= self._next_row() or (last and number < len(intervals)):
            empty = _empty(number * step, (number + 1) * step)
            self._events.append(Row(intervals[number] if number < len(intervals) else empty))
            number += 1
            self._shown = number * step


def _empty(start: float, end: float) -> Interval:
    """A row in which nothing came."""
    return Interval(start, end, 0, 0, 0, 0, 0, 0, None, None, None, None)
