"""Sessions in a file; `test_sessions` has what all stores do."""

import math
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.errors import LocalError
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.rng import stream
from lab.sequence.records import Record
from lab.sequence.server import AHEAD
from lab.sequence.sessions import StoreError
from lab.sequence.settings import ServerSettings
from lab.sequence.sqlite import MOST, PAUSE, Database, SqliteStore
from lab.sequence.wire import Number, Resumed, Session
from lab.simulator import explore, simulate
from lab.simulator.network import Network
from tests.helpers import QUICK, captured_logs, folder, longest, thorough
from tests.sequence.test_sessions import StoreCase, record
from tests.sequence.test_tcp import Run

WINDOW = 30.0


def crashed(path: Path, to: Path) -> Path:
    """What is left of a database if its process is killed now."""
    to.mkdir()
    for suffix in ("", "-wal", "-journal"):
        file = Path(f"{path}{suffix}")
        if file.exists():
            shutil.copy(file, to / file.name)
    return to / path.name


def kept(path: Path) -> dict[str, Record]:
    """The sessions that a server finds that starts now."""
    database = Database(str(path))
    try:
        return {one.id: one for one in database.open()}
    finally:
        database.close()


class Elsewhere:
    """What a store wants done in a thread; here it waits until a test has it done."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], object], Deferred[Any]]] = []
        #: How many rows each transaction had.
        self.rows: list[int] = []

    def __call__(self, function: Callable[..., object], *arguments: Any) -> Deferred[Any]:
        """Let it wait."""
        done = Deferred[Any]()
        self.waiting.append((partial(function, *arguments), done))
        self.rows.append(sum(map(len, arguments)))
        return done

    def write(self) -> Callable[[], None]:
        """Do the one there is; gives what tells of that."""
        ((function, done),) = self.waiting
        function()
        return partial(self.tell, done)

    def tell(self, done: Deferred[Any], result: Any = None) -> None:
        """Tell that it is done."""
        self.waiting.pop()
        done.callback(result)

    def step(self) -> None:
        """Do it, and tell."""
        self.write()()

    def settle(self) -> None:
        """Do all there is, and what comes of that."""
        while self.waiting:
            self.step()

    def fail(self, error: Exception | None = None) -> None:
        """Do nothing, and tell that."""
        ((_, done),) = self.waiting
        self.tell(done, Failure(error or sqlite3.OperationalError("database or disk is full")))


class SqliteCase(SynchronousTestCase):
    """A test case with a folder for databases."""

    def setUp(self) -> None:
        """Have a folder."""
        self.folder = folder(self)
        self.path = self.folder / "sessions.db"
        self.clock = Clock()
        self.elsewhere = Elsewhere()
        self.names = count()

    def store(self, path: Path | None = None, **more: Any) -> SqliteStore:
        """A store, open, which does in a thread of ours what it does there."""
        store = SqliteStore(self.clock, str(path or self.path), **{"run": self.elsewhere, **more})
        store.open()
        self.addCleanup(store._database.close)
        return store

    def now(self, deferred: Deferred[Any]) -> Any:
        """The result of a Deferred, when all is written."""
        self.elsewhere.settle()
        return self.successResultOf(deferred)

    def crash(self) -> Path:
        """What is left if the process is killed now."""
        return crashed(self.path, self.folder / f"copy-{next(self.names)}")


class SqliteTests(StoreCase, SynchronousTestCase):
    """The tests of all stores."""

    def make(self, **limits: int) -> SqliteStore:
        """A store that writes at once."""
        path = folder(self) / "sessions.db"
        store = SqliteStore(Clock(), str(path), run=maybeDeferred, **limits)
        self.addCleanup(lambda: store._database.close())  # noqa: PLW0108 - it is open by then
        return store


class FileTests(SqliteCase):
    """What can be opened, and what is left of it."""

    def refused(self, path: Path, why: str) -> None:
        """This is refused, in one line, and is as it was."""
        before = path.read_bytes() if path.is_file() else None
        error = self.assertRaises(LocalError, Database(str(path)).open)
        self.assertEqual(str(error), f"sessions is 'sqlite:{path}'; {why}")
        self.assertEqual(path.read_bytes() if path.is_file() else None, before)

    def test_private(self) -> None:
        """It has keys in it: nobody else may read it, nor what is beside it."""
        store = self.store()
        self.now(store.create(record()))
        files = sorted(self.folder.iterdir())
        self.assertEqual([file.name for file in files], ["sessions.db", "sessions.db-wal"])
        for file in files:
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.now(store.close())
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_settings(self) -> None:
        """Each transaction waits for the disk, once."""
        connection = self.store()._database._connection
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "locking_mode")
        ]
        self.assertEqual(found, ["wal", 2, "exclusive"])

    def test_one_at_a_time(self) -> None:
        """Who comes second is refused, until the first has closed it."""
        store = self.store()
        self.refused(self.path, "another process has it")
        self.now(store.create(record()))
        self.refused(self.path, "another process has it")
        self.now(store.close())
        self.assertEqual(list(kept(self.path)), ["a" * 32])

    def test_nowhere(self) -> None:
        """A folder that is none, one that is the file, and one that can't be written."""
        self.refused(self.folder / "none" / "x.db", "No such file or directory")
        self.refused(self.folder, "it is a directory")
        self.refused(Path("/proc/x.db"), "No such file or directory")
        self.patch(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Denied")))
        self.refused(self.path, "Denied")

    def test_no_database(self) -> None:
        """A file of another kind, and a database that is broken."""
        self.path.write_bytes(b"What is this? " * 100)
        self.refused(self.path, "file is not a database")
        self.path.unlink()
        self.now(self.store().create(record()))
        self.now(self.store(self.crash()).close())
        copy = self.crash()
        kept(copy)
        data = copy.read_bytes()
        copy.write_bytes(data[:4096] + bytes(100) + data[4196:])
        self.refused(copy, "database disk image is malformed")

    def test_of_another_program(self) -> None:
        """A database that is somebody else's, marked as that or not, or is newer than we are."""
        ours = f"PRAGMA application_id = {0x74786C61}"
        for number, (statement, why) in enumerate(
            [
                ("PRAGMA application_id = 7", "it is the database of another program"),
                ("CREATE TABLE t (c)", "it is the database of another program"),
                ("PRAGMA user_version = 3", "it is the database of another program"),
                (f"{ours}; PRAGMA user_version = 2", "its form is 2, and this program knows 1"),
            ]
        ):
            path = self.folder / f"{number}.db"
            connection = sqlite3.connect(path)
            connection.executescript(statement)
            connection.close()
            self.refused(path, why)

    def test_empty(self) -> None:
        """An empty file is one that was made beforehand, for example with other rights."""
        self.path.write_bytes(b"")
        self.path.chmod(0o640)
        self.now(self.store().close())
        self.assertEqual(kept(self.path), {})
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)

    def test_any_name(self) -> None:
        """What SQLite takes for something else is a file; a relative name stays where it is."""
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        for name in (":memory:", "file:x.db?mode=memory"):
            store = SqliteStore(self.clock, name, run=self.elsewhere)
            os.chdir(before)
            store.open()
            self.now(store.close())
            os.chdir(self.folder)
            self.assertTrue((self.folder / name).exists())

    def test_log(self) -> None:
        """A server that starts says how many sessions it has found, and nothing of their keys."""
        store = self.store()
        secret = evolve(record(), key=b"secret of sixtee")
        self.now(store.create(secret))
        self.now(store.close())
        with captured_logs() as logged:
            store.open()
        said = [formatEvent(event) for event in logged]
        self.assertEqual(said, [f"1 sessions in {self.path} wait for their clients"])
        self.assertNotIn(secret.key.hex(), repr(logged))
        self.assertNotIn(repr(secret.key), repr(logged))


