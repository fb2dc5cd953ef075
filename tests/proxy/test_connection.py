"""How a relayed connection begins and ends, on a simulated network."""

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import ISSLTransport, IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from lab.adapters.connecting import AddressEndpoint
from lab.adapters.lean import LeanConnection
from lab.adapters.proxy_protocol import HeadedEndpoint
from lab.faults.datagrams import Bandwidth, Blackhole, Corrupt, Latency, Loss, Noop, Settings
from lab.faults.streams import (
    Cut,
    LimitData,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from lab.proxy.connection import Connection
from lab.proxy.legs import LINGER
from lab.simulator.network import simulate
from lab.wire.proxy_protocol import encode
from tests.adapters.test_lean import tcp_pair
from tests.proxy.captured import CLIENT, UPSTREAM
from tests.proxy.scenes import (
    Never,
    Peer,
    SceneCase,
    Simulated,
    Whole,
    answering,
    echo,
    faults,
    lose,
    shut,
)
from tests.proxy.sockets import SocketCase

SLOW = faults(Latency(0.3))


class EndingTests(SceneCase):
    """Each end is passed on as what it is."""

    def test_half_close(self) -> None:
        """A client that ends gets its answer, whatever the delays on both ways."""
        for upstream, downstream in [([], []), (SLOW, []), ([], SLOW), (SLOW, SLOW)]:
            with self.subTest(upstream=upstream, downstream=downstream):
                scene = self.scene(answering, upstream, downstream)
                client, server = scene.pair()
                client.transport.write(b"x" * 100_000)
                shut(client)
                self.net.run_until(client.lost, limit=60)
                self.assertEqual(client.got, b"100000 bytes")
                self.assertEqual((client.why, client.ended), ("ConnectionDone", True))
                self.net.run_until(server.lost)
                self.assertEqual((server.why, server.got), ("ConnectionDone", b"x" * 100_000))
                scene.over()

    def test_server_ends_first(self) -> None:
        """The other way round: a client goes on sending to a server that has ended."""
        scene = self.scene(lambda: Peer(made=shut))
        client, server = scene.pair()
        self.net.run_until(client.end_seen)
        client.transport.write(b"still here")
        self.net.run_until(server.arrived(10))
        shut(client)
        self.net.run_until(server.lost)
        self.assertEqual((client.why, server.why), ("ConnectionDone", "ConnectionDone"))
        scene.over()

    def test_whole(self) -> None:
        """Peers that know no half-close end as a whole."""
        for closing in ("client", "server"):
            with self.subTest(closing):
                scene = self.scene(Whole)
                client, server = scene.pair(Whole())
                lose({"client": client, "server": server}[closing])
                self.net.run_until(client.lost)
                self.net.run_until(server.lost)
                self.assertEqual((client.why, server.why), ("ConnectionDone", "ConnectionDone"))
                scene.over()

    def test_swallowed(self) -> None:
        """An end that a fault has swallowed arrives when the fault is gone, or all others are."""
        for removed in (True, False):
            scene = self.scene(Peer, [], faults(Blackhole()))
            client, server = scene.pair()
            server.transport.write(b"lost")
            shut(server)
            self.net.run(1)
            self.assertFalse(client.ended)
            if removed:
                scene.relay.set_faults([], [])
                self.net.run_until(client.end_seen)
            shut(client)
            self.net.run_until(client.lost)
            self.assertEqual((client.why, client.got), ("ConnectionDone", b""))
            scene.over()

    def test_broken(self) -> None:
        """A leg that breaks breaks the other, and what was on its way is lost, as with a RST."""
        for breaking in (0, 1):
            with self.subTest(breaking):
                scene = self.scene(Peer, SLOW, SLOW)
                pair = scene.pair()
                pair[breaking].transport.write(b"on its way")
                self.net.run(0.1)
                pair[breaking].transport.abortConnection()
                self.assertEqual(self.net.run_until(pair[1 - breaking].lost), "ConnectionLost")
                self.assertEqual(pair[1 - breaking].got, b"")
                scene.over()

    def test_reset(self) -> None:
        """A fault that resets does so for both."""
        scene = self.scene()
        client, server = scene.pair()
        scene.relay.set_faults(faults(ResetPeer(0.5, idle=True)), [])
        self.assertEqual(self.net.run_until(client.lost), "ConnectionLost")
        self.assertEqual(self.net.run_until(server.lost), "ConnectionLost")
        scene.over()

    def test_reset_at_once(self) -> None:
        """A fault may end a connection before anything has passed."""
        for direction in ("upstream", "downstream"):
            with self.subTest(direction):
                settings = {direction: faults(ResetPeer(0.0, idle=True))}
                scene = self.scene(**settings)
                client, server = scene.pair()
                self.assertEqual(self.net.run_until(client.lost), "ConnectionLost")
                self.assertEqual(self.net.run_until(server.lost), "ConnectionLost")
                scene.over()

    def test_tls_fails(self) -> None:
        """A reason that is none of TCP's means that TLS came to nothing: there is no upstream."""
        scene = self.scene()
        client, _ = scene.pair()
        (connection,) = scene.relay._alive
        connection.upstream.connectionLost(Failure(SSL.Error()))
        self.net.run_until(client.end_seen)
        self.assertEqual((scene.relay.refused, scene.relay.connections), (1, 0))
        lose(client)
        scene.over()

    def test_client_gone_and_bytes_under_way(self) -> None:
        """A client that has closed as a whole is heard to its end; then the server is let go."""
        scene = self.scene(lambda: Peer(data=echo), SLOW, [])
        client, server = scene.pair()
        leg = self.client_leg(scene)
        alsoProvides(leg.transport, ISSLTransport)  # so it is closed as a whole
        client.transport.write(b"last words")
        self.net.run(0.1)
        shut(server)
        self.net.run_until(client.end_seen)
        lose(client)
        self.net.run_until(client.lost)
        self.assertEqual(server.got, b"")
        self.assertEqual(self.net.run_until(server.lost), "ConnectionDone")
        self.assertEqual(server.got, b"last words")
        scene.over()

    def client_leg(self, scene: Simulated) -> Any:
        """The relay's leg to its one client."""
        (connection,) = scene.relay._alive
        return connection.client

    def test_stalls_at_its_end(self) -> None:
        """A server that neither reads nor ends is let go in the end when its client is gone."""
        scene = self.scene(lambda: Peer(made=lambda one: one.transport.pauseProducing()))
        client, _ = scene.pair()
        client.transport.write(b"x" * 1_000_000)
        self.net.run(1)
        scene.relay.drop()
        self.assertEqual(scene.relay.connections, 0)
        before = self.net.now
        self.net.run_until(client.end_seen)
        lose(client)
        scene.over()
        self.assertAlmostEqual(self.net.now - before, LINGER, delta=0.1)


class HeadedTests(SceneCase):
    """An upstream that wants to know for whom it is connected."""

    def headed(self, *upstream: Any) -> Any:
        """Such a scene with these faults on the way to the server; client and server in it."""
        scene = self.scene(
            lambda: Peer(data=echo),
            list(upstream),
            connect=lambda: HeadedEndpoint(self.net.host("proxy").reactor, 1, "tcp:server:80"),
        )
        client, server = scene.pair()
        ends = client.transport.getHost(), client.transport.getPeer()
        line = encode(1, *((end.host, end.port) for end in ends))
        return scene, client, server, line

    def test_client(self) -> None:
        """It is told the address of the client, and where that has connected to; none counts."""
        scene, client, server, line = self.headed()
        self.net.run(1)
        self.assertEqual(server.got, line)
        client.transport.write(b"hello")
        self.net.run(1)
        self.assertEqual(server.got, line + b"hello")
        self.assertEqual((scene.relay.received["upstream"], scene.relay.sent["upstream"]), (5, 5))
        self.assertEqual(client.got, server.got)

    def test_faults(self) -> None:
        """No fault touches the header, whatever it does to all else."""
        for fault in (Latency(10.0), LimitData(0), Corrupt(1.0, 8), PacketLoss(1.0), Slicer(1)):
            with self.subTest(fault):
                scene, client, server, line = self.headed(*faults(fault))
                client.transport.write(b"hello")
                self.net.run(0.5)
                self.assertEqual(server.got[: len(line)], line)
                rest = server.got[len(line) :]
                self.assertEqual(rest == b"hello", isinstance(fault, Slicer), rest)
                self.assertEqual(list(scene.relay.hits), [type(fault).__name__])


@implementer(IStreamClientEndpoint)
class SharedTests(SceneCase):
    """A rate that connections have together."""

    def test_client(self) -> None:
        """It is that of the address from which they come, whatever their ports are."""
        for scope, both in (("client", 10_000), ("connection", 20_000)):
            scene = self.scene(Peer, faults(Bandwidth(10_000.0, scope=scope)))
            pairs = [scene.pair() for _ in range(2)]
            for client, _ in pairs:
                client.transport.write(bytes(100_000))
            self.net.run(1.05)
            found = sum(len(server.got) for _, server in pairs)
            self.assertApproximates(found, both, 0.06 * both)


class BeginningTests(SceneCase):
    """Until there is an upstream."""

    def test_refused(self) -> None:
        """The client was accepted, and gets the end, even if it has sent what nobody reads."""
        scene = self.scene()
        self.net.host("server").crash()
        self.net.host("server").restart()
        for _ in range(3):
            client = scene.client(Peer(made=lambda one: one.transport.write(b"x" * 100_000)))
            self.net.run_until(client.end_seen, limit=60)
            lose(client)
            self.net.run_until(client.lost)
            self.assertEqual((client.got, client.why), (b"", "ConnectionDone"))
        self.assertEqual((scene.relay.accepted, scene.relay.refused), (3, 3))
        scene.over()

    def test_goes_on(self) -> None:
        """One that goes on for another is told its upstream, and since when it relays."""
        asked: list[None] = []
        scene = self.scene(connect=lambda: asked.append(None))  # type: ignore[arg-type, func-returns-value]
        relay, proxy = scene.relay, self.net.host("proxy").reactor
        way = TCP4ClientEndpoint(proxy, "server", 80)
        connection = Connection(relay, relay._common, "relay", 7, way, since=-5.0)
        transport = StringTransport()
        connection.client.makeConnection(transport)
        self.net.run(1)
        self.assertEqual({pump._begun for pump in connection._pumps.values()}, {-5.0})
        self.assertEqual((asked, len(scene.servers.all)), ([], 1))
        connection.reset()

    def test_no_endpoint(self) -> None:
        """Whoever is asked for the upstream may fail as well."""

        def connect() -> Any:
            raise ZeroDivisionError

        scene = self.scene(connect=connect)
        client = scene.client(Peer())
        self.net.run_until(client.end_seen)
        lose(client)
        self.assertEqual(scene.relay.refused, 1)
        scene.over()

    def test_fails_at_once(self) -> None:
        """An endpoint that knows at once that there is no way is none that is waited for."""

        class Nowhere:
            """An endpoint that leads nowhere."""

            def connect(self, factory: Any) -> "Deferred[Any]":
                """Fail."""
                return fail(ZeroDivisionError())

        scene = self.scene(connect=Nowhere)  # type: ignore[arg-type]
        client = scene.client(Peer())
        self.net.run_until(client.end_seen)
        lose(client)
        self.assertEqual(scene.relay.refused, 1)
        scene.over()

    def test_given_up(self) -> None:
        """A client that goes while its upstream is being connected stops that."""
        never = Never()
        scene = self.scene(connect=lambda: never)
        client = scene.client(Peer())
        self.net.run(1)
        (connection,) = scene.relay._alive
        connection.client.read(wanted=True)  # else nobody notices
        client.transport.abortConnection()
        self.net.run(1)
        self.assertEqual((never.given_up, scene.relay.refused), (1, 0))
        scene.over()

    def test_connected_too_late(self) -> None:
        """An upstream that comes when nobody waits for it any more is let go."""

        class Stubborn:
            """An endpoint that can't be given up."""

            def connect(_, factory: Any) -> "Deferred[Any]":  # noqa: N805 - the test is self
                """Connect in a second."""
                reactor = self.net.host("proxy").reactor
                endpoint = TCP4ClientEndpoint(reactor, "server", 80)
                reactor.callLater(1, endpoint.connect, factory)
                return Deferred(lambda _: None)

        scene = self.scene(connect=Stubborn)  # type: ignore[arg-type]
        client = scene.client(Peer())
        self.net.run(0.5)
        scene.relay.drop()
        self.net.run_until(client.end_seen)
        lose(client)
        server = self.net.run_until(scene.servers.first())
        self.net.run_until(server.end_seen)
        lose(server)
        self.net.run(LINGER)
        scene.over()

    def test_leg_is_lost_while_connecting(self) -> None:
        """Some transports tell of their end though nobody reads from them."""
        never = Never()
        scene = self.scene(connect=lambda: never)
        client = scene.client(Peer())
        self.net.run(0.5)
        (connection,) = scene.relay._alive
        connection.client.transport.loseConnection()
        self.net.run_until(client.end_seen)
        lose(client)
        self.assertEqual((never.given_up, scene.relay.refused), (1, 0))
        scene.over()

    def test_dropped(self) -> None:
        """So does the relay that drops its connections."""
        never = Never()
        scene = self.scene(connect=lambda: never)
        client = scene.client(Peer())
        self.net.run(1)
        self.assertEqual(scene.relay.connections, 1)
        scene.relay.drop()
        self.assertEqual((scene.relay.connections, never.given_up), (0, 1))
        scene.relay.set_faults(faults(SlowClose()), [])
        self.net.run_until(client.end_seen)
        lose(client)
        scene.over()

    def test_faults_while_connecting(self) -> None:
        """Faults that come before the upstream does are in force from the first byte."""
        scene = self.scene(lambda: Peer(data=echo))
        self.net.link("proxy", "server", *faults(Latency(1.0)))
        client = scene.client(Peer(made=lambda one: one.transport.write(b"early")))
        self.net.run(0.1)
        self.assertEqual(scene.relay.connections, 1)
        scene.relay.set_faults(SLOW, [])
        self.net.run_until(client.arrived(5), limit=10)
        self.assertEqual(scene.relay.hits, {"Latency": 1})

    def test_bytes_wait(self) -> None:
        """What a client sends before is not read, and arrives when there is somebody."""
        scene = self.scene()
        self.net.link("proxy", "server", *faults(Latency(5.0)))
        self.net.link("server", "proxy", *faults(Latency(5.0)))
        client = scene.client(Peer(made=lambda one: one.transport.write(b"x" * 1_000_000)))
        self.net.run(4)
        self.assertEqual(scene.relay.received["upstream"], 0)
        shut(client)
        server = self.net.run_until(scene.servers.first(), limit=30)
        self.net.run_until(server.end_seen, limit=60)
        self.assertEqual(server.got, b"x" * 1_000_000)


def pause(peer: Any) -> None:
    """An action: read no more."""
    peer.transport.pauseProducing()


def resume(peer: Any) -> None:
    """An action: read again."""
    peer.transport.resumeProducing()


def abort(peer: Any) -> None:
    """An action: reset."""
    peer.transport.abortConnection()


def write(peer: Any) -> None:
    """An action: send much."""
    peer.transport.write(bytes(range(250)) * 2000)


#: Every kind of fault.
ALL: list[Settings] = [
    Noop(), Latency(0.1, 0.1), Bandwidth(50_000.0), Bandwidth(0.0), Slicer(5000, 100, 0.001),
    SlowClose(0.5), Loss(0.3), PacketLoss(0.5), Corrupt(0.1), Blackhole(), Timeout(0.3), Timeout(),
    ResetPeer(0.2), ResetPeer(0.2, idle=True), LimitData(100_000), Cut(0.00001), Partition(),
]  # fmt: skip
LISTS = st.lists(st.sampled_from(ALL), max_size=3, unique_by=type).map(lambda some: faults(*some))
WHERE = st.sampled_from(["client", "server"])
ACTIONS = st.sampled_from([write, write, write, shut, lose, abort, pause, resume])


class AnythingTests(SceneCase):
    """Whatever peers do and whatever is wrong."""

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("act"), st.integers(0, 5), ACTIONS),
                st.tuples(st.just("faults"), LISTS, LISTS),
                st.tuples(st.just("drop"), st.none(), st.none()),
                st.tuples(st.sampled_from(["partition", "heal"]), st.just("proxy"), WHERE),
                st.tuples(st.sampled_from(["partition", "heal"]), WHERE, st.just("proxy")),
            ),
            max_size=15,
        ),
        st.integers(0, 999),
    )
    def test_nothing_is_left(self, steps: list[tuple[str, Any, Any]], seed: int) -> None:
        """When faults and peers are gone, so is all else; and no byte was made up on the way."""
        with simulate(seed) as net:
            scene = Simulated(net)
            pairs = [scene.pair() for _ in range(3)]
            peers = [peer for pair in pairs for peer in pair]
            corrupt = False
            for what, first, second in steps:
                if what == "act" and not peers[first].why:
                    second(peers[first])
                elif what == "faults":
                    scene.relay.set_faults(first, second)
                    lossy = (Corrupt, PacketLoss, Blackhole, Timeout)
                    corrupt |= any(isinstance(one.settings, lossy) for one in first + second)
                elif what == "drop":
                    scene.relay.drop()
                elif what in {"partition", "heal"}:
                    getattr(net, what)(first, second)
                net.run(0.05)
            for host in ("client", "server"):
                net.heal("proxy", host)
                net.heal(host, "proxy")
            scene.relay.set_faults([], [])
            net.run(1)
            for peer in peers:
                if not peer.why:
                    resume(peer)
                    lose(peer)
            scene.over()
            if not corrupt:
                whole = bytes(range(250)) * 2000 * len(steps)
                self.assertTrue(all(whole.startswith(peer.got) for peer in peers))


