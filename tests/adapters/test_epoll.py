"""Tests of the reactor with less work for each event; Twisted's own are in `tests.pytest_only`."""

import errno
import importlib
import socket
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet import main
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.logger import LogEvent
from twisted.python import context, log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters import epoll
from lab.adapters.eager import EagerClient, EagerConnection, EagerServer
from lab.adapters.epoll import LabReactor
from lab.adapters.udp import DatagramPort
from tests.adapters.ports import Noting
from tests.helpers import captured_logs


class Reading(FileDescriptor):
    """Reads from one end of a pair of sockets, and does what a test says."""

    def __init__(
        self, reactor: Any, do: Callable[["Reading"], Any], prefix: Any = "reading"
    ) -> None:
        super().__init__(reactor)
        self.ours, self.peer = socket.socketpair()
        self.fileno = self.ours.fileno  # type: ignore[method-assign]
        self._do, self._prefix = do, prefix
        self.reasons: list[str] = []
        self.peer.send(b"x")
        self.startReading()

    def logPrefix(self) -> str:
        """What Twisted asks for."""
        if isinstance(self._prefix, Exception):
            raise self._prefix
        return str(self._prefix)

    def doRead(self) -> Any:
        """The event."""
        self.ours.recv(1)
        return self._do(self)

    def connectionLost(self, reason: Failure) -> None:
        """The end."""
        self.reasons.append(reason.type.__name__)
        super().connectionLost(reason)
        self.close()

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer's end."""
        self.connectionLost(reason)

    def close(self) -> None:
        """Leave nothing open."""
        if self.ours.fileno() != -1:
            self.stopReading()
            self.stopWriting()
        self.ours.close()
        self.peer.close()


class NoSocket(EagerConnection):
    """A connection as far as the reactor sees it."""

    def __init__(self, reactor: Any) -> None:
        FileDescriptor.__init__(self, reactor)

    def connectionLost(self, reason: Failure) -> None:
        """See there."""
        FileDescriptor.connectionLost(self, reason)


class ReadingConnection(Reading, NoSocket):
    """The same as a connection that is eager, whose events go the shortest way."""


class ReactorCase(ReactorBuilder, SynchronousTestCase):
    """Tests that have a reactor of their own."""

    reactorFactory = LabReactor
    kind: type[Reading] = Reading

    def setUp(self) -> None:
        """A reactor."""
        super().setUp()
        self.reactor: Any = self.buildReactor()

    def reading(self, do: Callable[[Reading], Any], prefix: Any = "reading") -> Reading:
        """Something to read that is closed after the test."""
        made = self.kind(self.reactor, do, prefix)
        self.addCleanup(made.close)
        return made

    def events(self) -> list[LogEvent]:
        """Handle what is there now; returns what is logged."""
        with captured_logs() as logged:
            self.reactor.doIteration(0)
        return logged