class OutliveTests(SqliteCase):
    """What is there again."""

    def test_all_of_it(self) -> None:
        """A session comes back as it was, by the books and after a crash."""
        store = self.store()
        one = Record("1" * 32, bytes(range(16)), 65535, 0.1 + 0.2, "fe80::1", 7)
        self.now(store.create(one))
        later = evolve(one.attached(), sent=60000)
        self.now(store.attach(later))
        self.assertEqual(kept(self.crash()), {one.id: later})
        self.now(store.close())
        self.assertEqual(kept(self.path), {one.id: later})

    def test_window(self) -> None:
        """The window begins anew for all, attached or not, however late it is."""
        store = self.store()
        for name in "abc":
            self.now(store.create(record(name)))
        self.now(store.progress(evolve(record("b"), deadline=31.0)))
        self.now(store.progress(evolve(record("c"), deadline=2.0)))
        copy = self.crash()
        self.clock.advance(1000)
        store = self.store(copy)
        self.assertEqual(self.now(store.expire(1000 + WINDOW - 0.1)), 0)
        self.assertEqual(len(store), 3)
        self.assertEqual(self.now(store.load("a" * 32)).deadline, 1000 + WINDOW)
        self.now(store.attach(record("b").attached()))
        self.assertEqual(self.now(store.expire(1000 + WINDOW)), 2)
        self.assertEqual(list(kept(crashed(copy, self.folder / "again"))), ["b" * 32])

    def test_gone(self) -> None:
        """What is over, or has ended, does not come back."""
        store = self.store()
        for name in "abc":
            self.now(store.create(record(name)))
        self.now(store.forget(record("a")))
        self.now(store.progress(evolve(record("b"), deadline=30.0)))
        self.now(store.expire(30.0))
        self.assertIsNotNone(self.now(store.load("b" * 32)))
        store = self.store(self.crash())
        self.assertIsNone(self.now(store.load("b" * 32)))
        self.assertEqual(len(store), 1)

    def test_limits(self) -> None:
        """Who was there before a limit stays; nobody new comes until there is room."""
        store = self.store()
        for name in "abc":
            self.now(store.create(record(name)))
        self.now(store.close())
        store = self.store(sessions=2, per_address=2)
        self.assertEqual(len(store), 3)
        self.assertFalse(self.now(store.create(record("d", "there"))))
        for name in "ab":
            self.now(store.forget(record(name)))
        self.assertTrue(self.now(store.create(record("d", "there"))))

    def test_again(self) -> None:
        """It can be closed and opened, and then begins with what is in the file."""
        store = self.store()
        for number in range(5):
            self.assertTrue(self.now(store.create(record(f"{number}"))))
            self.now(store.close())
            store.open()
            self.assertEqual(len(store), number + 1)

    def test_after_the_end(self) -> None:
        """What comes when it is closed fails, and is not there."""
        store = self.store()
        self.now(store.close())
        created = store.create(record())
        (_, done) = self.elsewhere.waiting[0]
        error = self.assertRaises(sqlite3.ProgrammingError, self.elsewhere.write)
        self.elsewhere.tell(done, Failure(error))
        self.failureResultOf(created, StoreError)
        store.open()
        self.assertEqual(len(store), 0)

    def test_at_any_moment(self) -> None:
        """Killed between any two steps of a transaction, all of it is there or nothing."""
        store = self.store()
        self.now(store.create(record("a")))
        copies: list[Path] = []
        store._database._connection.set_trace_callback(lambda _: copies.append(self.crash()))
        for name in "bcd":
            store.create(record(name))
            store.forget(record("a"))
        self.elsewhere.settle()
        copies.append(self.crash())
        # A transaction with b; and one with c, d and without a.
        found = ["".join(sorted(id[0] for id in kept(copy))) for copy in copies]
        self.assertEqual(sorted(set(found), key=found.index), ["a", "ab", "bcd"])
        self.assertGreater(len(copies), 8)


