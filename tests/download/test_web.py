"""The download service over HTTP."""

import re
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from lab.download import web
from lab.download.files import TooMany
from lab.download.memory import MemoryCatalogue
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadSite
from lab.download.wire import Entry
from lab.faults.datagrams import Latency
from lab.faults.fault import Fault
from lab.simulator.network import simulate
from tests.download.sites import DIGITS, SiteCase, parse
from tests.simulator.test_unmodified import Collects


class RequestTests(SiteCase):
    """Requests, one at a time."""

    def test_file(self) -> None:
        """All of it, a part of it, its headers, whatever its name is."""
        answer = self.ask("/digits")
        self.assertEqual((answer.status, answer.body), (200, DIGITS))
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Cross-Origin-Resource-Policy"], "same-origin")
        self.assertEqual(self.ask("/a%20b%25.txt?x=y").body, DIGITS)
        self.assertEqual(self.ask("http://127.0.0.1/d/e/deep").body, DIGITS)
        part = self.ask("/digits", Range="bytes=2-4")
        self.assertEqual((part.status, part.body), (206, b"234"))
        head = self.ask("/digits", "HEAD")
        changed = {"Date"}
        self.assertEqual(
            {name: value for name, value in head.headers.items() if name not in changed},
            {name: value for name, value in answer.headers.items() if name not in changed},
        )
        self.assertEqual(self.ask("/empty").headers["Content-Length"], "0")

    def test_known(self) -> None:
        """Who has it gets no body."""
        answer = self.ask("/digits", If_None_Match="*")
        self.assertEqual((answer.status, answer.body), (304, b""))
        self.assertNotIn("Content-Length", answer.headers)

    def test_refused(self) -> None:
        """What is not there, can't be, or is not to be done."""
        for path, method, status in (
            ("/nothing", "GET", 404),
            ("/nothing/", "GET", 404),
            ("/../digits", "GET", 404),
            ("/%00", "HEAD", 404),
            ("/.hidden", "GET", 404),
            ("/digits/", "GET", 404),
            ("/digits", "DELETE", 405),
            ("/", "PROPFIND", 405),
            ("/d", "GET", 301),
        ):
            answer = self.ask(path, method)
            self.assertEqual(answer.status, status, path)
            self.assertEqual(answer.body[:4], b"" if method == "HEAD" else b"%d " % status)
        self.assertEqual(self.ask("/", "POST").headers["Allow"], "GET, HEAD")
        self.assertEqual(self.ask("/digits", Range="bytes=10-").status, 416)
        self.assertEqual(self.server.counters.refused, 10)

    def test_host(self) -> None:
        """A request says whom it asks; Wire is at an address of this machine."""
        channel, wire = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(parse(wire.value())[0].status, 400)
        _, wire = made = self.connect(hostAddress=Here())
        self.assertEqual(self.ask("/digits", wire=made, Host="evil.test").status, 403)
        channel, wire = self.connect(hostAddress=Here())
        channel.dataReceived(b"GET /digits HTTP/1.0\r\n\r\n")
        self.assertTrue(wire.value().endswith(DIGITS))

    def test_system(self) -> None:
        """What the system can't do now may be asked again."""

        def crowded(files: MemoryCatalogue, name: str) -> None:
            """No more descriptors."""
            raise OSError(24, "Too many open files")

        self.patch(MemoryCatalogue, "open", crowded)
        answer = self.ask("/digits")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"))
        self.assertEqual((self.server.counters.busy, self.server.counters.refused), (1, 0))

    def test_counted(self) -> None:
        """What was asked is counted with what comes in by other doors."""
        for _ in range(3):
            self.ask("/digits")
        counters = self.server.counters
        self.assertEqual((counters.requests, counters.transfers, counters.sent), (3, 3, 3))
        self.assertEqual((counters.read_bytes, counters.system_bytes), (30, 0))


class Here:
    """An address of this machine."""

    host = "127.0.0.1"


