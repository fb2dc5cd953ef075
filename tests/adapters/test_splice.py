"""Bytes that the system moves from one connection to another by itself."""

import errno
import fcntl
import os
import socket
import struct
from typing import Any
from unittest import mock, skipUnless

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import alsoProvides

from lab.adapters import splice as module
from lab.adapters.eager import EagerServer
from lab.adapters.splice import FULL, LITTLE, PATIENCE, PIPES, Pipe, Pipes, Splice, splice
from tests.adapters.test_eager import Turns

reactor: Any = real_reactor
needed = skipUnless(hasattr(os, "splice"), "there is no splice here")
DATA = os.urandom(2**16) * 50  # 3,276,800 bytes, more than a pipe and the sockets hold


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection by TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        return one, listening.accept()[0]


class Handing(Protocol):
    """Receives what does not go by the splice, and hands it on."""

    def __init__(self) -> None:
        self.sink: Any = None
        self.splice: Splice | None = None
        self.got = 0
        self.why: object = None

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        self.got += len(data)
        self.sink.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        """Keep why."""
        self.why = reason.value


class Relaying:
    """
    A relay between two connections on a reactor of its own: what is sent at one end arrives at one.

    Args:
        test: Closes all behind it.
        pair: Makes the two ends of a connection.
        kind: Of the transports.
    """

    def __init__(self, test: SynchronousTestCase, pair: Any = tcp_pair, kind: Any = Server) -> None:
        self.turns = Turns()
        self.sender, one = pair()
        self.reader, other = pair()
        for end in (self.sender, one, self.reader, other):
            end.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, 200_000)
            test.addCleanup(end.close)
        self.protocol, behind = Handing(), Handing()
        where = ("127.0.0.1", 1), None, 0, self.turns
        self.source = kind(one, self.protocol, *where)
        self.sink = kind(other, behind, *where)
        self.protocol.makeConnection(self.source)
        behind.makeConnection(self.sink)
        self.protocol.sink = self.sink
        self.behind = behind
        self.pipes = Pipes()
        test.addCleanup(self.pipes.close)
        self.came = self.left = 0
        self.splice = Splice(self.source, self.sink, self.add, self.take, self.pipes)
        self.sink.registerProducer(self.splice, True)
        self.sent, self.got = bytearray(), bytearray()

    def add(self, size: int) -> None:
        """So many have come."""
        self.came += size

    def take(self, size: int) -> None:
        """So many have left."""
        self.left += size

    def send(self, data: bytes) -> None:
        """Send as much as goes."""
        try:
            while data:
                size = self.sender.send(data)
                self.sent += data[:size]
                data = data[size:]
        except BlockingIOError:
            pass

    def read(self, size: int = 2**22) -> None:
        """Read what has arrived, up to so much."""
        try:
            while size and (data := self.reader.recv(size)):
                self.got += data
                size -= len(data)
        except BlockingIOError:
            pass

    def turn(self) -> None:
        """A turn of the reactor."""
        for one in self.turns.readers[:]:
            self.turns.handle(one, one.doRead)
        self.turns.turn()

    def arrives(self) -> bool:
        """Whether all that was sent arrives, as it was."""
        for _ in range(1000):
            if len(self.got) >= len(self.sent):
                break
            self.read()
            self.turn()
        return self.got == self.sent

    def carries(self, data: bytes) -> bool:
        """Whether all of this arrives behind what was sent before."""
        end = len(self.sent) + len(data)
        while len(self.sent) < end:
            before = len(self.sent)
            self.send(data[len(data) - end + before :])
            if not self.arrives() or len(self.sent) == before:
                return False
        return True


