"""Batches of datagrams: the same arrives as without, whatever the system says."""

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.backlog import DATAGRAMS
from lab.adapters.offload import HOSTS, SEGMENTS, SIZE, DatagramSender, batches
from tests.adapters.ports import PortCase
from tests.helpers import captured_logs, together

PEER = "192.0.2.1", 5000

#: Rows with many of equal size, and those that end them.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3000) | st.sampled_from((0, 1, 700, 1200, 65_507)), st.integers(1, 90)
    ),
    max_size=4,
).map(lambda runs: [bytes([n % 251]) * size for size, count in runs for n in range(count)])


class BatchesTests(SynchronousTestCase):
    """How a row is cut."""

    @given(ROWS)
    def test_any_row(self, messages: list[bytes]) -> None:
        """Nothing is lost or moved; each batch is what the system takes, and none is too short."""
        cut = list(batches(messages))
        self.assertEqual([one for batch in cut for one in batch], messages)
        for batch, after in zip(cut, [*cut, [b""]][1:], strict=True):
            sizes = [len(one) for one in batch]
            if len(sizes) > 1:
                self.assertEqual({*sizes[:-1]}, {sizes[0]})
                self.assertTrue(0 < sizes[-1] <= sizes[0])
            self.assertTrue(len(sizes) <= SEGMENTS and (sum(sizes) <= SIZE or len(sizes) == 1))
            full = len(sizes) == SEGMENTS or sum(sizes) + len(after[0]) > SIZE
            ended = sizes[-1] < sizes[0] or not 0 < len(after[0]) <= sizes[0]
            self.assertTrue(full or ended)


class Faulty:
    """
    A socket that refuses as it is told.

    Args:
        real: Does the rest; None for nothing.
        errors: What `sendmsg` raises, one call after the other.
        able: Whether it knows of batches.
    """

    def __init__(
        self, real: Any = None, errors: Sequence[OSError] = (), *, able: bool = True
    ) -> None:
        self._real, self._errors, self._able = real, list(errors), able
        #: The sizes that were tried.
        self.tried: list[int] = []

    def __getattr__(self, name: str) -> Any:
        """As the real one."""
        return getattr(self._real, name)

    def getsockopt(self, *option: int) -> int:
        """Whether it is able."""
        if not self._able:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return 0

    def sendmsg(self, batch: list[bytes], *more: Any) -> int:
        """Refuse, or send."""
        self.tried.append(len(batch[0]))
        if self._errors:
            raise self._errors.pop(0)
        return self._real.sendmsg(batch, *more) if self._real else sum(map(len, batch))


class StandIn(Port):
    """A port of Twisted's that was never opened."""

    def __init__(self, socket: Any) -> None:
        super().__init__(0, DatagramProtocol(), reactor=None)
        self.socket = socket
        self.written: list[tuple[bytes, Any]] = []
        self.errors: list[Exception | None] = []

    def write(self, datagram: bytes, addr: Any = None) -> None:
        """Note it, or refuse."""
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.written.append((datagram, addr))


def make(transport: Any) -> DatagramSender:
    """A sender at this transport."""
    protocol = DatagramProtocol()
    protocol.transport = transport
    return DatagramSender(protocol)


def counted(sender: DatagramSender) -> tuple[int, int, int, int]:
    """What was counted."""
    return sender.batched, sender.batches, sender.written, sender.unsent


