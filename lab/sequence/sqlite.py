"""
Sessions in a file, which outlive the server, however it ends.

**What it must do.** What a Deferred has said outlives ``kill -9``, and a loss of power as far as
the disk keeps its word. The reactor never waits for a disk. The cost is bounded.

**How it does it.** All sessions are in memory, and answers come from there; an SQLite database has
a copy. An operation changes the memory at once and marks its session as dirty. One transaction at a
time is written by a thread; what is marked meanwhile goes into the next one, together, as it is by
then. So a session is written once, however often it has changed; there is never more to be written
than there are sessions, and one wait for the disk serves all who wait. A Deferred fires when the
transaction is done that has what it speaks of.

A session that is being created or attached is nobody's until that is kept: whoever else wants it
waits. So if the transaction fails, this can be undone in memory, and nobody has seen it. What is
gone, or how far a session is, is not undone: it is true whether it is kept or not, and the next
transaction tries again.

**What was tried and refused.** A transaction for each operation: a thousand waits for the disk
where there can be one. A pool of connections: there is one writer anyway. To undo everything after
a failure: a session whose client is lost would stay attached for ever, since nobody says so again.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.errors import LocalError
from lab.sequence.memory import MemoryStore
from lab.sequence.records import Record
from lab.sequence.sessions import ISessionStore, StoreError

#: By this a database is known to be ours: "txla".
APPLICATION = 0x74786C61
#: The form of its tables.
VERSION = 1
#: Most sessions in one transaction: the reactor makes their rows.
MOST = 1000
#: After a failure nothing is written for so long, in seconds, and everybody hears of that failure.
PAUSE = 0.5

_TABLE = """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        key BLOB NOT NULL,
        n INTEGER NOT NULL,
        interval REAL NOT NULL,  -- seconds
        address TEXT NOT NULL,
        sent INTEGER NOT NULL,  -- no more numbers than these have been sent
        epoch INTEGER NOT NULL
    ) WITHOUT ROWID
