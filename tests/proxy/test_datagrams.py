"""Datagrams relayed, with faults: in the simulator, and over real sockets."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.adapters.offload import DatagramSender
from lab.errors import LocalError
from lab.faults.datagrams import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Duplicate,
    Latency,
    Loss,
    Reorder,
)
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.proxy.datagrams import QUIET, DatagramRelay, Limits
from lab.proxy.recording import DatagramLeg
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.capture.blocks import packets
from tests.helpers import captured_logs
from tests.proxy.captured import CLIENT, UPSTREAM, Captured


class Echo(DatagramProtocol):
    """Answers what it gets; notes who has sent."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.senders: set[Any] = set()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer."""
        self.seen.append(datagram)
        self.senders.add(addr)
        self.transport.write(datagram, addr)


class Nowhere:
    """An upstream that has no address, and says so at once."""

    def addresses(self) -> Deferred[Any]:
        """Fail."""
        return fail(OSError("nobody knows"))


class Client(DatagramProtocol):
    """Sends to one place; notes what comes, and when."""

    def __init__(self, reactor: Any, place: tuple[str, int]) -> None:
        self._reactor, self._place = reactor, place
        self.seen: list[bytes] = []
        self.times: list[float] = []
        self.waiting: list[tuple[int, Deferred[None]]] = []

    def send(self, *datagrams: bytes) -> None:
        """Send them."""
        for datagram in datagrams:
            self.transport.write(datagram, self._place)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Note it."""
        assert addr[1] == self._place[1]
        self.seen.append(datagram)
        self.times.append(self._reactor.seconds())
        for number, done in list(self.waiting):
            if len(self.seen) >= number:
                self.waiting.remove((number, done))
                done.callback(None)

    def has(self, number: int) -> Deferred[None]:
        """Fires when so many have come."""
        done: Deferred[None] = Deferred()
        self.waiting.append((number, done))
        if len(self.seen) >= number:
            self.waiting.pop()
            done.callback(None)
        return done


class Run:
    """
    Clients, a proxy and a server on a network.

    Args:
        net: The network.
        upstream: Where the proxy sends to.
        captured: Whether there is a capture.
        limits: Of the relay.
    """

    def __init__(
        self, net: Network, upstream: str = "server", *, captured: bool = False, **limits: Any
    ) -> None:
        self.net, self.echo, self.journal = net, Echo(), Journal()
        net.host("server").reactor.listenUDP(80, self.echo)
        reactor = net.host("proxy").reactor
        self.captured = Captured(reactor.seconds)
        self.relay = DatagramRelay(
            reactor,
            "relay",
            lambda: DatagramClientEndpoint(reactor, upstream, 80),
            decisions=Dice(net.seed),
            journal=self.journal,
            limits=Limits(**limits),
            capture=self.captured.relay if captured else None,
        )
        self.port = DatagramServerEndpoint(reactor, 81).listen(self.relay.protocol)

    def client(self, name: str = "client", port: int = 0) -> Client:
        """A client of the proxy."""
        reactor = self.net.host(name).reactor
        client = Client(reactor, (self.net.host("proxy").address, 81))
        reactor.listenUDP(port, client)
        return client

    def faults(self, *settings: Any, direction: str = "upstream") -> None:
        """Have these in one direction."""
        found = [Fault(one, type(one).__name__.lower(), direction) for one in settings]
        ways = {"upstream": [], "downstream": [], direction: found}  # type: ignore[var-annotated]
        self.relay.set_faults(ways["upstream"], ways["downstream"])


class SimulatedTests(SynchronousTestCase):
    """On virtual networks."""

    @given(st.lists(st.binary(max_size=2000), max_size=20))
    def test_whole(self, datagrams: list[bytes]) -> None:
        """Each comes back as it was, empty ones too."""
        with simulate(7) as net:
            run = Run(net)
            client = run.client()
            client.send(*datagrams)
            net.run(1)
            self.assertEqual(run.echo.seen, datagrams)
            self.assertEqual(client.seen, datagrams)
            size = sum(map(len, datagrams))
            both = {"upstream": size, "downstream": size}
            self.assertEqual((run.relay.received, run.relay.sent), (both, both))

    def test_a_thousand_clients(self) -> None:
        """Each has its own replies, and a socket of its own to the upstream."""
        with simulate(7) as net:
            run = Run(net)
            clients = [run.client(f"c{number}") for number in range(1000)]
            for number, client in enumerate(clients):
                client.send(b"%d" % number, b"again")
            net.run(1)
            for number, client in enumerate(clients):
                self.assertEqual(client.seen, [b"%d" % number, b"again"])
            self.assertEqual(len(run.echo.senders), 1000)
            self.assertEqual((run.relay.connections, run.relay.accepted), (1000, 1000))

    def test_idle(self) -> None:
        """A client that is silent is forgotten, one that gets something is not."""
        with simulate(7) as net:
            run = Run(net, idle=10.0)
            early, late = run.client("early"), run.client("late")
            early.send(b"1")
            net.run(6)
            late.send(b"2")
            net.run(5)
            self.assertEqual((run.relay.connections, run.relay.accepted), (1, 2))
            late.send(b"3")
            net.run(9)
            self.assertEqual(run.relay.connections, 1)
            net.run(2)
            self.assertEqual(run.relay.connections, 0)
            self.assertEqual(net.host("proxy").reactor.getDelayedCalls(), [])
            early.send(b"4")
            net.run(1)
            self.assertEqual((early.seen, late.seen), ([b"1", b"4"], [b"2", b"3"]))

    def test_most(self) -> None:
        """There are so many clients; what others send is dropped, and counted."""
        with simulate(7) as net:
            run = Run(net, clients=2)
            clients = [run.client(f"c{number}") for number in range(3)]
            for client in clients:
                client.send(b"x")
            net.run(1)
            self.assertEqual([client.seen for client in clients], [[b"x"], [b"x"], []])
            self.assertEqual((run.relay.connections, run.relay.refused), (2, 1))

    def test_faults(self) -> None:
        """What faults do is seen at the other end, and counted."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Latency(0.5), Duplicate(1.0))
            client = run.client()
            client.send(b"a", b"b")
            net.run(0.4)
            self.assertEqual(run.echo.seen, [])
            net.run(1)
            self.assertEqual(sorted(run.echo.seen), [b"a", b"a", b"b", b"b"])
            self.assertEqual(run.relay.hits, {"latency": 2, "duplicate": 2})
            run.faults(Blackhole(), direction="downstream")
            client.send(b"c")
            net.run(1)
            self.assertEqual((run.echo.seen[4:], client.seen[4:]), ([b"c"], []))
            run.relay.set_faults([], [])
            client.send(b"d")
            net.run(1)
            self.assertEqual(client.seen[4:], [b"d"])

    def test_hits_behind_what_is_held_back(self) -> None:
        """What a fault does with a datagram that was held back before it counts, too."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Reorder(1.0), Blackhole())
            client = run.client()
            for _ in range(3):
                client.send(b"a")
            net.run(3)
            self.assertEqual(run.relay.hits, {"reorder": 3, "blackhole": 3})

    def test_journal(self) -> None:
        """Times count from a client's first datagram, whenever its faults came; none is kept."""
        with simulate(7) as net:
            net.run(100)
            run = Run(net)
            client = run.client()
            client.send(b"a")
            net.run(1.25)
            run.faults(Blackhole())
            client.send(b"b")
            net.run(1)
            (entry,) = run.journal.entries
            self.assertEqual((entry.at, entry.place.connection), (1.25, 0))
            self.assertIs(DatagramRelay(None, "x", Nowhere, decisions=Dice(7)).journal, None)

    def test_number(self) -> None:
        """The next client has the number that the relay says."""
        with simulate(7) as net:
            run = Run(net)
            run.relay.number = 5
            run.faults(Blackhole())
            for name in ("one", "other"):
                run.client(name).send(b"a")
                net.run(1)
            found = [entry.place.connection for entry in run.journal.entries]
            self.assertEqual((found, run.relay.number, run.relay.accepted), ([5, 6], 7, 2))

    def test_held_back(self) -> None:
        """What is to be overtaken goes on after a while, or when its fault is gone."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Reorder(1.0, displacement=1000))
            client = run.client()
            client.send(b"a", b"b")
            net.run(0.5)
            self.assertEqual(run.echo.seen, [])
            net.run(1)
            self.assertEqual(run.echo.seen, [b"a", b"b"])
            client.send(b"c")
            net.run(0.1)
            run.relay.set_faults([], [])
            net.run(0.1)
            self.assertEqual(run.echo.seen, [b"a", b"b", b"c"])
            net.run(5)

    def test_the_same_again(self) -> None:
        """One seed loses the same datagrams, whatever is changed besides; the journal has them."""

        def lost(*more: Any) -> list[bytes]:
            """What arrives of a hundred, half of them after a change."""
            with simulate(7) as net:
                run = Run(net)
                run.faults(Loss(0.5))
                client = run.client()
                client.send(*(b"%d" % number for number in range(50)))
                net.run(1)
                run.faults(*more, Loss(0.5))
                client.send(*(b"%d" % number for number in range(50, 100)))
                net.run(1)
                self.assertEqual(len(run.journal.entries), 100 - len(run.echo.seen))
                return run.echo.seen

        self.assertEqual(lost(), lost(Latency(0.01)))
        self.assertTrue(30 < len(lost()) < 70)

    def test_bounded(self) -> None:
        """What is under way is bounded; what is too much is dropped, and counted."""
        with simulate(7) as net:
            run = Run(net, under_way=10_000)
            run.faults(Latency(5.0))
            client = run.client()
            client.send(*[bytes(900)] * 100)
            net.run(10)
            self.assertEqual((len(run.echo.seen), run.relay.overflowed), (10, 90))
            client.send(b"x")
            net.run(10)
            self.assertEqual(run.echo.seen[10:], [b"x"])

    def test_drop(self) -> None:
        """All clients are forgotten, with what is under way; so they are with the port."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Latency(5.0), Reorder(0.5))
            client = run.client()
            for end in (run.relay.drop, run.port.stopListening):
                client.send(*[b"x"] * 10)
                net.run(1)
                end()
                self.assertEqual(run.relay.connections, 0)
                self.assertEqual(net.host("proxy").reactor.getDelayedCalls(), [])
            net.run(10)
            self.assertEqual(run.echo.seen, [])
            self.assertEqual(list(net.host("proxy").udp), [])

    def test_no_upstream(self) -> None:
        """A name that nobody has: the client is counted, and may try again."""
        with simulate(7) as net:
            run = Run(net, upstream="nowhere")
            client = run.client()
            for number in (1, 2):
                client.send(b"x")
                net.run(10)
                self.assertEqual((run.relay.connections, run.relay.refused), (0, number))

    def test_no_flood(self) -> None:
        """One line about an upstream that there is not, and then none for a time."""
        with simulate(7) as net, captured_logs() as logs:
            run = Run(net)
            run.relay.connect = Nowhere  # type: ignore[assignment]
            client = run.client()
            for wait in (0.1, 0.1, QUIET, 0.1):
                client.send(b"x")
                net.run(wait)
        told = [event for event in logs if event["log_namespace"].startswith("lab.proxy")]
        self.assertEqual([event["refused"] for event in told], [1, 4])
        self.assertIn("nobody knows", formatEvent(told[0]))

    def looking(self, net: Network) -> tuple[Run, Client, Deferred[Any]]:
        """A client whose upstream is looked up."""
        run, looked = Run(net), Deferred[Any]()

        class Endpoint:
            """It takes its time."""

            listen = run.relay.connect().listen

            def addresses(self) -> Deferred[Any]:
                """See above."""
                return looked

        run.relay.connect = Endpoint  # type: ignore[assignment]
        client = run.client()
        client.send(b"a", b"b")
        net.run(1)
        return run, client, looked

    def test_looking(self) -> None:
        """What comes meanwhile waits, in its order."""
        with simulate(7) as net:
            _, client, looked = self.looking(net)
            looked.callback([(net.host("server").address, 80)])
            net.run(1)
            self.assertEqual(client.seen, [b"a", b"b"])

    def test_dropped_while_looking(self) -> None:
        """A client may be forgotten before its upstream is known."""
        for good in (True, False):
            with simulate(7) as net:
                run, client, looked = self.looking(net)
                run.relay.drop()
                if good:
                    looked.callback([(net.host("server").address, 80)])
                else:
                    looked.errback(OSError("nobody knows"))
                net.run(1)
                self.assertEqual((run.relay.connections, client.seen), (0, []))

    def test_refusals(self) -> None:
        """ICMP's word that nobody listens is counted; the client hears nothing, as without us."""
        with simulate(7) as net:
            run = Run(net)
            run.echo.transport.stopListening()
            client = run.client()
            client.send(b"x")
            net.run(1)
            self.assertEqual((run.relay.refusals, client.seen), (1, []))

    def test_special(self) -> None:
        """What only datagrams have, for metrics; it listens by the name that streams have."""
        with simulate(7) as net:
            run = Run(net, under_way=100)
            relay = run.relay
            self.assertIs(relay.factory, relay.protocol)
            relay.refusals, relay.overflowed, relay.unsent = 1, 2, 3
            found = {"icmp_refusals": 1, "overflowed": 2, "unsent": 3}
            self.assertEqual(relay.special, found)

    def test_hits(self) -> None:
        """What faults have done that are gone is forgotten: any number of names may come."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Loss(1.0), Latency(1.0))
            run.client().send(b"x")
            net.run(1)
            self.assertEqual(run.relay.hits, {"loss": 1})
            run.faults(Latency(1.0))
            self.assertEqual(run.relay.hits, {})

    def test_hits_are_real(self) -> None:
        """What a fault lets pass as it is was not hit; what was held back before may be."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Latency(0.0), Bandwidth(1e6, burst=1e6), Reorder(1.0, 2), Loss(every=2))
            run.client().send(b"a", b"b")
            net.run(5)
            self.assertEqual(run.relay.hits, {"reorder": 2, "loss": 1})

    def test_first_of_ipv4(self) -> None:
        """Of several addresses of an upstream, as Go has it."""
        with simulate(7) as net:
            _, client, looked = self.looking(net)
            looked.callback([("::1", 80), (net.host("server").address, 80), ("10.9.9.9", 80)])
            net.run(1)
            self.assertEqual(client.seen, [b"a", b"b"])

    def test_too_large(self) -> None:
        """What a fault has made is sent if it can be; what can't is counted."""
        with simulate(7) as net:
            run = Run(net)
            client = run.client()
            client.send(b"x")
            net.run(1)

            def full(*given: Any) -> None:
                """There is no room."""
                raise OSError(90, "Message too long")

            (session,) = run.relay._sessions.values()
            for transport in (session.transport, run.relay.protocol.transport):
                transport.write = full
            client.send(b"y")
            run.relay.reply([b"z"], ("10.0.0.1", 80))
            net.run(1)
            self.assertEqual(run.relay.unsent, 2)

    def test_at_once(self) -> None:
        """Those that were read together go as they would alone, with faults and without."""

        def run(*faults: Any, together: bool, captured: bool = False, clients: int = 9) -> Any:
            """What arrives at both ends, what is counted, and what is captured."""
            with simulate(7) as net:
                run = Run(net, captured=captured, clients=clients)
                run.faults(*faults)
                client = run.client()
                client.send(b"first")
                net.run(1)
                rows = [b"%d" % number + bytes(100) for number in range(20)]
                for place in (client.transport.getHost(), net.host("b").address):
                    addr = (place.host, place.port) if hasattr(place, "host") else (place, 9)
                    if together:
                        run.relay.protocol.datagramsReceived(rows, addr)
                    else:
                        for row in rows:
                            run.relay.protocol.datagramReceived(row, addr)
                (session, *_) = run.relay._sessions.values()
                if together:
                    session.datagramsReceived(rows, ("10.0.0.1", 80))
                else:
                    for row in rows:
                        session.datagramReceived(row, ("10.0.0.1", 80))
                net.run(2)
                relay = run.relay
                counts = relay.received, relay.sent, relay.hits, relay.unsent, relay.refused
                seen = [
                    (one.data, one.comment)
                    for side in (CLIENT, UPSTREAM)
                    for one in run.captured.seen(side, inbound=True)
                    + run.captured.seen(side, inbound=False)
                ]
                return run.echo.seen, client.seen, counts, seen

        for more in (
            {},
            {"captured": True},
            {"clients": 1, "captured": True},
            {"clients": 1},
        ):
            for faults in ([], [Loss(0.5), Duplicate(0.3)]):
                alone = run(*faults, together=False, **more)
                for found, expected in zip(run(*faults, together=True, **more), alone, strict=True):
                    self.assertEqual(found, expected)
                self.assertGreater(len(alone[0]), 10)
                self.assertEqual(bool(alone[3]), "captured" in more)

    def test_at_once_while_looking(self) -> None:
        """They wait for the address of the upstream, in their order."""
        with simulate(7) as net:
            run, client, looked = self.looking(net)
            place = client.transport.getHost()
            run.relay.protocol.datagramsReceived([b"c", b"d"], (place.host, place.port))
            looked.callback([(net.host("server").address, 80)])
            net.run(1)
            self.assertEqual(client.seen, [b"a", b"b", b"c", b"d"])

    def test_late_reply(self) -> None:
        """What comes for a port that is closed, or a client that is forgotten, is nobody's."""
        with simulate(7) as net:
            run = Run(net)
            run.client().send(b"x")
            net.run(1)
            (session,) = run.relay._sessions.values()
            run.relay.drop()
            run.relay.touch(session)
            self.assertEqual(run.relay.connections, 0)
            run.port.stopListening()
            run.relay.reply([b"x"], ("10.0.0.1", 80))

    def test_wrong_faults(self) -> None:
        """Two of one name are refused, and nothing has changed."""
        with simulate(7) as net:
            run = Run(net)
            two = [Fault(Loss(1.0), "a"), Fault(Corrupt(1.0), "a")]
            self.assertRaises(LocalError, run.relay.set_faults, [], two)
            self.assertEqual(run.relay.faults, {"upstream": (), "downstream": ()})


