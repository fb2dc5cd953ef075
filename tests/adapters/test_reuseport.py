"""Ports that are shared, on the real reactor and by real sockets."""

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.trial.unittest import TestCase

from lab.adapters.endpoints import serverFromString
from lab.adapters.reuseport import ReservedPorts, SharedPorts, check_system
from lab.errors import LocalError
from tests.helpers import certify, folder


class Told(Protocol):
    """Says which of the listeners it is of, and ends."""

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(self.factory.name)  # type: ignore[attr-defined, union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class Heard(Protocol):
    """Gathers what comes."""

    def __init__(self) -> None:
        self.data, self.ended = b"", Deferred[bytes]()

    def dataReceived(self, data: bytes) -> None:
        """A part."""
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """All."""
        self.ended.callback(self.data)


class Counting(DatagramProtocol):
    """Counts datagrams, and says when there were so many on all ports."""

    got = 0

    def __init__(self, enough: Deferred[None], counts: list[int], place: int, wanted: int) -> None:
        self._enough, self._counts, self._place, self._wanted = enough, counts, place, wanted

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """One more."""
        self._counts[self._place] += 1
        if sum(self._counts) == self._wanted:
            self._enough.callback(None)


class SharedTests(TestCase):
    """Two listeners at one port."""

    timeout = 20

    async def listen(self, text: str, listener: Any, port: int = 0) -> Any:
        """Listen, until the test is over."""
        endpoint: Any = serverFromString(SharedPorts(reactor, port), text)
        found = endpoint.listen(listener)
        port_: Any = await found if isinstance(found, Deferred) else found
        self.addCleanup(port_.stopListening)
        return port_

    async def spread(self, text: str, client: str) -> None:
        """Connections come to both of two listeners."""
        port = 0
        for name in (b"one", b"two"):
            factory = Factory.forProtocol(Told)
            factory.name = name
            port = (await self.listen(text, factory, port)).getHost().port
        answers = set()
        # That 64 of them are all with one of two has a probability of 2**-63.
        for _ in range(64):
            endpoint = clientFromString(reactor, client.format(port=port))
            answers.add(await (await connectProtocol(endpoint, Heard())).ended)
            if len(answers) == 2:
                break
        self.assertEqual(answers, {b"one", b"two"})

    async def test_tcp(self) -> None:
        """Both get connections."""
        await self.spread("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{port}")

    async def test_tcp6(self) -> None:
        """So over IPv6."""
        await self.spread(r"tcp6:0:interface=\:\:1", r"tcp:\:\:1:{port}")

    async def test_ssl(self) -> None:
        """So with TLS."""
        path = folder(self)
        certify(path, "localhost")
        key = f"privateKey={path}/server.pem:certKey={path}/server.pem"
        await self.spread(
            f"ssl:0:interface=127.0.0.1:{key}",
            f"tls:localhost:{{port}}:trustRoots={path}/roots:endpoint=tcp\\:127.0.0.1\\:{{port}}",
        )
        self.flushWarnings()  # Twisted's way with certificates is not the newest

    async def test_udp(self) -> None:
        """Both get datagrams, and those of one flow come to the same."""
        enough: Deferred[None] = Deferred()
        counts, wanted, port = [0, 0], 128, 0
        for place in range(2):
            protocol = Counting(enough, counts, place, wanted)
            port = (await self.listen("udp:0:interface=127.0.0.1", protocol, port)).getHost().port
        for _ in range(64):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.connect(("127.0.0.1", port))
                one.send(b"a")
                one.send(b"b")
        await enough
        self.assertTrue(all(counts), counts)
        self.assertEqual([count % 2 for count in counts], [0, 0])

    async def test_others(self) -> None:
        """A port of somebody who does not share it is refused; so is one of datagrams."""
        for kind, name in (socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp"):
            with socket.socket(socket.AF_INET, kind) as other:
                other.bind(("127.0.0.1", 0))
                text = f"{name}:{other.getsockname()[1]}:interface=127.0.0.1"
                with self.assertRaises(CannotListenError):
                    await self.listen(text, DatagramProtocol())

    def test_the_rest(self) -> None:
        """All else is the reactor's."""
        ports = SharedPorts(reactor)
        self.assertEqual(ports.seconds, reactor.seconds)  # type: ignore[attr-defined]
        self.assertTrue(IReactorTCP.providedBy(ports))

    def test_system(self) -> None:
        """A system that can't says so."""
        check_system()
        number = socket.SO_REUSEPORT
        del socket.SO_REUSEPORT
        self.addCleanup(setattr, socket, "SO_REUSEPORT", number)
        self.assertRaises(LocalError, check_system)


class ReservedTests(TestCase):
    """Ports that are held."""

    timeout = 20

    async def test_reserved(self) -> None:
        """Who holds ports gets no connection, nor can others take them; children listen there."""
        for text in ("tcp:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1"):
            ports = ReservedPorts(reactor)
            endpoint: Any = serverFromString(ports, text)
            endpoint.listen(Factory())
            (taken,) = ports.taken
            self.addCleanup(taken.close)
            number = taken.getsockname()[1]
            listener: Any = DatagramProtocol() if "udp" in text else Factory()
            with socket.socket(taken.family, taken.type) as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int("tcp" in text))
                self.assertRaises(OSError, other.bind, ("127.0.0.1", number))
            shared: Any = serverFromString(SharedPorts(reactor, number), text)
            found = shared.listen(listener)
            port: Any = await found if isinstance(found, Deferred) else found
            self.assertEqual(port.getHost().port, number)
            await port.stopListening()
