"""
The asking side of one connection to a download server. Knows no transport, no files and no pieces.

What comes is taken in chunks, however they were cut. Requests are answered in order, so any number
of them may be on the way; content is handed on as it comes, and is never put together here.

**Bounds.** Nothing that a server sends takes more memory than a line, or a list within its bounds;
content that nobody takes is not read (`hold`). Content for which the asker knows a place in a file
need not pass through here at all (`room`). Every time in which something is waited for ends:
who sends nothing for ``silence`` is given up, and so is who sends less than ``slowest`` bytes a
second. A line that is not ended is nothing. A server that says that it works is waited for, as long
as the work goes on: ``WORK`` bytes within ``PATIENCE`` silences, and `LONGEST` in all.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen

from lab.core import Part
from lab.download.kinds import SHA256
from lab.download.names import WrongName, check
from lab.download.outcomes import Broken, Cut, Stalled
from lab.download.settings import ClientSettings
from lab.download.wire import (
    LIMIT,
    Busy,
    Content,
    Entry,
    Get,
    Hashed,
    Refused,
    Request,
    Status,
    WireError,
    Working,
    encode,
    read_digest,
    read_entry,
    read_reply,
)
from lab.errors import LabError, NoAnswer, Unreachable
from lab.units import show_seconds

#: Most bytes of a list of files.
LISTED = 2**24
#: Who says that it works has to read so many bytes in so many times the silence.
WORK = 2**20
PATIENCE = 30
#: It is not waited for longer than this, in seconds, whatever it says.
LONGEST = 86_400.0
#: Most bytes that are read at once, and of a line that is there instead of the one before content.
CHUNK = 65_536
HEAD = 64
#: A timer that comes so late, in seconds, says that we were not running: what waits to be read is
#: looked at before a silence is believed.
STALL = 0.1


#: Says where in a file the next content of the answer with this number belongs; None if it has no
#: such place, and is to be given.
Into = Callable[[int], Part | None]


@frozen
class Digests:
    """
    The list of a file's pieces.

    Args:
        size: Of the file, in bytes.
        tag: Of this version of it, on this server.
        piece: Bytes of each but the last.
        digests: Of each, one behind the other.
        kind: Of these.
    """

    size: int
    tag: str
    piece: int
    digests: bytes = field(repr=False)
    kind: str = SHA256


@frozen
class Answered:
    """
    A request has its answer.

    Args:
        number: Of the request.
        value: A tuple of entries, the status, digests, a refusal, or that the server is busy; None
            behind the last byte of content.
    """

    number: int
    value: tuple[Entry, ...] | Status | Digests | Refused | Busy | None


@frozen
class Data:
    """Some content, behind what came of it before."""

    number: int
    data: bytes = field(repr=False)


@frozen
class Placed:
    """So many bytes of content are in their file, behind what came of it before."""

    number: int
    size: int


@frozen
class Misplaced:
    """The file did not take content, and that is lost: this is the last event."""

    number: int
    error: OSError


@frozen
class Failed:
    """There is no way to the server any more, or it said nonsense: this is the last event."""

    error: LabError


@define
class _Asked:
    """A request on its way, and what came of its answer so far."""

    number: int
    request: Request
    into: Into | None = None
    entries: list[Entry] = field(factory=list)
    listed: int = 0
    hashed: Hashed | None = None
    digests: bytearray = field(factory=bytearray)
    #: The server had read so many bytes at that time, in seconds.
    worked: int = 0
    since: float | None = None
    began: float = 0.0


@define(eq=False)
class DownloadClientCore:
    """
    Keeps any number of requests on the way, and gives what is answered, in order.

    Args:
        settings: Of the client.

    Attributes:
        heard: Whether the server has said anything.
        over: Whether there will be no more events.
    """

    settings: ClientSettings
    heard: bool = field(init=False, default=False)
    over: bool = field(init=False, default=False)
    _open: bool = field(init=False, default=False)
    _held: bool = field(init=False, default=False)
    _numbers: int = field(init=False, default=0)
    _asked: deque[_Asked] = field(init=False, factory=deque)
    #: Bytes of content and lines of a list that are to come, and a line that has no end yet.
    _content: int = field(init=False, default=0)
    _lines: int = field(init=False, default=0)
    _line: bytes = field(init=False, default=b"")
    #: When the silence is too long, and what came since that was last put off, in bytes.
    _due: float = field(init=False, default=math.inf)
    _came: float = field(init=False, default=0.0)
    _late: bool = field(init=False, default=False)
    _outgoing: list[bytes] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    @property
    def waiting(self) -> int:
        """Whether a connection is needed: 0 if not."""
        return int(not self.over)

    @property
    def opened(self) -> bool:
        """Whether there was a connection."""
        return self._open

    @property
    def asked(self) -> int:
        """How many requests are on the way."""
        return len(self._asked)

    def ask(self, request: Request, now: float, into: Into | None = None) -> int:
        """
        Ask.

        Args:
            request: What for.
            now: The time, in seconds.
            into: Says where the content belongs.

        Returns:
            The number that the answer will have.
        """
        self._numbers += 1
        if not self._asked and self._open:
            self._alive(now)
        self._asked.append(_Asked(self._numbers, request, into))
        if self._open:
            self._outgoing.append(encode(request) + b"\n")
        return self._numbers

    def open(self, now: float) -> None:
        """There is a connection: ask what waits."""
        self._open = True
        self._alive(now)
        self._outgoing += [encode(asked.request) + b"\n" for asked in self._asked]

    def message(self, data: bytes, now: float) -> None:
        """A chunk of what the server says."""
        self.heard, self._late = True, False
        start = 0
        while start < len(data) and not self.over:
            take = self._take if self._content else self._read
            start = take(data, start, now)

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """The same; one chunk at a time, because each may have to wait."""
        if self._held:
            return 0
        self.message(batch[0], now)
        return 1

    def room(self) -> Part | None:
        """Where the content belongs that comes next, if it need not be seen here."""
        if not self._content or self._held or self.over:
            return None
        part = self._place()
        if part is None or part.size <= self._content:
            return part
        return Part(part.fd, part.offset, self._content)

    def ahead(self) -> int:
        """How many bytes are to be read at once, at most, while there is no such `room`."""
        if self._held or self._place() is None:
            return CHUNK
        request: Any = self._asked[0].request
        # The line before content is known, so that none of that is read with it.
        line = len(encode(Content(request.length or 0, request.tag))) + 1
        return line - len(self._line) if len(self._line) < line else HEAD

    def placed(self, size: int, now: float) -> None:
        """So many bytes of content have come, and are where `room` said."""
        self.heard, self._late = True, False
        self._content -= size
        self._events.append(Placed(self._asked[0].number, size))
        self._progress(size, now)
        if not self._content:
            self._done(None, now)

    def misplaced(self, error: OSError, now: float) -> None:
        """They have come, and could not be put there."""
        self.over = True
        self._events.append(Misplaced(self._asked[0].number, error))

    def busy(self) -> bool:
        """Whether nobody takes content at present."""
        return self._held

    def hold(self, now: float) -> None:
        """Nobody takes content from now on, so nothing is read."""
        self._held = True

    def release(self, now: float) -> None:
        """Somebody does again."""
        self._held = False
        self._alive(now)
        # Nothing is said by this but that there is somebody to read for again.
        self._outgoing.append(b"")

    def tick(self, now: float) -> None:
        """The silence was too long; if we were not running, something may wait for us."""
        if now > self._due + STALL and not self._late:
            self._late, self._due = True, now + STALL
            return
        silence = show_seconds(self.settings.silence)
        came = f"only {self._came:,.0f} bytes" if self._came else "nothing"
        self._fail(Stalled(f"{came} came within {silence}"))

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """There is no connection any more, or there will be none."""
        self._fail(Cut(str(error)) if self._open else error)

    def close(self, now: float) -> None:
        """The peer is gone."""
        self.lost(Unreachable("the connection is lost"), now)

    def stop(self, now: float) -> None:
        """Nobody wants to know anything more."""
        self.over = True

    def outgoing(self) -> list[bytes]:
        """The requests to send, with their endings."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """`Answered`, `Data`, and at the end `Failed`."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When the silence is too long; who is not asked or not read cannot be silent."""
        if self.over or self._held or not self._open or not self._asked:
            return None
        return self._due

    def _place(self) -> Part | None:
        """Where the content of the next answer belongs."""
        asked = self._asked[0] if self._asked else None
        return None if asked is None or asked.into is None else asked.into(asked.number)

    def _take(self, data: bytes, start: int, now: float) -> int:
        """Take content; returns where it ends."""
        stop = min(start + self._content, len(data))
        taken = data[start:stop]  # the very chunk, if all of it is content
        self._content -= len(taken)
        self._events.append(Data(self._asked[0].number, taken))
        self._progress(len(taken), now)
        if not self._content:
            self._done(None, now)
        return stop

    def _read(self, data: bytes, start: int, now: float) -> int:
        """Take a line, or as much of it as there is; returns where it ends."""
        end = data.find(b"\n", start)
        stop = len(data) if end < 0 else end
        if len(self._line) + stop - start > LIMIT + 1:
            self._fail(Broken(f"a line of more than {LIMIT:,} bytes came"))
            return len(data)
        self._line += data[start:stop]
        if end < 0:
            return stop
        line, self._line = self._line.removesuffix(b"\r"), b""
        try:
            self._said(line, now)
        except WireError as error:
            self._fail(Broken(str(error)))
        except WrongName as error:
            self._fail(Broken(f"the list has a name that can't be: {error}"))
        return end + 1

    def _said(self, line: bytes, now: float) -> None:
        """A line."""
        if not self._asked:
            raise WireError(f"{line[:40]!r} came, and nothing was asked")
        asked = self._asked[0]
        if self._lines:
            self._listed(asked, line, now)
            return
        reply = read_reply(line, asked.request)
        if isinstance(reply, Working):
            self._work(asked, reply.done, now)
        elif isinstance(reply, Refused | Busy | Status):
            self._done(reply, now)
        elif isinstance(reply, Content):
            self._check(reply, asked.request, now)
        else:
            self._lines = reply.count
            if isinstance(reply, Hashed):
                asked.hashed = reply
            self._alive(now)
            if not reply.count:
                self._whole(asked, now)

    def _check(self, content: Content, request: Any, now: float) -> None:
        """Content follows: it has to be what was asked for."""
        wanted: Get = request
        if content != Content(wanted.length or 0, wanted.tag):
            raise WireError(
                f"{content.length:,} bytes of version {content.tag} came, and "
                f"{wanted.length or 0:,} of {wanted.tag} were asked for"
            )
        self._content = content.length
        if not content.length:
            self._done(None, now)

    def _work(self, asked: _Asked, done: int, now: float) -> None:
        """The server works, if it is not only saying so."""
        if asked.since is None:
            asked.began = now
        if asked.since is None or done >= asked.worked + WORK:
            asked.worked, asked.since = done, now
        if now < min(asked.since + PATIENCE * self.settings.silence, asked.began + LONGEST):
            self._alive(now)

    def _listed(self, asked: _Asked, line: bytes, now: float) -> None:
        """A line of a list."""
        if asked.hashed is not None:
            asked.digests += read_digest(line)
        else:
            asked.listed += len(line)
            if asked.listed > LISTED:
                raise WireError(f"the list of files has more than {LISTED:,} bytes")
            entry = read_entry(line)
            check(entry.name, recursive=True, hidden=True)
            asked.entries.append(entry)
        self._lines -= 1
        self._progress(len(line), now)
        if not self._lines:
            self._whole(asked, now)

    def _whole(self, asked: _Asked, now: float) -> None:
        """A list is whole."""
        if asked.hashed is None:
            self._done(tuple(asked.entries), now)
        else:
            found, digests = asked.hashed, bytes(asked.digests)
            self._done(Digests(found.size, found.tag, found.piece, digests, found.kind), now)

    def _done(self, value: Any, now: float) -> None:
        """A request has its answer."""
        self._events.append(Answered(self._asked.popleft().number, value))
        self._alive(now)

    def _progress(self, size: int, now: float) -> None:
        """So many bytes came; if that is enough, the silence begins anew."""
        self._came += size
        if self._came >= self.settings.slowest * self.settings.silence:
            self._alive(now)

    def _alive(self, now: float) -> None:
        """The silence begins anew."""
        self._due, self._came = now + self.settings.silence, 0.0

    def _fail(self, error: LabError) -> None:
        """It is over."""
        if self.over:
            return
        self.over = True
        self._events.append(Failed(error))
