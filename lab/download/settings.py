"""What can be set on the download service, and what is allowed."""

import math

from attrs import frozen

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


def _check(name: str, value: int, least: int, most: int) -> None:
    """Refuse what is outside."""
    if not least <= value <= most:
        raise LocalError(f"{name} is {value:,}; give {least:,} to {most:,}")
