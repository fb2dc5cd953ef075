"""
Bytes that the system moves from one connection to another by itself.

Knows no protocol: any program on Twisted can use it that hands on what it receives as it is.

**What it must do.** Relay what comes in at one connection to another as fast as the system can,
without copying it to the program, and be stopped at any moment with no byte lost, twice or out of
order. Let other connections have their turns. A reader that stalls must cost bounded memory. Where
it can't be done, say so; then bytes go the ordinary way.

**What it may assume.** The program looks at no byte, and writes nothing else to the sink meanwhile.

**How it does it.** ``splice(2)`` moves bytes between a socket and a pipe, so a pipe is between the
two. It stands in for the ``doRead`` of the source's transport: once for each event, and nothing is
read while the pipe has something in it. What the sink does not take at once stays in the pipe, and
that is as if the sink's transport were full: its producer is paused, and resumed when there is
room. Ends, errors and whatever is not the plain case (the sink has something queued, is being
closed or aborted, TLS, no pipe is to be had) are left to Twisted's transports, in that very event.

A pipe is borrowed for an event and kept only while there is something in it, so a few serve any
number of connections. Linux gives users without privileges 64 pipes of a MiB, and then very small
ones, see pipe(7); those are not used.

**What was refused.** To splice whatever comes: a chunk of few bytes takes longer through a pipe
than read and written. So a splice stops by itself when only little comes, and a program starts it
at a chunk of `FULL` bytes: then there is more where that came from. A pipe for each connection:
there are not enough.
"""

import contextlib
import os
from collections.abc import Callable
from errno import EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from zope.interface import implementer

from lab.adapters.transports import eager, is_idle

with contextlib.suppress(ImportError):  # not there on Windows, which has no such pipes either
    import fcntl

#: What Twisted reads at once, in bytes: who gets so much may expect more.
FULL = Connection.bufferSize
#: So much is little, in bytes; and after so many times of it in a row a splice stops.
LITTLE = FULL // 4
PATIENCE = 16

#: What a pipe should hold, in bytes: the most that Linux lets everybody have, pipe(7).
_SIZE = 2**20
#: With less a pipe is not worth its calls: what it has before anybody asks for more.
_WORTH = 2**16
#: After no pipe was to be had, so many requests are refused without asking again.
_PAUSE = 1000
#: What the system says where there is no such call for these sockets.
_UNABLE = {EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM}
#: Nothing blocks; no flags where there is no such call.
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if hasattr(os, "splice") else 0


def _uncounted(size: int) -> None:
    """Nobody counts."""


@define(eq=False)
class Pipe:
    """
    A pipe.

    Args:
        exit: Where bytes come out.
        entry: Where they are put in.
        size: How many fit in, in bytes.

    Attributes:
        inside: How many there are now.
    """

    exit: int
    entry: int
    size: int
    inside: int = 0

    def empty(self) -> bytes:
        """Give everything up."""
        found = []
        while self.inside:
            found.append(os.read(self.exit, self.inside))
            self.inside -= len(found[-1])
        return b"".join(found)

    def close(self) -> None:
        """Close both ends."""
        os.close(self.exit)
        os.close(self.entry)


def _pipe() -> Pipe | None:
    """A pipe as large as it may be; None if there is none that is worth it."""
    try:
        pipe = Pipe(*os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK), 0)
    except OSError:
        return None
    with contextlib.suppress(OSError):  # the user has enough of them already
        fcntl.fcntl(pipe.entry, fcntl.F_SETPIPE_SZ, _SIZE)
    pipe.size = fcntl.fcntl(pipe.entry, fcntl.F_GETPIPE_SZ)
    if pipe.size >= _WORTH:
        return pipe
    pipe.close()
    return None


@define(eq=False)
class Pipes:
    """
    Pipes that are shared by all who need one for a moment.

    Args:
        limit: Most that there are at a time.
        kept: So many of them are kept while nobody needs them.
    """

    limit: int = 32
    kept: int = 4
    _made: int = 0
    _free: list[Pipe] = field(factory=list)
    _pause: int = 0

    def take(self) -> Pipe | None:
        """One with nothing in it; None if there is none to be had."""
        if self._free:
            return self._free.pop()
        if self._pause:
            self._pause -= 1
        elif self._made < self.limit:
            made = _pipe()
            if made is not None:
                self._made += 1
                return made
            self._pause = _PAUSE
        return None

    def give(self, pipe: Pipe) -> None:
        """Give one back; there is nothing in it any more."""
        if len(self._free) < self.kept:
            self._free.append(pipe)
        else:
            self.drop(pipe)

    def drop(self, pipe: Pipe) -> None:
        """Close one that was taken, with what is in it."""
        self._made -= 1
        pipe.close()

    def close(self) -> None:
        """Close those that nobody needs."""
        while self._free:
            self._made -= 1
            self._free.pop().close()


#: Those of this process.
PIPES = Pipes()