"""
_COLUMNS = "id, key, n, interval, address, sent, epoch"
# Without RETURNING and the like: SQLite of any age does.
_PUT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_DELETE = "DELETE FROM sessions WHERE id = ?"

Row = tuple[str, bytes, int, float, str, int, int]


@define(eq=False)
class Database:
    """
    The file. Its methods take as long as the disk does; one is called at a time.

    Args:
        name: The file.
    """

    _name: str
    #: As it was when we began: a daemon goes to another folder.
    _path: Path = field(init=False)
    _connection: Any = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Find out where it is."""
        self._path = Path(self._name).absolute()

    def open(self) -> list[Record]:
        """
        Open it, or make it, and keep others out.

        Returns:
            The sessions in it.

        Raises:
            LocalError: It can't be opened, is another's, or no such thing.
        """
        with ExitStack() as stack:
            try:
                self._make()
                connection = stack.enter_context(
                    closing(
                        sqlite3.connect(
                            self._path, timeout=0, isolation_level=None, check_same_thread=False
                        )
                    )
                )
                self._prepare(connection)
                rows = connection.execute(f"SELECT {_COLUMNS} FROM sessions").fetchall()  # noqa: S608
            except (OSError, sqlite3.Error) as error:
                raise self._refused(_why(error)) from error
            stack.pop_all()
        self._connection = connection
        return [Record(*row) for row in rows]

    def write(self, kept: list[Row], gone: list[tuple[str]]) -> None:
        """Write all of this, or nothing."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_PUT, kept)
            connection.executemany(_DELETE, gone)

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def _refused(self, why: str) -> LocalError:
        """The error of a file that is of no use."""
        return LocalError(f"sessions is 'sqlite:{self._name}'; {why}")

    def _make(self) -> None:
        """
        Make the file if there is none. It has keys in it, so nobody else may read it.

        One that is there is not opened: to close it again would free SQLite's locks of it.
        """
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if self._path.is_dir():
            raise self._refused("it is a directory")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """See that the database is ours, and of this form; no other is changed."""
        # Nobody else may have the file as long as we have. So there is no shared memory beside it.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if (application, version, tables) == (0, 0, 0):
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif application != APPLICATION:
                raise self._refused("it is the database of another program")
            elif version != VERSION:
                raise self._refused(f"its form is {version}, and this program knows {VERSION}")
        # A write is one append to the log, and one wait for the disk. Without the wait
        # (synchronous = NORMAL) a loss of power would take back what a Deferred has said.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")


@implementer(ISessionStore)
@define(eq=False)
class SqliteStore:
    """
    A store that outlives its process.

    When it is opened, the window of every session begins anew, for nobody could come back while
    there was no server. What has ended is known for another window, but not beyond a restart.

    Args:
        reactor: Gives the time, and threads.
        path: The file; it is made if there is none.
        sessions: Most sessions at a time.
        per_address: Most sessions of one address.
        window: A session ends so long after the opening unless its client is back, and what has
            ended is loaded for so long, in seconds.
        run: Calls a function elsewhere, and gives the Deferred of that; by default a thread of the
            reactor's does it.
    """

    _reactor: Any
    _path: str
    _sessions: int = 100_000
    _per_address: int = 10_000
    _window: float = 30.0
    _run: Callable[..., Deferred[Any]] | None = None
    _database: Database = field(init=False)
    _memory: MemoryStore = field(init=False)
    #: Names of what is to be written, in this order, and of what is being written; and who waits.
    _dirty: dict[str, list[Deferred[None]]] = field(init=False, factory=dict)
    _writing: dict[str, list[Deferred[None]]] = field(init=False, factory=dict)
    #: Names of what is being created or attached, and who else wants it.
    _taken: dict[str, list[Deferred[None]]] = field(init=False, factory=dict)
    #: The newest failure, and until when it is everybody's.
    _failure: Failure | None = field(init=False, default=None)
    _pause: float = field(init=False, default=0.0)
    _closing: Deferred[None] | None = field(init=False, default=None)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        """Have a database; it is not opened yet, for a daemon could not take it along."""
        self._database = Database(self._path)
        self._memory = self._empty()

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._memory)

    def open(self) -> None:
        """See `ISessionStore`."""
        records = self._database.open()
        deadline = self._reactor.seconds() + self._window
        self._memory = self._empty()
        for record in records:
            self._memory.put(evolve(record, deadline=deadline))
        self._pause = 0.0
        if self._run is None:
            self._run = partial(deferToThreadPool, self._reactor, self._reactor.getThreadPool())
        self._log.info(
            "{count:,} sessions in {path} wait for their clients",
            count=len(records),
            path=self._path,
        )

    def close(self) -> Deferred[None]:
        """See `ISessionStore`."""
        self._closing, self._pause = Deferred(), 0.0
        closed = self._closing
        self._write()
        return closed

    def create(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._memory.create(record).addCallback(self._take, record, None)

    def load(self, id: str) -> Deferred[Record | None]:
        """See `ISessionStore`."""
        return self._when_free(id, lambda: self._memory.load(id))

    def attach(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""

        def attach() -> Deferred[bool]:
            """Nobody else is taking it."""
            before = self._memory.get(record.id)
            return self._memory.attach(record).addCallback(self._take, record, before)

        return self._when_free(record.id, attach)

    def progress(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._change(record, self._memory.progress)

    def forget(self, record: Record) -> Deferred[bool]:
        """See `ISessionStore`."""
        return self._change(record, self._memory.forget)

    def expire(self, now: float) -> Deferred[int]:
        """See `ISessionStore`; besides, what could not be written is tried again."""
        ended = self._memory.end(now)
        for id in ended:
            self._dirty.setdefault(id, [])
        waiting = self._dirty or self._writing
        if not waiting:
            return succeed(0)
        # What is written last is kept last.
        return self._keep(next(reversed(waiting)), waiting).addCallback(lambda _: len(ended))

    # Who waits for what.

    def _take(
        self,
        good: bool,  # noqa: FBT001 - what the memory says
        record: Record,
        before: Record | None,
    ) -> bool | Deferred[bool]:
        """A session was created or attached, in memory; undo that if it can't be kept."""
        if not good:
            return False
        self._taken[record.id] = []
        answer = Deferred[bool]()

        def over(result: Failure | None) -> None:
            """It is kept, or not; those who want the session besides come after its taker."""
            waiting = self._taken.pop(record.id)
            if result is None:
                answer.callback(True)  # noqa: FBT003 - a result
            else:
                self._undo(record, before)
                answer.errback(result)
            for free in waiting:
                free.callback(None)

        self._keep(record.id, self._dirty).addBoth(over)
        return answer

    def _undo(self, record: Record, before: Record | None) -> None:
        """Let a session be as it was before it was taken."""
        if before is not None:
            self._memory.put(before)
        else:  # it is not in the file, and need not be deleted there
            self._memory.forget(record)
            self._dirty.pop(record.id, None)

    def _change(self, record: Record, change: Callable[[Record], Deferred[bool]]) -> Deferred[bool]:
        """Change a session by whoever has it."""

        def changed(good: bool) -> bool | Deferred[bool]:  # noqa: FBT001 - what the memory says
            """It is, in memory, or the epoch is old."""
            return good and self._keep(record.id, self._dirty).addCallback(lambda _: True)

        return self._when_free(record.id, lambda: change(record).addCallback(changed))

    def _when_free(self, id: str, operation: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Do something with a session as soon as nobody is taking it."""
        if id not in self._taken:
            return operation()
        free = Deferred[None]()
        self._taken[id].append(free)
        return free.addCallback(lambda _: self._when_free(id, operation))

    def _keep(self, id: str, among: dict[str, list[Deferred[None]]]) -> Deferred[None]:
        """Have a session written as it is by then; fires when it is."""
        waiting = among.setdefault(id, [])
        if self._reactor.seconds() < self._pause and self._failure is not None:
            return fail(self._failure)
        kept = Deferred[None]()
        waiting.append(kept)
        self._write()
        return kept

    # One transaction after the other.

    def _write(self) -> None:
        """Write the first of what is dirty, unless something is being written."""
        if self._writing:
            return
        run: Any = self._run
        if self._dirty and self._reactor.seconds() >= self._pause:
            self._writing = dict(islice(self._dirty.items(), MOST))
            kept, gone = list[Row](), list[tuple[str]]()
            for id in self._writing:
                del self._dirty[id]
                record = self._memory.get(id)
                if record is None:
                    gone.append((id,))
                else:
                    kept.append(_row(record))
            run(self._database.write, kept, gone).addCallbacks(self._written, self._failed)
        elif self._closing is not None:
            closing, self._closing = self._closing, None
            run(self._database.close).chainDeferred(closing)

    def _written(self, _: None) -> None:
        """A transaction is done."""
        self._tell(self._writing, None)

    def _failed(self, reason: Failure) -> None:
        """Nothing of a transaction is done: so hear all who wait, also for the next one."""
        if reason.check(sqlite3.Error):
            reason = Failure(StoreError(f"{self._path}: {reason.getErrorMessage()}"))
        self._failure, self._pause = reason, self._reactor.seconds() + PAUSE
        waiting = {**self._writing, **self._dirty}
        self._dirty = {id: [] for id in waiting}
        self._tell(waiting, reason)

    def _tell(self, waiting: dict[str, list[Deferred[None]]], result: Failure | None) -> None:
        """Tell those who wait; what they do then is for the next transaction, all together."""
        for each in waiting.values():
            for one in each:
                one.callback(result)
        self._writing = {}
        self._write()

    def _empty(self) -> MemoryStore:
        """A memory without sessions."""
        return MemoryStore(self._sessions, self._per_address, self._window)


def _row(record: Record) -> Row:
    """What the database has of a session; deadlines begin anew, and need not be there."""
    return (
        record.id,
        record.key,
        record.n,
        record.interval,
        record.address,
        record.sent,
        record.epoch,
    )


def _why(error: Exception) -> str:
    """Why a file can't be opened, for people."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return "another process has it"
    return getattr(error, "strerror", None) or str(error)
