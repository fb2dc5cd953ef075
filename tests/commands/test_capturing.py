"""Where captures are written to: files that fill disks, FIFOs whose readers come and go."""

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import capturing
from lab.commands.capturing import (
    AGAIN,
    DRAIN,
    QUIET,
    ROOM,
    CaptureFifo,
    CaptureFile,
    open_capture,
)
from lab.errors import LocalError
from tests.adapters.ports import Turns
from tests.capture.blocks import blocks, packets
from tests.helpers import captured_logs, folder

SECTION, INTERFACE, NAMES, PACKET = 0x0A0D0D0A, 1, 4, 6


def kinds(data: bytes) -> list[int]:
    """The types of all blocks."""
    return [block.kind for block in blocks(data)]


class OpenTests(SynchronousTestCase):
    """What there is at a path."""

    def test_kinds(self) -> None:
        """A FIFO or a file, which is replaced; the path is that of now."""
        path = folder(self) / "a.pcapng"
        path.write_bytes(b"something else")
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(path.parent)
        made = open_capture(Clock(), Path(path.name), "a test", 0.0)
        self.assertIsInstance(made, CaptureFile)
        made.close()
        self.assertEqual(kinds(path.read_bytes()), [SECTION])
        os.mkfifo("fifo")
        made = open_capture(Clock(), Path("fifo"), "a test", 0.0)
        assert isinstance(made, CaptureFifo)
        self.assertEqual(made._path, path.with_name("fifo"))

    def test_refused(self) -> None:
        """What can't be written is one line; so is a disk that is full from the beginning."""
        here = folder(self)
        for path, why in (
            (here / "no" / "where", "No such file or directory"),
            (here, "Is a directory"),
            (Path("/dev/full"), "No space left on device"),
        ):
            error = self.assertRaises(LocalError, open_capture, Clock(), path, "", 0.0)
            self.assertEqual(str(error), f"capture is {str(path)!r}; {why}")

    def test_a_fifo_of_somebody(self) -> None:
        """One that we may not write to is refused at once, and not when somebody reads."""
        path = folder(self) / "fifo"
        os.mkfifo(path)
        self.patch(os, "access", lambda path, mode: mode != os.W_OK)
        error = self.assertRaises(LocalError, open_capture, Clock(), path, "", 0.0)
        self.assertEqual(str(error), f"capture is {str(path)!r}; Permission denied")


class FileTests(SynchronousTestCase):
    """A file."""

    def setUp(self) -> None:
        """One that has begun."""
        self.path = folder(self) / "a.pcapng"
        self.made = CaptureFile(self.path, "a test", 5.0)
        self.made.start()
        self.side = self.made.capture.side("a")

    def add(self, data: bytes = b"x") -> None:
        """One more packet."""
        self.made.capture.packet(self.side, 1.0, data, inbound=True)

    def test_at_once(self) -> None:
        """What is captured is in the file, and only its owner may read it."""
        self.add()
        (packet,) = packets(self.path.read_bytes())
        self.assertEqual((packet.data, packet.when), (b"x", 6 * 10**9))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.made.close()

    def test_closed(self) -> None:
        """What comes behind the end is not wanted."""
        closed = [self.made.close(), self.made.close()]
        self.assertEqual([self.successResultOf(one) for one in closed], [None, None])
        size = self.path.stat().st_size
        self.add()
        self.assertEqual((self.path.stat().st_size, self.made.capture.wanted), (size, False))

    def test_full(self) -> None:
        """A disk that is full ends the capture, with one line; whole blocks are left."""
        self.add()
        size = self.path.stat().st_size
        real = os.write

        def write(fd: int, data: bytes) -> int:
            """There is room for ten bytes more."""
            if os.fstat(fd).st_size > size:
                raise OSError(28, "No space left on device")
            return real(fd, data[:10])

        with captured_logs() as logs:
            self.patch(os, "write", write)
            for _ in range(3):
                self.add()
        self.assertEqual(kinds(self.path.read_bytes()), [SECTION, INTERFACE, PACKET])
        (told,) = [formatEvent(event) for event in logs]
        self.assertEqual(told, f"capture {self.path} ends: No space left on device")
        self.assertFalse(self.made.capture.wanted)

    def test_pieces(self) -> None:
        """What the system takes in pieces is written in pieces."""
        real = os.write
        self.patch(os, "write", lambda fd, data: real(fd, data[:7]))
        self.add(bytes(100))
        (packet,) = packets(self.path.read_bytes())
        self.assertEqual(packet.data, bytes(100))
        self.made.close()