@implementer(IPushProducer)
class Splice:
    """
    Moves what comes in at one connection to another; `splice` makes it where that can be.

    The sink must have a streaming producer: this, or one that calls `push` when it is resumed. Who
    closes the sink calls `stop` before.

    Args:
        source: The transport where bytes come in.
        sink: That where they go out.
        came: Called with how many have come in.
        left: Called with how many have gone out.
        pipes: Where to borrow one.
    """

    def __init__(
        self,
        source: Any,
        sink: Any,
        came: Callable[[int], None] = _uncounted,
        left: Callable[[int], None] = _uncounted,
        pipes: Pipes = PIPES,
    ) -> None:
        self._source, self._sink, self._pipes = source, sink, pipes
        self._came, self._left = came, left
        self._write = eager(sink)
        self._read = self._move
        self._pipe: Pipe | None = None
        self._little = 0
        self._paused = False

    @property
    def works(self) -> bool:
        """Whether bytes go this way now; if not, the source's protocol receives them."""
        return self._source.__dict__.get("doRead") is self._read

    def start(self) -> None:
        """Have bytes go this way from now on, as long as they are many."""
        # Twisted has something there while a connection is being made, and when it is aborted.
        if "doRead" not in self._source.__dict__:
            self._little = 0
            self._source.doRead = self._read

    def stop(self) -> None:
        """Have the source's protocol receive what comes; what is in the pipe is written before."""
        if self.works:
            del self._source.doRead
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            data = pipe.empty()
            self._pipes.give(pipe)
            self._left(len(data))
            self._write(data)

    def push(self) -> None:
        """Move on what is in the pipe; what the sink does not take has its producer paused."""
        pipe = self._pipe
        if pipe is None:
            return
        try:
            moved = os.splice(pipe.exit, self._sink.fileno(), pipe.inside, flags=_FLAGS)
        except BlockingIOError:
            moved = 0
        except OSError:
            self.stop()  # the transport finds the same, and knows what it means
            return
        if moved:
            pipe.inside -= moved
            self._left(moved)
        if not pipe.inside:
            self._pipe = None
            self._pipes.give(pipe)
        elif self._sink.producer is None:
            self.stop()  # there is nobody to be told when there is room
        else:
            self._wait()

    def pauseProducing(self) -> None:
        """The sink is full."""
        self._paused = True
        self._source.pauseProducing()

    def resumeProducing(self) -> None:
        """The sink has room."""
        self._paused = False
        self.push()
        if not self._paused:
            self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The sink is gone."""
        self.stop()

    def _move(self) -> Any:
        """Read once; Twisted's ``doRead``."""
        if self._pipe is not None:  # somebody reads though the sink is full
            self.push()
            return None
        pipe = self._pipes.take() if self._is_plain() else None
        if pipe is None:
            return self._as_usual()
        try:
            size = os.splice(self._source.fileno(), pipe.entry, pipe.size, flags=_FLAGS)
        except OSError as error:
            self._pipes.give(pipe)
            return self._failed(error)
        if not size:
            self._pipes.give(pipe)
            return self._as_usual()  # it is the end; what kind of end, Twisted knows
        pipe.inside = size
        self._pipe = pipe
        self._came(size)
        self.push()
        self._see(size)
        return None

    def _is_plain(self) -> bool:
        """Whether there is nothing about the two that Twisted would have to see to."""
        sink = self._sink
        return sink.producer is not None and not self._source.TLS and is_idle(sink)

    def _failed(self, error: OSError) -> Any:
        """Nothing could be read."""
        if isinstance(error, BlockingIOError):
            return None
        if error.errno not in _UNABLE:
            return CONNECTION_LOST
        self.stop()
        return self._as_usual()

    def _see(self, size: int) -> None:
        """See whether it is worth it."""
        self._little = 0 if size > LITTLE else self._little + 1
        if self._little >= PATIENCE and self._pipe is None:
            self.stop()

    def _as_usual(self) -> Any:
        """Read as the transport itself does."""
        return type(self._source).doRead(self._source)

    def _wait(self) -> None:
        """Have the sink resume its producer when there is room, as if it had something queued."""
        self._sink.producerPaused = True
        self._sink.startWriting()
        self._sink.producer.pauseProducing()


def splice(
    source: Any,
    sink: Any,
    came: Callable[[int], None] = _uncounted,
    left: Callable[[int], None] = _uncounted,
) -> Splice | None:
    """
    What moves bytes from one connection to another; None where that can't be.

    It works between TCP connections and Unix sockets of Twisted's, on Linux, without TLS.

    Args:
        source: The transport of the protocol that receives.
        sink: The transport to which that protocol writes.
        came: See `Splice`.
        left: Likewise.
    """
    plain = all(
        isinstance(one, Connection) and not ISSLTransport.providedBy(one) for one in (source, sink)
    )
    return Splice(source, sink, came, left) if plain and _FLAGS else None
