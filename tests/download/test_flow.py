"""What sends the body of an answer."""

import errno
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from lab.adapters.stream import TURN
from lab.download.catalogue import Catalogue
from lab.download.memory import MemoryCatalogue, MemoryFile
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadSite
from tests.download.sites import SiteCase, parse
from tests.helpers import captured_logs, folder

LARGE = (bytes(n * n % 251 for n in range(251)) * 8_000)[:2_000_003]
GET = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class FlowCase(SiteCase):
    """A large file, on its way."""

    def setUp(self) -> None:
        """One that takes several turns."""
        super().setUp()
        self.files.put("large", LARGE)

    def begin(self) -> Any:
        """Ask for it; connection and transport."""
        channel, wire = self.connect()
        channel.dataReceived(GET)
        return channel, wire

    def sent(self, wire: Any) -> int:
        """How many bytes of the file were sent."""
        return len(wire.value().partition(b"\r\n\r\n")[2])


class MemoryTests(FlowCase):
    """From memory, on a virtual clock."""

    def test_turns(self) -> None:
        """A turn has so many bytes; in the end all are there."""
        _, wire = self.begin()
        self.assertEqual(self.sent(wire), TURN)
        (turn,) = self.clock.getDelayedCalls()
        self.assertEqual(turn.getTime(), self.clock.seconds())
        self.turns()
        self.assertEqual(parse(wire.value())[0].body, LARGE)
        self.assertEqual(self.server.counters.read_bytes, len(LARGE))

    def test_paused(self) -> None:
        """A transport that is full gets nothing, until it has room."""
        channel, wire = self.begin()
        channel.pauseProducing()
        sent = self.sent(wire)
        self.clock.advance(299)
        self.assertEqual(self.sent(wire), sent)
        channel.resumeProducing()
        self.turns()
        self.assertEqual(self.sent(wire), len(LARGE))

    def test_stalled(self) -> None:
        """A peer that takes nothing for too long is let go."""
        channel, wire = self.begin()
        for _ in range(2):
            channel.pauseProducing()
            self.clock.advance(299)
            channel.resumeProducing()
        channel.pauseProducing()
        self.clock.advance(299)
        self.assertFalse(wire.cut)
        with captured_logs() as events:
            self.clock.advance(1)
        self.assertTrue(wire.cut)
        self.assertEqual(events[-1]["reason"], "nothing was taken for 300 s")
        self.assertEqual(self.server.counters.sent, 0)

    def test_broken(self) -> None:
        """A file that becomes shorter, or another, is cut off, and never filled up or mixed."""
        for data, reason in (
            (LARGE[:TURN], "it is shorter than it was"),
            (bytes(len(LARGE)), "it was written meanwhile"),
        ):
            self.files.put("large", LARGE)
            _, wire = self.begin()
            self.files.write("large", data)
            with captured_logs() as events:
                self.turns()
            self.assertTrue(wire.cut)
            self.assertEqual(events[-1]["reason"], f"the file can't be read: {reason}")
            self.assertEqual(self.sent(wire), TURN)
        self.assertEqual(self.server.counters.broken, 2)

    def test_replaced(self) -> None:
        """Another file with its name is no matter: the one that was begun is sent."""
        _, wire = self.begin()
        self.files.put("large", b"new")
        self.turns()
        self.assertEqual(parse(wire.value())[0].body, LARGE)

    def test_unreadable(self) -> None:
        """A disk that fails ends it, too."""
        _, wire = self.begin()

        def fails(*_: Any) -> bytes:
            """An error of the disk."""
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(MemoryFile, "read", fails)
        self.turns()
        self.assertTrue(wire.cut)


