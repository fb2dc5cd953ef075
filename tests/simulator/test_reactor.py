"""The reactor of one host."""

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
    DNSLookupError,
    ReactorNotRunning,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorCore,
    IReactorFromThreads,
    IReactorMulticast,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
)
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.simulator.fence import EscapeError
from lab.simulator.network import Network


class ReactorCase(SynchronousTestCase):
    """A test case with a host."""

    def setUp(self) -> None:
        """A host, and what happened on it."""
        self.net = Network(7)
        self.host = self.net.host("here")
        self.reactor = self.host.reactor
        self.seen: list[tuple[float, object]] = []

    def note(self, what: object = None) -> None:
        """It happened."""
        self.seen.append((self.reactor.seconds(), what))


class TimeTests(ReactorCase):
    """Calls that are to come."""

    def test_call_later(self) -> None:
        """Calls come at their times, with what they were given; meanwhile the time is theirs."""
        self.reactor.callLater(2, self.note, "two")
        call = self.reactor.callLater(1, self.note, what="one")
        self.assertEqual((call.getTime(), call.active()), (1.0, True))
        self.net.run(5)
        self.assertEqual(self.seen, [(1.0, "one"), (2.0, "two")])
        self.assertFalse(call.active())
        self.assertEqual((self.reactor.seconds(), self.reactor.getDelayedCalls()), (5.0, []))

    def test_names(self) -> None:
        """What is called, in words: a function's name, or its class."""
        calls = [self.reactor.callLater(1, what) for what in (self.note, print, LoopingCall(print))]
        names = [call.name for call in calls]
        self.assertEqual(names, ["ReactorCase.note", "print", "LoopingCall"])

    def test_cancel(self) -> None:
        """A call that is cancelled does not come; it can't be cancelled again."""
        call = self.reactor.callLater(1, self.note)
        self.assertEqual(self.reactor.getDelayedCalls(), [call])
        call.cancel()
        self.net.run(5)
        self.assertEqual((self.seen, self.reactor.getDelayedCalls()), ([], []))
        self.assertRaises(AlreadyCancelled, call.cancel)

    def test_after_the_call(self) -> None:
        """What has come can't be moved."""
        call = self.reactor.callLater(1, self.note)
        self.net.run(1)
        for change in (call.cancel, lambda: call.delay(1), lambda: call.reset(1)):
            self.assertRaises(AlreadyCalled, change)

    def test_moved(self) -> None:
        """A call may be put off, or set anew."""
        call = self.reactor.callLater(1, self.note, "delay")
        other = self.reactor.callLater(1, self.note, "reset")
        self.net.run(0.5)
        call.delay(2)
        other.reset(0.25)
        self.net.run(9)
        self.assertEqual(self.seen, [(0.75, "reset"), (3.0, "delay")])

    def test_refused(self) -> None:
        """There is no past."""
        self.assertRaises(ValueError, self.reactor.callLater, -1, self.note)
        self.assertRaises(ValueError, self.reactor.callLater, float("nan"), self.note)

    def test_twisteds_own(self) -> None:
        """What Twisted builds on it works: a looping call of 400 rounds does not drift."""
        loop = LoopingCall(self.note)
        loop.clock = self.reactor
        loop.start(0.25)
        self.net.run(100)
        self.assertEqual(len(self.seen), 401)
        loop.stop()
        self.net.run_until(deferLater(self.reactor, 1.0, lambda: None))
        self.assertEqual(self.net.now, 101.0)

    def test_interfaces(self) -> None:
        """It is what Twisted's interfaces say."""
        for interface in (
            IReactorTime, IReactorCore, IReactorFromThreads, IReactorPluggableNameResolver,
            IReactorTCP, IReactorUDP, IReactorMulticast, IReactorUNIX,
        ):  # fmt: skip
            verifyObject(interface, self.reactor)
        verifyObject(IDelayedCall, self.reactor.callLater(1, self.note))


