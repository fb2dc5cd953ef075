"""
Bytes of a connection that go to a file, without being looked at on their way.

Knows no protocol: any program on Twisted that knows how many bytes of a file come next can have
them put there (`Sink`).

**What it must do.** Put bytes from a socket into a file with as little work as the system can do it
with. Let other connections have their turns. Where it can't be done, nothing is different.

**How it does it.** Linux moves what is in a socket to a pipe, and from there to the file
(``os.splice``): the bytes are copied once, and Python sees only how many they were. A wake-up
moves at most what the pipe holds, 1 MiB, and all of it: nothing is left in the pipe between two
wake-ups, so it is borrowed for each (`lab.adapters.splice.Pipes`), and few serve any number of
connections. Whatever is not content is read in the usual way, a few bytes at a time if content
stands behind it. Back pressure is the transport's own: who pauses
it is not called. A file system that does not take bytes from a pipe has them written to it.

**What was refused.** A second descriptor of the socket, with a reader of our own: it has to be
stopped and ended beside the transport, in the right order, and finds errors that the transport does
not hear of. So the transport stays what the reactor calls; only its ``doRead`` is ours. Unix
sockets, which may bring descriptors, and TLS, of which every byte has to be seen.
"""

import errno
import os
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection

from lab.adapters.splice import FULL, PIPES, Pipe, Pipes
from lab.adapters.transports import is_tcp
from lab.core import Part

#: Most bytes of one wake-up.
CALL = 2**20
#: The system can't move bytes out of this socket.
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class Sink(Protocol):
    """Who knows what comes on a connection."""

    def room(self) -> Part | None:
        """
        Where the bytes that come next belong; asked before each wake-up.

        Returns:
            None: they are to be read, and given to the protocol.
        """

    def ahead(self) -> int:
        """Most bytes that are read at once while there is no `room`; more than 0."""

    def placed(self, size: int) -> None:
        """So many bytes have come, and are in the file."""

    def failed(self, error: OSError) -> None:
        """Bytes have come, and the file did not take all of them: they are lost."""


@define(eq=False)
class FileReceiver:
    """
    Puts what comes on one connection into files.

    Args:
        transport: Of Twisted's, over TCP.
        sink: Knows where bytes belong.
        pipes: Where to borrow one.
    """

    _transport: Any
    _sink: Sink
    _pipes: Pipes = PIPES
    _usual: Callable[[], Any] = field(init=False)
    _able: bool = field(init=False, default=True)

    def begin(self) -> None:
        """Read for the transport from now on."""
        self._usual = self._transport.doRead
        self._transport.doRead = self._read

    def end(self) -> None:
        """The transport reads for itself again."""
        self._transport.__dict__.pop("doRead", None)

    def _read(self) -> Any:
        """There is something to read; see ``IReadDescriptor``."""
        part = self._sink.room() if self._able else None
        if part is None:
            return self._as_usual(self._sink.ahead() if self._able else FULL)
        pipe = self._pipes.take()
        if pipe is None:
            return self._as_usual(FULL)
        try:
            size = min(part.size, CALL, pipe.size)
            came = os.splice(self._transport.fileno(), pipe.entry, size, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            self._pipes.give(pipe)
            return self._failed(error)
        if not came:
            self._pipes.give(pipe)
            return self._as_usual(FULL)  # which finds the end, too
        self._place(pipe, part, came)
        return None

    def _as_usual(self, most: int) -> Any:
        """Read so many bytes for the protocol, at most."""
        self._transport.bufferSize = most
        return self._usual()

    def _failed(self, error: OSError) -> Any:
        """Nothing could be read."""
        if isinstance(error, BlockingIOError):
            return None
        if error.errno not in _CANNOT:
            return CONNECTION_LOST
        self._able = False
        return self._as_usual(FULL)

    def _place(self, pipe: Pipe, part: Part, size: int) -> None:
        """Put what is in the pipe into the file."""
        try:
            _empty(pipe.exit, part, size)
        except OSError as error:
            self._pipes.drop(pipe)
            self._sink.failed(error)
        else:
            self._pipes.give(pipe)
            self._sink.placed(size)


def _empty(pipe: int, part: Part, size: int) -> None:
    """Put all that is in a pipe into the file, or fail."""
    at, stop = part.offset, part.offset + size
    try:
        while at < stop:
            at += os.splice(pipe, part.fd, stop - at, offset_dst=at)
    except OSError:
        # Whether it is the file system that can't do this, or the disk that is full, writing tells.
        while at < stop:
            data = memoryview(os.read(pipe, stop - at))
            while data:
                wrote = os.pwrite(part.fd, data, at)
                at, data = at + wrote, data[wrote:]


def file_receiver(transport: Any, sink: Sink) -> FileReceiver | None:
    """
    What puts bytes that come on a connection into files; None where that can't be.

    Args:
        transport: Of a protocol that is connected.
        sink: Knows where bytes belong.
    """
    if (
        hasattr(os, "splice")
        and isinstance(transport, Connection)
        and is_tcp(transport)
        and not ISSLTransport.providedBy(transport)
    ):
        return FileReceiver(transport, sink)
    return None
