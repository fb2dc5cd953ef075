"""
The faults of one link, one behind the other, on datagrams.

**What it must do.** Take a datagram and say when which copies of it arrive, or that none does;
write down every decision.

**How it does it.** All faults judge at the time at which a datagram enters the link; their
delays add up. What is done to a copy by one fault is what the next one sees. What is held back
to be overtaken waits at its fault, until so many later datagrams have passed that, or `PATIENCE`.
What waits for a rate that other links have as well waits in its lane, see `lab.faults.sharing`.

**What was refused.** To let a fault judge when its unit arrives there: then a delay with jitter
makes later faults judge in another order than that of sending, and one decision would move
others.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any
from typing import Protocol as Interface

from attrs import define, evolve, field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.journal import Journal, Place
from lab.faults.seating import Seating
from lab.faults.sharing import Lane, Share, check_shared, is_shared
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.faults.words import Touch

#: A datagram that nobody overtakes is held back no longer than this, in seconds.
PATIENCE = 1.0
#: Bytes that a datagram takes besides its own while it waits, about.
OVERHEAD = 100
#: What is told of a datagram that waits for its turn.
_WAITS = Verdict(held=1)


class Decisions(Interface):
    """Where verdicts come from: `lab.faults.journal.Dice` or `lab.faults.journal.Replay`."""

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""

    def draw(self, place: Place, fault: Fault) -> float:
        """The fault works on this connection if this is less than its toxicity; 0 to 1."""


@frozen
class Arrival:
    """
    A datagram at the other end.

    Args:
        at: When, in seconds.
        data: Its bytes.
        tag: What was sent with it.
        touches: What faults have done to it.
    """

    at: float
    data: bytes
    tag: Any = None
    touches: tuple[Touch, ...] = field(default=(), eq=False, repr=False)


@frozen
class _Unit:
    """
    A copy of a datagram on its way: its delay so far, its bytes, its tag, what was done to it, and
    the list of what was done to all copies of it.
    """

    delay: float
    data: bytes
    tag: Any
    touches: tuple[Touch, ...]
    all_touches: list[Touch]


@define
class _Held:
    """A copy that waits to be overtaken, by so many, or until a time."""

    left: int
    until: float
    unit: _Unit


@define
class _Seat:
    """A fault at its place on one link."""

    fault: Fault
    place: Place
    judge: Judge
    since: float
    unit: int = 0
    held: list[_Held] = field(factory=list)
    #: Where units wait for a rate that is shared, each with the time at which it came.
    lane: Lane | None = None

    def works(self, now: float) -> bool:
        """Whether the fault works."""
        return self.fault.always or self.fault.works(now - self.since)

    def verdict(self, size: int, now: float) -> Verdict:
        """On the next unit; what passes while the fault does not work is none of its units."""
        if self.works(now):
            self.unit += 1
            return self.judge.judge(size, now)
        return DELIVER

    def deadline(self) -> float:
        """When something that waits here goes on, in seconds; infinity if nothing does."""
        due = self.lane.deadline() if self.lane else None
        first = min((held.until for held in self.held), default=math.inf)
        return first if due is None else min(first, due)

    def clear(self) -> list[_Unit]:
        """Have no lane any more; what has waited there."""
        if self.lane is None:
            return []
        units = [unit for unit, _ in self.lane.flush()]
        self.lane.close()
        self.lane = None
        return units


class DatagramLink:
    """
    One direction of one path for datagrams.

    Args:
        faults: What is wrong with it, in this order; their names differ.
        decisions: Where verdicts come from.
        place: Which link, connection and direction it is.
        journal: Takes every verdict that is not "deliver"; without, none is kept.
        now: When the link begins, in seconds.
        share: Gives the lanes at rates that links have together; without, there are none.
        watch: Called with a fault and its verdict, for each that is not `DELIVER`.

    Raises:
        LocalError: Two faults of one name, or one that is shared with nobody there to share it.

    >>> from lab.faults.datagrams import Duplicate, Latency
    >>> from lab.faults.journal import Dice
    >>> faults = [Fault(Latency(0.02), "latency"), Fault(Duplicate(1.0), "duplicate")]
    >>> DatagramLink(faults, Dice(seed=7), Place("a-b")).send(b"hello", now=1.0)
    [Arrival(at=1.02, data=b'hello', tag=None), Arrival(at=1.02, data=b'hello', tag=None)]
    """

    def __init__(  # noqa: PLR0913 - each is something else, and half of them may be left out
        self,
        faults: Sequence[Fault],
        decisions: Decisions,
        place: Place,
        *,
        journal: Journal | None = None,
        now: float = 0.0,
        share: Share | None = None,
        watch: Callable[[Fault, Verdict], object] | None = None,
    ) -> None:
        self._seating = Seating(decisions, place, journal, now)
        self._share, self._watch = share, watch
        self._seats: list[_Seat] = []
        #: What faults have done to the copies of the last datagram, for a capture.
        self.touched: list[Touch] = []
        self.update(faults, now)

    def send(self, data: bytes, now: float, tag: Any = None) -> list[Arrival]:
        """
        Send a datagram.

        Args:
            data: Its bytes.
            now: In seconds; never less than at the call before.
            tag: Whatever shall be told of it where it arrives; no fault touches it.

        Returns:
            What arrives because of it, and when: copies of this one, and others that had to be
            overtaken first.
        """
        arrivals: list[Arrival] = []
        self._take_turns(now, arrivals)
        self.touched = []
        self._pass(0, _Unit(0.0, data, tag, (), self.touched), now, arrivals)
        return arrivals

    def tick(self, now: float) -> list[Arrival]:
        """What arrives because it was not overtaken in time, or has had its turn."""
        arrivals: list[Arrival] = []
        for index, seat in enumerate(self._seats):
            due = [held for held in seat.held if held.until <= now]
            for held in due:
                seat.held.remove(held)
                self._pass(index + 1, held.unit, now, arrivals)
        self._take_turns(now, arrivals)
        return arrivals

    def deadline(self) -> float | None:
        """When to tick next, in seconds, or None."""
        due = min((seat.deadline() for seat in self._seats), default=math.inf)
        return due if due < math.inf else None

    @property
    def memory(self) -> int:
        """About how much memory takes what waits for its turn, in bytes."""
        lanes = [seat.lane for seat in self._seats if seat.lane]
        return sum(lane.size + OVERHEAD * lane.units for lane in lanes)

    def close(self) -> None:
        """Send nothing any more: what waits is gone."""
        for seat in self._seats:
            seat.clear()
        self._seats = []

    def release(self, now: float) -> list[Arrival]:
        """What waits for its turn, at once; and send nothing any more, as after `close`."""
        arrivals = self.tick(now)
        for index, seat in enumerate(self._seats):
            for unit in seat.clear():
                self._pass(index + 1, unit, now, arrivals)
        self.close()
        return arrivals

    def update(self, faults: Sequence[Fault], now: float) -> list[Arrival]:
        """
        Have other faults from now on.

        A fault that is as before goes on; what one that is not has held back goes on to the next
        at once.

        Args:
            faults: All that there are from now on, in order; their names differ.
            now: In seconds; times of faults that are new or have changed count from here.

        Returns:
            What arrives because of it.

        Raises:
            LocalError: As at the beginning; then nothing has changed.
        """
        check_names(faults, self._seating.place.link)
        check_shared(faults, self._share)
        arrivals = self.tick(now)
        for index, seat in enumerate(self._seats):
            if seat.fault not in faults:
                for unit in [*(held.unit for held in seat.held), *seat.clear()]:
                    self._pass(index + 1, unit, now, arrivals)
        before = {seat.fault: seat for seat in self._seats}
        seats = [before.get(fault) or self._seat(fault, now) for fault in faults]
        self._seats = [seat for seat in seats if seat is not None]
        return arrivals

    def _seat(self, fault: Fault, now: float) -> _Seat | None:
        """Put a fault to work, if it works on this connection."""
        begun = self._seating.begin(fault, now)
        if begun is None:
            return None
        place, judge = begun
        seat = _Seat(fault, place, judge, now)
        if self._share is not None and is_shared(fault):
            seat.lane = self._share(fault, place, now)
        return seat

    def _pass(self, index: int, unit: _Unit, now: float, arrivals: list[Arrival]) -> None:
        """Take a copy through the faults from this one on."""
        if index == len(self._seats):
            arrivals.append(Arrival(now + unit.delay, unit.data, unit.tag, unit.touches))
            return
        seat = self._seats[index]
        if seat.lane is not None and seat.works(now):
            self._wait(index, seat.lane, unit, now, arrivals)
            return
        verdict = seat.verdict(len(unit.data), now)
        touches = unit.touches
        if verdict is not DELIVER:
            self._note(seat, verdict, now)
            touches = *touches, (seat.fault, verdict)
            self._touch(unit, seat.fault, verdict)
        if verdict.held:
            later = evolve(unit, touches=touches)
            seat.held.append(_Held(verdict.held, now + PATIENCE, later))
            return
        for more, copy in verdict.apply(unit.data):
            later = _Unit(unit.delay + more, copy, unit.tag, touches, unit.all_touches)
            self._pass(index + 1, later, now, arrivals)
        if seat.held:
            self._overtake(index, now, arrivals)

    def _wait(
        self, index: int, lane: Lane, unit: _Unit, now: float, arrivals: list[Arrival]
    ) -> None:
        """A copy waits for its turn, or goes on at once, or there is no room for it."""
        seat = self._seats[index]
        seat.unit += 1
        if not lane.offer((unit, now), len(unit.data), now):
            self._note(seat, DROP, now)
            self._touch(unit, seat.fault, DROP)
            return
        self._take_turn(index, lane, now, arrivals)
        if lane.units:  # they keep their order, so it is the last of them
            self._touch(unit, seat.fault, _WAITS)

    def _take_turns(self, now: float, arrivals: list[Arrival]) -> None:
        """Let go on what has had its turn by now, at all faults."""
        for index, seat in enumerate(self._seats):
            if seat.lane is not None:
                self._take_turn(index, seat.lane, now, arrivals)

    def _take_turn(self, index: int, lane: Lane, now: float, arrivals: list[Arrival]) -> None:
        """Let go on what has had its turn by now, each at its time."""
        for at, (unit, came) in lane.pop(now):
            if at > came:
                touch = self._seats[index].fault, Verdict((at - came,))
                unit = evolve(unit, touches=(*unit.touches, touch))  # noqa: PLW2901
            self._pass(index + 1, unit, at, arrivals)

    def _overtake(self, index: int, now: float, arrivals: list[Arrival]) -> None:
        """One more has passed those that are held back here."""
        seat = self._seats[index]
        for held in seat.held:
            held.left -= 1
        free = [held for held in seat.held if not held.left]
        seat.held = [held for held in seat.held if held.left]
        for held in free:
            self._pass(index + 1, held.unit, now, arrivals)

    def _note(self, seat: _Seat, verdict: Verdict, now: float) -> None:
        """Write a decision down."""
        if seat.fault.settings.drawn or not verdict.delays:
            self._seating.record(seat.place, seat.unit - 1, now, verdict)

    def _touch(self, unit: _Unit, fault: Fault, verdict: Verdict) -> None:
        """A fault has done something with a copy."""
        unit.all_touches.append((fault, verdict))
        if self._watch is not None:
            self._watch(fault, verdict)


def check_names(faults: Sequence[Fault], link: str) -> None:
    """
    Refuse faults that can't be told from each other.

    Args:
        faults: All those of one direction.
        link: The name of the link, for the error.

    Raises:
        LocalError: Two faults of one name.
    """
    names = set()
    for fault in faults:
        if fault.name in names:
            raise LocalError(f"two faults of {link} are named {fault.name!r}; give two names")
        names.add(fault.name)
