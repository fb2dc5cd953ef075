"""Tests of connections that send without waiting for the next turn of the reactor."""

import socket
from collections.abc import Callable
from errno import EBADF, ENOBUFS
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lab.adapters.eager import EagerClient, EagerConnector, EagerPort, EagerServer

Step = tuple[str, Any]


class Turns:
    """A reactor whose turns a test makes."""

    def __init__(self, outbox: list[Any] | None = None) -> None:
        self.readers: list[Any] = []
        self.writers: list[Any] = []
        self.calls: list[Callable[[], object]] = []
        self.asked = 0
        if outbox is not None:
            self.outbox = outbox

    def addReader(self, reader: Any) -> None:
        """Note it."""
        if reader not in self.readers:
            self.readers.append(reader)

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        self.asked += 1
        if writer not in self.writers:
            self.writers.append(writer)

    def removeReader(self, reader: Any) -> None:
        """Forget it."""
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        if writer in self.writers:
            self.writers.remove(writer)

    def callLater(self, delay: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call it in the next turn."""
        self.calls.append(lambda: call(*arguments))

    def end_event(self) -> None:
        """What a reactor with an outbox does behind an event."""
        box = getattr(self, "outbox", [])
        for connection in box[:]:
            connection.flush()
        box.clear()

    def turn(self) -> None:
        """Make the calls, let all write that want to."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()
        for writer in self.writers[:]:
            self.handle(writer, writer.doWrite)

    def handle(self, selectable: Any, do: Callable[[], Any]) -> None:
        """Let it do that; disconnect it for a reason, and for a mistake."""
        try:
            why = do()
        except (AttributeError, RuntimeError) as error:
            # Twisted's own makes a mistake when it is half-closed after its end.
            why = error
        if why:
            self.removeReader(selectable)
            self.removeWriter(selectable)
            selectable.connectionLost(Failure(why))
        self.end_event()


@implementer(IHalfCloseableProtocol)
class Doing(Protocol):
    """Does what a test says when something comes, and writes down what is called."""

    transport: Any

    def __init__(self) -> None:
        self.log: list[str] = []
        self.steps: list[Step] = []

    def do(self, step: Step) -> None:
        """Do one thing."""
        kind, value = step
        try:
            if kind == "register":
                self.transport.registerProducer(self, value)
            elif kind == "raise":
                self.fail()
            else:
                getattr(self.transport, kind)(*value)
        except TypeError as error:
            self.log.append(f"refused: {error}")
        except RuntimeError as error:
            if kind == "raise":
                raise
            self.log.append(f"refused: {str(error)[:24]}")

    def dataReceived(self, data: bytes) -> None:
        """One event."""
        steps, self.steps = self.steps, []
        for step in steps:
            self.do(step)

    def fail(self) -> None:
        """Make a mistake."""
        raise RuntimeError("a mistake in dataReceived")

    def resumeProducing(self) -> None:
        """A producer that has one more piece, and then none."""
        self.log.append("resume")
        self.transport.write(b"resumed")
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Too much is queued."""
        self.log.append("pause")

    def stopProducing(self) -> None:
        """The end."""
        self.log.append("stop")

    def readConnectionLost(self) -> None:
        """Only a reactor would call it."""

    def writeConnectionLost(self) -> None:
        """Our half is closed."""
        self.log.append("half closed")

    def connectionLost(self, reason: Failure = ...) -> None:
        """The end."""
        self.log.append(reason.type.__name__)


class Pair:
    """A connection of a class, with a socket at its other end that the test reads."""

    def __init__(self, transport: type[Server], outbox: list[Any] | None = None) -> None:
        ours, self.peer = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.peer.setblocking(False)
        self.reactor: Any = Turns(outbox)
        self.protocol = Doing()
        self.transport: Any = transport(ours, self.protocol, ("here", 1), None, 0, self.reactor)
        self.protocol.makeConnection(self.transport)
        self.received = b""

    def event(self, steps: list[Step]) -> None:
        """What a protocol does with one chunk."""
        self.protocol.steps = steps
        if self.transport in self.reactor.readers:
            self.peer.send(b"go")
            self.reactor.handle(self.transport, self.transport.doRead)

    def outside(self, steps: list[Step]) -> None:
        """What a protocol does at another time."""
        for step in steps:
            self.protocol.do(step)
        self.reactor.end_event()

    def read(self) -> None:
        """Take all there is."""
        try:
            while data := self.peer.recv(1 << 20):
                self.received += data
        except OSError:
            pass

    def settle(self) -> None:
        """Turn and read for as long as anything comes of it."""
        idle = 0
        while idle < 3:
            before = len(self.received), len(self.protocol.log)
            self.reactor.turn()
            self.read()
            idle = idle + 1 if before == (len(self.received), len(self.protocol.log)) else 0

    def finish(self) -> tuple[bytes, list[str]]:
        """What came and what was called, when all has calmed down."""
        self.settle()
        self.close()
        return self.received, self.protocol.log

    def close(self) -> None:
        """Leave nothing open."""
        self.peer.close()
        if hasattr(self.transport, "socket"):
            self.transport.socket.close()


_DATA = st.sampled_from(
    [b"", b"a", b"bcd", b"e" * 5000, b"f" * 70_000, b"g" * 150_000, bytearray(b"hi"), "text"]
)
_PIECES = st.one_of(st.lists(_DATA, max_size=3), st.just((b"j", b"k")))
_NOTHING = st.just(())
_STEP = st.one_of(
    st.tuples(st.just("write"), _DATA.map(lambda data: (data,))),
    st.tuples(st.just("write"), _DATA.map(lambda data: (data,))),
    st.tuples(st.just("writeSequence"), _PIECES.map(lambda pieces: (pieces,))),
    st.tuples(st.just("register"), st.booleans()),
    st.tuples(st.just("unregisterProducer"), _NOTHING),
    st.tuples(st.just("loseConnection"), _NOTHING),
    st.tuples(st.just("loseWriteConnection"), _NOTHING),
    st.tuples(st.just("pauseProducing"), _NOTHING),
    st.tuples(st.just("resumeProducing"), _NOTHING),
)
_SCRIPT = st.lists(
    st.tuples(st.sampled_from(["event", "outside", "read"]), st.lists(_STEP, max_size=4)),
    max_size=8,
)


def play(pair: Pair, script: list[tuple[str, list[Step]]]) -> tuple[bytes, list[str]]:
    """Do all of a script, with a turn of the reactor behind each event."""
    for what, steps in script:
        if any(kind == "register" for kind, _ in steps):
            # Whether it is paused depends on what is queued; an eager one has sent more of that.
            pair.settle()
        if what == "event":
            pair.event(steps)
        elif what == "outside":
            pair.outside(steps)
        elif what == "settle":
            pair.settle()
        else:
            pair.read()
        pair.reactor.turn()
    return pair.finish()


class SameTests(SynchronousTestCase):
    """What a program can see of it."""

    @settings(max_examples=150, deadline=None)
    @given(script=_SCRIPT, mistake=st.booleans())
    @example(
        script=[
            ("event", [("write", (b"f" * 70_000,))]),
            ("event", [("register", True), ("write", (b"a",))]),
        ],
        mistake=False,
    )
    def test_as_twisted(self, script: list[tuple[str, list[Step]]], *, mistake: bool) -> None:
        """The same bytes, the same calls in the same order, whatever is done when."""
        if mistake:
            # Twisted drops what it has not sent yet, which depends on when there was a turn.
            script = [*script, ("settle", []), ("event", [("write", (b"dropped",)), ("raise", ())])]
        expected = play(Pair(Server), script)
        self.assertEqual(play(Pair(EagerServer), script), expected)
        self.assertEqual(play(Pair(EagerServer, []), script), expected)

    def test_at_once(self) -> None:
        """What is written when something comes is there in one piece, and no turn was asked for."""
        pair = Pair(EagerServer)
        self.addCleanup(pair.close)
        pair.event([("write", (b"head",)), ("write", (b"",)), ("writeSequence", ([b"bo", b"dy"],))])
        self.assertEqual((pair.peer.recv(100), pair.reactor.asked), (b"headbody", 0))

    def test_stock_waits(self) -> None:
        """Twisted's own asks for a turn, so the test above says something."""
        pair = Pair(Server)
        self.addCleanup(pair.close)
        pair.event([("write", (b"head",))])
        self.assertRaises(BlockingIOError, pair.peer.recv, 100)

    def test_outbox(self) -> None:
        """With an outbox, what is written at any time is there in one piece behind the event."""
        pair = Pair(EagerServer, [])
        self.addCleanup(pair.close)
        pair.outside([("write", (b"a",)), ("write", (b"b",))])
        self.assertEqual((pair.peer.recv(100), pair.reactor.asked), (b"ab", 0))

    def test_without_outbox(self) -> None:
        """Without, it is sent at once only if Nagle's algorithm can't hold it back."""
        pair = Pair(EagerServer)
        self.addCleanup(pair.close)
        pair.outside([("write", (b"a",))])
        self.assertRaises(BlockingIOError, pair.peer.recv, 100)
        pair.reactor.turn()
        self.assertEqual(pair.peer.recv(100), b"a")
        pair.transport._no_delay = True
        pair.outside([("write", (b"b",)), ("write", (b"c",))])
        self.assertEqual((pair.peer.recv(100), pair.reactor.writers), (b"bc", []))
        pair.outside([("write", (b"x" * 300_000,)), ("write", (b"y",))])
        self.assertEqual(pair.finish(), (b"x" * 300_000 + b"y", []))

    def test_without_delay(self) -> None:
        """`setTcpNoDelay` is remembered, and done; such a connection finds its errors later."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname())
            peer, _ = listening.accept()
        transport: Any = EagerServer(ours, Doing(), ("127.0.0.1", 1), None, 0, Turns())
        self.addCleanup(ours.close)
        self.addCleanup(peer.close)
        transport.setTcpNoDelay(True)
        self.assertTrue(transport.getTcpNoDelay())
        transport.write(b"now")
        self.assertEqual(peer.recv(100), b"now")
        ours.shutdown(socket.SHUT_WR)
        transport.write(b"lost")
        self.assertEqual(
            (transport.reactor.writers, transport.doWrite()), ([transport], CONNECTION_LOST)
        )

    def test_tls(self) -> None:
        """What is written before TLS begins goes before it, and what goes behind is encrypted."""
        for outbox in (None, []):
            pair = Pair(EagerServer, outbox)
            tls = CertificateOptions(), False
            pair.event([("write", (b"220\n",)), ("startTLS", tls), ("write", (b"secret",))])
            received, _ = pair.finish()
            self.assertEqual((received[:4], received[4:6]), (b"220\n", b"\x16\x03"))
            self.assertNotIn(b"secret", received)

    def test_abort(self) -> None:
        """An abort drops what was written in the same event, as Twisted's does."""
        for steps in ([("abortConnection", ())], [("abortConnection", ()), ("write", (b"y",))]):
            for transport, outbox in ((Server, None), (EagerServer, None), (EagerServer, [])):
                pair = Pair(transport, outbox)
                pair.event([("write", (b"x",)), *steps])
                self.assertEqual(pair.finish(), (b"", ["ConnectionAborted"]))


class Broken:
    """A socket on which something does not work."""

    def __init__(self, pair: Pair, error: OSError) -> None:
        self._socket, self._error = pair.transport.socket, error
        pair.transport.socket = self

    def __getattr__(self, name: str) -> Any:
        """All else works."""
        return getattr(self._socket, name)

    def send(self, data: bytes) -> int:
        """Fail."""
        raise self._error

    def recv(self, size: int) -> bytes:
        """Tell nothing: it was told before."""
        if isinstance(self._error, BlockingIOError) or self._error.errno == EBADF:
            raise self._error
        return b""


class ErrorTests(SynchronousTestCase):
    """What the system says."""

    def setUp(self) -> None:
        """A connection."""
        self.pair = Pair(EagerServer)
        self.addCleanup(self.pair.close)
        self.transport = self.pair.transport

    def test_full(self) -> None:
        """It takes nothing now: that is no error, and neither is it that nothing came."""
        Broken(self.pair, BlockingIOError())
        self.assertEqual((self.transport.writeSomeData(b"a"), self.transport.doRead()), (0, None))

    def test_no_buffers(self) -> None:
        """It has no memory now."""
        Broken(self.pair, OSError(ENOBUFS, "no memory"))
        self.assertEqual(self.transport.writeSomeData(b"a"), 0)
        self.assertIs(self.transport.doRead(), CONNECTION_DONE)

    def test_lost(self) -> None:
        """The system tells once that a connection was lost, and it was not closed in order then."""
        Broken(self.pair, ConnectionResetError())
        self.pair.protocol.steps = [("write", (b"a",))]
        self.pair.protocol.dataReceived(b"")
        self.pair.reactor.turn()
        self.assertEqual(self.pair.protocol.log, ["ConnectionLost"])

    def test_lost_when_flushed(self) -> None:
        """So it is for what is sent behind an event; the transport keeps it until it is told."""
        pair = Pair(EagerServer, [])
        self.addCleanup(pair.close)
        Broken(pair, ConnectionResetError())
        pair.outside([("write", (b"a",))])
        self.assertEqual((pair.reactor.writers, pair.protocol.log), ([pair.transport], []))
        self.assertIs(pair.transport.doRead(), CONNECTION_LOST)

    def test_unreadable(self) -> None:
        """An error when reading is the end."""
        Broken(self.pair, OSError(EBADF, "bad"))
        self.assertIs(self.transport.doRead(), CONNECTION_LOST)

    def test_gone_in_its_event(self) -> None:
        """Who is gone when its event ends is not asked for anything."""
        self.transport.frame = object()
        self.pair.event([("write", (b"a",)), ("connectionLost", (Failure(ConnectionDone()),))])
        self.assertEqual(self.pair.reactor.writers, [])
        self.assertIsNone(self.transport.frame)  # which would keep it in memory


class EndsTests(SynchronousTestCase):
    """How programs come by such connections."""

    def test_port_and_connector(self) -> None:
        """Both ends are eager, and know the outbox of their reactor."""
        reactor: Any = Turns([])
        accepted, connected = Doing(), Doing()
        server, client = (
            Factory.forProtocol(lambda: accepted),
            ClientFactory.forProtocol(lambda: connected),
        )
        server.noisy = client.noisy = False
        port = EagerPort(0, server, interface="127.0.0.1", reactor=reactor)
        port.startListening()
        connector = EagerConnector("127.0.0.1", port.getHost().port, client, None, None, reactor)
        connector.connect()
        reactor.turn()
        port.doRead()
        reactor.turn()
        for protocol, kind in ((accepted, EagerServer), (connected, EagerClient)):
            self.assertIsInstance(protocol.transport, kind)
            self.assertIs(protocol.transport._outbox, reactor.outbox)
            protocol.transport.connectionLost(Failure(ConnectionLost()))
        port.stopListening()
        reactor.turn()
