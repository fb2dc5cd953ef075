"""``twistd lab-proxy``: what its options say, and the proxies they make, on a fake reactor."""

import json
import os
import sys
import time
from typing import Any

from twisted.application.service import Application, MultiService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionDone, DNSLookupError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, formatEvent
from twisted.python.failure import Failure

from lab.commands import giving_up
from lab.commands import proxy as room
from lab.commands.options import one_line
from lab.commands.proxy import API, makeService
from lab.errors import LocalError
from lab.faults.journal import Journal, Place
from lab.faults.profiles import profile
from lab.faults.schema import STREAMS
from lab.proxy import ports
from lab.proxy.errors import ApiError
from lab.proxy.steps import Step
from tests.capture.blocks import packets
from tests.commands.servers import CommandTestCase
from tests.helpers import captured_logs, folder

TCP = "tcp:0:interface=127.0.0.1"
HERE = ("--listen", TCP, "--upstream", "tcp:127.0.0.1:49155")


class Transport(StringTransport):
    """One that takes after its end what real ones take."""

    def unregisterProducer(self) -> None:
        """There need be none."""

    def resumeProducing(self) -> None:
        """It reads on until the peer ends."""

    def abortConnection(self) -> None:
        """End."""
        self.disconnecting = True


class ProxyTestCase(CommandTestCase):
    """Parses options and makes proxies of them, on a fake reactor."""

    room = room

    def file(self, value: Any) -> str:
        """The path of a file with this JSON."""
        path = folder(self) / "proxies.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return str(path)


