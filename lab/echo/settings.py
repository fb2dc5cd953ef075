"""What can be set on the echo service, and what is allowed."""

import math

from attrs import field, frozen

from lab.backoff import Backoff
from lab.echo.wire import LEAST_SIZE, LIMIT, LONGEST
from lab.errors import LocalError


@frozen
class ServerSettings:
    """
    Settings of a server.

    Args:
        idle: A peer that neither asks nor takes anything for so long is let go, in seconds; more
            than 0; infinity for never.
        interval: The shortest interval of a stream, in seconds, up to 3,600. With 0 it may be 0,
            which means as fast as the peer reads, or over UDP at ``pace``.
        packets: Most packets of a stream, 1 to 1,000,000,000.
        size: Most bytes of a packet, 64 to 65,507.
        file: Most characters of a file, 0 to 10**15.
        rate: Most bytes a second of streams and files for one address; infinity for no limit.
        total_rate: Most bytes a second of streams and files for all together.
        streams: Most streams and files at a time for one address, 1 or more.
        total_streams: Most streams and files at a time in all, 1 or more.
        pace: Over UDP, where no reader says how fast, bytes a second of a file and of a stream
            with interval 0; more than 0.
        piece: Over UDP, characters of a file in a datagram, 1 to 65,400.

    Raises:
        LocalError: A number outside what is said above.
    """

    idle: float = 300.0
    interval: float = 0.0
    packets: int = 1000
    size: int = LIMIT
    file: int = 123_456_789
    rate: float = math.inf
    total_rate: float = math.inf
    streams: int = 16
    total_streams: int = 1000
    pace: float = 4_000_000.0
    piece: int = 1200

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        for name in ("idle", "rate", "total_rate", "pace"):
            value = getattr(self, name)
            if not value > 0:
                raise LocalError(f"{name} is {value:g}; give more than 0")
        if self.pace == math.inf:
            raise LocalError("pace is inf; give bytes a second, for example 4000000")
        _check("interval", self.interval, 0, LONGEST)
        _check("packets", self.packets, 1, 10**9)
        _check("size", self.size, LEAST_SIZE, LIMIT)
        _check("file", self.file, 0, 10**15)
        _check("streams", self.streams, 1, 10**6)
        _check("total_streams", self.total_streams, 1, 10**6)
        _check("piece", self.piece, 1, 65_400)


@frozen
class ClientSettings:
    """
    Settings of a client.

    Args:
        retry: How long each attempt of a request waits, and how many there are; connections are
            tried again after the same waits.
        deadline: A text that has not come back, or a question that is not answered, is given up
            after so long, whatever attempts are left, in seconds; None for no such limit.
        silence: A stream, probes or a file of which nothing comes for so long are over, in seconds;
            more than 0. Streams and probes have their interval besides.

    Raises:
        LocalError: A number outside what is said above.
    """

    retry: Backoff = field(factory=lambda: Backoff.fixed(1.0))
    deadline: float | None = None
    silence: float = 5.0

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.deadline is not None and not 0 < self.deadline < math.inf:
            raise LocalError(f"deadline is {self.deadline:g} s; give more than 0")
        if not 0 < self.silence < math.inf:
            raise LocalError(f"silence is {self.silence:g} s; give more than 0, for example 5")


def _check(name: str, value: float, least: int, most: int) -> None:
    """Refuse what is outside."""
    if not least <= value <= most:
        raise LocalError(f"{name} is {value:,}; give {least:,} to {most:,}")
