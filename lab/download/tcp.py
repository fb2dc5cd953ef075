"""
The download service on streams: TCP, TLS, Unix sockets, whatever an endpoint gives.

An application embeds the server with
``endpoint.listen(DownloadFactory(reactor, Catalogue("directory")))``.
"""

from itertools import count
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.stream import LineCoreProtocol
from lab.download.files import Files
from lab.download.server import DownloadServerCore, Wanted
from lab.download.settings import ServerSettings
from lab.download.shared import Client, Counters, Shared, Transfer
from lab.download.wire import LIMIT, Working
from lab.download.workshop import Found, Run, Workshop


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
            _show(self.transport.getPeer()),
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
        connected: The protocols of all connections, by their numbers.
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
        self.connected: dict[int, DownloadProtocol] = {}
        self._numbers = count(1)

    @property
    def counters(self) -> Counters:
        """What was done so far, on all connections."""
        return self.shared.counters

    def buildProtocol(self, addr: IAddress | None) -> DownloadProtocol:
        """A protocol with a core and buffers of its own; Unix sockets are all one address."""
        protocol = DownloadProtocol(self, str(getattr(addr, "host", "")), next(self._numbers))
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


def _show(peer: Any) -> str:
    """The address of a peer, for people."""
    host = getattr(peer, "host", None)
    if host is None:
        return "unix"
    return f"[{host}]:{peer.port}" if ":" in host else f"{host}:{peer.port}"
