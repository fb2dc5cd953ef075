"""
The arithmetic service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with ``endpoint.listen(ArithmeticFactory(reactor))`` and asks
with ``await ArithmeticClient(reactor, endpoint).ask("+", 1, 1)``.
"""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.stream import LineCoreProtocol
from lab.adapters.transports import why
from lab.arithmetic.asking import Asking, Way, show_attempts
from lab.arithmetic.server import ArithmeticServerCore, Counters
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.arithmetic.wire import LIMIT, REPLY_LIMIT
from lab.backoff import Backoff
from lab.errors import ConnectionRefused, NoAnswer, Unreachable
from lab.rng import Random, stream


class ArithmeticProtocol(LineCoreProtocol):
    """
    Answers the requests of one connection.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits.
        counters: What was answered so far, on all connections.
    """

    def __init__(
        self, clock: IReactorTime, settings: ServerSettings, counters: Counters | None = None
    ) -> None:
        core = ArithmeticServerCore(settings, clock.seconds(), counters or Counters())
        driver = Driver(core, clock)
        super().__init__(driver, LIMIT, lambda reason: driver.close())


class ArithmeticFactory(Factory):
    """
    Builds the server's protocol for each connection.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits; those of `lab.arithmetic.settings.ServerSettings` by default.

    Attributes:
        counters: What was answered so far, on all connections.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, settings: ServerSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or ServerSettings()
        self.counters = Counters()

    def buildProtocol(self, addr: IAddress | None) -> ArithmeticProtocol:
        """A protocol with a core and buffers of its own."""
        protocol = ArithmeticProtocol(self._clock, self._settings, self.counters)
        protocol.factory = self
        return protocol


class ArithmeticClient(Asking):
    """
    Asks an arithmetic server over any stream endpoint.

    It connects when there is something to ask, tries again as its settings say, and connects
    anew when a connection broke. Requests may be asked at any time, also before it connected.

    Args:
        reactor: Gives the time.
        endpoint: Where the server is.
        settings: Timeouts, backoff, connections; those of
            `lab.arithmetic.settings.ClientSettings` by default.
        random: Where ids and jitter are drawn from; by default a stream from the system's seed.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        settings: ClientSettings | None = None,
        random: Random | None = None,
    ) -> None:
        settings, random = settings or ClientSettings(), random or stream(None)
        retry = settings.retry
        super().__init__(
            reactor, settings, random, lambda way: _Connection(way, endpoint, retry, random)
        )


class _ClientFactory(Factory):
    """Builds the one protocol of a connection attempt."""

    noisy = False

    def __init__(self, build: Callable[[], LineCoreProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> LineCoreProtocol:
        """The protocol."""
        return self._build()


@define(eq=False)
class _Connection:
    """
    One way and its connection, which is made when it is needed.

    It is in one of four states: unconnected (nothing is set), connecting (`_connecting`),
    waiting for the next attempt (`_timer`), connected (`_protocol`).
    """

    way: Way
    _endpoint: IStreamClientEndpoint
    _retry: Backoff
    _random: Random
    _connecting: Deferred[Any] | None = None
    _timer: IDelayedCall | None = None
    _protocol: LineCoreProtocol | None = None
    _gone: Deferred[None] | None = field(default=None)

    def need(self) -> None:
        """There is a request: connect, unless that is done or under way."""
        if not (self._protocol or self._connecting or self._timer):
            waits = self._retry.waits(self._random)
            self._connect(next(waits), waits, 1)

    def close(self) -> Deferred[None]:
        """Let the connection go."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._connecting:
            self._connecting.cancel()
        if not self._protocol:
            return succeed(None)
        self._gone = Deferred()
        self._protocol.end()
        return self._gone

    def _connect(self, wait: float, waits: Iterator[float], attempt: int) -> None:
        """Try once, for as long as the wait; a failure is tried again when the wait is over."""
        self._timer = None
        if not self.way.core.waiting:
            return
        clock = self.way.driver.clock
        again = clock.seconds() + wait

        def failed(reason: Failure) -> None:
            self._connecting = None
            wait = next(waits, None)
            if wait is None or not self.way.core.waiting:
                self.way.fail(_unreachable(reason, attempt))
                return
            rest = max(0, again - clock.seconds())
            self._timer = clock.callLater(rest, self._connect, wait, waits, attempt + 1)

        connecting = self._endpoint.connect(_ClientFactory(self._build))
        connecting.addTimeout(wait, clock)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, failed)

    def _build(self) -> LineCoreProtocol:
        """The protocol of a connection."""
        return LineCoreProtocol(self.way.driver, REPLY_LIMIT, self._lost)

    def _connected(self, protocol: LineCoreProtocol) -> None:
        """There is a connection: send what waits for it."""
        self._connecting, self._protocol = None, protocol
        self.way.open()

    def _lost(self, reason: Failure) -> None:
        """The connection is gone; what is to be repeated needs another."""
        self._protocol = None
        self.way.closed(Unreachable(f"the connection broke: {reason.getErrorMessage()}"))
        if self._gone:
            self._gone.callback(None)
        elif self.way.core.waiting:
            self.need()


def _unreachable(reason: Failure, attempts: int) -> NoAnswer | Unreachable:
    """Why there was no connection, for people."""
    if reason.check(DeferTimeout, ConnectTimeout, ConnectingCancelledError):
        return NoAnswer(f"no connection in time after {show_attempts(attempts)}")
    kind = ConnectionRefused if reason.check(TwistedRefused) else Unreachable
    return kind(f"no connection after {show_attempts(attempts)}: {why(reason)}")
