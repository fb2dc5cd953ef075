"""Connections by TCP to an address."""

import contextlib
import errno
import os
import socket
from typing import Any
from unittest import mock

from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,  # noqa: A004 - Twisted's
    NoProtocol,
    NoRouteError,
    TimeoutError,  # noqa: A004 - likewise
)
from twisted.internet.interfaces import IStreamClientEndpoint, IWriteDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from lab.adapters import connecting as module
from lab.adapters.connecting import AddressEndpoint
from lab.adapters.lean import LeanConnection

reactor: Any = real_reactor


class Making(Factory):
    """
    Counts how often it was begun and ended.

    Args:
        protocol: What it makes, or what it raises, or None.
    """

    noisy = False

    def __init__(self, made: Any) -> None:
        self.made, self.starts = made, 0

    def buildProtocol(self, addr: Any) -> Any:
        """Make it."""
        self.addr = addr
        if isinstance(self.made, Exception):
            raise self.made
        return self.made

    def doStart(self) -> None:
        """One more."""
        self.starts += 1

    def doStop(self) -> None:
        """One less."""
        self.starts -= 1


class Greeting(Protocol):
    """Says when it is over."""

    transport: Any

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()
        self.got: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        self.got.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        """Say it."""
        self.over.callback(None)


class Failing(Greeting):
    """Makes a mistake as soon as it is connected."""

    def connectionMade(self) -> None:
        """Make it."""
        raise ZeroDivisionError


class Later(socket.socket):
    """A socket that is slow to be connected."""

    asked = False

    def connect_ex(self, address: Any) -> int:
        """Begin, and say nothing of what came of it."""
        if not self.asked:
            self.asked = True
            super().connect_ex(address)
        return errno.EINPROGRESS


class Never(socket.socket):
    """A socket whose peer does not answer."""

    def connect_ex(self, address: Any) -> int:
        """Wait."""
        return errno.EINPROGRESS


class Unreachable(socket.socket):
    """A socket on a machine that has no way there."""

    def connect_ex(self, address: Any) -> int:
        """Say so."""
        return errno.ENETUNREACH