class TransactionTests(SqliteCase):
    """What is written when, and who waits for it."""

    def test_not_before(self) -> None:
        """A Deferred fires when it is kept, not before, and not in the thread."""
        store = self.store()
        created = store.create(record())
        self.assertNoResult(created)
        self.assertEqual(kept(self.crash()), {})
        tell = self.elsewhere.write()
        self.assertNoResult(created)
        self.assertEqual(list(kept(self.crash())), ["a" * 32])
        tell()
        self.assertTrue(self.successResultOf(created))

    def test_no_write(self) -> None:
        """What changes nothing is not written, and waits for nobody else."""
        store = self.store(sessions=1)
        self.now(store.create(record()))
        busy = store.progress(evolve(record(), sent=1))
        number = len(self.elsewhere.rows)
        self.assertEqual(self.successResultOf(store.load("a" * 32)).sent, 1)
        self.assertIsNone(self.successResultOf(store.load("b" * 32)))
        self.assertFalse(self.successResultOf(store.create(record("b"))))
        self.assertFalse(self.successResultOf(store.attach(record())))
        self.assertFalse(self.successResultOf(store.progress(evolve(record(), epoch=2))))
        self.assertFalse(self.successResultOf(store.forget(evolve(record(), epoch=2))))
        self.now(busy)
        self.assertEqual(self.successResultOf(store.expire(1.0)), 0)
        self.assertEqual(len(self.elsewhere.rows), number)

    def test_together(self) -> None:
        """What comes during a transaction goes into the next one, once for each session."""
        store = self.store()
        created = [store.create(record(f"{number:x}")) for number in range(16)]
        self.elsewhere.settle()
        self.assertEqual(self.elsewhere.rows, [1, 15])
        self.assertTrue(all(self.successResultOf(one) for one in created))
        moved = [
            store.progress(evolve(record(f"{number % 16:x}"), sent=number)) for number in range(160)
        ]
        self.elsewhere.settle()
        self.assertEqual(self.elsewhere.rows[2:], [1, 16])
        self.assertTrue(all(self.successResultOf(one) for one in moved))
        sent = {one.sent for one in kept(self.crash()).values()}
        self.assertEqual(sent, set(range(144, 160)))

    def test_bounded(self) -> None:
        """One transaction at a time, none too large, and never more than there are sessions."""
        store = self.store(per_address=10_000)
        names = [f"{number:032x}" for number in range(2 * MOST + 1)]
        ones = [evolve(record(), id=name) for name in names]
        done = gatherResults([store.create(one) for one in ones])
        for turn in range(3):
            for one in ones:
                store.progress(evolve(one, sent=turn))
        self.assertEqual(len(self.elsewhere.waiting), 1)
        self.now(done)
        self.assertEqual(self.elsewhere.rows[:4], [1, MOST, MOST, 0 + MOST])
        self.assertLessEqual(max(self.elsewhere.rows), MOST)
        self.assertEqual(len(kept(self.crash())), 2 * MOST + 1)

    def test_many_end(self) -> None:
        """Those that end together are deleted in turns; all is kept when that is told."""
        store = self.store(per_address=10_000)
        for number in range(MOST + 1):
            store.create(evolve(record(), id=f"{number:032x}"))
        self.elsewhere.settle()
        store = self.store(self.crash(), per_address=10_000)
        self.elsewhere.rows.clear()
        ended = store.expire(WINDOW)
        self.elsewhere.step()
        self.assertNoResult(ended)
        self.elsewhere.step()
        self.assertEqual(self.successResultOf(ended), MOST + 1)
        self.assertEqual(self.elsewhere.rows, [MOST, 1])

    def test_expire_waits(self) -> None:
        """It speaks of all that ended before, also of what is being written."""
        store = self.store()
        self.now(store.create(record()))
        self.now(store.progress(evolve(record(), deadline=1.0)))
        first = store.expire(1.0)
        second = store.expire(2.0)
        self.assertNoResult(second)
        self.elsewhere.step()
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (1, 0))
        self.assertEqual(self.elsewhere.waiting, [])

    def test_nobodys(self) -> None:
        """While somebody takes a session, whoever else wants it waits, and comes after."""
        store, heard = self.store(), list[str]()
        self.now(store.create(record()))
        taken = record().attached()
        for name, deferred in (
            ("attach", store.attach(taken)),
            ("load", store.load(taken.id)),
            ("again", store.attach(taken)),
            ("next", store.attach(taken.attached())),
            ("old", store.progress(record())),
            ("forget", store.forget(record())),
        ):
            deferred.addCallback(lambda result, name=name: heard.append(f"{name} {result}"))
        self.assertEqual(heard, [])
        self.elsewhere.step()
        self.assertEqual(heard[0], "attach True")
        self.assertEqual(heard[1], f"load {taken}")
        self.assertEqual(heard[2:], ["again False"])
        self.elsewhere.step()
        self.assertEqual(heard[3:], ["next True", "old False", "forget False"])
        self.assertEqual((store._taken, store._dirty, store._writing), ({}, {}, {}))

    def test_close(self) -> None:
        """It keeps what is under way, and what comes of that."""
        store = self.store()
        first, second = store.create(record("a")), store.create(record("b"))
        second.addCallback(lambda _: store.progress(evolve(record("b"), sent=3)))
        closed = store.close()
        for _ in range(3):
            self.assertNoResult(closed)
            self.elsewhere.step()
        self.elsewhere.step()
        self.successResultOf(closed)
        self.assertTrue(self.successResultOf(first) and self.successResultOf(second))
        self.assertEqual(kept(self.path)["b" * 32].sent, 3)


