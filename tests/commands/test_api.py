"""The client of the proxy's API, on loopback: against the API, and against what is none."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.commands.api import Api, read_url
from lab.errors import ConnectionRefused, LocalError, NoAnswer, RemoteError, Unreachable
from lab.faults.journal import Dice
from lab.proxy.control import Control, control_site
from lab.proxy.guard import Guard
from lab.proxy.ports import connector
from lab.proxy.registry import Registry
from lab.proxy.streams import StreamRelay

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"


class OwnClock:
    """The reactor, but for its time, which is that of a test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater, self.seconds = self.clock.callLater, self.clock.seconds

    def __getattr__(self, name: str) -> Any:
        """All else is the reactor's."""
        return getattr(reactor, name)


class Says(Protocol):
    """Says something as soon as it has heard something, and hangs up if it says anything."""

    def dataReceived(self, data: bytes) -> None:
        """Say it."""
        factory: Any = self.factory
        factory.heard += data
        if factory.asked.called:
            return
        factory.asked.callback(None)
        if factory.says is not None:
            self.transport.write(factory.says)
            self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Count it."""
        factory: Any = self.factory
        factory.ended.callback(None)


class ApiTestCase(TestCase):
    """Asks something on loopback."""

    timeout = 30

    @inlineCallbacks
    def listen(self, site: Any) -> Any:
        """The address at which this listens until the end of the test."""
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        yield None
        return f"http://127.0.0.1:{port.getHost().port}"

    @inlineCallbacks
    def failure(self, asked: Coroutine[Any, Any, Any], kind: type[Exception]) -> Any:
        """The text of the error that a call ends with."""
        error = yield self.assertFailure(Deferred.fromCoroutine(asked), kind)
        return str(error)


class ProxyTests(ApiTestCase):
    """What our own API answers."""

    @inlineCallbacks
    def api(self, token: str = "", given: str = "") -> Any:
        """A client of an API that wants a token, and what it is given."""

        def relay(name: str, upstream: str, protocol: str) -> StreamRelay:
            """The relay of a proxy."""
            return StreamRelay(reactor, name, connector(reactor, upstream), decisions=Dice(1))

        registry = Registry(reactor, relay)
        self.addCleanup(lambda: Deferred.fromCoroutine(registry.stop()))
        url = yield self.listen(control_site(reactor, Control(registry, Guard(token))))
        return Api(reactor, url, given)

    @inlineCallbacks
    def test_values(self) -> Any:
        """An answer is what its JSON says, and None where there is none."""
        api = yield self.api()
        body = {"name": "a/b é", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
        made = yield Deferred.fromCoroutine(api.call("POST", "proxies", body=body))
        self.assertEqual((made["name"], made["enabled"]), ("a/b é", True))
        found = yield Deferred.fromCoroutine(api.call("GET", "proxies", "a/b é"))
        self.assertEqual(found, made)
        for words in (("DELETE", "proxies", "a/b é"), ("POST", "reset")):
            nothing = yield Deferred.fromCoroutine(api.call(*words))
            self.assertIs(nothing, None)

    @inlineCallbacks
    def test_text(self) -> Any:
        """What is no JSON is had as it is; a refusal is an error there, too."""
        api = yield self.api()
        text = yield Deferred.fromCoroutine(api.text("metrics"))
        self.assertIn("\nlab_proxy_info{", text)
        said = yield self.failure(api.text("proxies", "nobody"), RemoteError)
        self.assertEqual(said, "proxy not found (status 404)")

    @inlineCallbacks
    def test_refusals(self) -> Any:
        """A refusal has the words of the API; a name may be any bytes."""
        api = yield self.api()
        for words, text in {
            ("GET", "proxies", "x"): "proxy not found (status 404)",
            ("GET", "proxies", "\udcff"): "proxy not found (status 404)",
            ("GET", "bogus"): "404 page not found (status 404)",
            ("PUT", "proxies"): "refused (status 405)",
        }.items():
            said = yield self.failure(api.call(*words), RemoteError)
            self.assertEqual(said, text)

    @inlineCallbacks
    def test_token(self) -> Any:
        """Who has the token is answered, and who has none hears of it."""
        api = yield self.api("sesame", "sesame")
        found = yield Deferred.fromCoroutine(api.call("GET", "proxies"))
        self.assertEqual(found, {})
        api = yield self.api("sesame")
        said = yield self.failure(api.call("GET", "proxies"), RemoteError)
        self.assertEqual(said, "Token required (status 401)")


class OtherTests(ApiTestCase):
    """What else may be at the other end."""

    @inlineCallbacks
    def server(self, says: bytes | None) -> Any:
        """Something that says this to whoever says something; nothing at all if it is None."""
        factory: Any = Factory.forProtocol(Says)
        factory.says, factory.heard = says, b""
        factory.asked, factory.ended = Deferred(), Deferred()
        url = yield self.listen(factory)
        return factory, url

    @inlineCallbacks
    def said(self, says: bytes, kind: type[Exception] = RemoteError) -> Any:
        """What is made of an answer."""
        server, url = yield self.server(says)
        text = yield self.failure(Api(reactor, url).call("GET", "proxies"), kind)
        yield server.ended
        return text.replace(url, "URL")

    @inlineCallbacks
    def test_request(self) -> Any:
        """The request says who asks, and how long its body is."""
        server, url = yield self.server(b"HTTP/1.1 204 No Content\r\n\r\n")
        yield Deferred.fromCoroutine(Api(reactor, url).call("POST", "a b", "/", body={"x": [1]}))
        yield server.ended
        lines, _, body = server.heard.partition(b"\r\n\r\n")
        self.assertTrue(lines.startswith(b"POST /a%20b/%2F HTTP/1.1\r\n"), lines)
        self.assertIn(b"User-Agent: lab proxy\r\n", lines)
        self.assertIn(b"Content-Length: 10", lines)
        self.assertEqual(body, b'{"x": [1]}')

    @inlineCallbacks
    def test_no_json(self) -> Any:
        """A page of somebody else is no answer of a proxy."""
        body = b"<html>Welcome!</html>"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        for text in (body, b"[" * 100_000):
            said = yield self.said(head % len(text) + text)
            self.assertEqual(said, f"what answers is no proxy: {text[:60]!r}")

    @inlineCallbacks
    def test_refusal_in_other_words(self) -> Any:
        """A refusal is one line, however long and strange the page is that it comes with."""
        page = b"<h1>\r\n\x1b[31mGo away\x00</h1>" + b"x" * 1000
        said = yield self.said(b"HTTP/1.1 502 Bad\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
        self.assertTrue(said.startswith("<h1> [31mGo away </h1>xxx"), said)
        self.assertTrue(said.endswith("x… (status 502)"), said)
        self.assertLess(len(said), 250)

    @inlineCallbacks
    def test_refusal_without_words(self) -> Any:
        """So is one that says nothing, be it in JSON."""
        for body in (b"{}", b" ", b'{"error": null}'):
            says = b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            said = yield self.said(says)
            self.assertEqual(said, "refused (status 400)")

    @inlineCallbacks
    def test_until_the_end(self) -> Any:
        """An answer may end with its connection, as of old."""
        server, url = yield self.server(b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}')
        found = yield Deferred.fromCoroutine(Api(reactor, url).call("GET", "proxies"))
        self.assertEqual(found, {"a": 1})
        yield server.ended

    @inlineCallbacks
    def test_nonsense(self) -> Any:
        """What is no HTTP, and what breaks off, is one line that says why."""
        for says in (b"", b"220 mail\r\n", HALF):
            said = yield self.said(says, Unreachable)
            self.assertTrue(said.startswith("no answer from URL: "), said)
            self.assertNotIn("Failure", said)
            self.assertNotIn("\n", said)

    @inlineCallbacks
    def test_nobody(self) -> Any:
        """Where nobody listens it says so."""
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}"
        yield port.stopListening()
        said = yield self.failure(Api(reactor, url).call("GET", "proxies"), ConnectionRefused)
        self.assertEqual(said, f"nobody listens at {url}")

    @inlineCallbacks
    def test_no_such_name(self) -> Any:
        """A name that can't be is one line, too."""
        url = "http://nothing.invalid:1"
        said = yield self.failure(Api(reactor, url).call("GET", "proxies"), Unreachable)
        self.assertIn("no answer from http://nothing.invalid:1: ", said)
        self.assertNotIn("\n", said)

    @inlineCallbacks
    def test_silence(self) -> Any:
        """Who does not answer is waited for for half a minute, and hung up on."""
        server, url = yield self.server(None)
        own = OwnClock()
        asked = Deferred.fromCoroutine(Api(own, url).call("POST", "reset", body={}))
        yield server.asked
        own.clock.advance(29.9)
        self.assertNoResult(asked)
        own.clock.advance(0.2)
        error = yield self.assertFailure(asked, NoAnswer)
        self.assertEqual(str(error), f"no answer from {url} within 30 s")
        yield server.ended
        self.assertEqual(own.clock.getDelayedCalls(), [])


