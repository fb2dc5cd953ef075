"""Where sessions are kept: the interface of all stores."""
# ruff: noqa: N805 - a method of an interface has no self

from twisted.internet.defer import Deferred
from zope.interface import Interface

from lab.errors import LabError
from lab.sequence.records import Record


class StoreError(LabError):
    """A store can't be reached, or can't write; the text says why. It may be there again later."""


class ISessionStore(Interface):
    """
    Where sessions are kept. Every method may fail with a `StoreError`.

    What a Deferred says is kept: it outlives what the store is made to outlive.
    """

    def open() -> None:
        """
        Begin to keep; nothing else is called before.

        Raises:
            LocalError: What it is made of can't be opened.
        """

    def close() -> Deferred[None]:
        """Keep what is under way, and let go of what it is made of; nothing is called behind."""

    def create(record: Record) -> Deferred[bool]:
        """Keep a new session, which is attached; False if there are too many."""

    def load(id: str) -> Deferred[Record | None]:
        """A session, also one whose deadline has passed a moment ago; None if there is none."""

    def attach(record: Record) -> Deferred[bool]:
        """Take a session whose epoch is one less (compare and set); False if it has another."""

    def progress(record: Record) -> Deferred[bool]:
        """So far it is, and with a deadline it is attached no more; False if the epoch is old."""

    def forget(record: Record) -> Deferred[bool]:
        """The session is over; False if the epoch is old."""

    def expire(now: float) -> Deferred[int]:
        """Forget the sessions whose deadline has passed; gives how many there were."""
