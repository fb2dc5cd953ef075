"""Lines on a stream: bounds, turns and ends, mostly on a stand-in for a connection."""

import socket
from collections.abc import Callable, Sequence
from typing import Any

import trustme
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IOpenSSLContextFactory,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import alsoProvides, implementer

from lab.adapters import stream
from lab.adapters.driver import Driver
from lab.adapters.eager import EagerServer
from lab.adapters.stream import (
    DRAIN,
    LINGER,
    PIECE,
    READ_AHEAD,
    TURN,
    ChunkCoreProtocol,
    LineCoreProtocol,
)
from lab.adapters.wheel import TimerWheel
from lab.core import Broken, FileBody, Finished, Left, Part, Series
from lab.testing import chunkings
from tests.helpers import captured_logs

LIMIT = 1024
PEER = IPv4Address("TCP", "127.0.0.1", 49152)


class EchoCore:
    """
    Sends each line back; ``bye`` ends the connection, and so does a line that is too long.

    Args:
        share: Most lines of a batch that it takes.
        journal: Where each line is noted, of several cores perhaps.
        size: Bytes that each answer is filled up to.
    """

    def __init__(
        self, share: int = 1000, journal: list[bytes] | None = None, size: int = 0
    ) -> None:
        self.share = share
        self.journal = [] if journal is None else journal
        self.size = size
        self.out: list[bytes] = []
        self.told: list[object] = []

    def message(self, data: bytes, now: float) -> None:
        """Send it back."""
        self.journal.append(data)
        self.out.append(b"too long" if len(data) > LIMIT else data.ljust(self.size, b"."))
        if data == b"bye" or len(data) > LIMIT:
            self.told.append(Finished("enough"))

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """Send back so many."""
        for data in batch[: self.share]:
            self.message(data, now)
        return min(self.share, len(batch))

    def tick(self, now: float) -> None:
        """Never."""

    def close(self, now: float) -> None:
        """Nothing to do."""

    def outgoing(self) -> list[bytes]:
        """What goes back."""
        out, self.out = self.out, []
        return out

    def events(self) -> list[object]:
        """The end perhaps."""
        told, self.told = self.told, []
        return told

    def deadline(self) -> float | None:
        """Never."""
        return None


class PromptCore(EchoCore):
    """Answers lines that begin with ``!`` in the short way."""

    def reply(self, lines: bytes, now: float) -> bytes | None:
        """The lines, if they are all such, but for those that say ``!hush``."""
        batch = lines.splitlines(keepends=True)
        if not all(line.startswith(b"!") for line in batch):
            return None
        return b"".join(b"prompt " + line for line in batch if line != b"!hush\n")


@implementer(ITCPTransport, IHalfCloseableDescriptor)
class Transport(StringTransport):
    """A TCP connection whose peer takes what is written when `take` is called."""

    def __init__(self, room: int = 1_000_000) -> None:
        super().__init__(peerAddress=PEER, lenient=True)
        #: Bytes that are held before the producer is told to pause.
        self.room = room
        self.no_delay = self.half_closed = self.aborted = self.full = False
        #: Sizes of the writes.
        self.writes: list[int] = []

    @property
    def reads(self) -> bool:
        """Whether bytes of the peer's are taken from the system."""
        return self.producerState == "producing"

    @property
    def closes(self) -> bool:
        """Whether it will close as soon as all has been taken, as Twisted's does."""
        return self.disconnecting and self.producer is None

    def setTcpNoDelay(self, enabled: object) -> None:
        """Note it."""
        self.no_delay = bool(enabled)

    def write(self, data: bytes) -> None:
        """Hold it, and say when it is too much."""
        super().write(data)
        self.writes.append(len(data))
        if len(self.value()) > self.room and self.producer and not self.full:
            self.full = True
            self.producer.pauseProducing()

    def take(self) -> list[bytes]:
        """The peer takes all that is held."""
        lines = self.value().splitlines()
        self.clear()
        if self.full and self.producer:
            self.full = False
            self.producer.resumeProducing()
        return lines

    def loseWriteConnection(self) -> None:
        """Note it."""
        self.half_closed = True

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


def turn(clock: Clock) -> None:
    """Make the calls that are due, but none that they ask for: one turn of a reactor."""
    for call in [one for one in clock.getDelayedCalls() if one.getTime() <= clock.seconds()]:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


class StreamCase(SynchronousTestCase):
    """A test case with connections on one clock."""

    def setUp(self) -> None:
        """A clock, and reasons of connections that are gone."""
        self.clock = Clock()
        self.lost: list[Failure] = []

    def connect(
        self, core: EchoCore | None = None, transport: Transport | None = None
    ) -> tuple[LineCoreProtocol, Transport]:
        """One more connection."""
        transport = transport or Transport()
        driver = Driver(core or EchoCore(), self.clock)
        protocol = LineCoreProtocol(driver, LIMIT, self.lost.append)
        protocol.makeConnection(transport)
        return protocol, transport

    def timers(self) -> list[float]:
        """When the clock will call."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]


class LineTests(StreamCase):
    """Lines in, lines out."""

    def test_any_chunks(self) -> None:
        """However a stream is cut, its lines come whole and in order, LF or CR LF."""
        for chunks in chunkings(b"one\r\ntwo\n\nfour\n"):
            protocol, transport = self.connect()
            for chunk in chunks:
                protocol.dataReceived(chunk)
            self.assertEqual(transport.take(), [b"one", b"two", b"", b"four"])

    def test_one_write_for_a_chunk(self) -> None:
        """What came together is answered with one write."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"a\n" * 500)
        self.assertEqual(transport.writes, [1000])

    def test_speaks_first(self) -> None:
        """What a core has to send before it has heard anything goes out at once."""
        core = EchoCore()
        core.out = [b"hello", b"there"]
        _, transport = self.connect(core)
        self.assertEqual(transport.value(), b"hello\nthere\n")

    def test_no_delay(self) -> None:
        """Nagle's algorithm is off on TCP, of either family."""
        for address in (PEER, IPv6Address("TCP", "::1", 49152)):
            transport = Transport()
            transport.peerAddr = address
            self.connect(transport=transport)
            self.assertTrue(transport.no_delay)

    def test_no_delay_elsewhere(self) -> None:
        """A Unix socket, or what is no TCP at all, is not asked for TCP's options."""
        unix = Transport()
        unix.peerAddr = UNIXAddress(b"/tmp/lab")
        self.connect(transport=unix)
        self.assertFalse(unix.no_delay)
        other: Any = StringTransport()
        protocol, _ = self.connect(transport=other)
        protocol.dataReceived(b"a\n")
        self.assertEqual(other.value(), b"a\n")

    def test_lost(self) -> None:
        """The reason of the end is told, nothing is left in the reactor, nothing more written."""
        core = EchoCore(share=1)
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"a\nb\nc\n")
        reason = Failure(ConnectionDone())
        protocol.connectionLost(reason)
        self.assertEqual((self.lost, self.timers()), ([reason], []))
        transport.clear()
        protocol._driver.message(b"d")
        protocol.dataReceived(b"e\n")
        self.assertEqual((transport.value(), core.journal), (b"", [b"a", b"d"]))

    def test_nothing_after_the_end(self) -> None:
        """A connection that is gone is not answered, and can't be ended again."""
        core = EchoCore()
        protocol, transport = self.connect(core)
        protocol.connectionLost(Failure(ConnectionDone()))
        protocol.dataReceived(b"a\n")
        protocol.end()
        self.assertEqual((core.journal, self.timers()), ([], []))
        self.assertFalse(transport.disconnecting)

    def test_lost_after_a_turn(self) -> None:
        """A turn that was taken already is no trouble at the end; nor is it to tell nobody."""
        protocol = LineCoreProtocol(Driver(EchoCore(share=1), self.clock), LIMIT)
        protocol.makeConnection(Transport())
        protocol.dataReceived(b"a\nb\n")
        self.clock.advance(0)
        protocol.end()
        self.clock.advance(LINGER)
        protocol.connectionLost()
        self.assertEqual(self.timers(), [])