class SharedTests(SynchronousTestCase):
    """A rate that clients have together."""

    def sent(self, settings: Bandwidth, *names: str) -> list[int]:
        """How many of 300 datagrams of 1,000 bytes arrive in 2 s for each client."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(settings)
            clients = [run.client(name) for name in names]
            for number, client in enumerate(clients):
                client.send(*[b"%d" % number + bytes(999)] * 300)
            net.run(2.005)
            found = [datagram[:1] for datagram in run.echo.seen]
            return [found.count(b"%d" % number) for number in range(len(clients))]

    def test_scope(self) -> None:
        """All of the proxy, all of an address, or each for itself."""
        names = ("a", "a", "b")
        for scope, expected in (
            ("proxy", (67, 67, 67)),
            ("client", (100, 100, 200)),
            ("connection", (200, 200, 200)),
        ):
            found = self.sent(Bandwidth(100_000.0, scope=scope), *names)
            for number, wanted in zip(found, expected, strict=True):
                self.assertApproximates(number, wanted, 1)

    def test_queue(self) -> None:
        """The queue is shared, too."""
        found = self.sent(Bandwidth(100_000.0, packets=20, scope="proxy"), "a", "b")
        self.assertEqual(sum(found), 20)

    def test_burst(self) -> None:
        """So is the burst."""
        found = self.sent(Bandwidth(10_000.0, burst=50_000.0, scope="proxy"), "a", "b")
        self.assertApproximates(sum(found), 70, 1)

    def test_memory(self) -> None:
        """What waits for its turn counts among what is under way."""
        with simulate(7) as net:
            run = Run(net, under_way=10_000)
            run.faults(Bandwidth(1000.0, scope="proxy"))
            run.client().send(*[bytes(900)] * 20)
            net.run(0.1)
            self.assertEqual(run.relay.overflowed, 10)
            net.run(8.95)
            self.assertEqual(len(run.echo.seen), 10)

    def test_gone(self) -> None:
        """A client that is forgotten blocks nobody."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Bandwidth(1000.0, scope="proxy"))
            run.client("a").send(bytes(60_000))
            net.run(0.1)
            run.relay.drop()
            run.client("b").send(bytes(1000))
            net.run(1.1)
            self.assertEqual([len(one) for one in run.echo.seen], [1000])
            self.assertEqual(net.host("proxy").reactor.getDelayedCalls()[1:], [])

    def test_earlier(self) -> None:
        """What has its turn sooner than what was held back before does not wait for that."""
        with simulate(7) as net:
            run = Run(net)
            run.faults(Bandwidth(1000.0, scope="proxy"), Reorder(1.0, 5))
            client = run.client()
            client.send(b"x")
            net.run(0.1)
            run.faults(Bandwidth(1000.0, scope="proxy"), Reorder(0.0, 5))
            client.send(bytes(100))
            net.run(0.11)
            self.assertEqual(run.echo.seen[-1], bytes(100))


