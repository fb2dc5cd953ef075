"""What every store of sessions has to do."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.sequence.records import Record
from lab.sequence.sessions import ISessionStore


def record(name: str = "a", address: str = "here") -> Record:
    """A session."""
    return Record(name * 32, bytes(16), 5, 1.0, address)


class StoreCase:
    """The tests, for a test case that makes stores with `make`."""

    #: Makes a store with limits: `sessions` and `per_address`.
    make: Any

    def setUp(self) -> None:
        """A store with one session."""
        self.store = self.make(sessions=4, per_address=3)
        self.store.open()
        self.a = record()
        self.assertTrue(self.now(self.store.create(self.a)))

    def now(self, deferred: Any) -> Any:
        """The result of a Deferred, at once."""
        case: Any = self
        return case.successResultOf(deferred)

    def test_interface(self) -> None:
        """It is what the interface says."""
        verifyObject(ISessionStore, self.store)

    def test_load(self) -> None:
        """A session is found by its name."""
        self.assertEqual(self.now(self.store.load(self.a.id)), self.a)
        self.assertIsNone(self.now(self.store.load("b" * 32)))

    def attach(self, before: Record) -> Record | None:
        """Take a session; None if that fails."""
        after = evolve(before.attached(), sent=before.sent + 2)
        return after if self.now(self.store.attach(after)) else None

    def test_attach(self) -> None:
        """Of two that know an epoch, one gets the session."""
        after = self.attach(self.a)
        self.assertIsNotNone(after)
        self.assertIsNone(self.attach(self.a))
        self.assertIsNone(self.attach(record("b")))
        self.assertEqual(self.now(self.store.load(self.a.id)), after)

    def test_old_epoch(self) -> None:
        """Whoever had the session before changes nothing any more."""
        after = self.attach(self.a)
        self.assertFalse(self.now(self.store.progress(evolve(self.a, sent=5))))
        self.assertFalse(self.now(self.store.progress(evolve(self.a, deadline=9.0))))
        self.assertFalse(self.now(self.store.forget(self.a)))
        self.assertEqual(self.now(self.store.load(self.a.id)), after)

    def test_progress(self) -> None:
        """So far it is."""
        for sent in (3, 1, 4):
            self.assertTrue(self.now(self.store.progress(evolve(self.a, sent=sent))))
            self.assertEqual(self.now(self.store.load(self.a.id)).sent, sent)

    def test_expire(self) -> None:
        """A session that nobody has ends at its deadline, is known for a while, and then not."""
        detached = evolve(self.a, deadline=30.0)
        self.assertTrue(self.now(self.store.progress(detached)))
        self.assertEqual(self.now(self.store.expire(29.9)), 0)
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)
        self.assertEqual(self.now(self.store.expire(30.0)), 1)
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)
        self.assertIsNone(self.attach(detached))
        self.assertEqual(self.now(self.store.expire(60.0)), 0)
        self.assertIsNone(self.now(self.store.load(self.a.id)))

    def test_attached_again(self) -> None:
        """One that somebody takes in time does not end, while its holder says so."""
        self.now(self.store.progress(evolve(self.a, deadline=30.0)))
        after = self.attach(self.a)
        assert after is not None
        for now in range(10, 110, 10):
            self.assertTrue(self.now(self.store.progress(after)))
            self.assertEqual(self.now(self.store.expire(float(now))), 0)
        self.assertIsNotNone(self.now(self.store.load(self.a.id)))
        self.now(self.store.progress(evolve(after, deadline=130.0)))
        self.now(self.store.progress(evolve(after, deadline=140.0)))
        self.assertEqual(self.now(self.store.expire(135.0)), 0)

    def test_forget(self) -> None:
        """One that is over is gone at once."""
        self.assertTrue(self.now(self.store.forget(self.a)))
        self.assertIsNone(self.now(self.store.load(self.a.id)))
        self.assertFalse(self.now(self.store.progress(self.a)))
        self.assertEqual(self.now(self.store.expire(100.0)), 0)

    def test_close(self) -> None:
        """It ends."""
        self.assertIsNone(self.now(self.store.close()))

    def test_limits(self) -> None:
        """There are so many, and so many of one address; what is gone makes room."""
        for name, address, kept in (
            ("b", "here", True), ("c", "here", True), ("d", "here", False),
            ("d", "there", True), ("e", "elsewhere", False),
        ):  # fmt: skip
            self.assertEqual(self.now(self.store.create(record(name, address))), kept)
        self.now(self.store.forget(self.a))
        self.now(self.store.progress(evolve(record("d", "there"), deadline=1.0)))
        self.now(self.store.expire(2.0))
        self.assertTrue(self.now(self.store.create(record("f", "here"))))
        self.assertTrue(self.now(self.store.create(record("g", "there"))))


class InterfaceTests(SynchronousTestCase):
    """The interface, which `StoreCase` is made for."""

    def test_methods(self) -> None:
        """What a store does."""
        names = {"attach", "close", "create", "expire", "forget", "load", "open", "progress"}
        self.assertEqual(set(ISessionStore), names)
