"""What transports can do, on those that Twisted gives."""

import contextlib
import errno
import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from lab.adapters.lean import LeanConnection
from lab.adapters.transports import (
    can_half_close,
    close_ended,
    close_whole,
    eager,
    end_half,
    is_tcp,
    why,
)


def transport(peer: Any, *interfaces: Any) -> StringTransport:
    """A transport to this peer, with these interfaces."""
    made = StringTransport(peerAddress=peer)
    alsoProvides(made, *interfaces)
    return made


class TransportsTests(SynchronousTestCase):
    """By their interfaces and addresses."""

    def test_is_tcp(self) -> None:
        """An address of IP says it; a Unix socket is none, though it provides the interface."""
        for peer, expected in [
            (IPv4Address("TCP", "127.0.0.1", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (UNIXAddress(b"/run/lab"), False),
        ]:
            self.assertIs(is_tcp(transport(peer, ITCPTransport)), expected)
        self.assertFalse(is_tcp(transport(IPv4Address("TCP", "127.0.0.1", 1))))

    def test_why(self) -> None:
        """The system's words where there is a number, and what is said otherwise."""
        refused = ConnectError(osError=errno.ECONNREFUSED)
        self.assertEqual(why(Failure(refused)), "Connection refused")
        self.assertEqual(why(Failure(DNSLookupError("no address for 'x'"))).count("for 'x'"), 1)

    def test_can_half_close(self) -> None:
        """TLS passes on what its socket provides, and can't do it."""
        peer = IPv4Address("TCP", "127.0.0.1", 1)
        self.assertTrue(can_half_close(transport(peer, IHalfCloseableDescriptor)))
        self.assertFalse(can_half_close(transport(peer, IHalfCloseableDescriptor, ISSLTransport)))
        self.assertFalse(can_half_close(StringTransport()))

    def test_lean(self) -> None:
        """One of ours is TCP, and can half-close until it has TLS."""
        ours, far = socket.socketpair()
        self.addCleanup(far.close)
        reactor = SimpleNamespace(addReader=id, removeReader=id)
        made: Any = LeanConnection(ours, Protocol(), ("::1", 1, 0, 0), None, 0, reactor)
        self.addCleanup(ours.close)
        self.assertTrue(is_tcp(made))
        for tls in (False, True):
            made.TLS = tls
            self.assertIs(can_half_close(made), not tls)


class Descriptors:
    """A reactor that only notes who wants to write."""

    def __init__(self) -> None:
        self.writers: set[object] = set()

    def addWriter(self, writer: object) -> None:
        """Note it."""
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        """Forget it."""
        self.writers.discard(writer)

    def removeReader(self, reader: object) -> None:
        """It has never been there."""


class EagerTests(SynchronousTestCase):
    """Writing at once, on two sockets that are connected to each other."""

    def setUp(self) -> None:
        """Connect them."""
        self.reactor = Descriptors()
        near, self.far = socket.socketpair()
        for end in (near, self.far):
            self.addCleanup(end.close)
            end.setblocking(False)
        self.transport: Any = Connection(near, Protocol(), self.reactor)
        self.transport.connected = True
        self.write = eager(self.transport)

    def received(self) -> bytes:
        """What has arrived."""
        found = bytearray()
        with contextlib.suppress(BlockingIOError):
            while data := self.far.recv(65536):
                found += data
        return bytes(found)

    def test_at_once(self) -> None:
        """What the kernel takes is there, and no turn of the reactor is needed."""
        for data in (b"one", b"", b"two"):
            self.write(data)
            self.assertEqual((self.received(), self.reactor.writers), (data, set()))

    def test_order(self) -> None:
        """Nothing overtakes what waits, whether the reactor has looked at it or not."""
        self.transport.write(b"first ")
        self.write(b"second")
        self.assertEqual(self.received(), b"")
        self.transport.doWrite()
        self.assertEqual(self.received(), b"first second")

    def test_full(self) -> None:
        """What the kernel does not take waits, and all that comes after it."""
        whole = bytes(range(250)) * 20_000
        self.write(whole)
        self.assertEqual(self.reactor.writers, {self.transport})
        found = self.received()
        self.transport.doWrite()  # the rest waits in another place now
        self.write(b"the end")
        while self.reactor.writers:
            found += self.received()
            self.transport.doWrite()
        self.assertTrue(found + self.received() == whole + b"the end")
        self.write(b"at once")
        self.assertEqual(self.received(), b"at once")

    def test_much(self) -> None:
        """All that the kernel takes is there, also if that is more than Twisted gives at a time."""
        limit = self.transport.SEND_LIMIT = 1000
        whole = bytes(range(250)) * 50
        for size in (limit, limit + 1, 2 * limit, len(whole)):
            self.write(whole[:size])
            self.assertEqual((self.received(), self.reactor.writers), (whole[:size], set()))
        sizes = [limit, limit, 1, CONNECTION_LOST, limit, CONNECTION_LOST]
        self.patch(self.transport, "writeSomeData", lambda data: sizes.pop(0))
        written: list[bytes] = []
        self.patch(self.transport, "write", written.append)
        for _ in range(3):
            self.write(whole)
        self.assertEqual(written, [whole[2 * limit + 1 :], whole, whole[limit:]])

    def test_error(self) -> None:
        """The transport meets the error itself, in its own time."""
        self.far.close()
        self.write(b"lost")
        self.assertEqual(self.reactor.writers, {self.transport})
        self.assertIs(self.transport.doWrite(), CONNECTION_LOST)

    def test_closing(self) -> None:
        """Behind an end that is on its way, the transport decides."""
        for name, value in [
            ("connected", False), ("disconnecting", True), ("_writeDisconnecting", True),
            ("TLS", True), ("_aborting", True),
        ]:  # fmt: skip
            before = getattr(self.transport, name)
            setattr(self.transport, name, value)
            self.patch(self.transport, "write", lambda data: None)
            self.write(b"late")
            setattr(self.transport, name, before)
            self.assertEqual(self.received(), b"", name)

    def test_end_half(self) -> None:
        """Our half ends at once, and the protocol is told; a reactor has nothing to write then."""
        told: list[str] = []
        protocol = self.transport.protocol
        alsoProvides(protocol, IHalfCloseableProtocol)
        protocol.writeConnectionLost = lambda: told.append("end")
        self.transport.startWriting()
        end_half(self.transport)
        self.assertEqual((told, self.reactor.writers, self.far.recv(1)), (["end"], set(), b""))
        self.transport.write(b"late")
        self.assertEqual(self.reactor.writers, set())

    def test_end_behind_all(self) -> None:
        """What waits goes out first."""
        self.transport.write(b"first")
        end_half(self.transport)
        self.assertEqual(self.reactor.writers, {self.transport})
        self.transport.doWrite()
        self.assertEqual((self.far.recv(9), self.far.recv(9)), (b"first", b""))

    def test_close_ended(self) -> None:
        """The connection is closed at once, and the system is asked for nothing more."""
        end_half(self.transport)
        self.far.shutdown(socket.SHUT_WR)
        near, asked = self.transport.socket, []
        self.transport.socket = SimpleNamespace(shutdown=asked.append, close=near.close)
        close_ended(self.transport)
        self.assertEqual((asked, near.fileno(), self.transport.connected), ([], -1, 0))

    def test_close_whole(self) -> None:
        """The peer sees the end at once, or behind what waits, the protocol that it is over."""
        self.far.shutdown(socket.SHUT_WR)
        self.transport.write(b"first")
        close_whole(self.transport)
        self.assertTrue(self.transport.connected)
        self.transport.doWrite()
        self.assertEqual((self.far.recv(9), self.far.recv(9)), (b"first", b""))
        self.setUp()
        told: list[Any] = []
        self.transport.protocol.connectionLost = told.append
        close_whole(self.transport)
        self.assertEqual((self.far.recv(9), self.transport.connected), (b"", 0))
        (reason,) = told
        self.assertIs(reason.type, ConnectionDone)

    def test_others(self) -> None:
        """Other transports write and end as they do."""
        told: list[str] = []
        transport: Any = SimpleNamespace(
            loseWriteConnection=lambda: told.append("half"),
            loseConnection=lambda: told.append("all"),
        )
        end_half(transport)
        close_whole(transport)
        close_ended(transport)
        self.assertEqual(told, ["half", "half", "all"])
        other = StringTransport()
        eager(other)(b"hello")
        self.assertEqual(other.value(), b"hello")