@needed
class SpliceTests(SynchronousTestCase):
    """From one to the other."""

    def test_all(self) -> None:
        """All arrives, by TCP and Unix sockets, and nobody sees it; the pipe is free again."""
        for pair in (tcp_pair, socket.socketpair):
            for kind in (Server, EagerServer):
                relay = Relaying(self, pair, kind)
                relay.splice.start()
                self.assertTrue(relay.carries(DATA))
                self.assertEqual((relay.protocol.got, relay.came), (0, len(DATA)))
                self.assertEqual((relay.left, len(relay.pipes._free)), (len(DATA), 1))
                self.assertTrue(relay.splice.works)

    def test_stalled(self) -> None:
        """A reader that stalls: nothing more is read than a pipe holds; then all arrives."""
        relay = Relaying(self)
        relay.splice.start()
        for _ in range(50):
            relay.send(DATA)
            relay.turn()
        self.assertNotIn(relay.source, relay.turns.readers)
        self.assertTrue(0 < relay.came - relay.left <= 2**20)
        self.assertEqual(relay.sink._tempDataBuffer, [])
        self.assertLess(relay.came, len(relay.sent))
        self.assertTrue(relay.arrives())
        self.assertEqual((relay.came, relay.left), (len(relay.sent), len(relay.sent)))

    def test_turn(self) -> None:
        """One event moves a MiB at most, so that others have their turn."""
        relay = Relaying(self)
        relay.splice.start()
        relay.send(DATA)
        relay.turn()
        self.assertTrue(0 < relay.came <= 2**20)

    def stalled(self) -> Relaying:
        """A relay whose pipe has something in it."""
        relay = Relaying(self)
        relay.splice.start()
        while relay.came == relay.left:
            relay.send(DATA)
            relay.turn()
        return relay

    def test_stop(self) -> None:
        """What is in the pipe goes out first, and what comes then the ordinary way."""
        relay = self.stalled()
        relay.splice.stop()
        self.assertEqual((relay.splice.works, relay.came), (False, relay.left))
        relay.splice.stop()
        self.assertTrue(relay.arrives())
        self.assertEqual(relay.came + relay.protocol.got, len(relay.sent))
        self.assertEqual(len(relay.pipes._free), 1)
        relay.splice.start()
        self.assertTrue(relay.carries(b"more"))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("send"), st.integers(1, 400_000)),
                st.tuples(st.just("read"), st.integers(1, 400_000)),
                st.tuples(st.sampled_from(["turn", "turn", "start", "start", "stop"]), st.just(0)),
            ),
            max_size=40,
        )
    )
    def test_any_order(self, steps: list[tuple[str, int]]) -> None:
        """Whatever happens in which order: the same bytes, in order, once, and counted once."""
        relay = Relaying(self)
        for step, size in steps:
            if step == "send":
                relay.send(DATA[len(relay.sent) % 1000 :][:size])
            elif step == "read":
                relay.read(size)
            elif step == "turn":
                relay.turn()
            else:
                getattr(relay.splice, step)()
            self.assertTrue(relay.left <= relay.came <= relay.left + 2**20)
        self.assertTrue(relay.arrives())
        self.assertEqual(relay.came, relay.left)
        self.assertEqual(relay.left + relay.protocol.got, len(relay.sent))
        for one in (relay.sender, relay.reader, relay.source.socket, relay.sink.socket):
            one.close()

    def test_end(self) -> None:
        """The end is told when all has gone out, and only then."""
        relay = self.stalled()
        relay.sender.shutdown(socket.SHUT_WR)
        relay.turn()
        self.assertIsNone(relay.protocol.why)
        self.assertTrue(relay.arrives())
        self.assertEqual(relay.left, len(relay.sent))
        relay.turn()
        self.assertIs(relay.protocol.why, CONNECTION_DONE)

    def test_reset(self) -> None:
        """A source that resets is lost, as if it had been read."""
        relay = Relaying(self)
        relay.splice.start()
        relay.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        relay.sender.close()
        relay.turn()
        self.assertIs(relay.protocol.why, CONNECTION_LOST)

    def test_broken(self) -> None:
        """A sink that is gone is found out by its transport."""
        relay = Relaying(self)
        relay.splice.start()
        relay.reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        relay.reader.close()
        relay.turns.readers.remove(relay.sink)
        for _ in range(5):
            relay.send(DATA)
            relay.turn()
        self.assertIs(relay.behind.why, CONNECTION_LOST)
        self.assertFalse(relay.splice.works)
        self.assertEqual(relay.came, relay.left)

    def test_gone(self) -> None:
        """What comes for a sink that is not there is thrown away, as ever."""
        relay = self.stalled()
        relay.sink.abortConnection()
        relay.turns.turn()
        self.assertFalse(relay.splice.works)
        relay.splice.start()
        relay.splice.resumeProducing()
        before = relay.came
        relay.turn()
        self.assertEqual(relay.came, before)
        self.assertGreater(relay.protocol.got, 0)

    def test_full_sink_is_read_for(self) -> None:
        """Whoever resumes the source though the sink is full changes nothing."""
        relay = self.stalled()
        for _ in range(3):
            relay.source.resumeProducing()
            relay.send(DATA)
            relay.turn()
        self.assertTrue(relay.arrives())

    def test_no_producer(self) -> None:
        """A sink that has lost its producer is written to: there is nobody to be paused."""
        relay = self.stalled()
        relay.sink.unregisterProducer()
        relay.splice.push()
        self.assertEqual((relay.splice.works, relay.came), (False, relay.left))
        relay.splice.start()
        relay.source.resumeProducing()
        before = relay.came
        self.assertTrue(relay.arrives())
        self.assertEqual(relay.came, before)

    def test_queued(self) -> None:
        """What is queued in the sink is not overtaken."""
        relay = Relaying(self)
        relay.sink.write(b"first ")
        relay.splice.start()
        relay.send(b"second")
        relay.source.doRead()
        self.assertEqual((relay.came, relay.protocol.got), (0, 6))
        relay.turn()
        relay.read()
        self.assertEqual(relay.got, b"first second")

    def test_little(self) -> None:
        """When little comes, again and again, it stops by itself; much begins the count anew."""
        relay = Relaying(self)
        relay.splice.start()
        for size in (*[LITTLE] * (PATIENCE - 1), LITTLE + 1, *[1] * (PATIENCE - 1)):
            relay.send(DATA[:size])
            relay.turn()
            self.assertTrue(relay.splice.works)
            relay.read()
        relay.send(b"!")
        relay.turn()
        self.assertFalse(relay.splice.works)
        relay.send(b"?")
        relay.turn()
        self.assertEqual(relay.protocol.got, 1)
        relay.read()
        self.assertEqual(relay.got[-2:], b"!?")
        relay.splice.start()
        relay.send(b".")
        relay.turn()
        self.assertTrue(relay.splice.works)

    def test_nothing(self) -> None:
        """An event without bytes is none."""
        relay = Relaying(self)
        relay.splice.start()
        self.assertIsNone(relay.source.doRead())
        self.assertEqual(len(relay.pipes._free), 1)

    def test_not_for_these(self) -> None:
        """Sockets that the system can't splice are read and written."""
        relay = Relaying(self)
        relay.splice.start()
        with mock.patch.object(os, "splice", side_effect=OSError(errno.EINVAL, "no")):
            relay.send(b"hello")
            relay.turn()
        relay.read()
        self.assertEqual((relay.got, relay.splice.works), (b"hello", False))

    def test_no_pipe(self) -> None:
        """Without a pipe they are read and written, and later it goes on."""
        relay = Relaying(self)
        relay.splice.start()
        relay.pipes.limit = 0
        relay.send(b"hello")
        relay.turn()
        relay.pipes.limit = 1
        relay.send(b"again")
        relay.turn()
        relay.read()
        self.assertEqual((relay.got, relay.came, relay.protocol.got), (b"helloagain", 5, 5))

    def test_tls(self) -> None:
        """A source that begins with TLS is read by whoever does that."""
        relay = Relaying(self)
        relay.splice.start()
        relay.source.TLS = True
        relay.send(b"hello")
        relay.source.doRead()
        self.assertEqual((relay.came, relay.protocol.got), (0, 5))

    def test_aborted(self) -> None:
        """Nothing is read of a connection that is being aborted."""
        relay = Relaying(self)
        relay.splice.start()
        relay.source.abortConnection()
        mine = relay.source.doRead
        relay.splice.stop()
        relay.splice.start()
        self.assertIs(relay.source.doRead, mine)
        self.assertFalse(relay.splice.works)

    def test_where(self) -> None:
        """Between Twisted's own transports for sockets, where there is such a call."""
        relay = Relaying(self)
        self.assertIsInstance(splice(relay.source, relay.sink), Splice)
        self.assertIsNone(splice(relay.source, StringTransport()))
        self.assertIsNone(splice(StringTransport(), relay.sink))
        with mock.patch.object(module, "_FLAGS", 0):
            self.assertIsNone(splice(relay.source, relay.sink))
        alsoProvides(relay.sink, ISSLTransport)
        self.assertIsNone(splice(relay.source, relay.sink))

    def test_uncounted(self) -> None:
        """Nobody has to count."""
        relay = Relaying(self)
        relay.splice = Splice(relay.source, relay.sink)
        relay.splice.start()
        self.assertTrue(relay.carries(DATA))
        PIPES.close()