class FailingTests(SqliteCase):
    """A disk that can't."""

    def test_full(self) -> None:
        """A disk that is really full is one line, and nothing is written until there is room."""
        store = self.store()
        self.now(store.create(record()))
        connection = store._database._connection
        connection.execute("PRAGMA max_page_count = 1")
        large = record("b", "x" * 100_000)
        moved, created = store.progress(evolve(record(), sent=3)), store.create(large)
        self.elsewhere.step()
        self.assertTrue(self.successResultOf(moved))
        (function, done) = self.elsewhere.waiting[0]
        error = self.assertRaises(sqlite3.OperationalError, function)
        self.assertFalse(connection.in_transaction)
        self.elsewhere.tell(done, Failure(error))
        failure = self.failureResultOf(created, StoreError)
        self.assertEqual(failure.getErrorMessage(), f"{self.path}: database or disk is full")
        self.assertEqual(list(kept(self.crash())), ["a" * 32])
        connection.execute("PRAGMA max_page_count = 1000000")
        self.clock.advance(PAUSE)
        self.assertTrue(self.now(store.create(large)))
        self.assertEqual(kept(self.crash())[large.id], large)

    def test_undone(self) -> None:
        """What could not be created or attached is as it was; with its deadline, and the limits."""
        store = self.store(sessions=2)
        self.now(store.create(record("a")))
        self.now(store.progress(evolve(record("a"), deadline=5.0)))
        attached, created = store.attach(record("a").attached()), store.create(record("b"))
        self.elsewhere.fail()
        for one in (attached, created):
            self.failureResultOf(one, StoreError)
        self.clock.advance(PAUSE)
        self.assertEqual(len(store), 1)
        self.assertEqual(self.now(store.load("a" * 32)), evolve(record("a"), deadline=5.0))
        self.assertIsNone(self.now(store.load("b" * 32)))
        self.assertTrue(self.now(store.create(record("c"))))
        self.assertEqual(self.now(store.expire(5.0)), 1)
        self.assertEqual(list(kept(self.crash())), ["c" * 32])

    def test_those_who_wait(self) -> None:
        """Who wanted a session that could not be taken finds it as it was."""
        store = self.store()
        self.now(store.create(record()))
        attached, loaded = store.attach(record().attached()), store.load("a" * 32)
        moved = store.progress(evolve(record(), sent=4, deadline=9.0))
        self.elsewhere.fail()
        self.failureResultOf(attached, StoreError)
        self.assertEqual(self.successResultOf(loaded), record())
        self.failureResultOf(moved, StoreError)
        self.clock.advance(PAUSE)
        # It is detached, though nobody could be told that this is kept.
        self.assertEqual(self.now(store.expire(9.0)), 1)
        self.assertEqual(kept(self.crash()), {})

    def test_written_later(self) -> None:
        """How far it is, and what is gone, is true; the next transaction has it."""
        store = self.store()
        for name in "abc":
            self.now(store.create(record(name)))
        self.now(store.progress(evolve(record("c"), deadline=1.0)))
        gone = store.forget(record("a"))
        moved = store.progress(evolve(record("b"), sent=3))
        ended = store.expire(1.0)
        self.elsewhere.fail()
        for one in (gone, moved, ended):
            self.failureResultOf(one, StoreError)
        self.assertEqual(sorted(kept(self.crash())), ["a" * 32, "b" * 32, "c" * 32])
        self.assertEqual(self.elsewhere.waiting, [])
        self.clock.advance(PAUSE)
        self.assertEqual(self.now(store.expire(2.0)), 0)
        self.assertEqual(kept(self.crash()), {"b" * 32: evolve(record("b"), sent=3)})

    def test_no_flood(self) -> None:
        """For a while everybody hears of the same failure, and nothing is tried."""
        store = self.store()
        self.now(store.create(record()))
        tried = len(self.elsewhere.rows)
        for turn in range(10):
            for number in range(100):
                moved = store.progress(evolve(record(), sent=number))
                created = store.create(record("b"))
                ended = store.expire(0.0)
                if not number:
                    self.elsewhere.fail()
                for one in (moved, created, ended):
                    self.failureResultOf(one, StoreError)
            self.assertEqual(len(self.elsewhere.rows), tried + turn + 1)
            self.assertEqual(list(store._dirty), ["a" * 32])
            self.clock.advance(PAUSE)
        self.assertTrue(self.now(store.create(record("b"))))
        self.assertEqual(kept(self.crash())["a" * 32].sent, 99)

    def test_a_fault(self) -> None:
        """What is no failure of the database is told as it is."""
        store = self.store()
        created = store.create(record())
        self.elsewhere.fail(ZeroDivisionError())
        self.failureResultOf(created, ZeroDivisionError)

    def test_close(self) -> None:
        """A disk that can't be written does not keep a server from its end; it is tried once."""
        store = self.store()
        self.now(store.create(record()))
        moved = store.progress(evolve(record(), sent=3))
        self.elsewhere.fail()
        self.failureResultOf(moved, StoreError)
        closed = store.close()
        self.elsewhere.fail()
        self.assertNoResult(closed)
        self.elsewhere.step()
        self.successResultOf(closed)
        self.assertEqual(kept(self.path), {"a" * 32: record()})


