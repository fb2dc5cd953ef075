"""
The download service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with
``endpoint.listen(DownloadFactory(reactor, Catalogue("directory")))``.
"""

import builtins
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.stream import LineCoreProtocol
from lab.budget import Rates
from lab.download import question
from lab.download.connection import Connection
from lab.download.disk import Disk
from lab.download.fetching import Fetch
from lab.download.files import Files
from lab.download.lane import Lane, Run, elsewhere
from lab.download.names import WrongName, check
from lab.download.outcomes import Fetched, Progress
from lab.download.server import DownloadServerCore, Wanted
from lab.download.settings import ClientSettings, ServerSettings
from lab.download.shared import Client, Counters, Shared, Transfer
from lab.download.source import Source
from lab.download.target import Target
from lab.download.wire import LIMIT, Entry, List, Request, Stat, Status, Working
from lab.download.workshop import Found, Workshop
from lab.errors import LocalError
from lab.rng import Random, stream

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Seen(Protocol):
    """What is seen of a connection, however its client speaks."""

    #: It has an ``abortConnection``.
    transport: Any

    def client(self) -> Client:
        """What can be seen of it."""


class DownloadProtocol(LineCoreProtocol):
    """
    Answers the lines of one connection.

    Args:
        server: Has what all connections share.
        address: Of the peer, as far as limits for one address go.
        number: Of the connection.
    """

    def __init__(self, server: "DownloadFactory", address: str, number: int) -> None:
        self._server = server
        self.number = number
        self._address = address
        self._since = server.clock.seconds()
        self._core = DownloadServerCore(server.files, self._since, server.shared, address)
        driver = Driver(self._core, server.clock, tell=self._want)
        super().__init__(driver, LIMIT, self._gone)

    def connectionMade(self) -> None:
        """Let the peer in, if there is room."""
        connections = self._server.shared.connections
        full = connections.refusal(self._address)
        if full is not None:
            self._core.refuse(full)
        connections.begin(self._address)
        self._server.connected[self.number] = self
        super().connectionMade()

    def progress(self, working: Working) -> None:
        """See `lab.download.workshop.Asker`."""
        self._core.progress(working)

    def answer(self, found: Found) -> None:
        """See `lab.download.workshop.Asker`."""
        self._core.answer(found, self._driver.now())
        self._driver.settle()

    def client(self) -> Client:
        """What can be seen of this connection."""
        core, now = self._core, self._driver.now()
        return Client(
            self.number,
            show_peer(self.transport.getPeer()),
            self._since,
            core.requests,
            core.volume,
            core.doing(),
            core.transfer(self.number, now),
        )

    def _want(self, wanted: Wanted) -> None:
        """The core wants what takes time."""
        self._server.workshop.ask(wanted, self)

    def _gone(self, reason: Failure) -> None:
        """The connection is gone."""
        self._server.workshop.leave(self)
        self._server.shared.connections.end(self._address)
        del self._server.connected[self.number]
        self._driver.close()


