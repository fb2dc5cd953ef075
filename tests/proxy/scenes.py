"""A client, a relay and a server, on a simulated network or on real sockets."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lab.faults.datagrams import Settings
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.proxy.room import Room
from lab.proxy.streams import StreamRelay
from lab.simulator.network import Network, simulate
from tests.proxy.captured import Captured

Action = Callable[["Peer"], object]

#: The room inside each link, in bytes: soon full.
LITTLE = 2**20


def nothing(_: object) -> None:
    """An action: none."""


def shut(peer: "Peer") -> None:
    """An action: end our half."""
    peer.transport.loseWriteConnection()


def lose(peer: "Peer") -> None:
    """An action: close."""
    peer.transport.loseConnection()


def echo(peer: "Peer") -> None:
    """An action: send back what has come last."""
    peer.transport.write(peer.last)


def faults(*settings: Settings) -> list[Fault]:
    """Faults, named by what they are."""
    return [Fault(one, type(one).__name__) for one in settings]


class Whole(Protocol):
    """
    A client or a server that knows no half-close.

    Args:
        made: What it does when it is connected.
        data: What it does when bytes have come.
        end: What it does when its peer sends no more.
    """

    transport: Any

    def __init__(
        self, made: Action = nothing, data: Action = nothing, end: Action = nothing
    ) -> None:
        self._made, self._data, self._end = made, data, end
        self.got, self.last = bytearray(), b""
        self.seconds: Callable[[], float] = lambda: 0.0
        #: When each chunk came, and the end, in seconds.
        self.times: list[float] = []
        self.ended = False
        self.end_seen: Deferred[None] = Deferred()
        self.lost: Deferred[str] = Deferred()
        #: The reason, when the connection is gone.
        self.why = ""
        self._wanted: list[tuple[int, Deferred[bytes]]] = []

    def arrived(self, size: int) -> "Deferred[bytes]":
        """Fires with all bytes when there are so many."""
        if len(self.got) >= size:
            return succeed(bytes(self.got))
        wanted: Deferred[bytes] = Deferred()
        self._wanted.append((size, wanted))
        return wanted

    def connectionMade(self) -> None:
        """Begin."""
        self._made(self)

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.got += data
        self.last = data
        self.times.append(self.seconds())
        self._data(self)
        due = [one for one in self._wanted if one[0] <= len(self.got)]
        self._wanted = [one for one in self._wanted if one[0] > len(self.got)]
        for _, wanted in due:
            wanted.callback(bytes(self.got))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Say why."""
        self.why = reason.type.__name__
        self.lost.callback(self.why)


@implementer(IHalfCloseableProtocol)
class Peer(Whole):
    """One that knows it."""

    _shut = False

    def readConnectionLost(self) -> None:
        """The peer sends no more; when neither does, the connection is over."""
        self.ended = True
        self.times.append(self.seconds())
        self.end_seen.callback(None)
        self._end(self)
        if self._shut:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our end has gone out."""
        self._shut = True
        if self.ended:
            self.transport.loseConnection()


def answer(server: Any) -> None:
    """Say how much has come, and end."""
    server.transport.write(b"%d bytes" % len(server.got))
    server.transport.loseWriteConnection()


def answering() -> Peer:
    """A server that answers when its client has ended."""
    return Peer(end=answer)


class Never:
    """An endpoint that never connects, and knows when it is given up."""

    def __init__(self) -> None:
        self.given_up = 0

    def connect(self, factory: Any) -> "Deferred[Any]":
        """Never."""

        def cancel(_: object) -> None:
            self.given_up += 1

        return Deferred(cancel)


class Serving(Factory):
    """
    Gives each client a server.

    Args:
        make: Makes one.
    """

    noisy = False

    def __init__(self, make: Callable[[], Whole] = Peer) -> None:
        self._make = make
        self.all: list[Any] = []
        self._next: Deferred[Any] = Deferred()

    def buildProtocol(self, addr: Any) -> Whole:
        """One more."""
        made = self._make()
        self.all.append(made)
        waiting, self._next = self._next, Deferred()
        waiting.callback(made)
        return made

    def first(self) -> "Deferred[Any]":
        """Fires with the first."""
        return succeed(self.all[0]) if self.all else self._next


class Simulated:
    """
    The three on hosts of their own.

    Args:
        net: The network.
        serve: Makes a server for each connection.
        upstream: Faults from the client to the server.
        downstream: Faults from the server to the client.
        connect: Gives another upstream.
        room: Inside each link, in bytes, or what links share.
        captured: Whether there is a capture.
    """

    def __init__(  # noqa: PLR0913 - each test gives few of them
        self,
        net: Network,
        serve: Callable[[], Whole] = Peer,
        upstream: Sequence[Fault] = (),
        downstream: Sequence[Fault] = (),
        connect: Callable[[], IStreamClientEndpoint] | None = None,
        room: int | Room = LITTLE,
        *,
        captured: bool = False,
    ) -> None:
        self.net = net
        proxy, server = net.host("proxy").reactor, net.host("server").reactor
        self.journal = Journal()
        self.captured = Captured(proxy.seconds)
        self.relay = StreamRelay(
            proxy,
            "relay",
            connect or (lambda: TCP4ClientEndpoint(proxy, "server", 80)),
            decisions=Dice(net.seed),
            journal=self.journal,
            room=Room(room, room) if isinstance(room, int) else room,
            capture=self.captured.relay if captured else None,
        )
        self.relay.set_faults(upstream, downstream)
        self.servers = Serving(serve)
        net.run_until(TCP4ServerEndpoint(proxy, 80).listen(self.relay.factory))
        net.run_until(TCP4ServerEndpoint(server, 80).listen(self.servers))

    def client(self, client: Whole) -> Any:
        """Connect this one."""
        reactor = self.net.host("client").reactor
        client.seconds = reactor.seconds
        factory = Factory.forProtocol(lambda: client)
        factory.noisy = False
        connected = TCP4ClientEndpoint(reactor, "proxy", 80).connect(factory)
        self.net.run_until(connected, limit=60)
        return client

    def pair(self, client: Whole | None = None) -> tuple[Any, Any]:
        """A client that is connected, and its server."""
        count = len(self.servers.all)
        found = self.client(client or Peer())
        while len(self.servers.all) == count:
            self.net.run(0.001)
        self.servers.all[-1].seconds = self.net.host("server").reactor.seconds
        return found, self.servers.all[-1]

    def over(self) -> None:
        """Wait until nothing is left, neither connections nor timers."""
        self.net.run_until(self.relay.drained(), limit=120)
        assert self.relay.connections == 0
        assert not self.net.host("proxy").reactor.getDelayedCalls()


class SceneCase(SynchronousTestCase):
    """Tests, each on as many networks as it wants."""

    net: Network

    def scene(self, *arguments: Any, seed: int = 7, **keywords: Any) -> Simulated:
        """A scene on a network of its own, which is closed after the test."""
        manager = simulate(seed)
        self.net = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return Simulated(self.net, *arguments, **keywords)
