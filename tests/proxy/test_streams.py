"""The relay as a whole: its faults, counters and log on a simulated network, and real sockets."""

import errno
import gc
import socket
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import trustme
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    clientFromString,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from lab.adapters import connecting
from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Duplicate, Latency, Noop
from lab.faults.fault import Fault
from lab.faults.streams import Cut, LimitData, PacketLoss, ResetPeer, Slicer, Timeout
from lab.proxy.connection import Connection
from lab.proxy.streams import QUIET
from tests.adapters.test_connecting import Later
from tests.helpers import captured_logs, certify, folder
from tests.proxy.captured import CLIENT, UPSTREAM
from tests.proxy.scenes import (
    Never,
    Peer,
    SceneCase,
    Whole,
    answering,
    echo,
    faults,
    lose,
    shut,
)
from tests.proxy.sockets import Raw, SocketCase, echoing

reactor: Any = real_reactor
DATA = bytes(range(251)) * 4000  # 1,004,000 bytes
#: Faults that end a connection.
BREAKING = (LimitData(100_000), ResetPeer(0.01), Cut(0.0001))


class FaultsTests(SceneCase):
    """Which faults are in force, and where."""

    def test_refused(self) -> None:
        """Lists that can't be change nothing."""
        scene = self.scene(Peer, faults(Noop()))
        before = scene.relay.faults
        twice = [Fault(Noop(), "it"), Fault(Latency(), "it")]
        for wrong in (twice, faults(Duplicate(0.5))):
            self.assertRaises(LocalError, scene.relay.set_faults, wrong, [])
            self.assertRaises(LocalError, scene.relay.set_faults, [], wrong)
        self.assertIs(scene.relay.faults, before)

    def test_equal(self) -> None:
        """The same faults once more, or more behind them: what is at work just goes on."""
        loss = Fault(PacketLoss(0.5), "loss")
        scene = self.scene(Peer, [loss])
        client, _ = scene.pair()
        for more in ([], [], [Fault(Noop(), "noop")], []):
            scene.relay.set_faults([loss, *more], [])
            for _ in range(10):
                client.transport.write(b"x")
                self.net.run(0.01)
        self.assertEqual({entry.place.fault for entry in scene.journal.entries}, {"loss"})
        self.assertGreater(max(entry.unit for entry in scene.journal.entries), 30)

    def test_journal(self) -> None:
        """Times count from when a connection began, whenever its faults came."""
        scene = self.scene()
        self.net.run(100)
        scene.relay.number = 5
        client, _ = scene.pair()
        begun = self.net.now
        self.net.run(1.25)
        scene.relay.set_faults([Fault(PacketLoss(1.0), "loss")], [])
        client.transport.write(b"x")
        self.net.run(1)
        (entry,) = scene.journal.entries
        # A chunk takes a millisecond to the relay, and the word of the connection took one back.
        self.assertAlmostEqual(entry.at, self.net.now - begun - 1 + 0.001, places=2)
        self.assertEqual((entry.place.connection, scene.relay.number), (5, 6))
        self.assertEqual(scene.relay.accepted, 1)

    def test_toxicity(self) -> None:
        """A fault works on some connections, and on the same ones whatever else is changed."""
        some = Fault(Timeout(), "some", toxicity=0.5)
        scene = self.scene(lambda: Peer(data=echo))
        clients = [scene.pair()[0] for _ in range(20)]
        seen = []
        for upstream in ([some], [some, *faults(Noop())], [some, *faults(Slicer(2, 0))]):
            scene.relay.set_faults(upstream, [])
            before = [len(client.got) for client in clients]
            for client in clients:
                client.transport.write(b"abc")
            self.net.run(1)
            seen.append(
                [len(client.got) - had for client, had in zip(clients, before, strict=True)]
            )
        self.assertEqual(seen[1:], seen[:-1])
        self.assertTrue(2 < seen[0].count(3) < 18)

    def test_hits(self) -> None:
        """They are counted while there is such a fault."""
        scene = self.scene(Peer, faults(Latency(0.1)), faults(Noop()))
        client, server = scene.pair()
        for _ in range(3):
            client.transport.write(b"x")
            server.transport.write(b"y")
            self.net.run(0.2)
        self.assertEqual(scene.relay.hits, {"Latency": 3})
        scene.relay.set_faults([], faults(Noop()))
        self.assertEqual(scene.relay.hits, {})

    def test_live_counters(self) -> None:
        """Bytes are counted where they come in and where they go out, at once."""
        scene = self.scene(Peer, faults(Latency(10.0)))
        client, server = scene.pair()
        client.transport.write(b"four")
        server.transport.write(b"seventy")
        self.net.run(1)
        self.assertEqual(scene.relay.received, {"upstream": 4, "downstream": 7})
        self.assertEqual(scene.relay.sent, {"upstream": 0, "downstream": 7})
        self.assertEqual((scene.relay.connections, scene.relay.accepted), (1, 1))


