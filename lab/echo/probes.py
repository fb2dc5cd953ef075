"""Which probes came, and which of them again. Knows no protocol."""

from attrs import define, field

#: So many sequence numbers back it is known whether one came.
WINDOW = 65_536
_MASK = (1 << WINDOW) - 1


@define(eq=False)
class Seen:
    """
    The sequence numbers of one peer, in at most `WINDOW` bits.

    Attributes:
        received: Different ones. What is too old for the window counts as different.
        duplicates: Those that came again.

    >>> seen = Seen()
    >>> for seq in (0, 1, 3, 1):
    ...     seen.add(seq)
    >>> seen.received, seen.duplicates
    (3, 1)
    """

    received: int = field(init=False, default=0)
    duplicates: int = field(init=False, default=0)
    _highest: int = field(init=False, default=-1)
    # Bit n: the number n below the highest came.
    _bits: int = field(init=False, default=0, repr=False)

    def add(self, seq: int) -> None:
        """A probe came; its number is 0 or more."""
        below = self._highest - seq
        if below < 0:
            # A leap over the whole window leaves nothing of it, and is not shifted by.
            self._bits = (self._bits << -below) & _MASK if -below < WINDOW else 0
            self._highest, below = seq, 0
        elif below < WINDOW and self._bits >> below & 1:
            self.duplicates += 1
            return
        self.received += 1
        if below < WINDOW:
            self._bits |= 1 << below