class SeenTests(SynchronousTestCase):
    """With a capture."""

    def seen(self, run: Run, side: str, *, inbound: bool) -> list[tuple[bytes, str]]:
        """What was sent one way at one interface, and the comments; ICMP too, without its bytes."""
        return [
            (one.data if one.protocol == 17 else b"ICMP", one.comment)
            for one in run.captured.seen(side, inbound=inbound)
        ]

    def test_all(self) -> None:
        """What came in and what went out, on both legs, and what faults have done to it."""
        with simulate(7) as net:
            run = Run(net, captured=True)
            client = run.client()
            client.send(b"a")
            net.run(1)
            run.faults(Loss(every=2), Latency(0.5))
            client.send(b"b", b"c", b"d")
            net.run(1)
            late, lost = "delayed 500 ms by latency, latency=500", "dropped by loss, every=2"
            found = self.seen(run, CLIENT, inbound=True)
            self.assertEqual(found, [(b"a", ""), (b"b", late), (b"c", lost), (b"d", late)])
            went = [(b"a", ""), (b"b", late), (b"d", late)]
            self.assertEqual(self.seen(run, UPSTREAM, inbound=False), went)
            answers = [(b"a", ""), (b"b", ""), (b"d", "")]
            self.assertEqual(self.seen(run, UPSTREAM, inbound=True), answers)
            self.assertEqual(self.seen(run, CLIENT, inbound=False), answers)
            first, *_, last = [one.at for one in run.captured.seen(UPSTREAM, inbound=False)]
            self.assertApproximates(last - first, 1.5, 1e-6)

    def test_refused(self) -> None:
        """ICMP is seen where it has come from."""
        with simulate(7) as net:
            run = Run(net, captured=True)
            run.echo.transport.stopListening()
            run.client().send(b"x")
            net.run(1)
            self.assertEqual(self.seen(run, UPSTREAM, inbound=True), [(b"ICMP", "")])

    def test_dropped(self) -> None:
        """What the relay drops by itself is seen where it has come in."""
        with simulate(7) as net:
            run = Run(net, captured=True, clients=1, under_way=1)
            run.faults(Latency(0.5))
            run.client("a").send(b"1", b"2")
            net.run(0.1)
            run.client("b").send(b"3")
            net.run(0.1)
            comments = [comment for _, comment in self.seen(run, CLIENT, inbound=True)]
            self.assertEqual(
                comments[1:],
                ["dropped: too much is under way", "dropped: there are too many clients"],
            )

    def test_not_sent(self) -> None:
        """What the system does not take has not gone out."""
        with simulate(7) as net:
            run = Run(net, captured=True)
            client = run.client()
            client.send(b"x")
            net.run(1)

            def full(*given: Any) -> None:
                """There is no room."""
                raise OSError(90, "Message too long")

            (session,) = run.relay._sessions.values()
            run.relay.protocol.transport.write = full
            client.send(b"y")
            net.run(1)
            session.transport.write = full
            client.send(b"z")
            net.run(1)
            self.assertEqual(self.seen(run, CLIENT, inbound=False), [(b"x", "")])
            self.assertEqual(self.seen(run, UPSTREAM, inbound=False), [(b"x", ""), (b"y", "")])

    def test_largest(self) -> None:
        """The largest datagram there can be over IPv6 harms nobody."""
        captured = Captured(lambda: 0.0)
        leg = DatagramLeg(captured.relay, ("::1", 1), ("::1", 2), inbound=True)
        for size in (0, 65507, 65527):
            leg.came(bytes(size))
            leg.left(bytes(size))
        self.assertEqual(len(packets(bytes(captured.file))), 6)


