"""Where ``twistd lab-server`` keeps the sessions of sequences."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint

from lab.adapters.redis import RedisConnection
from lab.commands.options import without_password
from lab.errors import LocalError
from lab.sequence.memory import MemoryStore
from lab.sequence.redis import RedisStore
from lab.sequence.sessions import ISessionStore
from lab.sequence.settings import ServerSettings
from lab.sequence.sqlite import SqliteStore


def make_store(reactor: Any, text: str, settings: ServerSettings) -> ISessionStore:
    """
    The store that an option names; it is not open yet.

    Args:
        reactor: What it runs on.
        text: ``memory``, ``sqlite:PATH`` or ``redis://HOST:PORT/DATABASE``.
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
        store = SqliteStore(reactor, place, *limits)
    elif kind == "redis":
        store = RedisStore(reactor, _redis(reactor, text), *limits)
    else:
        shown = without_password(text)
        raise LocalError(
            f"sessions is {shown!r}; give memory, sqlite:PATH or redis://HOST:PORT/DATABASE"
        )
    return store


def _redis(reactor: Any, text: str) -> RedisConnection:
    """The connection that a URL names."""
    if find_spec("txredisapi") is None:
        raise LocalError("sessions in Redis need txredisapi; pip install 'txlab[redis]'")
    form = re.fullmatch(r"redis://[^/?#]+(?:/([0-9]{0,4}))?", text)
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        form = None
    if form is None or host is None or port == 0:
        raise LocalError(
            f"sessions is {without_password(text)!r}; give redis://HOST, "
            "redis://HOST:PORT/DATABASE or redis://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return RedisConnection(
        reactor,
        HostnameEndpoint(reactor, host, port or 6379),
        url.netloc.rpartition("@")[2],
        database=int(form[1] or 0),
        user=unquote(url.username or "") or None,
        password=None if url.password is None else unquote(url.password),
    )


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
