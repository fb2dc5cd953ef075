"""
How a client comes to its transport: a connection or a port that is made when it is needed.

Knows no service. A `Way` is a core with its driver; whoever has one gives it a route, which tells
it when there is a transport, when that is gone, and when there will be none.
"""

from collections.abc import Callable, Iterator
from typing import Any
from typing import Protocol as Interface

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.datagram import Address, PeerProtocol
from lab.adapters.driver import Driver
from lab.adapters.endpoints import DatagramClientEndpoint
from lab.adapters.stream import LineCoreProtocol
from lab.adapters.transports import why
from lab.backoff import Backoff, show_attempts
from lab.errors import ConnectionRefused, NoAnswer, Unreachable
from lab.rng import Random

#: A name whose addresses are not known after so long has none, in seconds.
RESOLVING = 10.0


class Way(Interface):
    """What uses a transport."""

    @property
    def driver(self) -> Driver:
        """Runs its core."""

    @property
    def waiting(self) -> int:
        """How much waits for an answer, or for a transport; 0 if none is needed."""

    @property
    def heard(self) -> bool:
        """Whether the server has ever answered."""

    def open(self) -> None:
        """There is a transport now."""

    def closed(self, error: Unreachable) -> None:
        """The transport is gone."""

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """There will be no transport."""


class Route(Interface):
    """A way and its transport; there is one kind for streams and one for datagrams."""

    @property
    def way(self) -> Any:
        """What uses the transport."""

    def need(self) -> None:
        """There is a request on the way: see that there is, or will be, a transport."""

    def close(self) -> Deferred[None]:
        """Let the transport go; fires when it is gone."""


class _ClientFactory(Factory):
    """Builds the one protocol of a connection attempt."""

    noisy = False

    def __init__(self, build: Callable[[], LineCoreProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> LineCoreProtocol:
        """The protocol."""
        return self._build()


@define(eq=False)
class StreamRoute:
    """
    One way and its connection, which is made when it is needed.

    It is in one of four states: unconnected (nothing is set), connecting (``_connecting``),
    waiting for the next attempt (``_timer``), connected (``_protocol``).

    Args:
        way: What uses it.
        endpoint: Where the server is.
        retry: How long each attempt to connect may take, and how many there are.
        random: Where jitter is drawn from.
        build: Makes the protocol of a connection, from what is to be called when that is gone.
        tried: How often others have tried before, for what is said in the end.
    """

    way: Way
    _endpoint: IStreamClientEndpoint
    _retry: Backoff
    _random: Random
    _build: Callable[[Callable[[Failure], None]], LineCoreProtocol]
    _tried: int = 0
    _connecting: Deferred[Any] | None = field(init=False, default=None)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _protocol: LineCoreProtocol | None = field(init=False, default=None)
    _gone: Deferred[None] | None = field(init=False, default=None)

    def need(self) -> None:
        """There is a request: connect, unless that is done or under way."""
        if not (self._protocol or self._connecting or self._timer):
            waits = self._retry.waits(self._random)
            self._connect(next(waits), waits, self._tried + 1)

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
        if not self.way.waiting:
            return
        clock = self.way.driver.clock
        again = clock.seconds() + wait

        def failed(reason: Failure) -> None:
            self._connecting = None
            wait = next(waits, None)
            if wait is None or not self.way.waiting:
                self.way.fail(_unreachable(reason, attempt))
                return
            rest = max(0, again - clock.seconds())
            self._timer = clock.callLater(rest, self._connect, wait, waits, attempt + 1)

        factory = _ClientFactory(lambda: self._build(self._lost))
        connecting = self._endpoint.connect(factory)
        connecting.addTimeout(wait, clock)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, failed)

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
        elif self.way.waiting:
            self.need()


@define(eq=False)
class DatagramRoute:
    """
    One way and its port, which is opened when it is needed.

    A name may have several addresses, and nothing but the silence or the ICMP message of the
    wrong one tells which of them the server listens at: while nobody has answered yet, an
    address that refuses is followed by the next.

    Args:
        way: What uses it.
        endpoint: Where the server is.
    """

    way: Way
    _endpoint: DatagramClientEndpoint
    _resolving: Deferred[Any] | None = field(init=False, default=None)
    _protocol: PeerProtocol | None = field(init=False, default=None)
    _addresses: list[Address] = field(init=False, factory=list)

    def need(self) -> None:
        """There is a request: open the port, unless that is done or under way."""
        if self._protocol or self._resolving:
            return
        resolving = self._endpoint.addresses().addTimeout(RESOLVING, self.way.driver.clock)
        self._resolving = resolving
        resolving.addCallbacks(self._resolved, self._failed)

    def close(self) -> Deferred[None]:
        """Let the port go."""
        if self._resolving:
            self._resolving.cancel()
        return self._protocol.end() if self._protocol else succeed(None)

    def _resolved(self, addresses: list[Address]) -> None:
        """The addresses are known: take the first."""
        self._resolving = None
        self._addresses = addresses[1:]
        self._listen(addresses[0])

    def _failed(self, reason: Failure) -> None:
        """The name has no address."""
        self._resolving = None
        self.way.fail(Unreachable(f"no address for {self._endpoint.host}: {reason.value}"))

    def _listen(self, address: Address) -> None:
        """Open a port to this address and send what waits for it."""
        interface = "::" if ":" in address[0] else ""
        self._protocol = PeerProtocol(self.way.driver, address, self._refused)
        self._endpoint.listen(self._protocol, interface)
        self.way.open()

    def _refused(self) -> None:
        """Nobody listens at this address, and its port is closed."""
        self._protocol = None
        if self._addresses and not self.way.heard:
            self._listen(self._addresses.pop(0))
        else:
            host, port = self._endpoint.host, self._endpoint.port
            self.way.fail(ConnectionRefused(f"nobody listens at udp:{host}:{port}"))


def _unreachable(reason: Failure, attempts: int) -> NoAnswer | Unreachable:
    """Why there was no connection, for people."""
    if reason.check(DeferTimeout, ConnectTimeout, ConnectingCancelledError):
        return NoAnswer(f"no connection in time after {show_attempts(attempts)}")
    kind = ConnectionRefused if reason.check(TwistedRefused) else Unreachable
    return kind(f"no connection after {show_attempts(attempts)}: {why(reason)}")
