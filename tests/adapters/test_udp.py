"""UDP ports that wait for room: what is written leaves in its order, or is counted."""

import errno
import select
import socket
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.trial.unittest import TestCase

from lab.adapters.backlog import DATAGRAMS, SIZE
from lab.adapters.udp import PAUSE, DatagramPort, is_full, listen
from tests.adapters.ports import Noting, PortCase


class Narrow:
    """
    A socket that has room for so many.

    Attributes:
        room: How many.
        error: What it raises when there is none.
        sent: What it took.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.room = 0
        self.error = OSError(errno.EAGAIN, "no room")
        self.sent: list[tuple[bytes, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """All else is as it was."""
        return getattr(self._real, name)

    def sendto(self, datagram: bytes, address: Any) -> int:
        """Take it, if there is room."""
        if not self.room:
            raise self.error
        self.room -= 1
        self.sent.append((datagram, address))
        return len(datagram)

    def send(self, datagram: bytes) -> int:
        """The same."""
        return self.sendto(datagram, None)


PEER = "192.0.2.1", 5000
#: What happens: a datagram of that size is written, there is room for so many, or a turn.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from((0, 1, 1200, 60_000))),
        st.tuples(st.just("many"), st.integers(1, 200)),
        st.tuples(st.just("room"), st.integers(1, 100)),
        st.tuples(st.just("turn"), st.sampled_from((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))),
    ),
    max_size=25,
)


class RoomTests(PortCase):
    """The system has no room."""

    def narrow(self, *, connected: bool = False) -> tuple[Any, Narrow]:
        """A port at a socket that has none."""
        port = self.port(Noting())
        if connected:
            port._connectedAddr = PEER
        port.socket = narrow = Narrow(port.socket)
        self.lost: list[int] = []
        port.dropping = self.lost.append
        return port, narrow

    @given(EVENTS, st.booleans())
    def test_any_order(self, events: list[tuple[str, int]], connected: bool) -> None:  # noqa: FBT001
        """The same datagrams in the same order, but those that are counted; never too many wait."""
        port, narrow = self.narrow(connected=connected)
        addr = None if connected else PEER
        written: list[bytes] = []

        def write(size: int) -> None:
            """Write one of that size, or a little more, that is like no other."""
            written.append(b"%06d" % len(written) + bytes(size))
            port.write(written[-1], addr)

        def turn() -> None:
            """The reactor has one."""
            port.reactor.turn()
            port.reactor.advance(PAUSE)

        for kind, number in events:
            if kind == "write":
                write(number)
            elif kind == "many":
                for _ in range(number):
                    write(10)
            elif kind == "room":
                narrow.room += number
            else:
                narrow.error = OSError(number, "no room")
                turn()
            self.assertLessEqual(len(port.backlog), DATAGRAMS)
            self.assertLessEqual(port.backlog._held, SIZE)
        narrow.room = 10**6
        turn()
        sent = [datagram for datagram, _ in narrow.sent]
        self.assertEqual(sent, [one for one in written if one in set(sent)])
        self.assertEqual(len(sent) + port.unsent, len(written))
        self.assertEqual(sum(self.lost), port.unsent)
        self.assertEqual({to for _, to in narrow.sent}, {addr} if sent else set())
        self.assertEqual((port.reactor.writers, port.reactor.getDelayedCalls()), ([], []))
        port.connectionLost()

    def test_room_again(self) -> None:
        """What waits is sent when the socket has room, before what is written then."""
        port, narrow = self.narrow()
        port.write(b"a", PEER)
        self.assertEqual(port.reactor.writers, [port])
        narrow.room = 1
        port.write(b"b", PEER)
        port.reactor.turn()
        self.assertEqual((narrow.sent, port.reactor.writers), ([(b"a", PEER)], [port]))
        narrow.room = 9
        port.reactor.turn()
        port.write(b"c", PEER)
        self.assertEqual([datagram for datagram, _ in narrow.sent], [b"a", b"b", b"c"])
        self.assertEqual(port.reactor.writers, [])

    def test_no_spinning(self) -> None:
        """Where the socket always has room, and the card has none, it is tried again later."""
        port, narrow = self.narrow()
        narrow.error = OSError(errno.ENOBUFS, "no buffers")
        for _ in range(3):
            port.write(b"a", PEER)
        self.assertEqual(port.reactor.writers, [])
        (call,) = port.reactor.getDelayedCalls()
        self.assertEqual(call.getTime(), PAUSE)
        port.reactor.advance(PAUSE)
        self.assertEqual((narrow.sent, len(port.reactor.getDelayedCalls())), ([], 1))
        # The socket is full meanwhile, and says so: both may be.
        narrow.error = OSError(errno.EAGAIN, "no room")
        port.doWrite()
        self.assertEqual(port.reactor.writers, [port])
        narrow.error = OSError(errno.ENOBUFS, "no buffers")
        port.reactor.turn()
        self.assertEqual((port.reactor.writers, len(port.reactor.getDelayedCalls())), ([], 1))
        narrow.room = 3
        port.reactor.advance(PAUSE)
        self.assertEqual((len(narrow.sent), port.reactor.getDelayedCalls()), (3, []))

    def test_stock_raises(self) -> None:
        """Twisted's own raises, so the tests above say something."""
        port = self.port(Noting(), Port)
        port.socket = Narrow(port.socket)
        self.assertRaises(BlockingIOError, port.write, b"a", PEER)

    def test_a_changed_buffer(self) -> None:
        """What waits is as it was when it was written."""
        port, narrow = self.narrow()
        data: Any = bytearray(b"abc")
        port.write(data, PEER)
        data[:] = b"xyz"
        narrow.room = 1
        port.reactor.turn()
        self.assertEqual(narrow.sent, [(b"abc", PEER)])

    def test_mistakes(self) -> None:
        """A wrong address is wrong whether there is room or not; a mistake takes no room."""
        port, _ = self.narrow()
        for _ in range(2):
            self.assertRaises(InvalidAddressError, port.write, b"a", ("localhost", 5))
            self.assertRaises(InvalidAddressError, port.write, b"a", ("::1", 5))
            self.assertRaises(AssertionError, port.write, b"a")
            port.write(b"a", PEER)
        self.assertEqual(len(port.backlog), 2)

    def test_other_errors(self) -> None:
        """What is no want of room is raised, as Twisted does."""
        port, narrow = self.narrow()
        narrow.error = PermissionError(errno.EPERM, "not permitted")
        self.assertRaises(PermissionError, port.write, b"a", PEER)
        narrow.error = OSError(errno.EMSGSIZE, "too long")
        self.assertRaises(MessageLengthError, port.write, b"a", PEER)
        self.assertEqual((len(port.backlog), port.unsent), (0, 0))

    def test_not_taken_later(self) -> None:
        """What is not taken when it has waited is dropped and counted, and what follows is sent."""
        port, narrow = self.narrow()
        port.write(b"a", PEER)
        port.write(b"b", PEER)
        real, errors = narrow.sendto, [OSError(errno.EMSGSIZE, "too long")]

        def sendto(datagram: bytes, address: Any) -> int:
            """Refuse the first."""
            if errors:
                raise errors.pop()
            return real(datagram, address)

        narrow.sendto = sendto  # type: ignore[method-assign]
        narrow.room = 9
        port.reactor.turn()
        self.assertEqual((narrow.sent, port.unsent, self.lost), ([(b"b", PEER)], 1, [1]))

    def test_nobody_asks(self) -> None:
        """What is dropped is counted, whether somebody wants to be told or not."""
        port, _ = self.narrow()
        port.dropping = None
        for _ in range(DATAGRAMS + 5):
            port.write(b"a", PEER)
        self.assertEqual(port.unsent, 5)

    def test_refused_later(self) -> None:
        """That nobody listens may come to light when what has waited is sent."""
        for connected, seen in ((True, ["refused"]), (False, [])):
            port, narrow = self.narrow(connected=connected)
            port.write(b"a", None if connected else PEER)
            narrow.error = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
            port.reactor.turn()
            self.assertEqual((port.protocol.seen, port.unsent), (seen, 0))

    def test_closed(self) -> None:
        """What waits is sent when the port is closed, if there is room then, or counted."""
        for number, room in ((errno.EAGAIN, 2), (errno.ENOBUFS, 0)):
            port, narrow = self.narrow()
            narrow.error = OSError(number, "no room")
            for _ in range(3):
                port.write(b"a", PEER)
            narrow.room = room
            port.connectionLost()
            self.assertEqual((len(narrow.sent), port.unsent), (room, 3 - room))
            self.assertEqual((port.reactor.writers, port.reactor.getDelayedCalls()), ([], []))

    def test_of_the_kernel(self) -> None:
        """A real socket that is full, of the kind that can be on one machine: nothing is lost."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(theirs.close)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        port = self.port(Noting())
        port.socket.close()
        port.socket, port.fileno, port._connectedAddr = ours, ours.fileno, PEER
        written = [b"%d" % number * 100 for number in range(200)]
        for datagram in written:
            port.write(datagram)
        self.assertTrue(0 < len(port.backlog) < 200)
        came = []
        while len(came) < 200:
            came.append(theirs.recv(1000))
            if select.select([], port.reactor.writers, [], 0)[1]:
                port.reactor.turn()
        self.assertEqual((came, port.unsent, len(port.backlog)), (written, 0, 0))

    def test_is_full(self) -> None:
        """What is want of room, and what is not."""
        numbers = errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EPERM
        found = [is_full(OSError(number, "")) for number in numbers]
        self.assertEqual(found, [True, True, True, False])


class ListenTests(TestCase):
    """Where such a port comes from."""

    def test_ours(self) -> None:
        """A reactor with ports of the system's sockets gets ours."""
        port = listen(reactor, 0, DatagramProtocol(), "127.0.0.1", 500)
        self.addCleanup(port.stopListening)
        self.assertIsInstance(port, DatagramPort)
        self.assertEqual((port.maxPacketSize, port.getHost().host), (500, "127.0.0.1"))

    def test_its_own(self) -> None:
        """One that has its own, or that somebody has changed, is asked."""
        asked: list[Any] = []
        protocol = DatagramProtocol()
        with patch.object(reactor, "listenUDP", lambda *given: asked.append(given) or "port"):
            self.assertEqual(listen(reactor, 5, protocol), "port")
        self.assertEqual(asked, [(5, protocol, "", 8192)])
