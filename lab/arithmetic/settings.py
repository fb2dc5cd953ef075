"""What can be set on the arithmetic service, and what is allowed."""

import math

from attrs import field, frozen

from lab.backoff import Backoff
from lab.errors import LocalError


@frozen
class ServerSettings:
    """
    Settings of a server.

    Args:
        idle: A connection without a whole request for so long is closed, in seconds; more than
            0; infinity for never.
        drop_rate: Over UDP, the probability with which a datagram that comes in is dropped.
        cache_entries: Over UDP, most answers that are kept for retransmissions; 0 keeps none.
        cache_size: Over UDP, most memory for those answers, in bytes.

    Raises:
        LocalError: A number outside what is said above.
    """

    idle: float = field(default=300.0)
    drop_rate: float = field(default=0.0)
    cache_entries: int = field(default=65_536)
    cache_size: int = field(default=16 * 2**20)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not self.idle > 0:
            raise LocalError(f"idle limit is {self.idle:g} s; give more than 0, for example 300")
        if not 0 <= self.drop_rate <= 1:
            raise LocalError(f"drop rate is {self.drop_rate:g}; give 0 to 1, for example 0.3")
        if self.cache_entries < 0 or self.cache_size < 0:
            raise LocalError("a cache can't be smaller than 0; give 0 for none")


@frozen
class ClientSettings:
    """
    Settings of a client.

    Args:
        retry: How long each attempt of a request waits, and how many there are; connections are
            tried again after the same waits.
        deadline: A request is given up after so long, whatever attempts are left, in seconds;
            None for no such limit.
        connections: Connections (over UDP: ports) that requests are spread over; 1 to 1,000.
        repeat: Whether requests that were in flight when a connection broke are sent again on
            the next one; otherwise they fail.

    Raises:
        LocalError: A number outside what is said above.
    """

    retry: Backoff = field(factory=lambda: Backoff.fixed(1.0))
    deadline: float | None = field(default=None)
    connections: int = field(default=1)
    repeat: bool = field(default=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.deadline is not None and not 0 < self.deadline < math.inf:
            raise LocalError(f"deadline is {self.deadline:g} s; give more than 0")
        if not 1 <= self.connections <= 1000:
            raise LocalError(f"connections is {self.connections}; give 1 to 1,000")
