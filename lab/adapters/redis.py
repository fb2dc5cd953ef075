"""
A connection to Redis that is made again whenever it is lost. Knows no service.

txredisapi speaks the protocol. Its own way of connecting takes the global reactor, and asks that
for timers; here everything is done with the reactor that is given. The module itself is loaded when
a connection is opened: it imports the global reactor, which installs one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail, maybeDeferred  # noqa: A004
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.errors import LabError
from lab.rng import Random, stream

#: An answer, or a connection, is waited for no longer, in seconds.
PATIENCE = 2.0
#: Most questions that are open at a time.
OPEN = 10_000
# The first wait before it connects again, and the longest, in seconds.
_FIRST, _MOST = 0.1, 2.0


class RedisAway(LabError):
    """Redis can't be reached, does not answer, or refuses; the text says why."""


class RedisConnection:
    """
    Runs scripts in one database of one Redis.

    Questions are sent at once, one behind the other. One that is not answered in time takes the
    connection with it, and all others that are open: what hangs would have each of them wait. While
    there is no connection questions fail at once.

    Args:
        clock: The reactor.
        endpoint: Where Redis is.
        place: The same for people, without secrets.
        database: The number of the database.
        user: Who asks; None for the default user.
        password: Its password; None if there is none.
        random: Where waits are drawn from; by default a stream from the system's seed.
    """

    _log = Logger()

    def __init__(  # noqa: PLR0913 - what an address of Redis is made of
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        place: str,
        *,
        database: int = 0,
        user: str | None = None,
        password: str | None = None,
        random: Random | None = None,
    ) -> None:
        self._clock, self._endpoint, self._place = clock, endpoint, place
        self._database, self._user, self._password = database, user, password
        self._random = random or stream(None)
        self._protocol: Any = None
        self._running: Deferred[None] | None = None
        self._why = "not connected yet"
        #: What was logged last: whether there is a connection.
        self._told: bool | None = None
        self._open = 0
        self._idle: Deferred[None] | None = None

    def open(self) -> None:
        """Connect, and go on doing so; Redis need not be there yet."""
        self._running = Deferred.fromCoroutine(self._run())

    def close(self) -> Deferred[None]:
        """Wait for the answers that are open, then disconnect for good."""
        self._idle = Deferred()
        idle, running = self._idle, self._running
        if not self._open:
            idle.callback(None)

        def end(_: None) -> Deferred[None] | None:
            """Disconnect."""
            self._why = "closed"
            if running is not None:
                running.addErrback(lambda reason: reason.trap(CancelledError) and None)
                running.cancel()
            return running

        return idle.addCallback(end)

    def evaluate(self, script: str, keys: Sequence[str], args: Sequence[str]) -> Deferred[Any]:
        """
        Run a script: by its hash, if this connection has run it before.

        Args:
            script: In Lua.
            keys: Those that it reads and writes.
            args: What else it is given.

        Returns:
            What it gives: an integer, bytes, None, or a list of such. Fails with `RedisAway`.
        """
        if self._protocol is None:
            return fail(self._away(self._why))
        if self._open >= OPEN:
            return fail(self._away(f"{OPEN:,} questions are open already"))
        self._open += 1
        return maybeDeferred(self._protocol.eval, script, keys, args).addBoth(self._answered)

    def _answered(self, result: Any) -> Any:
        """One question less is open."""
        import txredisapi  # noqa: PLC0415 - see above

        self._open -= 1
        if self._idle is not None and not self._open:
            self._idle.callback(None)
        if isinstance(result, Failure) and result.check(txredisapi.RedisError):
            raise self._away(result.getErrorMessage()) from None
        return result

    def _away(self, why: str) -> RedisAway:
        """The error of a question."""
        return RedisAway(f"Redis at {self._place}: {why}")

    async def _run(self) -> None:
        """Connect, again and again."""
        wait = _FIRST
        while True:
            began = self._clock.seconds()
            try:
                await self._connect()
                self._why = "the connection is lost"
            except CancelledError:
                raise
            except TimeoutError:
                self._why = f"nobody is there after {PATIENCE:g} s"
            except Exception as error:  # noqa: BLE001 - whatever an endpoint fails with
                self._why = str(error).rstrip(".")
            self._tell()
            if self._clock.seconds() - began > _MOST + PATIENCE:
                wait = _FIRST
            await deferLater(self._clock, wait * (0.5 + self._random.random()), bool)
            wait = min(2 * wait, _MOST)

    async def _connect(self) -> None:
        """Connect once, and wait for the end of the connection."""
        factory: Any = _Factory(self._build)
        connecting: Any = self._endpoint.connect(factory).addTimeout(PATIENCE, self._clock)
        protocol = await connecting
        try:
            if self._password is not None:
                await protocol.auth(self._password, self._user)
            await protocol.select(self._database)
            self._protocol = protocol
            self._tell()
            await protocol.whenDisconnected()
            self._protocol = None
        except Exception:  # it was refused, or is to end
            self._protocol = None
            if protocol.connected:
                gone = protocol.whenDisconnected()
                protocol.transport.abortConnection()
                await gone
            raise

    def _build(self) -> Any:
        """A protocol with our clock."""
        from txredisapi import RedisProtocol  # noqa: PLC0415 - see above

        protocol = RedisProtocol(charset=None, convertNumbers=False, replyTimeout=PATIENCE)
        protocol.callLater = self._clock.callLater
        return protocol

    def _tell(self) -> None:
        """Log whether there is a connection, if that is news."""
        there = self._protocol is not None
        if there == self._told:
            return
        self._told = there
        if there:
            self._log.info("connected to Redis at {place}", place=self._place)
        else:
            text = "no connection to Redis at {place}: {why}; it is tried again"
            self._log.error(text, place=self._place, why=self._why)


class _Factory(Factory):
    """Builds the one protocol of a connection."""

    noisy = False

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def buildProtocol(self, addr: object) -> Any:
        """The protocol."""
        return self._build()