class Crashing(RuleBasedStateMachine):
    """
    Whatever is asked, written, told, or fails, and whenever the process is killed.

    The model is what each session has been, one state after the other, and which of these is kept
    at least: what is found after a crash is that one, or one that came after it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(dir=QUICK)
        self.names, self.clock = count(), Clock()
        self.path = Path(self.folder.name) / "sessions.db"
        self.states: dict[str, list[Record | None]] = {}
        self.least: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """A server starts."""
        self.elsewhere = Elsewhere()
        self.tell: Callable[[], None] | None = None
        self.taking: set[str] = set()
        self.store = SqliteStore(
            self.clock, str(self.path), sessions=8, per_address=8, run=self.elsewhere
        )
        self.store.open()

    def teardown(self) -> None:
        """It ends."""
        self.store._database.close()
        self.folder.cleanup()

    def asked(self, asked: Deferred[Any], id: str, state: Record | None, undo: object = ()) -> None:
        """A session is in another state; `undo` is what it is again if that can't be kept."""
        states, answers = self.states.setdefault(id, [None]), list[Any]()
        asked.addBoth(lambda result: answers.append(result) or result)
        if answers == [False]:
            return
        states.append(state)
        number = len(states) - 1
        if undo != ():
            self.taking.add(id)

        def told(result: Any) -> None:
            """It is kept, or not."""
            if undo != ():
                self.taking.discard(id)
            if not isinstance(result, Failure):
                assert result is True
                self.least[id] = max(self.least.get(id, 0), number)
            else:
                result.trap(StoreError)
                if undo != ():
                    states.append(undo)  # type: ignore[arg-type]

        asked.addBoth(told)

    def newest(self, id: str) -> Record | None:
        """What a session is."""
        return self.states[id][-1]

    def draw(self, number: int) -> Record | None:
        """One of the sessions that nobody is taking."""
        free = [id for id in self.states if self.newest(id) and id not in self.taking]
        return self.newest(free[number % len(free)]) if free else None

    @rule()
    def create(self) -> None:
        """A new one."""
        one = evolve(record(), id=f"{next(self.names):032x}")
        self.asked(self.store.create(one), one.id, one, None)

    @rule(number=st.integers(0, 7), epochs=st.integers(0, 1))
    def attach(self, number: int, epochs: int) -> None:
        """One goes on, or its epoch is old."""
        one = self.draw(number)
        if one is not None:
            after = evolve(one.attached(), epoch=one.epoch + epochs)
            self.asked(self.store.attach(after), one.id, after, one)

    @rule(number=st.integers(0, 7), more=st.integers(0, 5), away=st.booleans())
    def progress(self, number: int, more: int, away: bool) -> None:  # noqa: FBT001
        """One is further, or is lost."""
        one = self.draw(number)
        if one is not None:
            deadline = self.clock.seconds() + 2 if away else math.inf
            after = evolve(one, sent=one.sent + more, deadline=deadline)
            self.asked(self.store.progress(after), one.id, after)

    @rule(number=st.integers(0, 7))
    def forget(self, number: int) -> None:
        """One is over."""
        one = self.draw(number)
        if one is not None:
            self.asked(self.store.forget(one), one.id, None)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def expire(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)
        now = self.clock.seconds()
        numbers = {}
        asked = self.store.expire(now)
        for id, states in self.states.items():
            one = states[-1]
            if one and one.deadline < math.inf and math.ceil(one.deadline) <= now:
                states.append(None)
            numbers[id] = len(states) - 1 if states[-1] is None else -1

        def told(result: Any) -> None:
            """It is kept that they are gone, or not."""
            if isinstance(result, Failure):
                result.trap(StoreError)
                return
            for id, number in numbers.items():
                self.least[id] = max(self.least.get(id, 0), number)

        asked.addBoth(told)

    @precondition(lambda self: self.elsewhere.waiting and self.tell is None)
    @rule()
    def write(self) -> None:
        """The thread writes, and has not told yet."""
        self.tell = self.elsewhere.write()

    @precondition(lambda self: self.tell is not None)
    @rule()
    def written(self) -> None:
        """It tells."""
        tell, self.tell = self.tell, None
        assert tell is not None
        tell()

    @precondition(lambda self: self.elsewhere.waiting and self.tell is None)
    @rule()
    def fails(self) -> None:
        """It could not."""
        self.elsewhere.fail()

    @rule()
    def crash(self) -> None:
        """The process is killed, and there is another one."""
        path = crashed(self.path, Path(self.folder.name) / f"{next(self.names)}")
        self.store._database.close()
        self.path = path
        found = kept(path)
        for id, states in self.states.items():
            one = found.pop(id, None)
            allowed = states[self.least.get(id, 0) :]
            assert one in [state and evolve(state, deadline=math.inf) for state in allowed]
            deadline = self.clock.seconds() + WINDOW
            self.states[id] = [one and evolve(one, deadline=deadline)]
            self.least[id] = 0
        assert not found
        self.begin()

    @invariant()
    def alike(self) -> None:
        """What is in memory is the newest of all."""
        newest = {id: self.newest(id) for id in self.states if self.newest(id)}
        assert self.store._memory._records == newest
        assert len(self.store._dirty) <= len(self.states)


