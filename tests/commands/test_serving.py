"""The services that the options of ``twistd lab-server`` make."""

import gc
import sys
from typing import Any

from twisted.application.service import Application
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver
from twisted.python.failure import Failure

from lab.commands import console, serving
from lab.commands.collecting import YOUNG
from lab.commands.options import one_line
from lab.commands.serving import make_services
from lab.commands.workers import Supervisor
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadSite
from lab.echo.classic import ClassicFactory
from lab.echo.tcp import EchoFactory
from tests.commands.servers import CLIENT, TCP, UDP, ServerTestCase
from tests.helpers import folder


class ServiceTests(ServerTestCase):
    """The services that the options make."""

    def test_stream(self) -> None:
        """At a stream endpoint lines are answered, with the limits of the options."""
        service = self.start("--arithmetic", TCP, "--idle", "7")
        ((port, factory, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface, self.reactor.udp), (0, "127.0.0.1", []))
        self.assertIn("arithmetic listens on tcp:", self.logged[-1])
        protocol: Any = factory.buildProtocol(IPv4Address("TCP", *CLIENT))
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"+,1,1\n/,1,0\n")
        self.assertEqual(transport.value(), b"200,2\n300,-1\n")
        self.reactor.advance(6.9)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(0.2)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIn("arithmetic ends: 1 executed, 1 refused", self.stop(service))

    def test_datagrams(self) -> None:
        """At a UDP endpoint datagrams are answered, once, and all is counted."""
        service = self.start("--arithmetic", UDP)
        (port,) = self.reactor.udp
        self.assertEqual(self.logged[-1], "arithmetic listens on udp:127.0.0.1:4002")
        self.assertEqual(port.receive(b"#a-1 +,1,1"), [b"#a-1 200,2"])
        self.assertEqual(port.receive(b"#a-1 +,1,1"), [b"#a-1 200,2"])
        self.assertEqual(port.receive(b"/,1,0"), [b"300,-1"])
        self.assertIn(
            "arithmetic ends: 3 datagrams, 0 dropped, 1 executed, 1 refused, 1 repeated, "
            "0 evicted, 0 not sent",
            self.stop(service),
        )
        self.assertFalse(port.open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_limits_of_the_cache(self) -> None:
        """The caches of answers are as large as the options say."""
        self.start("--arithmetic", UDP, "--cache-entries", "1")
        (port,) = self.reactor.udp
        for number in b"123":
            port.receive(b"#a-%c +,1,1" % number)
        self.assertEqual(port.protocol.replies.evicted, 2)  # type: ignore[attr-defined]

    def dropped(self, *words: str) -> list[list[bool]]:
        """Which of 50 datagrams are dropped, at each UDP endpoint."""
        self.reactor.udp.clear()
        self.start(*words)
        return [[not port.receive(b"+,1,1") for _ in range(50)] for port in self.reactor.udp]

    def test_drops(self) -> None:
        """A seed decides what is dropped, whatever the port; each endpoint has its own row."""
        words = ("--drop-rate", "0.5", "--seed")
        two = ("--arithmetic", UDP, "--arithmetic", UDP)
        first, second = self.dropped(*words, "8", *two)
        self.assertNotEqual(first, second)
        self.assertEqual(self.dropped(*words, "8", "--arithmetic", "udp:7"), [first])
        self.assertNotEqual(self.dropped(*words, "9", "--arithmetic", UDP), [first])

    def test_streams_between_change_no_drops(self) -> None:
        """A stream endpoint before a UDP endpoint does not change what that drops."""
        words = ("--drop-rate", "0.5", "--seed", "8", "--arithmetic", UDP)
        self.assertEqual(self.dropped("--arithmetic", TCP, *words), self.dropped(*words))

    def test_seed_is_logged(self) -> None:
        """A server that drops says its rate and seed, so that the run can be repeated."""
        self.start("--arithmetic", UDP, "--drop-rate", ".25", "--seed", "8")
        self.assertEqual(self.logged[0], "drop rate 0.25, seed 8")
        self.start("--arithmetic", UDP, "--seed", "8")
        self.assertFalse([line for line in self.logged if "seed" in line])

    def test_defaults(self) -> None:
        """Without options it listens for all, on the usual ports."""
        service: Any = self.start()
        places = [(port, *rest) for port, _, *rest in self.reactor.tcpServers]
        expected = [(port, 1024, "127.0.0.1") for port in (50000, 49155, 50001, 50002)]
        self.assertEqual(sorted(places), sorted(expected))
        udp = [(port.port, port.interface) for port in self.reactor.udp]
        self.assertEqual(udp, [(50000, "127.0.0.1"), (50001, "127.0.0.1")])
        self.assertEqual(len(list(service)), 8)
        self.assertEqual(gc.get_threshold()[0], YOUNG)

    def test_sequence(self) -> None:
        """Sequences, at all their endpoints by one factory, which says what it did."""
        service = self.start("--sequence", TCP, "--sequence", TCP)
        (_, one, *_), (_, other, *_) = self.reactor.tcpServers
        self.assertIs(one, other)
        protocol = one.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"start 1\n")
        self.reactor.advance(0)
        lines = transport.value().split(b"\n")
        self.assertEqual(
            [line.split()[0] for line in lines[:3]], [b"session", b"number", b"checksum"]
        )
        protocol.dataReceived(b"done\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        said = [line for line in self.stop(service) if "begun" in line]
        self.assertEqual(len(said), 2)
        self.assertIn("1 begun, 0 resumed, 1 done, 0 rejected", said[0])

    def test_echo(self) -> None:
        """The echo service and its old relatives, as the options say; each says what it did."""
        words = ("--stream-packets", "5", "--echo", TCP, "--echo", UDP, "--discard", TCP)
        service = self.start(*words)
        (_, echo, *_), (_, discard, *_) = self.reactor.tcpServers
        self.assertIsInstance(echo, EchoFactory)
        self.assertIsInstance(discard, ClassicFactory)
        self.assertEqual(self.reactor.udp[0].receive(b"hello"), [b"hello"])
        transport = StringTransport()
        protocol = echo.buildProtocol(IPv4Address("TCP", *CLIENT))
        protocol.makeConnection(transport)
        protocol.dataReceived(b"hello\nstream 1 6\n")
        self.assertEqual(transport.value(), b"hello\n413 count is 6; at most 5\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        said = [line for line in self.stop(service) if " ends: " in line]
        counted = "1 echoed, 0 probes, 0 streams, 0 files"
        datagrams = "0 refused, 0 busy, 0 ignored, 0 sent in batches, 0 not sent"
        self.assertEqual(
            sorted(said),
            [
                "discard ends: 0 connections",
                f"echo ends: {counted}, {datagrams}",
                f"echo ends: {counted}, 1 refused, 0 busy",
            ],
        )

    def test_download(self) -> None:
        """Files of the directory that is named, at all endpoints by one factory."""
        root = folder(self)
        (root / "a").write_bytes(b"12345")
        words = ("--download", TCP, "--download", TCP, "--root", str(root), "--transfers", "1")
        service = self.start(*words)
        (_, one, *_), (_, other, *_) = self.reactor.tcpServers
        self.assertIs(one, other)
        self.assertIsInstance(one, DownloadFactory)
        self.assertEqual(one.shared.settings.transfers, 1)
        protocol, transport = one.buildProtocol(IPv4Address("TCP", *CLIENT)), StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"get a\nget x\n")
        self.reactor.advance(0)
        self.assertIn(b"\n12345404 there is no file 'x'\n", transport.value())
        protocol.connectionLost(Failure(ConnectionDone()))
        said = [line for line in self.stop(service) if " ends: " in line]
        text = "download ends: 2 requests, 1 transfers, 5 bytes, 0 hashed, 1 refused, 0 busy"
        self.assertEqual(said, [text, text])

    def test_web(self) -> None:
        """The same files over HTTP; without another door, if only this is named."""
        root = folder(self)
        (root / "a").write_bytes(b"12345")
        service = self.start("--web", TCP, "--download", TCP, "--root", str(root))
        sites = [factory for _, factory, *_ in self.reactor.tcpServers]
        site = next(one for one in sites if isinstance(one, DownloadSite))
        self.assertIn(site.server, sites)
        channel, transport = site.buildProtocol(None), StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(transport.value().endswith(b"\r\n\r\n12345"))
        channel.connectionLost(Failure(ConnectionDone()))
        said = [line for line in self.stop(service) if " ends: " in line]
        counted = "ends: 1 requests, 1 transfers, 5 bytes, 0 hashed, 0 refused, 0 busy"
        self.assertEqual(sorted(said), [f"download {counted}", f"web {counted}"])
        service = self.start("--web", TCP, "--root", str(root))
        self.assertEqual(len(self.reactor.tcpServers), 3)
        self.stop(service)
        self.assertIn("web is at 'udp:1'; give an", self.mistake("--web", "udp:1"))

    def test_control(self) -> None:
        """At the control socket all that listens is told of, and the server stopped."""
        path = folder(self) / "control"
        service = self.start("--echo", TCP, "--control", f"unix:{path}")
        self.assertIn(f"control listens on unix:{path}", self.logged)
        ((_, factory, _, mode, _),) = self.reactor.unixServers
        self.assertEqual(mode, 0o600)
        control, transport = factory.buildProtocol(None), StringTransport()
        control.makeConnection(transport)
        control.dataReceived(b"statistics\nstop\n")
        self.assertIn(b"echo at tcp:", transport.value())
        stopped = []
        self.patch(self.reactor, "stop", lambda: stopped.append(True))
        self.reactor.running = True
        control.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(0)
        self.assertEqual(stopped, [True])
        self.reactor.running = False
        serving._stop(self.reactor)
        self.reactor.advance(0)
        self.assertEqual(stopped, [True])
        self.stop(service)
        self.assertIn("control is ''; give unix:PATH", self.mistake("--control", ""))

    def test_console(self) -> None:
        """The console knows the same; it ends with the server."""
        sessions: list[Any] = []

        def converse(reactor: Any, session: Any, **words: Any) -> Any:
            """As if there were somebody."""
            sessions.append(session)
            return Deferred()

        self.patch(console, "converse", converse)
        service = self.start("--echo", TCP, "--console")
        (session,) = sessions
        self.assertIn("echo at tcp:", self.successResultOf(session.line("statistics")))
        self.stop(service)

    def test_mistakes_are_one_line(self) -> None:
        """What can't be listened at will be one line: the hook for exceptions is ours."""
        make_services(self.options())
        self.assertIs(sys.excepthook, one_line)

    def test_log_format(self) -> None:
        """With --log-format json the application gets an observer of ours, otherwise not."""
        for words, ours in (((), False), (("--log-format", "json"), True)):
            options = self.options(*words)
            options.parent = {"nodaemon": True}  # type: ignore[assignment]
            application = Application("lab-server")
            make_services(options).setServiceParent(application)
            self.assertEqual(application.getComponent(ILogObserver) is not None, ours)


class WheelTests(ServerTestCase):
    """What the clients of sequences wait in."""

    def test_wheel(self) -> None:
        """A thousand of them take one call of the reactor."""
        self.start("--sequence", TCP)
        (_, factory, *_), *_ = self.reactor.tcpServers
        for _ in range(1000):
            protocol = factory.buildProtocol(None)
            protocol.makeConnection(StringTransport())
            protocol.dataReceived(b"start 5\n")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)


class WorkersTests(ServerTestCase):
    """Several processes."""

    def test_supervised(self) -> None:
        """With workers, this process listens nowhere itself."""
        options = self.options("--workers", "2", "--arithmetic", TCP)
        services: Any = make_services(options)
        (supervisor,) = services
        self.assertIsInstance(supervisor, Supervisor)
        self.assertIn("--worker=4000", supervisor._make([4000]))
