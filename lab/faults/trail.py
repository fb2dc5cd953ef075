"""
Which bytes inside a link faults have touched, and how, for a capture.

A trail runs beside a stage of `lab.faults.pipe`, whose bytes keep their order: it is told what
comes and how much leaves. It knows neither the bytes nor what the faults are.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Protocol as Interface

from attrs import define, field

from lab.faults.fault import Fault
from lab.faults.verdicts import Verdict
from lab.faults.words import Touch, Touched


class Watch(Interface):
    """Is told what becomes of the bytes of a stream."""

    #: Whether it also wants to know, for each byte, what was done to it.
    traces: bool

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """
        A fault has judged bytes, or done something with them that needs no decision.

        Args:
            fault: Which.
            done: The verdict; or a word for what needs none: ``dropped``, ``held back`` or
                ``sliced``.
            start: The number of the first byte, in the stream as it came to this fault. A loss
                judges each transmission, so it may judge bytes again.
            size: How many; 0 for the end of the stream.
        """

    def ended(self, fault: Fault) -> None:
        """A fault closes or resets the connection, behind what has left it so far."""


@define(eq=False)
class Chunk:
    """
    Bytes that have come into a link together.

    Attributes:
        touched: What has been done to them so far, and to which.
        late: Takes what is done to them from now on; it is not kept here then.
    """

    touched: list[Touched] = field(factory=list)
    late: Callable[[Touched], object] | None = None

    def touch(self, touched: Touched) -> None:
        """Something is done to some of them."""
        if self.late is not None:
            self.late(touched)
        else:
            self.touched.append(touched)


@define(eq=False)
class Piece:
    """
    Bytes of one chunk to which the same has been done.

    Args:
        size: How many.
        chunk: With which they have come.
        at: Where in the chunk they begin.
        touches: What has been done to these, and to no others that came with them.
    """

    size: int
    chunk: Chunk
    at: int = 0
    touches: tuple[Touch, ...] = ()

    def touch(self, touch: Touch) -> None:
        """Something is done to them."""
        self.touches += (touch,)
        self.chunk.touch((self.at, self.at + self.size, touch))

    def cut(self, size: int) -> "Piece":
        """Take the first so many bytes out of it."""
        first = Piece(size, self.chunk, self.at, self.touches)
        self.at += size
        self.size -= size
        return first


@define(eq=False)
class Trail:
    """
    The bytes inside one stage; a `Watch` that hands on what it is told.

    A stage keeps their order, drops nothing but the last of those that have come, and joins none.

    Args:
        watch: Who else is told.
        end: Takes what is done to the end of the stream.
    """

    traces = True

    _watch: Watch
    _end: list[Touch]
    #: The pieces in order, and the number of the first byte of each, as this stage counts.
    _pieces: deque[Piece] = field(init=False, factory=deque)
    _starts: deque[int] = field(init=False, factory=deque)
    _came: int = field(init=False, default=0)
    _inside: int = field(init=False, default=0)

    def come(self, piece: Piece) -> None:
        """Bytes come."""
        self._pieces.append(piece)
        self._starts.append(self._came)
        self._came += piece.size
        self._inside += piece.size

    def keep(self, size: int) -> None:
        """The stage has so many bytes; if it has dropped some, then those that came last."""
        while self._inside > size:
            piece = self._pieces[-1]
            gone = min(piece.size, self._inside - size)
            piece.size -= gone
            self._inside -= gone
            if not piece.size:
                self._pieces.pop()
                self._starts.pop()

    def leave(self, size: int) -> Piece:
        """
        The first bytes leave.

        Args:
            size: How many; they are of one piece.
        """
        self._inside -= size
        piece = self._pieces[0]
        if piece.size > size:
            self._starts[0] += size
            return piece.cut(size)
        self._starts.popleft()
        return self._pieces.popleft()

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """Note what is no delivery as usual, and on which bytes; see `Watch`."""
        if not size:
            self._end.append((fault, done))
        elif isinstance(done, str):
            self._touch((fault, done), start, start + size)
        elif done.kind != "deliver":
            # What is before a cut goes on as if nothing were.
            self._touch((fault, done), start + (done.cut or 0), start + size)
        self._watch.judged(fault, done, start, size)

    def ended(self, fault: Fault) -> None:
        """Hand it on."""
        self._watch.ended(fault)

    def _touch(self, touch: Touch, begin: int, end: int) -> None:
        """Something is done to these bytes, and not to others of the same piece."""
        index = bisect_right(self._starts, begin) - 1
        if self._starts[index] < begin:
            self._split(index, begin)
            index += 1
        while index < len(self._pieces) and self._starts[index] < end:
            if self._starts[index] + self._pieces[index].size > end:
                self._split(index, end)
            self._pieces[index].touch(touch)
            index += 1

    def _split(self, index: int, at: int) -> None:
        """Make two pieces of one."""
        start = self._starts[index]
        self._pieces.insert(index, self._pieces[index].cut(at - start))
        self._starts.insert(index + 1, at)
