"""One direction of a relayed connection: faults, order and memory, on a simulated network."""

import hashlib
import math
import os
import random
from typing import Any
from unittest import mock, skipUnless

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from zope.interface import implementer

from lab.adapters.lean import LeanConnection
from lab.adapters.splice import PIPES
from lab.faults.datagrams import Bandwidth, Blackhole, Corrupt, Latency, Loss, Noop, Settings
from lab.faults.fault import Fault
from lab.faults.stages import STAGES
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
from lab.proxy import pump as module
from lab.proxy.room import Room
from lab.simulator.network import simulate
from tests.proxy.captured import CLIENT, UPSTREAM
from tests.proxy.scenes import LITTLE, Peer, SceneCase, Simulated, faults, lose, shut
from tests.proxy.sockets import SocketCase

reactor: Any = real_reactor
DATA = bytes(range(251)) * 40  # 10,040 bytes; no piece of it looks like another

#: Faults that lose no byte and keep the end.
SAFE: list[Settings] = [
    Noop(),
    Latency(0.02, 0.02),
    Bandwidth(200_000.0),
    SlowClose(0.5),
    Slicer(300, 50, 0.0005),
    Loss(0.2),
    PacketLoss(0.0),
]
LISTS = st.lists(st.sampled_from(SAFE), max_size=3, unique_by=type).map(lambda some: faults(*some))
CHUNKS = st.lists(st.integers(1, 4000), min_size=1, max_size=12)


def pieces(sizes: list[int]) -> list[bytes]:
    """The data, cut in pieces of these sizes; the last takes what is left."""
    found, at = [], 0
    for size in sizes:
        found.append(DATA[at : at + size])
        at += size
    return [*found, DATA[at:]]


class OrderTests(SceneCase):
    """Bytes are the same at the other end."""

    @settings(max_examples=60, deadline=None)
    @given(CHUNKS, LISTS, LISTS, st.integers(0, 999))
    def test_equal(
        self, sizes: list[int], upstream: list[Fault], downstream: list[Fault], seed: int
    ) -> None:
        """Whatever the chunks are and whatever is wrong, both ways at once, and then the ends."""
        with simulate(seed) as net:
            scene = Simulated(net, Peer, upstream, downstream)
            client, server = scene.pair()
            for data in pieces(sizes):
                client.transport.write(data)
                server.transport.write(data[::-1])
                net.run(0.01)
            shut(client)
            net.run_until(server.end_seen, limit=60)
            shut(server)
            net.run_until(client.lost, limit=60)
            back = b"".join(data[::-1] for data in pieces(sizes))
            self.assertEqual((bytes(server.got), bytes(client.got)), (DATA, back))
            self.assertEqual((client.why, server.why), ("ConnectionDone", "ConnectionDone"))
            both = {"upstream": len(DATA), "downstream": len(DATA)}
            self.assertEqual((scene.relay.received, scene.relay.sent), (both, both))
            scene.over()

    @settings(max_examples=60, deadline=None)
    @given(
        CHUNKS,
        st.lists(st.tuples(st.floats(0, 0.3), LISTS, LISTS), max_size=6),
        st.integers(0, 999),
    )
    def test_changes(
        self, sizes: list[int], changes: list[tuple[float, Any, Any]], seed: int
    ) -> None:
        """Faults come, change and go at any moment: nothing is lost, twice, or out of order."""
        with simulate(seed) as net:
            scene = Simulated(net, Peer)
            client, server = scene.pair()
            for when, upstream, downstream in changes:
                net.at(net.now + when, scene.relay.set_faults, upstream, downstream)
            for data in pieces(sizes):
                client.transport.write(data)
                server.transport.write(data)
                net.run(0.02)
            shut(client)
            shut(server)
            net.run_until(client.lost, limit=60)
            net.run_until(server.lost, limit=60)
            self.assertEqual((bytes(server.got), bytes(client.got)), (DATA, DATA))
            scene.over()


