"""
The sequence service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with ``endpoint.listen(SequenceFactory(reactor))``, and receives a
sequence with ``await SequenceClient(reactor, endpoint).receive(print)``.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.stream import LINGER, LineCoreProtocol
from lab.adapters.transports import why
from lab.rng import Random, secret, stream
from lab.sequence import client, server, wire
from lab.sequence.memory import MemoryStore
from lab.sequence.records import Record
from lab.sequence.sessions import ISessionStore, StoreError
from lab.sequence.settings import ClientSettings, ServerSettings
from lab.sequence.wire import LIMIT, Number, Rejected, Resumed, Session

#: The store is asked so often to forget what has ended, in seconds.
SWEEP = 1.0
#: An attempt to connect is given up after so long, in seconds.
CONNECT_TIMEOUT = 10.0
#: What a client tells of: the session, its numbers, that there is no connection, that it goes on,
#: that it begins anew.
Event = Session | Number | client.Retry | Resumed | Rejected


@define
class Counters:
    """
    What a server did.

    Attributes:
        begun: Sessions that have begun.
        resumed: How often one went on.
        done: Sessions whose client had everything.
        rejected: How often one did not begin, or go on.
    """

    begun: int = 0
    resumed: int = 0
    done: int = 0
    rejected: int = 0


def _deaf(_: object) -> None:
    """Who is told what nobody is there for."""


class _LivingProtocol(LineCoreProtocol):
    """A protocol whose core is told of any bytes: whoever sends lives."""

    def _take(self, data: bytes) -> None:
        """Some bytes of the peer's, of which the core does not know yet."""
        core: Any = self._driver.core
        core.heard(self._driver.clock.seconds())
        super()._take(data)


class _ClientProtocol(_LivingProtocol):
    """A client's; whoever has asked hears how it ended, and no log has to say it again."""

    def _note(self, reason: str) -> None:
        """Nothing."""


class SequenceProtocol(_LivingProtocol):
    """
    Serves one connection.

    Args:
        factory: Has the store, and knows which connection has which session.
        core: What it runs.
        clock: The reactor.
    """

    def __init__(
        self, factory: "SequenceFactory", core: server.SequenceServerCore, clock: IReactorTime
    ) -> None:
        self.factory = self._all = factory
        self.core = core
        driver = Driver(core, clock)
        driver.tell = self._tell
        super().__init__(driver, LIMIT, self._closed)
        #: The name of the session that it has, or had.
        self.session = ""

    def connectionMade(self) -> None:
        """There is a connection."""
        self._all.came(self)
        super().connectionMade()

    def conflict(self) -> None:
        """The session belongs to another connection from now on."""
        self._answer(self.core.conflict)

    def _closed(self, reason: Failure) -> None:
        """The connection is gone."""
        self._driver.close()
        # What the store answers from now on is seen to in `_answer`: a connection that is gone
        # is nothing that the garbage collector would have to find.
        self._driver.tell = _deaf
        self._all.gone(self)

    def _tell(self, event: Any) -> None:
        """Do what the core wants."""
        _REQUESTS[type(event)](self, event)

    def _create(self, event: server.Create) -> None:
        """Keep a session."""

        def kept(good: bool) -> None:  # noqa: FBT001 - what the store says
            """It is, or there are too many."""
            if good:
                self._all.counters.begun += 1
                self._all.take(event.record.id, self)
            self._answer(self.core.created, good)

        self._ask(self._all.store.create(event.record), kept)

    def _load(self, event: server.Load) -> None:
        """Look for a session."""

        def loaded(record: Record | None) -> None:
            """It is there, or is not."""
            self._answer(self.core.loaded, record and self._all.exactly(record))

        self._ask(self._all.store.load(event.id), loaded)

    def _attach(self, event: server.Attach) -> None:
        """Take a session; whoever has it here has it no more."""

        def taken(good: bool) -> None:  # noqa: FBT001 - what the store says
            """It is ours, or somebody was faster."""
            if good:
                self._all.counters.resumed += 1
                self._all.take(event.record.id, self)
            self._answer(self.core.attached, good)

        self._ask(self._all.store.attach(event.record), taken)

    def _progress(self, event: server.Progress) -> None:
        """So far it is; if the epoch is old, somebody else has the session."""

        def written(good: bool) -> None:  # noqa: FBT001 - what the store says
            """It is, or the epoch is old."""
            if good:
                self._answer(self.core.progressed, event.record.sent)
            else:
                self.conflict()

        self._ask(self._all.store.progress(event.record), written)

    def _forget(self, event: server.Forget) -> None:
        """The session is over."""
        self._all.counters.done += 1
        self._ask(self._all.store.forget(event.record), lambda good: None)

    def _count(self, event: wire.Rejected) -> None:
        """A session was rejected."""
        self._all.counters.rejected += 1
        self._log.info("rejected: {reason}", reason=event.reason)

    def _ask(self, asked: Deferred[Any], heard: Callable[[Any], object]) -> None:
        """Hear what the store says, or that it fails."""

        def answered(result: Any) -> None:
            """It has an answer."""
            self._all.store_is(None)
            heard(result)

        def failed(reason: Failure) -> None:
            """It has none."""
            self._all.store_is(reason)
            self._answer(self.core.failed)

        asked.addCallbacks(answered, failed)
        asked.addErrback(self._broken)

    def _broken(self, reason: Failure) -> None:
        """A fault of ours: without it being understood, there is no service."""
        self._log.failure("the connection is broken off", reason)
        self.transport.abortConnection()

    def _answer(self, verb: Callable[..., None], *value: Any) -> None:
        """Tell the core what the store says."""
        driver = self._driver
        before, driver.tell = driver.tell, self._tell
        verb(*value, driver.clock.seconds())
        driver.settle()
        driver.tell = before


