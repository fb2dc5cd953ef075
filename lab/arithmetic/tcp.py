"""
The arithmetic service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with ``endpoint.listen(ArithmeticFactory(reactor))`` and asks
with ``await ArithmeticClient(reactor, endpoint).ask("+", 1, 1)``.
"""

from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from lab.adapters.driver import Driver
from lab.adapters.routes import StreamRoute
from lab.adapters.stream import LineCoreProtocol
from lab.arithmetic.asking import Asking
from lab.arithmetic.server import ArithmeticServerCore, Counters
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.arithmetic.wire import LIMIT, REPLY_LIMIT
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
            reactor,
            settings,
            random,
            lambda way: StreamRoute(
                way,
                endpoint,
                retry,
                random,
                lambda lost: LineCoreProtocol(way.driver, REPLY_LIMIT, lost),
            ),
        )
