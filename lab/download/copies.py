"""
The copies of pieces that are on their way, in one download. Pure.

**What it must do.** Know which copies nobody needs any more; and say which may be put into the file
before they are checked, so that a piece that is right stays so.

**How it does it.** A copy is *direct* if it was the only one of its piece when it was begun: what
comes of it may go to its place at once. What others bring meanwhile is kept in memory until it is
checked. As soon as one of these is whole, and so is checked next, nothing more of the direct one
goes to the file: what is right could otherwise be written over by what is not. If the other was
wrong, the direct one goes on in memory, behind what is in the file.
"""

from collections.abc import Callable

from attrs import define, field

from lab.download.landing import Landing


@define(eq=False)
class Copies:
    """
    All copies that somebody needs.

    Attributes:
        wasted: Bytes that came of copies which nobody needed in the end.
    """

    wasted: int = 0
    #: By their pieces, the oldest first; and those whose source was lost.
    _all: dict[int, list[Landing]] = field(init=False, factory=dict)
    _partial: dict[int, Landing] = field(init=False, factory=dict)

    def begin(self, piece: int, make: Callable[[int], Landing]) -> Landing:
        """
        A source is asked for a piece.

        Returns:
            A copy that was begun by one that is lost, or a new one.
        """
        landing = self._partial.pop(piece, None)
        if landing is None:
            landing = make(piece)
            copies = self._all.setdefault(piece, [])
            copies.append(landing)
            landing.direct = len(copies) == 1
        return landing

    def keep(self, landing: Landing) -> None:
        """Its source was lost; another may go on with it."""
        before = self._partial.pop(landing.piece, None)
        if before is not None:
            self.drop(before)
        self._partial[landing.piece] = landing

    def check(self, landing: Landing) -> None:
        """It is whole, and checked next."""
        for other in self._all.get(landing.piece, ()):
            if other is not landing:
                other.direct = False

    def checked(self, landing: Landing) -> bool:
        """It was; whether somebody still waits for that."""
        copies = self._all.get(landing.piece, [])
        if landing not in copies:
            return False
        copies.remove(landing)
        if not copies:
            del self._all[landing.piece]
        return True

    def drop(self, landing: Landing) -> None:
        """Nobody needs this one any more."""
        if not landing.dropped:
            landing.dropped = True
            self.wasted += landing.got
            self.checked(landing)

    def drop_all(self, piece: int) -> None:
        """Nobody needs a piece again."""
        self._partial.pop(piece, None)
        for landing in list(self._all.get(piece, ())):
            self.drop(landing)

    def clear(self) -> None:
        """Nobody needs any of them."""
        for piece in list(self._all):
            self.drop_all(piece)
