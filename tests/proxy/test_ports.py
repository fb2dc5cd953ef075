"""Ports, opened and closed."""

import errno
import gc
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import alsoProvides

from lab.adapters.connecting import AddressEndpoint
from lab.adapters.endpoints import LARGEST, DatagramClientEndpoint
from lab.errors import LocalError
from lab.proxy.errors import ApiError
from lab.proxy.ports import PATIENCE, Ports, connector
from tests.helpers import folder


class FakeResolver:
    """Says what it is told to, or nothing."""

    def __init__(self, *addresses: Any, silent: bool = False) -> None:
        self.addresses, self.silent, self.asked = addresses, silent, []

    def resolveHostName(self, receiver: Any, name: str, port: int = 0, *more: Any) -> Any:
        """Say it."""
        self.asked.append(name)
        self.name = name
        receiver.resolutionBegan(self)
        if not self.silent:
            for address in self.addresses:
                receiver.addressResolved(address("TCP", *FakeResolver.hosts[address], port))
            receiver.resolutionComplete()
        return self

    hosts: Any = {IPv4Address: ["192.0.2.7"], IPv6Address: ["2001:db8::7"]}  # noqa: RUF012


class FakePort:
    """A port that may take its time to close."""

    def __init__(self, host: str, port: int, kind: str = "TCP") -> None:
        self.address = IPv4Address(kind, host, port or 4096)
        self.closing: Any = None

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return self.address

    def stopListening(self) -> Any:
        """Give what it is told to."""
        return self.closing


class FakeReactor(Clock):
    """Listens without sockets, and refuses where it is told to."""

    def __init__(
        self, resolver: Any = None, refuse: dict[str, OSError | str] | None = None
    ) -> None:
        super().__init__()
        self.nameResolver = resolver
        self.refuse = refuse or {}
        self.opened: list[tuple[str, int]] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Note it."""
        if interface in self.refuse:
            raise CannotListenError(interface, port, self.refuse[interface])
        self.opened.append((interface, port))
        return FakePort(interface, port)

    def listenUDP(self, port: int, protocol: Any, interface: str = "", size: int = 8192) -> Any:
        """Note it."""
        assert size == LARGEST
        if interface in self.refuse:
            raise CannotListenError(interface, port, self.refuse[interface])
        self.opened.append((interface, port))
        return FakePort(interface, port, "UDP")


def resolving(*addresses: Any, silent: bool = False) -> FakeReactor:
    """A reactor that resolves names so."""
    from twisted.internet.interfaces import IReactorPluggableNameResolver
    from zope.interface import directlyProvides

    made = FakeReactor(FakeResolver(*addresses, silent=silent))
    directlyProvides(made, IReactorPluggableNameResolver)
    return made


class OpenTests(SynchronousTestCase):
    """On a stand-in."""

    def open(self, reactor: FakeReactor, text: str) -> Any:
        """Open; what comes of it, or the Deferred of that."""
        return Deferred.fromCoroutine(Ports(reactor).open(text, Factory()))

    def refused(self, reactor: FakeReactor, text: str) -> tuple[int, str]:
        """Why it can't be opened."""
        error = self.failureResultOf(self.open(reactor, text), ApiError).value
        return error.status, str(error)

    def test_addresses(self) -> None:
        """What is opened, and what is shown and remembered of it."""
        for text, opened, shown in (
            ("127.0.0.1:0", ("127.0.0.1", 0), "127.0.0.1:4096"),
            ("127.0.0.1:80", ("127.0.0.1", 80), "127.0.0.1:80"),
            ("localhost:0", ("127.0.0.1", 0), "127.0.0.1:4096"),
            ("", ("::", 0), "[::]:4096"),
            ("0.0.0.0:80", ("::", 80), "[::]:80"),
            ("[::1]:80", ("::1", 80), "[::1]:80"),
            ("tcp:0:interface=::1", ("::1", 0), "tcp:4096:interface=::1"),
        ):
            made = FakeReactor()
            _, found = self.successResultOf(self.open(made, text.replace("=::1", r"=\:\:1")))
            self.assertEqual((made.opened, found.replace("\\", "")), ([opened], shown))

    def test_names(self) -> None:
        """Of several addresses that of IPv4, if there is one."""
        made = resolving(IPv6Address, IPv4Address)
        _, shown = self.successResultOf(self.open(made, "redis:80"))
        self.assertEqual(shown, "192.0.2.7:80")
        _, shown = self.successResultOf(self.open(resolving(IPv6Address), "redis:80"))
        self.assertEqual(shown, "[2001:db8::7]:80")

    def test_unknown_names(self) -> None:
        """Nobody knows the name, it can be none, or nobody says anything."""
        error = (500, "listen tcp: lookup redis: no such host")
        self.assertEqual(self.refused(resolving(), "redis:80"), error)
        made = resolving()
        error = (500, "listen tcp: lookup a b: no such host")
        self.assertEqual(self.refused(made, "a b:80"), error)
        self.assertEqual(made.nameResolver.asked, [])
        made = resolving(silent=True)
        opening = self.open(made, "redis:80")
        self.assertNoResult(opening)
        made.advance(PATIENCE)
        error = self.failureResultOf(opening, ApiError).value
        self.assertEqual(str(error), "listen tcp: lookup redis: i/o timeout")

    def test_no_addresses(self) -> None:
        """What can't be read is refused in Go's words; a wrong endpoint string in ours."""
        error = (500, "listen tcp: address garbage: missing port in address")
        self.assertEqual(self.refused(FakeReactor(), "garbage"), error)
        status, text = self.refused(FakeReactor(), "tcp:x")
        self.assertEqual(status, 400)
        self.assertIn("endpoint is 'tcp:x'", text)

    def test_refused(self) -> None:
        """The system's reason, in Go's words."""
        for why, text in (
            (OSError(errno.EADDRINUSE, "Address already in use"), "address already in use"),
            ("no more", "no more"),
        ):
            made = FakeReactor(refuse={"127.0.0.1": why})
            error = (500, f"listen tcp 127.0.0.1:80: bind: {text}")
            self.assertEqual(self.refused(made, "127.0.0.1:80"), error)
        made = FakeReactor(refuse={"::": OSError(errno.EACCES, "Permission denied")})
        error = (500, "listen tcp :80: bind: permission denied")
        self.assertEqual(self.refused(made, ":80"), error)

    def test_without_ipv6(self) -> None:
        """All addresses are then all of IPv4."""
        made = FakeReactor(refuse={"::": OSError(errno.EAFNOSUPPORT, "no IPv6")})
        _, shown = self.successResultOf(self.open(made, ":80"))
        self.assertEqual((made.opened, shown), ([("0.0.0.0", 80)], "[::]:80"))

    def test_resolved(self) -> None:
        """What would be shown, before anything is opened."""
        for text, shown in (("localhost:80", "127.0.0.1:80"), ("unix:/s", "unix:/s")):
            found = Deferred.fromCoroutine(Ports(FakeReactor()).resolved(text))
            self.assertEqual(self.successResultOf(found), shown)
        found = Deferred.fromCoroutine(Ports(FakeReactor()).resolved("garbage"))
        error = self.failureResultOf(found, ApiError).value
        self.assertEqual(str(error), "address garbage: missing port in address")


