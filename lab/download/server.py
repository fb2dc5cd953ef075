"""
The answering side: a core for each connection, which answers in order.

Knows no transport and no threads. What can be told from memory, or by opening a file, is told at
once. To hash a file or to list a directory takes time: the core asks for that by an event, and
gets the answer by a verb. Until then the lines behind it wait, as they do while a file is sent.

Bytes of files are held to the rates of the server; see `lab.download.booking`.
"""

import math
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from lab.core import Body, Broken, Finished, Left, Part
from lab.download.answers import AGAIN, refusal
from lab.download.booking import Booking
from lab.download.digests import Digests
from lab.download.files import Files, matching
from lab.download.kinds import SHA256, chosen
from lab.download.listings import Listing
from lab.download.meter import Meter
from lab.download.sending import DigestSending, FileSending, Sending, TextSending
from lab.download.shared import Shared, Transfer
from lab.download.wire import (
    LIMIT,
    Busy,
    Content,
    Entries,
    Get,
    Hashes,
    List,
    Quit,
    Refused,
    Request,
    Stat,
    Working,
    encode,
    piece_size,
    read_request,
)
from lab.errors import LabError

#: A batch is left when it has had so many lines: each may open a file.
LINES = 64
#: A client that waits for a file to be hashed is told how far that is, in seconds.
NEWS = 1.0


@frozen
class Wanted:
    """
    The event by which a core asks for what takes time.

    Args:
        request: What was asked: a list, or something that takes digests.
        tag: The version of the file that is there now.
        kind: Of the digests of its pieces; empty if any will do.
    """

    request: List | Stat | Hashes
    tag: str = ""
    kind: str = SHA256


