"""How a client comes to its connection or port."""

from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectBindError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as TwistedRefused
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.driver import Driver
from lab.adapters.routes import RESOLVING, DatagramRoute, StreamRoute
from lab.adapters.stream import LineCoreProtocol
from lab.backoff import Backoff
from lab.errors import ConnectionRefused, NoAnswer, Unreachable
from lab.rng import stream
from tests.adapters.stand_ins import DatagramStandIn, Port, StreamStandIn, to_next_timer

ONE, OTHER = ("192.0.2.1", 5000), ("192.0.2.1", 5001)
SCHEDULE = Backoff(first=0.1, cap=2.0)


class Core:
    """A core that says one word when it is told to."""

    def __init__(self) -> None:
        self.to_send: list[bytes] = []
        self.heard: list[bytes] = []

    def message(self, data: bytes, now: float) -> None:
        """Note it."""
        self.heard.append(data)

    def tick(self, now: float) -> None:
        """Nothing."""

    close = tick

    def outgoing(self) -> list[bytes]:
        """What is to be sent."""
        out, self.to_send = self.to_send, []
        return out

    def events(self) -> list[object]:
        """None."""
        return []

    def deadline(self) -> None:
        """Never."""


class StandInWay:
    """A way that waits for an answer until the test says otherwise."""

    def __init__(self, clock: Clock) -> None:
        self.core = Core()
        self.driver = Driver(self.core, clock)
        self.waiting, self.heard = 1, False
        #: Where it failed, or was closed.
        self.errors: list[Exception] = []

    def open(self) -> None:
        """Say something."""
        self.core.to_send.append(b"word")
        self.driver.settle()

    def closed(self, error: Unreachable) -> None:
        """Note it."""
        self.errors.append(error)

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """Note it; nothing waits any more."""
        self.waiting = 0
        self.errors.append(error)

    def error(self, test: SynchronousTestCase, kind: type[Exception]) -> str:
        """The one error that there is, which is of that kind, and no other."""
        (error,) = self.errors
        test.assertIs(type(error), kind)
        return str(error)


class StreamRouteTests(SynchronousTestCase):
    """Connections."""

    def make(self, retry: Backoff = SCHEDULE) -> StreamRoute:
        """A route on stand-ins."""
        self.clock, self.endpoint = Clock(), StreamStandIn()
        way = self.way = StandInWay(self.clock)
        endpoint: Any = self.endpoint
        self.route = StreamRoute(
            way, endpoint, retry, stream(7), lambda lost: LineCoreProtocol(way.driver, 100, lost)
        )
        return self.route

    def test_connects_once(self) -> None:
        """However often it is needed, there is one connection, and the way is told of it."""
        route = self.make()
        route.need()
        route.need()
        protocol, transport = self.endpoint.accept()
        route.need()
        self.assertEqual(self.endpoint.tried, 1)
        self.assertEqual(transport.lines(), [b"word"])
        protocol.dataReceived(b"answer\n")
        self.assertEqual(self.way.core.heard, [b"answer"])

    def test_attempts_on_the_schedule(self) -> None:
        """Attempts are made at 0, 0.1, 0.3, 0.7 and 1.5 s; then the reason is told."""
        self.make().need()
        times = []
        while not self.way.errors:
            times.append(round(self.clock.seconds(), 9))
            self.endpoint.refuse(TwistedRefused())
            if self.clock.getDelayedCalls():
                to_next_timer(self.clock)
        self.assertEqual(times, [0, 0.1, 0.3, 0.7, 1.5])
        text = "no connection after 5 attempts: Connection was refused by other side."
        self.assertEqual(self.way.error(self, ConnectionRefused), text)

    def test_silent_host(self) -> None:
        """An attempt that nobody answers takes as long as its wait, and no longer."""
        self.make().need()
        while not self.way.errors:
            to_next_timer(self.clock)
        self.assertEqual((self.endpoint.tried, round(self.clock.seconds(), 9)), (5, 3.1))
        text = "no connection in time after 5 attempts"
        self.assertEqual(self.way.error(self, NoAnswer), text)

    def test_tried_before(self) -> None:
        """Attempts that were made by others before are told, too."""
        made = self.make(Backoff.fixed(1.0))
        made._tried = 3
        made.need()
        to_next_timer(self.clock)
        text = "no connection in time after 4 attempts"
        self.assertEqual(self.way.error(self, NoAnswer), text)

    def test_last_reason(self) -> None:
        """The reason is that of the last attempt, in the system's words."""
        self.make(Backoff.fixed(1.0)).need()
        self.endpoint.refuse(ConnectBindError(osError=98, string="bound"))
        text = "no connection after 1 attempt: Address already in use"
        self.assertEqual(self.way.error(self, Unreachable), text)

    def test_nobody_waits(self) -> None:
        """When nothing waits any more no further attempt is made: neither at once, nor later."""
        self.make().need()
        self.way.waiting = 0
        self.endpoint.refuse(TwistedRefused())
        self.way.error(self, ConnectionRefused)
        self.make().need()
        self.endpoint.refuse(TwistedRefused())
        self.way.waiting = 0
        to_next_timer(self.clock)
        self.assertEqual((self.endpoint.tried, self.clock.getDelayedCalls()), (1, []))

    def test_broken(self) -> None:
        """The way is told that the connection broke; if it waits there is another."""
        self.make().need()
        protocol, _ = self.endpoint.accept()
        protocol.connectionLost(Failure(ConnectionLost()))
        text = self.way.error(self, Unreachable)
        self.assertTrue(text.startswith("the connection broke: "), text)
        self.assertEqual(self.endpoint.tried, 2)
        self.way.waiting = 0
        self.endpoint.accept()[0].connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.endpoint.tried, 2)

    def states(self) -> Iterator[StreamRoute]:
        """A route in each of its states."""
        yield self.make()  # unconnected
        self.make().need()
        yield self.route  # connecting
        self.make().need()
        self.endpoint.refuse(TwistedRefused())
        yield self.route  # waiting for the next attempt
        self.make().need()
        protocol, transport = self.endpoint.accept()
        transport.loseConnection = lambda: protocol.connectionLost(Failure(ConnectionDone()))
        yield self.route  # connected

    def test_close(self) -> None:
        """Closing ends whatever is under way, and leaves nothing in the reactor."""
        for route in self.states():
            self.way.waiting = 0
            self.assertIsNone(self.successResultOf(route.close()))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_waits_for_the_end(self) -> None:
        """It fires when the connection is gone, and then makes no other."""
        route = self.make()
        route.need()
        protocol, _ = self.endpoint.accept()
        closing = route.close()
        self.assertNoResult(closing)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIsNone(self.successResultOf(closing))
        self.assertEqual(self.endpoint.tried, 1)


