"""
Sessions in memory.

Those that are to end stand in slots of a wheel, one for each second: a session costs no timer, and
a turn looks at those that are due and no others. What has ended is known by its name for as long as
the window, so that a client that comes too late hears that.
"""

import math

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from lab.sequence.records import Record
from lab.sequence.sessions import ISessionStore


@implementer(ISessionStore)
@define(eq=False)
class MemoryStore:
    """
    A store that ends with its process.

    Args:
        sessions: Most sessions at a time.
        per_address: Most sessions of one address.
        grace: What has ended is loaded for so long, in seconds.
    """

    _sessions: int = 100_000
    _per_address: int = 10_000
    _grace: float = 30.0
    _records: dict[str, Record] = field(init=False, factory=dict)
    _addresses: dict[str, int] = field(init=False, factory=dict)
    #: Names by the second in which their sessions end, and those that have ended.
    _wheel: dict[int, dict[str, None]] = field(init=False, factory=dict)
    _ended: dict[str, Record] = field(init=False, factory=dict)

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._records)

    def open(self) -> None:
        """See `ISessionStore`."""

    def close(self) -> Deferred[None]:
        """See `ISessionStore`."""
        return succeed(None)

    def create(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        count = self._addresses.get(record.address, 0)
        if len(self._records) >= self._sessions or count >= self._per_address:
            return succeed(False)  # noqa: FBT003 - a result
        self._records[record.id] = record
        self._addresses[record.address] = count + 1
        return succeed(True)  # noqa: FBT003 - a result

    def load(self, id: str) -> Deferred[Record | None]:
        """See `ISessionStore`."""
        return succeed(self._records.get(id) or self._ended.get(id))

    def attach(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return succeed(self._replace(record, record.epoch - 1))

    def progress(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return succeed(self._replace(record, record.epoch))

    def forget(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        before = self._of(record.id, record.epoch)
        if before is not None:
            self._drop(before)
        return succeed(before is not None)

    def expire(self, now: float) -> Deferred[int]:
        """See `ISessionStore`."""
        return succeed(len(self.end(now)))

    # For a store that has its sessions in memory, and keeps them elsewhere.

    def get(self, id: str) -> Record | None:
        """A session; None if there is none."""
        return self._records.get(id)

    def put(self, record: Record) -> None:
        """Keep a session, whatever was known of it, and however many there are."""
        before = self._records.get(record.id)
        if before is not None:
            self._drop(before)
        self._addresses[record.address] = self._addresses.get(record.address, 0) + 1
        self._place(record)

    def end(self, now: float) -> list[str]:
        """Forget the sessions whose deadline has passed; gives their names."""
        ended = []
        for slot in [slot for slot in self._wheel if slot <= now]:
            for id in self._wheel.pop(slot):
                if id in self._records:
                    record = self._records[id]
                    self._drop(record)
                    self._ended[id] = record
                    self._wheel.setdefault(math.ceil(slot + self._grace), {})[id] = None
                    ended.append(id)
                else:
                    self._ended.pop(id, None)
        return ended

    def _replace(self, record: Record, epoch: int) -> bool:
        """Keep this in the place of what has this epoch, if there is such."""
        before = self._of(record.id, epoch)
        if before is not None:
            self._take_off(before)
            self._place(record)
        return before is not None

    def _place(self, record: Record) -> None:
        """It is there, and ends at its deadline."""
        self._records[record.id] = record
        if record.deadline < math.inf:
            self._wheel.setdefault(math.ceil(record.deadline), {})[record.id] = None

    def _of(self, id: str, epoch: int) -> Record | None:
        """A session, if it has this epoch."""
        record = self._records.get(id)
        return record if record is not None and record.epoch == epoch else None

    def _take_off(self, record: Record) -> None:
        """It does not end at its deadline."""
        if record.deadline < math.inf:
            self._wheel.get(math.ceil(record.deadline), {}).pop(record.id, None)

    def _drop(self, record: Record) -> None:
        """It is gone."""
        self._take_off(record)
        del self._records[record.id]
        left = self._addresses.pop(record.address) - 1
        if left:
            self._addresses[record.address] = left