class FifoTests(SynchronousTestCase):
    """A FIFO."""

    def setUp(self) -> None:
        """One that nobody reads yet."""
        self.path = folder(self) / "fifo"
        os.mkfifo(self.path)
        self.reactor = Turns()
        self.made = CaptureFifo(self.reactor, self.path, "a test", 0.0)
        self.side = self.made.capture.side("a")
        self.made.start()
        self.fds: list[int] = []
        self.addCleanup(self.leave)

    def come(self) -> None:
        """Read it."""
        self.fds.append(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        self.reactor.advance(AGAIN)

    def read(self) -> bytes:
        """All that there is for now."""
        data = b""
        try:
            while more := os.read(self.fds[-1], 1 << 20):
                data += more
        except BlockingIOError:
            pass
        return data

    def leave(self) -> None:
        """Read no more."""
        while self.fds:
            os.close(self.fds.pop())

    def add(self, data: bytes = b"x") -> None:
        """One more packet."""
        self.made.capture.packet(self.side, 1.0, data, inbound=True)

    def told(self, logs: list[Any]) -> list[str]:
        """What is in the log, without the path."""
        return [formatEvent(event).replace(str(self.path), "FIFO") for event in logs]

    def end(self) -> None:
        """Close it; nothing is left."""
        self.successResultOf(self.made.close())
        self.assertEqual(self.made.fileno(), -1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([], []))

    def test_nobody(self) -> None:
        """Without a reader nothing is wanted and nothing waits."""
        self.add()
        for _ in range(10):
            self.reactor.advance(AGAIN)
        self.assertFalse(self.made.capture.wanted)
        self.assertEqual(len(self.made._rest), 0)
        self.end()

    def test_late(self) -> None:
        """One who comes late has a whole file, from then on; one more thing is told as it comes."""
        self.add(b"before")
        self.come()
        self.add(b"then")
        self.made.capture.side("b")
        self.made.capture.name("10.0.0.1", "it")
        found = self.read()
        self.assertEqual(kinds(found), [SECTION, INTERFACE, PACKET, INTERFACE, NAMES])
        self.assertEqual([packet.data for packet in packets(found)], [b"then"])
        self.end()

    def test_one_after_the_other(self) -> None:
        """Each has a whole file, however the reactor tells that the one before has gone."""
        reason = Failure(ConnectionDone())
        ways: list[Any] = [self.made.doRead, lambda: self.made.connectionLost(reason), self.add]
        with captured_logs() as logs:
            for way in ways:
                self.come()
                self.add()
                self.assertEqual(kinds(self.read()), [SECTION, INTERFACE, PACKET])
                self.leave()
                way()
                self.assertFalse(self.made.capture.wanted)
                self.add(b"nobody reads this")
                self.reactor.advance(0)
        come, gone = "has a reader", "has no reader any more; 0 packets dropped"
        self.assertEqual(self.told(logs), [f"capture FIFO {come}", f"capture FIFO {gone}"] * 3)
        self.end()

    def test_told_twice(self) -> None:
        """It is lost once, whoever says so how often."""
        self.come()
        self.leave()
        self.made.doRead()
        self.made.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.end()

    def test_slow(self) -> None:
        """What a slow reader does not take waits, and then whole packets are dropped."""
        self.come()
        self.read()
        with captured_logs() as logs:
            for _ in range(ROOM // 50_000 + 10):
                self.add(bytes(50_000))
                self.assertLessEqual(len(self.made._rest), ROOM)
            self.reactor.advance(QUIET)
            self.add(bytes(50_000))
        self.assertEqual(self.reactor.writers, [self.made])
        found = b""
        while self.reactor.writers:
            found += self.read()
            self.made.doWrite()
        found += self.read()
        dropped = ROOM // 50_000 + 11 - len(packets(found))
        self.assertGreater(dropped, 5)
        self.assertEqual({len(packet.data) for packet in packets(found)}, {50_000})
        first, last = self.told(logs)
        self.assertEqual(first, "capture FIFO has a slow reader; 1 packets dropped so far")
        self.assertEqual(last, f"capture FIFO has a slow reader; {dropped} packets dropped so far")
        self.add(b"again")
        (packet,) = packets(self.read())
        self.assertEqual(packet.data, b"again")
        with captured_logs() as logs:
            self.leave()
            self.add()
        expected = f"capture FIFO has no reader any more; {dropped} packets dropped"
        self.assertEqual(self.told(logs), [expected])
        self.end()

    def test_descriptions_for_a_slow_reader(self) -> None:
        """What is no packet is never dropped."""
        self.patch(capturing, "ROOM", 100)
        self.come()
        for number in range(10):
            self.made.capture.side(f"number {number}")
            self.add(bytes(100))
        self.assertEqual(kinds(self.read()), [SECTION, *[INTERFACE] * 11])
        self.end()

    def test_end_with_a_slow_reader(self) -> None:
        """At the end it may take what waits for it, for a while."""
        for patient in (True, False):
            self.come()
            self.read()
            self.add(bytes(200_000))
            closed = self.made.close()
            self.assertNoResult(closed)
            if patient:
                found = b""
                while self.reactor.writers:
                    found += self.read()
                    self.made.doWrite()
                self.assertEqual(len(packets(found + self.read())), 1)
            else:
                self.reactor.advance(DRAIN)
            self.successResultOf(closed)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.leave()
            self.made = CaptureFifo(self.reactor, self.path, "a test", 0.0)
            self.side = self.made.capture.side("a")
            self.made.start()
        self.end()

    def test_gone_at_the_end(self) -> None:
        """One who goes while the last is due to it holds up nobody."""
        self.come()
        self.add(bytes(200_000))
        closed = self.made.close()
        self.leave()
        self.made.doWrite()
        self.made.doRead()
        self.successResultOf(closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_something_else(self) -> None:
        """A file in its place is left alone; when the FIFO is there again, it goes on."""
        self.path.unlink()
        self.path.write_bytes(b"mine")
        self.reactor.advance(AGAIN)
        self.path.unlink()
        self.reactor.advance(AGAIN)
        os.mkfifo(self.path)
        self.come()
        self.assertEqual(kinds(self.read()), [SECTION, INTERFACE])
        self.assertEqual(self.made.logPrefix(), "capture")
        self.end()