class SharedTests(SceneCase):
    """A rate that connections have together."""

    def test_half_each(self) -> None:
        """Two uploads have half of the rate each; alone, each had all of it."""
        for scope, whole in (("proxy", 100_000), ("client", 100_000), ("connection", 200_000)):
            scene = self.scene(Peer, [Fault(Bandwidth(100_000.0, scope=scope), "rate")])
            pairs = [scene.pair() for _ in range(2)]
            for client, _ in pairs:
                client.transport.write(bytes(1_000_000))
            self.net.run(2.0)
            one, other = (len(server.got) for _, server in pairs)
            self.assertApproximates(one + other, 2 * whole, 0.01 * 2 * whole)
            self.assertApproximates(one / (one + other), 0.5, 0.1)

    def test_each_way(self) -> None:
        """Each direction has its own."""
        rate = [Fault(Bandwidth(100_000.0, scope="proxy"), "rate")]
        scene = self.scene(Peer, rate, rate)
        client, server = scene.pair()
        client.transport.write(bytes(100_000))
        server.transport.write(bytes(100_000))
        self.net.run(1.1)
        self.assertEqual((len(client.got), len(server.got)), (100_000, 100_000))

    def test_those_that_go(self) -> None:
        """Connections that are reset leave what they had to others at once."""
        scene = self.scene(Peer, [Fault(Bandwidth(10_000.0, scope="proxy"), "rate")])
        several = [scene.pair()[0] for _ in range(50)]
        for client in several:
            client.transport.write(bytes(100_000))
        self.net.run(0.1)
        for client in several:
            client.transport.abortConnection()
        self.net.run(0.1)
        client, server = scene.pair()
        client.transport.write(bytes(1000))
        self.net.run(0.15)
        self.assertEqual(len(server.got), 1000)

    def test_changed(self) -> None:
        """Another rate is in force at once, and no byte is missing."""
        scene = self.scene(Peer, [Fault(Bandwidth(1000.0, scope="proxy"), "rate")])
        pairs = [scene.pair() for _ in range(2)]
        for client, _ in pairs:
            client.transport.write(DATA[:500_000])
            shut(client)
        self.net.run(1.0)
        scene.relay.set_faults([Fault(Bandwidth(1e6, scope="proxy"), "rate")], [])
        self.net.run(1.1)
        self.assertEqual([server.got for _, server in pairs], [DATA[:500_000]] * 2)
        self.assertEqual([server.ended for _, server in pairs], [True, True])

    def test_clients(self) -> None:
        """Two addresses have a rate each; all connections of one of them have one."""
        scene = self.scene(Peer, [Fault(Bandwidth(100_000.0, scope="client"), "rate")])
        here, here_too = scene.pair(), scene.pair()
        reactor = self.net.host("elsewhere").reactor
        there = Peer()
        factory = Factory.forProtocol(lambda: there)
        factory.noisy = False
        self.net.run_until(TCP4ClientEndpoint(reactor, "proxy", 80).connect(factory))
        self.net.run(0.1)
        for client in (here[0], here_too[0], there):
            client.transport.write(bytes(500_000))
        self.net.run(2.0)
        sizes = [len(server.got) for server in scene.servers.all]
        for size, expected in zip(sizes, (100_000, 100_000, 200_000), strict=True):
            self.assertApproximates(size, expected, 2500)