@define(eq=False)
class DownloadServerCore:
    """
    Answers the lines of one connection.

    Args:
        files: What is served.
        now: When the peer came, in seconds.
        shared: What all cores of a server share.
        address: Of the peer, as far as limits for one address go.

    Attributes:
        requests: Lines that were answered.
        volume: Bytes of files that were sent.
    """

    _files: Files
    _now: float
    shared: Shared = field(factory=Shared)
    _address: str = ""
    requests: int = field(init=False, default=0)
    volume: int = field(init=False, default=0)
    #: What is asked for elsewhere, how far that is, and when the client was told.
    _wanted: List | Stat | Hashes | None = field(init=False, default=None)
    _working: Working = field(init=False, default=Working(0, 0))
    _told: float = field(init=False, default=0.0)
    #: What is sent; whether the transport has it as a body; when it is looked at otherwise.
    _sending: Sending | None = field(init=False, default=None)
    _pulled: bool = field(init=False, default=False)
    _wake: float = field(init=False, default=0.0)
    #: What may be sent of the bytes that are being sent.
    _booking: Booking = field(init=False)
    _began: float = field(init=False, default=0.0)
    _meter: Meter = field(init=False)
    _finished: bool = field(init=False, default=False)
    _outgoing: list[Any] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Nothing is sent yet."""
        self._meter = Meter(self._now)
        self._booking = Booking(self.shared, self._address)

    def message(self, data: bytes, now: float) -> None:
        """Answer one line, of a peer whose answers have all been sent."""
        self.messages([data], now)

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """Answer as many of these lines as one turn should; returns how many."""
        taken = 0
        while taken < min(len(batch), LINES) and not (self.busy() or self._finished):
            self._now = now
            self._answer(batch[taken], now)
            taken += 1
        return taken

    def refuse(self, text: str) -> None:
        """Let the peer go at once; it may come again."""
        self._say(Busy(AGAIN, text))
        self._finish(Finished(text))

    def progress(self, working: Working) -> None:
        """How far it is what was wanted."""
        self._working = working

    def answer(self, found: Digests | Listing | Refused | Busy, now: float) -> None:
        """What was wanted is there."""
        request, self._wanted, self._now = self._wanted, None, now
        if request is not None:
            self._tell(request, found)

    def busy(self) -> bool:
        """Whether an answer is on its way that the next has to wait for."""
        return self._sending is not None or self._wanted is not None

    def doing(self) -> str:
        """What the peer waits for, in words; empty for nothing."""
        if isinstance(self._sending, FileSending):
            return f"get {self._sending.name}"
        return "" if self._wanted is None else encode(self._wanted).decode()

    def transfer(self, client: int, now: float) -> Transfer | None:
        """The file that is on its way, if one is, to the client with this number."""
        sending = self._sending
        if not isinstance(sending, FileSending):
            return None
        return Transfer(
            client,
            sending.name,
            sending.file.size,
            sending.offset,
            sending.length,
            sending.length - sending.left,
            self._meter.rate(now),
            self._began,
        )

    def read(self, size: int, now: float) -> bytes:
        """Of what is sent, the next: the core is the body of its own answers."""
        self._pulled = False
        sending = self._sending
        if sending is None or not sending.left:
            self._end()
            return b""
        self._now = now
        allowed = self._booking.allowed(sending.left, now)
        if not allowed:
            self._wake = self._booking.due
            return b""
        data = self._read(sending, min(size, allowed))
        if data:
            self._pulled = True
            self._took(len(data), now)
            if isinstance(sending, FileSending):
                self.shared.counters.read_bytes += len(data)
        return data

    def part(self, now: float) -> Part | None:
        """Of a file that the system knows, what may be sent now."""
        sending = self._sending
        if not isinstance(sending, FileSending) or not sending.left:
            return None
        fd = sending.file.fileno()
        if fd is None:
            return None
        allowed = self._booking.allowed(sending.left, now)
        return Part(fd, sending.at(), allowed) if allowed else None

    def sent(self, size: int, now: float) -> None:
        """The system has sent so many bytes of the file."""
        sending = self._sending
        if sending is not None:
            sending.left -= size
            self._now = now
            self._took(size, now)
            self.shared.counters.system_bytes += size

    def tick(self, now: float) -> None:
        """There is news, or bytes may be sent, or the peer was idle for too long."""
        if self._wanted is not None:
            self._told = now
            self._say(self._working)
        elif self._sending is not None and not self._pulled:
            self._pull()
        else:
            idle = f"{self.shared.settings.idle:g} s"
            self._finish(Finished(f"nothing was asked or taken for {idle}"))

    def close(self, now: float) -> None:
        """The peer is gone, and what is on its way with it."""
        self._wanted = None
        self._end()
        self._finished = True

    def outgoing(self) -> list[bytes | Body]:
        """The replies; the last may be the core, as the body of what is sent."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """`Wanted`, and how the connection has to end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When there is news, when bytes may be sent, or when the peer will have been idle."""
        if self._finished:
            return None
        if self._wanted is not None:
            return None if isinstance(self._wanted, List) else self._told + NEWS
        if self._sending is not None and not self._pulled:
            return self._wake
        idle = self.shared.settings.idle
        return None if idle == math.inf else self._now + idle

    def _answer(self, line: bytes, now: float) -> None:
        """Answer one line, or begin to."""
        self.shared.counters.requests += 1
        self.requests += 1
        if len(line) > LIMIT:
            self._say(Refused(413, f"the line is too long; give at most {LIMIT:,} bytes"))
            self._finish(Finished(f"a line of more than {LIMIT:,} bytes"))
            return
        try:
            request = read_request(line)
            if isinstance(request, Get):
                self._get(request, now)
            elif isinstance(request, Quit):
                self._finish(Left("it said quit"))
            else:
                self._want(request, now)
        except (LabError, OSError) as error:
            self._say(refusal(error))

    def _want(self, request: List | Stat | Hashes, now: float) -> None:
        """Answer from memory, or ask for what takes time."""
        if isinstance(request, List):
            matching(request.glob)
            wanted = Wanted(request)
        else:
            file = self._files.open(request.name)
            file.close()
            kind = _kind(request, file.size)
            found = self.shared.cache.find(request.name, file.tag, kind)
            if found is not None:
                self._tell(request, found)
                return
            wanted = Wanted(request, file.tag, kind)
            self._working = Working(0, file.size)
        self._wanted, self._told = request, now
        self._events.append(wanted)

    def _tell(self, request: Request, found: Digests | Listing | Refused | Busy) -> None:
        """Answer with what was found."""
        if isinstance(found, Refused | Busy):
            self._say(found)
        elif isinstance(found, Listing):
            self._say(Entries(found.count))
            self._send(TextSending(found.lines))
        elif isinstance(request, Stat):
            self._say(found.status())
        else:
            self._say(found.hashed())
            self._send(DigestSending(found))

    def _get(self, request: Get, now: float) -> None:
        """Begin to send a file, or say why not."""
        places = self.shared.transfers
        full = places.refusal(self._address)
        if full is not None:
            self._say(Busy(AGAIN, full))
            return
        file = self._files.open(request.name)
        size, offset = file.size, request.offset
        if request.tag not in {"", file.tag}:
            file.close()
            self._say(Refused(409, f"the tag is {file.tag} now"))
        elif offset > size:
            file.close()
            self._say(Refused(300, f"offset is {offset}; give 0 to {size}, the size of the file"))
        else:
            length = size - offset if request.length is None else min(request.length, size - offset)
            places.begin(self._address)
            self.shared.counters.transfers += 1
            self._began, self._meter = now, Meter(now)
            self._say(Content(length, file.tag))
            self._send(FileSending(file, request.name, offset, length))

    def _send(self, sending: Sending) -> None:
        """Send something behind the line before."""
        self._sending = sending
        self._booking = Booking(self.shared, self._address)
        self._pull()

    def _pull(self) -> None:
        """Have the transport read what may be sent."""
        self._outgoing.append(self)
        self._pulled = True

    def _read(self, sending: Sending, size: int) -> bytes:
        """Read what is sent; without it the connection is of no use any more."""
        try:
            data = sending.read(size)
        except OSError as error:
            data, why = b"", error.strerror
        else:
            why = "it is shorter than it was"
        if not data:
            self.shared.counters.broken += 1
            self._events.append(Broken(f"{self.doing()} can't be read: {why}"))
            self._end()
            self._finished = True
        return data

    def _took(self, size: int, now: float) -> None:
        """So many bytes have gone to the transport."""
        self._booking.took(size)
        if isinstance(self._sending, FileSending):
            self.volume += size
            self._meter.add(size, now)

    def _say(self, reply: Any) -> None:
        """Send a line."""
        if isinstance(reply, Refused):
            self.shared.counters.refused += 1
        elif isinstance(reply, Busy):
            self.shared.counters.busy += 1
        self._outgoing.append(encode(reply))

    def _end(self) -> None:
        """Nothing is sent any more."""
        sending, self._sending = self._sending, None
        self._pulled = False
        if sending is not None:
            sending.close()
        if isinstance(sending, FileSending):
            self.shared.counters.sent += not sending.left
            self.shared.transfers.end(self._address)

    def _finish(self, event: Finished | Left) -> None:
        """The connection has to end."""
        self._end()
        self._finished = True
        self._events.append(event)


def _kind(request: Stat | Hashes, size: int) -> str:
    """Of which kind the digests of pieces have to be; empty if any will do."""
    if size <= piece_size(size):
        return SHA256  # of the one piece there is it is that of the file, which is computed anyway
    return chosen(request.kinds) if isinstance(request, Hashes) else ""
