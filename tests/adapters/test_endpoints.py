"""Endpoint strings, and what they open."""

import gc
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, DNSLookupError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from lab.adapters.endpoints import (
    LARGEST,
    TURN,
    DatagramClientEndpoint,
    DatagramServerEndpoint,
    clientFromString,
    serverFromString,
)
from lab.adapters.proxy_protocol import HeadedEndpoint
from lab.adapters.udp import DatagramPort
from lab.errors import LocalError

#: Names that no `udp:` string has to escape.
NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)


class FakeResolver:
    """A resolver that says what it is told to."""

    def __init__(self, *addresses: Any) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    def resolveHostName(self, receiver: Any, name: str, port: int = 0, *_: Any) -> Any:
        """Give all the addresses."""
        self.asked.append((name, port))
        resolution = type("Resolution", (), {"name": name})()
        receiver.resolutionBegan(resolution)
        for address in self.addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()
        return resolution


class FakeReactor(MemoryReactorClock):
    """A reactor in memory that has UDP too."""

    def __init__(self) -> None:
        super().__init__()
        self.udp: list[tuple[Any, ...]] = []

    def listenUDP(self, *arguments: Any) -> object:
        """Note it, and give what is no port of Twisted's."""
        self.udp.append(arguments)
        return "port"


class EndpointCase(SynchronousTestCase):
    """A test case with a reactor in memory."""

    def setUp(self) -> None:
        """The reactor."""
        self.reactor = FakeReactor()

    def assertWrong(self, read: Any, *texts: str) -> None:
        """Each of these gives an error of one line that names it."""
        for text in texts:
            error = str(self.assertRaises(LocalError, read, self.reactor, text))
            self.assertIn(f"endpoint is {text!r}; ", error)
            self.assertEqual(len(error.splitlines()), 1, error)