@needed
class PipesTests(SynchronousTestCase):
    """Pipes are shared."""

    def test_limit(self) -> None:
        """There are never more than so many, and few are kept."""
        pipes = Pipes(limit=3, kept=1)
        taken = [pipes.take() for _ in range(4)]
        self.assertIsNone(taken.pop())
        one, two, three = (pipe for pipe in taken if pipe)
        self.assertEqual(one.size, 2**20)
        pipes.give(one)
        self.assertIs(pipes.take(), one)
        for pipe in (one, two, three):
            pipes.give(pipe)
        self.assertRaises(OSError, os.fstat, two.entry)
        pipes.close()
        self.assertRaises(OSError, os.fstat, one.exit)
        self.assertEqual(pipes._made, 0)
        pipe = pipes.take()
        assert pipe is not None
        pipes.drop(pipe)
        self.assertRaises(OSError, os.fstat, pipe.exit)
        self.assertEqual((pipes._free, pipes._made), ([], 0))

    def test_small(self) -> None:
        """A pipe that may not grow is used; of a very small one there is none, for a while."""
        real = fcntl.fcntl
        for grown, size in ((False, 2**16), (True, 2**13)):

            def control(
                fd: int, command: int, *more: int, grown: bool = grown, size: int = size
            ) -> Any:
                """What the system says to a user who has too many."""
                if command == fcntl.F_SETPIPE_SZ:
                    if not grown:
                        raise PermissionError(errno.EPERM, "no")
                    return real(fd, command, size)
                return real(fd, command, *more)

            pipes = Pipes()
            with mock.patch.object(fcntl, "fcntl", control):
                pipe = pipes.take()
                if grown:
                    self.assertIsNone(pipe)
                else:
                    assert pipe is not None
                    self.assertEqual(pipe.size, size)
                    pipes.give(pipe)
                    pipes.close()
            if grown:
                refused = [pipes.take() for _ in range(module._PAUSE)]
                self.assertEqual(set(refused), {None})
                pipe = pipes.take()
                assert pipe is not None
                pipe.close()

    def test_no_descriptors(self) -> None:
        """No pipe, no error."""
        with mock.patch.object(os, "pipe2", side_effect=OSError(errno.EMFILE, "no")):
            self.assertIsNone(Pipes().take())

    def test_empty(self) -> None:
        """A pipe gives up all that it has, however many reads that takes."""
        pipe = Pipe(*os.pipe(), 2**16)
        os.write(pipe.entry, b"abcdef")
        pipe.inside = 6
        whole = os.read
        with mock.patch.object(os, "read", lambda fd, size: whole(fd, min(size, 4))):
            self.assertEqual(pipe.empty(), b"abcdef")
        pipe.close()


