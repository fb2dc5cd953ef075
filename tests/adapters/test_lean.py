"""Connections that cost less to have."""

import contextlib
import socket
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server
from twisted.internet.testing import StringTransport
from twisted.internet.unix import Port as UNIXPort
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.eager import EagerPort, EagerServer
from lab.adapters.lean import LeanConnection, lean
from tests.adapters.test_accepting import Taking
from tests.adapters.test_eager import _STEP, Doing, Pair, Step, Turns

reactor: Any = real_reactor

Script = list[tuple[str, list[Step]]]
_MORE = st.one_of(_STEP, st.tuples(st.just("abortConnection"), st.just(())))
_SCRIPT = st.lists(
    st.tuples(st.sampled_from(["event", "outside", "read", "end"]), st.lists(_MORE, max_size=4)),
    max_size=8,
)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection by TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        return server.accept()[0], peer


class Halves(Doing):
    """Does things when its peer has ended, too."""

    def readConnectionLost(self) -> None:
        """Write it down."""
        self.log.append("peer ended")
        self.dataReceived(b"")


class Ends(Pair):
    """The other end may end its half, and this one may be told so as reactors do."""

    def __init__(self, transport: type[Server], outbox: list[Any] | None = None) -> None:
        super().__init__(transport, outbox)
        self.protocol = self.transport.protocol = Halves()
        self.protocol.makeConnection(self.transport)

    def event(self, steps: list[Step]) -> None:
        """One chunk, unless the peer has ended."""
        with contextlib.suppress(BrokenPipeError):
            super().event(steps)

    def end(self, steps: list[Step]) -> None:
        """The peer's half ends."""
        self.protocol.steps = steps
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_WR)
        if self.transport in self.reactor.readers:
            self.reactor.removeReader(self.transport)
            self.transport.readConnectionLost(Failure(ConnectionDone()))
            self.reactor.end_event()


def play(pair: Ends, script: Script) -> tuple[list[str], bytes, list[Any], list[Any]]:
    """
    Do all of a script, with a turn of the reactor behind each event.

    Gives what was called, what came, and who is still watched for what.
    """
    for what, steps in script:
        getattr(pair, what)(*([steps] if what != "read" else []))
        pair.reactor.turn()
    pair.settle()
    watched = [len(pair.reactor.readers), len(pair.reactor.writers)]
    shown = [bool(pair.transport.connected), bool(pair.transport.disconnected)]
    received, log = pair.finish()
    return log, received, watched, shown