class CrashingTests(SynchronousTestCase):
    """What was said is there, whatever happens."""

    def test_crashing(self) -> None:
        """A hundred stories."""
        run_state_machine_as_test(
            Crashing, settings=settings(deadline=None, max_examples=100, stateful_step_count=40)
        )

    @thorough
    def test_crashing_at_length(self) -> None:
        """Four hundred, longer ones."""
        run_state_machine_as_test(
            Crashing, settings=settings(deadline=None, max_examples=400, stateful_step_count=60)
        )


class DiskRun(Run):
    """
    A server whose sessions outlive its crashes, and clients.

    Args:
        net: The network.
        folder: Where the database is; after a crash it is a copy of what was there.
        settings: Of the server.
        slow: A transaction takes up to so long, before and behind, in seconds.
        failing: One that fails is this probable.

    Attributes:
        failing: The same, to be changed.
    """

    def __init__(
        self,
        net: Network,
        folder: Path,
        settings: ServerSettings | None = None,
        *,
        slow: float = 0.02,
        failing: float = 0.0,
    ) -> None:
        self._path, self._copies = folder / "sessions.db", count()
        self._random, self._slow, self.failing = stream(net.seed, "disk"), slow, failing
        self.kept: SqliteStore | None = None
        super().__init__(net, settings)

    def store(self, reactor: Any) -> SqliteStore:
        """Sessions in a file, as the server before has left it."""
        if self.kept is not None:
            copy = crashed(self._path, self._path.parent / f"{next(self._copies)}")
            self.end()
            self._path = copy

        def run(function: Callable[..., object], *arguments: object) -> Deferred[Any]:
            """Do something as a thread would: it is done after a while, and told after a while."""
            done, random = Deferred[Any](), self._random

            def work() -> None:
                """Do it."""
                error: Any = None
                if random.random() < self.failing:
                    error = Failure(sqlite3.OperationalError("disk I/O error"))
                else:
                    function(*arguments)
                reactor.callLater(random.uniform(0, self._slow), done.callback, error)

            reactor.callLater(random.uniform(0, self._slow), work)
            return done

        self.kept = SqliteStore(reactor, str(self._path), run=run)
        self.kept.open()
        return self.kept

    def end(self) -> None:
        """Let go of the file."""
        assert self.kept is not None
        self.kept._database.close()


