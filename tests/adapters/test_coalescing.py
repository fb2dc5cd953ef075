"""UDP ports that read several at a time: a protocol sees what Twisted's own would show it."""

import errno
import socket
import struct
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.udp import Port

from lab.adapters.coalescing import BULK, HEADERS, SOL_UDP, UDP_GRO
from lab.adapters.offload import UDP_SEGMENT
from lab.adapters.udp import DatagramPort
from tests.adapters.ports import Noting, NotingAtOnce, PortCase, Turns, send
from tests.helpers import thorough

#: Rows of datagrams: the sender, the size, how many.
RUNS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from((0, 1, 100, 700, 1200, 9000)), st.integers(1, 20)),
    max_size=6,
)


def digest(datagram: bytes) -> tuple[int, bytes]:
    """What tells datagrams apart, and is short to look at."""
    return len(datagram), datagram[:1] + datagram[-1:]


class SameTests(PortCase):
    """The same datagrams as with Twisted's port."""

    def compare(self, runs: list[tuple[int, int, int]], most: int) -> None:
        """Send these to a port of each kind, which cuts what is longer than the most."""
        seen = []
        for make, kind in (
            (lambda one: self.port(one, Port, most), Noting),
            (lambda one: self.port(one, size=most), Noting),
            (lambda one: self.together(one, size=most), Noting),
            (lambda one: self.together(one, size=most), NotingAtOnce),
        ):
            protocol = kind()
            port = make(protocol)
            peers = [self.peer(port) for _ in range(2)]
            names = [peer.getsockname() for peer in peers]
            for number, (who, size, count) in enumerate(runs):
                # What is too long for one piece is several.
                for at in range(0, count, 50_000 // (size + 1) or 1):
                    many = min(count - at, 50_000 // (size + 1) or 1)
                    send(peers[who], [bytes([number]) * size] * many)
            for _ in range(100):
                port.doRead()
            for datagram, addr in protocol.seen:
                self.assertIs(type(datagram), bytes)
                self.assertIs(type(addr), tuple)
            seen.append([(digest(datagram), names.index(addr)) for datagram, addr in protocol.seen])
            port.connectionLost()
            for peer in peers:
                peer.close()
        expected = [
            (digest(bytes([number]) * min(size, most)), who)
            for number, (who, size, count) in enumerate(runs)
            for _ in range(count)
        ]
        for found in seen:
            self.assertEqual(found, expected)

    @settings(deadline=None, max_examples=25)
    @given(RUNS, st.sampled_from((65_535, 8192, 500)))
    def test_any_runs(self, runs: list[tuple[int, int, int]], most: int) -> None:
        """Nothing is lost, moved, glued together or cut elsewhere."""
        self.compare(runs, most)

    @thorough
    @settings(deadline=None, max_examples=400)
    @given(RUNS, st.sampled_from((65_535, 8192, 500)))
    def test_many_runs(self, runs: list[tuple[int, int, int]], most: int) -> None:
        """The same, for longer."""
        self.compare(runs, most)

    def test_last_is_shorter(self) -> None:
        """The last of those that come in one piece may be."""
        protocol = Noting()
        port = self.together(protocol)
        peer = self.peer(port)
        peer.sendmsg([b"aaabbbc"], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 3))])
        port.doRead()
        self.assertEqual([datagram for datagram, _ in protocol.seen], [b"aaa", b"bbb", b"c"])

    def test_ipv6(self) -> None:
        """An address is a host and a port, as with Twisted."""
        for make in (self.port, self.together):
            protocol = Noting()
            port = make(protocol, host="::1")
            peer = self.peer(port, "::1")
            send(peer, [b"a", b"b"])
            port.doRead()
            name = peer.getsockname()[:2]
            self.assertEqual(protocol.seen, [(b"a", name), (b"b", name)])

    def test_mistakes(self) -> None:
        """What a protocol raises is logged, and ends nothing."""
        for make, kind in (
            (self.port, Noting),
            (self.together, Noting),
            (self.together, NotingAtOnce),
        ):
            protocol = kind()
            protocol.each = lambda: 1 // 0
            port = make(protocol)
            peers = [self.peer(port), self.peer(port)]
            for peer in peers:
                send(peer, [b"a", b"a"])
            port.doRead()
            self.assertEqual(len(protocol.seen), 4)
            calls = 4 if kind is Noting else 2
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), calls)

    def test_closed_meanwhile(self) -> None:
        """A port that its protocol has closed gives it nothing more."""
        for kind, seen in ((Noting, 1), (NotingAtOnce, 2)):
            protocol = kind()
            port = self.together(protocol)
            protocol.each = port.connectionLost
            first, other = self.peer(port), self.peer(port)
            send(first, [b"a", b"b"])
            send(other, [b"c", b"d"])
            port.doRead()
            self.assertEqual(len(protocol.seen), seen)

    def test_closed_while_much_comes(self) -> None:
        """So does one that would just ask for several at a time."""
        protocol = Noting()
        port = self.port(protocol)
        peer = self.peer(port)
        peer.send(bytes(BULK))
        protocol.each = port.connectionLost
        port.doRead()
        self.assertEqual((len(protocol.seen), port._together), (1, False))


