"""
Sessions in Redis, which any number of servers share.

A session is a hash, ``txlab:sequence:ID``, that Redis itself forgets when its time has come, so one
that a server leaves behind ends without anybody. Each operation is one script, so it happens whole,
and takes one round trip.

**Who may write.** `attach` compares the epoch and sets the next; after that the hash has the name
of the store that did it. Who writes with another epoch, or is another, is refused. A name besides
the epoch, because a Redis that has lost its data may give an epoch twice. The writes of a store are
numbered, and an older one changes nothing behind a newer one: one that was given up for lost may
still sit in a socket, and be read late, after those of the next connection.

**How long it lives.** While it is attached: the window and `AHEAD`, counted anew with each write;
one comes every ``AHEAD / 2``, so at least the window is left when a server dies. Detached: up to
the deadline, and for another window, so that a client that comes too late hears why. Forgotten:
what remains is an epoch above all others, as long as an attached session would, so that a server
that was away and comes back changes nothing.

**Whose clock.** That of Redis. A deadline of our clock is sent as what is left of it.

**What if Redis loses everything.** The next `progress` of whoever has a session keeps it again: a
record is whole. What nobody has by then is lost.

**How many.** Two sorted sets have the names of the sessions by when they end: all of them, and
those of one address. What was kept again may be more than the limits for a while.

The keys of one script are on several slots: this is for one Redis, with replicas if one likes, and
not for Redis Cluster. It needs Redis 5 or newer.
"""

import math
from collections.abc import Sequence
from itertools import count
from typing import Any, NoReturn, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.redis import RedisAway
from lab.rng import secret
from lab.sequence.records import Record
from lab.sequence.server import AHEAD
from lab.sequence.sessions import ISessionStore, StoreError

#: What all keys begin with.
PREFIX = "txlab:sequence"
#: How scripts know the time, so that a test can give another.
TIME = "redis.call('TIME')"

# KEYS: the session, all sessions, those of its address. ARGV: id, epoch, writer, serial; key, n,
# interval, address, sent; what is left of the deadline, '' while it is attached; how long an
# attached session lives, and for how long an ended one is known; limits. Times in milliseconds.
_BEGIN = f"""
local time = {TIME}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = tonumber(ARGV[2])

local function lives(key, milliseconds)
  if redis.call('PTTL', key) < milliseconds then
    redis.call('PEXPIRE', key, milliseconds)
  end
end

local function keep()
  local deadline, ends, life = '', now + ARGV[11], tonumber(ARGV[11])
  if ARGV[10] ~= '' then
    deadline = now + ARGV[10]
    ends, life = deadline, ARGV[10] + ARGV[12]
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'by', ARGV[3], 'serial', ARGV[4],
    'key', ARGV[5], 'n', ARGV[6], 'interval', ARGV[7], 'address', ARGV[8], 'sent', ARGV[9],
    'deadline', deadline)
  redis.call('PEXPIRE', KEYS[1], life)
  for index = 2, 3 do
    redis.call('ZADD', KEYS[index], ends, ARGV[1])
    lives(KEYS[index], life)
  end
  return 1
end

-- Whether somebody else has the session; and the serial of our last write.
local function taken()
  local has, by, serial = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'by', 'serial'))
  has = tonumber(has or 0)
  if has == epoch and by == ARGV[3] then
    return false, tonumber(serial)
  end
  return has >= epoch, 0
end
"""

_CREATE = f"""{_BEGIN}
for index = 2, 3 do
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now)
  if redis.call('ZCARD', KEYS[index]) >= tonumber(ARGV[11 + index]) then
    return 0
  end
end
return keep()
"""

_ATTACH = f"""{_BEGIN}
local has, deadline = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'deadline'))
if not has or tonumber(has) ~= epoch - 1 then
  return 0
end
if deadline ~= '' and now >= tonumber(deadline) then
  return 0
end
return keep()
"""

_PROGRESS = f"""{_BEGIN}
local refused, serial = taken()
if refused then
  return 0
end
if tonumber(ARGV[4]) < serial then
  return 1
end
return keep()
"""

