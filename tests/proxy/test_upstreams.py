"""What a proxy may stand before."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.errors import LocalError
from lab.proxy.upstreams import place, read_upstream
from lab.simulator import simulate


class UpstreamTests(SynchronousTestCase):
    """All forms."""

    def setUp(self) -> None:
        """Have a reactor that connects nowhere."""
        self.reactor: Any = MemoryReactorClock()

    def test_words(self) -> None:
        """Each place has words, and those are read again."""
        cases: list[tuple[Any, str]] = [
            ("db:5432", "db:5432"),
            ("tcp:db:5432", "tcp:db:5432"),
            ("udp:ns:53", "udp:ns:53"),
            (5432, "127.0.0.1:5432"),
            (("db", 5432), "db:5432"),
            (("::1", 5432), "[::1]:5432"),
            (IPv4Address("TCP", "10.0.0.1", 80), "10.0.0.1:80"),
            (IPv4Address("TCP", "0.0.0.0", 80), "127.0.0.1:80"),
            (IPv6Address("TCP", "::", 80), "[::1]:80"),
            (IPv4Address("UDP", "0.0.0.0", 53), "udp:127.0.0.1:53"),
            (IPv6Address("UDP", "::1", 53), "udp:\\:\\:1:53"),
            (UNIXAddress("/tmp/a:b\\c"), "unix:/tmp/a\\:b\\\\c"),
        ]
        for given_, text in cases:
            self.assertEqual(place(given_), text)
            found = read_upstream(self.reactor, given_)
            protocol = "udp" if text.startswith("udp") else "tcp"
            self.assertEqual((found.text, found.protocol), (text, protocol))
            datagrams = isinstance(found.connect(), DatagramClientEndpoint)
            self.assertEqual(datagrams, protocol == "udp")

    def test_quoted(self) -> None:
        """Endpoint strings say what the address was."""
        found = read_upstream(self.reactor, UNIXAddress("/tmp/a:b\\c")).connect()
        self.assertEqual(found._path, "/tmp/a:b\\c")
        found = read_upstream(self.reactor, IPv6Address("UDP", "::1", 53)).connect()
        self.assertEqual((found.host, found.port), ("::1", 53))

    def test_ports(self) -> None:
        """A port that listens is found where it listens."""
        with simulate(1) as net:
            host = net.host("a")
            tcp, udp = (
                host.reactor.listenTCP(80, Factory()),
                host.reactor.listenUDP(53, DatagramProtocol()),
            )
            self.assertEqual(place(tcp), f"{host.address}:80")
            self.assertEqual(place(udp), f"udp:{host.address}:53")

    def test_endpoints(self) -> None:
        """An endpoint of a client is taken as it is."""
        stream = TCP4ClientEndpoint(self.reactor, "db", 80)
        datagrams = DatagramClientEndpoint(self.reactor, "ns", 53)
        found = read_upstream(self.reactor, stream)
        self.assertIs(found.connect(), stream)
        self.assertEqual((found.text, found.protocol), ("TCP4ClientEndpoint", "tcp"))
        found = read_upstream(self.reactor, datagrams)
        self.assertIs(found.connect(), datagrams)
        self.assertEqual((found.text, found.protocol), ("udp:ns:53", "udp"))

    def test_refused(self) -> None:
        """What can be no place is refused in a line that says what was given, and what may be."""
        wrong: list[Any] = [
            "db", "", "db:", "db:0", 0, -1, 70000, ("db", 0), ("db",), ("db", "x"), (1, 2), None,
            1.5, b"db:80", "a b:80", "tcp:", "tcp:80", "udp:80", "udp:a:0", UNIXAddress(b""),
        ]  # fmt: skip
        for one in wrong:
            error = self.assertRaises(LocalError, read_upstream, self.reactor, one)
            self.assertNotIn("\n", str(error))
            self.assertIn("give", str(error))

    @given(st.text() | st.integers() | st.tuples(st.text(), st.integers()))
    def test_anything(self, given_: Any) -> None:
        """No text, number or pair is anything but a place or an error of ours."""
        try:
            found = read_upstream(MemoryReactorClock(), given_)
        except LocalError:
            return
        self.assertIn(found.protocol, {"tcp", "udp"})