class DownloadFactory(Factory):
    """
    Builds the server's protocol for each connection.

    Args:
        reactor: Gives the time, and threads; one without threads hashes files in its own.
        files: What is served: `lab.download.catalogue.Catalogue`, or others.
        settings: Limits; those of `lab.download.settings.ServerSettings` by default.
        run: Calls a function elsewhere, and gives the Deferred of that; by default a thread of the
            reactor's does it.

    Attributes:
        clock: The reactor.
        files: What is served.
        shared: What all connections share.
        workshop: Does what takes time.
        numbers: Of the connections that come.
        connected: All connections, by their numbers; also those that others have added to them.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        files: Files,
        settings: ServerSettings | None = None,
        run: Run | None = None,
    ) -> None:
        self.clock = reactor
        self.files = files
        self.shared = Shared(settings or ServerSettings())
        self.workshop = Workshop(reactor, files, self.shared, run)
        self.connected: dict[int, Seen] = {}
        self.numbers = count(1)

    @property
    def counters(self) -> Counters:
        """What was done so far, on all connections."""
        return self.shared.counters

    def buildProtocol(self, addr: IAddress | None) -> DownloadProtocol:
        """A protocol with a core and buffers of its own; Unix sockets are all one address."""
        protocol = DownloadProtocol(self, str(getattr(addr, "host", "")), next(self.numbers))
        protocol.factory = self
        return protocol

    def clients(self) -> list[Client]:
        """What can be seen of each connection, oldest first."""
        return [protocol.client() for protocol in self.connected.values()]

    def transfers(self) -> list[Transfer]:
        """The files that are on their way."""
        return [client.transfer for client in self.clients() if client.transfer is not None]

    def disconnect(self, number: int) -> bool:
        """
        Cut a connection, in the middle of what it gets.

        Args:
            number: Of the client.

        Returns:
            Whether there is such a client.
        """
        protocol = self.connected.get(number)
        if protocol is None:
            return False
        protocol.transport.abortConnection()
        return True


def show_peer(peer: Any) -> str:
    """The address of a peer, for people."""
    host = getattr(peer, "host", None)
    if host is None:
        return "unix"
    return f"[{host}]:{peer.port}" if ":" in host else f"{host}:{peer.port}"


def _ignore(_: Progress) -> None:
    """Where progress goes that nobody wants to know."""


class DownloadClient:
    """
    Downloads files from one server, or from several that have the same ones.

    Args:
        reactor: Gives the time, and threads for the disk.
        sources: The servers by the names that errors and progress call them, in order of
            preference; at least one.
        settings: Timeouts and limits; those of `lab.download.settings.ClientSettings` by default.
        random: Where jitter is drawn from; by default a stream from the system's seed.
        run: Calls a function that blocks elsewhere, and gives the Deferred of what comes of it; by
            default a thread of the reactor's does it.
        disk: What targets are made on; the real one by default.

    Raises:
        LocalError: There is no source.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        sources: Mapping[str, IStreamClientEndpoint],
        settings: ClientSettings | None = None,
        random: Random | None = None,
        *,
        run: Run | None = None,
        disk: Disk | None = None,
    ) -> None:
        if not sources:
            raise LocalError("there is no source; give at least one")
        self._clock, self._sources = reactor, dict(sources)
        self._settings, self._random = settings or ClientSettings(), random or stream(None)
        self._run, self._disk = run or elsewhere(reactor), disk or Disk()
        self._pace = Rates(math.inf, self._settings.limit_rate)
        #: What goes on, and connections that end.
        self._working: dict[Deferred[Any], None] = {}
        self._waiting: builtins.list[Deferred[None]] = []
        self._ending: dict[Deferred[None], None] = {}
        self._closed = False

    def list(self, glob: str = "*") -> Deferred[builtins.list[Entry]]:
        """
        Ask which files there are: the first source that answers.

        Args:
            glob: A pattern of names, as the shell's.

        Returns:
            Fires with the entries; no name among them leads out of a directory. Fails with
            `lab.download.outcomes.Rejected`, or if no source has answered with what the first of
            them has failed with: `lab.errors.Unreachable`, `lab.errors.NoAnswer`,
            `lab.download.outcomes.Broken`. Can be cancelled.
        """
        return self._ask(List(glob)).addCallback(builtins.list)

    def stat(self, name: str) -> Deferred[Status]:
        """
        Ask what a file is: the first source that answers.

        Returns:
            Fires with its size, time, version and SHA-256; fails as `list` does.

        Raises:
            LocalError: No name of a file.
        """
        return self._ask(Stat(_checked(name)))

    def get(
        self,
        name: str,
        target: Path,
        *,
        sha256: str | None = None,
        watch: Callable[[Progress], object] = _ignore,
    ) -> Deferred[Fetched]:
        """
        Download a file. It is at the target when it is whole, and not before.

        Args:
            name: Of the file on the servers.
            target: Where it shall be; what is there is replaced.
            sha256: What the whole file has to have, 64 hexadecimal digits.
            watch: Called with how far it is, at most ten times a second, and once at the end.

        Returns:
            Fires when the file is there and on the disk. Fails with
            `lab.errors.LocalError` for a target that can't be, and with the errors of
            `lab.download.outcomes`, or `lab.errors.Unreachable` and `lab.errors.NoAnswer` if no
            source was there at all. When it is cancelled, or fails, what was got is kept beside the
            target as ``.NAME.part``, and the same call goes on from there.

        Raises:
            LocalError: A name or digest that can't be, or a client that is closed.
        """
        if sha256 is not None and not _SHA256.fullmatch(sha256):
            raise LocalError(f"sha256 is {sha256[:70]!r}; give 64 hexadecimal digits")
        fetch = Fetch(
            name=_checked(name),
            target=Target(Path(target), self._disk),
            lane=Lane(self._run),
            clock=self._clock,
            settings=self._settings,
            pace=self._pace,
            sha256=sha256.lower() if sha256 else None,
            watch=watch,
            closing=self._note_ending,
        )
        sources = [self._source(at, name, fetch) for at in self._sources]
        return self._begin(lambda: fetch.run(sources))

    def close(self) -> Deferred[None]:
        """End all that is going on; fires when no connection and no file is open any more."""
        self._closed = True
        closed: Deferred[None] = Deferred()
        self._waiting.append(closed)
        for working in builtins.list(self._working):
            working.cancel()
        self._look()
        return closed

    def _look(self) -> None:
        """Whether all has ended that a closed client waits for."""
        if self._waiting and not self._working and not self._ending:
            # Whoever waits for what has just ended hears of that first.
            self._clock.callLater(0, self._tell_closed)

    def _tell_closed(self) -> None:
        """All has ended."""
        waiting, self._waiting = self._waiting, []
        for closed in waiting:
            closed.callback(None)

    def _source(self, at: str, name: str, fetch: Fetch) -> Source:
        """One source of a download."""
        return Source(
            name=at,
            endpoint=self._sources[at],
            file=name,
            clock=self._clock,
            settings=self._settings,
            random=self._random,
            owner=fetch,
        )

    def _ask(self, request: Request) -> Deferred[Any]:
        """Ask one source after the other."""

        def connect(endpoint: IStreamClientEndpoint, tell: Callable[[Any], None]) -> Connection:
            """A connection."""
            return Connection(endpoint, self._clock, self._settings, self._random, tell)

        return self._begin(lambda: question.ask(request, self._sources, connect, self._note_ending))

    def _begin(self, work: Callable[[], Coroutine[Deferred[Any], Any, Any]]) -> Deferred[Any]:
        """Begin something, which `close` cancels and waits for."""
        if self._closed:
            raise LocalError("this client is closed")
        result = Deferred.fromCoroutine(work())
        self._working[result] = None

        def over(value: Any) -> Any:
            """It is over."""
            del self._working[result]
            self._look()
            return value

        return result.addBoth(over)

    def _note_ending(self, ended: Deferred[None]) -> None:
        """A connection ends."""
        self._ending[ended] = None
        ended.addBoth(self._end, ended)

    def _end(self, _: object, ended: Deferred[None]) -> None:
        """It has ended."""
        del self._ending[ended]
        self._look()


def _checked(name: str) -> str:
    """A name that a file can have."""
    try:
        check(name, recursive=True, hidden=True)
    except WrongName as error:
        raise LocalError(str(error)) from None
    return name