class Direct(Transport):
    """A connection whose system takes bytes at once, as many as the test says."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes: Any = takes
        self.at_once: list[bytes] = []

    def writeSomeData(self, data: bytes) -> Any:
        """Take some of them, or none at all."""
        if isinstance(self.takes, int):
            self.at_once.append(data[: self.takes])
            return len(self.at_once[-1])
        return self.takes


class AtOnceTests(StreamCase):
    """What goes to the system without a turn of the reactor."""

    def write(self, takes: Any) -> Direct:
        """Answer two lines, the first of which meets a system that takes so much."""
        transport = Direct(1000)
        protocol, _ = self.connect(transport=transport)
        transport.takes = takes
        protocol.dataReceived(b"one\n")
        transport.takes = 1000
        protocol.dataReceived(b"two\n")
        return transport

    def test_all(self) -> None:
        """What the system takes needs no queue."""
        transport = self.write(1000)
        self.assertEqual((transport.at_once, transport.writes), ([b"one\n", b"two\n"], []))

    def test_some(self) -> None:
        """Behind the first bytes that it does not take, all is queued, in order."""
        for takes in (0, 1, 3):
            transport = self.write(takes)
            self.assertEqual(transport.at_once, [b"one\n"[:takes]])
            self.assertEqual(transport.value(), b"one\n"[takes:] + b"two\n")

    def test_lost(self) -> None:
        """A connection that is lost is left to the transport to notice."""
        transport = self.write(ConnectionLost())
        self.assertEqual((transport.at_once, transport.value()), ([], b"one\ntwo\n"))

    def test_again(self) -> None:
        """Once all that was queued is gone, what comes next goes to the system again."""
        transport = self.write(1)
        protocol = transport.producer
        protocol.pauseProducing()
        protocol.resumeProducing()
        protocol.dataReceived(b"three\n")
        self.assertEqual(transport.at_once, [b"o", b"three\n"])

    def test_socket(self) -> None:
        """Of Twisted's own the socket is asked; what is wrong with that the transport hears."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname())
            peer, _ = listening.accept()
        self.addCleanup(peer.close)
        self.addCleanup(ours.close)
        waiting = MemoryReactorClock()
        protocol = LineCoreProtocol(Driver(EchoCore(), waiting), LIMIT)
        transport = EagerServer(ours, protocol, ours.getpeername(), None, 0, waiting)
        protocol.makeConnection(transport)
        self.patch(transport, "writeSomeData", lambda data: self.fail("it is for errors"))
        protocol.dataReceived(b"one\n")
        self.assertEqual(peer.recv(100), b"one\n")
        del transport.writeSomeData
        ours.shutdown(socket.SHUT_WR)
        protocol.dataReceived(b"two\n")
        self.assertIs(transport._failed, CONNECTION_LOST)
        self.assertEqual(waiting.getWriters(), [transport])

    def test_broken_off(self) -> None:
        """Nothing goes out of a connection that is broken off."""
        transport = Direct(1000)
        protocol, _ = self.connect(transport=transport)
        transport.disconnecting = True
        protocol.dataReceived(b"one\n")
        self.assertEqual(transport.at_once, [])

    def test_tls(self) -> None:
        """What has to be encrypted does not go past TLS."""
        transport = Direct(1000)
        alsoProvides(transport, ISSLTransport)
        protocol, _ = self.connect(transport=transport)
        protocol.dataReceived(b"one\n")
        self.assertEqual((transport.at_once, transport.value()), ([], b"one\n"))


class TickingTests(StreamCase):
    """What a core has to send when its time has come."""

    def test_short(self) -> None:
        """It is given to the system at once, or behind what the transport has."""
        core, transport = EchoCore(), Direct(1000)
        series = Series(1.0, 1.0, lines=[b"at 3\n", b"at 2\n", b"at 1\n"])
        core.deadline = series.due  # type: ignore[method-assign]
        core.strike = lambda now: series if series.lines else None  # type: ignore[attr-defined]
        self.connect(core, transport)
        self.clock.advance(1.0)
        transport.takes = 3
        self.clock.pump([1.0, 1.0])
        self.assertEqual(transport.at_once, [b"at 1\n", b"at "])
        self.assertEqual(transport.value(), b"2\nat 3\n")

    def on_a_wheel(self) -> tuple[Direct, LineCoreProtocol]:
        """Nine lines, one a second, the first of which has just been sent."""
        core, transport = EchoCore(), Direct(1000)
        lines = [b"%d\n" % number for number in range(9, 0, -1)]
        series = Series(self.clock.seconds() + 1, 1.0, lines=lines)
        core.deadline = series.due  # type: ignore[method-assign]
        core.strike = lambda now: series  # type: ignore[attr-defined]
        driver = Driver(core, TimerWheel(self.clock))
        protocol = LineCoreProtocol(driver, LIMIT, lambda reason: driver.stop())
        protocol.makeConnection(transport)
        self.clock.advance(1.01)
        return transport, protocol

    def test_on_a_wheel(self) -> None:
        """What the system does not take goes the transport's way, until that has sent it all."""
        transport, protocol = self.on_a_wheel()
        self.clock.advance(1.0)
        transport.takes = 0
        self.clock.pump([1.0, 1.0])
        self.assertEqual(transport.at_once, [b"1\n", b"2\n", b"", b""])
        self.assertEqual(transport.value(), b"3\n4\n")
        transport.takes = 1000
        protocol.resumeProducing()
        self.clock.pump([1.0, 1.0])
        self.assertEqual(transport.at_once[4:], [b"5\n", b"6\n"])

    def test_the_end_on_a_wheel(self) -> None:
        """From then on the wheel sends nothing."""
        for end in ("end", "abort", "lost"):
            transport, protocol = self.on_a_wheel()
            if end == "lost":
                protocol.connectionLost()
            elif end == "abort":
                protocol._driver.abort("enough")
            else:
                protocol.end()
            self.clock.advance(1.0)
            self.assertEqual(transport.at_once, [b"1\n"])