def bad_network(net: Network) -> None:
    """Cuts, loss, jitter; a server that crashes again and again, on a disk that fails at times."""
    random = stream(net.seed, "crashes")
    for way in (("client", "server"), ("server", "client")):
        faults = (Cut(0.002), "cut"), (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss")
        net.link(*way, *(Fault(*of) for of in faults))
    # In the longer ones the store has to be told of more than it was told at first.
    n, at = random.choice([12, 12, 45]), 0.0
    server, crashes = net.host("server"), random.randint(0, 4)
    for _ in range(crashes):
        at += random.expovariate(4 / n)
        net.at(at, server.crash)
        at += random.choice([0.0, 0.0, random.uniform(0, 3), 20.0])
        net.at(at, server.restart)
    with TemporaryDirectory(dir=QUICK) as place:
        slow, failing = random.choice([(0.001, 0.0), (0.1, 0.1), (2.0, 0.0), (0.1, 0.9)])
        run = DiskRun(net, Path(place), slow=slow, failing=failing)
        there = 0.0

        def show(event: Any) -> None:
            """Keep it, and when the client was there for the last time."""
            nonlocal there
            run.seen.append(event)
            if isinstance(event, Session | Number | Resumed):
                there = net.now

        run.show = show  # type: ignore[method-assign]
        ended, away = run.receive(n), net.now - there
        resumed = any(isinstance(event, Resumed) for event in run.seen)
        net.sometimes("it goes on after a crash", lambda: bool(crashes) and resumed)
        net.sometimes("it ends well after four", lambda: crashes == 4 and ended.outcome == "equal")
        net.run(max(0.0, at - net.now) + 2 * WINDOW + 10)
        number = len(run.kept or ())
        run.end()
    late = ended.text.startswith(("rejected: expired", "rejected: unknown"))
    if ended.outcome != "equal" and not (late and away > WINDOW):
        raise AssertionError(ended, away)
    if number:
        raise AssertionError(f"{number} sessions are left")


class SimulatedTests(SynchronousTestCase):
    """A server that crashes and comes back with its sessions, on virtual networks."""

    def test_bad_networks(self) -> None:
        """No gap, no number twice, equal checksums; or away for longer than the window."""
        self.assertEqual(explore(bad_network, range(100)), 100)

    def test_a_dead_disk(self) -> None:
        """No number is sent that is not known on the disk; when there is another, it goes on."""
        with simulate(7) as net:
            run, known = DiskRun(net, folder(self)), list[int]()

            def replace() -> None:
                """A server with the disk as it was left, which does again."""
                known.append(sum(isinstance(event, Number) for event in run.seen))
                run.failing = 0.0
                net.host("server").restart()

            net.at(1.0, setattr, run, "failing", 1.0)
            net.at(90.0, replace)
            self.assertEqual(run.receive(95).outcome, "equal")
            self.assertEqual(known, [AHEAD + 1])
            run.end()

    @longest
    def test_very_bad_networks(self) -> None:
        """The same for two thousand seeds."""
        self.assertEqual(explore(bad_network, range(2000), jobs=0), 2000)


class RealTests(TestCase):
    """With threads, on the real reactor."""

    timeout = 60

    async def test_threads(self) -> None:
        """Many sessions at once, written by threads, one transaction at a time."""
        reactor: Any = real_reactor
        path = folder(self) / "sessions.db"
        store = SqliteStore(reactor, str(path))
        store.open()
        ones = [evolve(record(), id=f"{number:032x}") for number in range(2000)]
        created = await gatherResults([store.create(one) for one in ones])
        self.assertEqual(created, [True] * 2000)
        later = [evolve(one.attached(), sent=3) for one in ones]
        attached = [store.attach(one) for one in later]
        moved = [store.progress(evolve(one, sent=4)) for one in later]
        self.assertEqual(await gatherResults(attached + moved), [True] * 4000)
        over = [store.forget(one) for one in later[1:]]
        await store.close()
        self.assertEqual(await gatherResults(over), [True] * 1999)
        self.assertEqual(kept(path), {ones[0].id: evolve(later[0], sent=4)})

    async def test_a_slow_disk(self) -> None:
        """The reactor goes on while the disk takes its time."""
        reactor: Any = real_reactor
        store = SqliteStore(reactor, str(folder(self) / "sessions.db"))
        store.open()
        written, goes_on = store._database.write, Event()

        def slow(*arguments: Any) -> None:
            """Write, as soon as the reactor has turned."""
            if not goes_on.wait(30):
                raise AssertionError("the reactor stands still")
            written(*arguments)

        self.patch(Database, "write", lambda _, *arguments: slow(*arguments))
        created = store.create(record())
        reactor.callLater(0, goes_on.set)
        self.assertTrue(await created)
        await store.close()

    async def test_a_real_failure(self) -> None:
        """What fails in a thread is told as anywhere."""
        reactor: Any = real_reactor
        store = SqliteStore(reactor, str(folder(self) / "sessions.db"))
        store.open()
        store._database._connection.execute("PRAGMA query_only = 1")
        with self.assertRaises(StoreError) as caught:
            await store.create(record())
        self.assertIn("attempt to write a readonly database", str(caught.exception))
        await store.close()
