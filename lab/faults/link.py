"""
The faults of one link, one behind the other, on datagrams.

**What it must do.** Take a datagram and say when which copies of it arrive, or that none does;
write down every decision.

**How it does it.** All faults judge at the time at which a datagram enters the link; their
delays add up. What is done to a copy by one fault is what the next one sees. What is held back
to be overtaken waits at its fault, until so many later datagrams have passed that, or `PATIENCE`.

**What was refused.** To let a fault judge when its unit arrives there: then a delay with jitter
makes later faults judge in another order than that of sending, and one decision would move
others.
"""

from collections.abc import Sequence
from typing import Any
from typing import Protocol as Interface

from attrs import define, evolve, field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Place
from lab.faults.verdicts import DELIVER, Verdict
from lab.faults.words import Touch

#: A datagram that nobody overtakes is held back no longer than this, in seconds.
PATIENCE = 1.0


class Decisions(Interface):
    """Where verdicts come from: `lab.faults.journal.Dice` or `lab.faults.journal.Replay`."""

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""

    def hits(self, place: Place, fault: Fault) -> bool:
        """Whether the fault works on this connection."""


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

    def verdict(self, size: int, now: float) -> Verdict:
        """On the next unit; what passes while the fault does not work is none of its units."""
        if self.fault.always or self.fault.works(now - self.since):
            self.unit += 1
            return self.judge.judge(size, now)
        return DELIVER


class DatagramLink:
    """
    One direction of one path for datagrams.

    Args:
        faults: What is wrong with it, in this order; their names differ.
        decisions: Where verdicts come from.
        place: Which link, connection and direction it is.
        journal: Takes every verdict that is not "deliver"; without, none is kept.
        now: When the link begins, in seconds.

    Raises:
        LocalError: Two faults of one name.

    >>> from lab.faults.datagrams import Duplicate, Latency
    >>> from lab.faults.journal import Dice
    >>> faults = [Fault(Latency(0.02), "latency"), Fault(Duplicate(1.0), "duplicate")]
    >>> DatagramLink(faults, Dice(seed=7), Place("a-b")).send(b"hello", now=1.0)
    [Arrival(at=1.02, data=b'hello', tag=None), Arrival(at=1.02, data=b'hello', tag=None)]
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        decisions: Decisions,
        place: Place,
        *,
        journal: Journal | None = None,
        now: float = 0.0,
    ) -> None:
        self._decisions, self._place = decisions, place
        self._journal = journal
        #: How often each fault has been put to work.
        self._begun: dict[str, int] = {}
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
        self.touched = []
        self._pass(0, _Unit(0.0, data, tag, (), self.touched), now, arrivals)
        return arrivals

    def tick(self, now: float) -> list[Arrival]:
        """What arrives because it was not overtaken in time."""
        arrivals: list[Arrival] = []
        for index, seat in enumerate(self._seats):
            due = [held for held in seat.held if held.until <= now]
            for held in due:
                seat.held.remove(held)
                self._pass(index + 1, held.unit, now, arrivals)
        return arrivals

    def deadline(self) -> float | None:
        """When to tick next, in seconds, or None."""
        return min((held.until for seat in self._seats for held in seat.held), default=None)

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
            LocalError: Two faults of one name.
        """
        names = [fault.name for fault in faults]
        for name in names:
            if names.count(name) > 1:
                raise LocalError(
                    f"two faults of {self._place.link} are named {name!r}; give two names"
                )
        arrivals = self.tick(now)
        for index, seat in enumerate(self._seats):
            if seat.fault not in faults:
                for held in seat.held:
                    self._pass(index + 1, held.unit, now, arrivals)
        before = {seat.fault: seat for seat in self._seats}
        seats = [before.get(fault) or self._seat(fault, now) for fault in faults]
        self._seats = [seat for seat in seats if seat is not None]
        return arrivals

    def _seat(self, fault: Fault, now: float) -> _Seat | None:
        """Put a fault to work, if it works on this connection."""
        place = self._place.of(fault.name)
        if not self._decisions.hits(place, fault):
            return None
        # What begins anew counts its units anew, and needs a name of its own in the journal.
        times = self._begun[fault.name] = self._begun.get(fault.name, 0) + 1
        if times > 1:
            place = self._place.of(f"{fault.name}#{times}")
        return _Seat(fault, place, self._decisions.judge(place, fault), now)

    def _pass(self, index: int, unit: _Unit, now: float, arrivals: list[Arrival]) -> None:
        """Take a copy through the faults from this one on."""
        if index == len(self._seats):
            arrivals.append(Arrival(now + unit.delay, unit.data, unit.tag, unit.touches))
            return
        seat = self._seats[index]
        verdict = seat.verdict(len(unit.data), now)
        touches = unit.touches
        if verdict is not DELIVER:
            self._note(seat, verdict, now)
            touches = *touches, (seat.fault, verdict)
            unit.all_touches.append(touches[-1])
        if verdict.held:
            later = evolve(unit, touches=touches)
            seat.held.append(_Held(verdict.held, now + PATIENCE, later))
            return
        for more, copy in verdict.apply(unit.data):
            later = _Unit(unit.delay + more, copy, unit.tag, touches, unit.all_touches)
            self._pass(index + 1, later, now, arrivals)
        if seat.held:
            self._overtake(index, now, arrivals)

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
        if self._journal and (seat.fault.settings.drawn or not verdict.delays):
            self._journal.record(Entry(seat.place, seat.unit - 1, now, verdict))