class LogTests(SceneCase):
    """What is said of upstreams that are not there."""

    def test_no_flood(self) -> None:
        """One line, and then none for a time; it says how often in all."""
        scene = self.scene()
        self.net.host("server").crash()
        self.net.host("server").restart()
        with captured_logs() as logs:
            for wait in (0.1, 0.1, QUIET, 0.1):
                lose(scene.client(Peer()))
                self.net.run(wait)
        told = [event for event in logs if event["log_namespace"].startswith("lab.proxy")]
        self.assertEqual([event["refused"] for event in told], [1, 4])
        self.assertEqual({event["name"] for event in told}, {"relay"})
        scene.over()


class SocketTests(SocketCase):
    """The same on real sockets."""

    async def test_echo(self) -> None:
        """Byte for byte, with and without faults, and while they change."""
        address = await self.begin(echoing)
        for chosen in ([], faults(Latency(0.005)), faults(Slicer(5000, 100, 0.00001)), []):
            client = await self.client(address)
            for start in range(0, len(DATA), 100_000):
                client.transport.write(DATA[start : start + 100_000])
            await client.arrived(1)
            self.relay.set_faults(chosen, chosen)
            shut(client)
            self.assertEqual(await client.lost, "ConnectionDone")
            self.assertTrue(client.got == DATA, chosen)

    async def test_half_close(self) -> None:
        """The answer comes after the end, also with latency on both legs."""
        address = await self.begin(answering)
        for chosen in ([], faults(Latency(0.01))):
            self.relay.set_faults(chosen, chosen)
            client = await self.client(address)
            client.transport.write(DATA)
            shut(client)
            await client.lost
            self.assertEqual(client.got, b"1004000 bytes")

    async def test_no_garbage(self) -> None:
        """What is over is forgotten at once: the collector of garbage has nothing to do for it."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        self.relay.set_faults(faults(Noop()), [])
        (connection,) = self.relay._alive
        assert isinstance(connection, Connection)
        known = [weakref.ref(one) for one in (connection, connection.client, connection.upstream)]
        del connection
        gc.disable()
        self.addCleanup(gc.enable)
        client.close()
        await self.relay.drained()
        await deferLater(reactor, 0)
        self.assertEqual([one() for one in known], [None, None, None])

    async def test_reset_peer(self) -> None:
        """On a connection that is open and idle, the kernel really says RST, to both."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        said = client.receive()
        self.relay.set_faults([], faults(ResetPeer(0.01, idle=True)))
        self.assertEqual(await said, errno.ECONNRESET)
        self.assertEqual(await self.servers.all[0].lost, "ConnectionLost")

    async def test_resets_are_passed_on(self) -> None:
        """From the server to the client, and from the client to the server."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        said = client.receive()
        self.servers.all[0].transport.abortConnection()
        self.assertEqual(await said, errno.ECONNRESET)
        client = await self.raw(address)
        client.reset()
        self.assertEqual(await self.servers.all[1].lost, "ConnectionLost")

    async def test_closed_by_a_fault(self) -> None:
        """With FIN, though the client has sent what nobody will read; so it gets what is due."""
        address = await self.begin(echoing)
        self.relay.set_faults(faults(LimitData(100_000)), [])
        client = await self.client(address)
        client.transport.write(DATA)
        await client.end_seen
        self.assertTrue(DATA.startswith(client.got))
        await self.servers.all[0].arrived(100_000)
        lose(client)
        self.assertEqual(await client.lost, "ConnectionDone")

    async def test_refused(self) -> None:
        """A client that has been accepted gets the end, and no RST."""
        # Bound and not listening: nobody else gets the port, and who connects is refused.
        bound = socket.socket()
        self.addCleanup(bound.close)
        bound.bind(("127.0.0.1", 0))
        free = bound.getsockname()[1]
        address = await self.begin(Peer, lambda _: TCP4ClientEndpoint(reactor, "127.0.0.1", free))
        client = Raw(address.port)
        client.send(b"nobody reads this")
        self.assertEqual(await client.receive(), b"")
        client.close()
        self.assertEqual((self.relay.accepted, self.relay.refused), (1, 1))

    async def test_takes_time(self) -> None:
        """An upstream that is not connected at once is connected once, and all goes on."""
        address = await self.begin(echoing)
        with mock.patch.object(connecting, "SocketType", Later):
            await self.raw(address)
        self.assertEqual(len(self.servers.all), 1)
        self.assertEqual([type(one) for one in self.relay._alive], [Connection])

    async def test_mistakes(self) -> None:
        """Whoever is asked for the upstream may fail: the client gets the end, and no RST."""

        def connect(_: int) -> Any:
            raise ZeroDivisionError

        address = await self.begin(Peer, connect)
        client = Raw(address.port)
        client.send(b"nobody reads this")
        self.assertEqual(await client.receive(), b"")
        client.close()
        self.assertEqual((self.relay.accepted, self.relay.refused), (1, 1))

    async def test_black_hole(self) -> None:
        """An upstream that does not answer holds up nobody else."""
        nevers = [Never() for _ in range(5)]
        chosen: list[Any] = [*nevers]

        def connect(port: int) -> IStreamClientEndpoint:
            return chosen.pop() if chosen else TCP4ClientEndpoint(reactor, "127.0.0.1", port)

        address = await self.begin(echoing, connect)
        stuck = [await self.client(address) for _ in nevers]
        client = await self.client(address)
        client.transport.write(b"hello")
        await client.arrived(5)
        self.assertEqual(self.relay.connections, 6)
        lose(client)
        self.relay.drop()
        await gatherResults([one.end_seen for one in stuck])
        self.assertEqual([one.given_up for one in nevers], [1] * 5)
        for one in stuck:
            lose(one)

    async def test_drop(self) -> None:
        """All connections end with FIN, in bounded time."""
        address = await self.begin(echoing)
        clients = [await self.raw(address) for _ in range(5)]
        said = [one.receive() for one in clients]
        self.relay.drop()
        self.assertEqual(self.relay.connections, 0)
        self.assertEqual(await gatherResults(said), [b""] * 5)
        for one in clients:
            one.close()
        self.assertEqual(
            await gatherResults([one.lost for one in self.servers.all]), ["ConnectionDone"] * 5
        )
        await self.relay.drained()

    async def test_reset(self) -> None:
        """All connections end with RST, at once."""
        address = await self.begin(echoing)
        clients = [await self.raw(address) for _ in range(5)]
        said = [one.receive() for one in clients]
        self.relay.reset()
        self.assertEqual(self.relay.connections, 0)
        self.assertEqual(await gatherResults(said), [errno.ECONNRESET] * 5)
        await self.relay.drained()
        self.assertEqual(
            await gatherResults([one.lost for one in self.servers.all]), ["ConnectionLost"] * 5
        )

    async def test_many(self) -> None:
        """200 connections at once; the kernel has to keep as many for those who listen."""
        text = "tcp:0:interface=127.0.0.1:backlog=400"
        address = await self.begin(echoing, server=text, listen=text)
        self.relay.set_faults(faults(Latency(0.01)), faults(Latency(0.01)))
        clients = await gatherResults(
            [Deferred.fromCoroutine(self.client(address)) for _ in range(200)]
        )
        for number, client in enumerate(clients):
            client.transport.write(b"%d," % number * 1000)
            shut(client)
        await gatherResults([client.lost for client in clients])
        for number, client in enumerate(clients):
            self.assertEqual(client.got, b"%d," % number * 1000)
        self.assertEqual((self.relay.accepted, self.relay.refused), (200, 0))

    async def test_unix(self) -> None:
        """Unix sockets on both sides."""
        path = folder(self)
        await self.begin(
            echoing,
            lambda _: clientFromString(reactor, f"unix:{path}/server"),
            server=f"unix:{path}/server",
            listen=f"unix:{path}/relay",
        )
        client = Peer()
        factory = Factory.forProtocol(lambda: client)
        factory.noisy = False
        await clientFromString(reactor, f"unix:{path}/relay").connect(factory)
        client.transport.write(DATA)
        shut(client)
        await client.lost
        self.assertTrue(client.got == DATA)


class TLSTests(SocketCase):
    """TLS, as far as it goes: it has no halves."""

    def warned(self) -> None:
        """Twisted's own use of pyOpenSSL is deprecated; there is no other warning."""
        for warning in self.flushWarnings():
            self.assertIn("Passing pyOpenSSL", warning["message"])

    async def secure(self, trusted: trustme.CA, issuer: trustme.CA) -> Any:
        """A TLS server of this issuer's behind the relay, which trusts somebody."""
        self.addCleanup(self.warned)
        path = folder(self)
        certificate = issuer.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
        certificate.private_key_and_cert_chain_pem.write_to_path(path / "server.pem")
        (path / "trusted").mkdir()
        trusted.cert_pem.write_to_path(path / "trusted" / "ca.pem")
        return await self.begin(
            lambda: Whole(data=echo),
            lambda port: clientFromString(
                reactor, f"tls:127.0.0.1:{port}:trustRoots={path}/trusted"
            ),
            server=f"ssl:0:interface=127.0.0.1:privateKey={path}/server.pem",
        )

    async def test_upstream(self) -> None:
        """By its endpoint string; what is due goes out before the close, in both directions."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        address = await self.secure(authority, authority)
        for chosen in ([], faults(Latency(0.01))):
            self.relay.set_faults(chosen, chosen)
            client = await self.client(address)
            client.transport.write(DATA)
            await client.arrived(len(DATA))
            self.assertTrue(client.got == DATA)
            client.transport.write(b"bye")
            shut(client)
            server = self.servers.all[-1]
            self.assertEqual(await server.lost, "ConnectionDone")
            self.assertTrue(server.got == DATA + b"bye")
            self.assertEqual(await client.lost, "ConnectionDone")

    async def begin_secure(self, serve: Callable[[], Whole]) -> str:
        """On the other side: the relay itself listens with TLS; gives where, for a client."""
        self.addCleanup(self.warned)
        path = folder(self)
        certify(path, "127.0.0.1")
        address = await self.begin(
            serve, listen=f"ssl:0:interface=127.0.0.1:privateKey={path}/server.pem"
        )
        return f"tls:127.0.0.1:{address.port}:trustRoots={path}/roots"

    async def secure_client(self, text: str) -> Any:
        """A client that speaks TLS to the relay."""
        client = Whole()
        factory = Factory.forProtocol(lambda: client)
        factory.noisy = False
        await clientFromString(reactor, text).connect(factory)
        return client

    async def test_client(self) -> None:
        """A client that speaks TLS, and a server that does not."""
        text = await self.begin_secure(echoing)
        for chosen in ([], faults(Latency(0.01))):
            self.relay.set_faults(chosen, chosen)
            client = await self.secure_client(text)
            client.transport.write(DATA)
            await client.arrived(len(DATA))
            self.assertTrue(client.got == DATA)
            lose(client)
            server = self.servers.all[-1]
            self.assertEqual(
                await gatherResults([client.lost, server.lost]), ["ConnectionDone"] * 2
            )

    async def test_server_ends_its_half(self) -> None:
        """To a client of TLS that is the end of the whole, behind what is due to it."""
        text = await self.begin_secure(Peer)
        client = await self.secure_client(text)
        client.transport.write(b"hello")
        server = await self.servers.first()
        await server.arrived(5)
        server.transport.write(DATA)
        shut(server)
        self.assertEqual(await client.lost, "ConnectionDone")
        self.assertTrue(client.got == DATA)
        self.assertEqual(await server.lost, "ConnectionDone")

    async def test_no_tls(self) -> None:
        """A client that talks plain text is refused by TLS; others do not notice."""
        text = await self.begin_secure(echoing)
        client = await self.secure_client(text)
        client.transport.write(b"before")
        await client.arrived(6)
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70_000)):
            port = int(text.split(":")[2])
            raw = Raw(port)
            self.addCleanup(raw.close)
            raw.send(said)
            heard = await raw.receive()
            self.assertTrue(isinstance(heard, int) or heard[:1] in {b"", b"\x15"}, heard)
            self.assertNotEqual(await self.servers.all[-1].lost, "")
            self.assertEqual(self.servers.all[-1].got, b"")
        client.transport.write(b" and after")
        await client.arrived(16)
        self.assertEqual((self.relay.connections, self.relay.refused), (1, 0))
        lose(client)
        await client.lost

    async def break_off(self, connect: Callable[[], Any]) -> None:
        """What breaks a connection off is an end for both, and makes no wrong byte."""
        for fault in BREAKING:
            client = await Deferred.fromCoroutine(connect())
            client.transport.write(b"hello")
            await client.arrived(5)
            server = self.servers.all[-1]
            server.got.clear()
            self.relay.set_faults(faults(fault), [])
            with captured_logs() as logs:
                client.transport.write(DATA)
                ends = await gatherResults([client.lost, server.lost])
            whole = isinstance(fault, LimitData)
            self.assertEqual(ends, ["ConnectionDone" if whole else "ConnectionLost"] * 2)
            self.assertEqual(len(server.got) == 100_000, whole)
            self.assertTrue(DATA.startswith(server.got))
            self.assertEqual(list(self.relay.hits), [type(fault).__name__])
            self.assertEqual((self.relay.connections, self.relay.refused, logs), (0, 0, []))
            self.relay.set_faults([], [])

    async def test_faults_before_tls(self) -> None:
        """Faults do the same with TLS on the leg to the upstream."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        address = await self.secure(authority, authority)
        await self.break_off(lambda: self.client(address, Whole()))

    async def test_faults_behind_tls(self) -> None:
        """And with TLS on the leg to the client."""
        text = await self.begin_secure(lambda: Whole(data=echo))
        await self.break_off(lambda: self.secure_client(text))

    async def test_server_closes(self) -> None:
        """The close of the whole is the end for the client, behind what is due."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        address = await self.secure(authority, authority)
        self.relay.set_faults([], faults(Latency(0.01)))
        client = await self.client(address)
        client.transport.write(b"hello")
        server = await self.servers.first()
        await server.arrived(5)
        server.transport.write(DATA)
        lose(server)
        await client.end_seen
        self.assertTrue(client.got == b"hello" + DATA)
        lose(client)
        await client.lost

    async def test_not_trusted(self) -> None:
        """An upstream whose certificate is wrong is none: the client gets the end, the log why."""
        mine, other = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2))
        address = await self.secure(mine, other)
        with captured_logs() as logs:
            client = await self.client(address)
            client.transport.write(b"secret")
            await client.end_seen
        lose(client)
        await client.lost
        self.assertEqual((self.relay.refused, self.relay.connections), (1, 0))
        (told,) = [event for event in logs if event["log_namespace"].startswith("lab.proxy")]
        self.assertIn("certificate verify failed", told["reason"])
        await gatherResults([server.lost for server in self.servers.all])
        self.assertEqual([bytes(server.got) for server in self.servers.all], [b""])


class SeenTests(TLSTests):
    """The same with a capture, which changes nothing; TLS looks as if it were plain."""

    capturing = True

    async def test_decrypted(self) -> None:
        """What goes through TLS is there, and both ends of both legs."""
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        address = await self.secure(authority, authority)
        client = await self.client(address)
        client.transport.write(b"hello")
        await client.arrived(5)
        shut(client)
        await client.lost
        await self.relay.drained()
        for side in (CLIENT, UPSTREAM):
            self.captured.check(side)
            for inbound in (True, False):
                self.assertEqual(self.captured.bytes(side, inbound=inbound), b"hello")
            self.assertEqual({how for how, _ in self.captured.ends(side)}, {"FIN in", "FIN out"})

    async def test_no_tls(self) -> None:
        """An upstream with which TLS came to nothing says so."""
        mine, other = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2))
        address = await self.secure(mine, other)
        with captured_logs():
            client = await self.client(address)
            await client.end_seen
        lose(client)
        await client.lost
        await self.relay.drained()
        (how, why), *_ = self.captured.ends(CLIENT)
        self.assertEqual(how, "FIN out")
        self.assertRegex(why, "^no upstream: .*certificate verify failed")
        ((how, why),) = self.captured.ends(UPSTREAM)
        self.assertEqual(how, "RST in")
        self.assertIn("certificate verify failed", why)
        await gatherResults([server.lost for server in self.servers.all])
