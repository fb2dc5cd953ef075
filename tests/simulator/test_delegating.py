"""The reactor that stands for that of the host whose code is running."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorAlreadyInstalledError, ReactorNotRunning
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
)
from twisted.internet.main import installReactor
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.internet.threads import deferToThread
from twisted.protocols.policies import TimeoutMixin
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.errors import LabError
from lab.simulator.delegating import DelegatingReactor, install
from lab.simulator.fence import EscapeError
from lab.simulator.network import Network, simulate
from tests.helpers import without_reactor


class Impatient(Protocol, TimeoutMixin):
    """Closes after five seconds of the global reactor."""

    def connectionMade(self) -> None:
        """Begin to wait."""
        self.setTimeout(5)


class Notes(Protocol):
    """Notes what comes, and when the connection ends."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.seen: list[Any] = []

    def connectionMade(self) -> None:
        """Say something."""
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        """Note it, and answer."""
        self.seen.append(data)
        self.transport.write(data)

    def connectionLost(self, reason: object = None) -> None:
        """Note when."""
        self.seen.append(round(self.net.now, 1))


class Echo(Protocol):
    """Says it back."""

    def dataReceived(self, data: bytes) -> None:
        """Say it."""
        self.transport.write(data)
        self.transport.loseConnection()


class Places:
    """Factories and protocols that note on which host each of their methods runs."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.seen: list[tuple[str, str]] = []

    def note(self, what: str) -> None:
        """Note where that is."""
        self.seen.append((what, self.net.current.name if self.net.current else "nobody"))

    def noting(self, kind: Any, *names: str) -> Any:
        """A class whose methods note where they run."""

        def method(name: str) -> Any:
            """One of them."""

            def run(instance: Any, *arguments: Any) -> Any:
                """Note it, and do what the class does."""
                self.note(name)
                return getattr(kind, name)(instance, *arguments)

            return run

        return type("Noting", (kind,), {name: method(name) for name in names})


class CurrentTests(SynchronousTestCase):
    """All code of a host runs as that host's."""

    def setUp(self) -> None:
        """A network, and somebody who notes."""
        self.net = Network(7)
        self.places = Places(self.net)
        self.a, self.b = self.net.host("a"), self.net.host("b")

    def check(self, host: str, *names: str) -> None:
        """All of these ran, and wherever they ran it was that host."""
        self.assertEqual({name for name, _ in self.places.seen}, set(names))
        self.assertEqual({where for _, where in self.places.seen}, {host})
        self.assertIsNone(self.net.current)
        self.places.seen.clear()

    def client(self) -> Any:
        """A client's factory that notes."""
        names = ("doStart", "startedConnecting", "buildProtocol", "doStop")
        kind = self.places.noting(
            ClientFactory, *names, "clientConnectionFailed", "clientConnectionLost"
        )
        factory = kind()
        factory.protocol = Protocol
        return factory

    def test_server(self) -> None:
        """Of a server, each method of factory and protocol."""
        factory = self.places.noting(Factory, "doStart", "buildProtocol", "doStop")()
        factory.protocol = self.places.noting(Protocol, "connectionMade", "connectionLost")
        port = self.a.reactor.listenTCP(80, factory)
        client = ClientFactory()
        client.protocol = Protocol
        connector = self.b.reactor.connectTCP("a", 80, client)
        self.net.run(1)
        connector.disconnect()
        self.net.run(1)
        port.stopListening()
        self.check("a", "doStart", "buildProtocol", "connectionMade", "connectionLost", "doStop")

    def test_client(self) -> None:
        """Of a client, each method of its factory."""
        factory = Factory()
        factory.protocol = Echo
        self.a.reactor.listenTCP(80, factory)
        connector = self.b.reactor.connectTCP("a", 80, self.client())
        self.net.run(1)
        connector.disconnect()
        self.net.run(1)
        begun = ("doStart", "startedConnecting")
        self.check("b", *begun, "buildProtocol", "clientConnectionLost", "doStop")
        for name in ("a", "nowhere"):
            self.b.reactor.connectTCP(name, 81, self.client())
            self.net.run(1)
            self.check("b", *begun, "clientConnectionFailed", "doStop")

    def test_datagrams(self) -> None:
        """Of a UDP port."""
        kind = self.places.noting(DatagramProtocol, "startProtocol", "stopProtocol")
        self.a.reactor.listenUDP(53, kind()).stopListening()
        self.check("a", "startProtocol", "stopProtocol")

    def test_reactor(self) -> None:
        """Timers, triggers, what is called when it runs, and look-ups of names."""
        note = self.places.note
        reactor = self.a.reactor
        reactor.callWhenRunning(note, "running")
        reactor.callLater(1, note, "timer")
        reactor.addSystemEventTrigger("before", "shutdown", note, "trigger")
        self.net.at(2, reactor.stop)

        class Receiver:
            """Notes where it is told."""

            resolutionBegan = addressResolved = staticmethod(lambda _: note("name"))
            resolutionComplete = staticmethod(lambda: note("name"))

        receiver: Any = Receiver()
        reactor.nameResolver.resolveHostName(receiver, "b")
        self.net.run(3)
        self.check("a", "running", "timer", "trigger", "name")

    def test_service(self) -> None:
        """A service, at its start and at its restart."""
        self.a.start(lambda reactor, disk: self.places.note("service"))
        self.check("a", "service")
        self.a.restart()
        self.check("a", "service")


