"""A site whose requests are bounded."""

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from lab.adapters.stream import LINGER
from lab.adapters.web import IDLE, READ, BoundedRequest, BoundedSite
from tests.adapters.stand_ins import Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Kept(Resource):
    """Answers with as much of the body as was kept."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """It."""
        return bytes(request.content.read())


class Few(BoundedRequest):
    """Keeps three bytes."""

    keep = 3


class SiteTests(SynchronousTestCase):
    """On a virtual clock."""

    def setUp(self) -> None:
        """A connection."""
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.connect(BoundedSite(self.clock, Kept(), Few))

    def connect(self, site: BoundedSite) -> None:
        """One more."""
        site.doStart()
        self.assertEqual(site.acceptableProtocols(), [b"http/1.1"])
        self.channel, self.wire = site.buildProtocol(None), Wire()
        self.channel.makeConnection(self.wire)
        self.addCleanup(self.channel.connectionLost, connectionDone)
        self.addCleanup(site.doStop)

    def pass_time(self, seconds: float) -> None:
        """The connection is closed after a time, and not a second before."""
        self.clock.pump([1.0] * int(seconds - 1))
        self.assertFalse(self.wire.disconnecting)
        self.clock.pump([1.0])
        self.assertTrue(self.wire.disconnecting)

    def test_body(self) -> None:
        """Of a body so much is kept, however it comes."""
        for chunks in ((b"12345",), (b"1", b"2", b"3", b"4", b"5"), (b"12", b"345")):
            self.wire.clear()
            self.channel.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            for chunk in chunks:
                self.channel.dataReceived(chunk)
            self.assertTrue(self.wire.value().endswith(b"\r\n\r\n123"))

    def test_slow(self) -> None:
        """A request that comes byte by byte has `READ` seconds for all of it."""
        for byte in b"GET / HTTP/1.1 ":
            self.channel.dataReceived(bytes((byte,)))
            self.assertFalse(self.wire.disconnecting)
            self.clock.advance(1)
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(READ, 15)

    def test_silent(self) -> None:
        """So has the first."""
        self.pass_time(READ)

    def test_idle(self) -> None:
        """Between requests there is more time; with the first byte of the next it is over."""
        self.channel.dataReceived(GET)
        self.clock.advance(IDLE - 1)
        self.channel.dataReceived(GET)
        self.clock.advance(IDLE - 1)
        self.channel.dataReceived(b"GET")
        self.pass_time(READ)

    def test_idle_for_long(self) -> None:
        """It ends, too; how long it is can be said."""
        self.channel.dataReceived(GET)
        self.pass_time(IDLE)
        self.connect(BoundedSite(self.clock, Kept(), idle=5.0))
        self.channel.dataReceived(GET)
        self.pass_time(5)

    def test_last(self) -> None:
        """One who reads nothing of his last answer does not stay for ever."""
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertTrue(self.wire.disconnecting)
        self.clock.pump([1.0] * int(IDLE + 14))
        self.assertFalse(self.wire.cut)
        self.clock.pump([1.0])
        self.assertTrue(self.wire.cut)

    def test_long_lines(self) -> None:
        """A line that is too long is told so, and nothing more is read."""
        for begin, status in (
            (b"GET /", b"414 URI Too Long"),
            (b"GET / HTTP/1.1\r\nA: ", b"431 Request Header Fields Too Large"),
            (GET + b"GET /", b"414 URI Too Long"),
        ):
            self.connect(BoundedSite(self.clock, Kept()))
            self.channel.dataReceived(begin + b"a" * 20_000)
            self.channel.dataReceived(b"\r\n\r\n" + GET)
            last = self.wire.value()[self.wire.value().rfind(b"HTTP/1.1 ") :]
            self.assertTrue(last.startswith(b"HTTP/1.1 " + status + b"\r\n"), last)
            self.assertIn(b"\r\nConnection: close\r\n", last)

    def test_turned_away(self) -> None:
        """Where a half can be closed, that is done, so that the answer arrives."""
        closed = []
        self.wire.loseWriteConnection = lambda: closed.append(True)
        self.patch_half_close()
        self.channel.turn_away(b"503 Service Unavailable", b"Retry-After: 1")
        self.assertEqual(
            self.wire.value(),
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n"
            b"Retry-After: 1\r\n\r\n",
        )
        self.assertEqual(closed, [True])
        self.channel.dataReceived(GET)
        self.pass_time(LINGER)

    def patch_half_close(self) -> None:
        """The transport can."""
        from twisted.internet.interfaces import IHalfCloseableDescriptor
        from zope.interface import directlyProvides

        directlyProvides(self.wire, IHalfCloseableDescriptor)