class DatagramRouteTests(SynchronousTestCase):
    """Ports."""

    def make(self, *addresses: tuple[str, int]) -> DatagramRoute:
        """A route on stand-ins; without addresses its server's name is being resolved."""
        self.clock, self.endpoint = Clock(), DatagramStandIn(*addresses)
        self.way = StandInWay(self.clock)
        endpoint: Any = self.endpoint
        self.route = DatagramRoute(self.way, endpoint)
        return self.route

    @property
    def port(self) -> Port:
        """The one port that there is."""
        (port,) = self.endpoint.ports
        return port

    def test_opens_once(self) -> None:
        """However often it is needed, there is one port, and the way is told of it."""
        route = self.make(ONE)
        route.need()
        route.need()
        self.assertEqual((self.port.peer, self.port.interface), (ONE, ""))
        self.assertEqual([data for data, _ in self.port.sent], [b"word"])
        self.port.protocol.datagramReceived(b"answer", ONE)
        self.assertEqual(self.way.core.heard, [b"answer"])

    def test_waits_for_the_address(self) -> None:
        """While a name is resolved, it is not resolved again."""
        route = self.make()
        route.need()
        route.need()
        self.endpoint.resolving.callback([ONE])
        self.assertEqual(len(self.port.sent), 1)

    def test_ipv6(self) -> None:
        """The port is of the family of the address."""
        self.make(("::1", 5)).need()
        self.assertEqual(self.port.interface, "::")

    def test_unknown_name(self) -> None:
        """A name without an address is told."""
        self.make().need()
        self.endpoint.resolving.errback(DNSLookupError("no such name"))
        text = self.way.error(self, Unreachable)
        self.assertIn("no address for example.invalid: ", text)

    def test_slow_name(self) -> None:
        """A name that isn't resolved in time has no address."""
        self.make().need()
        self.clock.advance(RESOLVING)
        self.way.error(self, Unreachable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """ICMP says that nobody listens; when it is needed again there is another port."""
        self.make(ONE).need()
        self.port.protocol.connectionRefused()
        text = self.way.error(self, ConnectionRefused)
        self.assertEqual(text, "nobody listens at udp:example.invalid:50000")
        self.assertFalse(self.port.open)
        self.route.need()
        self.assertEqual(len(self.endpoint.ports), 2)

    def test_next_address(self) -> None:
        """An address that refuses is followed by the next, until one has answered."""
        self.make(("::1", 5), ONE, OTHER).need()
        self.endpoint.ports[0].protocol.connectionRefused()
        self.assertEqual([port.peer for port in self.endpoint.ports], [("::1", 5), ONE])
        self.way.heard = True
        self.endpoint.ports[1].protocol.connectionRefused()
        self.way.error(self, ConnectionRefused)
        self.assertEqual(len(self.endpoint.ports), 2)

    def test_close(self) -> None:
        """Closing ends whatever is under way, and leaves nothing in the reactor."""
        self.assertIsNone(self.successResultOf(self.make().close()))
        for addresses in ([], [ONE]):
            route = self.make(*addresses)
            route.need()
            self.assertIsNone(self.successResultOf(route.close()))
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertFalse(any(port.open for port in self.endpoint.ports))
