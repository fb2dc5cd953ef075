"""Toxiproxy's API over HTTP."""

import errno
import gc
import json
import re
import socket
from importlib.metadata import version
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from lab.adapters.web import IDLE, READ
from lab.faults.journal import Dice
from lab.proxy import ports
from lab.proxy.control import BODY, Control, control_site
from lab.proxy.guard import Guard
from lab.proxy.registry import Registry
from lab.proxy.relays import Relays
from tests.proxy.pairs import PAIRS
from tests.proxy.relays import FakeRelay
from tests.proxy.scenes import Serving
from tests.proxy.test_pump import Flood

TYPES = {
    "": None,
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "version": "application/json;charset=utf-8",
    "metrics": "text/plain; version=0.0.4; charset=utf-8",
}


class Hearing(Protocol):
    """Says something, and hears until the end."""

    def __init__(self, says: bytes) -> None:
        self.says, self.heard, self.ended = says, b"", Deferred()

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(self.says)

    def dataReceived(self, data: bytes) -> None:
        """Hear."""
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        """The end."""
        self.ended.callback(self.heard)


class HttpTests(TestCase):
    """On loopback."""

    timeout = 30
    guard = Guard()
    relays: Any = FakeRelay

    def setUp(self) -> None:
        """Listen."""
        self.registry = Registry(reactor, self.relays)
        site = control_site(reactor, Control(self.registry, self.guard))
        self.port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.number = self.port.getHost().port
        pool = HTTPConnectionPool(reactor, persistent=False)
        self.client = treq.client.HTTPClient(Agent(reactor, pool=pool))

    @inlineCallbacks
    def tearDown(self) -> Any:
        """Close all ports."""
        yield Deferred.fromCoroutine(self.registry.stop())
        yield self.port.stopListening()

    @inlineCallbacks
    def ask(self, method: str, path: str, body: str | bytes = b"", **headers: str) -> Any:
        """Ask: the status, the text and the headers of the answer."""
        url = f"http://127.0.0.1:{self.number}{path}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body.encode() if isinstance(body, str) else body
        response = yield self.client.request(method, url, data=data, headers=given)
        text = yield response.text("utf-8")
        self.assertEqual(response.headers.getRawHeaders("Transfer-Encoding"), None)
        return response.code, text, response.headers

    @inlineCallbacks
    def raw(self, says: bytes) -> Any:
        """What is answered to bytes until the connection ends."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.number)
        client = yield connectProtocol(endpoint, Hearing(says))
        heard = yield client.ended
        return heard


class PairTests(HttpTests):
    """All that Toxiproxy was seen to answer."""

    @inlineCallbacks
    def test_pairs(self) -> Any:
        """The same to the same, in the same order."""

        class Unknown:
            """No name is known to DNS."""

            def __init__(self, *more: Any) -> None:
                pass

            def addresses(self) -> Any:
                return fail(DNSLookupError("no"))

        self.patch(ports, "DatagramClientEndpoint", Unknown)
        for verb, path, body, (status, text, kind) in PAIRS:
            method, _, more = verb.partition(" ")
            headers = {"Origin" if more.startswith("http") else "User-Agent": more} if more else {}
            code, found, answered = yield self.ask(method, path, body, **headers)
            where = f"{verb} {path} {body}"
            found = re.sub(r"(127\.0\.0\.1|\[::\]):\d{4,5}", r"\1:0", found)
            if kind == "metrics":
                found = found[: len(text)]
            self.assertEqual((code, found), (status, text), where)
            self.assertEqual(answered.getRawHeaders("Content-Type", [None]), [TYPES[kind]], where)
            sniff = ["nosniff"] if kind == "text" else None
            self.assertEqual(answered.getRawHeaders("X-Content-Type-Options"), sniff, where)
            self.assertRegex(answered.getRawHeaders("X-Toxiproxy-Request-Id")[0], "^[0-9a-v]{20}$")


class RequestTests(HttpTests):
    """What else may be asked."""

    @inlineCallbacks
    def test_about(self) -> Any:
        """Our own version, and the seed, which the metrics have as well; Toxiproxy has neither."""
        for seed in (None, 2**64 - 1):
            self.registry.seed = seed
            code, text, headers = yield self.ask("GET", "/lab")
            self.assertEqual(
                (code, json.loads(text)), (200, {"version": version("txlab"), "seed": seed})
            )
            self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json"])
        _, text, _ = yield self.ask("GET", "/metrics")
        self.assertIn(f'lab_proxy_info{{seed="{seed}"', text)
        code, text, _ = yield self.ask("POST", "/lab")
        self.assertEqual((code, text), (405, ""))

    @inlineCallbacks
    def test_names(self) -> Any:
        """Every name can be addressed, even one that holds a slash."""
        body = '{"name":"a/b <é>","upstream":"b","enabled":false}'
        code, text, _ = yield self.ask("POST", "/proxies", body)
        self.assertEqual(code, 201)
        self.assertIn(r'"name":"a/b \u003cé\u003e"', text)
        code, _, _ = yield self.ask("GET", "/proxies/a%2Fb%20%3C%C3%A9%3E?pretty")
        self.assertEqual(code, 200)
        code, _, _ = yield self.ask("GET", "/proxies/a/b")
        self.assertEqual(code, 404)

    @inlineCallbacks
    def test_any_type(self) -> Any:
        """Bodies are JSON, whatever they are called."""
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            body = json.dumps({"name": kind, "upstream": "b", "enabled": False})
            code, text, _ = yield self.ask("POST", "/proxies", body, Content_Type=kind)
            self.assertEqual(code, 201, text)

    @inlineCallbacks
    def test_closed_at_once(self) -> Any:
        """When the answer is there, the port is closed."""
        body = '{"name":"a","upstream":"b","listen":"127.0.0.1:0"}'
        _, text, _ = yield self.ask("POST", "/proxies", body)
        number = int(json.loads(text)["listen"].rpartition(":")[2])
        yield self.ask("PATCH", "/proxies/a", '{"enabled":false}')
        with socket.socket() as client:
            self.assertEqual(client.connect_ex(("127.0.0.1", number)), errno.ECONNREFUSED)

    @inlineCallbacks
    def test_toxics_at_once(self) -> Any:
        """Toxics come with a proxy."""
        body = '{"name":"a","upstream":"b","enabled":false,"toxics":[{"type":"loss"}]}'
        _, text, _ = yield self.ask("POST", "/proxies", body)
        self.assertEqual(json.loads(text)["toxics"][0]["attributes"]["h"], 0)
        _, text, _ = yield self.ask("GET", "/proxies/a/toxics/loss_downstream")
        self.assertEqual(json.loads(text)["type"], "loss")

    @inlineCallbacks
    def test_datagrams(self) -> Any:
        """A proxy of UDP says so, keeps being one, and has the toxics of datagrams."""
        body = '{"name":"a","upstream":"b","listen":"127.0.0.1:0","protocol":"udp"}'
        code, text, _ = yield self.ask("POST", "/proxies", body)
        self.assertEqual((code, json.loads(text)["protocol"]), (201, "udp"))
        _, text, _ = yield self.ask("PATCH", "/proxies/a", '{"protocol":"tcp","upstream":"c"}')
        self.assertEqual(json.loads(text)["protocol"], "udp")
        for kind, status in (("reorder", 200), ("slicer", 400)):
            toxic = json.dumps({"type": kind})
            code, text, _ = yield self.ask("POST", "/proxies/a/toxics", toxic)
            self.assertEqual(code, status, text)
        self.assertIn("invalid toxic type", text)
        body = '[{"name":"b","upstream":"b","listen":"udp:0:interface=127.0.0.1"}]'
        _, text, _ = yield self.ask("POST", "/populate", body)
        self.assertEqual(json.loads(text)["proxies"][0]["protocol"], "udp")
        code, text, _ = yield self.ask("PATCH", "/proxies/b", '{"listen":"127.0.0.1:0"}')
        self.assertEqual((code, json.loads(text)["protocol"]), (200, "udp"))

    @inlineCallbacks
    def test_large(self) -> Any:
        """A body may be as large as is said, and no larger, whether its length is told or not."""
        code, _, _ = yield self.ask("POST", "/proxies", b" " * BODY)
        self.assertEqual(code, 400)
        code, text, _ = yield self.ask("POST", "/proxies", b" " * (BODY + 1))
        self.assertEqual((code, json.loads(text)["status"]), (413, 413))
        chunk = b"%x\r\n%s\r\n" % (BODY, b" " * BODY)
        heard = yield self.raw(
            b"POST /proxies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n" + 3 * chunk + b"0\r\n\r\n"
        )
        self.assertTrue(heard.startswith(b"HTTP/1.1 413 "), heard[:99])

    @inlineCallbacks
    def test_deep(self) -> Any:
        """Nothing is too deep."""
        code, text, _ = yield self.ask("POST", "/proxies", b"[" * 100_000)
        self.assertEqual(code, 400)
        self.assertIn("exceeded max depth", text)

    @inlineCallbacks
    def test_malformed(self) -> Any:
        """What is no HTTP is answered so, and the connection ends."""
        for says in (
            b"nonsense\r\n\r\n",
            b"GET /proxies HTTP/1.1\r\nno header\r\n\r\n",
            b"GET /proxies HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /proxies HTTP/1.1\r\n" + b"A: b\r\n" * 600 + b"\r\n",
        ):
            heard = yield self.raw(says)
            self.assertTrue(heard.startswith(b"HTTP/1.1 400 "), says[:40])
        heard = yield self.raw(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n")
        self.assertTrue(heard.startswith(b"HTTP/1.1 414 "))

    @inlineCallbacks
    def test_old(self) -> Any:
        """Version 1.0 has no Host."""
        heard = yield self.raw(b"GET /proxies/%zz%ff HTTP/1.0\r\n\r\n")
        self.assertTrue(heard.startswith(b"HTTP/1.0 404 "), heard)

    @inlineCallbacks
    def test_pipelined(self) -> Any:
        """Several requests at once are answered in their order, and each id is another."""
        one = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        heard = yield self.raw(2 * one + last)
        ids = re.findall(b"X-Toxiproxy-Request-Id: ([0-9a-v]{20})", heard)
        self.assertEqual((len(ids), len(set(ids))), (3, 3))

    @inlineCallbacks
    def test_hosts(self) -> Any:
        """A name that is none of ours is refused, whatever it points at."""
        code, text, _ = yield self.ask("GET", "/proxies", Host="evil.example")
        self.assertEqual((code, text), (403, "Host not allowed\n"))
        code, text, _ = yield self.ask("POST", "/reset", Origin="http://evil.example")
        self.assertEqual((code, text), (403, "Origin not allowed\n"))
        code, _, _ = yield self.ask(
            "GET", "/proxies", User_Agent="Mozilla/5.0", Sec_Fetch_Site="none"
        )
        self.assertEqual(code, 200)

    @inlineCallbacks
    def test_bug(self) -> Any:
        """An error that is ours is told so, and logged."""
        self.patch(self.registry, "all", lambda: 1 / 0)
        code, text, _ = yield self.ask("GET", "/proxies")
        self.assertEqual((code, json.loads(text)["status"]), (500, 500))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_gone(self) -> Any:
        """Who does not wait for the answer is no error, and the change is done."""
        waiting: Deferred[None] = Deferred()
        started: Deferred[None] = Deferred()

        async def reset() -> None:
            """Wait."""
            started.callback(None)
            await waiting

        self.patch(self.registry, "reset", reset)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.number)
        says = b"POST /reset HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client = yield connectProtocol(endpoint, Hearing(says))
        yield started
        client.transport.abortConnection()
        yield client.ended
        code, _, _ = yield self.ask("GET", "/version")  # by now the server knows, too
        self.assertEqual(code, 200)
        waiting.callback(None)
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class TokenTests(HttpTests):
    """Where a token is required."""

    guard = Guard(token="secret")

    @inlineCallbacks
    def test_token(self) -> Any:
        """Nothing without it."""
        code, text, headers = yield self.ask("GET", "/version")
        self.assertEqual((code, text), (401, "Token required\n"))
        self.assertEqual(headers.getRawHeaders("WWW-Authenticate"), ["Bearer"])
        code, _, _ = yield self.ask(
            "GET", "/version", Authorization="Bearer secret", Host="x", User_Agent="Mozilla/5.0"
        )
        self.assertEqual(code, 200)


class TimeTests(SynchronousTestCase):
    """On a virtual clock."""

    def setUp(self) -> None:
        """A connection."""
        self.clock = Clock()
        registry = Registry(self.clock, FakeRelay)
        site = control_site(self.clock, Control(registry))
        site.startFactory()
        self.addCleanup(site.stopFactory)
        self.assertEqual(site.acceptableProtocols(), [b"http/1.1"])
        self.channel = site.buildProtocol(None)
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection
        self.channel.makeConnection(self.transport)

    def pass_time(self, seconds: float, *, closed: bool) -> None:
        """Whether the connection has been closed after a time, and not a second before."""
        self.clock.pump([1.0] * int(seconds - 1))
        self.assertFalse(self.transport.disconnecting)
        self.clock.pump([1.0])
        self.assertEqual(self.transport.disconnecting, closed)

    def test_slow(self) -> None:
        """A request that comes byte by byte has `READ` seconds for all of it."""
        self.clock.advance(5)
        for byte in b"POST /reset HTT":
            self.channel.dataReceived(bytes((byte,)))
            self.assertFalse(self.transport.disconnecting)
            self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)

    def test_endless(self) -> None:
        """So has its body."""
        head = b"POST /proxies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.channel.dataReceived(head)
        for _ in range(int(READ)):
            self.assertFalse(self.transport.disconnecting)
            self.channel.dataReceived(b"10000\r\n" + b" " * 65536 + b"\r\n")
            self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.transport.value(), b"")

    def test_silent(self) -> None:
        """A connection without a request ends, too."""
        self.pass_time(READ, closed=True)

    def test_idle(self) -> None:
        """Between requests there is more time; with the first byte of the next it is over."""
        request = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.channel.dataReceived(request)
        self.assertIn(b" 200 OK", self.transport.value())
        self.clock.advance(IDLE - 1)
        self.channel.dataReceived(request)
        self.clock.advance(IDLE - 1)
        self.channel.dataReceived(b"GET")
        self.pass_time(READ, closed=True)

    def test_idle_for_long(self) -> None:
        """It ends, too."""
        self.channel.dataReceived(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.pass_time(IDLE, closed=True)


class TrafficTests(HttpTests):
    """Toxics come and go by the API while bytes flow, both ways at full speed."""

    relays = Relays(reactor, Dice(7))

    async def change(self, method: str, path: str, body: Any = "") -> Any:
        """Ask for it; what is answered, as JSON."""
        code, text, _ = await self.ask(method, path, body and json.dumps(body))
        self.assertLess(code, 300, text)
        return json.loads(text or "null")

    async def flowing(self, *ends: Flood) -> None:
        """Wait for some more bytes at both."""
        wanted = [one.sizes[1] + 100_000 for one in ends]
        while any(one.sizes[1] < size for one, size in zip(ends, wanted, strict=True)):
            await deferLater(reactor, 0.001)

    async def test_whole(self) -> None:
        """After 20 toxics no byte is lost, twice or elsewhere, and all of them were there."""
        servers = Serving(Flood)
        port = reactor.listenTCP(0, servers, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        upstream = f"127.0.0.1:{port.getHost().port}"
        wanted = {"name": "p", "upstream": upstream, "listen": "127.0.0.1:0"}
        shown = await self.change("POST", "/proxies", wanted)
        host, _, number = shown["listen"].partition(":")
        client = Flood()
        await connectProtocol(TCP4ClientEndpoint(reactor, host, int(number)), client)
        server = await servers.first()
        kinds = [
            {"type": "latency", "attributes": {"latency": 2, "jitter": 1}},
            {"type": "slicer", "attributes": {"average_size": 20_000, "delay": 1}},
            {"type": "bandwidth", "attributes": {"rate": 100_000}},
            {"type": "noop"},
        ]
        for turn in range(20):
            toxic = {**kinds[turn % 4], "stream": ("upstream", "downstream")[turn // 4 % 2]}
            made = await self.change("POST", "/proxies/p/toxics", toxic)
            await self.flowing(client, server)
            await self.change("DELETE", f"/proxies/p/toxics/{made['name']}")
            await self.flowing(client, server)
        for one in (client, server):
            one.finish()
        self.assertEqual((await client.lost, await server.lost), ("ConnectionDone",) * 2)
        for one, other in ((client, server), (server, client)):
            self.assertEqual(other.sizes[1], one.sizes[0])
            self.assertEqual(other.came.digest(), one.sent.digest())