class ServerStringTests(EndpointCase):
    """Strings of servers."""

    def read(self, text: str) -> tuple[int, str]:
        """Port and interface."""
        endpoint: Any = serverFromString(self.reactor, text)
        self.assertIs(endpoint.reactor, self.reactor)
        return endpoint.port, endpoint.interface

    def test_port(self) -> None:
        """Without an interface it is all of IPv4; port 0 takes a free one."""
        for port in (0, 1, 50000, 65535):
            self.assertEqual(self.read(f"udp:{port}"), (port, ""))

    def test_interface(self) -> None:
        """An address of either family; an IPv6 address escapes its colons."""
        self.assertEqual(self.read("udp:5:interface=127.0.0.1"), (5, "127.0.0.1"))
        self.assertEqual(self.read(r"udp:5:interface=\:\:1"), (5, "::1"))
        self.assertEqual(self.read(r"udp:5:interface=fe80\:\:1\:2"), (5, "fe80::1:2"))

    def test_empty_interface(self) -> None:
        """An interface that is empty is none."""
        self.assertEqual(self.read("udp:5:interface="), (5, ""))

    def test_escapes(self) -> None:
        """A backslash gives any character as it is."""
        self.assertEqual(self.read(r"u\dp:\5:inter\face=127.0.0\.1"), (5, "127.0.0.1"))

    def test_wrong_port(self) -> None:
        """A port is digits of ASCII, up to 65535; the error says so."""
        wrong = ("", "x", "-1", "+1", " 1", "1 ", "1.0", "65536", "000001", "9" * 5000, "\u0661")
        self.assertWrong(serverFromString, *(f"udp:{port}" for port in wrong))
        error = self.assertRaises(LocalError, serverFromString, self.reactor, "udp:65536")
        self.assertEqual(str(error), "endpoint is 'udp:65536'; give a port from 0 to 65535")

    def test_wrong_words(self) -> None:
        """No names, no other options, nothing without a port; the error shows both forms."""
        wrong = (
            "udp",
            "udp:5:interface=localhost",
            "udp:5:interface=::1",
            "udp:5:127.0.0.1",
            "udp:5:backlog=1",
            "udp:5:interface=127.0.0.1:backlog=1",
            "udp:5:",
            r"udp:\:\:1:50000",
            "udp:localhost:50000",
        )
        self.assertWrong(serverFromString, *wrong)
        for text in wrong:
            error = self.assertRaises(LocalError, serverFromString, self.reactor, text)
            self.assertTrue(str(error).endswith("; give udp:PORT or udp:PORT:interface=ADDRESS"))

    def test_streams(self) -> None:
        """All others are Twisted's own."""
        endpoint = serverFromString(self.reactor, "tcp:50000:interface=127.0.0.1")
        self.assertIsInstance(endpoint, endpoints.TCP4ServerEndpoint)
        self.successResultOf(endpoint.listen(None))
        ((port, _, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (50000, "127.0.0.1"))

    def test_wrong_streams(self) -> None:
        """What Twisted's parsers raise becomes a line with an example."""
        wrong = ("", ":", "nope:1", "tcp", "tcp:x", "tcp:1:x=1", "unix", "UDP:1")
        self.assertWrong(serverFromString, *wrong, "systemd:domain=INET:index=0")
        error = self.assertRaises(LocalError, serverFromString, self.reactor, "tcp:x")
        self.assertIn("; give one like tcp:50000:interface=127.0.0.1 (", str(error))

    def test_files(self) -> None:
        """A file that can't be read is named, with the reason; one that is no key is wrong too."""
        with TemporaryDirectory() as folder:
            missing = f"ssl:1:privateKey={folder}/missing"
            self.assertWrong(serverFromString, missing)
            error = self.assertRaises(LocalError, serverFromString, self.reactor, missing)
            self.assertIn("No such file or directory", str(error))
            self.assertNotIn("give one like", str(error))
            junk = Path(folder) / "junk"
            junk.write_text("no key\n")
            self.assertWrong(serverFromString, f"ssl:1:privateKey={junk}:certKey={junk}")

    @given(st.text(st.sampled_from("udp:\\=interface127.0x\n"), max_size=30))
    def test_any_udp(self, rest: str) -> None:
        """Whatever follows ``udp:``, it is an endpoint or a line for people."""
        for read in (serverFromString, clientFromString):
            try:
                endpoint: Any = read(FakeReactor(), "udp:" + rest)
            except LocalError as error:
                self.assertEqual(len(str(error).splitlines()), 1)
            else:
                self.assertIn(endpoint.port, range(65536))


class WrongStreamTests(EndpointCase, TestCase):
    """Strings that Twisted's parsers do not take well."""

    def test_last_backslash(self) -> None:
        """A backslash that ends a string is wrong."""
        for read in (serverFromString, clientFromString):
            self.assertWrong(read, "tcp:50000\\")

    def test_unknown_method(self) -> None:
        """A method that OpenSSL does not have is wrong."""
        self.assertWrong(serverFromString, "ssl:1:sslmethod=x")

    def test_newline(self) -> None:
        """A line ending in a string makes no second line of the error."""
        for read in (serverFromString, clientFromString):
            self.assertWrong(read, "nope\nnope:1", "tcp:1:a\nb=1")


class ClientStringTests(EndpointCase):
    """Strings of clients."""

    def read(self, text: str) -> tuple[str, int]:
        """Host and port."""
        endpoint: Any = clientFromString(self.reactor, text)
        self.assertIs(endpoint.reactor, self.reactor)
        return endpoint.host, endpoint.port

    def test_addresses(self) -> None:
        """Names and addresses of either family; an IPv6 address escapes its colons."""
        self.assertEqual(self.read("udp:localhost:1"), ("localhost", 1))
        self.assertEqual(self.read("udp:127.0.0.1:65535"), ("127.0.0.1", 65535))
        self.assertEqual(self.read(r"udp:\:\:1:50000"), ("::1", 50000))

    @given(NAMES, st.integers(1, 65535))
    def test_any_name(self, name: str, port: int) -> None:
        """Any name and port are read back."""
        endpoint: Any = clientFromString(FakeReactor(), f"udp:{name}:{port}")
        self.assertEqual((endpoint.host, endpoint.port), (name, port))

    def test_wrong(self) -> None:
        """Host and port, and no more; the error shows one."""
        wrong = ("udp", "udp:", "udp:50000", "udp::50000", "udp:::1:50000", "udp:h:1:timeout=3")
        self.assertWrong(clientFromString, *wrong)
        for text in wrong:
            error = self.assertRaises(LocalError, clientFromString, self.reactor, text)
            self.assertIn("; give udp:HOST:PORT, e.g. udp:localhost:50000", str(error))

    def test_wrong_port(self) -> None:
        """Nobody can be asked at port 0."""
        self.assertWrong(clientFromString, *(f"udp:h:{port}" for port in ("0", "", "x", "65536")))
        error = self.assertRaises(LocalError, clientFromString, self.reactor, "udp:h:0")
        self.assertEqual(str(error), "endpoint is 'udp:h:0'; give a port from 1 to 65535")

    def test_streams(self) -> None:
        """All others are Twisted's own."""
        endpoint = clientFromString(self.reactor, "unix:/nowhere")
        self.assertIsInstance(endpoint, endpoints.UNIXClientEndpoint)

    def test_folders(self) -> None:
        """A folder of certificates that is not there is the reason."""
        for text in ("tls:h:1:trustRoots=/nowhere", "haproxy:1:tls:h:1:trustRoots=/nowhere"):
            self.assertWrong(clientFromString, text)
            error = self.assertRaises(LocalError, clientFromString, self.reactor, text)
            self.assertIn("No such file or directory", str(error))

    def test_headed(self) -> None:
        """The PROXY protocol, of either version, before whatever stream."""
        for inside in ("tcp:h:1", "unix:/nowhere", "tls:h:1", "ssl:h:1"):
            for version in (1, 2):
                endpoint = clientFromString(self.reactor, f"haproxy:{version}:{inside}")
                self.assertIsInstance(endpoint, HeadedEndpoint)

    def test_wrong_headed(self) -> None:
        """No other version, no datagrams, no header behind a header, and nothing else unknown."""
        wrong = ("", ":1", ":1:", ":3:tcp:h:1", ":tcp:h:1", ":2:udp:h:1", ":2:haproxy:1:tcp:h:1")
        self.assertWrong(clientFromString, *(f"haproxy{rest}" for rest in wrong))
        for rest in wrong:
            error = self.assertRaises(LocalError, clientFromString, self.reactor, f"haproxy{rest}")
            self.assertIn("; give haproxy:1:ENDPOINT or haproxy:2:ENDPOINT, where", str(error))
        error = self.assertRaises(LocalError, clientFromString, self.reactor, "haproxy:2:tcp:h")
        self.assertIn("; give one like haproxy:2:tcp:localhost:50000 (", str(error))

    def test_wrong_streams(self) -> None:
        """What Twisted's parsers raise becomes a line with an example."""
        self.assertWrong(clientFromString, "", "nope:1", "tcp", "tcp:h", "tcp:h:x", "unix")
        error = self.assertRaises(LocalError, clientFromString, self.reactor, "tcp:h:x")
        self.assertIn("; give one like tcp:localhost:50000 (", str(error))


class ResolveTests(EndpointCase):
    """Names and their addresses."""

    def resolve(self, host: str, *addresses: Any) -> Deferred[list[tuple[str, int]]]:
        """The addresses of a host, when a resolver says these."""
        self.resolver = FakeResolver(*addresses)
        self.reactor.nameResolver = self.resolver
        return DatagramClientEndpoint(self.reactor, host, 5).addresses()

    def test_address(self) -> None:
        """What is an address already is not looked up."""
        for host in ("127.0.0.1", "::1"):
            self.assertEqual(self.successResultOf(self.resolve(host)), [(host, 5)])
            self.assertEqual(self.resolver.asked, [])

    def test_name(self) -> None:
        """All addresses of a name, of both families, in the resolver's order."""
        found = self.resolve(
            "example.invalid", IPv6Address("UDP", "::1", 5), IPv4Address("UDP", "127.0.0.1", 5)
        )
        self.assertEqual(self.successResultOf(found), [("::1", 5), ("127.0.0.1", 5)])
        self.assertEqual(self.resolver.asked, [("example.invalid", 5)])

    def test_unknown(self) -> None:
        """A name without an address of a kind that we know is an error that names it."""
        for addresses in ((), (UNIXAddress(b"/tmp/lab"),)):
            failed = self.resolve("example.invalid", *addresses)
            error = self.failureResultOf(failed, DNSLookupError).value
            self.assertIn("no address for 'example.invalid'", str(error))


class ListenTests(EndpointCase):
    """What is opened."""

    def test_server(self) -> None:
        """A server's port is the one that was asked for, and takes the largest datagrams."""
        protocol = DatagramProtocol()
        port: Any = DatagramServerEndpoint(self.reactor, 5, "127.0.0.1").listen(protocol)
        self.assertEqual(self.reactor.udp, [(5, protocol, "127.0.0.1", LARGEST)])
        self.assertEqual(port, "port")

    def test_client(self) -> None:
        """A client's port is a free one, of the family of its interface."""
        protocol = DatagramProtocol()
        endpoint = DatagramClientEndpoint(self.reactor, "h", 5)
        endpoint.listen(protocol)
        endpoint.listen(protocol, "::")
        self.assertEqual(
            self.reactor.udp, [(0, protocol, "", LARGEST), (0, protocol, "::", LARGEST)]
        )


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 10

    def listen(self, text: str) -> Any:
        """A server's port that ends with the test."""
        endpoint: Any = serverFromString(reactor, text)
        port = endpoint.listen(DatagramProtocol())
        self.addCleanup(port.stopListening)
        return port

    def test_port(self) -> None:
        """A real port reads less in a turn than Twisted would, no datagram cut, and has room."""
        port = self.listen("udp:0:interface=127.0.0.1")
        self.assertIsInstance(port, DatagramPort)
        self.assertEqual((port.maxThroughput, port.maxPacketSize), (TURN, 65535))
        self.assertEqual(port.getHost().host, "127.0.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            room = [
                one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for one in (port.socket, other)
            ]
        self.assertGreater(*room)

    def test_taken(self) -> None:
        """A port that is taken is not shared."""
        number = self.listen("udp:0:interface=127.0.0.1").getHost().port
        endpoint: Any = serverFromString(reactor, f"udp:{number}:interface=127.0.0.1")
        self.assertRaises(CannotListenError, endpoint.listen, DatagramProtocol())
        # Twisted leaves the socket of a port that it can't have to the garbage collector.
        gc.collect()
        left = {warning["category"] for warning in self.flushWarnings()}
        self.assertLessEqual(left, {ResourceWarning})

    def test_ipv6(self) -> None:
        """An interface of IPv6 gives a port of IPv6."""
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            raise SkipTest(f"needs IPv6 on loopback: {error}") from error
        self.assertEqual(self.listen(r"udp:0:interface=\:\:1").getHost().host, "::1")

    async def test_localhost(self) -> None:
        """The reactor's own resolver gives loopback addresses with the port."""
        found = await DatagramClientEndpoint(reactor, "localhost", 5).addresses()
        self.assertLessEqual(set(found), {("127.0.0.1", 5), ("::1", 5)})
        self.assertNotEqual(found, [])