class SenderTests(SynchronousTestCase):
    """What the system may say."""

    def test_batches(self) -> None:
        """What fits together is one call; what is alone is written."""
        port = StandIn(Faulty())
        sender = make(port)
        sender.send([b"x" * 1000] * 100 + [b"y" * 2000], PEER)
        self.assertEqual(port.socket.tried, [1000, 1000])
        self.assertEqual(port.written, [(b"y" * 2000, PEER)])
        self.assertEqual(counted(sender), (100, 2, 1, 0))

    def test_together(self) -> None:
        """Datagrams in one piece are cut into what the system takes at once."""
        cases = [(1000, 66, 2, 0), (1200, 55, 1, 1), (600, 65, 1, 1), (65_507, 2, 0, 2)]
        for size, count, calls, written in cases:
            port = StandIn(Faulty())
            sender = make(port)
            sender.send_together(together(b"x" * size * count, size), PEER)
            self.assertEqual(counted(sender), (count - written, calls, written, 0))
            self.assertEqual(port.written, [(b"x" * size, PEER)] * written)
            self.assertEqual([tried <= SIZE for tried in port.socket.tried], [True] * calls)

    def test_together_refused(self) -> None:
        """They go one by one where there is another way, and are lost where there is none."""
        for number, expected in ((errno.EIO, (0, 0, 3, 0)), (errno.EAGAIN, (0, 0, 0, 3))):
            port = StandIn(Faulty(None, [OSError(number, "no")]))
            sender = make(port)
            sender.send_together(together(b"aabbcc", 2), PEER)
            self.assertEqual(counted(sender), expected)
            one_by_one = [(one, PEER) for one in (b"aa", b"bb", b"cc")]
            self.assertEqual(port.written, one_by_one if number == errno.EIO else [])

    def test_not_able(self) -> None:
        """A system that knows no batches gets one by one, and is asked once."""
        port = StandIn(Faulty(able=False))
        sender = make(port)
        sender.send([b"a", b"b"], PEER)
        sender.send([b"c", b"d"], PEER)
        self.assertEqual(port.socket.tried, [])
        self.assertEqual(port.written, [(one, PEER) for one in (b"a", b"b", b"c", b"d")])
        self.assertEqual(counted(sender), (0, 0, 4, 0))
        port.socket = Faulty()
        sender.send([b"e", b"f"], PEER)
        self.assertEqual(counted(sender), (2, 1, 4, 0))

    def test_not_linux(self) -> None:
        """Elsewhere the numbers might mean something else."""
        with patch("sys.platform", "darwin"):
            sender = make(StandIn(Faulty()))
            sender.send([b"a", b"b"], PEER)
        self.assertEqual(counted(sender), (0, 0, 2, 0))

    def test_another_transport(self) -> None:
        """What is no port of Twisted's, as in the simulator, is written to; a closed one is not."""
        written: list[Any] = []

        class Other:
            """Somebody's own."""

            def write(self, datagram: bytes, addr: Any) -> None:
                """Note it."""
                written.append(datagram)
                if datagram == b"b":
                    sender._protocol.transport = None

        sender = make(Other())
        sender.send([b"a", b"b", b"c"], PEER)
        sender.send([b"d", b"e"], PEER)
        self.assertEqual(written, [b"a", b"b"])
        self.assertEqual(counted(sender), (0, 0, 2, 0))

    def test_refused_in_this_form(self) -> None:
        """Such a batch goes one by one; that size and larger ones are not tried again."""
        for name in ("EINVAL", "EMSGSIZE", "EIO", "ENOPROTOOPT", "EOPNOTSUPP"):
            number = getattr(errno, name)
            port = StandIn(Faulty(None, [OSError(number, "not so")]))
            sender = make(port)
            for size in (100, 100, 101, 99):
                sender.send([b"x" * size] * 3, PEER)
            self.assertEqual(port.socket.tried, [100, 99])
            self.assertEqual(counted(sender), (3, 1, 9, 0))

    def test_refused_on_one_way(self) -> None:
        """What is refused on the way to one host is nothing for the others; ports do not matter."""
        others = [("192.0.2.1", 5001), ("192.0.2.2", 5000), ("192.0.2.1", 5000), None]
        port = StandIn(Faulty(None, [OSError(errno.EINVAL, "not so")]))
        sender = make(port)
        for peer in (PEER, *others):
            sender.send([b"x" * 100] * 3, peer)
        self.assertEqual(port.socket.tried, [100] * 3)
        self.assertEqual([peer for _, peer in port.written[::3]], [PEER, others[0], others[2]])
        # With another socket they may have them again.
        port.socket = Faulty()
        sender.send([b"x" * 100] * 3, PEER)
        self.assertEqual(port.socket.tried, [100])

    def test_many_hosts(self) -> None:
        """Not more is remembered than so many hosts; one that is forgotten is tried again."""
        refusing = [OSError(errno.EINVAL, "not so")] * (HOSTS + 1)
        port = StandIn(Faulty(None, refusing))
        sender = make(port)
        for number in range(HOSTS):
            sender.send([b"a", b"b"], (f"10.0.{number // 250}.{number % 250}", 5000))
            self.assertLessEqual(len(sender._limits), HOSTS)
        for _ in range(2):
            sender.send([b"a", b"b"], PEER)
            sender.send([b"a", b"b"], ("10.0.0.0", 5000))
        self.assertEqual(len(port.socket.tried), HOSTS + 3)
        self.assertEqual(counted(sender), (4, 2, 2 * HOSTS + 4, 0))

    def test_another_error(self) -> None:
        """What has nothing to do with batches is found out one by one, and they are tried again."""
        port = StandIn(Faulty(None, [PermissionError(errno.EPERM, "not permitted")]))
        port.errors = [None, PermissionError(errno.EPERM, "not permitted"), None]
        sender = make(port)
        for _ in range(2):
            sender.send([b"a", b"b", b"c"], PEER)
        self.assertEqual(port.written, [(b"a", PEER), (b"c", PEER)])
        self.assertEqual(counted(sender), (3, 1, 2, 1))

    def test_no_room(self) -> None:
        """A batch for which there is no room is lost, counted, logged; all else goes on."""
        for number in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM):
            port = StandIn(Faulty(None, [OSError(number, "full")]))
            sender = make(port)
            with captured_logs() as events:
                sender.send([b"x" * 10] * (SEGMENTS + 2) + [b"yy", b"y" * 20], PEER)
            self.assertEqual(counted(sender), (3, 1, 1, SEGMENTS))
            (event,) = events
            self.assertEqual((event["log_level"], event["to"]), (LogLevel.debug, PEER))
            self.assertEqual((event["count"], event["error"].errno), (SEGMENTS, number))

    def test_one_is_not_taken(self) -> None:
        """So it is with one by one."""
        port = StandIn(None)
        port.errors = [OSError(errno.EAGAIN, "full"), MessageLengthError("too long")]
        sender = make(port)
        for message in (b"a", b"b", b"c"):
            sender.send([message], PEER)
        self.assertEqual(counted(sender), (0, 0, 1, 2))

    def test_names_are_not_looked_up(self) -> None:
        """An address that is a name takes no time: it is a mistake, and Twisted says so."""
        port = Port(0, DatagramProtocol(), reactor=None)
        port.socket, port.addressFamily = Faulty(), socket.AF_INET
        with self.assertRaises(InvalidAddressError):
            make(port).send([b"a", b"b"], ("localhost", 5000))
        self.assertEqual(port.socket.tried, [])


