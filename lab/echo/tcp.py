"""
The echo service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with ``endpoint.listen(EchoFactory(reactor))``, and asks with
``await EchoClient(reactor, endpoint).echo(b"hello")``.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.routes import StreamRoute
from lab.adapters.stream import ChunkCoreProtocol, LineCoreProtocol
from lab.echo.answers import Counters
from lab.echo.asking import EchoAsking
from lab.echo.budget import Budget
from lab.echo.server import EchoServerCore
from lab.echo.settings import ClientSettings, ServerSettings
from lab.echo.ways import Way
from lab.echo.wire import LIMIT
from lab.rng import Random, stream


class EchoProtocol(LineCoreProtocol):
    """
    Answers the lines of one connection.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits.
        counters: What was done so far, on all connections.
        budget: What all connections share.
        address: Of the peer, as far as limits for one address go.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings,
        counters: Counters | None = None,
        budget: Budget | None = None,
        address: str = "",
    ) -> None:
        counters = counters or Counters()
        core = EchoServerCore(settings, clock.seconds(), counters, budget, address)
        driver = Driver(core, clock)
        super().__init__(driver, LIMIT, lambda reason: driver.close())


class EchoFactory(Factory):
    """
    Builds the server's protocol for each connection.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits; those of `lab.echo.settings.ServerSettings` by default.
        budget: What is shared, with a server over UDP perhaps; one of its own by default.

    Attributes:
        counters: What was done so far, on all connections.
        budget: What all connections share.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings or ServerSettings()
        self.counters = Counters()
        self.budget = budget or Budget(self._settings)

    def buildProtocol(self, addr: IAddress | None) -> EchoProtocol:
        """A protocol with a core and buffers of its own; Unix sockets are all one address."""
        host = str(getattr(addr, "host", ""))
        protocol = EchoProtocol(self._clock, self._settings, self.counters, self.budget, host)
        protocol.factory = self
        return protocol


class _Lines(LineCoreProtocol):
    """A client's; whoever has asked hears how it ended, and no log has to say it again."""

    def _note(self, reason: str) -> None:
        """Nothing."""


class EchoClient(EchoAsking):
    """
    Asks an echo server over any stream endpoint.

    Texts and limits are asked on one connection, which is made when there is something to ask, and
    anew when it broke. Each stream, file and series of probes has a connection of its own.

    Args:
        reactor: Gives the time.
        endpoint: Where the server is.
        settings: Timeouts, backoff, silence; those of `lab.echo.settings.ClientSettings` by
            default.
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

        def route(way: Way) -> StreamRoute:
            """A connection."""

            def build(lost: Callable[[Failure], None]) -> LineCoreProtocol:
                """Its protocol."""
                if way.chunks:
                    return ChunkCoreProtocol(way.driver, lost)
                return _Lines(way.driver, LIMIT, lost)

            return StreamRoute(way, endpoint, settings.retry, random, build)

        super().__init__(reactor, settings, random, route, datagrams=False)
