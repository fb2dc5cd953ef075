"""One fault on a link: what it is, its name, and when and on which connections it works."""

import math

from attrs import field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Settings

DIRECTIONS = ("upstream", "downstream")


@frozen
class Fault:
    """
    A fault on a link. The words are Toxiproxy's, where it has one.

    Args:
        settings: What it is.
        name: Unlike that of any other on the link.
        stream: Which direction it works on: ``upstream``, from client to server, or
            ``downstream``.
        toxicity: The share of connections that it works on, 0 to 1.
        after: It begins so long after its link, in seconds.
        duration: It works for so long, in seconds.
        every: And again after so long from its beginning, in seconds; 0 for never again.

    Raises:
        LocalError: Numbers or words outside what is said above.
    """

    settings: Settings
    name: str
    stream: str = "downstream"
    toxicity: float = 1.0
    after: float = field(default=0.0, kw_only=True)
    duration: float = field(default=math.inf, kw_only=True)
    every: float = field(default=0.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.stream not in DIRECTIONS:
            raise LocalError(f"stream is {self.stream!r}; give upstream or downstream")
        if not 0 <= self.toxicity <= 1:
            raise LocalError(f"toxicity is {self.toxicity:g}; give 0 to 1")
        if not 0 <= self.after < math.inf or not self.duration >= 0 or not self.every >= 0:
            raise LocalError("after, duration and every are times; give 0 or more")
        if self.every and not self.duration <= self.every < math.inf:
            raise LocalError(
                f"every is {self.every:g} s; give at least its duration of {self.duration:g} s"
            )

    @property
    def always(self) -> bool:
        """Whether it works all the time."""
        return not self.after and self.duration == math.inf

    def works(self, since: float) -> bool:
        """Whether it works so long after its link began, in seconds."""
        since -= self.after
        if since < 0:
            return False
        return (since % self.every if self.every else since) < self.duration
