"""
The verbs of a core: what every protocol here can do, without I/O and without a clock.

A core is told what happened and when. It says what to send, what the application should know
and when it wants to be called again. Whoever runs it (`lab.adapters`, `lab.testing`) calls,
after each verb that tells it something, `outgoing`, `events` and `deadline`, in that order.
Time is in seconds, from any origin, and never goes back.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen
class Finished:
    """
    The event by which a core asks for the end of the connection, after what is outgoing.

    Args:
        reason: Why, in a few words for the log.
    """

    reason: str


class Core(Protocol):
    """One side of one conversation with one peer."""

    def message(self, data: bytes, now: float) -> None:
        """The peer sent one message: a line without its ending, or a datagram."""

    def tick(self, now: float) -> None:
        """The time that `deadline` named has come."""

    def close(self, now: float) -> None:
        """The peer is gone; nothing that is sent from now on arrives."""

    def outgoing(self) -> list[bytes]:
        """The messages to send, oldest first; each is given once."""

    def events(self) -> list[object]:
        """What the application should know, oldest first; each is given once."""

    def deadline(self) -> float | None:
        """When to call `tick`, in seconds, or None for never."""


@runtime_checkable
class BatchCore(Core, Protocol):
    """A core that is faster when it gets all the lines of a chunk at once."""

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """
        The peer sent these lines.

        Returns:
            How many were taken, at least one: a batch that is much work is left in part, so
            that other connections get their turn. An entry of `outgoing` may then hold several
            replies with a line ending between them.
        """
