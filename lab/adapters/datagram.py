"""
Cores on datagram ports: one core for each peer at a server's port, one core at a client's.

Knows no service.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol

from lab.adapters.driver import Driver
from lab.adapters.offload import DatagramSender
from lab.core import Core, Datagrams

#: Cores that a port keeps at most; the one that was silent for longest goes first.
PEERS = 10_000

Address = tuple[str, int]


def answers_too(port: int, own: int) -> bool:
    """
    Whether a datagram of this port is a server's: what answers it would be answered, for ever.

    With an invented sender address somebody can set two servers that answer everything on each
    other (CVE-1999-0103). Nobody asks from a port below 1024, or from the number of our own port.

    Args:
        port: Where the datagram came from.
        own: Where it came to.
    """
    return port < 1024 or port == own


class _Sender(DatagramProtocol):
    """
    A datagram protocol that survives what a socket may say when it sends.

    Attributes:
        sender: Sends, and counts how.
    """

    #: A UDP port while it is open, or None.
    transport: Any
    noisy = False

    def __init__(self) -> None:
        self.sender = DatagramSender(self)

    @property
    def unsent(self) -> int:
        """Datagrams that the system did not take."""
        return self.sender.unsent

    def _send(self, messages: list[bytes | Datagrams], address: Address | None = None) -> None:
        """Send each message; what can't be sent is lost, as datagrams may be."""
        single: list[bytes] = []
        for message in messages:
            if isinstance(message, Datagrams):
                if single:
                    self.sender.send(single, address)
                    single = []
                self.sender.send_together(message, address)
            else:
                single.append(message)
        if single:
            self.sender.send(single, address)


class PeersProtocol(_Sender):
    """
    Runs a core for each peer that sends datagrams to this port.

    Args:
        clock: Gives the time.
        build: Makes the core of a new peer, from its address.
        peers: Most cores that are kept.
    """

    def __init__(
        self, clock: IReactorTime, build: Callable[[Address], Core], peers: int = PEERS
    ) -> None:
        super().__init__()
        self._clock = clock
        self._build = build
        self._peers = peers
        self._drivers: OrderedDict[Address, Driver] = OrderedDict()

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Hand a datagram to the core of its sender."""
        driver = self._drivers.get(addr) or self._meet(addr)
        self._drivers.move_to_end(addr)
        driver.message(datagram)

    def stopProtocol(self) -> None:
        """The port is closed: no core is kept."""
        while self._drivers:
            self._drivers.popitem()[1].close()

    def _meet(self, addr: Address) -> Driver:
        """A new peer; the one that was silent for longest makes room."""
        if len(self._drivers) >= self._peers:
            self._drivers.popitem(last=False)[1].close()
        driver = Driver(self._build(addr), self._clock)
        driver.write = lambda messages: self._send(messages, addr)
        driver.finish = lambda reason: self._forget(addr)
        self._drivers[addr] = driver
        return driver

    def _forget(self, addr: Address) -> None:
        """The core has nothing more to do with this peer, until it comes again."""
        driver = self._drivers.pop(addr, None)
        if driver is not None:
            driver.close()


class PeerProtocol(_Sender):
    """
    Runs one core against one peer, on a port that hears nobody else.

    When ICMP says that nobody listens there, the port is closed and ``refused`` is called: on
    some reactors Twisted calls `connectionRefused` then, on others it closes the port by itself
    (twisted/twisted#5377), so the second is made of the first.

    Args:
        driver: Runs the core.
        peer: Address of the peer, numeric.
        refused: Called when nobody listens there; the port is closed or closing.
    """

    def __init__(self, driver: Driver, peer: Address, refused: Callable[[], None]) -> None:
        super().__init__()
        self._driver = driver
        self._peer = peer
        self._refused = refused
        self._ended = False

    def startProtocol(self) -> None:
        """The port is open: the core has a transport."""
        self.transport.connect(*self._peer)
        self._driver.write = self._send

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Hand a datagram to the core."""
        self._driver.message(datagram)

    def connectionRefused(self) -> None:
        """Nobody listens there."""
        if not self._ended:
            self.end()
            self._refused()

    def stopProtocol(self) -> None:
        """The port is closed; if not by us, then because nobody listens there."""
        if not self._ended:
            self._ended = True
            self._driver.unplug()
            self._refused()

    def end(self) -> Deferred[None]:
        """Close the port; fires when it is closed."""
        self._ended = True
        self._driver.unplug()
        done: Deferred[None] = maybeDeferred(self.transport.stopListening)
        return done
