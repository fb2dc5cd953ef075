"""
The receiving side of a file over a connection. Knows no transport.

What comes is taken in chunks, however they were cut: a line, the characters, their end, the
SHA-256. Each character is held against the file before it is handed on.
"""

import math
from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field

from lab.echo.attempts import Patience
from lab.echo.operation import Operation
from lab.echo.outcomes import (
    Broken,
    Characters,
    Cut,
    Received,
    Rejected,
    Stalled,
    WrongData,
)
from lab.echo.pattern import first_difference
from lab.echo.sums import Sum
from lab.echo.wire import Busy, Digest, File, Ready, Refused, WireError, encode, read_reply
from lab.errors import NoAnswer, Unreachable
from lab.units import show_seconds

#: Most bytes of a line; those that a server says are much shorter.
LINE = 1024


@define(eq=False, kw_only=True)
class FileClientCore(Operation):
    """
    Receives a part of a file, in order.

    While characters are not taken it is busy (`lab.core.BusyCore`), and nothing more is read.

    Args:
        wanted: What is asked for, with its id.
    """

    wanted: File
    _held: bool = field(init=False, default=False)
    #: Of a server that is too busy, and whether it is not yet asked again.
    _patience: Patience = field(init=False, factory=Patience)
    _waiting: bool = field(init=False, default=False)
    #: The characters before this offset came, and so many are to come.
    _next: int = field(init=False)
    _left: int = field(init=False, default=0)
    #: Whether the server has said that they come, and that they have ended.
    _begun: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)
    _line: bytes = field(init=False, default=b"")
    _sum: Sum = field(init=False)
    _now: float = field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        """Where it begins."""
        self._next = self.wanted.offset
        self._sum = Sum(self.wanted.seed, self.wanted.offset, self.wanted.length)

    def open(self, now: float) -> None:
        """There is a connection: ask."""
        self._asked = now
        self._ask(now)

    def message(self, data: bytes, now: float) -> None:
        """A chunk of what the server says."""
        self.heard, self._now = True, now
        self._due = now + self.settings.silence
        while data and not self.over:
            data = self._characters(data) if self._left else self._words(data)

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """The same; one chunk at a time, because each may have to wait."""
        if self._held:
            return 0
        self.message(batch[0], now)
        return 1

    def busy(self) -> bool:
        """Whether nobody takes characters at present."""
        return self._held

    def hold(self, now: float) -> None:
        """Nobody takes characters from now on."""
        self._held = True

    def release(self, now: float) -> None:
        """Somebody does again."""
        self._held = False
        self._due = now + self.settings.silence
        # Nothing is said by this but that there is somebody to read for again.
        self._outgoing.append(b"")

    def tick(self, now: float) -> None:
        """The silence was too long."""
        if not self._is_due(now):
            return
        if self._waiting:
            self._ask(now)
        else:
            text = f"nothing came for {show_seconds(self.settings.silence)}"
            self._fail(Stalled(text, self.so_far()) if self._begun else NoAnswer(text))

    def _ask(self, now: float) -> None:
        """Ask for it, now or again."""
        self._waiting = False
        self._due = now + self.settings.silence
        self._say(encode(self.wanted) + b"\n")

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """There is no connection any more, or there will be none."""
        self._now = max(self._now, now)
        self._fail(Cut(str(error), self.so_far()) if self._begun else error)

    def stop(self, now: float) -> None:
        """Nobody wants the rest."""
        self.over = True
        self._go()

    def deadline(self) -> float | None:
        """When the silence is too long; who is not read cannot be silent."""
        if self.over or self._held or self._due == math.inf:
            return None
        return self._due

    def so_far(self) -> Received:
        """What is there."""
        wanted = self.wanted
        stop = wanted.offset + wanted.length
        missing = ((self._next, stop),) if self._next < stop else ()
        return Received(
            wanted.offset,
            wanted.length,
            missing,
            None if missing else self._sum.hexdigest(),
            confirmed=False,
            seconds=self._now - self._asked,
        )

    def _characters(self, data: bytes) -> bytes:
        """Take what belongs to the file; returns what is behind it."""
        piece = data if len(data) <= self._left else data[: self._left]
        rest = data[len(piece) :]
        wrong = first_difference(self.wanted.seed, self._next, piece)
        if wrong is not None:
            piece = piece[: wrong - self._next]
        if piece:
            self._sum.update(piece)
            self._events.append(Characters(self._next, piece))
            self._next += len(piece)
            self._left -= len(piece)
        if wrong is not None:
            text = f"character {wrong:,} is not that of the file"
            self._fail(WrongData(text, self.so_far()))
        return rest

    def _words(self, data: bytes) -> bytes:
        """Take a line, or as much of it as there is; returns what is behind it."""
        line, ending, rest = data.partition(b"\n")
        self._line += line
        if len(self._line) > LINE:
            self._break(f"a line of more than {LINE:,} bytes")
        elif ending:
            line, self._line = self._line.removesuffix(b"\r"), b""
            self._said(line)
        return rest

    def _said(self, line: bytes) -> None:
        """A line."""
        if self._begun and not self._closed and not line:
            self._closed = True
            return
        try:
            reply: Any = read_reply(line)
        except WireError as error:
            self._break(str(error))
            return
        if reply.id == self.wanted.id and self._closed and isinstance(reply, Digest):
            self._compare(reply)
        elif reply.id == self.wanted.id and not self._begun and isinstance(reply, Ready):
            self._ready(reply)
        elif reply.id == self.wanted.id and not self._begun and isinstance(reply, Refused | Busy):
            self._refused(reply)
        else:
            self._break(f"not in its place: {line[:40]!r}")

    def _refused(self, reply: Refused | Busy) -> None:
        """The server does not do it, or not now: then it is asked again when it has said."""
        wait = self._patience.wait(reply.wait_ms) if isinstance(reply, Busy) else None
        if wait is None:
            self._fail(Rejected(reply))
        else:
            self._waiting, self._due = True, self._now + wait

    def _ready(self, ready: Ready) -> None:
        """Characters follow."""
        if ready.length != self.wanted.length or ready.piece is not None:
            self._break(f"{ready.length:,} characters come, not {self.wanted.length:,}")
        self._begun, self._left = True, ready.length

    def _compare(self, digest: Digest) -> None:
        """All is there."""
        ours = self.so_far()
        if ours.sha256 == digest.sha256:
            self._end(evolve(ours, confirmed=True))
            self._go()
        else:
            self._fail(WrongData("the server's SHA-256 is another", ours))

    def _break(self, text: str) -> None:
        """What is not in the protocol."""
        self.traffic.malformed += 1
        self._fail(Broken(text, self.so_far() if self._begun else None))

    def _fail(self, error: Exception) -> None:
        """It has failed."""
        self._end(error)
        self._go()