class OptionsTests(ProxyTestCase):
    """What the options say."""

    def test_defaults(self) -> None:
        """Without options there is the API, and no proxy."""
        options = self.options()
        assert options.api is not None
        self.assertEqual((options.api[0], options.wanted), (API, []))
        self.assertEqual(len({self.options().seed for _ in range(5)}), 5)
        self.assertEqual([self.options("--seed", text).seed for text in ("0", "8")], [0, 8])

    def test_named(self) -> None:
        """Each --listen is a proxy, with its upstream; then there is an API only if asked for."""
        words = ("--listen", "a:1", "--listen", TCP, "--upstream", "b:2", "--upstream", "unix:/x")
        options = self.options(*words)
        found = [(proxy.name, proxy.listen, proxy.upstream) for proxy in options.wanted]
        self.assertEqual(found, [("proxy", "a:1", "b:2"), ("proxy-2", TCP, "unix:/x")])
        self.assertIs(options.api, None)
        named = self.options(*words, "--api", TCP).api
        assert named is not None
        self.assertEqual(named[0], TCP)

    def test_faults(self) -> None:
        """Each proxy of --listen has all faults, each with a name of its own."""
        faults = ("latency:latency=100,jitter=20", "latency:latency=5", "cut:stream=upstream")
        words = [word for fault in faults for word in ("--fault", fault)]
        for proxy in self.options(*HERE, *HERE, *words).wanted:
            names = [(toxic.name, toxic.direction) for toxic in proxy.toxics]
            self.assertEqual(
                names,
                [
                    ("latency_downstream", "downstream"),
                    ("latency_downstream_2", "downstream"),
                    ("cut_upstream", "upstream"),
                ],
            )
            self.assertEqual(proxy.toxics[0].describe()["attributes"]["jitter"], 20)

    def test_names_of_faults(self) -> None:
        """A number that makes a name another's is passed over."""
        faults = ("noop:name=a", "noop:name=a_3", "noop:name=a", "noop:name=a_3")
        words = [word for fault in faults for word in ("--fault", fault)]
        (proxy,) = self.options(*HERE, *words).wanted
        names = [toxic.name for toxic in proxy.toxics]
        self.assertEqual(names, ["a", "a_3", "a_2", "a_3_2"])

    def test_profile(self) -> None:
        """A link by name is there on each --listen, ahead of its faults."""
        words = ("--profile", "3g", "--fault", "noop", "--fault", "noop:name=3g_latency_upstream")
        udp = ("--listen", "udp:0:interface=127.0.0.1", "--upstream", "udp:127.0.0.1:5")
        for proxy in self.options(*HERE, *udp, *words).wanted:
            faults = [toxic.fault() for toxic in proxy.toxics]
            self.assertEqual(faults[:4], profile("3g").faults(proxy.protocol))
            names = [fault.name for fault in faults[4:]]
            self.assertEqual(names, ["noop_downstream", "3g_latency_upstream_2"])
        path = self.file([{"name": "a", "listen": TCP, "upstream": "b:2", "profile": "lte"}])
        (proxy,) = self.options("-c", path).wanted
        self.assertEqual([one.fault() for one in proxy.toxics], profile("lte").faults())

    def test_steps(self) -> None:
        """Steps are for the proxies of --listen and of the file."""
        words = ("--at", "10/60:partition", "--at", "500ms:latency:latency=5")
        options = self.options(*HERE, *words)
        steps = [Step("partition", 10.0, 60.0), Step("latency:latency=5", 0.5)]
        self.assertEqual(options.steps, steps)
        path = self.file([{"name": "a", "listen": TCP, "upstream": "b:2"}])
        self.assertEqual(self.options("-c", path, *words).steps, steps)
        self.assertEqual(self.options().steps, [])

    def test_every_kind_of_fault(self) -> None:
        """Each type can be named without attributes, as far as its own may be left out."""
        for kind in STREAMS:
            try:
                STREAMS[kind].settings()
            except (LocalError, TypeError):
                continue
            (proxy,) = self.options(*HERE, "--fault", kind).wanted
            self.assertEqual(proxy.toxics[0].describe()["type"], kind)

    def test_file(self) -> None:
        """A file has proxies, as Toxiproxy's has; the API is there as well."""
        toxics = [{"type": "latency", "attributes": {"latency": 20}}]
        proxy = {"name": "a", "listen": "localhost:1", "upstream": "b:2", "toxics": toxics}
        options = self.options("-c", self.file([proxy, {**proxy, "name": "c", "enabled": False}]))
        self.assertEqual([one.name for one in options.wanted], ["a", "c"])
        self.assertEqual([one.enabled for one in options.wanted], [True, False])
        self.assertEqual(options.wanted[0].toxics[0].name, "latency_downstream")
        assert options.api is not None
        both = self.options(*HERE, "--config", self.file([proxy]))
        self.assertEqual([one.name for one in both.wanted], ["proxy", "a"])

    def test_mistakes(self) -> None:
        """A value that can't be is one line with what is allowed, and exit code 2."""
        mistakes = {
            "--listen a:1": "there are 1 of listen and 0 of upstream; give one upstream for each",
            "--upstream a:1": "there are 0 of listen and 1 of upstream; give one upstream for each",
            "--fault noop": "fault is for the proxies of listen; give one, or use the API",
            "--profile 3g": "profile is for the proxies of listen; give one, or use the API",
            "--at 1:heal": "at is for the proxies of listen and config; give one",
            "--listen a --upstream b:1": "listen is 'a'; give HOST:PORT or an endpoint (address a",
            "--listen a:1 --upstream b": "upstream is 'b'; give HOST:PORT or an endpoint (address",
            "--listen tcp:x --upstream b:1": "listen is 'tcp:x'; give HOST:PORT or an endpoint (",
            "--listen a:1 --upstream tcp:x": "upstream is 'tcp:x'; give HOST:PORT or an endpoint (",
            "--api udp:0": "api is 'udp:0'; give an endpoint of streams",
            "--api x": "endpoint is 'x'; give one like",
            "--seed -1": "seed is '-1'; give a whole number",
            "--log-format xml": "log-format is 'xml'; give text or json",
            "--config /nowhere/x": "config is '/nowhere/x'; No such file or directory",
            "argument": "Wrong number of arguments.",
            "--bogus": "option --bogus not recognized; see --help",
        }
        for words, line in mistakes.items():
            self.assertIn(f"lab-proxy: {line}", self.mistake(*words.split()), words)
        for fault, line in {
            "bogus": "type is 'bogus'; give one of bandwidth",
            "latency:bogus=1": "attribute is 'bogus'; give one of correlation",
            "latency:latency": "fault is 'latency:latency'; give TYPE:NAME=VALUE",
            "bandwidth:scope=all": "scope is 'all'; give one of connection, client, proxy",
        }.items():
            self.assertIn(f"lab-proxy: {line}", self.mistake(*HERE, "--fault", fault))
        for step, line in {
            "10": "at is '10'; give SECONDS:STEP, for example 10:partition",
            "1:cure": "step is 'cure'; give one of partition, heal, ",
            "1:reorder": "type is 'reorder'; give one of",
        }.items():
            self.assertIn(f"lab-proxy: {line}", self.mistake(*HERE, "--at", step))
        said = self.mistake(*HERE, "--profile", "6g")
        self.assertTrue(said.startswith("lab-proxy: profile is '6g'; give one of dialup, "), said)

    def test_mistakes_in_a_file(self) -> None:
        """So are those in a file; two proxies have two names."""
        proxy = {"name": "proxy", "listen": "a:1", "upstream": "b:2"}
        for value, line in (
            ([{"name": "x"}], "missing required field: upstream at proxy 1"),
            ({"name": "x"}, "bad request body: json: cannot unmarshal object"),
        ):
            path = self.file(value)
            said = self.mistake("-c", path)
            self.assertTrue(said.startswith(f"lab-proxy: config is {path!r}; {line}"), said)
        said = self.mistake("-c", self.file([proxy]), *HERE)
        self.assertEqual(said, "lab-proxy: there are 2 proxies 'proxy'; name each once")
        self.assertIn(
            "upstream is 'x'", self.mistake("-c", self.file([{**proxy, "upstream": "x"}]))
        )


