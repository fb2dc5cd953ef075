"""Links that have a name."""

from urllib.parse import urlsplit

from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Latency, Loss
from lab.faults.profiles import PROFILES, QUEUE, profile
from lab.faults.schema import DATAGRAMS, STREAMS, from_json, to_json
from lab.simulator import simulate
from tests.proxy.scenes import Peer


class ProfileTests(SynchronousTestCase):
    """What a name stands for."""

    def test_known(self) -> None:
        """Those that people look for are there; another is told which there are."""
        for name in ("edge", "3g", "lte", "dsl", "cable", "fiber", "satellite", "leo", "wifi"):
            self.assertEqual(profile(name).name, name)
        error = self.assertRaises(LocalError, profile, "6g")
        self.assertEqual(str(error), f"profile is '6g'; give one of {', '.join(PROFILES)}")

    def test_figures(self) -> None:
        """Each has figures that make sense, and says where they are from."""
        for name, link in PROFILES.items():
            self.assertEqual(link.name, name)
            for rate in (link.down, link.up):
                self.assertTrue(1000 <= rate <= 1e9 and rate % 1000 == 0, name)
            self.assertTrue(0 < link.round_trip < 2, name)
            self.assertTrue(0 <= link.loss < 0.1, name)
            self.assertRegex(link.source, r"\b20\d\d$")
            parts = urlsplit(link.url)
            self.assertTrue(parts.scheme == "https" and parts.netloc and parts.path, name)

    def test_faults(self) -> None:
        """Both directions have a rate that all have together, and half of the round trip."""
        found = [(one.name, one.stream, one.settings) for one in profile("3g").faults("tcp")]
        self.assertEqual(
            found,
            [
                ("3g_bandwidth_upstream", "upstream", Bandwidth(96_000.0, scope="proxy")),
                ("3g_latency_upstream", "upstream", Latency(0.15)),
                ("3g_bandwidth_downstream", "downstream", Bandwidth(200_000.0, scope="proxy")),
                ("3g_latency_downstream", "downstream", Latency(0.15)),
            ],
        )

    def test_datagrams(self) -> None:
        """They find a queue that ends."""
        up, *_ = profile("3g").faults("udp", ["upstream"])
        self.assertEqual(up.settings, Bandwidth(96_000.0, packets=QUEUE, scope="proxy"))
        error = self.assertRaises(LocalError, profile("3g").faults, "sctp")
        self.assertEqual(str(error), "protocol is 'sctp'; give tcp or udp")

    def test_halves(self) -> None:
        """The two ways together take the round trip, in whole milliseconds."""
        for link in PROFILES.values():
            latencies = [one.settings for one in link.faults() if isinstance(one.settings, Latency)]
            times = [round(one.latency * 1000, 6) for one in latencies]
            self.assertTrue(all(time.is_integer() for time in times), link.name)
            self.assertEqual(sum(times), round(link.round_trip * 1000), link.name)

    def test_loss(self) -> None:
        """Where the source says so, some is lost in each direction."""
        lost = {link.name for link in PROFILES.values() if link.loss}
        self.assertEqual(lost, {"dialup"})
        found = [one.settings for one in profile("dialup").faults() if "loss" in one.name]
        self.assertEqual(found, [Loss(0.02)] * 2)

    def test_as_json(self) -> None:
        """All of them can be written and read again without a change."""
        for link in PROFILES.values():
            for protocol, kinds in (("tcp", STREAMS), ("udp", DATAGRAMS)):
                for fault in link.faults(protocol):
                    self.assertEqual(from_json(to_json(fault, kinds), kinds), fault)


class SimulatedTests(SynchronousTestCase):
    """On a simulated network, where a link is one direction."""

    def test_stream(self) -> None:
        """A megabyte takes as long as the link says, and so does its acknowledgement."""
        with simulate(7) as net:
            for stream, ends in (("upstream", "ab"), ("downstream", "ba")):
                net.link(*ends, *profile("cable").faults("tcp", [stream]))
            server, client = Peer(), Peer()
            net.host("b").reactor.listenTCP(80, Factory.forProtocol(lambda: server))
            client.seconds = net.host("a").reactor.seconds
            net.host("a").reactor.connectTCP("b", 80, _Once(client))
            net.run(1.0)
            begin = net.now
            server.transport.write(bytes(1_000_000))
            net.run_until(client.arrived(1_000_000))
            self.assertApproximates(net.now - begin, 1_000_000 / 625_000 + 0.014, 0.02)

    def test_datagram(self) -> None:
        """A small datagram is back after the round trip."""
        with simulate(7) as net:
            for name in PROFILES:
                link = profile(name)
                net.link("a", "b", *link.faults("udp", ["upstream"])[:2])
                net.link("b", "a", *link.faults("udp", ["downstream"])[:2])
                seen: list[float] = []
                here, there = _Asking(net, seen), _Answering()
                port = net.host("b").reactor.listenUDP(7, there)
                net.host("a").reactor.listenUDP(0, here)
                begin = net.now
                net.run(2.0)
                self.assertApproximates(seen[0] - begin, link.round_trip, 0.005)
                port.stopListening()


class _Once(Factory):
    """Gives one client its protocol, as one that connects."""

    noisy = False

    def __init__(self, client: Peer) -> None:
        self._client = client

    def buildProtocol(self, addr: object) -> Peer:
        """It."""
        return self._client

    def startedConnecting(self, connector: object) -> None:
        """It begins."""

    def clientConnectionLost(self, connector: object, reason: object) -> None:
        """It is over."""


class _Asking(DatagramProtocol):
    """Sends a datagram, and notes when its answer comes."""

    def __init__(self, net: object, seen: list[float]) -> None:
        self._net, self._seen = net, seen

    def startProtocol(self) -> None:
        """Ask."""
        self.transport.write(b"hello", ("10.0.0.2", 7))

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        """The answer."""
        self._seen.append(self._net.now)


class _Answering(DatagramProtocol):
    """Sends back what comes."""

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        """Send it back."""
        self.transport.write(datagram, addr)