class EventTests(ReactorCase):
    """What is done with one event."""

    def test_system(self) -> None:
        """Whoever logs is known by its prefix, as with Twisted's own."""
        self.reading(lambda one: log.msg("hello"), "first")
        self.reading(lambda one: log.msg("hello"), "second")
        systems = [event["log_system"] for event in self.events()]
        self.assertEqual(sorted(systems), ["first", "second"])

    def test_more_context(self) -> None:
        """What was known before the reactor ran is known still; other contexts go through."""
        seen: list[Any] = []
        self.reading(lambda one: seen.append((context.get(log.ILogContext), context.get("other"))))
        log.callWithContext({"run": 7}, context.call, {"other": 8}, self.events)
        self.assertEqual(seen, [({"system": "reading", "run": 7}, 8)])

    def test_contexts_of_turns(self) -> None:
        """Each turn has the context that it is run in, whatever was before."""
        seen: list[Any] = []
        one = self.reading(lambda one: seen.append(context.get(log.ILogContext)))
        for run in (None, 7, None, None, 8):
            one.peer.send(b"x")
            known = {} if run is None else {"run": run}
            log.callWithContext(known, self.events) if known else self.events()
        self.assertEqual([each.get("run") for each in seen], [None, 7, None, None, 8])

    def test_in_threads(self) -> None:
        """A thread that an event starts takes its own event's context along."""
        kept: list[Any] = []

        def keep(one: Reading) -> None:
            contexts = context.theContextTracker.currentContext().contexts
            kept.append(contexts[-1])

        self.reading(keep, "first")
        self.reading(keep, "second")
        self.events()
        systems = {context.call(each, context.get, log.ILogContext)["system"] for each in kept}
        self.assertEqual(systems, {"first", "second"})

    def test_context_ends(self) -> None:
        """Outside events there is none."""
        self.reading(lambda one: None)
        self.events()
        self.assertEqual(context.get(log.ILogContext), {"system": "-"})

    def test_bad_prefix(self) -> None:
        """A prefix that can't be had is an error, and the message is there all the same."""
        self.reading(lambda one: log.msg("hello"), ValueError("no prefix"))
        logged = self.events()
        self.assertEqual(
            [event["log_system"] for event in logged], ["(buggy logPrefix method)"] * 2
        )
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_mistake(self) -> None:
        """A mistake is logged under its prefix, and disconnects the one that made it, no other."""
        bad = self.reading(lambda one: 1 / 0, "bad")
        done: list[int] = []
        self.reading(lambda one: done.append(1))
        (logged,) = self.events()
        self.assertEqual(
            (logged["log_system"], bad.reasons, done), ("bad", ["ZeroDivisionError"], [1])
        )
        self.flushLoggedErrors(ZeroDivisionError)

    def test_mistake_when_lost(self) -> None:
        """So it is for a mistake in what is told to whoever is disconnected."""
        bad = self.reading(lambda one: main.CONNECTION_LOST, "bad")
        bad.connectionLost = lambda reason: 1 / 0  # type: ignore[assignment,method-assign]
        (logged,) = self.events()
        self.assertEqual(logged["log_system"], "bad")
        self.flushLoggedErrors(ZeroDivisionError)

    def test_interrupted(self) -> None:
        """Ctrl-C there is for the main loop."""
        bad = self.reading(lambda one: main.CONNECTION_LOST)

        def interrupt(reason: Failure) -> None:
            raise KeyboardInterrupt

        bad.connectionLost = interrupt  # type: ignore[assignment,method-assign]
        self.assertRaises(KeyboardInterrupt, self.reactor.doIteration, 0)

    def test_no_descriptor(self) -> None:
        """Who has none any more is disconnected."""
        one = self.reading(lambda one: main.CONNECTION_LOST)
        numbers = iter([-1])
        fileno = one.fileno
        one.fileno = lambda: next(numbers, fileno())  # type: ignore[method-assign]
        self.events()
        self.assertEqual(one.reasons, ["ConnectionFdescWentAway"])

    def test_peer_ended(self) -> None:
        """Half-close is told as such."""
        one = self.reading(lambda one: main.CONNECTION_DONE)
        self.events()
        self.assertEqual(one.reasons, ["ConnectionDone"])

    def test_hung_up(self) -> None:
        """What a peer has sent that is gone is read by the short way, too."""
        self.patch(self.reactor, "_doReadOrWrite", lambda *_: self.fail("that is the long way"))
        reading = self.reading(lambda _: main.CONNECTION_DONE)
        reading.peer.close()
        self.assertEqual(self.events(), [])
        self.assertEqual(reading.reasons, ["ConnectionDone"])

    def test_sends_behind_each_event(self) -> None:
        """What an event has given any connection to send goes out before the next event."""
        order: list[str] = []

        class Connection:
            def flush(self) -> None:
                order.append("flush")

        def write(one: Reading) -> None:
            order.append("event")
            self.reactor.outbox.append(Connection())

        self.reading(write)
        self.reading(write)
        self.events()
        self.assertEqual(order, ["event", "flush"] * 2)

    def test_removed_before_its_turn(self) -> None:
        """Who is removed in an event has none of that round any more."""
        both: list[Reading] = []
        done: list[Reading] = []

        def first(one: Reading) -> None:
            done.append(one)
            for other in both:
                other.stopReading()

        both += [self.reading(first), self.reading(first)]
        self.events()
        self.assertEqual(len(done), 1)

    def test_writing(self) -> None:
        """Other events go Twisted's way."""
        one = self.reading(lambda one: None)
        one.doWrite = one.stopWriting  # type: ignore[method-assign]
        one.startWriting()
        self.events()
        self.assertEqual(self.reactor.getWriters(), [])


class ConnectionEventTests(EventTests):
    """The same of connections that are eager."""

    kind = ReadingConnection


class LoopTests(ReactorCase):
    """The main loop."""

    def test_calls(self) -> None:
        """Calls come when they are due, also those of threads, until it is stopped."""
        done: list[str] = []
        self.reactor.callLater(0.001, done.append, "later")
        self.reactor.callLater(1000, done.append, "never").cancel()
        self.reactor.callWhenRunning(self.reactor.callFromThread, done.append, "thread")
        self.reactor.callLater(0.002, self.reactor.stop)
        with captured_logs() as logged:
            self.runReactor(self.reactor)
        self.assertEqual(done, ["thread", "later"])
        self.assertIn("Main loop terminated.", [event.get("log_format") for event in logged])

    def test_mistakes(self) -> None:
        """A mistake of the loop itself does not end it."""

        def bad(timeout: float | None) -> None:
            del self.reactor.doIteration
            self.reactor.callLater(0, self.reactor.stop)
            raise ZeroDivisionError

        self.reactor.doIteration = bad
        self.runReactor(self.reactor)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_waits(self) -> None:
        """It waits until the next call; without any, for ever."""
        waits: list[Any] = []
        self.reactor.running = True
        self.reactor.doIteration = waits.append
        self.reactor._turn()
        call = self.reactor.callLater(1e9, list)
        self.reactor._turn()
        self.reactor._turn()
        call.cancel()
        self.assertEqual(waits, [None, epoll.LONGEST, epoll.LONGEST])


