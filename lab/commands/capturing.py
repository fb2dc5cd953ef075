"""
Where a capture is written to: a file, or a FIFO for readers that come and go.

**What it must do.** Hold up nobody: what is captured goes on, whatever becomes of the file or of
its readers. A file is readable up to its last whole block at any moment. A reader of a FIFO gets a
valid file from its beginning, whenever it comes.

**How it does it.** A file is written at once and without a buffer; one that can't be written any
more is given up. A FIFO is opened for writing again and again until that succeeds, which it does
when somebody reads; then the blocks that describe the capture come first. What a reader does
not take waits here, up to `ROOM`; beyond that packets are dropped, whole and counted.

**What was refused.** To open a FIFO for reading as well, which always succeeds: then nothing tells
that the last reader has gone, and the next would get the rest of what was not for it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.capture.pcapng import count
from lab.capture.recorder import Capture
from lab.errors import LocalError

#: Bytes that wait for a reader that is slow, at most.
ROOM = 16 * 2**20
#: A FIFO is tried again after so long, in seconds.
AGAIN = 0.25
#: At the end a reader may take so long to take what waits for it, in seconds.
DRAIN = 2.0
#: After a line in the log about a slow reader there is none for so long, in seconds.
QUIET = 10.0
_PIECE = 65_536  # bytes of one write
_HARDWARE = "a proxy: headers, and what only TCP knows, are made up"


def open_capture(
    reactor: Any, path: Path, comment: str, epoch: float
) -> "CaptureFile | CaptureFifo":
    """
    Begin a capture.

    Args:
        reactor: Watches a FIFO.
        path: Of the file; what was in it is gone. Or of the FIFO.
        comment: What it is about.
        epoch: What the reactor's time 0 is, in seconds since 1970.

    Raises:
        LocalError: It can't be written.
    """
    path = path.absolute()  # a daemon will be elsewhere
    try:
        if path.is_fifo():
            if not os.access(path, os.W_OK):
                raise PermissionError(0, "Permission denied")
            return CaptureFifo(reactor, path, comment, epoch)
        return CaptureFile(path, comment, epoch)
    except OSError as error:
        raise LocalError(f"capture is {str(path)!r}; {error.strerror}") from None


class CaptureFile:
    """
    A capture in a file.

    Args:
        path: The file; only its owner may read it, since there may be secrets in it.
        comment: What it is about.
        epoch: What the time 0 is, in seconds since 1970.

    Raises:
        OSError: It can't be opened, or not even begun.

    Attributes:
        capture: Takes the packets.
    """

    _log = Logger()

    def __init__(self, path: Path, comment: str, epoch: float) -> None:
        self._path = path
        self._fd: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._size = 0  # of all that is whole, in bytes
        self.capture = Capture(self._write, comment, _HARDWARE, epoch)

    def start(self) -> None:
        """It has begun already."""

    def close(self) -> Deferred[None]:
        """There is no more; it has fired."""
        self.capture.wanted = False
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        return succeed(None)

    def _write(self, data: bytes) -> None:
        """Write whole blocks; connections that outlive the service are seen in vain."""
        if self._fd is None:
            return
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
            self._size += len(data)
        except OSError as error:
            if not self._size:
                raise
            self._give_up(self._fd, error)

    def _give_up(self, fd: int, error: OSError) -> None:
        """It can't be written any more; what was written so far stays, in whole blocks."""
        self._log.error(
            "capture {path} ends: {reason}", path=str(self._path), reason=error.strerror
        )
        with suppress(OSError):  # it may be a device, or a disk that is worse than full
            os.ftruncate(fd, self._size)
        self.close()


@implementer(IReadDescriptor, IWriteDescriptor)
class CaptureFifo:
    """
    A capture for whoever reads a FIFO; for one reader at a time, as FIFOs are.

    Args:
        reactor: Has a clock, and watches the FIFO.
        path: Of the FIFO; if another thing is in its place, it waits for a FIFO.
        comment: What it is about.
        epoch: What the reactor's time 0 is, in seconds since 1970.

    Attributes:
        capture: Takes the packets.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: Path, comment: str, epoch: float) -> None:
        self._reactor, self._path = reactor, path
        self._fd: int | None = None
        self._head = bytearray()  # what every reader needs
        self._rest = bytearray()  # what this one has not taken yet
        self._dropped = 0  # packets, as long as there is this reader
        self._quiet_until = 0.0
        self._call: IDelayedCall | None = None
        self._closed: Deferred[None] | None = None
        self.capture = Capture(self._write, comment, _HARDWARE, epoch, describe=self._describe)
        self.capture.wanted = False

    def start(self) -> None:
        """Look for readers from now on."""
        fd = self._open()
        if fd is None:
            self._call = self._reactor.callLater(AGAIN, self.start)
            return
        self._fd = fd
        self._dropped, self._quiet_until = 0, 0.0
        self._log.info("capture {path} has a reader", path=str(self._path))
        self.capture.wanted = True
        self._reactor.addReader(self)  # so one hears that nobody reads any more
        self._add(self._head)

    def close(self) -> Deferred[None]:
        """There is no more; fires when the reader has all, or after `DRAIN`."""
        self.capture.wanted = False
        closed = self._closed = Deferred()
        self._cancel()
        if self._rest:
            self._call = self._reactor.callLater(DRAIN, self._lose)
        else:
            self._lose()
        return closed

    def _open(self) -> int | None:
        """The FIFO; None if nobody reads it, or there is none for now."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None

    def _cancel(self) -> None:
        """Do nothing later."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _lose(self) -> None:
        """The reader has gone, or is not waited for any more."""
        self._cancel()
        if self._fd is not None:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            os.close(self._fd)
            self._fd = None
            self._rest.clear()
            self.capture.wanted = False
            self._log.info(
                "capture {path} has no reader any more; {dropped:,} packets dropped",
                path=str(self._path),
                dropped=self._dropped,
            )
        if self._closed is None:
            self._call = self._reactor.callLater(0, self.start)
        elif not self._closed.called:
            self._closed.callback(None)

    # What is to be written.

    def _describe(self, block: bytes) -> None:
        """A block that every reader needs, and this one, too."""
        self._head += block
        if self._fd is not None:
            self._add(block)

    def _write(self, blocks: bytes) -> None:
        """Packets; who is slow does not get all."""
        if self.capture.wanted:
            if len(self._rest) + len(blocks) <= ROOM:
                self._add(blocks)
            else:
                self._dropped += count(blocks)
                self._tell()

    def _add(self, data: bytes | bytearray) -> None:
        """Write this behind all that waits."""
        waits = bool(self._rest)
        self._rest += data
        if not waits:
            self.doWrite()
            if self._rest:
                self._reactor.addWriter(self)

    def _tell(self) -> None:
        """Say that packets are dropped, if it has not been said lately."""
        now = self._reactor.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            self._log.warn(
                "capture {path} has a slow reader; {dropped:,} packets dropped so far",
                path=str(self._path),
                dropped=self._dropped,
            )

    # What the reactor says.

    def doWrite(self) -> None:
        """There is room."""
        fd = self._fd
        try:
            while self._rest and fd is not None:
                del self._rest[: os.write(fd, self._rest[:_PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        self._reactor.removeWriter(self)
        if self._closed is not None:
            self._lose()

    def doRead(self) -> None:
        """A FIFO that one writes to is readable for some reactors when nobody else reads it."""
        self._lose()

    def connectionLost(self, reason: Failure) -> None:
        """For others it is lost then."""
        self._lose()

    def fileno(self) -> int:
        """What the reactor watches."""
        return -1 if self._fd is None else self._fd

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "capture"
