"""Where ``twistd lab-server`` keeps the sessions of sequences."""

from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from lab.errors import LocalError
from lab.sequence.memory import MemoryStore
from lab.sequence.sessions import ISessionStore
from lab.sequence.settings import ServerSettings


def make_store(reactor: Any, text: str, settings: ServerSettings) -> ISessionStore:
    """
    The store that an option names; it is not open yet.

    Args:
        reactor: What it runs on.
        text: ``memory``, or ``sqlite:PATH``.
        settings: Of the server: limits, and the window.

    Raises:
        LocalError: There is no such store.
    """
    limits = settings.sessions, settings.per_address, settings.window
    kind, _, place = text.partition(":")
    store: ISessionStore
    if text == "memory":
        store = MemoryStore(*limits)
    elif kind == "sqlite" and place:
        from lab.sequence.sqlite import SqliteStore

        store = SqliteStore(reactor, place, *limits)
    else:
        raise LocalError(f"sessions is {text!r}; give memory or sqlite:PATH")
    return store


class StoreService(MultiService):
    """
    Has a store open while its services run.

    Args:
        store: The store.
        end: Called when the services have ended, to have no more asked of the store.
    """

    def __init__(self, store: Any, end: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self._store, self._end = store, end

    def startService(self) -> None:
        """
        Open it, then start the services.

        Raises:
            LocalError: It can't be opened.
        """
        self._store.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop the services, have no more asked, then close it."""
        stopped: Any = super().stopService()
        stopped.addCallback(lambda _: self._end())
        closed: Deferred[None] = stopped.addCallback(lambda _: self._store.close())
        return closed
