"""Proxies for clients that block: real sockets, and a reactor in a thread of its own."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Duplicate, Latency, Loss
from lab.faults.streams import LimitData
from lab.proxy.blocking import BlockingProxies, ReactorThread, blocking_proxies

#: No socket waits longer, in seconds; only failures reach it.
PATIENCE = 30.0


def echo(server: socket.socket) -> None:
    """Send back what one client after the other sends, until the server is closed."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except ConnectionResetError:
                pass


@contextmanager
def serving() -> Iterator[int]:
    """A server that blocks a thread; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=echo, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def connect(address: tuple[str, int]) -> socket.socket:
    """A client."""
    return socket.create_connection(address, timeout=PATIENCE)


def ask(client: socket.socket, text: bytes = b"hello") -> bytes:
    """What comes back."""
    client.sendall(text)
    found = b""
    while len(found) < len(text) and (data := client.recv(len(text))):
        found += data
    return found


class BlockingTests(SynchronousTestCase):
    """Tests that block."""

    def setUp(self) -> None:
        """Have a server, and proxies in a thread."""
        self.port: int = self.enter(serving())
        self.thread: ReactorThread = self.enter(ReactorThread())
        self.proxies: BlockingProxies = self.enter(blocking_proxies(7, self.thread))

    def enter(self, manager: Any) -> Any:
        """Have it for the time of the test."""
        found = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return found

    def before(self, **given: Any) -> Any:
        """A proxy before the server."""
        return self.proxies.before(self.port, **given)

    def test_faults(self) -> None:
        """Faults in seconds and bytes work on a socket, and are counted."""
        proxy = self.before(name="db")
        proxy.add(Latency(0.01, jitter=0.01), stream="both")
        with closing(connect(proxy.address)) as client:
            self.assertEqual(ask(client), b"hello")
            with proxy.fault(LimitData(3)) as limit:
                client.sendall(b"hello")
                self.assertEqual([client.recv(9), client.recv(9)], [b"hel", b""])
        proxy.assert_hit("latency", at_least=4)
        proxy.assert_hit(limit)
        self.assertEqual((proxy.name, proxy.accepted, proxy.refused), ("db", 1, 0))
        self.assertEqual(proxy.received, {"upstream": 10, "downstream": 10})
        drawn = len(self.proxies.journal.entries)
        self.assertEqual((len(proxy.journal.entries), proxy.hits["latency"]), (drawn, drawn))

    def test_cut(self) -> None:
        """A client waits in vain, until the cut heals."""
        proxy = self.before()
        with closing(connect(proxy.address)) as client:
            ask(client)
            proxy.cut()
            client.settimeout(0.01)
            self.assertRaises(TimeoutError, ask, client, b"again")
            proxy.until_hit("partition")
            error = self.assertRaises(AssertionError, proxy.until_hit, "partition", 2, 0.01)
            self.assertIn("partition of proxy has hit 1 time, and not 2; ", str(error))
            proxy.heal()
            client.settimeout(PATIENCE)
            self.assertEqual(client.recv(9), b"again")

    def test_reset(self) -> None:
        """The client hears RST."""
        proxy = self.before()
        with closing(connect(proxy.address)) as client:
            ask(client)
            proxy.reset()
            self.assertRaises(ConnectionResetError, client.recv, 1)

    def test_down_and_up(self) -> None:
        """The client hears FIN, is refused, and finds it again where it was."""
        proxy = self.before()
        with closing(connect(proxy.address)) as client:
            ask(client)
            proxy.down()
            self.assertEqual(client.recv(1), b"")
        self.assertRaises(ConnectionRefusedError, connect, proxy.address)
        proxy.up()
        with closing(connect(proxy.address)) as client:
            self.assertEqual(ask(client), b"hello")

    def test_taken(self) -> None:
        """An error of the thread is one of the test."""
        proxy = self.before()
        proxy.down()
        with socket.create_server(proxy.address):
            error = self.assertRaises(LocalError, proxy.up)
        self.assertIn("proxy can't listen: ", str(error))

    def test_datagrams(self) -> None:
        """Datagrams are doubled, and lost."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            for one in (server, client):
                one.bind(("127.0.0.1", 0))
                one.settimeout(PATIENCE)
            proxy = self.proxies.before(f"udp:127.0.0.1:{server.getsockname()[1]}")
            proxy.add(Loss(every=2), stream="upstream")
            proxy.add(Duplicate(1.0), stream="upstream")
            for text in (b"a", b"b", b"c"):
                client.sendto(text, proxy.address)
            self.assertEqual([server.recv(9) for _ in range(4)], [b"a", b"a", b"c", b"c"])
            self.assertEqual(proxy.hits, {"loss": 1, "duplicate": 2})

    def test_not_of_another_reactor(self) -> None:
        """What would need the reactor that is installed is refused."""
        endpoint = TCP4ClientEndpoint(None, "127.0.0.1", 80)
        for upstream in (endpoint, "tls:localhost:443", "ssl:localhost:443"):
            self.assertRaises(LocalError, self.proxies.before, upstream)
        error = self.assertRaises(LocalError, self.proxies.before, "tls:db:443")
        self.assertIn("let the client do TLS", str(error))

    def test_report(self) -> None:
        """A report has the seed."""
        self.assertEqual(self.proxies.seed, 7)
        self.before(name="db")
        self.assertIn("proxies with seed 7:\n  db at 127.0.0.1:", self.proxies.report())

    def test_left_open(self) -> None:
        """What a test leaves open ends with it."""
        with blocking_proxies(0, self.thread) as proxies:
            proxy = proxies.before(self.port)
            client = connect(proxy.address)
            self.addCleanup(client.close)
            proxy.add(Latency(60.0), stream="both")
            client.sendall(b"hello")
        self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertRaises(ConnectionRefusedError, connect, proxy.address)
        left = self.thread.call(lambda: [
            *self.thread.reactor.removeAll(), *self.thread.reactor.getDelayedCalls()
        ])  # fmt: skip
        self.assertEqual(left, [])


class ThreadTests(SynchronousTestCase):
    """The thread."""

    def open_files(self) -> int:
        """How many this process has."""
        return len(list(Path("/proc/self/fd").iterdir()))

    def test_gone(self) -> None:
        """With proxies that have one of their own, it ends with them; nothing is left of it."""
        threads, before = threading.active_count(), self.open_files()
        for _ in range(3):
            with serving() as port, blocking_proxies() as proxies:
                self.assertEqual(proxies.seed, 0)
                with closing(connect(proxies.before(port).address)) as client:
                    self.assertEqual(ask(client), b"hello")
        self.assertEqual((threading.active_count(), self.open_files()), (threads, before))

    def test_error(self) -> None:
        """What fails within is not hidden by the end."""
        with self.assertRaises(ZeroDivisionError), blocking_proxies():
            _ = 1 / 0

    def test_second(self) -> None:
        """It is nobody else's reactor, and nobody's thread of Twisted's."""
        before = threadable.ioThread
        with ReactorThread() as thread:
            self.assertTrue(thread.call(lambda: thread.reactor.running))
            self.assertIsNot(sys.modules.get("twisted.internet.reactor"), thread.reactor)
            self.assertEqual(threadable.ioThread, before)