class AtOnceTests(SocketCase):
    """Upstreams within the machine, on the reactor of this process."""

    async def test_early(self) -> None:
        """What a client has sent before its upstream is there is read in the same event."""
        await self.begin(lambda: Peer(data=echo, end=shut))
        ours, peer = tcp_pair()
        self.addCleanup(peer.close)
        peer.sendall(b"hello")
        leg = self.relay.accept()
        leg.makeConnection(LeanConnection(ours, leg, peer.getsockname(), None, 0, reactor))
        self.assertEqual(self.relay.received["upstream"], 5)
        server = await self.servers.first()
        await server.arrived(5)
        peer.shutdown(socket.SHUT_WR)
        await server.lost
        self.assertEqual(peer.recv(9), b"hello")

    async def test_nobody_there(self) -> None:
        """A client of an upstream that refuses at once gets the end."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            endpoint = AddressEndpoint(reactor, *probe.getsockname())
            address = await self.begin(Peer, lambda _: endpoint)
            client = await self.client(address)
            await client.end_seen
        self.assertEqual(self.relay.refused, 1)
        lose(client)
        await client.lost


class SeenTests(SceneCase):
    """How the ends of connections look in a capture, and who is said to have made them."""

    def ends(self, scene: Simulated) -> tuple[list[Any], list[Any]]:
        """Of both legs, when all is over."""
        scene.over()
        for side in (CLIENT, UPSTREAM):
            scene.captured.check(side)
        return scene.captured.ends(CLIENT), scene.captured.ends(UPSTREAM)

    def test_by_a_fault(self) -> None:
        """What a fault has ended, it has ended on both legs."""
        for kind, word in ((LimitData(3), "FIN"), (ResetPeer(0.1), "RST"), (Cut(1.0), "RST")):
            scene = self.scene(lambda: Peer(end=shut), faults(kind), captured=True)
            client, server = scene.pair(Peer(end=shut))
            client.transport.write(b"hello")
            self.net.run_until(client.lost)
            self.net.run_until(server.lost)
            for found in self.ends(scene):
                how, why = found[0]
                self.assertEqual(how, f"{word} out")
                self.assertRegex(why, f"^ended by {type(kind).__name__}, ")

    def test_of_the_end(self) -> None:
        """What a fault has done to an end is on both legs."""
        scene = self.scene(lambda: Peer(end=shut), faults(SlowClose(0.5)), captured=True)
        client, _ = scene.pair()
        shut(client)
        self.net.run_until(client.lost)
        slow = "held back by SlowClose, delay=500"
        client_ends, upstream_ends = self.ends(scene)
        self.assertEqual(client_ends, [("FIN in", slow), ("FIN out", "")])
        self.assertEqual(upstream_ends, [("FIN out", slow), ("FIN in", "")])

    def test_broken(self) -> None:
        """A reset of a peer's is passed on; nobody else is to blame."""
        scene = self.scene(captured=True)
        client, server = scene.pair()
        client.transport.abortConnection()
        self.net.run_until(server.lost)
        self.assertEqual(self.ends(scene), ([("RST in", "")], [("RST out", "")]))

    def test_refused(self) -> None:
        """A client without an upstream is there, and is told why it is let go."""
        scene = self.scene(captured=True)
        self.net.host("server").crash()
        self.net.host("server").restart()
        self.net.run_until(scene.client(Peer(end=shut)).lost)
        scene.over()
        self.assertEqual([name for name, _ in scene.captured.sides()], [CLIENT])
        scene.captured.check(CLIENT)
        (how, why), _ = scene.captured.ends(CLIENT)
        self.assertEqual(how, "FIN out")
        self.assertRegex(why, "^no upstream: .*refused")

    def test_dropped(self) -> None:
        """A proxy that is closed says so."""
        scene = self.scene(lambda: Peer(end=shut), captured=True)
        scene.pair(Peer(end=shut))
        scene.relay.drop()
        for found in self.ends(scene):
            self.assertEqual(found[0], ("FIN out", "the proxy is closed"))
