"""
A session as it is kept. Knows no store.

Whoever has attached a session with its newest epoch may write to it, and nobody else: a connection,
or a server, that comes back from the dead finds that its epoch is old.
"""

import math

from attrs import evolve, field, frozen


@frozen
class Record:
    """
    A session.

    Args:
        id: Its name, which is no secret.
        key: Its secret.
        n: How many numbers it has.
        interval: The time between two, in seconds.
        address: Who has begun it.
        sent: No more numbers than these have been sent yet.
        epoch: How often it was attached, beginning with 1.
        deadline: When it ends, in seconds of the store's clock; infinity while it is attached.
    """

    id: str
    key: bytes = field(repr=False)
    n: int
    interval: float
    address: str = ""
    sent: int = 0
    epoch: int = 1
    deadline: float = math.inf

    def attached(self) -> "Record":
        """The same with its next epoch."""
        return evolve(self, epoch=self.epoch + 1, deadline=math.inf)
