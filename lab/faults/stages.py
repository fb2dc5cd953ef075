"""
The stages that the faults of a stream are: each takes items, and says when what goes out.

Knows no journal and no order of stages; `lab.faults.pipe` keeps both. A stage may cut chunks, hold
them back and give marks of its own. Seconds, bytes and bytes/s.
"""

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any

from attrs import define, field, frozen

from lab.faults.datagrams import Bandwidth, Blackhole, Corrupt, Judge, Latency, Loss, Noop
from lab.faults.fault import Fault
from lab.faults.sharing import Lane
from lab.faults.streams import (
    CLOSE,
    END,
    RESET,
    Cut,
    Item,
    LimitData,
    Mark,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timed,
    Timeout,
)
from lab.faults.verdicts import Verdict

#: A rate is kept in pieces of so many seconds, as Toxiproxy does.
PIECE = 0.1
#: Largest segment of TCP over Ethernet, in bytes: what one loss costs.
SEGMENT = 1460
#: Retransmission timeout of TCP at its least, and where its doubling ends, in seconds (Linux).
LEAST_TIMEOUT, MOST_TIMEOUT = 0.2, 120.0


@frozen
class Schedule:
    """
    When a fault works, on the clock of its link.

    Args:
        fault: The fault.
        since: When its link began, in seconds.
    """

    fault: Fault
    since: float

    def works(self, now: float) -> bool:
        """Whether it works."""
        if self.fault.always:
            return True
        begin, end = self.window(now)
        return begin <= now < end

    def until(self, now: float) -> float:
        """When it stops working, in seconds; infinity for never. It must be working now."""
        return math.inf if self.fault.always else self.window(now)[1]

    def window(self, now: float) -> tuple[float, float]:
        """The time in which it works now, or else next: begin and end; infinity for never."""
        fault, first = self.fault, self.since + self.fault.after
        endless = fault.every and fault.every == fault.duration
        last = math.inf if endless else first + fault.duration
        if now < last:
            return first, last
        if not fault.every:
            return math.inf, math.inf
        begin = first + (now - first) // fault.every * fault.every
        if now >= begin + fault.duration:
            begin = first + ((now - first) // fault.every + 1) * fault.every
        return begin, begin + fault.duration


class Stage:
    """
    One fault at work on one direction of one connection.

    What goes out never goes before what went out earlier: a time that would is taken as that of
    what is before it.

    Attributes:
        position: Where in the stream that comes in what is judged begins, in bytes.
    """

    position: int = 0

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """An item comes in; what goes out because of it, and when (never before now)."""
        return [(now, item)]

    def spare(self, item: Item, now: float) -> Iterable[Timed]:
        """An item comes in while the fault does not work."""
        return [(now, item)]

    def deadline(self) -> float | None:
        """When to tick, in seconds, or None."""
        return None

    def tick(self, now: float) -> Iterable[Timed]:
        """What goes out because time has come."""
        return ()

    def flush(self) -> list[Item]:
        """Give back what has no time yet, and owe nothing to what has gone."""
        return []

    def follow(self, before: "Stage") -> None:
        """Go on for a stage of the same name, whose settings have changed."""

    def leave(self) -> list[Item]:
        """What goes out because the fault is taken away for good."""
        return []

    def close(self) -> None:
        """Nothing comes or goes any more; others may have what it shared with them."""

    @property
    def size(self) -> int:
        """How many bytes in it have no time yet."""
        return 0

    @property
    def pieces(self) -> int:
        """In how many pieces they are."""
        return 0


@define
class JudgingStage(Stage):
    """
    A fault that judges each chunk as it comes; a mark is no unit.

    Args:
        judge: Decides.
    """

    _judge: Judge
    position: int = field(init=False, default=0)

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Judge it."""
        if isinstance(item, Mark):
            return self.mark(item, now)
        verdict = self._judge.judge(len(item), now)
        self.position += len(item)
        return self.carry_out(verdict, item, now)

    def spare(self, item: Item, now: float) -> Iterable[Timed]:
        """See `Stage`."""
        self.position += size_of(item)
        return [(now, item)]

    def mark(self, mark: Mark, now: float) -> Iterable[Timed]:
        """What goes out because of a mark."""
        return [(now, mark)]

    @abstractmethod
    def carry_out(self, verdict: Verdict, item: bytes, now: float) -> Iterable[Timed]:
        """What goes out because of a verdict."""


@define
class JudgedStage(JudgingStage):
    """A fault that judges chunks as it judges datagrams."""

    def carry_out(self, verdict: Verdict, item: bytes, now: float) -> Iterable[Timed]:
        """Each copy at its time."""
        return [(now + delay, copy) for delay, copy in verdict.apply(item)]


@define
class BlackholeStage(JudgedStage):
    """Drops the end, too."""

    def mark(self, mark: Mark, now: float) -> Iterable[Timed]:
        """Nobody at the other end hears of anything."""
        self._judge.judge(0, now)
        return ()


@define
class BandwidthStage(Stage):
    """Cuts chunks in pieces, and sends each when the rate has room for its last byte."""

    _settings: Bandwidth
    _schedule: Schedule
    _sent_at: float = -math.inf

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Send in pieces; a rate of 0 lets nothing pass. When the fault stops, all may go."""
        rate, until = self._settings.rate, self._schedule.until(now)
        if not rate:
            return [(until, item)]
        if isinstance(item, Mark):
            return [(now, item)]
        piece = max(1, int(rate * PIECE))
        ahead = self._settings.burst / rate
        found: list[Timed] = []
        for start in range(0, len(item), piece):
            part = item[start : start + piece]
            self._sent_at = min(until, max(self._sent_at, now) + len(part) / rate)
            found.append((max(now, self._sent_at - ahead), part))
        return found

    def flush(self) -> list[Item]:
        """See `Stage`."""
        self._sent_at = -math.inf
        return []


@define
class SharedBandwidthStage(Stage):
    """The same at a rate that others have as well: pieces wait in a lane of the bucket."""

    _lane: Lane
    _schedule: Schedule
    #: When the fault stops, and all that waits may go.
    _until: float = math.inf

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Let it wait in pieces, of which some may go at once; a mark waits behind them."""
        self._until = self._schedule.until(now)
        if isinstance(item, Mark):
            self._lane.put(item, 0, now)
        else:
            piece = self._lane.bucket.piece
            for start in range(0, len(item), piece):
                part = item[start : start + piece]
                self._lane.put(part, len(part), now)
        return self._lane.pop(now)

    def deadline(self) -> float | None:
        """When the next piece goes, or all of them."""
        if not self._lane.units:
            return None
        due = self._lane.deadline()
        at = self._until if due is None else min(due, self._until)
        return at if at < math.inf else None

    def tick(self, now: float) -> Iterable[Timed]:
        """See `deadline`."""
        if now < self._until:
            return self._lane.pop(now)
        return [(now, item) for item in self._lane.flush()]

    def flush(self) -> list[Item]:
        """See `Stage`."""
        return self._lane.flush()

    def close(self) -> None:
        """See `Stage`."""
        self._lane.close()

    @property
    def size(self) -> int:
        """See `Stage`."""
        return self._lane.size

    @property
    def pieces(self) -> int:
        """See `Stage`."""
        return self._lane.units


@define
class SlowCloseStage(Stage):
    """Delays the end, whoever made it."""

    _settings: SlowClose

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """A reset is no end: it does not wait for anything."""
        return [(now + self._settings.delay if item in (END, CLOSE) else now, item)]


@define
class TimeoutStage(Stage):
    """Drops everything, and closes when it has been silent."""

    _settings: Timeout
    _schedule: Schedule
    #: When the last chunk came, or the link began.
    _silent_since: float = field()

    @_silent_since.default
    def _from_the_start(self) -> float:
        """Silence begins with the link."""
        return self._schedule.since

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Drop it; a chunk breaks the silence."""
        if isinstance(item, bytes):
            self._silent_since = now
        return ()

    def deadline(self) -> float | None:
        """A silence counts only while the fault works; each time anew."""
        timeout = self._settings.timeout
        if not timeout:
            return None
        begin, end = self._schedule.window(self._silent_since)
        if max(begin, self._silent_since) + timeout >= end:
            begin, end = self._schedule.window(end)
        at = max(begin, self._silent_since) + timeout
        return at if at < end else None

    def tick(self, now: float) -> Iterable[Timed]:
        """Close."""
        return [(now, CLOSE)]

    def leave(self) -> list[Item]:
        """Close: bytes are missing, so nothing that comes now would be of use."""
        return [CLOSE]


@define
class ResetPeerStage(Stage):
    """Holds everything, and resets at its time."""

    _settings: ResetPeer
    _schedule: Schedule
    _at: float | None = field()

    @_at.default
    def _without_a_chunk(self) -> float | None:
        """When it resets if nothing comes."""
        begin, end = self._schedule.window(self._schedule.since)
        idle = self._settings.idle and begin < end
        return begin + self._settings.timeout if idle else None

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Hold it: if the fault stops working before the reset, no byte must be missing."""
        if self._at is None:
            self._at = now + self._settings.timeout
        return [(self._schedule.until(now), item)]

    def deadline(self) -> float | None:
        """See `Stage`."""
        return self._at

    def tick(self, now: float) -> Iterable[Timed]:
        """Reset."""
        return [(now, RESET)]


@define
class SlicerStage(JudgingStage):
    """Cuts chunks, and waits after each slice; the end waits after the last slice, too."""

    _settings: Slicer
    _free_at: float = -math.inf

    def mark(self, mark: Mark, now: float) -> Iterable[Timed]:
        """Wait."""
        return [(max(now, self._free_at), mark)]

    def carry_out(self, verdict: Verdict, item: bytes, now: float) -> Iterable[Timed]:
        """Cut."""
        at = max(now, self._free_at)
        found: list[Timed] = []
        for part in self._settings.cut(item, verdict.draw):
            found.append((at, part))
            at += max(0.0, self._settings.delay)
        self._free_at = at
        return found

    def flush(self) -> list[Item]:
        """See `Stage`."""
        self._free_at = -math.inf
        return []


@define
class LimitDataStage(Stage):
    """Counts."""

    _settings: LimitData
    #: How many bytes have passed.
    passed: int = 0

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Let pass what is left of the limit, and close behind its last byte."""
        if isinstance(item, Mark):
            return [(now, item)]
        part = item[: max(0, self._settings.bytes - self.passed)]
        self.passed += len(part)
        found: list[Timed] = [(now, part)] if part else []
        return found if self.passed < self._settings.bytes else [*found, (now, CLOSE)]

    def follow(self, before: Stage) -> None:
        """What has passed has passed."""
        if isinstance(before, LimitDataStage):
            self.passed = before.passed


@define
class CutStage(JudgingStage):
    """Resets at a byte."""

    def carry_out(self, verdict: Verdict, item: bytes, now: float) -> Iterable[Timed]:
        """Let pass what is before the cut, if there is one."""
        if verdict.cut is None:
            return [(now, item)]
        return [(now, item[: verdict.cut]), (now, RESET)] if verdict.cut else [(now, RESET)]


@define
class PartitionStage(Stage):
    """Holds everything until the fault stops working."""

    _schedule: Schedule

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Hold it."""
        return [(self._schedule.until(now), item)]


@define
class _Segment:
    """
    A segment on its way: what it is, where it begins, whether it has arrived, and the wait if it is
    lost again.
    """

    item: Item
    start: int
    arrived: bool
    timeout: float = LEAST_TIMEOUT


@define
class LossStage(Stage):
    """
    Loses segments, which TCP sends again: what is behind a lost one waits for it.

    Each transmission is judged at its time, so one that is repeated when the fault has stopped
    working arrives. The end is never lost; it waits for what is before it.
    """

    _judge: Judge
    _segments: deque[_Segment] = field(factory=deque)
    #: Those that are lost: when each is sent again, a number that keeps order, which.
    _lost: list[tuple[float, int, _Segment]] = field(factory=list)
    _count: int = 0
    _size: int = 0
    _came: int = 0
    position: int = 0

    def take(self, item: Item, now: float) -> Iterable[Timed]:
        """Send segments."""
        if isinstance(item, Mark):
            return self.spare(item, now)
        for start in range(0, len(item), SEGMENT):
            self._send(self._add(item[start : start + SEGMENT], arrived=False), now)
        return self._ready(now)

    def spare(self, item: Item, now: float) -> Iterable[Timed]:
        """Arrives, but behind those that are lost."""
        self._add(item, arrived=True)
        return self._ready(now)

    def deadline(self) -> float | None:
        """When the first is sent again."""
        return self._lost[0][0] if self._lost else None

    def tick(self, now: float) -> Iterable[Timed]:
        """Send again what was lost."""
        _, _, segment = heappop(self._lost)
        self._send(segment, now)
        return self._ready(now)

    def flush(self) -> list[Item]:
        """See `Stage`."""
        items = [segment.item for segment in self._segments]
        self._segments.clear()
        self._lost.clear()
        self._size = 0
        return items

    @property
    def size(self) -> int:
        """See `Stage`."""
        return self._size

    @property
    def pieces(self) -> int:
        """See `Stage`."""
        return len(self._segments)

    def _add(self, item: Item, *, arrived: bool) -> _Segment:
        """One more comes in."""
        segment = _Segment(item, self._came, arrived)
        self._segments.append(segment)
        self._size += size_of(item)
        self._came += size_of(item)
        return segment

    def _send(self, segment: _Segment, now: float) -> None:
        """Transmit; RFC 6298 5.5: the timer doubles each time."""
        self.position = segment.start
        segment.arrived = bool(self._judge.judge(size_of(segment.item), now).delays)
        if not segment.arrived:
            self._count += 1
            heappush(self._lost, (now + segment.timeout, self._count, segment))
            segment.timeout = min(MOST_TIMEOUT, 2 * segment.timeout)

    def _ready(self, now: float) -> list[Timed]:
        """What has nothing lost before it."""
        found: list[Timed] = []
        while self._segments and self._segments[0].arrived:
            item = self._segments.popleft().item
            self._size -= size_of(item)
            found.append((now, item))
        return found


#: What carries a fault out, by the class of its settings.
STAGES: Mapping[type[Any], Callable[[Any, Judge, Schedule], Stage]] = {
    Latency: lambda settings, judge, schedule: JudgedStage(judge),
    Corrupt: lambda settings, judge, schedule: JudgedStage(judge),
    PacketLoss: lambda settings, judge, schedule: JudgedStage(judge),
    Noop: lambda settings, judge, schedule: JudgedStage(judge),
    Blackhole: lambda settings, judge, schedule: BlackholeStage(judge),
    Loss: lambda settings, judge, schedule: LossStage(judge),
    Bandwidth: lambda settings, judge, schedule: BandwidthStage(settings, schedule),
    SlowClose: lambda settings, judge, schedule: SlowCloseStage(settings),
    Timeout: lambda settings, judge, schedule: TimeoutStage(settings, schedule),
    ResetPeer: lambda settings, judge, schedule: ResetPeerStage(settings, schedule),
    Slicer: lambda settings, judge, schedule: SlicerStage(judge, settings),
    LimitData: lambda settings, judge, schedule: LimitDataStage(settings),
    Cut: lambda settings, judge, schedule: CutStage(judge),
    Partition: lambda settings, judge, schedule: PartitionStage(schedule),
}
#: Those that decide nothing: what they do follows from sizes and times.
UNJUDGED = frozenset({Bandwidth, LimitData, Partition, ResetPeer, SlowClose, Timeout})


def size_of(item: Item) -> int:
    """How many bytes an item has."""
    return len(item) if isinstance(item, bytes) else 0
