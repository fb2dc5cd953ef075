"""
Who is asked for which piece next. Knows neither protocol nor time.

**What it must do.** Give each source as many pieces as it needs to be busy, and no more, so that
fast ones get more of them; lose none when sources come and go; and end soon: when there is nothing
left to ask for, what slow sources still owe is asked for again from those that have nothing to do,
and the first that comes is taken.

**How it does it.** A piece is *missing*, *owed* by one source or more, *checked*, or *done*. It is
missing exactly when it is none of the others. Each source owes its pieces in the order in which it
was asked; that it was asked can't be taken back, so a window bounds how many those are. Towards the
end it is a share of what is left (guided self-scheduling, Polychronopoulos and Kuck, 1987): of what
is asked for twice, less comes in vain.

**What was refused.** Fixed shares of the file for each source: the slowest has the last word.
Asking all sources for everything: each piece would cross the network several times.
"""

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from attrs import define, field

#: A source is asked ahead for what it gives in so many seconds, and for two pieces at least.
LEAD = 0.5
LEAST = 2
#: Most sources that owe the same piece.
COPIES = 3


@define
class _Source:
    """Which pieces a source owes, in order (a dictionary has one); and its rate, in bytes/s."""

    owes: dict[int, None] = field(factory=dict)
    rate: float = 0.0


@define(eq=False)
class Scheduler:
    """
    The pieces of one file, and who owes them.

    Args:
        count: How many pieces there are.
        piece: Bytes of each, about.
        have: Those that are there already.
        most: Most pieces that one source owes.
        doubles: Whether a piece may be owed by several sources.

    >>> scheduler = Scheduler(count=3, piece=1000)
    >>> scheduler.add("a")
    >>> scheduler.take("a"), scheduler.take("a"), scheduler.take("a")
    (0, 1, None)
    >>> scheduler.came("a", 0)
    >>> scheduler.right(0), scheduler.take("a")
    (True, 2)
    """

    count: int
    piece: int
    have: Iterable[int] = ()
    most: int = 64
    doubles: bool = True
    _sources: dict[str, _Source] = field(init=False, factory=dict)
    _done: bytearray = field(init=False)
    _left: int = field(init=False)
    #: A heap. Nothing but being taken from it ends that a piece is missing.
    _missing: list[int] = field(init=False)
    _owners: dict[int, set[str]] = field(init=False, factory=dict)
    #: How many copies of a piece are being checked.
    _checked: dict[int, int] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """What is there, and what is not."""
        self._done = bytearray(self.count)
        for piece in self.have:
            self._done[piece] = True
        self._missing = [piece for piece in range(self.count) if not self._done[piece]]
        self._left = len(self._missing)
        heapify(self._missing)

    @property
    def left(self) -> int:
        """How many pieces are not done."""
        return self._left

    def is_done(self, piece: int) -> bool:
        """Whether a piece is there and right."""
        return bool(self._done[piece])

    def add(self, source: str) -> None:
        """There is a source."""
        self._sources.setdefault(source, _Source())

    def remove(self, source: str) -> None:
        """A source is gone; what only it owed is missing again."""
        gone = self._sources.pop(source, None)
        for piece in gone.owes if gone else ():
            self._disown(source, piece)

    def measure(self, source: str, rate: float) -> None:
        """A source gives so many bytes a second."""
        self._sources[source].rate = rate

    def window(self, source: str) -> int:
        """How many pieces a source may owe: the fewer, the fewer are left for all."""
        ahead = math.ceil(LEAD * self._sources[source].rate / self.piece)
        share = math.ceil(self._left / (2 * len(self._sources)))
        return min(max(LEAST, min(ahead, share)), self.most)

    def owes(self, source: str) -> list[int]:
        """The pieces that a source owes, in order."""
        return list(self._sources[source].owes)

    def owners(self, piece: int) -> list[str]:
        """Who owes a piece."""
        return sorted(self._owners.get(piece, ()))

    def take(self, source: str) -> int | None:
        """The piece that this source is to be asked for now, or None."""
        owing = self._sources[source].owes
        if len(owing) >= self.window(source):
            return None
        if self._missing:
            return self._own(source, heappop(self._missing))
        if owing or not self.doubles:
            return None
        slowest = self._slowest(source)
        return None if slowest is None else self._own(source, slowest)

    def came(self, source: str, piece: int) -> None:
        """A piece has come from a source, and is checked from now on."""
        del self._sources[source].owes[piece]
        self._owners[piece].discard(source)
        self._checked[piece] = self._checked.get(piece, 0) + 1

    def right(self, piece: int) -> bool:
        """It is right; whether that is news."""
        self._no_longer_checked(piece)
        if self._done[piece]:
            return False
        self._done[piece] = True
        self._left -= 1
        return True

    def wrong(self, piece: int) -> None:
        """It is not right."""
        self._no_longer_checked(piece)
        self._miss(piece)

    def give_back(self, source: str, piece: int) -> None:
        """The source will not give a piece that it owes."""
        del self._sources[source].owes[piece]
        self._disown(source, piece)

    def _own(self, source: str, piece: int) -> int:
        """A source owes a piece."""
        self._sources[source].owes[piece] = None
        self._owners.setdefault(piece, set()).add(source)
        return piece

    def _disown(self, source: str, piece: int) -> None:
        """A source does not owe a piece any more."""
        self._owners[piece].discard(source)
        self._miss(piece)

    def _no_longer_checked(self, piece: int) -> None:
        """One copy fewer is checked."""
        self._checked[piece] -= 1

    def _is_missing(self, piece: int) -> bool:
        """Whether it is neither there nor on its way."""
        return not (self._done[piece] or self._owners.get(piece) or self._checked.get(piece))

    def _miss(self, piece: int) -> None:
        """A piece may be missing again."""
        if self._is_missing(piece):
            heappush(self._missing, piece)

    def _slowest(self, source: str) -> int | None:
        """The piece that others will give latest, if this source has it sooner."""
        mine = self._sources[source]
        alone = self.piece / mine.rate if mine.rate else 0.0
        latest = 0.0
        found: int | None = None
        for other in self._sources.values():
            for waits, piece in enumerate(other.owes, 1):
                takes = self.piece * waits / other.rate if other.rate else math.inf
                if self._may_double(piece, source) and takes > max(latest, alone * (waits < 2)):
                    latest, found = takes, piece
        return found

    def _may_double(self, piece: int, source: str) -> bool:
        """Whether one more source may owe a piece that somebody owes."""
        return (
            len(self._owners[piece]) < COPIES
            and source not in self._owners[piece]
            and not (self._done[piece] or self._checked.get(piece))
        )