class SameTests(SynchronousTestCase):
    """What a program can see of it."""

    @settings(max_examples=120, deadline=None)
    @given(script=_SCRIPT)
    def test_as_eager(self, script: Script) -> None:
        """The same bytes and calls in the same order as without, and the reactor knows the same."""
        for outbox in (None, []):
            found = play(Ends(LeanConnection, outbox), script)
            self.assertEqual(found, play(Ends(EagerServer, outbox), script))

    def test_both_halves(self) -> None:
        """When both halves have ended, it is closed at once, and says so as Twisted's own does."""
        script = [("outside", [("loseWriteConnection", ())]), ("end", [("loseConnection", ())])]
        expected = ["half closed", "peer ended", "ConnectionDone"]
        for kind in (Server, LeanConnection):
            log, received, watched, _ = play(Ends(kind), script)
            self.assertEqual((log, received, watched), (expected, b"", [0, 0]))

    def test_asks_less(self) -> None:
        """A reactor is not asked to forget what it does not know."""
        asked = []

        class Noting(Turns):
            """Notes what it is asked to forget."""

            def removeWriter(self, writer: Any) -> None:
                """Note it."""
                asked.append(writer)

        ours, peer = socket.socketpair()
        self.addCleanup(peer.close)
        noting: Any = Noting()
        transport = LeanConnection(ours, Doing(), ("here", 1), None, 0, noting)
        self.assertEqual(ours.gettimeout(), 0)
        transport.connectionLost(Failure(ConnectionDone()))
        transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((asked, noting.readers, transport.fileno()), ([], [], -1))

    def test_read_now(self) -> None:
        """What has come is read before the reactor tells; an end is left to it, and so is RST."""
        for linger in (False, True):
            ours, peer = tcp_pair()
            self.addCleanup(peer.close)
            fake: Any = Turns()
            protocol = Halves()
            got: list[bytes] = []
            protocol.dataReceived = got.append  # type: ignore[method-assign]
            transport = LeanConnection(ours, protocol, ("here", 1), None, 0, fake)
            protocol.makeConnection(transport)
            transport.readNow()
            peer.sendall(b"early")
            transport.readNow()
            self.assertEqual(got, [b"early"])
            peer.sendall(b"late")
            transport.pauseProducing()
            transport.readNow()
            self.assertEqual(got, [b"early"])
            transport.resumeProducing()
            transport.readNow()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
            peer.close()
            transport.readNow()
            self.assertEqual((got, protocol.log), ([b"early", b"late"], []))
            self.assertIs(transport.doRead(), CONNECTION_LOST if linger else CONNECTION_DONE)
            transport.connectionLost(Failure(ConnectionDone()))

    def test_mistakes_at_ends(self) -> None:
        """A protocol that makes one when it is told of an end is disconnected."""
        for what in ("readConnectionLost", "writeConnectionLost"):
            ours, peer = socket.socketpair()
            self.addCleanup(peer.close)
            fake: Any = Turns()
            protocol = Halves()
            transport = LeanConnection(ours, protocol, ("here", 1), None, 0, fake)
            protocol.makeConnection(transport)
            setattr(protocol, what, lambda: 1 / 0)
            transport.loseWriteConnection()
            fake.turn()
            if what == "readConnectionLost":
                transport.readConnectionLost(Failure(ConnectionDone()))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual((transport.connected, protocol.log[-1]), (0, "ZeroDivisionError"))

    def test_no_halves(self) -> None:
        """A protocol that knows none has one end; it goes on when its own half has ended."""
        ours, peer = socket.socketpair()
        self.addCleanup(peer.close)
        fake: Any = Turns()
        lost: list[Failure] = []
        protocol: Any = Protocol()
        protocol.connectionLost = lost.append
        transport = LeanConnection(ours, protocol, ("here", 1), None, 0, fake)
        protocol.makeConnection(transport)
        transport.loseWriteConnection()
        fake.turn()
        self.assertEqual((peer.recv(1), lost), (b"", []))
        transport.readConnectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(lost), 1)

    def test_names(self) -> None:
        """What logs call it is what they call Twisted's own, and addresses have their family."""
        for client, kind in (
            (("127.0.0.1", 7), IPv4Address),
            (("::1", 7, 0, 0), IPv6Address),
        ):
            ours, peer = socket.socketpair()
            self.addCleanup(peer.close)
            ours.setblocking(False)
            given: Any = ours, Doing(), client, None, 3, Turns()
            one, other = LeanConnection(*given), Server(*given)
            self.assertEqual(one.logPrefix(), other.logPrefix())
            self.assertEqual(one.getPeer(), kind("TCP", client[0], 7))
            self.assertIn(one.logPrefix(), repr(one))
            one.connectionLost(Failure(ConnectionDone()))
            self.assertIn("Doing,3", repr(one))
        ours, peer = socket.socketpair()
        self.addCleanup(peer.close)
        named: Any = Protocol()
        named.__class__ = type("Named", (Protocol,), {"logPrefix": lambda _: "my own"})
        one = LeanConnection(ours, named, ("127.0.0.1", 7), None, 3, Turns())
        self.addCleanup(ours.close)
        self.assertEqual(one.logPrefix(), "my own,3,127.0.0.1")


class Echo(Protocol):
    """Sends back what comes, until the peer has ended."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


class PortTests(TestCase):
    """Which ports have such connections."""

    timeout = 20

    async def test_port(self) -> None:
        """One of this process's reactor, whichever it is."""
        made: list[Any] = []
        over: Deferred[None] = Deferred()

        class Noted(Echo):
            """Says when it is over."""

            def connectionLost(self, reason: Failure = ...) -> None:
                """Say it."""
                over.callback(None)

        def build() -> Protocol:
            """One more."""
            made.append(Noted())
            return made[-1]  # type: ignore[no-any-return]

        port = lean(reactor.listenTCP(0, Factory.forProtocol(build), interface="127.0.0.1"))
        self.addCleanup(port.stopListening)
        client = Echo()
        got: Deferred[bytes] = Deferred()
        client.dataReceived = got.callback  # type: ignore[method-assign]
        address: Any = port.getHost()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", address.port), client)
        client.transport.write(b"there and back")
        self.assertEqual(await got, b"there and back")
        self.assertIsInstance(made[0].transport, LeanConnection)
        client.transport.loseConnection()
        await over

    async def test_sockets(self) -> None:
        """A factory that takes sockets is given them."""
        factory = Taking()
        port = lean(reactor.listenTCP(0, factory, interface="127.0.0.1"))
        self.addCleanup(port.stopListening)
        address: Any = port.getHost()
        client = socket.create_connection((address.host, address.port), timeout=10)
        self.addCleanup(client.close)
        while not factory.taken:
            await deferLater(reactor, 0)
        taken, peer, by = factory.taken[0]
        taken.close()
        self.assertEqual((peer, by), (client.getsockname(), port))

    def test_others(self) -> None:
        """Those of the reactor `lab` are; what is none of Twisted's own for TCP stays."""
        fake: Any = Turns()
        port = EagerPort(0, Factory(), reactor=fake)
        self.assertIs(lean(port).transport, LeanConnection)  # type: ignore[attr-defined]
        unix: Any = UNIXPort("nowhere", Factory(), reactor=fake)
        before = unix.transport
        self.assertIs(lean(unix), unix)
        self.assertIs(unix.transport, before)
        other: Any = StringTransport()
        self.assertIs(lean(other), other)