class PromptTests(StreamCase):
    """The short way of a core that has one."""

    def test_short(self) -> None:
        """It is asked first, and its bytes go out as they are; half a line is none."""
        transport = Direct(1000)
        protocol, _ = self.connect(PromptCore(), transport)
        for chunk in (b"!a\n!b\n", b"!", b"c\n", b"!d\n!", b"e\n", b"!f\n"):
            protocol.dataReceived(chunk)
        lines = [b"!a\nprompt !b\n", b"!c\n", b"!d\n", b"!e\n", b"!f\n"]
        self.assertEqual(transport.at_once, [b"prompt " + line for line in lines])

    def test_nothing_to_say(self) -> None:
        """An answer of no bytes is no call of the system."""
        transport = Direct(1000)
        protocol, _ = self.connect(PromptCore(), transport)
        for chunk in (b"!hush\n", b"!hu", b"sh\n!a\n"):
            protocol.dataReceived(chunk)
        self.assertEqual(transport.at_once, [b"prompt !a\n"])

    def test_too_long(self) -> None:
        """What can't become a line is told off in the usual way, behind the lines before it."""
        transport = Direct(1000)
        protocol, _ = self.connect(PromptCore(), transport)
        protocol.dataReceived(b"!a\n" + b"x" * (LIMIT + 1))
        self.assertEqual(transport.at_once, [b"!a\ntoo long\n"])
        protocol.dataReceived(b"!b\n")
        self.assertEqual(transport.at_once, [b"!a\ntoo long\n"])

    def test_chunks(self) -> None:
        """Where there are no lines, each chunk is asked for."""
        transport = Direct(1000)
        protocol = ChunkCoreProtocol(Driver(PromptCore(), self.clock))
        protocol.makeConnection(transport)
        protocol.dataReceived(b"!a")
        self.assertEqual(transport.at_once, [b"prompt !a"])

    def test_otherwise(self) -> None:
        """What it does not answer goes the usual way, in order."""
        transport = Direct(1000)
        protocol, _ = self.connect(PromptCore(), transport)
        for chunk in (b"!a\nb\n", b"!c\n"):
            protocol.dataReceived(chunk)
        self.assertEqual(transport.at_once, [b"!a\nb\n", b"prompt !c\n"])

    def test_not_past_others(self) -> None:
        """It is not asked while lines wait, or while the system does not take all."""
        core, transport = PromptCore(share=1), Direct(1000)
        protocol, _ = self.connect(core, transport)
        protocol.dataReceived(b"a\nb\n")
        protocol.dataReceived(b"!c\n")
        self.assertEqual(core.journal, [b"a"])
        self.clock.advance(0)
        self.clock.advance(0)
        transport.takes = 3
        protocol.dataReceived(b"!d\n")
        protocol.dataReceived(b"!e\n")
        self.assertEqual(core.journal, [b"a", b"b", b"!c", b"!e"])
        self.assertEqual(transport.at_once[-1] + transport.value(), b"prompt !d\n!e\n")


class PressureTests(StreamCase):
    """A peer that does not take its answers."""

    def test_pause(self) -> None:
        """A peer that does not read is not read from; when it reads again, it is."""
        protocol, transport = self.connect(transport=Transport(room=100))
        protocol.dataReceived(b"a\n" * 40)
        self.assertTrue(transport.reads)
        protocol.dataReceived(b"a\n" * 40)
        self.assertFalse(transport.reads)
        self.assertEqual(len(transport.take()), 80)
        self.assertTrue(transport.reads)

    def test_what_came_in_between(self) -> None:
        """Lines that came all the same wait unanswered, and are answered in order after it."""
        core = EchoCore()
        protocol, transport = self.connect(core, Transport(room=3))
        for chunk in (b"a\nb\n", b"c\nd\n", b"e\n"):
            protocol.dataReceived(chunk)
        self.assertEqual(core.journal, [b"a", b"b"])
        self.assertEqual(transport.take(), [b"a", b"b"])
        self.assertEqual(transport.take(), [b"c", b"d", b"e"])

    def test_heavy_work_stops(self) -> None:
        """Work that waits for its turn stops too while the peer reads nothing."""
        core = EchoCore(share=1, size=100)
        protocol, transport = self.connect(core, Transport(room=150))
        protocol.dataReceived(b"a\n" * 10)
        self.clock.advance(0)
        self.assertEqual((len(core.journal), self.timers()), (2, []))
        turns = 0
        while transport.take():
            self.clock.advance(0)
            turns += 1
        self.assertEqual((len(core.journal), turns), (10, 5))
        self.assertTrue(transport.reads)

    def test_pause_and_resume_before_the_turn(self) -> None:
        """A pause that ends before the turn comes does not make it come twice, or earlier."""
        core = EchoCore(share=1)
        protocol, _ = self.connect(core)
        protocol.dataReceived(b"a\nb\nc\n")
        protocol.pauseProducing()
        protocol.resumeProducing()
        self.assertEqual((core.journal, len(self.timers())), ([b"a"], 1))
        turn(self.clock)
        self.assertEqual(core.journal, [b"a", b"b"])

    def test_pause_until_after_the_turn(self) -> None:
        """A turn that comes in a pause does nothing; the work goes on afterwards."""
        core = EchoCore(share=1)
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"a\nb\n")
        protocol.pauseProducing()
        self.clock.advance(0)
        self.assertEqual((core.journal, transport.reads), ([b"a"], False))
        protocol.resumeProducing()
        self.assertEqual((core.journal, transport.reads), ([b"a", b"b"], True))

    @given(st.lists(st.sampled_from(["send", "take", "turn"]), max_size=40), st.integers(1, 5))
    def test_bounds(self, steps: list[str], share: int) -> None:
        """Whatever comes when, answers are in order, and little is held for a peer."""
        core = EchoCore(share)
        protocol, transport = self.connect(core, Transport(room=50))
        sent, got = 0, []
        for step in [*steps, *["turn", "take"] * 100]:
            if step == "take":
                got += transport.take()
            elif step == "turn":
                turn(self.clock)
            elif transport.reads:
                # No TCP delivers while it is not read.
                protocol.dataReceived(b"".join(b"%d\n" % n for n in range(sent, sent + 7)))
                sent += 7
            self.assertLessEqual(len(transport.value()), 50 + 7 * 4)
            self.assertLessEqual(len(protocol._lines), 7)
        self.assertEqual(got, [b"%d" % n for n in range(sent)])
        self.assertTrue(transport.reads)