class RefusedTests(PortCase):
    """ICMP says that nobody listens."""

    def test_refused(self) -> None:
        """A port with one peer is told, when it reads."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            place = gone.getsockname()
        for make in (self.port, self.together):
            protocol = Noting()
            port = make(protocol)
            port.connect(*place)
            port.write(b"anybody?")
            port.doRead()
            self.assertEqual(protocol.seen, ["refused"])

    def test_not_ours(self) -> None:
        """A port with many peers is not; what came before is handed over first."""
        for connected in (False, True):
            protocol = NotingAtOnce()
            port = self.together(protocol)
            addr = "192.0.2.1", 5
            answers: list[Any] = [(b"a", [], 0, addr), ConnectionRefusedError()]
            with patch.object(port, "socket") as fake:
                port._connectedAddr = addr if connected else None
                fake.recvmsg.side_effect = answers
                port.doRead()
            self.assertEqual(protocol.seen, [(b"a", addr), "refused"][: 1 + connected])

    def test_not_ours_alone(self) -> None:
        """So it is with one after the other."""
        protocol = Noting()
        port = self.port(protocol)
        with patch.object(port, "socket") as fake:
            fake.recvfrom.side_effect = ConnectionRefusedError()
            port.doRead()
        self.assertEqual(protocol.seen, [])

    def test_other_errors(self) -> None:
        """Those are the reactor's."""
        for make, name in ((self.port, "recvfrom"), (self.together, "recvmsg")):
            port = make(Noting())
            with patch.object(port, "socket") as fake:
                getattr(fake, name).side_effect = OSError(errno.EBADF, "bad")
                self.assertRaises(OSError, port.doRead)