class FaultTests(SceneCase):
    """Every fault of streams does on a relay what it says."""

    began = 0.0

    def done(self, settings: Settings, **times: float) -> Any:
        """Send 30 chunks, one every 10 ms, and an end: the server, the client, the hits."""
        scene = self.scene(lambda: Peer(end=shut), [Fault(settings, "it", **times)])
        client, server = scene.pair(Peer(end=shut))
        self.began = self.net.now
        for number in range(30):
            if not client.why:
                client.transport.write(b"%02d." % number)
            self.net.run(0.01)
        if not client.why:
            shut(client)
        self.net.run(10)
        hits = scene.relay.hits.get("it", 0)
        scene.relay.drop()
        for peer in (client, server):
            if not peer.why:
                lose(peer)
        scene.over()
        return server, client, hits

    def test_all_are_here(self) -> None:
        """No fault is forgotten below."""
        here = {Noop, Latency, Bandwidth, SlowClose, Slicer, Loss, PacketLoss, Corrupt, Blackhole}
        here |= {Timeout, ResetPeer, LimitData, Cut, Partition}
        self.assertEqual(set(STAGES), here)

    def test_pass(self) -> None:
        """Those that pass everything, sooner or later, and how often they have done something."""
        whole = b"".join(b"%02d." % number for number in range(30))
        for chosen, hits in [
            (Noop(), 0), (Latency(0.5), 30), (Latency(0.0), 0), (SlowClose(1.0), 1),
            (Slicer(1), 30), (Bandwidth(1000.0), 30), (PacketLoss(0.0), 0),
        ]:  # fmt: skip
            server, _, found = self.done(chosen)
            self.assertEqual((bytes(server.got), server.ended), (whole, True), chosen)
            self.assertEqual(found, hits, chosen)
        server, _, found = self.done(Loss(0.3))
        self.assertEqual((bytes(server.got), found > 3), (whole, True))
        server, _, found = self.done(Partition(), duration=1.0)
        self.assertEqual((bytes(server.got), found > 0), (whole, True))

    def test_times(self) -> None:
        """On a virtual clock a delay is exact; the end waits for the last chunk only."""
        server, _, _ = self.done(Latency(0.5))
        late = [time - self.began for time in server.times]
        plain, _, _ = self.done(Noop())
        soon = [time - self.began for time in plain.times]
        self.assertEqual((len(soon), late[-1]), (31, late[-2]))
        for one, other in zip(late[:-1], soon[:-1], strict=True):
            self.assertAlmostEqual(one - other, 0.5)

    def test_damage(self) -> None:
        """Those that lose or change bytes."""
        server, _, hits = self.done(PacketLoss(0.3))
        self.assertEqual(len(server.got), 90 - 3 * hits)
        self.assertTrue(0 < hits < 30)
        server, _, hits = self.done(Corrupt(0.3))
        self.assertEqual(len(server.got), 90)
        self.assertTrue(0 < hits < 30)
        for chosen in (Blackhole(), Timeout()):
            server, client, hits = self.done(chosen)
            self.assertEqual((server.got, client.why), (b"", "ConnectionDone"))
            self.assertGreaterEqual(hits, 30)

    def test_end(self) -> None:
        """Those that end the connection: with FIN or with RST."""
        server, client, hits = self.done(Timeout(0.5))
        self.assertEqual((server.got, server.why, client.why), (b"", *["ConnectionDone"] * 2))
        self.assertEqual(hits, 32)  # 30 chunks and an end are dropped, and then it closes
        server, client, hits = self.done(LimitData(40))
        self.assertEqual((len(server.got), server.why), (40, "ConnectionDone"))
        self.assertEqual((client.why, hits), ("ConnectionDone", 1))  # in a chunk: one event
        server, client, hits = self.done(ResetPeer(0.055))
        self.assertEqual((server.got, server.why, client.why), (b"", *["ConnectionLost"] * 2))
        self.assertEqual(hits, 7)  # six chunks are held back, and then it resets
        server, client, hits = self.done(Cut(0.02))
        self.assertEqual((server.why, client.why, hits), (*["ConnectionLost"] * 2, 1))

    def test_timeout_removed(self) -> None:
        """A timeout that goes closes the connection, since bytes are missing."""
        scene = self.scene(Peer, faults(Timeout()))
        client, server = scene.pair()
        client.transport.write(b"lost")
        self.net.run(1)
        scene.relay.set_faults([], [])
        self.net.run_until(server.end_seen)
        self.net.run_until(client.end_seen)
        self.assertEqual((server.got, scene.relay.hits), (b"", {}))
        lose(client)
        lose(server)
        scene.over()


