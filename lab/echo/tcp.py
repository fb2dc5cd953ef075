"""
The echo service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with ``endpoint.listen(EchoFactory(reactor))``.
"""

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from lab.adapters.driver import Driver
from lab.adapters.stream import LineCoreProtocol
from lab.echo.answers import Counters
from lab.echo.budget import Budget
from lab.echo.server import EchoServerCore
from lab.echo.settings import ServerSettings
from lab.echo.wire import LIMIT


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