class InterruptedTests(SynchronousTestCase):
    """A call that somebody ends, on a fake reactor."""

    def setUp(self) -> None:
        """Ask."""
        self.reactor = MemoryReactorClock()
        call = Api(self.reactor, "http://127.0.0.1:1").call("GET", "proxies")
        self.asked = Deferred.fromCoroutine(call)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))

    def connect(self) -> tuple[Any, StringTransport]:
        """Let there be a connection."""
        ((_, _, factory, *_),) = self.reactor.tcpClients
        protocol, transport = factory.buildProtocol(None), StringTransport()
        transport.abortConnection = transport.loseConnection
        protocol.makeConnection(transport)
        self.assertIn(b"GET /proxies HTTP/1.1", transport.value())
        return protocol, transport

    def test_before_it_is_connected(self) -> None:
        """Nothing is left of it while it connects."""
        self.asked.cancel()
        self.failureResultOf(self.asked, CancelledError)

    def test_before_the_answer(self) -> None:
        """It hangs up while it waits."""
        protocol, transport = self.connect()
        self.asked.cancel()
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(self.asked, CancelledError)

    def test_in_the_middle_of_the_answer(self) -> None:
        """And while it reads."""
        protocol, transport = self.connect()
        protocol.dataReceived(HALF)
        self.asked.cancel()
        self.assertTrue(transport.disconnecting)
        self.failureResultOf(self.asked, CancelledError)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_too_slow(self) -> None:
        """An answer has half a minute to come, all of it."""
        protocol, transport = self.connect()
        self.reactor.advance(20)
        protocol.dataReceived(HALF)
        self.reactor.advance(9.9)
        self.assertNoResult(self.asked)
        self.reactor.advance(0.2)
        self.failureResultOf(self.asked, NoAnswer)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))


class UrlTests(SynchronousTestCase):
    """Addresses that people type."""

    def test_good(self) -> None:
        """A host alone will do, and a slash at the end does no harm."""
        for text, url in {
            "there:1": "http://there:1",
            "there": "http://there",
            "http://[::1]:8474/": "http://[::1]:8474",
            "https://a-b.example": "https://a-b.example",
        }.items():
            self.assertEqual(read_url(text), url)

    def test_wrong(self) -> None:
        """Whatever else is refused, and not asked."""
        for text in (
            "", "ftp://a", "http://", "a:0", "a:x", "a:65536", "a b", "a/path", "a?b", "a#b", "é:1",
            "http://me:secret@there", "http://[::1", "a\n:1",
        ):  # fmt: skip
            error = self.assertRaises(LocalError, read_url, text)
            self.assertIn("; give one like http://localhost:8474", str(error))