class ServiceTests(ProxyTestCase):
    """The proxies and the API that the options make."""

    def connect(self, factory: Any) -> tuple[Any, StringTransport]:
        """Somebody connects: the protocol and its transport."""
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5000))
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_proxy(self) -> None:
        """It listens while it runs, and says what it did at the end."""
        service = self.start(*HERE, "--seed", "8")
        ((port, factory, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (0, "127.0.0.1"))
        self.assertEqual(self.logged[0], "seed 8")
        self.assertIn("proxy listens on tcp:", self.logged[-1])
        self.assertIn(" for tcp:127.0.0.1:49155, seed 8", self.logged[-1])
        self.connect(factory)
        ((host, upstream, *_),) = self.reactor.tcpClients
        self.assertEqual((host, upstream), ("127.0.0.1", 49155))
        self.assertIn(
            "proxy ends: 1 connections, 0 refused, 0 bytes up, 0 bytes down, faults {}, seed 8",
            self.stop(service),
        )

    def test_datagrams(self) -> None:
        """A proxy of UDP, with the faults of datagrams; those of streams are none of it."""
        words = ("--listen", "udp:49157:interface=127.0.0.1", "--upstream", "udp:127.0.0.1:50000")
        service = self.start(*words, "--fault", "duplicate:probability=1")
        (port,) = self.reactor.udp
        self.assertIsInstance(port.protocol, DatagramProtocol)
        self.assertIn("udp:49157:interface=127.0.0.1", " ".join(self.logged))
        (said, *_) = self.stop(service)
        self.assertTrue(said.startswith("proxy ends: 0 clients, 0 refused, "), said)
        self.assertIn("type is 'slicer'; give one of", self.mistake(*words, "--fault", "slicer"))

    def test_steps(self) -> None:
        """They begin to count when the proxies are there, and end with them."""
        service = self.start(*HERE, "--at", "10:partition", "--at", "20:drop", "--api", TCP)
        with captured_logs() as events:
            self.reactor.advance(10.0)
        self.assertEqual([formatEvent(event) for event in events], ["at 10 s: partition (proxy)"])
        site = self.reactor.tcpServers[-1][1]
        self.assertEqual(self.ask(site, b"localhost").count(b'"type":"partition"'), 2)
        self.stop(service)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_journal(self) -> None:
        """What a fault decides is in the journal at once, and the simulator can read it."""
        path = folder(self) / "journal.json"
        fault = ("--fault", "loss:probability=1,stream=upstream")
        service = self.start(*HERE, *fault, "--journal", str(path), "--seed", "8")
        self.assertEqual(path.read_text(), '{"journal": 1, "seed": 8}\n')
        client, transport = self.connect(self.reactor.tcpServers[0][1])
        _, _, factory, *_ = self.reactor.tcpClients[0]
        self.connect(factory)
        client.dataReceived(b"hello")
        journal = Journal.read(path.read_text().splitlines())
        self.assertEqual(journal.seed, 8)
        (entry,) = journal.entries
        self.assertEqual(entry.place, Place("proxy", 0, "upstream", "loss_upstream"))
        self.stop(service)
        self.assertTrue(transport.disconnecting)

    def test_capture(self) -> None:
        """What goes through is in the capture at once, at the time of day."""
        path = folder(self) / "run.pcapng"
        fault = ("--fault", "timeout:stream=upstream")
        before = time.time()
        service = self.start(*HERE, *fault, "--capture", str(path), "--seed", "8")
        client, _ = self.connect(self.reactor.tcpServers[0][1])
        _, _, factory, *_ = self.reactor.tcpClients[0]
        self.connect(factory)
        client.dataReceived(b"hello")
        data = path.read_bytes()
        self.assertIn(b"lab-proxy with seed 8", data)
        for name in (b"proxy-client", b"proxy-upstream"):
            self.assertIn(name, data)
        hello = next(one for one in packets(data) if one.data.endswith(b"hello"))
        self.assertEqual(hello.comment, "dropped by timeout_upstream")
        self.assertTrue(before - 1 < hello.when / 1e9 < time.time() + 1)
        self.stop(service)
        self.assertGreater(len(path.read_bytes()), len(data))

    def test_capture_of_datagrams(self) -> None:
        """So is what goes through a proxy of UDP."""
        path = folder(self) / "run.pcapng"
        words = ("--listen", "udp:49157:interface=127.0.0.1", "--upstream", "udp:127.0.0.1:50000")
        service = self.start(*words, "--capture", str(path))
        (port,) = self.reactor.udp
        port.protocol.datagramReceived(b"hello", ("127.0.0.1", 1024))
        (packet, *_) = packets(path.read_bytes())
        self.assertTrue(packet.data.endswith(b"hello"))
        self.stop(service)

    def test_capture_for_readers(self) -> None:
        """A FIFO is looked at when the service runs, and no more when it has ended."""
        path = folder(self) / "fifo"
        os.mkfifo(path)
        service = self.start(*HERE, "--capture", str(path))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.stop(service)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_no_capture(self) -> None:
        """A file that can't be written is one line."""
        error = self.assertRaises(LocalError, self.start, *HERE, "--capture", "/nowhere/x")
        self.assertEqual(str(error), "capture is '/nowhere/x'; No such file or directory")

    def test_api(self) -> None:
        """Without proxies there is an API; it is told by its own address and by names allowed."""
        service = self.start("--allow-host", "Box", "--token", "")
        ((port, site, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (8474, "127.0.0.1"))
        self.assertIn("api listens on tcp:", self.logged[-1])
        for host, status in ((b"box:8474", b"200"), (b"localhost", b"200"), (b"evil", b"403")):
            self.assertIn(b"HTTP/1.1 " + status, self.ask(site, host))
        self.assertIn("api ends: 0 proxies", self.stop(service))

    def ask(self, site: Any, host: bytes) -> bytes:
        """What the API answers to the same question, asked by this name."""
        protocol, transport = self.connect(site)
        asks = b"GET /proxies HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
        protocol.dataReceived(asks % host)
        protocol.connectionLost(Failure(ConnectionDone()))
        return transport.value()

    def test_token(self) -> None:
        """With a token nobody is answered without it."""
        self.start("--token", "sesame", "--api", TCP)
        self.patch(os, "environ", {**os.environ, "LAB_PROXY_TOKEN": "sesame"})
        self.start("--api", TCP)
        self.start("--token", "", "--api", TCP)
        for server, status in zip(self.reactor.tcpServers, (b"401", b"401", b"200"), strict=True):
            self.assertIn(b" %s " % status, self.ask(server[1], b"localhost"))

    def test_strict(self) -> None:
        """With --strict numbers that make no sense are refused at the start."""
        toxics = [{"type": "latency", "attributes": {"latency": -1}}]
        path = self.file([{"name": "a", "listen": TCP, "upstream": "b:2", "toxics": toxics}])
        self.start("-c", path)
        error = self.assertRaises(LocalError, self.start, "-c", path, "--strict")
        self.assertIn("at proxy 1", str(error))

    def test_port_is_taken(self) -> None:
        """A port that is taken ends the start, in one line."""

        def refuse(*given: object, **named: object) -> None:
            """Refuse."""
            raise CannotListenError("127.0.0.1", 1, OSError(98, "Address already in use"))

        self.patch(self.reactor, "listenTCP", refuse)
        error = self.assertRaises(ApiError, self.start, *HERE)
        self.assertIn("bind: address already in use", str(error))
        self.assertIs(sys.excepthook, one_line)

    def later(self, error: Exception) -> list[str]:
        """What is logged at the start if a name is resolved to this error, some time later."""
        waiting: Deferred[Any] = Deferred()

        class Resolver:
            """Knows a name later."""

            def __init__(self, *given: Any) -> None:
                pass

            def addresses(self) -> Any:
                """Not yet."""
                return waiting

        self.patch(ports, "DatagramClientEndpoint", Resolver)
        self.patch(giving_up, "give_up", lambda reactor, error: given.append((reactor, str(error))))
        given: list[tuple[Any, str]] = []
        service = self.start("--listen", "there.example:1", "--upstream", "b:2")
        with captured_logs() as events:
            waiting.errback(Failure(error))
        self.stop(service)
        ((reactor, self.line),) = given
        self.assertIs(reactor, self.reactor)
        return [formatEvent(event) for event in events]

    def test_name_is_unknown(self) -> None:
        """A name that has to be asked for is too late to end the start; the program ends then."""
        self.assertEqual(self.later(DNSLookupError("no")), [])
        self.assertIn("listen tcp: lookup there.example", self.line)
        self.assertNotIn("\n", self.line)

    def test_bug(self) -> None:
        """A bug is logged as one, and is the end, too."""
        (line,) = self.later(ZeroDivisionError())
        self.assertEqual((line, self.line), ("the proxies are not made",) * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_log_format(self) -> None:
        """With --log-format json the application gets an observer of ours, otherwise not."""
        for words, ours in (((), False), (("--log-format", "json"), True)):
            options = self.options(*words)
            options.parent = {"nodaemon": True}  # type: ignore[assignment]
            application = Application("lab-proxy")
            service = makeService(options)
            self.assertIsInstance(service, MultiService)
            service.setServiceParent(application)
            self.assertEqual(application.getComponent(ILogObserver) is not None, ours)
