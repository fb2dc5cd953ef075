"""What a capture has of a proxy: of its streams on a simulated network, of its datagrams."""

from bisect import bisect_right
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import MSS, RST
from lab.faults.datagrams import Corrupt, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut, LimitData, PacketLoss, ResetPeer, Slicer, Timeout
from lab.proxy.recording import DatagramLeg, RelayRecording, StreamLeg, Way
from lab.simulator.network import simulate
from tests.proxy.captured import CLIENT, UPSTREAM, Captured
from tests.proxy.scenes import Peer, Simulated, faults, shut
from tests.proxy.test_pump import CHUNKS, DATA, LISTS, pieces

HERE, THERE = IPv4Address("TCP", "10.0.0.1", 80), IPv4Address("TCP", "10.0.0.2", 1024)
LOSSY = st.lists(
    st.sampled_from([PacketLoss(0.4), Corrupt(0.3), LimitData(3000), Cut(0.0003), Slicer(99, 9),
                     Latency(0.02, 0.02), Loss(0.3)]),
    max_size=3, unique_by=type,
).map(lambda some: faults(*some)) | st.just(faults(ResetPeer(0.1)))  # fmt: skip


class StreamTests(SynchronousTestCase):
    """Whole relays: what is on each interface is what was sent and what has arrived."""

    @settings(max_examples=30, deadline=None)
    @given(
        CHUNKS,
        LISTS,
        LISTS,
        st.lists(st.tuples(st.floats(0, 0.2), LISTS, LISTS), max_size=3),
        st.integers(0, 999),
    )
    def test_equal(
        self, sizes: list[int], upstream: Any, downstream: Any, changes: list[Any], seed: int
    ) -> None:
        """Whatever the faults are and become, if they lose nothing, all is on both interfaces."""
        with simulate(seed) as net:
            scene = Simulated(net, Peer, upstream, downstream, captured=True)
            client, server = scene.pair()
            for when, *both in changes:
                net.at(net.now + when, scene.relay.set_faults, *both)
            for data in pieces(sizes):
                client.transport.write(data)
                server.transport.write(data[::-1])
                net.run(0.01)
            shut(client)
            net.run_until(server.end_seen, limit=60)
            shut(server)
            net.run_until(client.lost, limit=60)
            scene.over()
            seen, back = scene.captured, b"".join(data[::-1] for data in pieces(sizes))
            for side, sent, answered in ((CLIENT, DATA, back), (UPSTREAM, back, DATA)):
                seen.check(side)
                self.assertEqual(seen.bytes(side, inbound=True), sent)
                self.assertEqual(seen.bytes(side, inbound=False), answered)
                self.assertEqual({how for how, _ in seen.ends(side)}, {"FIN in", "FIN out"})
            self.times(seen)

    def times(self, seen: Captured) -> None:
        """Nothing goes out before it has come in, and packets are in the order of their times."""
        sides = {side: seen.seen(side) for side in (CLIENT, UPSTREAM)}
        for found in sides.values():
            times = [one.at for one in found]
            self.assertEqual(times, sorted(times))
        for first, last in ((CLIENT, UPSTREAM), (UPSTREAM, CLIENT)):
            came = [one for one in sides[first] if one.inbound and one.data]
            begins = [one.seq - sides[first][0].seq for one in came]
            for one in sides[last]:
                if one.data and not one.inbound:
                    place = bisect_right(begins, one.seq - sides[last][0].seq) - 1
                    self.assertGreaterEqual(one.at, came[place].at)

    @settings(max_examples=30, deadline=None)
    @given(CHUNKS, LOSSY, LOSSY, st.integers(0, 999))
    def test_lossy(self, sizes: list[int], upstream: Any, downstream: Any, seed: int) -> None:
        """Whatever faults destroy: what came in is what was sent, what went out what arrived."""
        with simulate(seed) as net:
            scene = Simulated(net, Peer, upstream, downstream, captured=True)
            client, server = scene.pair()
            for data in pieces(sizes):
                for peer in (client, server):
                    if not peer.why:
                        peer.transport.write(data)
                net.run(0.01)
            net.run(5)
            for peer in (client, server):
                if not peer.why:
                    shut(peer)
            net.run(90)
            seen = scene.captured
            for side, peer in ((CLIENT, client), (UPSTREAM, server)):
                seen.check(side)
                self.assertTrue(DATA.startswith(seen.bytes(side, inbound=True)))
                sent = seen.bytes(side, inbound=False)
                reset = any(one.flags & RST for one in seen.seen(side))
                self.assertEqual(sent[: len(peer.got)] if reset else sent, peer.got)
                for one in seen.seen(side, inbound=False):
                    self.assertFalse(one.data and "dropped" in one.comment)
            scene.over()

    def test_sides(self) -> None:
        """Two interfaces, which say where they lead to, with the addresses of the legs."""
        with simulate(7) as net:
            scene = Simulated(net, captured=True)
            scene.pair()
            scene.pair()
            proxy, server = (net.host(name).address for name in ("proxy", "server"))
            self.assertEqual(
                scene.captured.sides(),
                [
                    (CLIENT, f"from clients to relay, which listens on {proxy}:80"),
                    (UPSTREAM, "from relay to server:80"),
                ],
            )
            hosts = {one.source for one in scene.captured.seen(UPSTREAM)}
            self.assertEqual(hosts, {proxy, server})
            first = {one.seq for one in scene.captured.seen(CLIENT) if not one.ack}
            self.assertEqual(first, {0, 128_000})

    def test_comments(self) -> None:
        """Segments that were touched say by what; those that were dropped never go out."""
        with simulate(7) as net:
            scene = Simulated(net, Peer, faults(PacketLoss(0.5), Latency(0.1)), captured=True)
            client, server = scene.pair()
            for number in range(20):
                client.transport.write(b"%02d" % number * MSS)
                net.run(0.01)
            net.run(1)
            came = scene.captured.seen(CLIENT, inbound=True)[2:]
            late = "delayed 100 ms by Latency, latency=100"
            lost = [one for one in came if one.comment != late]
            self.assertTrue(0 < len(lost) < len(came))
            for one in lost:
                self.assertRegex(one.comment, r"^dropped by PacketLoss, loss_rate=0.5, draw 0\.")
            went = [one for one in scene.captured.seen(UPSTREAM, inbound=False) if one.data]
            self.assertEqual({one.comment for one in went}, {late})
            self.assertEqual(len(went) + len(lost), len(came))
            self.assertEqual(bytes(server.got), b"".join(one.data for one in went))

    def test_dropped_later(self) -> None:
        """What is dropped when it has been seen already is told where it came in, at that time."""
        chosen = faults(Latency(0.1), Slicer(100), PacketLoss(1.0))
        with simulate(7) as net:
            scene = Simulated(net, Peer, chosen, captured=True)
            client, server = scene.pair()
            client.transport.write(b"x" * 300)
            net.run(0.05)
            client.transport.write(b"y" * 100)
            net.run(1)
            self.assertEqual(server.got, b"")
            seen = [one for one in scene.captured.seen(CLIENT) if one.comment]
            self.assertEqual([len(one.data) for one in seen], [300, 100, 0, 0])
            late = "delayed 100 ms by Latency, latency=100"
            self.assertEqual([one.comment for one in seen[:2]], [late] * 2)
            first, second = (one.comment for one in seen[2:])
            self.assertEqual(first.count("dropped by PacketLoss, loss_rate=1, draw 0."), 4)
            self.assertTrue(first.endswith(": Seq 226 to 300"))
            self.assertTrue(second.endswith(": Seq 301 to 400"))
            self.assertApproximates(seen[2].at - seen[0].at, 0.1, 1e-5)

    def test_dropped_together(self) -> None:
        """Neighbours that are dropped by one fault are told of as one."""
        with simulate(7) as net:
            scene = Simulated(net, Peer, faults(Latency(0.1), Slicer(10), Timeout()), captured=True)
            client, _ = scene.pair()
            client.transport.write(b"x" * 1000)
            net.run(1)
            comments = [one.comment for one in scene.captured.seen(CLIENT) if one.comment]
            self.assertEqual(comments[1:], ["dropped by Timeout: Seq 1 to 1000"])

    def test_lost_later(self) -> None:
        """What TCP sends again arrives, and says so itself."""
        with simulate(7) as net:
            scene = Simulated(net, Peer, faults(Latency(0.1), Loss(every=2)), captured=True)
            client, server = scene.pair()
            client.transport.write(b"x" * 3000)
            net.run(1)
            self.assertEqual(len(server.got), 3000)
            for one in scene.captured.seen(CLIENT):
                self.assertNotIn("lost", one.comment)
            again = [one.comment for one in scene.captured.seen(UPSTREAM) if "lost" in one.comment]
            self.assertEqual(len(again), 1)


