"""
A part of a file that comes in pieces: what is there, what is missing, and its SHA-256.

Knows no protocol but the pieces, and no time.
"""

from collections.abc import Iterator

from attrs import define, field

from lab.echo.outcomes import Received
from lab.echo.pattern import chunks, first_difference
from lab.echo.ranges import Ranges
from lab.echo.sums import Sum
from lab.echo.wire import Data, File

#: What is missing is one gap if no more than so many characters are between.
NEAR = 4096
#: A gap has no more than so many characters: a receive buffer holds them.
PART = 65_536
#: So many parts are known apart; a piece that would make one more is passed over.
PARTS = 65_536
#: So many different SHA-256 of a server's are kept.
DIGESTS = 8


@define(eq=False)
class Assembly:
    """
    Takes pieces in any order, and more than once.

    Args:
        wanted: The part that is to come.

    Attributes:
        duplicates: Pieces that brought nothing new.
        damaged: Pieces that are not of the part, or not what the file has there.
        unread: Pieces that would have made too many parts.
    """

    wanted: File
    duplicates: int = field(init=False, default=0)
    damaged: int = field(init=False, default=0)
    unread: int = field(init=False, default=0)
    _ranges: Ranges = field(init=False, factory=Ranges)
    _sum: Sum = field(init=False)
    #: The characters before this offset are in the SHA-256.
    _summed: int = field(init=False)
    #: What the server has said of the SHA-256; networks may change it.
    _digests: set[str] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        """Nothing is there."""
        self._summed = self.wanted.offset
        self._sum = Sum(self.wanted.seed, self.wanted.offset, self.wanted.length)

    @property
    def stop(self) -> int:
        """The offset behind the last character."""
        return self.wanted.offset + self.wanted.length

    @property
    def size(self) -> int:
        """How many characters are there."""
        return self._ranges.size

    @property
    def whole(self) -> bool:
        """Whether all are."""
        return self._summed == self.stop

    @property
    def confirmed(self) -> bool:
        """Whether all are there, and the server has said the same SHA-256."""
        return self.whole and self._sum.hexdigest() in self._digests

    @property
    def contradicted(self) -> bool:
        """Whether all are there, and the server has said nothing but other SHA-256."""
        return self.whole and bool(self._digests) and not self.confirmed

    def take(self, piece: Data) -> list[tuple[int, bytes]]:
        """
        A piece.

        Returns:
            What is new in it: offsets, and the characters there.
        """
        data, start, stop = piece.characters, piece.offset, piece.offset + len(piece.characters)
        inside = self.wanted.offset <= start and stop <= self.stop
        if not inside or first_difference(self.wanted.seed, start, data) is not None:
            self.damaged += 1
            return []
        if len(self._ranges) >= PARTS and not self._ranges.touches(start, stop):
            self.unread += 1
            return []
        new = self._ranges.add(start, stop)
        self.duplicates += not new
        self._go_on()
        return [(begin, data[begin - start : end - start]) for begin, end in new]

    def note(self, digest: str) -> None:
        """The server says a SHA-256."""
        if len(self._digests) < DIGESTS:
            self._digests.add(digest)

    def lacks(self, start: int, stop: int) -> bool:
        """Whether something is missing between two offsets."""
        return next(self._ranges.missing(start, stop), None) is not None

    def gaps(self) -> Iterator[tuple[int, int]]:
        """What is missing, with what little is between, as starts and stops."""
        start = stop = self._summed
        for begin, end in self._ranges.missing(self._summed, self.stop):
            if begin - stop > NEAR:
                yield from _parts(start, stop)
                start = begin
            stop = end
        yield from _parts(start, stop)

    def received(self, seconds: float, requests: int) -> Received:
        """
        What came.

        Args:
            seconds: How long that took.
            requests: How many requests.
        """
        return Received(
            self.wanted.offset,
            self.wanted.length,
            tuple(self._ranges.missing(self.wanted.offset, self.stop)),
            self._sum.hexdigest() if self.whole else None,
            confirmed=self.confirmed,
            seconds=seconds,
            duplicates=self.duplicates,
            damaged=self.damaged,
            requests=requests,
        )

    def _go_on(self) -> None:
        """Go on with the SHA-256: what came is what the file has, so that is as good."""
        reach = self._ranges.reach(self._summed)
        for chunk in chunks(self.wanted.seed, self._summed, reach - self._summed):
            self._sum.update(chunk)
        self._summed = reach


def _parts(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Equal parts of a part, but the last."""
    for begin in range(start, stop, PART):
        yield begin, min(begin + PART, stop)
