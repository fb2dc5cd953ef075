"""
Bytes of a connection that go to a file, without being looked at on their way.

Knows no protocol: any program on Twisted that knows how many bytes of a file come next can have
them put there (`Sink`).

**What it must do.** Put bytes from a socket into a file with as little work as the system can do it
with. Let other connections have their turns. Where it can't be done, nothing is different.

**How it does it.** Linux moves what is in a socket to a pipe, and from there to the file
(``os.splice``): the bytes are copied once, and Python sees only how many they were. A wake-up
moves at most 1 MiB, in as many steps as the pipe needs for what is there, for bytes of many small
packets fill it sooner. Nothing is left in the pipe between two wake-ups, so it is borrowed for each
(`lab.adapters.splice.Pipes`), and few serve any number of connections. Whatever is not content is
read in the usual way, a few bytes at a time if content stands behind it, and then the content in
the same wake-up. Back pressure is the transport's own, and the sink's: who pauses the transport is
not called, and has no room. A file system that does not take bytes from a pipe has them written to
it.

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
        Where the bytes that come next belong; asked at each wake-up, and behind what was read.

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
        if not self._able:
            return self._as_usual(FULL)
        part = self._sink.room()
        if part is None:
            ended = self._as_usual(self._sink.ahead())
            # What follows on a line is there with it, as a rule.
            part = None if ended is not None else self._sink.room()
            if part is None:
                return ended
        return self._move(part)

    def _as_usual(self, most: int) -> Any:
        """Read so many bytes for the protocol, at most."""
        self._transport.bufferSize = most
        return self._usual()

    def _move(self, part: Part) -> Any:
        """Put into the file what there is for it."""
        pipe = self._pipes.take()
        if pipe is None:
            return self._as_usual(FULL)
        most, moved, error = min(part.size, CALL), 0, None
        while moved < most:
            try:
                came = self._fill(pipe, most - moved)
            except OSError as found:
                error = found
                break
            if not came:
                break
            try:
                _empty(pipe, part, moved, came)
            except OSError as found:
                self._pipes.drop(pipe)
                self._sink.failed(found)
                return None
            moved += came
        self._pipes.give(pipe)
        return self._moved(moved, error)

    def _fill(self, pipe: Pipe, most: int) -> int:
        """Have the pipe take bytes; returns how many, 0 at the end of the stream."""
        size = min(most, pipe.size)
        return os.splice(self._transport.fileno(), pipe.entry, size, flags=os.SPLICE_F_NONBLOCK)

    def _moved(self, size: int, error: OSError | None) -> Any:
        """So many bytes are in the file, and perhaps there was an error behind them."""
        if size:
            self._sink.placed(size)
        if error is None:
            return None if size else self._as_usual(FULL)  # which finds the end, too
        if isinstance(error, BlockingIOError):
            return None
        if error.errno not in _CANNOT:
            return CONNECTION_LOST
        self._able = False
        return self._as_usual(FULL)


def _empty(pipe: Pipe, part: Part, done: int, size: int) -> None:
    """Put all that is in a pipe into the file, behind what was done of a part, or fail."""
    at = part.offset + done
    stop = at + size
    try:
        while at < stop:
            at += os.splice(pipe.exit, part.fd, stop - at, offset_dst=at)
    except OSError:
        # Whether it is the file system that can't do this, or the disk that is full, writing tells.
        while at < stop:
            data = memoryview(os.read(pipe.exit, stop - at))
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