class DatagramTests(SynchronousTestCase):
    """The same for datagrams, on a stand-in."""

    def open(self, reactor: FakeReactor, text: str) -> Any:
        """Open; what comes of it, or the Deferred of that."""
        return Deferred.fromCoroutine(Ports(reactor).open(text, DatagramProtocol()))

    def refused(self, reactor: FakeReactor, text: str) -> tuple[int, str]:
        """Why it can't be opened."""
        error = self.failureResultOf(self.open(reactor, text), ApiError).value
        return error.status, str(error)

    def test_addresses(self) -> None:
        """What is opened, and what is shown and remembered of it."""
        for text, opened, shown in (
            ("127.0.0.1:0", ("127.0.0.1", 0), "127.0.0.1:4096"),
            ("localhost:domain", ("127.0.0.1", 53), "127.0.0.1:53"),
            ("", ("::", 0), "[::]:4096"),
            ("[::1]:80", ("::1", 80), "[::1]:80"),
            ("udp:0", ("", 0), "udp:4096"),
            ("udp:0:interface=127.0.0.1", ("127.0.0.1", 0), "udp:4096:interface=127.0.0.1"),
        ):
            made = FakeReactor()
            port, found = self.successResultOf(self.open(made, text))
            self.assertEqual((made.opened, found), ([opened], shown))
            self.assertEqual(port.getHost().type, "UDP")

    def test_refused(self) -> None:
        """In Go's words; an endpoint string in ours."""
        for text, why in (
            ("garbage", "listen udp: address garbage: missing port in address"),
            (":http", "listen udp: lookup udp/http: unknown port"),
            ("redis:80", "listen udp: lookup redis: no such host"),
        ):
            self.assertEqual(self.refused(resolving(), text), (500, why))
        made = FakeReactor(refuse={"127.0.0.1": OSError(errno.EADDRINUSE, "Address already in u")})
        error = (500, "listen udp 127.0.0.1:53: bind: address already in u")
        self.assertEqual(self.refused(made, "127.0.0.1:53"), error)
        status, text = self.refused(FakeReactor(), "udp:x")
        self.assertEqual(status, 400)
        self.assertIn("endpoint is 'udp:x'", text)

    def test_without_ipv6(self) -> None:
        """All addresses are then all of IPv4."""
        made = FakeReactor(refuse={"::": OSError(errno.EAFNOSUPPORT, "no IPv6")})
        _, shown = self.successResultOf(self.open(made, ":80"))
        self.assertEqual((made.opened, shown), ([("0.0.0.0", 80)], "[::]:80"))

    def test_other_protocol(self) -> None:
        """An endpoint string that is for streams opens nothing, and the other way round."""
        error = (400, "listen is 'tcp:80'; that is tcp, and the proxy is udp")
        self.assertEqual(self.refused(FakeReactor(), "tcp:80"), error)
        opening = Deferred.fromCoroutine(Ports(FakeReactor()).open("udp:80", Factory()))
        error = self.failureResultOf(opening, ApiError).value
        self.assertEqual(str(error), "listen is 'udp:80'; that is udp, and the proxy is tcp")

    def test_resolved(self) -> None:
        """What would be shown, before anything is opened."""
        ports = Ports(FakeReactor())
        for text in ("127.0.0.1:53", "udp:53"):
            found = Deferred.fromCoroutine(ports.resolved(text, "udp"))
            self.assertEqual(self.successResultOf(found), text)
        found = Deferred.fromCoroutine(ports.resolved("udp:53"))
        self.assertEqual(self.failureResultOf(found, ApiError).value.status, 400)