class LetterCore(EchoCore):
    """
    Answers a number with so many letters and then with ``end``, and all else at once.

    A negative number is a pause: so many seconds pass before its ``end``. ``stop`` ends either, if
    it comes meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.going = self.pulled = False
        self.until: float | None = None
        #: Times of reads, and how often lines were shown.
        self.reads: list[float] = []
        self.shown = 0

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """One line at most, and none while there is an answer on its way."""
        self.shown += 1
        if self.going:
            if b"stop" in batch:
                self.left, self.until = 0, None
            return 0
        line = batch[0]
        if not line.lstrip(b"-").isdigit():
            self.message(line, now)
            return 1
        self.going = True
        if int(line) < 0:
            self.until = now - int(line)
        else:
            self.left, self.pulled = int(line), True
            self.out += [b"begin", self]
        return 1

    def read(self, size: int, now: float) -> bytes:
        """The next letters."""
        self.reads.append(now)
        size = min(size, self.left)
        self.left -= size
        self.pulled = size > 0
        return b"x" * size

    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self.going

    def tick(self, now: float) -> None:
        """The pause is over."""
        self.until = None

    def outgoing(self) -> list[Any]:
        """What there is, and the end if it is time."""
        out = super().outgoing()
        if self.going and not self.pulled and self.until is None:
            self.going = False
            out.append(b"end")
        return out

    def deadline(self) -> float | None:
        """The end of a pause."""
        return self.until


class BodyTests(StreamCase):
    """Answers of many bytes, which are pulled."""

    def sent(self, transport: Transport) -> bytes:
        """What the peer takes until nothing more comes."""
        got = b""
        while data := transport.value():
            got += data
            transport.take()
            self.clock.advance(0)
        return got

    def test_order(self) -> None:
        """What stands before a body, its bytes, what stands behind it, and only then the rest."""
        core = LetterCore()
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"a\n5\nb\n0\nc\n")
        self.assertEqual(self.sent(transport), b"a\nbegin\nxxxxxend\nb\nbegin\nend\nc\n")
        self.assertEqual((self.timers(), transport.reads), ([], True))

    def test_pulled(self) -> None:
        """While the peer takes nothing no more of a body is made, however large it is."""
        core = LetterCore()
        protocol, transport = self.connect(core, Transport(room=1000))
        protocol.dataReceived(b"1000000000\n")
        self.clock.advance(100)
        self.assertEqual(len(transport.value()), 6 + PIECE)
        for pieces in range(2, 10):
            transport.take()
            self.assertEqual((len(core.reads), len(transport.value())), (pieces, PIECE))
        self.assertEqual(core.left, 1_000_000_000 - 9 * PIECE)

    def test_every_byte(self) -> None:
        """All of it arrives, whatever the room of the transport."""
        for room in (0, 1, PIECE - 1, PIECE, PIECE + 1, 10**9):
            protocol, transport = self.connect(LetterCore(), Transport(room))
            protocol.dataReceived(b"1000000\nb\n")
            self.assertEqual(self.sent(transport), b"begin\n" + b"x" * 1_000_000 + b"end\nb\n")

    def test_turns(self) -> None:
        """A peer that takes everything at once gets no more in one turn than its share."""
        core = LetterCore()
        protocol, transport = self.connect(core, Transport(room=10**9))
        protocol.dataReceived(b"%d\n" % (2 * TURN + 1))
        for turns in (1, 2):
            self.assertEqual(len(transport.value()), 6 + turns * TURN)
            self.assertEqual(len(self.timers()), 1)
            turn(self.clock)
        self.clock.advance(0)
        self.assertEqual(self.timers(), [])
        self.assertTrue(transport.value().endswith(b"xend\n"))

    def test_lines_wait(self) -> None:
        """Lines that come meanwhile are shown to the core, and not lost when it takes none."""
        core = LetterCore()
        protocol, transport = self.connect(core, Transport(room=1000))
        protocol.dataReceived(b"300000\na\n")
        protocol.dataReceived(b"b\n")
        self.assertTrue(transport.reads)
        self.assertEqual(core.journal, [])
        self.assertEqual(self.sent(transport)[-8:], b"end\na\nb\n")
        self.assertTrue(transport.reads)

    def test_bound(self) -> None:
        """Only so much is read meanwhile; afterwards it is all worked on."""
        for chunk in (b"a\n" * 500, b"\n" * 999):
            protocol, transport = self.connect(LetterCore(), Transport(room=1000))
            protocol.dataReceived(b"300000\n")
            came = 0
            while transport.reads:
                protocol.dataReceived(chunk)
                came += len(chunk)
            self.assertTrue(READ_AHEAD - 10 <= came < READ_AHEAD + 1000, came)
            text = self.sent(transport)
            self.assertEqual(text[300_010:], chunk * (came // len(chunk)))
            self.assertTrue(transport.reads)

    def test_stop(self) -> None:
        """What comes meanwhile may end it, also while the peer takes nothing."""
        protocol, transport = self.connect(LetterCore(), Transport(room=1000))
        protocol.dataReceived(b"1000000000\n")
        protocol.dataReceived(b"stop\n")
        self.assertEqual(self.sent(transport), b"begin\n" + b"x" * PIECE + b"end\nstop\n")

    def test_busy_without_body(self) -> None:
        """Lines wait for a core that is busy until it is not, at a time of its own."""
        core = LetterCore()
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"-5\na\n")
        shown = core.shown
        self.clock.advance(4)
        self.assertEqual((transport.value(), core.shown), (b"", shown))
        self.clock.advance(1)
        self.clock.advance(0)
        self.assertEqual((transport.value(), self.timers()), (b"end\na\n", []))
        protocol.dataReceived(b"-5\na\n")
        protocol.dataReceived(b"stop\n")
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"end\na\n" * 2 + b"stop\n")

    def test_busy_does_not_stop_reading(self) -> None:
        """A core that is busy time and again, with nothing behind, is read from all the time."""
        protocol, transport = self.connect(LetterCore())
        for _ in range(READ_AHEAD // 2):
            protocol.dataReceived(b"0\n")
        self.assertTrue(transport.reads)

    def test_busy_core_that_takes_all(self) -> None:
        """A core that takes lines although it is busy is given all that come, for ever."""
        core = LetterCore()
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"-5\n")
        core.messages = lambda batch, now: len(batch)
        for _ in range(READ_AHEAD // 1000 + 2):
            protocol.dataReceived(b"a\n" * 500)
        self.assertTrue(transport.reads)
        self.assertEqual(protocol._lines, [])

    def test_half_close(self) -> None:
        """A peer that says that it will send no more gets all that is on its way, then the end."""
        for line, seconds in ((b"300000\n", 0), (b"-5\n", 5), (b"300000\na\n-5\n0\n", 5)):
            protocol, transport = self.connect(LetterCore(), Transport(room=1000))
            protocol.dataReceived(line)
            protocol.readConnectionLost()
            self.assertFalse(transport.closes)
            got = self.sent(transport)
            self.assertEqual(transport.closes, not seconds)
            self.clock.advance(seconds)
            self.clock.advance(0)
            got += self.sent(transport)
            self.assertTrue(got.endswith(b"end\n"))
            self.assertTrue(transport.closes)
            protocol.connectionLost()
        self.assertEqual(self.timers(), [])

    def test_lost(self) -> None:
        """Of a connection that is lost nothing more is read, and no timer is left."""
        for room in (1000, 10**9):
            core = LetterCore()
            protocol, _ = self.connect(core, Transport(room))
            protocol.dataReceived(b"1000000000\na\n")
            protocol.connectionLost()
            reads = len(core.reads)
            self.clock.advance(100)
            self.assertEqual((len(core.reads), self.timers()), (reads, []))

    def test_finished(self) -> None:
        """A core may end the connection in the middle: nothing more is read."""
        core = LetterCore()
        protocol, transport = self.connect(core, Transport(room=1000))
        protocol.dataReceived(b"1000000000\n")
        core.told = [Finished("idle")]
        protocol._driver.settle()
        self.assertTrue(transport.half_closed and transport.reads)
        self.assertEqual(len(self.sent(transport)), 6 + PIECE)
        self.assertEqual(len(core.reads), 1)

    def test_speaks_first(self) -> None:
        """A body may be what a core begins with."""
        core = LetterCore()
        core.going = core.pulled = True
        core.left, core.out = 300_000, [core]
        protocol, transport = self.connect(core, Transport(room=1000))
        protocol.readConnectionLost()
        self.assertEqual(self.sent(transport), b"x" * 300_000 + b"end\n")
        self.assertTrue(transport.closes)

    def test_time_of_a_tick(self) -> None:
        """A body is read at the time of the tick that asked for it, not a hair before it."""
        core = LetterCore()
        protocol, _ = self.connect(core)
        deadlines = [0.3]
        core.deadline = lambda: deadlines[0] if deadlines else None

        def tick(now: float) -> None:
            """Give a body."""
            del deadlines[:]
            core.going = core.pulled = True
            core.left, core.out = 1, [core]

        core.tick = tick
        protocol._driver.settle()
        self.clock.rightNow = 0.1 + 0.1 + 0.1 - 1e-16
        (call,) = self.clock.getDelayedCalls()
        call.func()
        self.assertEqual(core.reads, [max(0.3, self.clock.seconds())] * 2)

    def test_pause_of_a_busy_core(self) -> None:
        """Reading that a pause did not stop, because of a busy core, stops when it is not."""
        protocol, transport = self.connect(LetterCore())
        protocol.dataReceived(b"-5\n")
        protocol.pauseProducing()
        self.assertTrue(transport.reads)
        self.clock.advance(5)
        self.clock.advance(0)
        self.assertFalse(transport.reads)
        protocol.resumeProducing()
        self.assertTrue(transport.reads)

    def test_pause_in_a_handshake(self) -> None:
        """In a handshake not even that stops it."""
        transport = Transport()
        alsoProvides(transport, ISSLTransport)
        protocol, _ = self.connect(transport=transport)
        protocol.pauseProducing()
        protocol.dataReceived(b"a\n")
        self.assertTrue(transport.reads)

    @given(
        st.lists(st.integers(0, 3 * PIECE) | st.just(b"a"), max_size=6),
        st.integers(1, 4 * PIECE),
        st.data(),
    )
    def test_any_order(self, asked: list[Any], room: int, data: st.DataObject) -> None:
        """However lines are cut and whenever the peer takes, answers are whole and in order."""
        lines = b"".join(b"%d\n" % one if isinstance(one, int) else one + b"\n" for one in asked)
        protocol, transport = self.connect(LetterCore(), Transport(room))
        got = b""
        while lines:
            size = data.draw(st.integers(1, len(lines)))
            protocol.dataReceived(lines[:size])
            lines = lines[size:]
            self.assertLessEqual(len(transport.value()), room + TURN + PIECE)
            if data.draw(st.booleans()):
                got += transport.value()
                transport.take()
        for _ in range(100):
            got += transport.value()
            transport.take()
            turn(self.clock)
        bodies = (
            b"begin\n" + b"x" * one + b"end\n" if isinstance(one, int) else one + b"\n"
            for one in asked
        )
        self.assertEqual(got, b"".join(bodies))


class FileCore(LetterCore):
    """
    Answers a number with so many bytes of a file, behind which stands no line.

    Args:
        data: What is in the file.
    """

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.data = data
        #: Whether the file can only be read.
        self.read_only = False

    def part(self, now: float) -> Part | None:
        """All that is left."""
        if self.read_only or not self.left:
            return None
        return Part(7, len(self.data) - self.left, self.left)

    def sent(self, size: int, now: float) -> None:
        """So many were sent."""
        self.left -= size

    def read(self, size: int, now: float) -> bytes:
        """The next bytes; the answer ends with the last."""
        start = len(self.data) - self.left
        data = self.data[start : start + min(size, self.left)]
        self.left -= len(data)
        self.going = bool(data)
        return data

    def outgoing(self) -> list[Any]:
        """No line ends it."""
        return EchoCore.outgoing(self)


class Sender:
    """
    Stands for the system: sends of files what there is room for.

    Args:
        transport: Where to.
        room: Bytes that the socket takes; then it is full.
    """

    def __init__(self, transport: Transport, room: int) -> None:
        self.transport, self.room, self.left = transport, room, room
        self.full, self.waits, self.sizes = False, 0, [0]
        self.calls = 1_000_000

    def send(self, body: FileCore, now: float) -> int | None:
        """What there is room for."""
        part = body.part(now)
        if part is None:
            return None
        sent = min(part.size, self.left, self.calls)
        self.left -= sent
        self.full = sent < min(part.size, self.calls)
        self.sizes.append(sent)
        if sent:
            self.transport.io.write(body.data[part.offset : part.offset + sent])
            body.sent(sent, now)
        return sent

    def wait(self) -> None:
        """Count it."""
        self.waits += 1

    def take(self) -> None:
        """The peer takes what it has, and the transport finds out."""
        self.left = self.room
        self.transport.producer.resumeProducing()


class FileTests(StreamCase):
    """Bodies that the system sends by itself."""

    data = bytes(range(256)) * 4096

    def begin(self, room: int = 10**9) -> tuple[FileCore, LineCoreProtocol, Transport, Sender]:
        """A connection that can do it."""
        core, transport = FileCore(self.data), Transport(10**9)
        sender = Sender(transport, room)
        self.patch(stream, "file_sender", lambda _: sender)
        protocol, _ = self.connect(core, transport)
        return core, protocol, transport, sender

    def test_all(self) -> None:
        """What stands before it is written first; then the file is sent, and what follows."""
        core, protocol, transport, sender = self.begin()
        protocol.dataReceived(b"%d\nb\n" % len(self.data))
        # The line before is in the transport: nothing may overtake it.
        self.assertEqual((transport.value(), sender.waits), (b"begin\n", 1))
        sender.take()
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"begin\n" + self.data + b"b\n")
        self.assertIsInstance(core, FileBody)
        self.assertEqual((self.timers(), transport.reads, core.reads), ([], True, []))

    def test_full(self) -> None:
        """When the socket is full nothing is tried before there is room."""
        _, protocol, transport, sender = self.begin(room=100_000)
        protocol.dataReceived(b"%d\nb\n" % len(self.data))
        for waits in range(1, 12):
            self.clock.advance(1)
            self.assertEqual((sender.waits, len(sender.sizes)), (waits, waits))
            self.assertEqual(self.timers(), [])
            sender.take()
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"begin\n" + self.data + b"b\n")

    def test_turns(self) -> None:
        """Who takes everything at once gets no more in a turn than a share."""
        _, protocol, _, sender = self.begin()
        sender.calls = TURN
        protocol.dataReceived(b"%d\n" % len(self.data))
        sender.take()
        self.assertEqual((sender.sizes, len(self.timers())), ([0, TURN], 1))
        turn(self.clock)
        self.assertEqual(sender.sizes, [0, TURN, len(self.data) - TURN])

    def test_read(self) -> None:
        """What can't be sent in this way is read."""
        core, protocol, transport, sender = self.begin()
        core.read_only = True
        protocol.dataReceived(b"%d\nb\n" % len(self.data))
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"begin\n" + self.data + b"b\n")
        self.assertEqual((sender.sizes, sender.waits), ([0], 0))

    def test_no_sender(self) -> None:
        """So it is with all where the system can't."""
        core = FileCore(self.data)
        protocol, transport = self.connect(core, Transport(10**9))
        protocol.dataReceived(b"%d\nb\n" % len(self.data))
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"begin\n" + self.data + b"b\n")

    def test_many(self) -> None:
        """File after file, though no line stands behind one."""
        _, protocol, transport, sender = self.begin()
        protocol.dataReceived(b"5\n0\n3\nb\n")
        while sender.waits:
            sender.waits = 0
            sender.take()
            self.clock.advance(0)
        end = self.data
        text = b"begin\n" + end[-5:] + b"begin\nbegin\n" + end[-3:] + b"b\n"
        self.assertEqual(transport.value(), text)
        self.assertEqual(self.timers(), [])

    def test_after_a_tick(self) -> None:
        """What begins by the clock and ends at once does not forget the lines that wait."""
        core, protocol, transport, _ = self.begin()
        core.going, core.until = True, 5.0
        core.read_only = True
        protocol.dataReceived(b"b\n")

        def tick(now: float) -> None:
            """There is something."""
            core.until, core.left = None, 3
            core.out.append(core)

        self.patch(core, "tick", tick)
        protocol._driver.settle()
        self.clock.advance(5)
        self.clock.advance(0)
        self.assertEqual(transport.value(), self.data[-3:] + b"b\n")

    def test_lost(self) -> None:
        """A connection that is lost holds no body any more."""
        _, protocol, _, _ = self.begin(room=1)
        protocol.dataReceived(b"1000\n")
        protocol.connectionLost()
        self.assertEqual((protocol._body, protocol._file, self.timers()), (None, None, []))