_REQUESTS: dict[type[Any], Callable[[SequenceProtocol, Any], object]] = {
    server.Create: SequenceProtocol._create,  # noqa: SLF001 - one table for all connections
    server.Load: SequenceProtocol._load,  # noqa: SLF001
    server.Attach: SequenceProtocol._attach,  # noqa: SLF001
    server.Progress: SequenceProtocol._progress,  # noqa: SLF001
    server.Forget: SequenceProtocol._forget,  # noqa: SLF001
    server.Lost: lambda protocol, event: protocol.transport.abortConnection(),
    wire.Rejected: SequenceProtocol._count,  # noqa: SLF001
}


class SequenceFactory(Factory):
    """
    Builds the server's protocol for each connection.

    Args:
        clock: The reactor.
        settings: Of the server.
        store: Where sessions are kept; in memory by default.
        secret: Gives 128 bits that nobody can guess, each time; the system's by default.
        random: Where the length of a sequence is drawn from, when the client leaves it open.

    Attributes:
        counters: What was done so far, on all connections.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings | None = None,
        store: ISessionStore | None = None,
        *,
        secret: Callable[[], bytes] = secret,
        random: Random | None = None,
    ) -> None:
        self._clock, self._settings = clock, settings or ServerSettings()
        limits = self._settings.sessions, self._settings.per_address, self._settings.window
        self.store: Any = store if store is not None else MemoryStore(*limits)
        self._secret, self._random = secret, random or stream(None)
        self.counters = Counters()
        self._open: dict[SequenceProtocol, None] = {}
        #: Those that have a session, by its name.
        self._connections: dict[str, SequenceProtocol] = {}
        self._ended: Deferred[None] | None = None
        self._sweep: Any = None
        self._failing = False

    def startFactory(self) -> None:
        """Forget from now on what has ended."""
        self._sweep = self._clock.callLater(SWEEP, self._expire)

    def stopFactory(self) -> None:
        """No longer."""
        self._sweep.cancel()

    def buildProtocol(self, addr: IAddress | None) -> SequenceProtocol:
        """A protocol with a core of its own."""
        core = server.SequenceServerCore(
            self._settings,
            self._clock.seconds(),
            self._secret,
            self._random,
            str(getattr(addr, "host", "")),
        )
        return SequenceProtocol(self, core, self._clock)

    def disconnect(self) -> Deferred[None]:
        """
        End all connections, as the end of a server does; nothing listens any more.

        Returns:
            Fires when the store was asked to let the sessions wait for their clients: it may be
            closed then. That takes no longer than `lab.adapters.stream.LINGER`.
        """
        ended = self._ended = Deferred[None]()
        for protocol in list(self._open):
            protocol.end()
        timer = self._clock.callLater(LINGER, self._abort)
        ended.addCallback(lambda _: timer.cancel() if timer.active() else None)
        self._end()
        return ended

    def exactly(self, record: Record) -> Record:
        """A session, as the connection knows it that has it here: the store knows of more."""
        holder = self._connections.get(record.id)
        if holder is None or holder.core.epoch != record.epoch:
            return record
        return evolve(record, sent=holder.core.sent)

    def store_is(self, reason: Failure | None) -> None:
        """Whether the store fails: it is told when that begins, and when it has ended."""
        if reason is None:
            if self._failing:
                self._failing = False
                self._log.info("the store answers again")
            return
        if reason.check(StoreError) is None:
            self._log.failure("the store fails", reason)
        elif not self._failing:
            self._log.error("the store fails: {why}", why=reason.getErrorMessage())
        self._failing = True

    def take(self, id: str, protocol: SequenceProtocol) -> None:
        """A connection has a session; the one that had it hears of that."""
        before = self._connections.get(id)
        self._connections[id] = protocol
        protocol.session = id
        if before is not None:
            before.conflict()

    def came(self, protocol: SequenceProtocol) -> None:
        """There is a connection."""
        self._open[protocol] = None

    def gone(self, protocol: SequenceProtocol) -> None:
        """A connection is gone."""
        del self._open[protocol]
        self._end()
        if self._connections.get(protocol.session) is protocol:
            del self._connections[protocol.session]

    def _abort(self) -> None:
        """Whoever is there still does not read."""
        for protocol in list(self._open):
            protocol.transport.abortConnection()

    def _end(self) -> None:
        """Say when the last connection is gone, if somebody wants to know."""
        if self._ended is not None and not self._open:
            ended, self._ended = self._ended, None
            ended.callback(None)

    def _expire(self) -> None:
        """Forget what has ended, and come again."""
        asked = self.store.expire(self._clock.seconds())
        asked.addCallbacks(lambda ended: self.store_is(None), self.store_is)
        self._sweep = self._clock.callLater(SWEEP, self._expire)


class _ClientFactory(Factory):
    """Builds the one protocol of a connection."""

    noisy = False

    def __init__(self, build: Callable[[], _ClientProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> _ClientProtocol:
        """The protocol."""
        return self._build()


class SequenceClient:
    """
    Receives one sequence over any stream endpoint, over as many connections as it takes.

    Args:
        reactor: Gives the time.
        endpoint: Where the server is.
        settings: Of the client.
        random: Where waits are drawn from; by default a stream from the system's seed.
        session: A session to go on with, and the numbers of it that are there already.

    Attributes:
        core: What it runs.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        settings: ClientSettings | None = None,
        random: Random | None = None,
        session: tuple[Session, tuple[int, ...]] | None = None,
    ) -> None:
        self._endpoint = endpoint
        known = session or (None, ())
        self.core = client.SequenceClientCore(
            settings or ClientSettings(), random or stream(None), *known
        )
        self._driver = Driver(self.core, reactor)
        self._driver.tell = self._tell
        self._protocol: _ClientProtocol | None = None
        self._connecting: Deferred[Any] | None = None
        self._ended: Deferred[client.Ended] = Deferred(lambda _: self._stop())
        self._end: client.Ended | None = None
        self._show: Callable[[Event], object] = bool

    def receive(self, show: Callable[[Event], object] = bool) -> Deferred[client.Ended]:
        """
        Receive the sequence.

        Args:
            show: Called with the session, with each number once and in its order, and each time
                that the connection is lost or the session goes on.

        Returns:
            How it ended, when that has been said to the server and the connection is closed.
            Cancelling it breaks the connection off; the server keeps the session for its window.
        """
        self._show = show
        self._driver.settle()
        return self._ended

    def abort(self) -> bool:
        """Break the connection off; it comes again. Gives whether there was one to be broken."""
        there = self._protocol is not None and self.core.state != "over"
        if there:
            self._abort()
        return there

    def _tell(self, event: Any) -> None:
        """Do what the core wants."""
        if isinstance(event, client.Connect):
            self._connect()
        elif isinstance(event, client.Lost):
            self._abort()
        elif isinstance(event, client.Ended):
            # Whoever hears of it may end the program, and what we say last has to go out first.
            self._end = event
        else:
            self._show(event)

    def _connect(self) -> None:
        """Try once."""

        def failed(reason: Failure) -> None:
            """There is no connection."""
            self._connecting = None
            self._closed(f"there is no connection: {why(reason)}")

        def connected(protocol: _ClientProtocol) -> None:
            """There is one."""
            self._connecting, self._protocol = None, protocol
            self.core.opened(self._driver.clock.seconds())
            self._driver.settle()

        build = _ClientFactory(lambda: _ClientProtocol(self._driver, LIMIT, self._lost))
        self._connecting = self._endpoint.connect(build)
        self._connecting.addTimeout(CONNECT_TIMEOUT, self._driver.clock)
        self._connecting.addCallbacks(connected, failed)

    def _lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._protocol = None
        self._closed("the connection is lost")
        if self._end is not None:
            self._driver.stop()
            self._ended.callback(self._end)

    def _closed(self, reason: str) -> None:
        """The core has no connection."""
        self.core.close(self._driver.clock.seconds(), reason)
        self._driver.settle()

    def _stop(self) -> None:
        """Nobody wants the rest."""
        self.core.state, self._end = "over", None
        self._driver.stop()
        if self._connecting is not None:
            self._connecting.cancel()
        self._abort()

    def _abort(self) -> None:
        """Break the connection off, if there is one."""
        if self._protocol is not None:
            self._protocol.transport.abortConnection()