class CloseTests(SynchronousTestCase):
    """On a stand-in."""

    def test_in_time(self) -> None:
        """A port that does not close is not waited for longer than `PATIENCE`."""
        made = FakeReactor()
        port = FakePort("127.0.0.1", 80)
        self.successResultOf(Deferred.fromCoroutine(Ports(made).close(port)))
        port.closing = Deferred()
        closing = Deferred.fromCoroutine(Ports(made).close(port))
        self.assertNoResult(closing)
        made.advance(PATIENCE)
        self.successResultOf(closing)

    def test_opening_in_time(self) -> None:
        """Nor is one that does not open."""
        from lab.proxy import ports

        made, never = FakeReactor(), type("Never", (), {"listen": lambda self, _: Deferred()})
        self.patch(ports, "serverFromString", lambda reactor, text: never())
        opening = Deferred.fromCoroutine(Ports(made).open("tcp:80", Factory()))
        made.advance(PATIENCE)
        error = self.failureResultOf(opening, ApiError).value
        self.assertEqual(str(error), "listen tcp:80: i/o timeout")


class LoopbackTests(TestCase):
    """On real sockets."""

    timeout = 20

    @inlineCallbacks
    def test_closed(self) -> Any:
        """Who connects after closing is refused, and the port is free."""
        ports = Ports(reactor)
        port, shown = yield Deferred.fromCoroutine(ports.open("127.0.0.1:0", Factory()))
        taken = Deferred.fromCoroutine(ports.open(shown, Factory()))
        error = yield self.assertFailure(taken, ApiError)
        self.assertEqual(str(error), f"listen tcp {shown}: bind: address already in use")
        yield Deferred.fromCoroutine(ports.close(port))
        with socket.socket() as client:
            found = client.connect_ex(("127.0.0.1", int(shown.rpartition(":")[2])))
        self.assertEqual(found, errno.ECONNREFUSED)
        port, again = yield Deferred.fromCoroutine(ports.open(shown, Factory()))
        self.assertEqual(again, shown)
        yield Deferred.fromCoroutine(ports.close(port))

    @inlineCallbacks
    def test_no_folder(self) -> Any:
        """A Unix socket where there is no folder is refused like any other place."""
        place = f"unix:{self.mktemp()}/x"
        refused = Deferred.fromCoroutine(Ports(reactor).open(place, Factory()))
        error = yield self.assertFailure(refused, ApiError)
        self.assertEqual(str(error), f"listen {place}: bind: no such file or directory")

    @inlineCallbacks
    def test_datagrams(self) -> Any:
        """A port of UDP is none of TCP; when it is closed it is free."""
        ports = Ports(reactor)
        stream, shown = yield Deferred.fromCoroutine(ports.open("127.0.0.1:0", Factory()))
        for _ in range(2):
            port, again = yield Deferred.fromCoroutine(ports.open(shown, DatagramProtocol()))
            self.assertEqual(again, shown)
            taken = Deferred.fromCoroutine(ports.open(shown, DatagramProtocol()))
            error = yield self.assertFailure(taken, ApiError)
            self.assertEqual(str(error), f"listen udp {shown}: bind: address already in use")
            yield Deferred.fromCoroutine(ports.close(port))
        yield Deferred.fromCoroutine(ports.close(stream))
        # Twisted leaves the socket that could not be bound to the garbage collector.
        del taken, error
        gc.collect()
        left = {warning["category"] for warning in self.flushWarnings()}
        self.assertLessEqual(left, {ResourceWarning})

    @inlineCallbacks
    def test_unix(self) -> Any:
        """An endpoint string that has no port."""
        text = f"unix:{folder(self)}/s"
        port, shown = yield Deferred.fromCoroutine(Ports(reactor).open(text, Factory()))
        self.assertEqual(shown, text)
        self.assertIsInstance(port.getHost(), UNIXAddress)
        yield Deferred.fromCoroutine(Ports(reactor).close(port))

    @inlineCallbacks
    def test_connector(self) -> Any:
        """Where it connects to."""
        port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        number = port.getHost().port
        for text in (f":{number}", f"localhost:{number}", f"tcp:127.0.0.1:{number}"):
            connect = connector(reactor, text)
            client = yield connectProtocol(connect(), Protocol())
            self.assertEqual(client.transport.getPeer().port, number)
            yield client.transport.abortConnection()
        yield port.stopListening()