class BrokenTests(StreamCase):
    """What was promised can't be sent."""

    def test_cut(self) -> None:
        """The connection is cut at once, once, and it is logged why."""
        core = LetterCore()
        protocol, transport = self.connect(core, Transport(room=1000))
        protocol.dataReceived(b"1000000\na\n")
        core.told += [Broken("the file is gone"), Broken("again")]
        with captured_logs() as events:
            protocol._driver.settle()
        self.assertTrue(transport.aborted)
        [event] = [event for event in events if "reason" in event]
        self.assertEqual(event["reason"], "the file is gone")
        before = transport.value()
        protocol.dataReceived(b"b\n")
        protocol.resumeProducing()
        self.clock.advance(100)
        self.assertEqual((transport.value(), self.timers()), (before, []))


class ChunkTests(StreamCase):
    """Streams without lines."""

    def test_chunks(self) -> None:
        """Each chunk is a message, and nothing is added to what a core sends."""
        core = EchoCore()
        core.out = [b"hello ", b"there"]
        transport = Transport()
        protocol = ChunkCoreProtocol(Driver(core, self.clock), self.lost.append)
        protocol.makeConnection(transport)
        for chunk in (b"a\r\nb", b"c", b"\n" * 500):
            protocol.dataReceived(chunk)
        self.assertEqual(core.journal, [b"a\r\nb", b"c", b"\n" * 500])
        self.assertEqual(transport.value(), b"hello therea\r\nbc" + b"\n" * 500)
        protocol.connectionLost()
        self.assertEqual(len(self.lost), 1)

    def test_nobody_told(self) -> None:
        """To tell nobody of the end is no trouble."""
        protocol = ChunkCoreProtocol(Driver(EchoCore(), self.clock))
        protocol.makeConnection(Transport())
        protocol.connectionLost()
        self.assertEqual(self.timers(), [])