class PatientTests(PortCase):
    """At a port on which what finds no room waits."""

    def sender(self, *errors: OSError) -> tuple[DatagramSender, Any, list[bytes]]:
        """A sender, its port, and what the socket takes; it refuses so often first."""
        port = self.port(DatagramProtocol())
        taken: list[bytes] = []
        left = list(errors)

        def sendto(datagram: bytes, address: Any) -> int:
            """One."""
            if left:
                raise left.pop(0)
            taken.append(datagram)
            return len(datagram)

        def sendmsg(batch: list[bytes], *more: Any) -> int:
            """A batch."""
            if left:
                raise left.pop(0)
            taken.extend(batch)
            return sum(map(len, batch))

        self.enterContext(patch.object(port, "socket", wraps=port.socket))
        port.socket.sendto, port.socket.sendmsg = sendto, sendmsg
        self.addCleanup(port.reactor.turn)
        return DatagramSender(port.protocol, self.lost.append), port, taken

    def setUp(self) -> None:
        """Nothing is lost."""
        self.lost: list[int] = []

    def test_waits(self) -> None:
        """A batch for which there is no room waits, and what comes later waits behind it."""
        full = BlockingIOError(errno.EAGAIN, "full")
        sender, port, taken = self.sender(full, full)
        sender.send([b"a", b"b"], PEER)
        sender.send([b"c", b"d"], PEER)
        self.assertEqual((taken, len(port.backlog)), ([], 4))
        port.reactor.turn()
        sender.send([b"e", b"f"], PEER)
        self.assertEqual(taken, [b"a", b"b", b"c", b"d", b"e", b"f"])
        self.assertEqual((counted(sender), self.lost), ((2, 1, 4, 0), []))

    def test_too_many(self) -> None:
        """What has no room to wait is counted, and not among those that were written."""
        full = BlockingIOError(errno.EAGAIN, "full")
        sender, port, taken = self.sender(full, full)
        with captured_logs() as events:
            sender.send([b"a"] * (DATAGRAMS + 10), PEER)
        self.assertEqual(counted(sender), (0, 0, DATAGRAMS, 10))
        self.assertEqual((self.lost, len(events)), ([1] * 10, 10))
        port.reactor.turn()
        self.assertEqual(len(taken), DATAGRAMS)

    def test_another_port(self) -> None:
        """Of a protocol that has another port later, all is counted."""
        sender, first, _ = self.sender(*[BlockingIOError(errno.EAGAIN, "full")] * 3)
        sender.send([b"a"], PEER)
        first.connectionLost()
        self.assertEqual((sender._protocol.transport, sender.unsent), (None, 1))
        second = self.port(sender._protocol)
        with patch.object(second, "socket", wraps=second.socket) as full:
            full.sendto.side_effect = BlockingIOError(errno.EAGAIN, "full")
            sender.send([b"b"], PEER)
            second.connectionLost()
        self.assertEqual((counted(sender), self.lost), ((0, 0, 0, 2), [1, 1]))


