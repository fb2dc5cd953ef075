"""
Answers that take time: the packets of a stream, the characters of a file. Knows no transport.

A run gives what is due, as much at a time as it is asked for, and says when it has more.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from attrs import define, field

from lab.core import Datagrams
from lab.echo.packets import Packets
from lab.echo.pattern import characters
from lab.echo.sums import Sum
from lab.echo.wire import (
    Data,
    Digest,
    File,
    FileEnd,
    Ready,
    Stream,
    StreamEnd,
    encode,
)
from lab.pacing import Schedule


class Run(Protocol):
    """
    An answer that takes time.

    Attributes:
        request: What is answered.
    """

    request: Any

    def first(self) -> list[bytes]:
        """The messages that come before it."""

    def take(self, size: int, now: float) -> Sequence[bytes | Datagrams]:
        """What is due: about so many bytes, but one piece at least if one is due."""

    def next(self) -> float | None:
        """When the next is due, in seconds; None when all was taken."""

    def stop(self) -> None:
        """There is no more."""

    def last(self) -> list[bytes]:
        """The messages that come behind it."""


@define(eq=False)
class PacketRun:
    """
    Packets on a plan: each is due at its own time, whenever those before it left.

    Args:
        request: What is answered.
        start: When the first is due, in seconds.
        ending: What stands behind each packet, and counts in its size.
        rate: Packets a second where the interval is 0; None for no bound.
        burst: So many may leave together then, if none could leave for a while.
    """

    request: Stream
    _start: float
    _ending: bytes = b""
    _rate: float | None = None
    _burst: int = 1
    _schedule: Schedule | None = field(init=False, default=None)
    _sent: int = field(init=False, default=0)
    _stopped: bool = field(init=False, default=False)
    _missed: int = field(init=False, default=0)
    _late_ns: int = field(init=False, default=0)
    _latest_ns: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """The plan."""
        interval = self.request.interval_ms
        count = self.request.count
        if interval:
            self._schedule = Schedule(1000 / interval, self._start, count)
        elif self._rate is not None:
            self._schedule = Schedule(self._rate, self._start, count, self._burst / self._rate)

    def first(self) -> list[bytes]:
        """Nothing: packets say what they are."""
        return []

    def take(self, size: int, now: float) -> Sequence[bytes | Datagrams]:
        """Packets that are due, with one time of sending: they leave together."""
        if self._stopped:
            return []
        most = max(1, size // self.request.size)
        if self._schedule is None:
            count = min(most, self.request.count - self._sent)
        elif self.request.interval_ms:
            due = self._schedule.due(now, most)
            count = len(due)
            self._note(due, now)
        else:
            count = self._schedule.take(now, most)
        if not count:
            return []
        first, size = self._sent, self.request.size
        self._sent += count
        packets = Packets(self.request.id, first, int(now * 1e9), size, self._ending)
        if count == 1:
            return [bytes(packets.make(0, 1))]
        return [Datagrams(packets.make, count, size)]

    def next(self) -> float | None:
        """When the next packet is due."""
        if self._stopped or self._sent == self.request.count:
            return None
        return self._start if self._schedule is None else self._schedule.next()

    def stop(self) -> None:
        """No more packets."""
        self._stopped = True

    def last(self) -> list[bytes]:
        """How it went."""
        mean = self._late_ns // max(1, self._sent)
        id = self.request.id
        return [encode(StreamEnd(self._sent, self._missed, mean, self._latest_ns, id))]

    def _note(self, due: list[float], now: float) -> None:
        """These leave now."""
        interval_ns = self.request.interval_ms * 1_000_000
        for planned in due:
            late = max(0, round((now - planned) * 1e9))
            self._late_ns += late
            self._latest_ns = max(self._latest_ns, late)
            self._missed += late > interval_ns


@define(eq=False)
class _Part:
    """The characters of a file that were asked for, in order, and their digest."""

    request: File
    _given: int = field(init=False, default=0)
    _sum: Sum = field(init=False)

    @_sum.default
    def _nothing(self) -> Sum:
        """Nothing was given yet."""
        return Sum(self.request.seed, self.request.offset, self.request.length)

    def _read(self, size: int) -> bytes:
        """So many more, or all that are left."""
        request = self.request
        size = min(size, request.length - self._given)
        data = characters(request.seed, request.offset + self._given, size)
        self._sum.update(data)
        self._given += size
        return data

    def stop(self) -> None:
        """No more characters."""
        self._given = self.request.length


@define(eq=False)
class FileRun(_Part):
    """
    The characters of a file on a stream, as fast as they are taken.

    Args:
        request: What is answered.
        start: When it was asked for, in seconds.
    """

    _start: float

    def first(self) -> list[bytes]:
        """How many characters follow."""
        return [encode(Ready(self.request.length, id=self.request.id))]

    def take(self, size: int, now: float) -> list[bytes]:
        """The next characters."""
        data = self._read(size)
        return [data] if data else []

    def next(self) -> float | None:
        """At once, until there is no more."""
        return None if self._given == self.request.length else self._start

    def last(self) -> list[bytes]:
        """The end of the line, and the digest."""
        return [b"", encode(Digest(self._sum.hexdigest(), self.request.id))]


@define(eq=False)
class PieceRun(_Part):
    """
    The characters of a file in datagrams.

    Args:
        request: What is answered.
        start: When the first datagram is due, in seconds.
        piece: Characters in a datagram, but in the last.
        rate: Datagrams a second.
        burst: So many may leave together, if none could leave for a while.
    """

    _start: float
    _piece: int
    _rate: float
    _burst: int = 1
    _count: int = field(init=False)
    _schedule: Schedule | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """The plan, if there is something to send."""
        self._count = -(-self.request.length // self._piece)
        if self._count:
            behind = self._burst / self._rate
            self._schedule = Schedule(self._rate, self._start, self._count, behind)

    def first(self) -> list[bytes]:
        """How many characters follow, and in which pieces."""
        length, id = self.request.length, self.request.id
        return [encode(Ready(length, self._piece, self._count, id))]

    def take(self, size: int, now: float) -> list[bytes]:
        """The datagrams that are due."""
        if self._schedule is None:
            return []
        taken, request = [], self.request
        for _ in range(self._schedule.take(now, max(1, size // self._piece))):
            offset = request.offset + self._given
            taken.append(encode(Data(offset, self._read(self._piece), request.id)))
        return taken

    def next(self) -> float | None:
        """When the next datagram is due."""
        return None if self._schedule is None else self._schedule.next()

    def stop(self) -> None:
        """No more datagrams."""
        self._schedule = None

    def last(self) -> list[bytes]:
        """How many datagrams there were, and the digest."""
        return [encode(FileEnd(self._count, self._sum.hexdigest(), self.request.id))]
