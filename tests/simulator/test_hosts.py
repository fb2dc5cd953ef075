"""One host: what runs on it, its ports, and what it sends."""

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from lab.simulator.hosts import FREE_PORTS
from lab.simulator.network import Network, simulate
from tests.capture.blocks import packets
from tests.helpers import folder
from tests.simulator.test_datagrams import Notes
from tests.simulator.test_parity import Connecting, Side


class HostTests(SynchronousTestCase):
    """What starts, crashes, and comes back."""

    def test_restart(self) -> None:
        """A service is started again after a crash; what is on the disk is there, all else gone."""
        net = Network(7)
        host = net.host("a")
        seen: list[int] = []

        def service(reactor: Any, disk: dict[str, Any]) -> Any:
            """Count starts on the disk, and live in a timer and a port."""
            disk["starts"] = disk.get("starts", 0) + 1
            reactor.callLater(1, seen.append, disk["starts"])
            return reactor.listenUDP(5000, Notes())

        first = host.start(service)
        host.crash()
        net.run(5)
        self.assertEqual((seen, host.up, host.udp), ([], False, {}))
        second = host.restart()
        self.assertIsNot(second, first)
        net.run(5)
        self.assertEqual(seen, [2])
        host.restart()  # also while it runs
        net.run(5)
        self.assertEqual(seen, [2, 3])

    def test_restart_without_service(self) -> None:
        """A host on which nothing was started comes back empty."""
        host = Network(7).host("a")
        host.crash()
        self.assertIsNone(host.restart())
        self.assertTrue(host.up)

    def test_nothing_runs_on_a_host_that_is_down(self) -> None:
        """What was under way to it, or due on it, does not happen."""
        net = Network(7)
        host = net.host("a")
        host.reactor.callFromThread(self.fail)
        host.crash()
        self.assertIsNone(host.call(self.fail))
        net.run(5)

    def test_blame(self) -> None:
        """What code on a host raises is logged and kept, with its name; `within` lets it out."""
        net = Network(7)
        host = net.host("a")
        error = host.call(int, "one")
        self.assertIsInstance(error, ValueError)
        self.assertEqual(net.failures, [f"a: {error!r}"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertRaises(ValueError, host.within, int, "one")
        self.assertIsNone(net.current)


class ConnectionTests(SynchronousTestCase):
    """How hosts are found and knocked at."""

    def setUp(self) -> None:
        """Two hosts."""
        self.net = Network(7)
        self.a, self.b = self.net.host("a"), self.net.host("b")

    def connect(self, name: str, port: int = 80) -> Side:
        """Connect from one of them."""
        side = Side({"data": lambda side, data: side.transport.loseConnection()})
        self.a.reactor.connectTCP(name, port, Connecting(side), timeout=5)
        return side

    def test_connected(self) -> None:
        """By name and by address, also to oneself, from a port that nobody has."""
        greets = {"made": lambda side: side.transport.write(b"hello")}
        for host in (self.a, self.b):
            factory = Factory()
            factory.buildProtocol = lambda addr: Side(greets)  # type: ignore[method-assign]
            host.reactor.listenTCP(80, factory)
        for name in ("b", self.b.address, "a", "localhost", self.a.address):
            side = self.connect(name)
            found = self.net.run_until(side.over)
            self.assertEqual(found, ["made", b"hello", "ConnectionDone"], name)
        self.net.run(1)
        self.assertEqual((self.a.ends, self.b.ends), ({}, {}))

    def test_free_ports(self) -> None:
        """Who asks for any port gets one that nobody has."""
        self.a.reactor.listenUDP(FREE_PORTS, Notes())
        port = self.a.reactor.listenUDP(0, Notes())
        self.assertEqual(port.getHost().port, FREE_PORTS + 1)

    def test_datagrams_to_nobody(self) -> None:
        """ICMP answers for a port, silence for a host; and it may come too late."""
        ours = Notes()
        port = self.a.reactor.listenUDP(0, ours)
        port.connect(self.b.address, 4999)
        port.write(b"x")
        self.net.run(1)
        self.assertEqual(ours.seen, ["started", "refused"])
        port.write(b"x")
        port.stopListening()
        self.net.run(1)
        other = self.a.reactor.listenUDP(0, ours)
        other.write(b"x", ("192.0.2.1", 1))
        self.b.crash()
        other.write(b"x", (self.b.address, 1))
        self.net.run(1)
        self.assertEqual(ours.seen, ["started", "refused", "stopped", "started"])

    def test_not_connected(self) -> None:
        """Refused, unknown, and silent hosts are told apart."""
        self.net.host("down").crash()
        ends = {"b": "ConnectionRefusedError", "nowhere": "DNSLookupError"}
        ends |= dict.fromkeys(("down", "192.0.2.1"), "TimeoutError")
        for name, error in ends.items():
            self.assertEqual(self.net.run_until(self.connect(name).over), [error], name)

    def test_crash_and_reset(self) -> None:
        """Whoever speaks to a host that has forgotten the connection is told so."""
        factory = Factory.forProtocol(Protocol)
        self.b.reactor.listenTCP(80, factory)
        side = self.connect("b")
        self.net.run(1)
        self.b.crash()
        side.transport.write(b"anybody?")
        self.net.run(1)
        self.assertEqual(side.seen, ["made"])
        self.b.restart()
        side.transport.write(b"anybody?")
        self.assertEqual(self.net.run_until(side.over), ["made", "ConnectionLost"])


class CaptureTests(SynchronousTestCase):
    """What a host sends, with a capture; `test_tapping` looks at the packets."""

    def test_all_kinds(self) -> None:
        """TCP that is answered and refused, UDP that is heard and not, and an address of nobody."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file) as net:
            a, b = net.host("a"), net.host("b")
            b.reactor.listenUDP(7, Notes())
            for where, port in (("b", 80), ("10.9.9.9", 80)):
                a.reactor.connectTCP(where, port, Connecting(Side("client")))
            notes = Notes()
            a.reactor.listenUDP(0, notes)
            for port in (7, 9):
                notes.transport.write(b"hello", (b.address, port))  # type: ignore[union-attr]
            net.run(60)
        found = packets(file.read_bytes())
        self.assertEqual(len([one for one in found if one.data[23] == 6]), 5)
        self.assertEqual(len([one for one in found if one.data[23] == 17]), 4)
        self.assertEqual(len([one for one in found if one.data[23] == 1]), 2)

    def test_groups(self) -> None:
        """What is sent to a group is heard by its members, with a capture and without one."""
        file = folder(self) / "run.pcapng"
        for capture in (None, file):
            with simulate(7, capture=capture) as net:
                a, b, c, d = (net.host(name) for name in "abcd")
                heard = Notes()
                b.reactor.listenMulticast(7, heard).joinGroup("224.0.0.9")
                d.reactor.listenMulticast(8, Notes()).joinGroup("224.0.0.9")
                c.reactor.listenUDP(7, Notes())
                port = a.reactor.listenUDP(0, Notes())
                port.write(b"hello", ("224.0.0.9", 7))
                b.reactor.listenMulticast(9, Notes()).write(b"late", ("224.0.0.9", 8))
                net.run(0.0005)
                d.crash()
                net.run(1)
            self.assertEqual([seen[0] for seen in heard.seen[1:]], [b"hello"])
        self.assertEqual(len(packets(file.read_bytes())), 7)

    def test_unix(self) -> None:
        """A Unix socket is there or is gone when somebody knocks; no capture sees it."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file) as net:
            host = net.host("a")
            factory = Factory.forProtocol(Protocol)
            factory.noisy = False
            sides = Side({}), Side({})
            port = host.reactor.listenUNIX("/run/lab", factory)
            host.reactor.connectUNIX("/run/lab", Connecting(sides[0]))
            net.run(1)
            host.reactor.connectUNIX("/run/lab", Connecting(sides[1]))
            port.stopListening()
            net.run(1)
        self.assertEqual([side.seen for side in sides], [["made"], ["ConnectionRefusedError"]])
        self.assertEqual(packets(file.read_bytes()), [])
