"""
How much memory links may take for what their faults hold back: each, and all together.

Knows no links; they say what they take.

**What it must do.** A latency bounds the rate of a connection to the room of its link in its time,
as the window of TCP does. So one connection, or a few, should have much; and however many there
are, memory must be bounded.

**How it does it.** A link may take `MOST` while all together take no more than `TOTAL`, and `LEAST`
beyond that: nobody is without room because of others.

**What was refused.** One for all of a process, as a global: a simulation is one of many in it, and
must not depend on what others have left behind.
"""

from attrs import define

#: Room of a link while there is enough for all, in bytes: what Toxiproxy's links have, 1,024 chunks
#: of 32 KiB.
MOST = 32 * 2**20
#: Room of a link when there is not, in bytes: the largest window that Linux gives TCP, tcp(7).
LEAST = 6 * 2**20
#: So much is enough for all links together, in bytes.
TOTAL = 512 * 2**20


@define(eq=False)
class Room:
    """
    The room of links that share it.

    Args:
        most: Of each while all take no more than the total, in bytes.
        least: Of each when they take more, in bytes.
        total: In bytes.

    Attributes:
        taken: What all take now, in bytes.

    >>> room = Room(most=100, least=10, total=150)
    >>> room.take(100), room.each, room.take(90), room.each
    (None, 100, None, 10)
    """

    most: int = MOST
    least: int = LEAST
    total: int = TOTAL
    taken: int = 0

    @property
    def each(self) -> int:
        """What each may take now, in bytes."""
        return self.most if self.taken <= self.total else self.least

    def take(self, size: int) -> None:
        """One takes so many bytes more, or less."""
        self.taken += size
