"""Services that listen."""

import gc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.endpoints import serverFromString
from lab.adapters.service import ListeningService, show_address
from lab.errors import LocalError
from tests.helpers import captured_logs


class FakePort:
    """A port in memory that may take its time to close."""

    def __init__(self) -> None:
        self.closed = 0
        self.closing: Any = None

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def stopListening(self) -> Any:
        """Note it."""
        self.closed += 1
        return self.closing


class FakeEndpoint:
    """An endpoint that gives what it is told to, or raises it."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.listeners: list[Any] = []

    def listen(self, listener: Any) -> Any:
        """Note it."""
        self.listeners.append(listener)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class ServiceTests(SynchronousTestCase):
    """On stand-ins."""

    def make(self, result: Any, place: str = "tcp:0") -> ListeningService:
        """A service whose endpoint gives this."""
        self.endpoint, self.factory = FakeEndpoint(result), Factory()
        endpoint: Any = self.endpoint
        return ListeningService("echo", place, endpoint, self.factory, lambda: "7 served")

    def test_listens(self) -> None:
        """It listens when it starts, has its port, and closes it when it stops."""
        port = FakePort()
        service = self.make(succeed(port))
        self.assertIsNone(service.port)
        service.startService()
        self.assertIs(service.port, port)
        self.assertEqual((self.endpoint.listeners, service.running), ([self.factory], 1))
        self.assertIsNone(self.successResultOf(service.stopService()))
        self.assertIsNone(service.port)
        self.assertEqual((port.closed, service.running), (1, 0))

    def test_privileged(self) -> None:
        """It listens while that is still allowed, and then not once more."""
        service = self.make(succeed(FakePort()))
        service.privilegedStartService()
        self.assertEqual(len(self.endpoint.listeners), 1)
        service.startService()
        self.assertEqual(len(self.endpoint.listeners), 1)

    def test_port_at_once(self) -> None:
        """An endpoint may give its port without a Deferred, as those of datagrams do."""
        port = FakePort()
        service = self.make(port)
        service.startService()
        self.assertIs(service.port, port)

    def test_log(self) -> None:
        """Where it listens is logged as a client would write it, and at the end what was done."""
        service = self.make(succeed(FakePort()), "ssl:0:interface=127.0.0.1")
        with captured_logs() as events:
            service.startService()
            service.stopService()
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["echo listens on ssl:127.0.0.1:50000", "echo ends: 7 served"],
        )
        self.assertEqual({event["log_level"] for event in events}, {LogLevel.info})

    def test_slow_close(self) -> None:
        """Its end comes when the port is closed."""
        port = FakePort()
        port.closing = Deferred()
        service = self.make(succeed(port))
        service.startService()
        done = service.stopService()
        self.assertNoResult(done)
        port.closing.callback(None)
        self.assertIsNone(self.successResultOf(done))

    def test_stop_without_a_port(self) -> None:
        """One that never listened can be stopped."""
        service = self.make(succeed(FakePort()))
        self.assertIsNone(self.successResultOf(service.stopService()))

    def test_again(self) -> None:
        """One that was stopped can be started again."""
        service = self.make(succeed(FakePort()))
        for _ in range(2):
            self.endpoint.result = succeed(FakePort())
            service.startService()
            self.successResultOf(service.stopService())
        self.assertEqual(len(self.endpoint.listeners), 2)

    def test_refused(self) -> None:
        """Whatever the endpoint raises or fails with is one line that holds the address."""
        place = "tcp:80:interface=127.0.0.1"
        taken = OSError(98, "Address already in use")
        for error, why in (
            (CannotListenError("127.0.0.1", 80, taken), "Address already in use"),
            (CannotListenError("127.0.0.1", 80, "no reason"), "no reason"),
            (PermissionError(13, "Permission denied"), "Permission denied"),
            (OverflowError("port must be 0-65535"), "port must be 0-65535"),
        ):
            for result in (error, fail(error)):
                service = self.make(result, place)
                for start in (service.privilegedStartService, service.startService):
                    text = str(self.assertRaises(LocalError, start))
                    self.assertIn(place, text)
                    self.assertIn(why, text)
                    self.assertEqual(len(text.splitlines()), 1)
                    self.endpoint.result = error
                self.assertIsNone(service.port)


class AddressTests(SynchronousTestCase):
    """Addresses as endpoint strings."""

    def test_internet(self) -> None:
        """Host and port; the colons of IPv6 are escaped."""
        four, six = IPv4Address("TCP", "127.0.0.1", 5), IPv6Address("UDP", "::1", 5)
        self.assertEqual(show_address("tcp", four), "tcp:127.0.0.1:5")
        self.assertEqual(show_address("udp", six), r"udp:\:\:1:5")

    def test_unix(self) -> None:
        """The path; a socket without one shows none."""
        self.assertEqual(show_address("unix", UNIXAddress(b"/tmp/lab")), "unix:/tmp/lab")
        self.assertEqual(show_address("unix", UNIXAddress(None)), "unix:")

    def test_other(self) -> None:
        """An address of a kind that we do not know shows question marks."""
        other: Any = object()
        self.assertEqual(show_address("odd", other), "odd:?:?")

    def test_memory(self) -> None:
        """A string of Twisted's own endpoints gives a service too."""
        memory = MemoryReactorClock()
        endpoint = serverFromString(memory, "unix:/tmp/lab")
        service = ListeningService("echo", "unix:/tmp/lab", endpoint, Factory(), lambda: "")
        with captured_logs() as events:
            service.startService()
        self.assertEqual(formatEvent(events[-1]), "echo listens on unix:/tmp/lab")
        self.assertEqual(memory.unixServers[0][0], "/tmp/lab")


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 10

    def make(self, place: str) -> ListeningService:
        """A service of that kind that ends with the test."""
        listener: Any = DatagramProtocol() if place.startswith("udp") else Factory()
        endpoint = serverFromString(reactor, place)
        service = ListeningService("echo", place, endpoint, listener, lambda: "nothing")
        self.addCleanup(service.stopService)
        return service

    def collect(self) -> None:
        """Twisted leaves the socket of a port that it can't have to the garbage collector."""
        gc.collect()
        left = {warning["category"] for warning in self.flushWarnings()}
        self.assertLessEqual(left, {ResourceWarning})

    def test_reported(self) -> None:
        """A port that the system chose is the one that is logged."""
        for kind in ("tcp", "udp"):
            service = self.make(f"{kind}:0:interface=127.0.0.1")
            self.assertEqual((service.place(), service.report()), ("", "nothing"))
            with captured_logs() as events:
                service.startService()
            port: Any = service.port
            (text,) = [formatEvent(event) for event in events if event.get("name") == "echo"]
            self.assertEqual(text, f"echo listens on {kind}:127.0.0.1:{port.getHost().port}")
            self.assertEqual(text, f"{service.label} listens on {service.place()}")
            self.assertNotEqual(port.getHost().port, 0)

    def test_taken(self) -> None:
        """A port in use is an error that names the endpoint, of either kind."""
        for kind in ("tcp", "udp"):
            first = self.make(f"{kind}:0:interface=127.0.0.1")
            first.startService()
            number = first.port.getHost().port
            place = f"{kind}:{number}:interface=127.0.0.1"
            second = self.make(place)
            text = str(self.assertRaises(LocalError, second.startService))
            self.assertIn(place, text)
            self.assertIsNone(second.port)
        self.collect()

    def test_taken_path(self) -> None:
        """So is a Unix socket where something else is, or whose directory is not there."""
        with TemporaryDirectory() as folder:
            taken, nowhere = Path(folder) / "taken", Path(folder) / "nowhere" / "socket"
            taken.write_text("")
            for path in (taken, nowhere):
                service = self.make(f"unix:{path}")
                text = str(self.assertRaises(LocalError, service.startService))
                self.assertIn(str(path), text)
                self.assertIsNone(service.port)
        self.collect()

    async def test_free_again(self) -> None:
        """Once it has stopped, its port can be taken by another at once."""
        for kind in ("tcp", "udp"):
            first = self.make(f"{kind}:0:interface=127.0.0.1")
            first.startService()
            number = first.port.getHost().port
            await first.stopService()
            second = self.make(f"{kind}:{number}:interface=127.0.0.1")
            second.startService()
            self.assertEqual(second.port.getHost().port, number)