class DelegatingTests(SynchronousTestCase):
    """Which host's reactor it is."""

    def setUp(self) -> None:
        """A network, and the reactor."""
        self.net = Network(7)
        self.reactor: Any = DelegatingReactor(self.net)

    def test_interfaces(self) -> None:
        """It provides what the reactor of a host does, and nothing that is not there."""
        for interface in (IReactorTime, IReactorCore, IReactorTCP, IReactorUDP):
            verifyObject(interface, self.reactor)
        self.assertFalse(IReactorThreads.providedBy(self.reactor))

    def test_late(self) -> None:
        """What was stored at some time means whoever calls it later."""
        later, seen = self.reactor.callLater, []
        self.assertEqual(later.__name__, "callLater")
        self.net.host("a").start(lambda reactor, disk: later(1, seen.append, "a"))
        later(1, seen.append, "main")
        for name in ("a", "main"):
            self.assertEqual(len(self.net.host(name).calls), 1)
        self.net.host("a").crash()
        self.net.run(2)
        self.assertEqual(seen, ["main"])

    def test_plain_values(self) -> None:
        """What is no method is that of the host, too; what is not there is not here either."""
        a = self.net.host("a")
        self.assertIs(a.within(lambda: self.reactor.nameResolver), a.reactor.nameResolver)
        self.assertRaises(AttributeError, lambda: self.reactor.nonsense)

    def test_within_another_simulation(self) -> None:
        """In a simulation of its own, code is on hosts of that one."""
        with simulate(3) as net:
            self.assertTrue(self.reactor.running)
            self.reactor.callLater(5, list)
            net.run(1)
            self.assertEqual(self.reactor.seconds(), 1)
            self.assertEqual(list(net.hosts), ["main"])
        self.assertEqual(list(self.net.hosts), [])

    def test_what_no_host_has(self) -> None:
        """Threads and processes are refused, with the place."""
        error = self.assertRaises(EscapeError, lambda: self.reactor.callInThread(list))
        self.assertIn("test_delegating.py:", str(error))
        self.assertIn(" calls callInThread() in a simulation", str(error))


