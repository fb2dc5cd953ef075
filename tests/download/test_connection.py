"""One connection to a download server, from the attempt to its end."""

import os
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters import receivefile
from lab.adapters.driver import Driver
from lab.core import Part
from lab.download.client import (
    Answered,
    Data,
    DownloadClientCore,
    Failed,
    Misplaced,
    Placed,
)
from lab.download.connection import Connection, _Protocol
from lab.download.outcomes import Cut, Stalled
from lab.download.settings import ClientSettings
from lab.download.wire import Get, List, Stat
from lab.errors import ConnectionRefused, NoAnswer
from lab.rng import stream
from lab.simulator.testing import SimulationMixin
from tests.download.servers import Shelf
from tests.helpers import folder


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


class LoopbackTests(TestCase):
    """Over real sockets, content goes to its file by itself."""

    timeout = 60

    async def connect(self, size: int) -> None:
        """A server of a file, a connection to it, and a file of our own."""
        self.shelf = Shelf({"f": os.urandom(size)})
        here: Any = real_reactor
        port = await TCP4ServerEndpoint(here, 0, interface="127.0.0.1").listen(self.shelf)
        self.addCleanup(port.stopListening)
        self.fd = os.open(folder(self) / "file", os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, self.fd)
        place = TCP4ClientEndpoint(here, "127.0.0.1", port.getHost().port)
        self.told: list[Any] = []
        self.wanted: dict[type[Any], Deferred[None]] = {}
        self.one = Connection(place, here, ClientSettings(silence=20.0), stream(7), self.tell)
        self.addCleanup(self.one.end)
        self.got, self.held = 0, False
        self.one.begin()

    def tell(self, event: Any) -> None:
        """Note it; when half of the file is there, nobody takes more for a while."""
        self.told.append(event)
        if isinstance(event, Placed | Data):
            self.got += event.size if isinstance(event, Placed) else len(event.data)
            if self.got >= 2**20 and not self.held:
                self.held = True
                self.one.hold(wanted=True)
                clock: Any = real_reactor
                clock.callLater(0, self.release)
        if type(event) in self.wanted:
            self.wanted.pop(type(event)).callback(None)

    def release(self) -> None:
        """Somebody does."""
        self.had = self.got
        self.one.hold(wanted=False)

    def until(self, kind: type[Any]) -> Deferred[None]:
        """Fires when such an event is told."""
        return self.wanted.setdefault(kind, Deferred())

    def into(self, number: int) -> Part:
        """Where the next content belongs."""
        return Part(self.fd, self.got, 2**30)

    def get(self) -> Deferred[None]:
        """Ask for the file."""
        size = len(self.shelf.files["f"])
        self.one.ask(Get("f", 0, size, self.shelf.tag("f")), self.into)
        return self.until(Answered)

    async def test_placed(self) -> None:
        """But for some bytes behind the line; it can be held, and goes on."""
        await self.connect(2**22 + 7)
        await self.get()
        self.assertTrue(2**20 <= self.had < 2**22)
        self.assertLess(sum(len(e.data) for e in self.told if isinstance(e, Data)), 64)
        self.assertEqual(os.pread(self.fd, 2**22, 64), self.shelf.files["f"][64:])

    async def test_failed(self) -> None:
        """A file that takes no more is told, and that is the end."""
        await self.connect(2**18)
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        os.dup2(full, self.fd)
        failed = self.until(Misplaced)
        self.get()
        await failed
        self.assertIsInstance(self.told[-1], Misplaced)
        self.assertFalse(self.one.waiting)

    async def test_without(self) -> None:
        """Where the system can't, all of it is given."""
        self.patch(receivefile.os, "splice", None)
        del receivefile.os.splice
        await self.connect(2**18)
        await self.get()
        data = b"".join(event.data for event in self.told if isinstance(event, Data))
        self.assertEqual(data, self.shelf.files["f"])


class HeldTests(SynchronousTestCase):
    """Content that has a place, and nobody takes it for now."""

    def setUp(self) -> None:
        """A connection on which the line before 100 bytes has come."""
        tag, self.clock = "0" * 32, Clock()
        self.core = DownloadClientCore(ClientSettings())
        self.driver = Driver(self.core, self.clock)
        self.protocol = _Protocol(self.driver, self.core, lambda reason: None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.core.open(0.0)
        self.place = Part(9, 50, 100)
        self.core.ask(Get("f", 0, 100, tag), 0.0, lambda number: self.place)
        self.protocol.dataReceived(f"200 100 {tag}\n".encode())
        self.assertEqual(self.protocol.room(), self.place)
        self.addCleanup(self.driver.stop)

    def release(self, turns: int = 1) -> None:
        """Somebody takes it again; so many turns of the reactor later."""
        self.core.release(0.0)
        self.driver.settle()
        for _ in range(turns):
            self.clock.advance(0)

    def test_placed(self) -> None:
        """Nothing more is read behind what was placed, until somebody takes it again."""
        self.core.hold(0.0)
        self.protocol.placed(10)
        self.assertEqual(self.transport.producerState, "paused")
        self.release()
        self.assertEqual(self.transport.producerState, "producing")

    def test_nothing_overtakes(self) -> None:
        """What was read meanwhile comes first: nothing goes to its place past that."""
        self.core.hold(0.0)
        self.protocol.dataReceived(bytes(10))
        self.release(turns=0)
        self.assertIsNone(self.protocol.room())
        self.clock.advance(0)
        self.assertEqual(self.protocol.room(), Part(9, 50, 90))