class LegTests(SynchronousTestCase):
    """The parts by themselves."""

    def setUp(self) -> None:
        """A leg that is there."""
        self.clock = Clock()
        self.captured = Captured(self.clock.seconds)
        self.leg = StreamLeg(self.captured.relay, inbound=True)
        self.leg.made(HERE, THERE)

    def test_before_and_after(self) -> None:
        """A leg that is not there yet, or not any more, has nothing to be seen."""
        before = bytes(self.captured.file)
        other = StreamLeg(self.captured.relay, inbound=True)
        for leg in (other, self.leg):
            leg.came(b"x")
            leg.left(b"x")
            leg.wasted(b"x")
            leg.note("what")
            leg.ended(inbound=True)
            leg.reset("gone", inbound=True)
            if leg is other:
                self.assertEqual(bytes(self.captured.file), before)
        before = bytes(self.captured.file)
        self.leg.came(b"x")
        self.leg.reset(inbound=True)
        self.assertEqual(bytes(self.captured.file), before)
        self.assertEqual(self.captured.ends(CLIENT), [("FIN in", ""), ("RST in", "gone")])

    def test_wasted(self) -> None:
        """What nobody wants says so, all of it."""
        self.leg.wasted(bytes(2 * MSS + 1))
        comments = [one.comment for one in self.captured.seen(CLIENT) if one.data]
        self.assertEqual(comments, ["thrown away: the connection is closed"] * 3)

    def test_unix(self) -> None:
        """What has no address has one that is made up, and a name."""
        relay = RelayRecording(self.captured.recording, "unix", "unix:/run/lab")
        leg = StreamLeg(relay, inbound=True)
        leg.made(UNIXAddress(b"/run/proxy"), UNIXAddress(None))
        leg.came(b"hello")
        self.assertIn(
            ("unix-client", "from clients to unix, which listens on /run/proxy"),
            self.captured.sides(),
        )
        self.assertIn(b"/run/proxy\0", self.captured.file)

    def test_way(self) -> None:
        """What faults say is handed on; who has ended the connection is kept."""
        told: list[Any] = []

        class Told:
            """Keeps what it is told."""

            traces = False

            def judged(self, *given: Any) -> None:
                """Keep it."""
                told.append(given)

            def ended(self, fault: Fault) -> None:
                """Keep it."""
                told.append(fault)

        way = Way(self.leg, StreamLeg(self.captured.relay, inbound=False), Told())
        fault = Fault(LimitData(10), "limit")
        way.judged(fault, "dropped", 0, 1)
        way.ended(fault)
        self.assertEqual(told, [(fault, "dropped", 0, 1), fault])
        self.assertEqual(way.ending, "ended by limit, bytes=10")
        way.ended_by([(fault, "held back")])
        expected = [("FIN in", "held back by limit, bytes=10")]
        self.assertEqual(self.captured.ends(CLIENT), expected)

    def test_datagrams(self) -> None:
        """Both ways, and what ICMP says of the last that went out."""
        leg = DatagramLeg(self.captured.relay, ("10.0.0.1", 5), ("10.0.0.2", 6), inbound=False)
        leg.refused()
        leg.came(b"question", "late")
        leg.left(b"answer")
        self.clock.advance(1)
        leg.refused()
        found = [(one.inbound, one.comment, one.at) for one in self.captured.seen(UPSTREAM)]
        self.assertEqual(found, [(True, "late", 0), (False, "", 0), (True, "", 1)])
        protocols = [one.protocol for one in self.captured.seen(UPSTREAM)]
        self.assertEqual(protocols, [17, 17, 1])

    def test_unwanted(self) -> None:
        """While nobody wants packets none is made."""
        leg = DatagramLeg(self.captured.relay, ("10.0.0.1", 5), ("10.0.0.2", 6), inbound=False)
        self.captured.capture.wanted = False
        leg.came(b"question")
        leg.left(b"answer")
        leg.refused()
        self.assertEqual(self.captured.seen(UPSTREAM), [])