class PageTests(SiteCase):
    """Pages of directories."""

    def links(self, path: str) -> list[str]:
        """Where a page leads."""
        answer = self.ask(path)
        self.assertEqual(answer.status, 200)
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])
        return re.findall('href="(.*?)"', answer.body.decode())

    def test_pages(self) -> None:
        """One for each directory."""
        self.assertEqual(self.links("/"), ["d/", "a%20b%25.txt", "digits", "empty"])
        self.assertEqual(self.links("/d/"), ["../", "e/", "inner"])
        self.assertEqual(self.links("/d/e/"), ["../", "deep"])
        self.assertEqual(self.server.counters.transfers, 0)
        head = self.ask("/", "HEAD")
        self.assertEqual(head.headers["Content-Length"], str(len(self.ask("/").body)))

    def test_many(self) -> None:
        """Of a large directory so much is shown; that is looked at in turns."""
        self.patch(web, "MOST", 3)
        for number in range(5):
            self.files.put(f"many/{number}", b"")
        self.assertEqual(len(self.links("/many/")), 4)
        self.assertIn(b"3 names, and more that are not shown", self.ask("/many/").body)

    def test_too_many(self) -> None:
        """Where there are more than can be looked at, what was seen is shown."""

        def within(files: MemoryCatalogue, directory: str = "") -> Any:
            """Too much."""
            yield [Entry(0, 0, "a")]
            raise TooMany("no")

        self.patch(MemoryCatalogue, "within", within)
        self.assertEqual(self.links("/"), ["a"])

    def test_gone(self) -> None:
        """Nobody looks on for one who has gone."""
        looked = []

        def within(files: MemoryCatalogue, directory: str = "") -> Any:
            """Without end."""
            try:
                while True:
                    looked.append(directory)
                    yield []
            finally:
                looked.append("closed")

        self.patch(MemoryCatalogue, "within", within)
        channel, _ = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.connectionLost(connectionDone)
        self.wires.clear()
        self.clock.advance(0)
        self.assertEqual(looked, ["", "closed"])

    def test_bug(self) -> None:
        """An error of our own is logged, and answered."""

        def within(files: MemoryCatalogue, directory: str = "") -> Any:
            """Wrong."""
            raise ZeroDivisionError

        self.patch(MemoryCatalogue, "within", within)
        self.assertEqual(self.ask("/").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ConnectionTests(SiteCase):
    """What belongs to connections."""

    settings = ServerSettings(connections=2, transfers=1)

    def test_kept(self) -> None:
        """Requests in a row, also if they come at once."""
        one = self.connect()
        for _ in range(3):
            self.assertEqual(self.ask("/digits", wire=one).body, DIGITS)
        channel, wire = one
        requests = [
            b"GET /digits HTTP/1.1\r\nHost: a\r\nRange: bytes=%d-\r\n\r\n" % n for n in range(9)
        ]
        channel.dataReceived(b"".join(requests))
        self.turns()
        rest = wire.value()
        for number in range(9):
            answer, rest = parse(rest)
            self.assertEqual(answer.body, DIGITS[number:])
        self.assertEqual(rest, b"")
        (client,) = self.server.clients()
        self.assertEqual((client.requests, client.sent, client.doing), (12, 30 + 54, ""))

    def test_seen(self) -> None:
        """What goes on is seen, and can be cut."""
        self.files.put("large", bytes(10**7))
        channel, wire = self.connect()
        channel.dataReceived(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.pauseProducing()
        (client,), (transfer,) = self.server.clients(), self.server.transfers()
        self.assertEqual(client.doing, "GET '/large'")
        self.assertEqual((transfer.client, transfer.name), (client.number, "large"))
        self.assertEqual((transfer.length, transfer.sent), (10**7, client.sent))
        self.assertGreater(transfer.sent, 0)
        self.assertTrue(self.server.disconnect(client.number))
        self.assertTrue(wire.cut)

    def test_busy(self) -> None:
        """More transfers than may be at a time are to come again."""
        self.files.put("large", bytes(10**7))
        channel, _ = self.connect()
        channel.dataReceived(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.pauseProducing()
        other = self.connect()
        answer = self.ask("/digits", wire=other)
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"))
        self.assertNotIn("ETag", answer.headers)
        self.assertEqual(self.ask("/", wire=other).status, 503)
        self.assertEqual(self.ask("/digits", "HEAD", wire=other).status, 200)
        self.assertEqual(self.ask("/nothing", wire=other).status, 404)
        self.assertEqual(self.server.counters.busy, 2)

    def test_full(self) -> None:
        """So are more connections."""
        self.connect()
        self.connect()
        channel, wire = self.connect()
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 503 "))
        self.assertIn(b"\r\nRetry-After: 1\r\n", wire.value())
        channel.dataReceived(b"GET /digits HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(wire.value().count(b"HTTP"), 1)


RANGES = st.lists(st.tuples(st.integers(0, 299_999), st.integers(1, 300_000)), max_size=4)


class SimulatedTests(SynchronousTestCase):
    """Over the simulated network, asked by Twisted's own client."""

    @settings(deadline=None, max_examples=15)
    @given(RANGES, st.integers(0, 2**32))
    def test_any_ranges(self, ranges: list[tuple[int, int]], seed: int) -> None:
        """Whatever parts are asked for, in whatever order, together they are the file."""
        data = bytes(n * n % 251 for n in range(300_000))
        cuts = sorted({0, 300_000, *(first for first, _ in ranges)})
        parts = [*ranges, *((a, b - a) for a, b in pairwise(cuts))]
        with simulate(seed) as net:
            net.link("server", "client", Fault(Latency(0.02, 0.01), "latency"))
            server = net.host("server")
            factory = DownloadFactory(
                server.reactor, MemoryCatalogue({"f": data}), ServerSettings(rate=10.0**6)
            )
            server.reactor.listenTCP(80, DownloadSite(factory))
            reactor = net.host("client").reactor
            got = net.run_until(Deferred.fromCoroutine(fetch(reactor, parts)), 600)
            whole = bytearray(len(data))
            for (first, length), part in zip(parts, got, strict=True):
                self.assertEqual(part, data[first : first + length])
                whole[first : first + length] = part
            self.assertEqual(whole, data)
            self.assertEqual(factory.counters.sent, len(parts))


async def fetch(reactor: Any, parts: list[tuple[int, int]]) -> list[bytes]:
    """Ask for parts of a file, on one connection."""
    pool = HTTPConnectionPool(reactor)
    agent, got = Agent(reactor, pool=pool), []
    for first, length in parts:
        headers = Headers({"Range": [f"bytes={first}-{first + length - 1}"]})
        response = await agent.request(b"GET", b"http://server/f", headers)
        assert response.code == 206
        body = Collects()
        response.deliverBody(body)
        got.append(await body.done)
    await pool.closeCachedConnections()
    return got