class FairnessTests(StreamCase):
    """Heavy batches give way."""

    def test_turns(self) -> None:
        """One connection's heavy work is done in turns, and others come between them."""
        journal: list[bytes] = []
        heavy, transport = self.connect(EchoCore(3, journal))
        light, _ = self.connect(EchoCore(3, journal))
        heavy.dataReceived(b"h\n" * 8)
        light.dataReceived(b"l\n")
        turn(self.clock)
        light.dataReceived(b"l\n")
        self.assertFalse(transport.reads)
        turn(self.clock)
        self.assertEqual(b"".join(journal), b"hhhlhhhlhh")
        self.assertEqual((self.timers(), transport.reads), ([], True))

    def test_all_heavy(self) -> None:
        """Heavy connections take turns with each other."""
        journal: list[bytes] = []
        for name in (b"a\n", b"b\n", b"c\n"):
            self.connect(EchoCore(2, journal))[0].dataReceived(name * 5)
        for _ in range(2):
            turn(self.clock)
        self.assertEqual(b"".join(journal), b"aabbccaabbccabc")

    def test_more_comes(self) -> None:
        """What comes while work is waiting waits behind it, and wins no turn."""
        core = EchoCore(share=2)
        protocol, _ = self.connect(core)
        protocol.dataReceived(b"1\n2\n3\n4\n")
        protocol.dataReceived(b"5\n6\n")
        self.assertEqual((core.journal, len(self.timers())), ([b"1", b"2"], 1))
        self.clock.advance(0)
        self.assertEqual(core.journal, [b"1", b"2", b"3", b"4", b"5", b"6"])


