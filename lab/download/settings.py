"""What can be set on the download service, and what is allowed."""

import math

from attrs import field, frozen

from lab.backoff import Backoff
from lab.errors import LocalError


@frozen
class ServerSettings:
    """
    Settings of a server.

    Args:
        idle: A peer that neither asks nor takes anything for so long is let go, in seconds; more
            than 0; infinity for never.
        rate: Most bytes a second of files for one address; infinity for no limit.
        total_rate: Most bytes a second of files for all together.
        transfers: Most files that are sent at a time to one address, 1 or more.
        total_transfers: Most files that are sent at a time in all, 1 or more.
        connections: Most connections of one address, 1 or more.
        total_connections: Most connections in all, 1 or more.
        workers: Files that are hashed, or directories that are listed, at a time, 1 to 64.
        queue: Most of them that wait, 0 or more.
        cache: Bytes that are kept of digests, 0 or more.

    Raises:
        LocalError: A number outside what is said above.
    """

    idle: float = 300.0
    rate: float = math.inf
    total_rate: float = math.inf
    transfers: int = 64
    total_transfers: int = 1000
    connections: int = 256
    total_connections: int = 4096
    workers: int = 2
    queue: int = 64
    cache: int = 2**26

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        for name in ("idle", "rate", "total_rate"):
            value = getattr(self, name)
            if not value > 0:
                raise LocalError(f"{name} is {value:g}; give more than 0")
        for name in ("transfers", "total_transfers", "connections", "total_connections"):
            _check(name, getattr(self, name), 1, 10**6)
        _check("workers", self.workers, 1, 64)
        _check("queue", self.queue, 0, 10**6)
        _check("cache", self.cache, 0, 2**40)


@frozen
class ClientSettings:
    """
    Settings of a client.

    Args:
        retry: The waits before a source that was lost is tried again. When they have ended without
            a byte from it, and there is no other source, the download fails; as long as there is,
            it is tried again after the last of them.
        silence: A source that sends nothing for so long is lost, and a connection that is not made
            within it, in seconds; more than 0. A line that says that the server works counts.
        slowest: So is one that sends less than so many bytes a second for as long; 0 or more.
        in_flight: Most pieces that one source is asked for ahead, 2 or more.
        limit_rate: Most bytes a second of all downloads together; infinity for no limit.

    Raises:
        LocalError: A number outside what is said above.
    """

    retry: Backoff = field(factory=lambda: Backoff(first=0.25, cap=16.0, jitter=0.2))
    silence: float = 10.0
    slowest: float = 16.0
    in_flight: int = 64
    limit_rate: float = math.inf

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not 0 < self.silence < math.inf:
            raise LocalError(f"silence is {self.silence:g} s; give more than 0, for example 10")
        if not 0 <= self.slowest < math.inf:
            raise LocalError(f"slowest is {self.slowest:g} bytes/s; give 0 or more")
        if not 2 <= self.in_flight <= 1000:
            raise LocalError(f"in_flight is {self.in_flight:,}; give 2 to 1,000")
        if not self.limit_rate > 0:
            raise LocalError(f"limit_rate is {self.limit_rate:g} bytes/s; give more than 0")


def _check(name: str, value: int, least: int, most: int) -> None:
    """Refuse what is outside."""
    if not least <= value <= most:
        raise LocalError(f"{name} is {value:,}; give {least:,} to {most:,}")