class PathTests(SceneCase):
    """Where bytes go."""

    def test_plain(self) -> None:
        """Without faults that work on it, a direction has no link on its path."""
        never = Fault(Noop(), "never", toxicity=0.0)
        scene = self.scene(Peer)
        client, server = scene.pair()
        (connection,) = scene.relay._alive
        direction = connection._pumps[connection.client]
        plain = direction._pass
        takes = []
        for chosen in ([], faults(Latency(1.0)), [], [never]):
            scene.relay.set_faults(chosen, [])
            takes.append(connection.client.take == plain)
            client.transport.write(b"x")
            self.net.run(0.1)
        self.assertEqual(takes, [True, False, True, True])
        self.net.run(2)
        self.assertEqual(server.got, b"xxxx")
        self.assertEqual(connection.upstream.take, connection._pumps[connection.upstream]._pass)
        self.assertIsNone(connection._pumps[connection.upstream]._link)

    def test_early(self) -> None:
        """Bytes that a transport has brought unasked go first, through the faults."""
        for chosen in ([], faults(Latency(0.5))):
            scene = self.scene(Peer, chosen)
            self.net.link("proxy", "server", *faults(Latency(1.0)))
            client = scene.client(Peer())
            self.net.run(0.01)
            (connection,) = scene.relay._alive
            connection.client.dataReceived(b"one ")
            client.transport.write(b"two")
            server = self.net.run_until(scene.servers.first(), limit=10)
            self.assertEqual(self.net.run_until(server.arrived(7), limit=10), b"one two")

    def test_never_begun(self) -> None:
        """A fault of one direction may end a connection before the other begins."""
        scene = self.scene(Peer, faults(ResetPeer(0.0, idle=True)))
        client, server = scene.pair()
        self.net.run_until(client.lost)
        self.net.run_until(server.lost)
        scene.over()

    def test_bug(self) -> None:
        """A fault that raises ends its own connection, and says so in the log with a traceback."""

        class Broken(Exception):
            """A bug."""

        def broken(*_: object) -> None:
            raise Broken

        scene = self.scene(Peer, [Fault(Noop(), "noop")])
        client, server = scene.pair()
        other, other_server = scene.pair()
        (connection, _) = scene.relay._alive
        connection._pumps[connection.client]._link.feed = broken
        client.transport.write(b"x")
        self.assertEqual(self.net.run_until(client.lost), "ConnectionLost")
        self.assertEqual(self.net.run_until(server.lost), "ConnectionLost")
        other.transport.write(b"y")
        self.net.run_until(other_server.arrived(1))
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)


