"""Where the server keeps sessions, by an option."""

from typing import Any
from unittest.mock import patch

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.stores import StoreService, make_store
from lab.errors import LocalError
from lab.sequence.memory import MemoryStore
from lab.sequence.redis import RedisStore
from lab.sequence.settings import ServerSettings
from lab.sequence.sqlite import SqliteStore
from tests.helpers import folder


class Noting(Service):
    """
    A service, or a store, that notes what happens to it.

    Args:
        name: How it is called in the notes.
        notes: Go there.
    """

    def __init__(self, name: str, notes: list[str]) -> None:
        self._called, self._notes = name, notes
        self.stopped = Deferred[None]()

    def open(self) -> None:
        """Note it."""
        self._notes.append(f"{self._called} opens")

    def close(self) -> Deferred[None]:
        """Note it."""
        self._notes.append(f"{self._called} closes")
        return succeed(None)

    def startService(self) -> None:
        """Note it."""
        self._notes.append(f"{self._called} starts")

    def stopService(self) -> Any:
        """Note it, and take one's time."""
        self._notes.append(f"{self._called} stops")
        return self.stopped


class MakeTests(SynchronousTestCase):
    """Stores by their names."""

    def test_memory(self) -> None:
        """In memory, with the limits of the server."""
        settings = ServerSettings(sessions=5, per_address=4, window=3)
        store = make_store(Clock(), "memory", settings)
        assert isinstance(store, MemoryStore)
        self.assertEqual((store._sessions, store._per_address, store._grace), (5, 4, 3))

    def test_sqlite(self) -> None:
        """In a file, with the same limits; it is not made before it is opened."""
        settings = ServerSettings(sessions=5, per_address=4, window=3)
        path = folder(self) / "a:b.db"
        store = make_store(Clock(), f"sqlite:{path}", settings)
        assert isinstance(store, SqliteStore)
        self.assertEqual((store._path, store._sessions), (str(path), 5))
        self.assertEqual((store._per_address, store._window), (4, 3))
        self.assertFalse(path.exists())

    def test_none(self) -> None:
        """What is none is told in one line."""
        for text in ("", "memory:x", "mysql://localhost", "sqlite", "sqlite:"):
            error = self.assertRaises(LocalError, make_store, Clock(), text, ServerSettings())
            self.assertIn(f"sessions is {text!r}; give memory, sqlite:PATH or redis:", str(error))

    def test_redis(self) -> None:
        """In Redis, with the limits of the server."""
        settings = ServerSettings(sessions=5, per_address=4, window=3)
        store = make_store(reactor, "redis://localhost", settings)
        assert isinstance(store, RedisStore)
        self.assertEqual((store._sessions, store._per_address, store._window), (5, 4, 3))

    def test_redis_urls(self) -> None:
        """Host, port, database, user and password; no secret is shown."""
        for text, host, port, place, rest in (
            ("redis://there", "there", 6379, "there", (0, None, None)),
            ("redis://there/", "there", 6379, "there", (0, None, None)),
            ("redis://there:1/15", "there", 1, "there:1", (15, None, None)),
            ("redis://[::1]:2/3", "::1", 2, "[::1]:2", (3, None, None)),
            ("redis://:a%40%2Fb@there", "there", 6379, "there", (0, None, "a@/b")),
            ("redis://lab:x@there:7", "there", 7, "there:7", (0, "lab", "x")),
        ):
            store: Any = make_store(reactor, text, ServerSettings())
            made = store._redis
            self.assertEqual((made._endpoint._hostText, made._endpoint._port), (host, port))
            self.assertEqual(made._place, place)
            self.assertEqual((made._database, made._user, made._password), rest)

    def test_wrong_redis_urls(self) -> None:
        """What is no such URL is told in one line, without its password."""
        for text in (
            "redis:", "redis://", "redis:there", "redis:///0", "redis://:1/0", "redis://there:x",
            "redis://there:65536", "redis://there:0", "redis://there/x", "redis://there/0/1",
            "redis://there/0?x=1", "redis://there/00000", "redis://[::1/0", "redis://::1]/0",
        ):  # fmt: skip
            error = self.assertRaises(LocalError, make_store, None, text, ServerSettings())
            self.assertIn(f"sessions is {text!r}; give redis://HOST, ", str(error))
        for text in ("redis://:se@same@there:x", "rediss://lab:sesame@there", "redis://a:s/same@b"):
            error = self.assertRaises(LocalError, make_store, None, text, ServerSettings())
            self.assertNotIn("same", str(error))

    def test_without_txredisapi(self) -> None:
        """Who has not installed what it needs is told how to."""
        with patch("lab.commands.stores.find_spec", return_value=None):
            error = self.assertRaises(
                LocalError, make_store, None, "redis://there", ServerSettings()
            )
        self.assertEqual(
            str(error), "sessions in Redis need txredisapi; pip install 'txlab[redis]'"
        )


class ServiceTests(SynchronousTestCase):
    """A store that is open while it is needed."""

    def test_order(self) -> None:
        """It opens before its services start, and closes when all of them have ended."""
        notes: list[str] = []
        quiet = Deferred[None]()

        def end() -> Deferred[None]:
            """Note it, and take one's time."""
            notes.append("connections end")
            return quiet

        service, child = StoreService(Noting("store", notes), end), Noting("child", notes)
        child.setServiceParent(service)
        service.startService()
        stopped = service.stopService()
        self.assertNoResult(stopped)
        self.assertEqual(notes, ["store opens", "child starts", "child stops"])
        child.stopped.callback(None)
        self.assertNoResult(stopped)
        self.assertEqual(notes[3:], ["connections end"])
        quiet.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(notes[4:], ["store closes"])
