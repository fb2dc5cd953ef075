"""
How much of a server its peers may have: places at a time, and bytes a second. Knows no protocol.

**What it must do.** Hold each address, and all together, to a number and to a rate; forget
addresses that ask no more.

**How it does it.** A token bucket needs one number, the time at which it will be full again
("virtual scheduling", ITU-T I.371): sending moves it onwards by the size over the rate, and there
is something in the bucket while that time is less than `BURST` away. Who wants to send waits for
that, and then may send a share, which may overdraw the bucket.

Who spends a share when it asks how long to wait, and sends it when it has waited, has booked it:
those who book get their turns in the order in which they asked. Of those who only wait, and spend
when they send, the first to be called would take all.
"""

import math
from collections import OrderedDict

from attrs import define, field

#: A bucket holds what may be sent in so many seconds.
BURST = 0.1
#: Who has to wait for a place is told to come again after so many seconds.
AGAIN = 1.0
#: Buckets that are kept; the one that was not used for longest is forgotten first.
ADDRESSES = 10_000
# A share is at least so many bytes, however low the rate.
_LEAST = 1024


@define(eq=False)
class Places:
    """
    What peers may have at a time.

    Args:
        each: Most places of one address.
        in_all: Most places of all together.
        what: What has a place, in the plural.

    Attributes:
        taken: Places that are taken.

    >>> places = Places(each=1, in_all=10, what="files")
    >>> places.refusal("a"), places.begin("a"), places.refusal("a")
    (None, None, 'there are 1 files of this address')
    """

    _each: int
    _in_all: int
    _what: str
    taken: int = field(init=False, default=0)
    _of: dict[str, int] = field(init=False, factory=dict)

    def refusal(self, address: str) -> str | None:
        """Why an address gets no place, if it gets none."""
        mine = self.of(address)
        if mine >= self._each:
            return f"there are {mine} {self._what} of this address"
        if self.taken >= self._in_all:
            return f"there are {self.taken} {self._what} in all"
        return None

    def begin(self, address: str) -> None:
        """Take a place."""
        self._of[address] = self.of(address) + 1
        self.taken += 1

    def end(self, address: str) -> None:
        """Give a place back."""
        self.taken -= 1
        self._of[address] -= 1
        if not self._of[address]:
            del self._of[address]

    def of(self, address: str) -> int:
        """Places that an address has."""
        return self._of.get(address, 0)

    def addresses(self) -> int:
        """How many addresses have places."""
        return len(self._of)


@define(eq=False)
class Rates:
    """
    Bytes a second.

    Args:
        each: Most for one address; infinity for no limit.
        in_all: Most for all together.

    Attributes:
        least: The lower of both.
        share: Bytes that may be sent at once, by who has not to wait.
    """

    _each: float
    _in_all: float
    least: float = field(init=False)
    share: int = field(init=False)
    #: When buckets will be full, by address.
    _full: OrderedDict[str, float] = field(init=False, factory=OrderedDict)
    _all_full: float = field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        """The share follows from the rates."""
        self.least = min(self._each, self._in_all)
        self.share = self.part(1)

    def part(self, of: int) -> int:
        """A share that is one of so many of a bucket."""
        return int(max(_LEAST, min(self.least * BURST / of, 2**30)))

    def wait(self, address: str, now: float) -> float:
        """How long not to send to an address, in seconds; 0 to send now."""
        return max(self.wait_of(address, now), self.wait_of_all(now))

    def wait_of(self, address: str, now: float) -> float:
        """How long not to send, as far as it follows from what this address had."""
        return _wait(self._full.get(address, -math.inf), now)

    def wait_of_all(self, now: float) -> float:
        """How long not to send, as far as it follows from what all had."""
        return _wait(self._all_full, now)

    def spend(self, address: str, size: int, now: float) -> None:
        """So many bytes were sent to an address, or will be as soon as it has waited."""
        if self._in_all < math.inf:
            self._all_full = max(self._all_full, now) + size / self._in_all
        if self._each < math.inf:
            full = max(self._full.pop(address, now), now) + size / self._each
            self._full[address] = full
            if len(self._full) > ADDRESSES:
                self._full.popitem(last=False)


def _wait(full: float, now: float) -> float:
    """Until there is something in a bucket that will be full at that time."""
    return max(0.0, full - BURST - now)
