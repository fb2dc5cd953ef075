"""
File descriptors that are read when somebody asks and written as there is room.

Knows nothing of lines. `StandardIO` was refused: it sets O_NONBLOCK, which belongs to the open
file and not to the descriptor, so that stderr and the shell would get it too (Twisted #3442),
and it closes what it is given.
"""

import os
import select
import stat
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.errors import LocalError

_CHUNK = 65_536  # bytes of one read


@implementer(IReadDescriptor)
@define(eq=False)
class Input:
    """
    A file descriptor that is read when somebody asks, and not before.

    Files and devices such as ``/dev/null`` never block and can't be polled (epoll says EPERM):
    they are read in the next turn of the reactor.

    Args:
        reactor: Watches the descriptor.
        fd: What is read; it is left open.
    """

    _reactor: Any
    _fd: int
    _asked: Deferred[bytes] | None = None
    _turn: IDelayedCall | None = None
    _closed: bool = False

    def read(self) -> Deferred[bytes]:
        """
        Fires with the next bytes, at most 65,536, or with none at the end.

        Raises:
            LocalError: In the Deferred, when that descriptor can't be read.
        """
        if self._closed:
            return succeed(b"")
        asked: Deferred[bytes] = Deferred(self._forget)
        self._asked = asked
        try:
            if self._may_wait():
                self._reactor.addReader(self)
            else:
                self._turn = self._reactor.callLater(0, self.doRead)
        except OSError as error:
            self._tell(error)
        return asked

    def close(self) -> None:
        """Read no more; whoever asked is told that it is the end."""
        self._closed = True
        self._tell(b"")

    def doRead(self) -> None:
        """There is something to read."""
        self._turn = None
        try:
            data = os.read(self._fd, _CHUNK)
        except OSError as error:
            self._tell(error)
        else:
            self._tell(data)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave up watching: whoever wrote is gone."""
        self._tell(b"")

    def fileno(self) -> int:
        """What the reactor watches."""
        return self._fd

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "input"

    def _may_wait(self) -> bool:
        """Whether there may be nothing to read for a while."""
        mode = os.fstat(self._fd).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd)

    def _tell(self, result: bytes | OSError) -> None:
        """Answer whoever asked."""
        asked = self._asked
        self._forget(asked)
        if asked is None:
            return
        if isinstance(result, OSError):
            asked.errback(LocalError(f"standard input can't be read: {result.strerror}"))
        else:
            asked.callback(result)

    def _forget(self, asked: Deferred[bytes] | None) -> None:
        """Watch no more: nobody asks."""
        self._asked = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        elif asked is not None:
            self._reactor.removeReader(self)


class OutputClosedError(Exception):
    """Nobody reads the answers any more (EPIPE)."""


@implementer(IWriteDescriptor)
@define(eq=False)
class Output:
    """
    A file descriptor that is written at once as far as it takes it; the rest waits for room.

    What polls as writable takes `select.PIPE_BUF` bytes without blocking, hence the pieces.

    Args:
        reactor: Watches the descriptor.
        fd: What is written; it is left open.
    """

    _reactor: Any
    _fd: int
    _rest: bytearray = Factory(bytearray)
    _error: Exception | None = None
    _drained: Deferred[None] | None = None

    def write(self, data: bytes) -> None:
        """Write this after all that was written before; after an error nothing is written."""
        if self._error is None:
            self._rest += data
            self._push()
        if self._rest:
            try:
                self._reactor.addWriter(self)
            except OSError as error:  # it was closed, and now it is the reactor's own epoll
                self._fail(error)

    def drain(self) -> Deferred[None]:
        """
        Fires when all is written; the rest is thrown away when it is cancelled.

        Raises:
            OutputClosedError: In the Deferred: nobody reads any more.
            LocalError: In the Deferred: it can't be written, as on a full disk.
        """
        if self._error is not None:
            return fail(self._error)
        if not self._rest:
            return succeed(None)
        self._drained = Deferred(self._stop)
        return self._drained

    def doWrite(self) -> None:
        """There is room."""
        self._push()
        if not self._rest:
            drained = self._drained
            self._stop(drained)
            if drained is not None:
                drained.callback(None if self._error is None else Failure(self._error))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave up watching: whoever read is gone, and writing shows it."""
        self.doWrite()

    def fileno(self) -> int:
        """What the reactor watches."""
        return self._fd

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "output"

    def _push(self) -> None:
        """Write what can be written without waiting."""
        try:
            while self._rest and select.select((), (self._fd,), (), 0)[1]:
                del self._rest[: os.write(self._fd, self._rest[: select.PIPE_BUF])]
        except BlockingIOError:  # somebody else's O_NONBLOCK, and less room than was promised
            return
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Nothing can be written from now on."""
        self._error = LocalError(f"standard output can't be written: {error.strerror}")
        if isinstance(error, BrokenPipeError):
            self._error = OutputClosedError()
        self._rest.clear()

    def _stop(self, drained: Deferred[None] | None) -> None:
        """Write no more of what there is."""
        self._drained = None
        self._rest.clear()
        self._reactor.removeWriter(self)