class MemoryTests(SceneCase):
    """A reader that stalls."""

    def stall(self, settings: list[Fault], seconds: float = 20.0) -> tuple[Simulated, Any]:
        """Send to a server that does not read; the relay never has more than so much."""
        scene = self.scene(lambda: Peer(made=lambda one: one.transport.pauseProducing()), settings)
        client, server = scene.pair()
        (connection,) = scene.relay._alive
        ours = connection._pumps[connection.client]

        def inside() -> int:
            """Bytes that the relay has read, and not written to the network."""
            link = ours._link.buffered if ours._link else 0
            end = connection.upstream.transport
            return link + len(end._buffer)

        self.net.always("bounded", lambda: inside() <= 2 * LITTLE)
        client.transport.write(b"x" * 8 * LITTLE)
        self.net.run(seconds)
        return scene, server

    def test_plain(self) -> None:
        """Little more than the transport's own buffer, and all arrives when it is read."""
        scene, server = self.stall([])
        self.assertLess(scene.relay.received["upstream"], LITTLE)
        server.transport.resumeProducing()
        self.net.run_until(server.arrived(8 * LITTLE), limit=60)

    def test_faults(self) -> None:
        """What is inside the link counts as well."""
        for chosen in (Latency(0.5), Bandwidth(100_000.0), Partition(), Bandwidth(0.0)):
            scene, server = self.stall(faults(chosen))
            self.assertLess(scene.relay.received["upstream"], 2 * LITTLE + LITTLE // 2, chosen)
            self.assertGreater(scene.relay.received["upstream"], LITTLE // 2, chosen)
            server.transport.resumeProducing()
            scene.relay.set_faults([], [])
            self.net.run_until(server.arrived(8 * LITTLE), limit=60)
            self.assertEqual(server.got, b"x" * 8 * LITTLE)

    def test_usual(self) -> None:
        """Without a word about room there is as much as Toxiproxy has."""
        scene = self.scene(Peer, faults(Latency(1.0)), room=Room())
        client, server = scene.pair()
        client.transport.write(bytes(12 * 2**20))
        self.net.run_until(server.arrived(12 * 2**20), limit=1.9)

    def test_shared(self) -> None:
        """All links together have a bound, beyond which each has less; what ends gives it back."""
        unit = 2**16
        room = Room(most=8 * unit, least=unit, total=10 * unit)
        scene = self.scene(Peer, faults(Partition()), room=room)
        pairs = [scene.pair() for _ in range(4)]
        for client, _ in pairs:
            client.transport.write(bytes(20 * unit))
            self.net.run(1.0)
        self.assertLess(room.taken, room.total + len(pairs) * 3 * unit)
        self.assertGreater(room.taken, room.total)
        for _, server in pairs:
            self.assertEqual(len(server.got), 0)
        scene.relay.set_faults([], [])
        for _, server in pairs:
            self.net.run_until(server.arrived(20 * unit), limit=60)
        self.assertEqual(room.taken, 0)
        scene.relay.set_faults(faults(Partition()), [])
        pairs[0][0].transport.write(b"more")
        self.net.run(1.0)
        self.assertGreater(room.taken, 0)
        scene.relay.reset()
        self.assertEqual(room.taken, 0)

    def test_small_pieces(self) -> None:
        """Pieces of a byte take a hundred times the memory of it: there is room for fewer."""
        scene, server = self.stall(faults(Slicer(1, 0, 1.0)), seconds=1.0)
        self.assertLess(scene.relay.received["upstream"], LITTLE // 50)
        scene.relay.set_faults([], [])
        server.transport.resumeProducing()
        self.net.run_until(server.arrived(8 * LITTLE), limit=60)

    def test_dropped(self) -> None:
        """What is dropped takes no room: the client may send all it has."""
        for chosen in (Blackhole(), Timeout(), PacketLoss(1.0)):
            scene, _ = self.stall(faults(chosen))
            self.assertEqual(scene.relay.received["upstream"], 8 * LITTLE, chosen)

    def test_rate(self) -> None:
        """A rate that the link's room is large against is kept to the end."""
        scene = self.scene(Peer, faults(Bandwidth(100_000.0)), room=50_000)
        client, server = scene.pair()
        begin = self.net.now
        client.transport.write(b"x" * 1_000_000)
        self.net.run_until(server.arrived(1_000_000), limit=60)
        self.assertTrue(math.isclose(self.net.now - begin, 10.0, rel_tol=0.01))


class SeenTests(SceneCase):
    """With a capture, on paths with and without faults."""

    def test_all(self) -> None:
        """Bytes and ends are seen while faults come and go, and also when there never was one."""
        for chosen in ([], faults(Latency(0.1)), faults(Noop())):
            with self.subTest(chosen):
                scene = self.scene(lambda: Peer(end=shut), captured=True)
                client, server = scene.pair()
                client.transport.write(b"one ")
                self.net.run(0.1)
                scene.relay.set_faults(chosen, [])
                client.transport.write(b"two ")
                self.net.run(0.1)
                scene.relay.set_faults([], [])
                client.transport.write(b"three")
                shut(client)
                self.net.run_until(client.lost)
                self.assertEqual(server.got, b"one two three")
                for side, inbound in ((CLIENT, True), (UPSTREAM, False)):
                    found = scene.captured.bytes(side, inbound=inbound)
                    self.assertEqual(found, b"one two three")
                    scene.captured.check(side)
                scene.over()

    def test_fast_path(self) -> None:
        """Without a capture and without faults a chunk costs one call, as ever."""
        scene = self.scene()
        scene.pair()
        (connection,) = scene.relay._alive
        for pump in connection._pumps.values():
            self.assertEqual(pump._source.take, pump._pass)
        scene.relay.drop()


@implementer(IPushProducer)
class Flood(Peer):
    """Sends bytes that were drawn, as fast as they are taken, until it is told to end."""

    noise = os.urandom(2**18)

    def __init__(self) -> None:
        super().__init__(made=Flood.begin)
        self.draw = random.Random(7)
        self.sent, self.came = hashlib.sha256(), hashlib.sha256()
        self.sizes = [0, 0]
        self.paused = self.over = False

    def begin(self) -> None:
        """Send."""
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Take it."""
        self.came.update(data)
        self.sizes[1] += len(data)

    def pauseProducing(self) -> None:
        """Enough."""
        self.paused = True

    def resumeProducing(self) -> None:
        """More."""
        self.paused = False
        while not self.paused and not self.over:
            data = self.noise[self.draw.randrange(2**17) :]
            self.sent.update(data)
            self.sizes[0] += len(data)
            self.transport.write(data)

    def stopProducing(self) -> None:
        """The connection is gone."""

    def finish(self) -> None:
        """Send no more."""
        self.over = True
        self.transport.unregisterProducer()
        shut(self)


@skipUnless(hasattr(os, "splice"), "there is no splice here")
class ReadingOnTests(SocketCase):
    """Where much comes, chunks are read one behind the other."""

    async def chunks(self, fault: Settings, data: bytes) -> list[int]:
        """The sizes of the chunks of each event."""
        events: list[list[int]] = []
        address = await self.begin(lambda: Peer(end=shut))
        self.relay.set_faults(faults(fault), [])
        client = await self.client(address)
        await self.servers.first()
        (connection,) = self.relay._alive
        take, pump = connection.client.take, connection._pumps[connection.client]

        def taking(data: bytes) -> None:
            if not pump._reads_on:
                events.append([])
            events[-1].append(len(data))
            take(data)

        connection.client.take = taking
        client.transport.write(data)
        await self.servers.all[0].arrived(len(data))
        self.assertTrue(self.servers.all[0].got == data)
        shut(client)
        await client.lost
        return [len(sizes) for sizes in events]

    async def test_at_once(self) -> None:
        """Several in one event, and no more than there should be: others have their turn, too."""
        self.patch(module, "FULL", 1000)
        self.patch(module, "AT_ONCE", 2)
        self.patch(LeanConnection, "bufferSize", 1000)
        found = await self.chunks(Latency(0.001), DATA)
        self.assertEqual(max(found), 3)

    async def test_stalled(self) -> None:
        """Nothing is read on when there is no room in the link."""
        self.patch(module, "FULL", 1000)
        self.patch(LeanConnection, "bufferSize", 1000)
        self.patch(module.Room, "each", 500)
        found = await self.chunks(Latency(0.001), DATA)
        self.assertEqual(set(found), {1})


class SplicedTests(SocketCase):
    """On real sockets the system moves what nobody has to see."""

    def setUp(self) -> None:
        """Count what it has moved."""
        self.moved = 0
        real = os.splice

        def splice(*arguments: Any, **named: Any) -> int:
            """Move."""
            size = real(*arguments, **named)
            self.moved += size
            return size

        patched = mock.patch.object(os, "splice", splice)
        patched.start()
        self.addCleanup(patched.stop)
        self.changes = 0
        self.addCleanup(PIPES.close)

    def check(self, client: Any, server: Any) -> None:
        """All has arrived as it was sent, and is counted once."""
        for one, other in ((client, server), (server, client)):
            self.assertEqual(other.sizes[1], one.sizes[0])
            self.assertEqual(other.came.digest(), one.sent.digest())
        both = {"upstream": client.sizes[0], "downstream": server.sizes[0]}
        self.assertEqual((self.relay.received, self.relay.sent), (both, both))

    async def flood(self, address: Any, text: str = "tcp:127.0.0.1:{0.port}") -> tuple[Any, Any]:
        """A client and its server, both sending."""
        client = Flood()
        await clientFromString(reactor, text.format(address)).connect(
            Factory.forProtocol(lambda: client)
        )
        await self.servers.first()
        return client, self.servers.all[0]

    async def finish(self, client: Any, server: Any) -> None:
        """Both send no more, and all arrives."""
        for one in (client, server):
            one.finish()
        self.assertEqual((await client.lost, await server.lost), ("ConnectionDone",) * 2)
        self.check(client, server)

    async def test_moved(self) -> None:
        """Without faults, most goes that way; what passes a fault or a capture does not."""
        for capturing in (False, True):
            self.capturing, self.moved = capturing, 0
            client, server = await self.flood(await self.begin(Flood))
            while sum(client.sizes) < (1_000_000 if capturing else 20_000_000):
                await pause(0.01)
            await self.finish(client, server)
            # It comes into a pipe, and goes out of it.
            self.assertEqual(self.moved > sum(client.sizes), not capturing)
            self.assertEqual(self.moved > 0, not capturing)

    async def test_changes(self) -> None:
        """Faults come and go 300 times at drawn moments: no byte is lost, twice or elsewhere."""
        client, server = await self.flood(await self.begin(Flood))
        draw = random.Random(7)
        lists: list[list[Settings]] = [[Noop()], [Latency(0.001)], [Slicer(20_000, 100, 0.0)], []]
        while self.changes < 300 or self.moved < 20_000_000:
            self.relay.set_faults(
                *(faults(*draw.choice(lists)) if draw.random() < 0.5 else [] for _ in range(2))
            )
            self.changes += 1
            await pause(draw.uniform(0, 0.002))
        await self.finish(client, server)

    async def test_faults_see_all(self) -> None:
        """From when a fault is there, all bytes pass it, and when it has gone, none."""
        client, server = await self.flood(await self.begin(Flood))
        for _ in range(3):
            moved = self.moved
            while self.moved < moved + 5_000_000:
                await pause(0.001)
            self.relay.set_faults(faults(Latency(0.001)), faults(Noop()))
            moved, received = self.moved, dict(self.relay.received)
            while min(self.relay.received[way] - received[way] for way in received) < 1_000_000:
                await pause(0.001)
            self.assertEqual(self.moved, moved)
            self.assertGreater(self.relay.hits["Latency"], 0)
            self.relay.set_faults([], [])
        await self.finish(client, server)

    async def test_tail(self) -> None:
        """The last bytes, on which nothing follows, leave when the reader goes on."""
        address = await self.begin(lambda: Peer(made=lambda one: one.transport.pauseProducing()))
        client = await self.client(address)
        await self.servers.first()
        size = 0
        while self.relay.sent["upstream"] == size:
            client.transport.write(bytes(2**17))
            size += 2**17
            while self.relay.received["upstream"] < size:
                await pause(0)
        self.assertGreater(self.moved, 0)
        server = self.servers.all[0]
        server.transport.resumeProducing()
        self.assertEqual(len(await server.arrived(size)), size)
        shut(client)
        await server.end_seen
        lose(server)
        await client.lost

    async def test_stalled(self) -> None:
        """A reader that stalls, a fault that comes then, and goes; the reader goes on."""
        client, server = await self.flood(await self.begin(Flood))
        while not self.moved:
            await pause(0.001)
        for chosen in ([], faults(Latency(0.001))):
            server.transport.pauseProducing()
            before = -1
            while self.relay.received["upstream"] != before:
                before = self.relay.received["upstream"]
                await pause(0.05)
            self.relay.set_faults(chosen, [])
            server.transport.resumeProducing()
            await pause(0.01)
        await self.finish(client, server)

    async def test_dropped(self) -> None:
        """A relay that ends its connections lets go out what the system has under way."""
        client, server = await self.flood(await self.begin(Flood))
        while self.moved < 10_000_000:
            await pause(0.001)
        server.transport.pauseProducing()
        while self.relay.received["upstream"] == self.relay.sent["upstream"]:
            await pause(0.001)
        self.relay.drop()
        self.assertEqual(self.relay.received["upstream"], self.relay.sent["upstream"])
        server.transport.resumeProducing()
        client.over = server.over = True
        await server.end_seen
        self.assertEqual(server.sizes[1], self.relay.sent["upstream"])
        for one in (client, server):
            lose(one)
            await one.lost

    async def test_not_between_these(self) -> None:
        """Where the system can't, with TLS for one, bytes go as they always did."""
        with mock.patch.object(module, "splice", return_value=None):
            client, server = await self.flood(await self.begin(Flood))
            while sum(client.sizes) < 5_000_000:
                await pause(0.01)
            await self.finish(client, server)
        self.assertEqual(self.moved, 0)


def pause(seconds: float) -> Deferred[None]:
    """Let the reactor run for so long."""
    return deferLater(reactor, seconds)