class AskingTests(PortCase):
    """When several are read at a time."""

    def test_while_much_comes(self) -> None:
        """What comes alone is read alone; what comes in bulk is handed over together."""
        protocol = NotingAtOnce()
        port = self.port(protocol)
        peer = self.peer(port)
        port.maxThroughput = BULK
        peer.send(bytes(1200))
        port.doRead()
        self.assertEqual(port.socket.getsockopt(SOL_UDP, UDP_GRO), 0)
        for _ in range(2):
            send(peer, [bytes(1200)] * 20)
        for _ in range(100):
            port.doRead()
        self.assertEqual((port.socket.getsockopt(SOL_UDP, UDP_GRO), protocol.calls > 0), (1, True))
        protocol.calls = 0
        for _ in range(2):
            send(peer, [bytes(300)] * 20)
        port.doRead()
        self.assertEqual((len(protocol.seen), protocol.calls), (81, 1))

    def test_a_turn_ends(self) -> None:
        """Datagrams of no bytes don't hold a reactor, nor do small ones."""
        for data in (b"", b"a"):
            for make, name, answer in (
                (self.port, "recvfrom", (data, ("192.0.2.1", 5))),
                (self.together, "recvmsg", (data, [], 0, ("192.0.2.1", 5))),
            ):
                protocol = Noting()
                port = make(protocol)
                port.maxThroughput = 1000
                with patch.object(port, "socket") as fake:
                    getattr(fake, name).return_value = answer
                    port.doRead()
                self.assertEqual(len(protocol.seen), -(-1000 // (len(data) + HEADERS)))

    def test_bound_of_a_batch(self) -> None:
        """Those that come together count each."""
        protocol = Noting()
        port = self.together(protocol)
        port.maxThroughput = 1000
        said = [(SOL_UDP, UDP_GRO, struct.pack("=i", 1))]
        with patch.object(port, "socket") as fake:
            fake.recvmsg.return_value = (bytes(10), said, 0, ("192.0.2.1", 5))
            port.doRead()
        self.assertEqual(len(protocol.seen), 40)

    def test_more_is_said(self) -> None:
        """What else the kernel says of a datagram is nothing to us."""
        protocol = Noting()
        port = self.together(protocol)
        port.socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        peer = self.peer(port)
        send(peer, [b"aa", b"aa"])
        peer.send(b"b")
        port.doRead()
        self.assertEqual([datagram for datagram, _ in protocol.seen], [b"aa", b"aa", b"b"])

    def test_unable(self) -> None:
        """A system that does not know of it is asked once, and read as Twisted does."""
        protocol = Noting()
        port = self.port(protocol)
        peer = self.peer(port)
        real = port.socket
        with patch.object(port, "socket") as fake:
            fake.recvfrom = real.recvfrom
            fake.setsockopt.side_effect = OSError(errno.ENOPROTOOPT, "not available")
            for _ in range(2):
                peer.send(bytes(BULK))
                port.doRead()
            self.assertEqual(fake.setsockopt.call_count, 1)
        self.assertEqual((len(protocol.seen), port._together), (2, False))

    def adopt(self, ours: socket.socket) -> Any:
        """A port at this socket."""
        port = DatagramPort._fromListeningDescriptor(
            Turns(), ours.fileno(), socket.AF_INET, Noting(), 65_535
        )
        port.startListening()
        self.addCleanup(port.connectionLost)
        return port

    def test_a_socket_of_others(self) -> None:
        """Such a one is read as it is: who else reads it knows nothing of this."""
        for on in (0, 1):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
                ours.bind(("127.0.0.1", 0))
                ours.setblocking(False)
                ours.setsockopt(SOL_UDP, UDP_GRO, on)
                port = self.adopt(ours)
                for part in (bytes(BULK), b"aa", b"aa"):
                    self.peer(port).send(part)
                send(self.peer(port), [b"a", b"b", b"c"])
                for _ in range(9):
                    port.doRead()
                self.assertEqual(len(port.protocol.seen), 6)
                self.assertEqual(ours.getsockopt(SOL_UDP, UDP_GRO), on)

    def test_elsewhere(self) -> None:
        """Where there is no such option, datagrams are read as Twisted does."""
        with patch.object(DatagramPort, "_askable", False):
            protocol = Noting()
            port = DatagramPort(0, protocol, "127.0.0.1", 65_535, Turns())
            port.startListening()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                for _ in range(3):
                    peer.sendto(bytes(BULK), ("127.0.0.1", port.getHost().port))
            port.doRead()
            port.connectionLost()
        self.assertEqual((len(protocol.seen), port._together), (3, False))

    def test_a_socket_of_an_old_system(self) -> None:
        """One that knows nothing of this is not on."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
            patch("lab.adapters.coalescing.UDP_GRO", 9999),
        ):
            ours.bind(("127.0.0.1", 0))
            self.assertFalse(self.adopt(ours)._together)
