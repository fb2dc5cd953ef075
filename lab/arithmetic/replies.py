"""
The answers a server keeps, so that a request that comes again is not executed again.

Knows neither what a request means nor where it came from: both are parts of a key.
"""

from collections import OrderedDict

from attrs import define, field

#: What an entry costs beside its own bytes: two bytes objects, a tuple, a place in a dict.
OVERHEAD = 300


@define
class ReplyCache:
    """
    The newest answers, bounded in number and in memory; the oldest go first.

    Args:
        entries: Most answers.
        size: Most memory, in bytes, `OVERHEAD` of each entry included.

    Attributes:
        evicted: Answers that were let go to make room.
    """

    entries: int
    size: int
    evicted: int = 0
    # A plain dict finds its oldest entry by walking over the holes of those that were deleted.
    _replies: OrderedDict[tuple[str, bytes], bytes] = field(factory=OrderedDict, repr=False)
    _used: int = 0

    def get(self, peer: str, request: bytes) -> bytes | None:
        """The answer to this very request of this peer, or None."""
        return self._replies.get((peer, request))

    def put(self, peer: str, request: bytes, reply: bytes) -> None:
        """Keep an answer that is not kept yet."""
        self._replies[peer, request] = reply
        self._used += _cost(request, reply)
        while len(self._replies) > self.entries or self._used > self.size:
            (_, oldest), answer = self._replies.popitem(last=False)
            self._used -= _cost(oldest, answer)
            self.evicted += 1

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._replies)


def _cost(request: bytes, reply: bytes) -> int:
    """What an entry takes, in bytes."""
    return len(request) + len(reply) + OVERHEAD