class ConnectorTests(SynchronousTestCase):
    """Without sockets."""

    def test_not_looked_at(self) -> None:
        """What is no address is no error until somebody connects."""
        for text, why in (
            ("garbage", "dial tcp: address garbage: missing port in address"),
            ("", None),
            ("a b:80", "dial tcp: lookup a b: no such host"),
        ):
            endpoint = connector(resolving(), text)()
            if why is None:
                self.assertIsInstance(endpoint, HostnameEndpoint)
                continue
            error = self.failureResultOf(endpoint.connect(Factory()), ConnectError).value
            self.assertIn(why, str(error))

    def test_names(self) -> None:
        """A name is looked for when somebody connects."""
        made = resolving()
        endpoint = connector(made, "redis:80")()
        self.assertEqual(made.nameResolver.asked, [])
        self.assertIsInstance(endpoint, HostnameEndpoint)

    def test_addresses(self) -> None:
        """An address is connected to without a search for it, where the reactor has sockets."""
        made = resolving()
        self.assertIsInstance(connector(made, "127.0.0.1:80")(), HostnameEndpoint)
        alsoProvides(made, IReactorFDSet)
        for text, kind in (
            ("127.0.0.1:80", AddressEndpoint),
            ("[::1]:80", AddressEndpoint),
            (":80", AddressEndpoint),
            ("[fe80::1%lo]:80", HostnameEndpoint),
            ("redis:80", HostnameEndpoint),
        ):
            connect = connector(made, text)
            endpoint = connect()
            self.assertIsInstance(endpoint, kind, text)
            self.assertIs(connect(), endpoint)

    def test_endpoint_strings(self) -> None:
        """A wrong one is refused at once, and so is one for the other protocol."""
        self.assertRaises(LocalError, connector, FakeReactor(), "tcp:x")
        self.assertRaises(LocalError, connector, FakeReactor(), "udp:x", "udp")
        for text, protocol in (("udp:a:80", "tcp"), ("tcp:a:80", "udp")):
            error = self.assertRaises(LocalError, connector, FakeReactor(), text, protocol)
            why = f"upstream is {text!r}; that is {text[:3]}, and the proxy is {protocol}"
            self.assertEqual(str(error), why)

    def test_datagrams(self) -> None:
        """An upstream of datagrams; what is no address is no error until somebody sends."""
        made = FakeReactor()
        for text, host, port in (
            (":53", "127.0.0.1", 53),
            ("localhost:domain", "127.0.0.1", 53),
            ("udp:localhost:53", "localhost", 53),
            ("redis:53", "redis", 53),
        ):
            found = connector(made, text, "udp")()
            self.assertEqual(found, DatagramClientEndpoint(made, host, port))
        for text, why in (
            ("garbage", "dial udp: address garbage: missing port in address"),
            ("a:http", "dial udp: lookup udp/http: unknown port"),
        ):
            looking = connector(made, text, "udp")().addresses()
            self.assertIn(why, str(self.failureResultOf(looking, ConnectError).value))