class ConnectionTests(ReactorCase):
    """What connections it makes."""

    def run_pair(self, listen: Callable[[Factory], Any]) -> list[str]:
        """Connect, say hello from outside an event, answer; the kinds of both ends."""
        kinds: list[str] = []
        reactor = self.reactor

        class Server(Protocol):
            def dataReceived(self, data: bytes) -> None:
                kinds.append(type(self.transport).__name__)
                self.transport.write(data)

        class Client(Protocol):
            def connectionMade(self) -> None:
                reactor.callLater(0, self.transport.write, b"hello")

            def dataReceived(self, data: bytes) -> None:
                kinds.append(type(self.transport).__name__)
                self.transport.loseConnection()

            def connectionLost(self, reason: Failure = ...) -> None:
                reactor.stop()

        port = listen(Factory.forProtocol(Server))
        reactor.connectTCP("127.0.0.1", port.getHost().port, ClientFactory.forProtocol(Client))
        self.runReactor(reactor)
        return kinds

    def test_eager(self) -> None:
        """Both ends are eager."""
        kinds = self.run_pair(lambda f: self.reactor.listenTCP(0, f, interface="127.0.0.1"))
        self.assertEqual(kinds, [EagerServer.__name__, EagerClient.__name__])

    def test_adopted_port(self) -> None:
        """So they are at a port that somebody else has opened."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            kinds = self.run_pair(
                lambda f: self.reactor.adoptStreamPort(listening.fileno(), socket.AF_INET, f)
            )
        self.assertEqual(kinds, [EagerServer.__name__, EagerClient.__name__])

    def test_adopted_connection(self) -> None:
        """A connection that is taken over is eager; one of a Unix socket is Twisted's."""
        made = [Protocol(), Protocol()]
        factory = Factory.forProtocol(iter(made).__next__)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname())
            peer, _ = listening.accept()
        for one, other in ((ours, peer), socket.socketpair()):
            one.setblocking(False)
            self.reactor.adoptStreamConnection(one.fileno(), one.family, factory)
            one.close()
            other.close()
        kinds = [type(protocol.transport).__name__ for protocol in made]
        self.assertEqual(kinds, [EagerServer.__name__, "Server"])
        for protocol in made:
            protocol.transport.connectionLost(Failure(main.CONNECTION_DONE))

    def test_unix_port(self) -> None:
        """A Unix socket is listened at as Twisted does."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("")  # the system finds a name
            listening.listen()
            listening.setblocking(False)
            port = self.reactor.adoptStreamPort(
                listening.fileno(), socket.AF_UNIX, Factory.forProtocol(Protocol)
            )
        self.assertEqual(type(port).__module__, "twisted.internet.unix")
        port.connectionLost(Failure(main.CONNECTION_DONE))


class DatagramTests(ReactorCase):
    """UDP ports on this reactor."""

    def hears(self, port: Any) -> None:
        """It is ours, hears what is sent to it, and has what finds no room wait."""
        self.assertIsInstance(port, DatagramPort)
        place = port.getHost().host, port.getHost().port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.sendto(b"hello", place)
            self.reactor.doIteration(0)
            self.assertEqual(port.protocol.seen, [(b"hello", peer.getsockname())])
            with patch.object(port, "socket") as full:
                full.sendto.side_effect = BlockingIOError(errno.EAGAIN, "no room")
                port.write(b"answer", peer.getsockname())
            self.reactor.doIteration(0)
            peer.settimeout(5)
            self.assertEqual(peer.recv(100), b"answer")
        port.connectionLost()

    def test_ours(self) -> None:
        """A port that is opened."""
        port = self.reactor.listenUDP(0, Noting(), "127.0.0.1", 500)
        self.assertEqual(port.maxPacketSize, 500)
        self.hears(port)

    def test_adopted(self) -> None:
        """One that was open already; of other families there is none, as with Twisted's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            ours.setblocking(False)
            adopt = self.reactor.adoptDatagramPort
            self.hears(adopt(ours.fileno(), socket.AF_INET, Noting(), 500))
            self.assertRaises(UnsupportedAddressFamily, adopt, ours.fileno(), 999, Noting())


class InstallTests(SynchronousTestCase):
    """How a program comes by it."""

    def test_install(self) -> None:
        """It is installed as others are."""
        with patch.object(main, "installReactor") as installed:
            epoll.install()
        ((reactor,), _) = installed.call_args
        self.assertIsInstance(reactor, LabReactor)
        for reader in reactor._internalReaders.copy():
            reactor.removeReader(reader)
            reader.connectionLost(Failure(main.CONNECTION_DONE))
        reactor._poller.close()

    def test_no_epoll(self) -> None:
        """Elsewhere it says in a line what to do."""
        with patch.dict(sys.modules, {"twisted.internet.epollreactor": None}):
            error = self.assertRaises(ImportError, importlib.reload, epoll)
        self.assertEqual(
            str(error),
            "the reactor `lab` needs epoll, which this system does not have; "
            "leave --reactor=lab out",
        )
