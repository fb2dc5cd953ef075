"""What can be set of the sequence service. Times in seconds."""

import math

from attrs import frozen

from lab.errors import LocalError


@frozen
class ServerSettings:
    """
    Of a server.

    Args:
        interval: Between two numbers, where a client asks for none.
        fastest: No client gets a shorter one, whatever it asks for.
        heartbeat: Clients say so often that they are there; who is silent for three times as long
            is taken for lost.
        window: A session is kept so long after its client was lost.
        sessions: Most sessions at a time.
        per_address: Most sessions of one address.

    Raises:
        LocalError: Numbers that can't be.
    """

    interval: float = 1.0
    fastest: float = 0.001
    heartbeat: float = 2.0
    window: float = 30.0
    sessions: int = 100_000
    per_address: int = 10_000

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        for name in ("interval", "fastest", "heartbeat", "window"):
            _positive(name, getattr(self, name))
        for name in ("sessions", "per_address"):
            if getattr(self, name) < 1:
                raise LocalError(f"{name} is {getattr(self, name)}; give 1 or more")


@frozen
class ClientSettings:
    """
    Of a client.

    Args:
        n: How many numbers; None leaves it to the server.
        interval: Between two, which the server may make longer; None leaves it to the server.
        heartbeat: It says so often that it is there; a server that is silent for three times as
            long is taken for lost.
        retry: It waits about so long before it connects again for the first time.
        most_retry: And never longer than this: each wait is twice the one before.
        restart: Begin anew if the session is rejected; else that is the end.

    Raises:
        LocalError: Numbers that can't be.
    """

    n: int | None = None
    interval: float | None = None
    heartbeat: float = 2.0
    retry: float = 0.5
    most_retry: float = 10.0
    restart: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.n is not None and not 1 <= self.n <= 65535:
            raise LocalError(f"n is {self.n}; give 1 to 65535")
        for name in ("heartbeat", "retry", "most_retry"):
            _positive(name, getattr(self, name))
        if self.interval is not None:
            _positive("interval", self.interval)


def _positive(name: str, seconds: float) -> None:
    """Refuse what is no time to wait."""
    if not 0 < seconds < math.inf:
        raise LocalError(f"{name} is {seconds:g} s; give more than 0")