class EndTests(StreamCase):
    """How a connection ends, and when at the latest."""

    def test_half_close(self) -> None:
        """A peer that says that it will send no more has its answers, and then the end."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"a\nb\n")
        self.assertFalse(transport.closes)
        protocol.readConnectionLost()
        self.assertTrue(transport.closes)
        self.assertEqual(transport.take(), [b"a", b"b"])
        self.assertFalse(transport.aborted or transport.half_closed)

    def test_half_close_with_work_left(self) -> None:
        """What was asked before it is all answered, in turns, and only then comes the end."""
        protocol, transport = self.connect(EchoCore(share=2))
        protocol.dataReceived(b"1\n2\n3\n4\n5\n")
        protocol.readConnectionLost()
        turn(self.clock)
        self.assertFalse(transport.closes)
        turn(self.clock)
        self.assertTrue(transport.closes)
        self.assertEqual(transport.take(), [b"1", b"2", b"3", b"4", b"5"])

    def test_half_close_of_a_slow_reader(self) -> None:
        """Also one that reads late: its answers are not cut."""
        protocol, transport = self.connect(EchoCore(share=2), Transport(room=1))
        protocol.dataReceived(b"1\n2\n3\n")
        protocol.readConnectionLost()
        self.clock.advance(0)
        self.assertFalse(transport.closes)
        self.assertEqual(transport.take() + transport.take(), [b"1", b"2", b"3"])
        self.assertTrue(transport.closes)

    def test_half_line(self) -> None:
        """Bytes without a line ending are no line, and have no answer."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"a\nb")
        protocol.readConnectionLost()
        self.assertTrue(transport.closes)
        self.assertEqual(transport.take(), [b"a"])

    def test_drain(self) -> None:
        """A peer that has ended may take its answers for `DRAIN` seconds, and no longer."""
        protocol, transport = self.connect(transport=Transport(room=1))
        protocol.dataReceived(b"a\nb\n")
        protocol.readConnectionLost()
        self.clock.advance(DRAIN - 0.001)
        self.assertTrue(transport.closes and not transport.aborted)
        self.clock.advance(0.001)
        self.assertTrue(transport.aborted)

    def test_finished(self) -> None:
        """Let go by the core: the last answer, our half closed, the rest read and thrown away."""
        core = EchoCore()
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"a\nbye\n")
        protocol.dataReceived(b"b\n")
        self.assertEqual(transport.take(), [b"a", b"bye"])
        self.assertTrue(transport.half_closed and transport.reads)
        self.assertFalse(transport.disconnecting)
        self.assertEqual(core.journal, [b"a", b"bye"])
        protocol.writeConnectionLost()
        protocol.readConnectionLost()
        self.assertTrue(transport.closes)
        self.assertEqual(self.timers(), [LINGER])
        protocol.connectionLost()
        self.assertEqual(self.timers(), [])

    def test_linger(self) -> None:
        """A peer that does not close is let go after `LINGER` seconds, and not before."""
        protocol, transport = self.connect()
        self.clock.advance(5)
        protocol.dataReceived(b"bye\n")
        for _ in range(3):
            self.clock.advance(LINGER / 4)
            protocol.dataReceived(b"more\n")
        self.assertFalse(transport.aborted)
        self.clock.advance(LINGER / 4)
        self.assertTrue(transport.aborted)

    def test_left(self) -> None:
        """A peer that wants to leave has as long for its last answers as one that has ended."""
        core = EchoCore()
        protocol, transport = self.connect(core)
        protocol.dataReceived(b"a\n")
        core.told = [Left("quit"), Left("quit"), Finished("again")]
        with captured_logs() as events:
            protocol._driver.settle()
        self.assertEqual(events, [])
        protocol.dataReceived(b"b\n")
        self.assertTrue(transport.half_closed and transport.reads)
        self.assertEqual((transport.take(), self.timers()), ([b"a"], [DRAIN]))
        protocol.readConnectionLost()
        self.assertTrue(transport.closes)
        self.clock.advance(DRAIN)
        self.assertTrue(transport.aborted)

    def test_left_without_half_close(self) -> None:
        """Where no half can be closed all is, when it has been taken."""
        transport = Transport()
        alsoProvides(transport, ISSLTransport)
        core = EchoCore()
        protocol, _ = self.connect(core, transport)
        core.told = [Left("quit")]
        protocol._driver.settle()
        self.assertTrue(transport.disconnecting and not transport.half_closed)
        self.assertEqual(self.timers(), [DRAIN])

    def test_left_with_work_left(self) -> None:
        """The peer is read from again, for TLS ends by what both sides say."""
        transport = Transport()
        alsoProvides(transport, ISSLTransport)
        core = EchoCore(share=1)
        protocol, _ = self.connect(core, transport)
        protocol.dataReceived(b"a\nb\n")
        self.assertFalse(transport.reads)
        core.told = [Left("quit")]
        self.clock.advance(0)
        self.assertTrue(transport.disconnecting and transport.reads)

    def test_finished_once(self) -> None:
        """A core that ends it twice ends it once."""
        core = EchoCore()
        protocol, _ = self.connect(core)
        core.told = [Finished("one"), Finished("two")]
        with captured_logs() as events:
            protocol._driver.settle()
        self.assertEqual([(event["reason"], event["peer"]) for event in events], [("one", PEER)])
        self.assertEqual(self.timers(), [LINGER])

    def test_finished_in_a_pause(self) -> None:
        """One that does not read is read again once it is let go, to throw away what it sent."""
        protocol, transport = self.connect(transport=Transport(room=1))
        protocol.dataReceived(b"a\n")
        self.assertFalse(transport.reads)
        protocol._driver.core.told = [Finished("idle")]
        protocol._driver.settle()
        self.assertTrue(transport.reads and transport.half_closed)
        self.assertIsNone(transport.producer)

    def test_finished_with_work_left(self) -> None:
        """Lines after the last are not answered, and take no turn."""
        core = EchoCore(share=2)
        protocol, _ = self.connect(core)
        protocol.dataReceived(b"a\nbye\nb\nc\n")
        self.clock.advance(0)
        self.assertEqual((core.journal, self.timers()), ([b"a", b"bye"], [LINGER]))

    def test_too_long(self) -> None:
        """One that is told off in the middle of its line is still read, not reset."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"a\n" + b"9" * (LIMIT + 1))
        protocol.dataReceived(b"9" * 100_000 + b"\nb\n")
        self.assertEqual(transport.take(), [b"a", b"too long"])
        self.assertTrue(transport.half_closed and transport.reads)

    def test_finished_without_half_close(self) -> None:
        """Where no half can be closed, as with TLS or on other transports, all is."""
        tls = Transport()
        alsoProvides(tls, ISSLTransport)
        for transport in (tls, StringTransport()):
            protocol, _ = self.connect(transport=transport)
            protocol.dataReceived(b"bye\n")
            self.assertTrue(transport.disconnecting)
            self.assertIsNone(transport.producer)
        self.assertFalse(tls.half_closed)

    def test_end(self) -> None:
        """Ended by us: what was written goes out, and it closes, after `LINGER` at the latest."""
        protocol, transport = self.connect(transport=Transport(room=1))
        protocol.dataReceived(b"a\n")
        protocol.end()
        protocol.end()
        self.assertTrue(transport.closes)
        self.assertEqual((transport.take(), self.timers()), ([b"a"], [LINGER]))
        self.clock.advance(LINGER)
        self.assertTrue(transport.aborted)

    def test_end_with_a_turn_left(self) -> None:
        """A turn that is left has nothing to do after the end."""
        core = EchoCore(share=1)
        protocol, _ = self.connect(core)
        protocol.dataReceived(b"a\nb\n")
        protocol.end()
        self.clock.advance(0)
        self.assertEqual(core.journal, [b"a"])
        self.assertEqual(len(self.timers()), 1)

    def test_stopped(self) -> None:
        """Once the transport has ended, nothing is begun."""
        core = EchoCore()
        protocol, _ = self.connect(core)
        protocol.stopProducing()
        protocol.dataReceived(b"a\n")
        protocol.end()
        self.assertEqual((core.journal, self.timers()), ([], []))


class PausableTransport(FakeTransport):
    """One end of a link in memory that holds back what comes while it is not read."""

    def __init__(self, protocol: Any, *, is_server: bool) -> None:
        super().__init__(protocol, is_server, PEER, PEER)
        self.held: list[bytes] | None = None
        #: Whether it was ever not read.
        self.paused = False

    def pauseProducing(self) -> None:
        """Hold."""
        self.held, self.paused = self.held or [], True

    def resumeProducing(self) -> None:
        """Give what was held."""
        held, self.held = self.held, None
        for data in held or ():
            self.bufferReceived(data)

    def bufferReceived(self, buf: bytes) -> None:
        """Give, or hold."""
        if self.held is None:
            super().bufferReceived(buf)
        else:
            self.held.append(buf)


@implementer(IOpenSSLContextFactory)
class Context:
    """Gives a context of pyOpenSSL to Twisted."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def getContext(self) -> SSL.Context:
        """Always this one."""
        return self._context


