"""Where sessions are kept: the interface of all stores."""
# ruff: noqa: N805 - a method of an interface has no self

from twisted.internet.defer import Deferred
from zope.interface import Interface

from lab.sequence.records import Record


class ISessionStore(Interface):
    """Where sessions are kept. Every method may fail with what the store is made of."""

    def create(record: Record) -> Deferred[bool]:
        """Keep a new session, which is attached; False if there are too many."""

    def load(id: str) -> Deferred[Record | None]:
        """A session, also one whose deadline has passed a moment ago; None if there is none."""

    def attach(id: str, epoch: int) -> Deferred[int | None]:
        """Take a session that has this epoch; gives its new one, or None if it has another."""

    def progress(id: str, epoch: int, sent: int) -> Deferred[bool]:
        """So many numbers have been sent; False if the epoch is old."""

    def detach(id: str, epoch: int, deadline: float) -> Deferred[bool]:
        """The client is lost, the session ends at a time; False if the epoch is old."""

    def forget(id: str, epoch: int) -> Deferred[bool]:
        """The session is over; False if the epoch is old."""

    def expire(now: float) -> Deferred[int]:
        """Forget the sessions whose deadline has passed; gives how many there were."""
