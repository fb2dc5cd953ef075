"""
Token buckets that several links have together.

**What it must do.** Let all that share a rate have it together, to the byte. Who has something to
send gets its turn, whoever else has how much. A link that goes away leaves nothing reserved. No
link knows another, and nobody has to be woken.

**How it does it.** Each link has a lane at the bucket, and in it at most one turn that has its
time: about as much as passes in `TURN`. When the last of it has left, the lane takes the next
turn, behind those that others have taken meanwhile. So lanes go round, and each knows the end of
its turn from its beginning.

**What was refused.** Times for all that comes as soon as it comes: then a link that was fed a
megabyte has the bucket to itself for as long as that takes. One queue for all, whose head calls
the next: links would have to keep timers for each other.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth
from lab.faults.fault import Fault
from lab.faults.journal import Place

#: A turn is so much as passes in this time, in seconds, but no less than so many bytes.
TURN, LEAST = 0.01, 100
#: So many buckets that no link has are kept, those with the least to forget behind.
KEPT = 10_000


@define(eq=False)
class Bucket:
    """
    One rate, for all lanes at it.

    Args:
        settings: The rate, its burst and its queue.

    Attributes:
        lanes: How many there are.
    """

    settings: Bandwidth
    lanes: int = field(init=False, default=0)
    #: When all that has a time will have been sent, without the burst.
    _sent_at: float = field(init=False, default=-math.inf)
    #: What waits in all lanes, in bytes and units.
    _bytes: int = field(init=False, default=0)
    _units: int = field(init=False, default=0)
    #: The largest unit so far, in bytes: a turn has room for it, so that lanes with smaller
    #: ones get as many bytes.
    _largest: int = field(init=False, default=0)
    #: When each lane has last wanted to put something into a queue with a limit.
    _wanted: dict[Any, float] = field(init=False, factory=dict)

    @property
    def piece(self) -> int:
        """In pieces of how many bytes a stream should come."""
        return max(LEAST, int(self.settings.rate * TURN))

    @property
    def turn(self) -> int:
        """How many bytes a turn has."""
        return max(self.piece, self._largest)

    def owes(self, now: float) -> bool:
        """Whether it is not as full as a new one would be."""
        return self._sent_at > now

    def send(self, size: int, now: float) -> float:
        """Take the next place for so many bytes; when the last of them has been sent."""
        rate = self.settings.rate
        self._sent_at = max(self._sent_at, now) + size / rate
        return max(now, self._sent_at - self.settings.burst / rate)

    def give_back(self, size: int) -> None:
        """So many bytes that had a place are not sent."""
        if size:
            self._sent_at -= size / self.settings.rate

    def enter(self, size: int) -> None:
        """A unit waits."""
        self._largest = max(self._largest, size)
        self._bytes += size
        self._units += 1

    def leave(self, size: int, units: int = 1) -> None:
        """Units wait no more."""
        self._bytes -= size
        self._units -= units

    def forget(self, lane: "Lane") -> None:
        """A lane is closed."""
        self.lanes -= 1
        self._wanted.pop(lane, None)

    def has_room(self, lane: "Lane", size: int, now: float) -> bool:
        """
        Whether the queue has room for a unit, and its lane may have it.

        A lane has an equal share of the queue with those that have wanted some of it within the
        time that a full queue takes, and one unit at least. Otherwise one that is always the
        first to find a free place would keep the others out.
        """
        settings = self.settings
        if not settings.queue and not settings.packets:
            return True
        wanted = self._wanted
        wanted.pop(lane, None)
        wanted[lane] = now
        oldest = now - max(settings.queue, settings.packets * self._largest) / settings.rate
        while next(iter(wanted.values())) < oldest:
            del wanted[next(iter(wanted))]
        share = 1 / len(wanted) if lane.units else 1
        return all(
            not limit or (there + more <= limit and ours + more <= limit * share)
            for limit, there, ours, more in (
                (settings.queue, self._bytes, lane.size, size),
                (settings.packets, self._units, lane.units, 1),
            )
        )


@define(eq=False)
class Lane:
    """
    What waits for one link at a bucket, in its order.

    Args:
        bucket: Which.

    Attributes:
        size: How many bytes wait.
    """

    bucket: Bucket
    size: int = field(init=False, default=0)
    _closed: bool = field(init=False, default=False)
    #: Those whose turn it is, and when each has been sent; and those behind.
    _turn: deque[tuple[float, int, Any]] = field(init=False, factory=deque)
    _waiting: deque[tuple[int, Any]] = field(init=False, factory=deque)

    @property
    def units(self) -> int:
        """How many units wait."""
        return len(self._turn) + len(self._waiting)

    def offer(self, unit: Any, size: int, now: float) -> bool:
        """
        Let a unit wait, if the queue has room for it.

        Args:
            unit: Which.
            size: Its bytes.
            now: In seconds.

        Returns:
            Whether it had; at a rate of 0 there is no room for anything.
        """
        bucket = self.bucket
        if not bucket.settings.rate or not bucket.has_room(self, size, now):
            return False
        self.put(unit, size, now)
        return True

    def put(self, unit: Any, size: int, now: float) -> None:
        """Let a unit wait, whatever waits already."""
        self.bucket.enter(size)
        self.size += size
        self._waiting.append((size, unit))
        if not self._turn:
            self._begin(now)

    def deadline(self) -> float | None:
        """When the next has been sent, in seconds, or None."""
        return self._turn[0][0] if self._turn else None

    def pop(self, now: float) -> list[tuple[float, Any]]:
        """What has been sent by then, and when."""
        found: list[tuple[float, Any]] = []
        while self._turn and self._turn[0][0] <= now:
            at, size, unit = self._turn.popleft()
            self.size -= size
            self.bucket.leave(size)
            found.append((at, unit))
            if not self._turn:
                self._begin(at)
        return found

    def flush(self) -> list[Any]:
        """Give all up, in order; for the bucket it was never here."""
        units = [unit for _, _, unit in self._turn] + [unit for _, unit in self._waiting]
        self.bucket.give_back(sum(size for _, size, _ in self._turn))
        self.bucket.leave(self.size, len(units))
        self.size = 0
        self._turn.clear()
        self._waiting.clear()
        return units

    def close(self) -> None:
        """Have no lane any more; it does not matter if that was so before."""
        self.flush()
        if not self._closed:
            self._closed = True
            self.bucket.forget(self)

    def _begin(self, now: float) -> None:
        """Begin the next turn, if there is something for it; at a rate of 0 there is none."""
        bucket, waiting = self.bucket, self._waiting
        left = bucket.turn if bucket.settings.rate else -1
        while waiting and waiting[0][0] <= left:
            size, unit = waiting.popleft()
            left -= size
            self._turn.append((bucket.send(size, now), size, unit))


#: Gives a link its lane for a fault at a place, at a time in seconds.
Share = Callable[[Fault, Place, float], Lane]


@define(eq=False)
class Buckets:
    """The buckets of a relay or of a path: one for each fault, direction and scope."""

    _buckets: dict[tuple[Fault, str, str], Bucket] = field(init=False, factory=dict)
    _enough: int = field(init=False, default=0)

    def lane(self, fault: Fault, place: Place, now: float, client: str = "") -> Lane:
        """
        A lane of one more link.

        Args:
            fault: A `Bandwidth` that is shared.
            place: Of the link; its direction counts.
            now: In seconds.
            client: The address of whom the link is for.
        """
        if len(self._buckets) > self._enough:
            self._tidy(now)
        settings: Any = fault.settings
        key = fault, place.direction, client if settings.scope == "client" else ""
        bucket = self._buckets.setdefault(key, Bucket(settings))
        bucket.lanes += 1
        return Lane(bucket)

    def _tidy(self, now: float) -> None:
        """Forget buckets that nobody has, if new ones would be the same."""
        used = {key: one for key, one in self._buckets.items() if one.lanes or one.owes(now)}
        idle = [key for key, one in used.items() if not one.lanes]
        for key in idle[: max(0, len(idle) - KEPT)]:
            del used[key]
        self._buckets = used
        self._enough = 2 * len(used) + 100


def is_shared(fault: Fault) -> bool:
    """
    Whether a fault takes a bucket that others have as well.

    >>> is_shared(Fault(Bandwidth(1000.0, scope="proxy"), "slow"))
    True
    """
    return isinstance(fault.settings, Bandwidth) and fault.settings.scope != "connection"


def check_shared(faults: Sequence[Fault], share: Share | None) -> None:
    """
    Refuse what is shared where nothing can be.

    Raises:
        LocalError: There is such a fault, and nobody who gives it a lane.
    """
    for fault in faults:
        if share is None and is_shared(fault):
            scope = getattr(fault.settings, "scope", "")
            raise LocalError(
                f"scope of {fault.name!r} is {scope!r}; a link by itself has connection"
            )
