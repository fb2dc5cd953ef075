"""UDP ports whose turns come when a test wants them, and what notes all that a protocol is told."""

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from lab.adapters.coalescing import SOL_UDP
from lab.adapters.offload import UDP_SEGMENT
from lab.adapters.udp import DatagramPort


class Turns(Clock):
    """A reactor that has turns when the test wants some."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """It is to be read."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """No more."""
        self.readers = [one for one in self.readers if one is not reader]

    def addWriter(self, writer: Any) -> None:
        """It has something to write."""
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """No more."""
        self.writers = [one for one in self.writers if one is not writer]

    def turn(self) -> None:
        """Who has something to write may do so."""
        for writer in list(self.writers):
            writer.doWrite()


class Noting(DatagramProtocol):
    """Notes what comes."""

    noisy = False

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.each: Callable[[], object] = lambda: None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Note it, and do what the test says."""
        self.seen.append((datagram, addr))
        self.each()

    def connectionRefused(self) -> None:
        """Note it."""
        self.seen.append("refused")
        self.each()


class NotingAtOnce(Noting):
    """Wants several at once."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def datagramsReceived(self, datagrams: list[bytes], addr: Any) -> None:
        """Note them."""
        self.calls += 1
        self.seen += [(datagram, addr) for datagram in datagrams]
        self.each()


class PortCase(SynchronousTestCase):
    """Opens and closes what a test needs."""

    def port(
        self, protocol: Any, kind: Any = DatagramPort, size: int = 65_535, host: str = "127.0.0.1"
    ) -> Any:
        """A port that is open."""
        port = kind(0, protocol, host, size, Turns())
        port.startListening()
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self.addCleanup(lambda: port.connected and port.connectionLost())
        return port

    def together(self, protocol: Any, **more: Any) -> Any:
        """A port that is handed several at a time already."""
        port = self.port(protocol, **more)
        port._ask()
        if not port._together:
            raise SkipTest("this system hands over one datagram at a time")
        return port

    def peer(self, port: Any, host: str = "127.0.0.1") -> socket.socket:
        """A socket that sends to the port."""
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        peer = socket.socket(kind, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.connect((host, port.getHost().port))
        return peer


def send(peer: socket.socket, datagrams: Sequence[bytes]) -> None:
    """Send them as one piece, if they are of one size that the way takes, else one by one."""
    size = len(datagrams[0])
    if 0 < size < 9000 and len({*map(len, datagrams)}) == 1:
        peer.sendmsg(datagrams, [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))])
    else:
        for datagram in datagrams:
            peer.send(datagram)
