"""The relays of a registry: in the simulator, with what was decided at another."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.arithmetic import tcp, udp
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.errors import LocalError
from lab.faults.journal import Dice, Journal, Replay
from lab.faults.link import Decisions
from lab.proxy.bodies import Wanted, read_proxies
from lab.proxy.datagrams import DatagramRelay
from lab.proxy.registry import Registry
from lab.proxy.relays import Relays
from lab.proxy.streams import StreamRelay
from lab.rng import stream
from lab.sequence.client import Ended
from lab.sequence.settings import ClientSettings as SequenceSettings
from lab.sequence.tcp import SequenceClient, SequenceFactory
from lab.simulator.network import Network, simulate
from tests.proxy.captured import Captured


def toxic(kind: str, stream: str, toxicity: float = 1.0, **attributes: Any) -> dict[str, Any]:
    """The JSON of one."""
    return {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}


LOSSY = [
    toxic("loss", "upstream", probability=0.2),
    toxic("reorder", "upstream", probability=0.1),
    toxic("duplicate", "downstream", 0.5, probability=0.3),
    toxic("latency", "downstream", latency=20, jitter=10),
    toxic("corrupt", "downstream", probability=0.1),
]
SLOW = [
    toxic("latency", "upstream", latency=20, jitter=10),
    toxic("slicer", "downstream", average_size=3, size_variation=2),
    toxic("cut", "downstream", 0.5, probability=0.01),
    toxic("timeout", "downstream", 0.3, timeout=500),
]
PROXIES = json.dumps(
    [
        {"name": name, "protocol": protocol, "listen": f"proxy:{port}", "toxics": toxics}
        | {"upstream": f"server:{port}"}
        for name, protocol, port, toxics in (
            ("udp", "udp", 50000, LOSSY), ("tcp", "tcp", 50000, SLOW), ("seq", "tcp", 49155, SLOW),
        )
    ]
).encode()  # fmt: skip
Play = Callable[[Network], Any]


def serve(net: Network) -> None:
    """All servers, on one host."""
    reactor = net.host("server").reactor
    DatagramServerEndpoint(reactor, 50000).listen(udp.ArithmeticDatagramProtocol(reactor))
    reactor.listenTCP(50000, tcp.ArithmeticFactory(reactor))
    random = stream(net.seed, "server")
    secret = partial(random.randbytes, 16)
    reactor.listenTCP(49155, SequenceFactory(reactor, secret=secret, random=random))


def ask(net: Network, kind: Any, endpoint: Any) -> list[str]:
    """Ask twenty questions, one after the other, each until it is answered."""
    reactor = net.host("client").reactor
    settings = ClientSettings(Backoff(first=0.2, cap=1.0))
    client = kind.ArithmeticClient(reactor, endpoint, settings, stream(net.seed, "ids"))
    found = []
    for number in range(20):
        answered: Deferred[Any] = client.ask("+", number, 1)
        answered.addBoth(lambda value: getattr(value, "value", value))
        found.append(repr(net.run_until(answered)))
    net.run_until(client.close())
    return found


def ask_udp(net: Network) -> list[str]:
    """Over UDP."""
    return ask(net, udp, DatagramClientEndpoint(net.host("client").reactor, "proxy", 50000))


def ask_tcp(net: Network) -> list[str]:
    """Over TCP."""
    return ask(net, tcp, HostnameEndpoint(net.host("client").reactor, "proxy", 50000))


def receive(net: Network) -> Ended:
    """A sequence."""
    reactor = net.host("client").reactor
    settings = SequenceSettings(n=30, interval=0.05)
    place = HostnameEndpoint(reactor, "proxy", 49155)
    client = SequenceClient(reactor, place, settings, stream(net.seed, "waits"))
    found: Ended = net.run_until(client.receive())
    return found


class ReplayTests(SynchronousTestCase):
    """What was decided at one proxy is decided again at another, by the same relays."""

    def run_with(self, play: Play, decisions: Decisions) -> tuple[Any, Journal, dict[str, int]]:
        """What somebody sees of it, what was decided, and what was counted."""
        journal = Journal()
        with simulate(7) as net:
            serve(net)
            reactor = net.host("proxy").reactor
            registry = Registry(reactor, Relays(reactor, decisions, journal))
            net.run_until(Deferred.fromCoroutine(registry.populate(read_proxies(PROXIES))))
            found = play(net)
            hits = {name: n for one in registry.all() for name, n in one.relay.hits.items()}
            net.run_until(Deferred.fromCoroutine(registry.stop()))
        return found, journal, hits

    def check(self, play: Play, *faults: str) -> None:
        """Record, and replay."""
        found, journal, hits = self.run_with(play, Dice(12))
        self.assertLessEqual({*faults}, {entry.place.fault for entry in journal.entries})
        recorded = Journal.read(list(journal.lines()))
        again = self.run_with(play, Replay.of(recorded))
        self.assertEqual(again, (found, journal, hits))
        self.assertNotEqual(self.run_with(play, Dice(13))[1], journal)
        self.assertEqual(self.run_with(play, Dice(12)), again)

    def test_datagrams(self) -> None:
        """Requests over UDP."""
        self.check(ask_udp, "loss_upstream", "latency_downstream", "duplicate_downstream")

    def test_streams(self) -> None:
        """Requests over TCP, on as many connections as it takes."""
        self.check(ask_tcp, "latency_upstream", "cut_downstream", "timeout_downstream")

    def test_sequence(self) -> None:
        """A sequence, which goes on where it was cut."""
        self.check(receive, "latency_upstream", "cut_downstream", "timeout_downstream")

    def test_loopback(self) -> None:
        """All of it on one host, at addresses that a file for a real proxy has."""
        with simulate(7) as net:
            reactor = net.host("here").reactor
            server = udp.ArithmeticDatagramProtocol(reactor)
            DatagramServerEndpoint(reactor, 50000, "127.0.0.1").listen(server)
            registry = Registry(reactor, Relays(reactor, Dice(1)))
            wanted = Wanted("a", "127.0.0.1:50000", "127.0.0.1:50001", protocol="udp")
            net.run_until(Deferred.fromCoroutine(registry.create(wanted)))
            place = DatagramClientEndpoint(reactor, "127.0.0.1", 50001)
            client = udp.ArithmeticClient(reactor, place, random=stream(7))
            self.assertEqual(net.run_until(client.ask("+", 1, 1)), 2)
            net.run_until(client.close())
            net.run_until(Deferred.fromCoroutine(registry.stop()))


class RelaysTests(SynchronousTestCase):
    """What is made."""

    def test_kinds(self) -> None:
        """One for each protocol; a wrong upstream is our own error."""
        with simulate(7) as net:
            make = Relays(net.host("a").reactor, Dice(7))
            self.assertIsInstance(make("a", "b:1", "tcp"), StreamRelay)
            self.assertIsInstance(make("a", "b:1", "udp"), DatagramRelay)
            self.assertRaises(LocalError, make, "a", "udp:b:1", "tcp")

    def test_room(self) -> None:
        """What faults hold back in all of them is counted together."""
        with simulate(7) as net:
            make = Relays(net.host("a").reactor, Dice(7))
            found = [make(name, "b:1", "tcp") for name in "xy"]
            rooms = [one._common.room for one in found if isinstance(one, StreamRelay)]
            self.assertEqual([room is make.room for room in rooms], [True, True])

    def test_recording(self) -> None:
        """What goes through those that are made is recorded, if that is wanted."""
        with simulate(7) as net:
            captured = Captured(lambda: 0.0)
            make = Relays(net.host("a").reactor, Dice(7), recording=captured.recording)
            for name, protocol in (("stream", "tcp"), ("datagram", "udp")):
                relay: Any = make(name, "b:1", protocol)
                relay.capture.side(("127.0.0.1", 1), inbound=True)
            sides = [name for name, _ in captured.sides()]
            self.assertEqual(sides, ["stream-client", "datagram-client"])
