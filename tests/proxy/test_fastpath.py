"""Connections that are relayed from socket to socket, and when they are handed over."""

import errno
import gc
import socket
from typing import Any, cast

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import gatherResults
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from lab.faults.datagrams import Latency
from lab.faults.fault import Fault
from lab.faults.streams import LimitData, PacketLoss
from lab.proxy.connection import Connection
from lab.proxy.fastpath import FastPath
from tests.proxy.scenes import Peer, answering, echo, faults, shut
from tests.proxy.sockets import Raw, SocketCase, echoing

reactor: Any = real_reactor
DATA = bytes(range(251)) * 4000  # 1,004,000 bytes


def echo_and_end(peer: Peer) -> None:
    """An action: send back what has come last, and no more."""
    echo(peer)
    shut(peer)


class PathCase(SocketCase):
    """A relay, and what it has of its connections."""

    def path(self, kind: type = FastPath) -> Any:
        """The one that there is."""
        (found,) = self.relay._alive
        self.assertIs(type(found), kind)
        return found


class FastTests(PathCase):
    """What is not handed over."""

    async def test_there_and_back(self) -> None:
        """Bytes both ways, each counted once; the end of the client ends both."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        self.path()
        counts = {"upstream": 5, "downstream": 5}
        self.assertEqual((self.relay.received, self.relay.sent), (counts, counts))
        self.assertEqual((self.relay.accepted, self.relay.connections), (1, 1))
        client.end()
        self.assertEqual(await client.receive(), b"")
        await self.relay.drained()
        self.assertEqual((self.relay.accepted, self.relay.connections), (1, 0))
        self.assertEqual(await self.servers.all[0].lost, "ConnectionDone")

    async def test_server_first(self) -> None:
        """The end of the server is passed on alone; the client may go on."""
        address = await self.begin(lambda: Peer(data=echo_and_end))
        client = Raw(address.port)
        client.send(b"a")
        self.assertEqual([await client.receive() for _ in range(2)], [b"a", b""])
        path = self.path()
        server = self.servers.all[0]
        server._data = lambda _: None
        client.send(b"bc")
        await server.arrived(3)
        self.assertIs(self.path(), path)
        client.close()
        self.assertEqual(await server.lost, "ConnectionDone")

    async def test_no_delay(self) -> None:
        """Short chunks wait for nobody, on either side."""
        address = await self.begin(echoing)
        await self.raw(address)
        path = self.path()
        for end in (path._client, path._upstream):
            self.assertTrue(end.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertEqual(end.socket.gettimeout(), 0)

    async def test_read_at_once(self) -> None:
        """What the client has sent before it is accepted needs no event of its own."""
        address = await self.begin(echoing)
        client = Raw(address.port)
        self.addCleanup(client.close)
        client.send(b"hello")
        self.port.doRead()
        self.assertEqual(self.relay.sent["upstream"], 5)

    async def test_too_early(self) -> None:
        """Nothing happens where there is nothing to be read."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        path = self.path()
        self.assertIsNone(path._client.doRead())
        self.assertEqual(path._client.logPrefix(), "FastPath")
        client.send(b"more")
        self.assertEqual(await client.receive(), b"more")
        self.assertIs(self.path(), path)

    async def test_no_garbage(self) -> None:
        """What is over is forgotten at once."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        kinds = {type(self.path()), type(self.path()._client)}
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        client.close()
        await self.relay.drained()
        await deferLater(reactor, 0)
        self.assertEqual([one for one in gc.get_objects() if type(one) in kinds], [])

    async def test_not_taken(self) -> None:
        """Who has faults at the beginning does without; and those who come then do not."""
        address = await self.begin(echoing)
        self.relay.set_faults(faults(Latency(0.001)), [])
        first = await self.raw(address)
        self.path(Connection)
        first.close()
        await self.relay.drained()
        self.relay.set_faults([], [])
        await self.raw(address)
        self.path()

    async def test_captured(self) -> None:
        """A capture sees all."""
        self.capturing = True
        await self.raw(await self.begin(echoing))
        self.path(Connection)


class HandedOverTests(PathCase):
    """What goes on as a `Connection`."""

    async def test_faults(self) -> None:
        """They work from now on, on the same number; their times count from the beginning."""
        address = await self.begin(echoing)
        self.relay.number = 5
        before = reactor.seconds()
        client = await self.raw(address)
        since = self.path()._since
        self.assertTrue(before <= since <= reactor.seconds())
        self.relay.set_faults([], [Fault(LimitData(3), "limit")])
        connection = self.path(Connection)
        pump = connection._pumps[connection.upstream]
        self.assertEqual((pump._where, pump._begun), (("relay", 5, "downstream"), since))
        client.send(b"world")
        self.assertEqual([await client.receive() for _ in range(2)], [b"wor", b""])
        self.assertEqual((self.relay.hits, self.relay.accepted), ({"limit": 1}, 1))
        self.assertEqual(self.relay.received, {"upstream": 10, "downstream": 10})
        self.assertEqual(self.relay.sent, {"upstream": 10, "downstream": 8})

    async def test_both_directions(self) -> None:
        """Faults of both come at once, and each byte meets each of them once."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        lossy = faults(PacketLoss(1.0))
        self.relay.set_faults(lossy, faults(Latency(0.001)))
        self.path(Connection)
        self.relay.set_faults([], [])
        client.send(b"world")
        self.assertEqual(await client.receive(), b"world")

    async def test_much(self) -> None:
        """A large chunk has the system move what comes behind it; nothing is lost or twice."""
        address = await self.begin(echoing)
        client = await self.client(address)
        client.transport.write(DATA)
        await client.arrived(len(DATA))
        self.path(Connection)
        shut(client)
        self.assertEqual(await client.lost, "ConnectionDone")
        self.assertTrue(client.got == DATA)
        whole = {"upstream": len(DATA), "downstream": len(DATA)}
        self.assertEqual((self.relay.received, self.relay.sent), (whole, whole))

    async def test_full(self) -> None:
        """What the other side does not take waits, and is in order; both ways."""
        for way in ("_client", "_upstream"):
            address = await self.begin(Peer)
            client = await self.client(address)
            server = await self.servers.first()
            source, sink = (client, server) if way == "_client" else (server, client)
            while not (self.relay._alive and server.transport):
                await deferLater(reactor, 0)
            end = getattr(self.path(), way)
            sink.transport.pauseProducing()
            end.other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            # So that each chunk is less than what is spliced.
            end._receive = lambda _, read=end._receive: read(50_000)
            source.transport.write(DATA)
            while self.relay._alive and type(next(iter(self.relay._alive))) is FastPath:
                await deferLater(reactor, 0)
            sink.transport.resumeProducing()
            await sink.arrived(len(DATA))
            self.assertTrue(sink.got == DATA)
            direction = end._direction
            self.assertEqual(self.relay.sent[direction], len(DATA))
            self.assertEqual(self.relay.received[direction], len(DATA))
            shut(client)
            shut(server)
            await gatherResults([client.lost, server.lost])

    async def test_half_closed(self) -> None:
        """An end that was passed on before is not lost, and comes once."""
        address = await self.begin(answering)
        client = Raw(address.port)
        client.send(b"hello")
        client.end()
        server = await self.servers.first()
        server._end = lambda _: None
        await server.end_seen
        self.relay.set_faults([], faults(Latency(0.001)))
        self.path(Connection)
        server.transport.write(b"late")
        shut(server)
        self.assertEqual([await client.receive() for _ in range(2)], [b"late", b""])
        client.close()
        self.assertEqual(await server.lost, "ConnectionDone")

    async def test_drop(self) -> None:
        """With FIN, behind what was written."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        self.path()
        self.relay.drop()
        self.assertEqual(self.relay.connections, 0)
        self.assertEqual(await client.receive(), b"")
        client.close()
        self.assertEqual(await self.servers.all[0].lost, "ConnectionDone")

    async def test_reset(self) -> None:
        """With RST, both."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        self.path()
        self.relay.reset()
        self.assertEqual(await client.receive(), errno.ECONNRESET)
        self.assertEqual(await self.servers.all[0].lost, "ConnectionLost")
        await self.relay.drained()


