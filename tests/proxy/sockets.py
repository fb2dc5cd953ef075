"""A relay before a server on real sockets, and clients of it."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from lab.adapters.connecting import AddressEndpoint
from lab.adapters.lean import lean
from lab.faults.journal import Dice
from lab.proxy.streams import StreamRelay
from tests.proxy.captured import Captured
from tests.proxy.scenes import Peer, Serving, Whole, echo, shut

reactor: Any = real_reactor


class Raw:
    """A socket without Twisted's protocols: what the kernel says, as it says it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._said: Deferred[Any] | None = None

    def fileno(self) -> int:
        """Its number."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Its name."""
        return "raw"

    def send(self, data: bytes) -> None:
        """Send a little."""
        self._socket.send(data)

    def end(self) -> None:
        """End our half."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def receive(self) -> "Deferred[Any]":
        """Fires with bytes, or with the number of the error."""
        self._said = Deferred()
        reactor.addReader(self)
        return self._said

    def doRead(self) -> None:
        """There is something."""
        reactor.removeReader(self)
        try:
            found: Any = self._socket.recv(65536)
        except OSError as error:
            found = error.errno
        said, self._said = self._said, None
        if said is not None:
            said.callback(found)

    def connectionLost(self, reason: object) -> None:
        """The reactor has noticed an end: reading tells which."""
        self.doRead()

    def close(self) -> None:
        """Enough."""
        self._socket.close()


class SocketCase(TestCase):
    """A relay before a server, on loopback."""

    timeout = 30
    capturing = False
    relay: StreamRelay
    servers: Serving
    #: The one that was opened last: that of the relay.
    port: Any

    async def listen(self, text: str, factory: Factory) -> Any:
        """Listen until the test is over."""
        port = self.port = lean(await serverFromString(reactor, text).listen(factory))
        self.addCleanup(port.stopListening)
        return port.getHost()

    async def begin(
        self,
        serve: Callable[[], Whole],
        connect: Callable[[int], IStreamClientEndpoint] | None = None,
        *,
        server: str = "tcp:0:interface=127.0.0.1",
        listen: str = "tcp:0:interface=127.0.0.1",
    ) -> Any:
        """Start both; the address to connect to."""
        self.servers = Serving(serve)
        upstream = await self.listen(server, self.servers)

        def usual(port: int) -> IStreamClientEndpoint:
            return AddressEndpoint(reactor, "127.0.0.1", port)

        number = getattr(upstream, "port", 0)
        self.captured = Captured(reactor.seconds)
        self.relay = StreamRelay(
            reactor,
            "relay",
            lambda: (connect or usual)(number),
            decisions=Dice(7),
            capture=self.captured.relay if self.capturing else None,
        )
        address = await self.listen(listen, self.relay.factory)
        self.addCleanup(self.relay.drained)
        self.addCleanup(self.relay.drop)
        return address

    async def client(self, address: Any, client: Whole | None = None) -> Any:
        """Connect."""
        made = client or Peer()
        factory = Factory.forProtocol(lambda: made)
        factory.noisy = False
        text = f"tcp:127.0.0.1:{address.port}"
        await clientFromString(reactor, text).connect(factory)
        return made

    async def raw(self, address: Any) -> Raw:
        """Connect a socket of our own; there is a server for it when this is done."""
        made = Raw(address.port)
        self.addCleanup(made.close)
        made.send(b"hello")
        self.assertEqual(await made.receive(), b"hello")
        return made


def echoing() -> Peer:
    """A server that sends back what comes, and ends when its client does."""
    return Peer(data=echo, end=shut)