class RunTests(SynchronousTestCase):
    """``reactor.run()``, as in a program."""

    def setUp(self) -> None:
        """A network, and the reactor."""
        self.net = Network(7)
        self.reactor: Any = DelegatingReactor(self.net)
        self.seen: list[Any] = []

    def test_begin_and_end(self) -> None:
        """What waits for the start comes at the start; stop ends it after the triggers."""
        reactor = self.reactor
        reactor.callWhenRunning(lambda: self.seen.append(("starts", reactor.running)))
        reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 3)
        reactor.addSystemEventTrigger("after", "shutdown", self.seen.append, "stopped")
        self.assertFalse(reactor.running)
        self.assertRaises(ReactorNotRunning, reactor.stop)
        reactor.callLater(1, reactor.callWhenRunning, self.seen.append, "at once")
        reactor.callLater(2, reactor.stop)
        reactor.callLater(60, self.seen.append, "too late")
        reactor.run()
        self.assertEqual(self.seen, [("starts", True), "at once", "stopped"])
        self.assertEqual(self.net.now, 5)
        self.assertFalse(reactor.running)
        self.assertRaises(ReactorNotRunning, reactor.stop)
        self.assertRaises(EscapeError, reactor.run)

    def test_nothing_more(self) -> None:
        """It ends when nothing more will happen, on any host."""
        self.net.host("a").reactor.callLater(7, list)
        self.reactor.run()
        self.assertEqual(self.net.now, 7)

    def test_limit(self) -> None:
        """It ends after its time."""
        reactor: Any = DelegatingReactor(self.net, 10)

        def again() -> None:
            """Go on for ever."""
            self.seen.append(self.net.now)
            reactor.callLater(4, again)

        again()
        reactor.run()
        self.assertEqual(self.seen, [0, 4, 8])

    def test_crash(self) -> None:
        """A crash of the host of the script ends it at once."""
        self.reactor.addSystemEventTrigger("before", "shutdown", self.seen.append, "stopped")
        self.reactor.callLater(1, self.reactor.crash)
        self.reactor.run()
        self.assertEqual((self.net.now, self.seen), (1, []))

    def test_not_of_a_host(self) -> None:
        """Another host's code may not run it all."""
        self.net.host("a").reactor.callLater(1, self.reactor.run)
        self.net.kernel.run(2)
        self.assertIn("reactor.run() is called in a simulation", self.net.failures[0])
        self.assertEqual(len(self.flushLoggedErrors(EscapeError)), 1)

    def test_failing_trigger(self) -> None:
        """A trigger that fails is told of, and the others have their turn."""
        reactor = self.reactor
        reactor.addSystemEventTrigger("before", "shutdown", lambda: 1 / 0)
        reactor.addSystemEventTrigger("before", "shutdown", self.seen.append, "next")
        reactor.callLater(1, reactor.stop)
        reactor.run()
        self.assertEqual(self.seen, ["next"])
        self.assertIn("main: ZeroDivisionError", self.net.failures[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class InstalledTests(SynchronousTestCase):
    """Code of Twisted's that cannot take a reactor, with the delegating one installed."""

    def setUp(self) -> None:
        """Install one."""
        without_reactor(self)
        self.net = Network(7)
        self.reactor: Any = install(self.net)
        self.a, self.b = self.net.host("a"), self.net.host("b")

    def test_only_one(self) -> None:
        """There is no place for another; neither for the real one."""
        error = self.assertRaises(LabError, install, self.net)
        self.assertIn("a reactor is installed already", str(error))
        self.assertRaises(ReactorAlreadyInstalledError, installReactor, object())

    def test_is_fenced_by_nothing(self) -> None:
        """A simulation lets it be: it is one itself."""
        with simulate(3) as net:
            from twisted.internet import reactor

            later: Any = reactor
            later.callLater(1, list)
            self.assertEqual(len(net.host("main").calls), 1)

    def test_timeout_mixin(self) -> None:
        """Timeouts come on the virtual clock, of the host whose protocol it is."""
        self.a.reactor.listenTCP(80, Factory.forProtocol(Impatient))
        factory = ClientFactory()
        notes = Notes(self.net)
        factory.buildProtocol = lambda _: notes  # type: ignore[method-assign]
        self.b.reactor.connectTCP("a", 80, factory)
        self.net.run(3)
        self.assertEqual([len(self.a.calls), len(self.b.calls)], [1, 0])
        self.net.run(60)
        self.assertEqual(notes.seen, [5.0])

    def test_looping_call(self) -> None:
        """A looping call without a clock dies with the host that began it."""
        seen: list[float] = []
        self.a.start(lambda reactor, disk: LoopingCall(lambda: seen.append(self.net.now)).start(10))
        self.net.run(25)
        self.a.crash()
        self.net.run(25)
        self.assertEqual(seen, [0, 10, 20])

    def test_port_forwarding(self) -> None:
        """Twisted's own proxy connects by the global reactor."""
        self.a.reactor.listenTCP(80, Factory.forProtocol(Echo))
        proxy = self.net.host("proxy")
        proxy.reactor.listenTCP(80, ProxyFactory("a", 80))
        factory = ClientFactory()
        notes = Notes(self.net)
        factory.buildProtocol = lambda _: notes  # type: ignore[method-assign]
        self.b.reactor.connectTCP("proxy", 80, factory)
        self.net.run(60)
        self.assertEqual(notes.seen[0], b"hello")

    def test_threads(self) -> None:
        """Who wants a thread is told so, with the place in their own file."""
        error = self.assertRaises(EscapeError, lambda: deferToThread(list))
        self.assertIn("test_delegating.py:", str(error))
        self.assertIn(" calls getThreadPool() ", str(error))

    def test_react(self) -> None:
        """``task.react`` begins, ends, and gives the exit code."""
        seen: list[Any] = []

        async def main(reactor: Any) -> None:
            """Wait a little."""
            seen.append(reactor.running)
            await deferLater(reactor, 60)
            seen.append(reactor.seconds())

        self.assertEqual(self.assertRaises(SystemExit, react, main).code, 0)
        self.assertEqual(seen, [False, 60.0])

    def test_react_at_once(self) -> None:
        """A result that is there before it runs ends it as soon as it does."""

        def main(reactor: object) -> Deferred[None]:
            """Fail at once."""
            done: Deferred[None] = Deferred()
            done.errback(SystemExit(3))
            return done

        self.assertEqual(self.assertRaises(SystemExit, react, main).code, 3)
        self.assertEqual(self.net.now, 0)