class BrokenTests(PathCase):
    """RST is passed on as such."""

    async def test_each(self) -> None:
        """From the client, from the server, and when one has ended before."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        client.reset()
        self.assertEqual(await self.servers.all[0].lost, "ConnectionLost")
        client = await self.raw(address)
        self.path()
        self.servers.all[1].transport.abortConnection()
        self.assertEqual(await client.receive(), errno.ECONNRESET)
        client = await self.raw(address)
        self.servers.all[2]._end = lambda server: server.transport.abortConnection()
        client.end()
        self.assertEqual(await client.receive(), errno.ECONNRESET)

    async def broken(self) -> tuple[Raw, FastPath]:
        """A client and its connection, whose server is gone, of which the relay was not told."""
        client = await self.raw(await self.begin(echoing))
        path = self.path()
        reactor.removeReader(path._upstream)
        server = self.servers.all[0]
        server.transport.abortConnection()
        await server.lost
        return client, path

    async def test_found_writing(self) -> None:
        """Who finds the other side broken when there is something to send resets, too."""
        client, _ = await self.broken()
        client.send(b"nobody gets this")
        self.assertEqual(await client.receive(), errno.ECONNRESET)

    async def test_end_not_passed_on(self) -> None:
        """An end for who is not there any more is an RST for who has ended."""
        client, path = await self.broken()
        client.end()
        while not path._client.ended:
            await deferLater(reactor, 0)
        reactor.addReader(path._upstream)
        self.assertEqual(await client.receive(), errno.ECONNRESET)

    async def test_before_it_began(self) -> None:
        """A client that is gone when it is accepted; what it has said arrives before."""
        for said in (b"", b"x"):
            address = await self.begin(Peer)
            client = Raw(address.port)
            client.send(said)
            client.reset()
            server = await self.servers.first()
            self.assertEqual(await server.lost, "ConnectionLost")
            self.assertEqual(server.got, said)
            await self.relay.drained()

    async def test_reactor_ends(self) -> None:
        """Both ends are told by a reactor that stops, one after the other."""
        address = await self.begin(echoing)
        client = await self.raw(address)
        path = self.path()
        ends = [path._client, path._upstream]
        for end in ends:
            reactor.removeReader(end)
        for end in ends:
            cast("Any", end).connectionLost(Failure(ConnectionLost()))
        self.assertEqual((self.relay.connections, len(self.relay._there)), (0, 0))
        self.assertIn(await client.receive(), {errno.ECONNRESET, b""})