class RealTests(TestCase):
    """Over loopback."""

    timeout = 60

    async def start(self, host: str = "127.0.0.1", **limits: Any) -> Client:
        """A server, a proxy, a client."""
        reactor: Any = real_reactor
        self.echo = Echo()
        server = DatagramServerEndpoint(reactor, 0, host).listen(self.echo)
        place: Any = server.getHost()
        self.relay = DatagramRelay(
            reactor,
            "echo",
            lambda: DatagramClientEndpoint(reactor, host, place.port),
            decisions=Dice(7),
            limits=Limits(**limits),
        )
        proxy = DatagramServerEndpoint(reactor, 0, host).listen(self.relay.protocol)
        at: Any = proxy.getHost()
        client = Client(reactor, (host, at.port))
        port = DatagramServerEndpoint(reactor, 0, host).listen(client)
        self.server, self.place = server, place
        for one in (server, proxy, port):
            self.addCleanup(one.stopListening)
        return client

    async def test_sizes(self) -> None:
        """The smallest and the largest datagram there is, whole."""
        for host in ("127.0.0.1", "::1"):
            client = await self.start(host)
            sizes = (0, 1, 1472, 8193, 65_000, 65_507)
            for number, size in enumerate(sizes, 1):
                client.send(bytes([number]) * size)
                await client.has(number)
            self.assertEqual([len(one) for one in client.seen], list(sizes))
            self.assertEqual(client.seen, self.echo.seen)

    async def test_faults(self) -> None:
        """They work there as they do in the simulator."""
        client = await self.start()
        self.relay.set_faults([Fault(Duplicate(1.0), "twice")], [Fault(Latency(0.01), "late")])
        begun = real_reactor.seconds()  # type: ignore[attr-defined]
        client.send(b"a")
        await client.has(2)
        self.assertEqual(client.seen, [b"a", b"a"])
        self.assertGreaterEqual(client.times[0] - begun, 0.0099)
        self.assertEqual(self.relay.hits, {"twice": 1, "late": 2})

    async def test_bulk(self) -> None:
        """What comes in bulk goes in bulk, there and back, and is the same."""
        client = await self.start()
        client.send(b"first")
        await client.has(1)
        sender = DatagramSender(client)
        (session,) = self.relay._sessions.values()
        expected = [b"first"]
        for burst in range(6):
            rows = [b"%d.%d" % (burst, number) + bytes(1200) for number in range(40)]
            expected += rows
            sender.send(rows, client._place)
            await client.has(len(expected))
        self.assertEqual(client.seen, expected)
        self.assertEqual(self.echo.seen, expected)
        if sys.platform == "linux":
            self.assertGreater(session._sender.batched, 100)
            self.assertGreater(sender.batched, 200)

    async def test_refused(self) -> None:
        """Nobody listens: that is counted, and when somebody does, the client is served again."""
        reactor: Any = real_reactor
        client = await self.start()
        await self.server.stopListening()
        done: Deferred[None] = Deferred()
        client.send(b"x")

        def look() -> None:
            """Until it is counted."""
            if self.relay.refusals:
                done.callback(None)
            else:
                reactor.callLater(0, look)

        look()
        await done
        self.assertEqual((client.seen, self.relay.connections), ([], 1))
        again = DatagramServerEndpoint(reactor, self.place.port, "127.0.0.1").listen(self.echo)
        self.addCleanup(again.stopListening)
        client.send(b"y")
        await client.has(1)
        self.assertEqual((client.seen, self.relay.accepted), ([b"y"], 1))
