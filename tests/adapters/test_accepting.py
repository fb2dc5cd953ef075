"""Ports that give sockets to their factories."""

import errno
import os
import socket
from typing import Any
from unittest import mock

from twisted.internet import reactor as real_reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase

from lab.adapters.accepting import Sockets, give_sockets

reactor: Any = real_reactor


class Taking(Factory):
    """Keeps what it takes; makes the mistakes that it is given."""

    noisy = False

    def __init__(self, *mistakes: Exception) -> None:
        self.taken: list[tuple[socket.SocketType, tuple[Any, ...], Any]] = []
        self.mistakes = [*mistakes]

    def take_socket(self, client: socket.SocketType, peer: tuple[Any, ...], port: Any) -> None:
        """One more."""
        self.taken.append((client, peer, port))
        if self.mistakes:
            raise self.mistakes.pop()


class Listener:
    """
    A socket that listens, as a test wants it.

    Args:
        found: What is accepted: a socket and an address, or an error.
    """

    family, type, proto = socket.AF_INET6, socket.SOCK_STREAM, 0

    def __init__(self, *found: Any) -> None:
        self.found = [*found]

    def _accept(self) -> Any:
        """The next."""
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class AcceptingTests(TestCase):
    """What becomes of those who connect."""

    timeout = 20

    def listen(self, factory: Taking, interface: str = "127.0.0.1") -> Any:
        """Listen until the test is over; the reactor asks only if the test lets it."""
        port = reactor.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [taken[0].close() for taken in factory.taken])
        give_sockets(port, factory)
        return port

    def connect(self, port: Any) -> socket.socket:
        """A client; it is connected when this returns."""
        made = socket.create_connection((port.interface, port.getHost().port), timeout=10)
        self.addCleanup(made.close)
        return made

    async def test_given(self) -> None:
        """By the reactor's own turn: a socket that is ready, from whom, and by which port."""
        for host in ("127.0.0.1", "::1"):
            factory = Taking()
            self.assertIsInstance(factory, Sockets)
            self.assertNotIsInstance(Factory(), Sockets)
            port = self.listen(factory, host)
            client = self.connect(port)
            while not factory.taken:
                await deferLater(reactor, 0)
            ((taken, peer, by),) = factory.taken
            self.assertEqual((peer, by), (client.getsockname(), port))
            self.assertEqual(taken.getpeername(), peer)
            self.assertEqual(taken.gettimeout(), 0)
            self.assertFalse(os.get_blocking(taken.fileno()))
            self.assertTrue(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_number(self) -> None:
        """As many at an event as Twisted takes: more where there were many, one where none."""
        factory = Taking()
        port = self.listen(factory)
        port.numberAccepts = 2
        for _ in range(3):
            self.connect(port)
        seen = []
        for _ in range(3):
            port.doRead()
            seen.append((len(factory.taken), port.numberAccepts))
        self.assertEqual(seen, [(2, 22), (3, 1), (3, 1)])

    def test_errors(self) -> None:
        """All but that there is nobody are Twisted's; a port that is closed has none."""
        port = self.listen(Taking())
        asked: list[Any] = []
        self.patch(Port, "doRead", asked.append)
        with mock.patch.object(port, "socket", Listener(*[OSError(errno.EMFILE, "many")] * 2)):
            port.doRead()
            self.assertEqual(asked, [port])
            with mock.patch.object(port, "connected", new=False):
                port.doRead()
        self.assertEqual(asked, [port])

    def test_mistakes(self) -> None:
        """Who makes one has it in the log; the next is taken all the same."""
        factory = Taking(ZeroDivisionError())
        port = self.listen(factory)
        for _ in range(2):
            self.connect(port)
            port.doRead()
        self.assertEqual(len(factory.taken), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_zone(self) -> None:
        """An address of IPv6 is told with the zone that it is of."""
        factory = Taking()
        port = self.listen(factory)
        name = socket.if_indextoname(1)
        there = socket.socket(socket.AF_INET6)
        found = there.detach(), ("fe80::1", 7, 0, 1)
        with mock.patch.object(port, "socket", Listener(found, BlockingIOError())):
            port.doRead()
        self.assertEqual(factory.taken[0][1], (f"fe80::1%{name}", 7, 0, 1))