_FORGET = f"""{_BEGIN}
if taken() then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', '9007199254740992')
redis.call('PEXPIRE', KEYS[1], ARGV[11])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
"""

_LOAD = f"""
local time = {TIME}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = redis.call('HMGET', KEYS[1],
  'key', 'n', 'interval', 'sent', 'epoch', 'deadline', 'address')
if not fields[1] then
  return false
end
fields[6] = fields[6] == '' and 'inf' or tostring(fields[6] - now)
return table.concat(fields, ' ')
"""

_EXPIRE = f"""
local time = {TIME}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""


class Redis(Protocol):
    """What the store wants of Redis; a `RedisConnection` is such."""

    def open(self) -> None:
        """Begin to connect."""

    def close(self) -> Deferred[None]:
        """Disconnect."""

    def evaluate(self, script: str, keys: Sequence[str], args: Sequence[str]) -> Deferred[Any]:
        """Run a script in Lua; fails with a `RedisAway`."""


@implementer(ISessionStore)
@define(eq=False)
class RedisStore:
    """
    A store that servers share.

    Args:
        clock: The reactor; deadlines are in its time.
        redis: Runs scripts.
        sessions: Most sessions at a time, of all servers together.
        per_address: Most sessions of one address, likewise.
        window: A session is kept so long after its client was lost, in seconds.
        name: Of this store; no other has it.
    """

    _clock: IReactorTime
    _redis: Redis
    _sessions: int = 100_000
    _per_address: int = 10_000
    _window: float = 30.0
    _name: str = field(factory=lambda: secret().hex())
    _serials: Any = field(init=False, factory=count)

    def open(self) -> None:
        """See `ISessionStore`; Redis need not be there yet."""
        self._redis.open()

    def close(self) -> Deferred[None]:
        """See `ISessionStore`."""
        return self._redis.close()

    def create(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._write(_CREATE, record, str(self._sessions), str(self._per_address))

    def load(self, id: str) -> Deferred[Record | None]:
        """See `ISessionStore`."""
        asked = self._redis.evaluate(_LOAD, [f"{PREFIX}:{id}"], [])
        return asked.addCallbacks(lambda found: self._read(id, found), _failed)

    def attach(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._write(_ATTACH, record)

    def progress(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`; a session that Redis has lost is kept again."""
        return self._write(_PROGRESS, record)

    def forget(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._write(_FORGET, record)

    def expire(self, now: float) -> Deferred[int]:
        """
        Count no longer what has ended, by the clock of Redis.

        Nothing has to be: keys end by themselves. But who asks hears whether Redis is there.
        """
        return self._redis.evaluate(_EXPIRE, [f"{PREFIX}s"], []).addErrback(_failed)

    def _write(self, script: str, record: Record, *more: str) -> Deferred[bool]:
        """Run one of the scripts that change a session."""
        left = ""
        if record.deadline < math.inf:
            left = _milliseconds(record.deadline - self._clock.seconds())
        keys = [f"{PREFIX}:{record.id}", f"{PREFIX}s", f"{PREFIX}s:{record.address}"]
        args = [
            record.id,
            str(record.epoch),
            self._name,
            str(next(self._serials)),
            record.key.hex(),
            str(record.n),
            repr(record.interval),
            record.address,
            str(record.sent),
            left,
            _milliseconds(self._window + AHEAD),
            _milliseconds(self._window),
            *more,
        ]
        return self._redis.evaluate(script, keys, args).addCallbacks(bool, _failed)

    def _read(self, id: str, found: bytes | None) -> Record | None:
        """The session that Redis has found."""
        if found is None:
            return None
        key, n, interval, sent, epoch, left, address = found.decode().split(" ", 6)
        return Record(
            id,
            bytes.fromhex(key),
            int(n),
            float(interval),
            address,
            int(sent),
            int(epoch),
            self._clock.seconds() + float(left) / 1000,
        )


def _milliseconds(seconds: float) -> str:
    """As Redis counts, and never less."""
    return str(math.ceil(seconds * 1000))


def _failed(reason: Failure) -> NoReturn:
    """Redis is away: that is what a store may say."""
    reason.trap(RedisAway)
    raise StoreError(reason.getErrorMessage()) from None
