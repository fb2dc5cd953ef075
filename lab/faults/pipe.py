"""
The faults of one direction of one connection, one behind the other, on a stream of bytes.

**What it must do.** Take bytes and the end, and give bytes and marks in the order in which they
came, each at its time; write down every decision that was drawn.

**How it does it.** Each fault is a stage with a queue behind it. An item is judged when it comes
to a stage, and is in its queue until it leaves. What happens inside happens in the order of its
times, and at equal times what is nearer to the way out goes first; so it makes no difference how
often somebody ticks.

**What was refused.** One delay for an item through all stages, as datagrams have it: a stage may
cut items and hold them back for an unknown time, and the next must see them when they come.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from lab.errors import LocalError
from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.journal import Journal, Place
from lab.faults.link import Decisions, check_names
from lab.faults.seating import Seating
from lab.faults.sharing import Share, check_shared, is_shared
from lab.faults.stages import (
    STAGES,
    UNJUDGED,
    Schedule,
    SharedBandwidthStage,
    Stage,
    size_of,
)
from lab.faults.streams import CLOSE, END, RESET, Item, Slicer, Timed
from lab.faults.trail import Chunk, Piece, Trail, Watch
from lab.faults.verdicts import DELIVER, Verdict
from lab.faults.words import Touch

#: What a piece of a stream takes beside its bytes, in bytes of memory: a time, a tuple, a header.
OVERHEAD = 100


@define
class _Noted:
    """A judge whose decisions are written down; it judges nothing while its fault is off."""

    _place: Place
    _judge: Judge
    _seating: Seating
    _schedule: Schedule
    _unit: int = 0
    #: Who else wants to know, and where the bytes begin that are judged.
    watch: Watch | None = None
    stage: Stage = field(init=False)

    def judge(self, size: int, now: float) -> Verdict:
        """On the next unit."""
        if not self._schedule.works(now):
            return DELIVER
        verdict = self._judge.judge(size, now)
        if verdict is not DELIVER and self._schedule.fault.settings.drawn:
            self._seating.record(self._place, self._unit, now, verdict)
        self._unit += 1
        if self.watch is not None:
            self.watch.judged(self._schedule.fault, verdict, self.stage.position, size)
        return verdict


@define
class _Seat:
    """A stage, and what waits behind it."""

    schedule: Schedule
    stage: Stage
    #: Who wants to know what becomes of bytes, and how many have come.
    watch: Watch | None = None
    came: int = 0
    #: What leaves, and when: times never go back.
    waiting: deque[Timed] = field(factory=deque)
    waiting_bytes: int = 0
    #: It has closed or reset the connection.
    over: bool = False
    #: What has been done to the bytes that are here, if somebody wants to know.
    trail: Trail | None = None

    def take(self, item: Item, now: float, piece: Piece | None = None) -> None:
        """An item comes; its piece is that of the trail, if it is bytes and there is one."""
        if self.over:
            if piece is not None:
                piece.touch((self.schedule.fault, "dropped"))
            return
        if piece is not None and self.trail is not None:
            self.trail.come(piece)
        works = self.schedule.works(now)
        found = list(self.stage.take(item, now) if works else self.stage.spare(item, now))
        if self.watch is not None:
            self._tell(self.watch, item, now, found)
        self._queue(found)

    def due(self) -> float:
        """When something happens here, in seconds; infinity for never."""
        leaves = self.waiting[0][0] if self.waiting else math.inf
        # What holds an end back may still make another of it before that leaves.
        alarm = None if self.over and not self.waiting else self.stage.deadline()
        return leaves if alarm is None else min(leaves, alarm)

    def step(self, now: float) -> Item | None:
        """Do what is due: an item leaves, or the stage ticks."""
        if self.waiting and self.waiting[0][0] <= now:
            _, item = self.waiting.popleft()
            self.waiting_bytes -= size_of(item)
            return item
        found = list(self.stage.tick(now))
        if self.watch is not None:
            self._tell(self.watch, None, now, found)
        if found and found[0][1] is RESET:
            # A reset destroys what has not arrived; it waits for nothing.
            self.empty()
        self._queue(found)
        return None

    def leave(self, item: Item) -> Piece | None:
        """The piece of an item that has left, if it has one; to be asked for each, in order."""
        return self.trail.leave(len(item)) if self.trail and isinstance(item, bytes) else None

    def empty(self) -> list[Item]:
        """Give everything up, in order."""
        items = [item for _, item in self.waiting] + self.stage.flush()
        self.waiting.clear()
        self.waiting_bytes = 0
        return items

    def _tell(self, watch: Watch, item: Item | None, now: float, found: list[Timed]) -> None:
        """Tell what a stage has done of itself; judges tell for themselves."""
        fault = self.schedule.fault
        start, size = self.came, size_of(item) if item else 0
        self.came += size
        for _, one in found:
            if (one is CLOSE or one is RESET) and one is not item:
                watch.ended(fault)
                break
        if isinstance(fault.settings, Slicer):
            if len(found) > 1:
                watch.judged(fault, "sliced", start, size)
        elif item is not None and type(fault.settings) in UNJUDGED:
            passed = sum(size_of(one) for _, one in found)
            if self.stage.pieces or (found and found[-1][0] > now):
                watch.judged(fault, "held back", start, size)
            elif not found or passed < size:
                watch.judged(fault, "dropped", start + passed, size - passed)

    def _queue(self, found: Iterable[Timed]) -> None:
        """Put behind what waits."""
        for at, item in found:
            last = self.waiting[-1][0] if self.waiting else at
            self.waiting.append((max(at, last), item))
            self.waiting_bytes += size_of(item)
            self.over = self.over or item is CLOSE or item is RESET
        if self.trail is not None:
            self.trail.keep(self.waiting_bytes + self.stage.size)


def check(faults: Sequence[Fault], link: str) -> None:
    """
    Refuse faults that no stream can have.

    Args:
        faults: All those of one direction.
        link: The name of the link, for the error.

    Raises:
        LocalError: Two faults of one name, or one that is none of streams.
    """
    check_names(faults, link)
    for fault in faults:
        if type(fault.settings) not in STAGES:
            known = ", ".join(sorted(kind.__name__ for kind in STAGES))
            raise LocalError(f"fault of a stream is {fault.settings!r}; give one of {known}")


class StreamLink:
    """
    One direction of one connection.

    Bytes that come after the end, and all that comes after a close or a reset has gone out, are
    passed over.

    Args:
        faults: What is wrong with it, in this order; their names differ.
        decisions: Where verdicts come from.
        place: Which link, connection and direction it is.
        journal: Takes every decision that was drawn and is not "deliver"; without, none is kept.
        now: When the connection begins, in seconds.
        watch: Is told what becomes of bytes.
        share: Gives the lanes at rates that links have together; without, there are none.

    Attributes, of which there is nothing unless the watch traces:
        chunk: What was fed last, and what they have done to it so far.
        departed: The pieces of which there are bytes in what `outgoing` gave last, one for each.
        end_touches: What they have done to the end of the stream.

    Raises:
        LocalError: Two faults of one name, one that is none of streams, or one that is shared
            with nobody there to share it.

    >>> from lab.faults.datagrams import Latency
    >>> from lab.faults.journal import Dice
    >>> link = StreamLink([Fault(Latency(0.02), "latency")], Dice(seed=7), Place("a-b"))
    >>> link.feed(b"hello", now=1.0)
    >>> link.outgoing(), link.buffered, link.deadline()
    ([], 5, 1.02)
    >>> link.tick(now=1.02)
    >>> link.outgoing()
    [b'hello']
    """

    def __init__(  # noqa: PLR0913 - each is something else, and half of them may be left out
        self,
        faults: Sequence[Fault],
        decisions: Decisions,
        place: Place,
        *,
        journal: Journal | None = None,
        now: float = 0.0,
        watch: Watch | None = None,
        share: Share | None = None,
    ) -> None:
        self._seating = Seating(decisions, place, journal, now)
        self.chunk = Chunk()
        self.departed: list[Piece] = []
        self.end_touches: list[Touch] = []
        self._watch, self._share = watch, share
        self._traces = watch is not None and watch.traces
        self._now = now
        self._out: list[Item] = []
        self._pieces: list[Piece] = []
        self._ended = self._over = False
        check(faults, place.link)
        check_shared(faults, share)
        self._seats: list[_Seat] = []
        self._begin(faults, {}, {})

    def feed(self, data: bytes, now: float) -> None:
        """
        Bytes come in.

        Args:
            data: The bytes; one chunk, as far as faults judge chunks.
            now: In seconds; never less than at the call before.
        """
        if self._traces:
            self.chunk = Chunk()
        if data and not self._ended:
            self._come(data, now, self._piece(len(data)))

    def end(self, now: float) -> None:
        """The sender says that no more will come."""
        if not self._ended:
            self._ended = True
            self._come(END, now)

    def tick(self, now: float) -> None:
        """Time has come."""
        self._now = max(self._now, now)
        while (due := self._next()) is not None and due[0] <= now:
            at, index = due
            seat = self._seats[index]
            item = seat.step(at)
            if item is not None:
                self._give(index + 1, item, at, seat.leave(item))

    def deadline(self) -> float | None:
        """When to tick next, in seconds, or None."""
        due = self._next()
        return due[0] if due else None

    def outgoing(self) -> list[Item]:
        """What goes out: bytes, `END`, `CLOSE` or `RESET`, in order; it is then forgotten here."""
        found, self._out = self._out, []
        self.departed, self._pieces = self._pieces, []
        return found

    @property
    def clear(self) -> bool:
        """Whether no fault works on it: what comes in then goes out at once, as it is."""
        return not self._seats

    @property
    def buffered(self) -> int:
        """How many bytes are inside."""
        inside = sum(seat.waiting_bytes + seat.stage.size for seat in self._seats)
        return inside + sum(map(size_of, self._out))

    @property
    def memory(self) -> int:
        """About how much memory those take, in bytes: small pieces take more than they hold."""
        size, pieces = sum(map(size_of, self._out)), len(self._out)
        for seat in self._seats:
            stage = seat.stage
            size += seat.waiting_bytes + stage.size
            pieces += len(seat.waiting) + stage.pieces
        return size + OVERHEAD * pieces

    def close(self) -> None:
        """Nothing comes or goes any more; what it has reserved of what is shared is free again."""
        seats, self._seats = self._seats, []
        self._over = True
        for seat in seats:
            seat.stage.close()

    def flush(self, now: float) -> None:
        """Let everything that is inside go out at once, in order."""
        self.tick(now)
        for seat in reversed(self._seats[:]):
            for item in seat.empty():
                self._give(len(self._seats), item, self._now, seat.leave(item))

    def update(self, faults: Sequence[Fault], now: float) -> None:
        """
        Have other faults from now on.

        A fault that is as before goes on. What waits at one that is not goes on to the next at
        once. One that has changed begins anew, but the count of `LimitData` goes on; a `Timeout`
        that is gone closes the connection.

        Args:
            faults: All that there are from now on, in order; their names differ.
            now: In seconds; times of faults that are new or have changed count from here.

        Raises:
            LocalError: As at the beginning; then nothing has changed.
        """
        check(faults, self._seating.place.link)
        check_shared(faults, self._share)
        self.tick(now)
        before = {seat.schedule.fault.name: seat for seat in self._seats}
        stays = self._staying(faults)
        names = {fault.name for fault in faults}
        for index, (name, seat) in enumerate(before.items()):
            if name not in stays:
                left = [] if name in names else seat.stage.leave()
                if left and self._watch is not None:
                    self._watch.ended(seat.schedule.fault)
                for item in seat.empty() + left:
                    self._give(index + 1, item, self._now, seat.leave(item))
                seat.stage.close()
        if not self._over:
            self._begin(faults, {name: before[name] for name in stays}, before)
            self.tick(now)

    def _staying(self, faults: Sequence[Fault]) -> list[str]:
        """The names of those that are as before. If they have moved, none: bytes keep order."""
        new = set(faults)
        old = [seat.schedule.fault for seat in self._seats]
        stay = [fault for fault in old if fault in new]
        moved = stay != [fault for fault in faults if fault in stay]
        return [] if moved else [fault.name for fault in stay]

    def _begin(
        self, faults: Sequence[Fault], stay: Mapping[str, _Seat], before: Mapping[str, _Seat]
    ) -> None:
        """Put faults to work, in order."""
        self._seats = []
        for fault in faults:
            seat = stay.get(fault.name) or self._seat(fault)
            if seat is None:
                continue
            if fault.name in before:
                seat.stage.follow(before[fault.name].stage)
            self._seats.append(seat)

    def _seat(self, fault: Fault) -> _Seat | None:
        """Put a fault to work, if it works on this connection."""
        begun = self._seating.begin(fault, self._now)
        if begun is None:
            return None
        schedule = Schedule(fault, self._now)
        judge = _Noted(*begun, self._seating, schedule)
        trail, watch = None, self._watch
        if watch is not None and self._traces:
            watch = trail = Trail(watch, self.end_touches)
        judge.watch = watch
        judge.stage = self._stage(judge, begun[0], schedule)
        return _Seat(schedule, judge.stage, watch, trail=trail)

    def _stage(self, judge: Judge, place: Place, schedule: Schedule) -> Stage:
        """What carries a fault out."""
        fault = schedule.fault
        if self._share is not None and is_shared(fault):
            return SharedBandwidthStage(self._share(fault, place, self._now), schedule)
        return STAGES[type(fault.settings)](fault.settings, judge, schedule)

    def _piece(self, size: int) -> Piece | None:
        """A chunk, to which nothing has been done."""
        return Piece(size, self.chunk) if self._traces else None

    def _come(self, item: Item, now: float, piece: Piece | None = None) -> None:
        """An item comes in, behind what was to happen until now."""
        self.tick(now)
        self._give(0, item, self._now, piece)
        self.tick(now)

    def _next(self) -> tuple[float, int] | None:
        """When something happens, and at which seat."""
        first, found = math.inf, 0
        for index, seat in enumerate(self._seats):
            due = seat.due()
            if due <= first:  # at equal times the seat that is nearer to the way out goes first
                first, found = due, index
        return (first, found) if first < math.inf else None

    def _give(self, index: int, item: Item, now: float, piece: Piece | None = None) -> None:
        """Give an item to a seat, or out."""
        if self._over:
            return
        if index < len(self._seats):
            self._seats[index].take(item, now, piece)
            return
        self._out.append(item)
        if piece is not None:
            self._pieces.append(piece)
        if item is CLOSE or item is RESET:
            self.close()