class RateTests(FlowCase):
    """With a limit."""

    settings = ServerSettings(rate=100_000.0, idle=1.0)

    def test_rate(self) -> None:
        """So many bytes a second; waiting for them is no stall."""
        _, wire = self.begin()
        for second in range(1, 20):
            for _ in range(100):
                self.clock.advance(0.01)
            self.assertApproximates(self.sent(wire), second * 100_000, 20_001)
        (transfer,) = self.server.transfers()
        self.assertApproximates(transfer.rate, 100_000, 10_000)
        self.assertFalse(wire.cut)

    def test_page(self) -> None:
        """A page is no transfer that is seen, but takes its place, and has its rate."""
        self.begin()
        channel, wire = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.clock.advance(0)
        self.assertEqual(self.server.shared.transfers.taken, 2)
        self.assertEqual(len(self.server.transfers()), 1)
        client = self.server.clients()[-1]
        self.assertEqual((client.sent, client.transfer, self.sent(wire)), (0, None, 0))
        for _ in range(100):
            self.clock.advance(0.01)
        self.assertIn(b"</html>", wire.value())


class Hears(Protocol):
    """Asks, and hears until there is so much, or the end."""

    def __init__(self, size: int) -> None:
        self.size, self.data = size, bytearray()
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.transport.write(GET)

    def dataReceived(self, data: bytes) -> None:
        """Some of the answer."""
        self.data += data
        if len(self.data.partition(b"\r\n\r\n")[2]) >= self.size:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The end."""
        self.done.callback(bytes(self.data))


class SystemTests(TestCase):
    """From a disk, on loopback, where the system sends by itself."""

    timeout = 30

    def setUp(self) -> None:
        """A server."""
        self.path = folder(self) / "large"
        self.path.write_bytes(LARGE)
        self.server = DownloadFactory(reactor, Catalogue(self.path.parent))
        self.port = reactor.listenTCP(0, DownloadSite(self.server), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def hear(self, size: int = len(LARGE)) -> Any:
        """Ask for the file."""
        place = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        hears = Hears(size)
        connected = connectProtocol(place, hears)
        return connected.addCallback(lambda _: hears.done)

    @inlineCallbacks
    def test_all(self) -> Any:
        """All bytes are there, and the system has sent them."""
        data = yield self.hear()
        self.assertEqual(parse(data)[0].body, LARGE)
        self.assertEqual(self.server.counters.system_bytes, len(LARGE))
        self.assertEqual(self.server.counters.read_bytes, 0)

    @inlineCallbacks
    def test_no_file(self) -> Any:
        """What the system does not know as a file is read."""
        self.server.files = MemoryCatalogue({"large": LARGE})
        data = yield self.hear()
        self.assertEqual(parse(data)[0].body, LARGE)
        self.assertEqual(self.server.counters.system_bytes, 0)

    @inlineCallbacks
    def test_no_call(self) -> Any:
        """Where the system has no such call, the bytes are the same."""

        def none(*_: Any) -> int:
            """It has not."""
            raise OSError(errno.ENOSYS, "Function not implemented")

        self.patch(os, "sendfile", none)
        data = yield self.hear()
        self.assertEqual(parse(data)[0].body, LARGE)
        self.assertEqual(self.server.counters.read_bytes, len(LARGE))

    @inlineCallbacks
    def test_changed(self) -> Any:
        """A file that is written or cut off meanwhile ends the connection, short of its length."""
        real = os.sendfile
        for change in (self.cut, self.touch):
            self.path.write_bytes(LARGE)

            def some(out: int, source: int, offset: int, size: int, change: Any = change) -> int:
                """A part, and then it changes."""
                sent = real(out, source, offset, min(size, 1000))
                change(self.path)
                return sent

            self.patch(os, "sendfile", some)
            data = yield self.hear()
            self.assertLess(len(data), 10_000)
        self.assertEqual(self.server.counters.broken, 2)

    @staticmethod
    def cut(path: Path) -> None:
        """Nothing is left of it."""
        with path.open("r+b") as file:
            file.truncate(10)

    @staticmethod
    def touch(path: Path) -> None:
        """It is younger."""
        os.utime(path, (1, 1))