class TLSTests(StreamCase):
    """Over TLS, in memory."""

    def side(self, core: EchoCore, context: Any, *, is_client: bool) -> PausableTransport:
        """One end."""
        inner = LineCoreProtocol(Driver(core, self.clock), LIMIT, self.lost.append)
        wrapped = Factory.forProtocol(lambda: inner)
        factory = TLSMemoryBIOFactory(Context(context), is_client, wrapped, self.clock)
        return PausableTransport(factory.buildProtocol(PEER), is_server=not is_client)

    def talk(self, client: EchoCore, server: EchoCore) -> tuple[PausableTransport, Any]:
        """Let these two talk until nothing moves; the client's end and what pumps."""
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(ours)
        ends = (
            self.side(server, ours, is_client=False),
            self.side(client, theirs, is_client=True),
        )
        pump = connect(
            ends[0].protocol, ends[0], ends[1].protocol, ends[1], clock=self.clock, greet=False
        )
        self.assertFalse(any(end.paused for end in ends))
        pump.flush()
        return ends[1], pump

    def test_speaks_in_the_handshake(self) -> None:
        """What is sent before TLS is ready does not stop the reading, and arrives."""
        client, server = EchoCore(), EchoCore()
        client.out, server.out = [b"from the client"], [b"from the server"]
        client.message = lambda data, now: client.journal.append(data)
        end, _ = self.talk(client, server)
        self.assertEqual(server.journal, [b"from the client"])
        self.assertEqual(client.journal, [b"from the server", b"from the client"])
        self.assertFalse(end.paused)

    def test_finished(self) -> None:
        """The last answer arrives before the end, which comes at once."""
        client, server = EchoCore(), EchoCore()
        client.out = [b"bye"]
        client.message = lambda data, now: client.journal.append(data)
        self.talk(client, server)
        self.assertEqual(client.journal, [b"bye"])
        self.assertEqual(len(self.lost), 2)
        self.assertEqual(self.timers(), [])

    def test_pause_after_the_handshake(self) -> None:
        """Before the handshake is done a pause leaves the reading alone, afterwards it stops it."""
        transport = Transport()
        alsoProvides(transport, ISSLTransport)
        protocol, _ = self.connect(transport=transport)
        protocol.pauseProducing()
        self.assertTrue(transport.reads)
        protocol.handshakeCompleted()
        protocol.resumeProducing()
        self.assertTrue(transport.reads)
        protocol.pauseProducing()
        self.assertFalse(transport.reads)


class Peer(Protocol):
    """A peer on a real socket that notes what it gets, and why it ended."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended: Deferred[Failure] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.got += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """It is over."""
        self.ended.callback(reason.type)


class WatchedProtocol(LineCoreProtocol):
    """Says when it is told to stop reading, and when it is gone."""

    def __init__(self, core: EchoCore) -> None:
        self.paused: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        super().__init__(Driver(core, reactor), LIMIT, lambda _: self.gone.callback(None))

    def pauseProducing(self) -> None:
        """Say so, the first time."""
        super().pauseProducing()
        if not self.paused.called:
            self.paused.callback(None)


class LoopbackTests(TestCase):
    """Over real sockets, whose kernels have buffers and resets of their own."""

    timeout = 10

    async def begin(self, core: EchoCore) -> Peer:
        """A server of one connection, and a peer of it."""
        self.server = WatchedProtocol(core)
        build: Callable[[], Protocol] = lambda: self.server  # noqa: E731
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(build)
        )
        self.addCleanup(port.stopListening)
        place = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        return await place.connect(Factory.forProtocol(Peer))

    async def test_peer_that_does_not_read(self) -> None:
        """It is read from no more; when it reads, each line has its answer, and then the end."""
        core = EchoCore(size=500)
        peer = await self.begin(core)
        peer.transport.pauseProducing()
        peer.transport.write(b"".join(b"%d\n" % n for n in range(20_000)))
        peer.transport.loseWriteConnection()
        await self.server.paused
        self.assertLess(len(core.journal), 20_000)
        self.assertNotIn(self.server.transport, reactor.getReaders())
        peer.transport.resumeProducing()
        self.assertIs(await peer.ended, ConnectionDone)
        await self.server.gone
        lines = peer.got.split()
        self.assertEqual([int(line.rstrip(b".")) for line in lines], list(range(20_000)))

    async def test_half_close(self) -> None:
        """Heavy work that was asked for before the FIN is answered after it."""
        peer = await self.begin(EchoCore(share=1))
        peer.transport.write(b"a\n" * 200)
        peer.transport.loseWriteConnection()
        self.assertIs(await peer.ended, ConnectionDone)
        await self.server.gone
        self.assertEqual(peer.got, b"a\n" * 200)

    async def test_told_off(self) -> None:
        """One that sends megabytes in a line gets the error message, and no reset."""
        peer = await self.begin(EchoCore())
        peer.transport.write(b"9" * 4_000_000)
        peer.transport.loseWriteConnection()
        self.assertIs(await peer.ended, ConnectionDone)
        await self.server.gone
        self.assertEqual(peer.got, b"too long\n")