class CoreTests(ReactorCase):
    """The beginning and the end."""

    def test_running(self) -> None:
        """A host that is up is running; what comes from threads comes in the next turn."""
        self.reactor.callWhenRunning(self.note, "running")
        self.assertEqual(self.seen, [(0.0, "running")])
        self.reactor.callFromThread(self.note, "thread")
        self.assertEqual(len(self.seen), 1)
        self.net.run(0)
        self.assertEqual(self.seen[1:], [(0.0, "thread")])

    def test_shutdown(self) -> None:
        """At the end triggers are called in their phases; those before are waited for."""
        waiting: Deferred[None] = Deferred()

        def before() -> Deferred[None]:
            """Take a while."""
            self.note("before")
            return waiting

        add = self.reactor.addSystemEventTrigger
        add("after", "shutdown", self.note, "after")
        add("before", "shutdown", before)
        add("during", "shutdown", self.note, what="during")
        gone = add("before", "shutdown", self.note, "never")
        self.reactor.removeSystemEventTrigger(gone)
        self.reactor.stop()
        self.assertEqual([what for _, what in self.seen], ["before"])
        waiting.callback(None)
        self.assertEqual([what for _, what in self.seen], ["before", "during", "after"])
        self.assertFalse(self.reactor.running)
        self.assertRaises(ReactorNotRunning, self.reactor.stop)

    def test_failing_trigger(self) -> None:
        """A trigger that fails is told of, and the others have their turn."""
        net = Network(7)
        reactor, seen = net.host("a").reactor, list[str]()
        reactor.addSystemEventTrigger("before", "shutdown", lambda: 1 / 0)
        reactor.addSystemEventTrigger("before", "shutdown", seen.append, "next")
        reactor.stop()
        self.assertEqual((seen, reactor.stopped), (["next"], True))
        self.assertEqual(net.failures, ["a: ZeroDivisionError('division by zero')"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_crash(self) -> None:
        """A crash tells nobody."""
        self.reactor.addSystemEventTrigger("before", "shutdown", self.note)
        self.reactor.callLater(1, self.note)
        self.reactor.crash()
        self.net.run(5)
        self.assertEqual(self.seen, [])

    def test_transports(self) -> None:
        """What listens and connects is of the rooms of the transports."""
        address = self.reactor.listenMulticast(5000, DatagramProtocol()).getHost()
        self.assertEqual((address.type, address.port), ("UDP", 5000))
        port = self.reactor.listenUNIX("/run/lab", Factory())
        self.assertEqual(port.getHost(), UNIXAddress(b"/run/lab"))
        for path in ("/run/lab", b"/run/lab"):
            connector = self.reactor.connectUNIX(path, ClientFactory())
            self.assertEqual(connector.getDestination(), UNIXAddress(b"/run/lab"))

    def test_not_here(self) -> None:
        """What would run the reactor says who does."""
        self.assertIn("network", str(self.assertRaises(EscapeError, self.reactor.run)))
        self.assertRaises(EscapeError, self.reactor.iterate)


class PortsTests(ReactorCase):
    """What listens and connects."""

    def test_streams(self) -> None:
        """A connection to a port of one's own."""
        made: list[str] = []

        class Greets(Protocol):
            """Notes that it was connected."""

            def connectionMade(self) -> None:
                """Note it."""
                made.append(type(self.factory).__name__)

        class Client(ClientFactory):
            """The connecting side."""

            protocol = Greets

        port = self.reactor.listenTCP(0, Factory.forProtocol(Greets))
        self.reactor.connectTCP("localhost", port.getHost().port, Client(), timeout=5)
        self.net.run(1)
        self.assertEqual(sorted(made), ["Client", "Factory"])

    def test_datagrams(self) -> None:
        """A port for datagrams."""
        port = self.reactor.listenUDP(5000, DatagramProtocol(), interface="127.0.0.1")
        self.assertEqual(port.getHost().port, 5000)


class NamesTests(ReactorCase):
    """Hosts are found by their names."""

    def test_resolve(self) -> None:
        """By name, by address, and as localhost; others are not there."""
        there = self.net.host("there")
        for name, address in {
            "there": there.address, there.address: there.address,
            "localhost": self.host.address, "192.0.2.1": "192.0.2.1",
        }.items():  # fmt: skip
            self.assertEqual(self.successResultOf(self.reactor.resolve(name)), address)
        self.failureResultOf(self.reactor.resolve("nowhere"), DNSLookupError)

    def test_resolver(self) -> None:
        """The same by the newer interface; another resolver may take its place."""

        class Receiver:
            """Notes what is told."""

            def __init__(self) -> None:
                self.told: list[Any] = []

            def resolutionBegan(self, resolution: Any) -> None:
                """Note the name."""
                resolution.cancel()
                self.told.append(resolution.name)

            def addressResolved(self, address: Any) -> None:
                """Note it."""
                self.told.append((address.type, address.host, address.port))

            def resolutionComplete(self) -> None:
                """Note it."""
                self.told.append("complete")

        there = self.net.host("there")
        for name, told in {"there": [("UDP", there.address, 7)], "nowhere": []}.items():
            receiver: Any = Receiver()
            resolver = self.reactor.nameResolver
            resolver.resolveHostName(receiver, name, 7, transportSemantics="UDP")
            self.assertEqual(receiver.told, [name, *told, "complete"])
        other: Any = object()
        self.assertIs(self.reactor.installNameResolver(other), resolver)
        self.assertIs(self.reactor.nameResolver, other)
