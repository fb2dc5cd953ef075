"""
The echo service on datagrams: text comes back byte for byte, streams and files at a pace.

An application embeds the server with
``reactor.listenUDP(50001, EchoDatagramProtocol(reactor), maxPacketSize=65535)``, and asks with
``await EchoClient(reactor, DatagramClientEndpoint(reactor, HOST, 50001)).echo(b"hello")``.
"""

from twisted.internet.interfaces import IReactorTime

from lab.adapters.datagram import Address, PeersProtocol, answers_too
from lab.adapters.endpoints import DatagramClientEndpoint
from lab.adapters.routes import DatagramRoute
from lab.core import Core
from lab.echo.answers import Counters
from lab.echo.asking import EchoAsking
from lab.echo.budget import Budget
from lab.echo.datagrams import EchoDatagramCore
from lab.echo.settings import ClientSettings, ServerSettings
from lab.rng import Random, secret, stream
from lab.wire.tokens import Tokens


class EchoDatagramProtocol(PeersProtocol):
    """
    Answers the datagrams of any number of peers at one port.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits and pace; those of `lab.echo.settings.ServerSettings` by default.
        budget: What is shared, with a server over TCP perhaps; one of its own by default.
        key: Makes the tokens; 16 random bytes by default.

    Attributes:
        counters: What was done so far.
        budget: What all peers share.
        ignored: Datagrams that came from a port that nobody asks from.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings | None = None,
        budget: Budget | None = None,
        key: bytes | None = None,
    ) -> None:
        super().__init__(clock, self._core)
        self._settings = settings or ServerSettings()
        self._tokens = Tokens(key or secret())
        self.counters = Counters()
        self.budget = budget or Budget(self._settings)
        self.ignored = 0

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Answer it, unless a server sent it."""
        if answers_too(addr[1], self.transport.getHost().port):
            self.ignored += 1
        else:
            super().datagramReceived(datagram, addr)

    def _core(self, addr: Address) -> Core:
        """The core of a new peer."""
        peer = f"{addr[0]} {addr[1]}"
        return EchoDatagramCore(
            self._settings,
            self._clock.seconds(),
            self._tokens,
            peer,
            addr[0],
            self.counters,
            self.budget,
        )


class EchoClient(EchoAsking):
    """
    Asks an echo server over UDP.

    Texts and limits are asked from one port. Each stream, file and series of probes has a port of
    its own, so that what comes too late for one is nothing for another.

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
        endpoint: DatagramClientEndpoint,
        settings: ClientSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(
            reactor,
            settings or ClientSettings(),
            random or stream(None),
            lambda way: DatagramRoute(way, endpoint),
            datagrams=True,
        )
