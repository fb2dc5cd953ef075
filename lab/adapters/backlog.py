"""
Datagrams that the system had no room for yet, in their order and bounded.

Knows no transport.
"""

from collections import deque

from attrs import define, field

#: Most datagrams that wait, and most bytes: four batches of the largest kind.
DATAGRAMS, SIZE = 256, 2**18

Address = tuple[str, int]


@define(eq=False)
class Backlog:
    """
    A queue that takes what there is room for.

    Args:
        datagrams: Most of them.
        size: Most bytes.

    >>> backlog = Backlog(datagrams=2)
    >>> [backlog.put(datagram, None) for datagram in (b"a", b"b", b"c")]
    [True, True, False]
    >>> backlog.take(), len(backlog)
    ((b'a', None), 1)
    """

    _datagrams: int = DATAGRAMS
    _size: int = SIZE
    _queue: deque[tuple[bytes, Address | None]] = field(init=False, factory=deque)
    _held: int = field(init=False, default=0)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def put(self, datagram: bytes, address: Address | None) -> bool:
        """Have one more wait; gives whether there was room."""
        if len(self._queue) >= self._datagrams or self._held + len(datagram) > self._size:
            return False
        self._queue.append((datagram, address))
        self._held += len(datagram)
        return True

    def take(self) -> tuple[bytes, Address | None]:
        """The first; there has to be one."""
        datagram, address = self._queue.popleft()
        self._held -= len(datagram)
        return datagram, address

    def give_back(self, datagram: bytes, address: Address | None) -> None:
        """What was taken is the first again."""
        self._queue.appendleft((datagram, address))
        self._held += len(datagram)

    def clear(self) -> int:
        """Forget all; gives how many there were."""
        count, self._held = len(self._queue), 0
        self._queue.clear()
        return count
