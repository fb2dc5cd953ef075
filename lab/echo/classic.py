"""
The three services that every host had once: echo (RFC 862), discard (RFC 863), chargen (RFC 864).

They are here to be embedded, on ports that are free, such as
``endpoint.listen(ClassicFactory(reactor, CharacterCore))``. Over UDP each answers a datagram with
at most one, of no more than three times its bytes, and none to a server.
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from lab.adapters.datagram import Address, PeersProtocol, answers_too
from lab.adapters.driver import Driver
from lab.adapters.stream import ChunkCoreProtocol
from lab.core import Body, Finished
from lab.rng import Random, stream
from lab.wire.tokens import ALLOWED, HEADERS

#: A connection on which nothing moves for so long is closed, in seconds.
IDLE = 300.0
#: Characters in a line of chargen, without its ending.
LINE = 72
#: Most characters in a datagram of chargen.
MOST = 512
# Printable characters, with space. 95 lines of chargen, each of which begins one further.
_RING = bytes(range(32, 127))
_LINES = b"".join((_RING * 2)[start : start + LINE] + b"\r\n" for start in range(95))


@define(eq=False)
class DiscardCore:
    """
    Throws away what comes.

    Args:
        now: When the peer came, in seconds.
    """

    _now: float
    _outgoing: list[bytes | Body] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)
    _finished: bool = field(init=False, default=False)

    def message(self, data: bytes, now: float) -> None:
        """Some bytes."""
        self._now = now

    def tick(self, now: float) -> None:
        """Nothing has moved for too long."""
        self._finished = True
        self._events.append(Finished(f"nothing moved for {IDLE:g} s"))

    def close(self, now: float) -> None:
        """There is nothing to keep."""

    def outgoing(self) -> list[bytes | Body]:
        """What is sent."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """`lab.core.Finished`, when the connection has to end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When nothing will have moved for too long."""
        return None if self._finished else self._now + IDLE


class EchoCore(DiscardCore):
    """Sends back what comes."""

    def message(self, data: bytes, now: float) -> None:
        """Some bytes."""
        super().message(data, now)
        self._outgoing.append(data)


@define(eq=False)
class CharacterCore(DiscardCore):
    """Sends lines of printable characters for ever, as fast as they are read."""

    def __attrs_post_init__(self) -> None:
        """They need not be asked for."""
        self._outgoing.append(self)

    def messages(self, batch: list[bytes], now: float) -> int:
        """What comes is thrown away, and takes no turn."""
        return len(batch)

    def busy(self) -> bool:
        """It always is."""
        return True

    def read(self, size: int, now: float) -> bytes:
        """All lines that there are, each time: the next begins with the first again."""
        self._now = now
        return _LINES * max(1, size // len(_LINES))


class ClassicFactory(Factory):
    """
    Builds a protocol for each connection.

    Args:
        clock: The reactor, or another `IReactorTime`.
        build: Makes the core of a connection from the time: `EchoCore`, `DiscardCore` or
            `CharacterCore`.

    Attributes:
        connections: Connections that there were so far.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, build: Callable[[float], DiscardCore]) -> None:
        self._clock = clock
        self._build = build
        self.connections = 0

    def buildProtocol(self, addr: IAddress | None) -> ChunkCoreProtocol:
        """A protocol with a core of its own."""
        self.connections += 1
        driver = Driver(self._build(self._clock.seconds()), self._clock)
        protocol = ChunkCoreProtocol(driver, lambda reason: driver.close())
        protocol.factory = self
        return protocol


@define(eq=False)
class _OnceCore(DiscardCore):
    """Answers a datagram, and is forgotten."""

    _answer: Callable[[bytes], list[bytes]]

    def message(self, data: bytes, now: float) -> None:
        """One datagram."""
        self._outgoing += self._answer(data)
        self._events.append(Finished("answered"))


class DiscardDatagramProtocol(PeersProtocol):
    """
    Throws away datagrams.

    Args:
        clock: The reactor, or another `IReactorTime`.

    Attributes:
        received: Datagrams that came.
        ignored: Those of them that came from a port that nobody asks from.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock, lambda addr: _OnceCore(0.0, self._answer))
        self.received = self.ignored = 0

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Answer it, unless a server sent it."""
        self.received += 1
        if answers_too(addr[1], self.transport.getHost().port):
            self.ignored += 1
        else:
            super().datagramReceived(datagram, addr)

    def _answer(self, datagram: bytes) -> list[bytes]:
        """Nothing."""
        return []


class EchoDatagramProtocol(DiscardDatagramProtocol):
    """Sends datagrams back; see `DiscardDatagramProtocol`."""

    def _answer(self, datagram: bytes) -> list[bytes]:
        """The same."""
        return [datagram]


class CharacterDatagramProtocol(DiscardDatagramProtocol):
    """
    Answers each datagram with 0 to 512 characters, but at most three times its bytes, both counted
    with 28 of headers: without that, chargen is what attacks are amplified with.

    Args:
        clock: The reactor, or another `IReactorTime`.
        random: Where lengths are drawn from; by default a stream from the system's seed.
    """

    def __init__(self, clock: IReactorTime, random: Random | None = None) -> None:
        super().__init__(clock)
        self._random = random or stream(None)

    def _answer(self, datagram: bytes) -> list[bytes]:
        """So many characters."""
        most = min(MOST, ALLOWED * (len(datagram) + HEADERS) - HEADERS)
        return [_LINES[: self._random.randint(0, most)]]