class LoopbackTests(TestCase):
    """Over real sockets."""

    timeout = 60

    def setUp(self) -> None:
        """A socket to send to."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(30)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self.place = self.socket.getsockname()

    def sender(self, wrap: Callable[[Any], Any] = lambda real: real) -> DatagramSender:
        """A sender at a port that is closed after the test."""
        protocol = DatagramProtocol()
        port = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        port.socket = wrap(port.socket)
        self.addCleanup(port.stopListening)
        return DatagramSender(protocol)

    def arrived(self, count: int) -> list[bytes]:
        """So many datagrams."""
        return [self.socket.recv(65_535) for _ in range(count)]

    def test_any_row(self) -> None:
        """The same datagrams arrive in the same order, in batches and without; the sum is equal."""
        able = self.sender()
        unable = self.sender(lambda real: Faulty(real, able=False))
        refused = self.sender(lambda real: Faulty(real, [OSError(errno.EIO, "no checksums")] * 99))

        @settings(deadline=None, max_examples=40)
        @given(ROWS)
        def examine(messages: list[bytes]) -> None:
            """One row, in each way; not more at a time than the smallest usual buffer takes."""
            for sender in (able, unable, refused):
                for at in range(0, len(messages), 50):
                    part = messages[at : at + 50]
                    while sum(len(one) + 1100 for one in part) > 180_000:
                        part = part[::2]
                    before = sum(counted(sender)) - sender.batches
                    sender.send(part, self.place)
                    self.assertEqual(self.arrived(len(part)), part)
                    self.assertEqual(sum(counted(sender)) - sender.batches, before + len(part))

        examine()
        self.socket.settimeout(0)
        self.assertRaises(BlockingIOError, self.socket.recv, 1)
        self.assertEqual([one.unsent for one in (able, unable, refused)], [0, 0, 0])
        self.assertEqual((unable.batched, refused.batched), (0, 0))
        self.assertGreater(able.batched, able.written)

    def test_any_together(self) -> None:
        """Datagrams in one piece arrive as they do one by one."""
        able, unable = self.sender(), self.sender(lambda real: Faulty(real, able=False))

        @settings(deadline=None, max_examples=20)
        @given(st.integers(1, 2000), st.integers(1, 80))
        def examine(size: int, count: int) -> None:
            """So many of a size."""
            expected = [bytes([number]) * size for number in range(count)]
            for sender in (able, unable):
                sender.send_together(together(b"".join(expected), size), self.place)
                self.assertEqual(self.arrived(count), expected)

        examine()
        self.assertGreater(able.batches, 0)
        self.assertEqual((able.unsent, unable.unsent, unable.batches), (0, 0, 0))

    def test_connected(self) -> None:
        """A port that is connected needs no address."""
        sender = self.sender()
        sender._protocol.transport.connect(*self.place)
        sender.send([b"aa", b"aa", b"a"])
        self.assertEqual(self.arrived(3), [b"aa", b"aa", b"a"])
        self.assertEqual(counted(sender), (3, 1, 0, 0))

    def test_too_large_for_the_way(self) -> None:
        """What has to be cut into fragments is no batch for the system; it arrives all the same."""
        sender = self.sender()
        large = [b"x" * 32_000, b"x" * 32_000]
        for _ in range(2):
            sender.send(large, self.place)
            self.assertEqual(self.arrived(2), large)
        self.assertEqual(sender.unsent, 0)