class Forward(Protocol):
    """Half of the proxy of the documentation."""

    transport: Any

    def begin(self, other: Any) -> None:
        """The other half is there."""
        self.other = other
        self.splice = splice(self.transport, other.transport)
        if self.splice is not None:
            self.other.transport.registerProducer(self.splice, True)

    def dataReceived(self, data: bytes) -> None:
        """What comes the ordinary way."""
        self.other.transport.write(data)
        if self.splice is not None and len(data) >= FULL:
            self.splice.start()

    def connectionLost(self, reason: Any = None) -> None:
        """What is under way goes out."""
        if self.splice is not None:
            self.splice.stop()
        self.other.transport.unregisterProducer()
        self.other.transport.loseConnection()


class Sink(Protocol):
    """Keeps what comes."""

    def connectionMade(self) -> None:
        """Begin."""
        self.got: list[bytes] = []
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.got.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        """All is there."""
        self.over.callback(None)


class ReactorTests(TestCase):
    """On the reactor of this process, whichever it is."""

    timeout = 20

    async def test_forward(self) -> None:
        """A program hands on in the ordinary way, then by a splice, and closes behind all."""
        made: dict[str, Any] = {}

        class Keeping(Factory):
            """Keeps what it makes."""

            noisy = False

            def __init__(self, name: str, kind: type[Protocol]) -> None:
                self.name, self.protocol = name, kind

            def buildProtocol(self, addr: Any) -> Any:
                """One, by its name."""
                made[self.name] = built = super().buildProtocol(addr)
                return built

        async def connected(name: str, kind: type[Protocol], port: Any) -> Any:
            """Connect to it."""
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            return await endpoint.connect(Keeping(name, kind))

        async def listening(name: str, kind: type[Protocol]) -> Any:
            """Listen."""
            endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
            port = await endpoint.listen(Keeping(name, kind))
            self.addCleanup(port.stopListening)
            return port

        servers, entrance = await listening("server", Sink), await listening("in", Forward)
        out = await connected("out", Forward, servers)
        client = await connected("client", Sink, entrance)
        while "in" not in made or "server" not in made:
            await Deferred.fromCoroutine(self.later())
        made["in"].begin(out)
        out.begin(made["in"])
        client.transport.write(DATA * 4)
        client.transport.loseConnection()
        await made["server"].over
        self.assertEqual(b"".join(made["server"].got), DATA * 4)
        await client.over
        PIPES.close()

    async def later(self) -> None:
        """A turn of the reactor."""
        turn: Deferred[None] = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn
