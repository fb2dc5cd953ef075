"""What every store of sessions has to do."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.sequence.records import Record
from lab.sequence.sessions import ISessionStore


def record(name: str = "a", address: str = "here") -> Record:
    """A session."""
    return Record(name * 32, bytes(16), 5, 1.0, address)


class StoreCase:
    """The tests, for a test case that makes stores."""

    def make(self, **limits: int) -> Any:
        """A store with these limits."""
        raise NotImplementedError

    def setUp(self) -> None:
        """A store with one session."""
        self.store = self.make(sessions=4, per_address=3)
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

    def test_attach(self) -> None:
        """Of two that know an epoch, one gets the session."""
        self.assertEqual(self.now(self.store.attach(self.a.id, 1)), 2)
        self.assertIsNone(self.now(self.store.attach(self.a.id, 1)))
        self.assertIsNone(self.now(self.store.attach("b" * 32, 1)))
        self.assertEqual(self.now(self.store.load(self.a.id)).epoch, 2)

    def test_old_epoch(self) -> None:
        """Whoever had the session before changes nothing any more."""
        self.now(self.store.attach(self.a.id, 1))
        before = self.now(self.store.load(self.a.id))
        self.assertFalse(self.now(self.store.progress(self.a.id, 1, 5)))
        self.assertFalse(self.now(self.store.detach(self.a.id, 1, 9.0)))
        self.assertFalse(self.now(self.store.forget(self.a.id, 1)))
        self.assertEqual(self.now(self.store.load(self.a.id)), before)

    def test_progress(self) -> None:
        """What was sent once has been sent, also if it is sent again."""
        for sent, expected in ((3, 3), (1, 3), (4, 4)):
            self.assertTrue(self.now(self.store.progress(self.a.id, 1, sent)))
            self.assertEqual(self.now(self.store.load(self.a.id)).sent, expected)

    def test_expire(self) -> None:
        """A session that nobody has ends at its deadline, is known for a while, and then not."""
        self.assertTrue(self.now(self.store.detach(self.a.id, 1, 30.0)))
        self.assertEqual(self.now(self.store.expire(29.9)), 0)
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)
        self.assertEqual(self.now(self.store.expire(30.0)), 1)
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)
        self.assertIsNone(self.now(self.store.attach(self.a.id, 1)))
        self.assertEqual(self.now(self.store.expire(60.0)), 0)
        self.assertIsNone(self.now(self.store.load(self.a.id)))

    def test_attached_again(self) -> None:
        """One that somebody takes in time does not end."""
        self.now(self.store.detach(self.a.id, 1, 30.0))
        self.assertEqual(self.now(self.store.attach(self.a.id, 1)), 2)
        self.assertEqual(self.now(self.store.expire(100.0)), 0)
        self.assertIsNotNone(self.now(self.store.load(self.a.id)))
        self.now(self.store.detach(self.a.id, 2, 130.0))
        self.now(self.store.detach(self.a.id, 2, 140.0))
        self.assertEqual(self.now(self.store.expire(135.0)), 0)

    def test_forget(self) -> None:
        """One that is over is gone at once."""
        self.assertTrue(self.now(self.store.forget(self.a.id, 1)))
        self.assertIsNone(self.now(self.store.load(self.a.id)))
        self.assertEqual(self.now(self.store.expire(100.0)), 0)

    def test_limits(self) -> None:
        """There are so many, and so many of one address; what is gone makes room."""
        for name, address, kept in (
            ("b", "here", True), ("c", "here", True), ("d", "here", False),
            ("d", "there", True), ("e", "elsewhere", False),
        ):  # fmt: skip
            self.assertEqual(self.now(self.store.create(record(name, address))), kept)
        self.now(self.store.forget(self.a.id, 1))
        self.now(self.store.detach("d" * 32, 1, 1.0))
        self.now(self.store.expire(2.0))
        self.assertTrue(self.now(self.store.create(record("f", "here"))))
        self.assertTrue(self.now(self.store.create(record("g", "there"))))


class InterfaceTests(SynchronousTestCase):
    """The interface, which `StoreCase` is made for."""

    def test_methods(self) -> None:
        """What a store does."""
        names = {"attach", "create", "detach", "expire", "forget", "load", "progress"}
        self.assertEqual(set(ISessionStore), names)
