"""One connection to a download server, from the attempt to its end."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.download.client import Answered, Data, Failed
from lab.download.connection import Connection
from lab.download.outcomes import Cut, Stalled
from lab.download.settings import ClientSettings
from lab.download.wire import Get, List, Stat
from lab.errors import ConnectionRefused, NoAnswer
from lab.rng import stream
from lab.simulator.testing import SimulationMixin
from tests.download.servers import Shelf


class ConnectionTests(SimulationMixin, SynchronousTestCase):
    """To a server on another host."""

    def setUp(self) -> None:
        """A server and a client."""
        super().setUp()
        self.shelf = Shelf({"f": bytes(200_000)})
        server = self.net.host("server")
        server.start(lambda reactor, disk: TCP4ServerEndpoint(reactor, 80).listen(self.shelf))
        self.told: list[Any] = []

    def connect(self, port: int = 80) -> Connection:
        """Begin."""
        reactor: Any = self.net.host("client").reactor
        endpoint = HostnameEndpoint(reactor, "server", port)
        one = Connection(endpoint, reactor, ClientSettings(), stream(7), self.told.append)
        one.begin()
        return one

    def end(self, one: Connection) -> None:
        """Let it go; nothing is left of it, and nothing is told any more."""
        told = len(self.told)
        self.net.run_until(one.end(), 10)
        host = self.net.host("client")
        self.assertEqual([*host.reactor.getDelayedCalls(), *host.ends], [])
        self.assertEqual(len(self.told), told)

    def test_answers(self) -> None:
        """What is asked before there is a connection, and after."""
        one = self.connect()
        self.assertEqual((one.waiting, one.heard), (1, False))
        numbers = [one.ask(Stat("f"))]
        self.net.run(1)
        numbers.append(one.ask(Stat("f")))
        self.net.run(1)
        self.assertEqual([event.number for event in self.told], numbers)
        self.assertTrue(one.heard)
        self.assertTrue(one.opened)
        self.end(one)
        self.assertEqual(one.waiting, 0)

    def test_no_way(self) -> None:
        """Nobody listens; or nobody says anything."""
        self.end(self.failing(81, ConnectionRefused))
        self.net.partition("client", "server")
        self.end(self.failing(80, NoAnswer))

    def failing(self, port: int, kind: type[Exception]) -> Connection:
        """A connection that is not made, or that nothing comes of."""
        one = self.connect(port)
        one.ask(Stat("f"))
        self.net.run(15)
        self.assertIsInstance(self.told.pop().error, kind)
        return one

    def test_cut(self) -> None:
        """It breaks."""
        one = self.connect()
        self.net.run(1)
        self.shelf.links[0].abortConnection()
        self.net.run(1)
        self.assertIsInstance(self.told[0].error, Cut)
        self.end(one)

    def test_silence(self) -> None:
        """The server says nothing any more."""
        one = self.connect()
        self.shelf.hears = lambda request: b""
        one.ask(List())
        self.net.run(11)
        [failed] = self.told
        self.assertIsInstance(failed.error, Stalled)
        self.end(one)

    def test_ended_before(self) -> None:
        """Nobody wants it before it is made."""
        one = self.connect()
        self.end(one)
        self.net.run(20)
        self.assertEqual((self.told, self.shelf.links), ([], []))

    def test_held(self) -> None:
        """While nobody takes content it is not read, but for what was on its way."""
        one = self.connect()
        one.hold(wanted=True)
        one.ask(Get("f", 0, 200_000, self.shelf.tag("f")))
        self.net.run(30)
        self.assertEqual(self.told, [])
        one.hold(wanted=False)
        self.net.run(5)
        content = [event for event in self.told if isinstance(event, Data)]
        self.assertEqual(sum(len(event.data) for event in content), 200_000)
        self.assertEqual(self.told[-1], Answered(1, None))
        self.end(one)

    def test_ended_twice(self) -> None:
        """Once more does no harm; it is gone at once when there is no connection."""
        one = self.connect(81)
        self.net.run(1)
        self.assertIsInstance(self.told[0], Failed)
        ended: Deferred[None] = one.end()
        self.successResultOf(ended)
        self.successResultOf(one.end())