class Watching(Clock):
    """A reactor on which nothing happens by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        if writer in self.writers:
            self.writers.remove(writer)

    removeReader = removeWriter

    def addReader(self, reader: Any) -> None:
        """Nobody reads here."""


class WaitingTests(SynchronousTestCase):
    """Attempts that take time, or come to nothing."""

    def begin(self, factory: Making) -> tuple[Watching, "Deferred[Any]"]:
        """An attempt that does not end by itself."""
        clock = Watching()
        with mock.patch.object(module, "SocketType", Never):
            connecting = AddressEndpoint(clock, "127.0.0.1", 9, timeout=3).connect(factory)
        self.assertNoResult(connecting)
        self.assertEqual(factory.starts, 1)
        return clock, connecting

    def over(self, clock: Watching, attempt: Any, factory: Making) -> None:
        """Nothing is left of it."""
        self.assertEqual((clock.writers, clock.getDelayedCalls(), factory.starts), ([], [], 0))
        self.assertEqual(attempt.fileno(), -1)
        attempt.doWrite()  # what a reactor may still have had to tell

    def test_timeout(self) -> None:
        """It takes so long at most."""
        factory = Making(Greeting())
        clock, connecting = self.begin(factory)
        (attempt,) = clock.writers
        verifyObject(IWriteDescriptor, attempt)
        self.assertGreater(attempt.fileno(), -1)
        self.assertEqual(attempt.logPrefix(), "_Attempt")
        clock.advance(2.9)
        self.assertNoResult(connecting)
        clock.advance(0.1)
        self.failureResultOf(connecting, TimeoutError)
        self.over(clock, attempt, factory)

    def test_cancelled(self) -> None:
        """Whoever has asked may give it up."""
        factory = Making(Greeting())
        clock, connecting = self.begin(factory)
        (attempt,) = clock.writers
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.over(clock, attempt, factory)

    def test_no_socket(self) -> None:
        """Without a descriptor there is an error that says so."""
        factory = Making(Greeting())
        with mock.patch.object(module, "SocketType", side_effect=OSError(errno.EMFILE, "too many")):
            connecting = AddressEndpoint(Watching(), "127.0.0.1", 9).connect(factory)
        failure = self.failureResultOf(connecting, ConnectBindError)
        self.assertIn("too many", str(failure.value))
        self.assertEqual(factory.starts, 0)

    def test_no_way(self) -> None:
        """What the system says at once is told at once."""
        with mock.patch.object(module, "SocketType", Unreachable):
            connecting = AddressEndpoint(Watching(), "127.0.0.1", 9).connect(Making(None))
        failure = self.failureResultOf(connecting, NoRouteError, ConnectError)
        self.assertEqual(failure.value.osError, errno.ENETUNREACH)

    def test_eager(self) -> None:
        """They are, and know the outbox of their reactor."""
        outboxes: list[list[Any] | None] = [None, []]
        for outbox in outboxes:
            clock = Watching()
            if outbox is not None:
                clock.outbox = outbox  # type: ignore[attr-defined]
            with socket.create_server(("127.0.0.1", 0)) as server:
                where = server.getsockname()
                protocol = Greeting()
                AddressEndpoint(clock, *where).connect(Making(protocol))
            self.assertIsInstance(protocol.transport, LeanConnection)
            self.assertIs(protocol.transport._outbox, outbox)
            protocol.transport.abortConnection()
            clock.advance(0)
            self.assertTrue(protocol.over.called)


class SocketTests(TestCase):
    """On the reactor of this process, whichever it is."""

    timeout = 20

    async def listen(self, interface: str = "127.0.0.1") -> Any:
        """A server that greets."""

        class Server(Protocol):
            """Says hello, and closes."""

            transport: Any

            def connectionMade(self) -> None:
                """Do so."""
                self.transport.write(b"hello")
                self.transport.loseConnection()

        factory = Factory.forProtocol(Server)
        port = reactor.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        return port

    async def check(self, host: str, kind: Any) -> None:
        """Connect, and be greeted."""
        port = await self.listen(host)
        protocol, number = Greeting(), port.getHost().port
        factory = Making(protocol)
        endpoint = AddressEndpoint(reactor, host, number)
        verifyObject(IStreamClientEndpoint, endpoint)
        self.assertIs(await endpoint.connect(factory), protocol)
        transport = protocol.transport
        expected = kind("TCP", host, number)
        self.assertEqual((transport.getPeer(), factory.addr), (expected, expected))
        self.assertEqual(transport.getHost().host, host)
        self.assertEqual(transport.logPrefix(), "Greeting,client")
        self.assertIn(transport.logPrefix(), repr(transport))
        self.assertEqual((await protocol.got, factory.starts), (b"hello", 1))
        await protocol.over
        await deferLater(reactor, 0)
        self.assertEqual(factory.starts, 0)
        transport.connectionLost(None)
        self.assertEqual(factory.starts, 0)

    async def test_connects(self) -> None:
        """At once within a machine, and in the reactor's time where it is slow."""
        await self.check("127.0.0.1", IPv4Address)
        with mock.patch.object(module, "SocketType", Later):
            await self.check("127.0.0.1", IPv4Address)

    async def test_ipv6(self) -> None:
        """With IPv6, where there is such a thing."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            await self.check("::1", IPv6Address)
        self.assertEqual(AddressEndpoint(reactor, "::1", 9).address, ("::1", 9, 0, 0))

    async def test_at_once(self) -> None:
        """Within a machine there is a connection when `connect` returns."""
        port = await self.listen()
        protocol = Greeting()
        done = AddressEndpoint(reactor, "127.0.0.1", port.getHost().port).connect(Making(protocol))
        self.assertIs(self.successResultOf(done), protocol)
        await protocol.over

    async def test_begin(self) -> None:
        """Who does without a Deferred has the protocol at once, or one if it takes time."""
        port = await self.listen()
        endpoint = AddressEndpoint(reactor, "127.0.0.1", port.getHost().port)
        for kind in (socket.socket, Later):
            protocol = Greeting()
            with mock.patch.object(module, "SocketType", kind):
                made = endpoint.begin(Making(protocol))
            self.assertIsInstance(made, Greeting if kind is socket.socket else Deferred)
            self.assertIs(await maybeDeferred(lambda found=made: found), protocol)
            self.assertEqual(protocol.transport.getHandle().gettimeout(), 0)
            await protocol.over
            self.patch(module, "_KIND", socket.SOCK_STREAM)  # as where there is no other
        with self.assertRaises(NoProtocol):
            endpoint.begin(Making(None))

    async def test_dial(self) -> None:
        """Who wants no more than a socket has that, and may have a protocol on it later."""
        port = await self.listen()
        endpoint = AddressEndpoint(reactor, "127.0.0.1", port.getHost().port)
        for kind in (socket.socket, Later):
            with mock.patch.object(module, "SocketType", kind):
                dialed = endpoint.dial()
            self.assertEqual(dialed.connected, kind is socket.socket)
            protocol = Greeting()
            made = await maybeDeferred(dialed.begin, Making(protocol))
            self.assertIs(made, protocol)
            self.assertIs(protocol.transport.getHandle(), dialed.socket)
            self.assertEqual(await protocol.got, b"hello")
            await protocol.over

    async def test_refused(self) -> None:
        """Nobody listens: the same error, at once or later."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            for kind in (socket.socket, Later):
                factory = Making(Greeting())
                with mock.patch.object(module, "SocketType", kind):
                    endpoint = AddressEndpoint(reactor, *probe.getsockname())
                    done = endpoint.connect(factory)
                with self.assertRaises(ConnectionRefusedError) as caught:
                    await done
                self.assertEqual(caught.exception.osError, errno.ECONNREFUSED)
                self.assertIn(os.strerror(errno.ECONNREFUSED), str(caught.exception))
                self.assertEqual(factory.starts, 0)

    async def test_mistakes(self) -> None:
        """A factory that makes none, or fails, and a protocol that does: who asked is told."""
        port = await self.listen()
        for made, expected in (
            (None, NoProtocol),
            (KeyError("x"), KeyError),
            (Failing(), ZeroDivisionError),
        ):
            factory = Making(made)
            endpoint = AddressEndpoint(reactor, "127.0.0.1", port.getHost().port)
            with self.assertRaises(expected):
                await endpoint.connect(factory)
            if isinstance(made, Failing):
                gone: Deferred[None] = Deferred()
                made.over = gone
                await gone
                await deferLater(reactor, 0)
            self.assertEqual(factory.starts, 0)
