"""
How much of a server its peers may have: streams at a time, and bytes a second. Knows no protocol.

**What it must do.** Hold each address, and all together, to a rate; forget addresses that ask no
more.

**How it does it.** A token bucket needs one number, the time at which it will be full again
("virtual scheduling", ITU-T I.371): sending moves it onwards by the size over the rate, and there
is something in the bucket while that time is less than `BURST` away. Who wants to send waits for
that, and then may send a share, which may overdraw the bucket.
"""

import math
from collections import OrderedDict

from attrs import define, field

from lab.echo.settings import ServerSettings

#: A bucket holds what may be sent in so many seconds.
BURST = 0.1
#: Who has to wait for a stream to end is told to come again after so many seconds.
AGAIN = 1.0
#: Buckets that are kept; the one that was not used for longest is forgotten first.
ADDRESSES = 10_000
# A share is at least so many bytes, however low the rate.
_LEAST = 1024


@define(eq=False)
class Budget:
    """
    What all streams and files of a server share.

    Args:
        settings: Its limits.

    Attributes:
        running: Streams and files at present.
        share: Bytes that may be sent at once, by who has not to wait.
    """

    _settings: ServerSettings
    running: int = field(init=False, default=0)
    share: int = field(init=False)
    _streams: dict[str, int] = field(init=False, factory=dict)
    #: When buckets will be full, by address.
    _full: OrderedDict[str, float] = field(init=False, factory=OrderedDict)
    _all_full: float = field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        """The share follows from the rates."""
        rate = min(self._settings.rate, self._settings.total_rate)
        self.share = int(max(_LEAST, min(rate * BURST, 2**30)))

    def begin(self, address: str, now: float) -> tuple[float, str] | None:
        """
        Begin a stream or a file, if that may be.

        Returns:
            None: it has begun, and `end` is due. Or how long to wait, in seconds, and why.
        """
        limits, mine = self._settings, self._streams.get(address, 0)
        if mine >= limits.streams:
            return AGAIN, f"there are {mine} streams of this address"
        if self.running >= limits.total_streams:
            return AGAIN, f"there are {self.running} streams in all"
        # One alone waits by itself for what those before it have used up.
        if mine and (wait := self._wait(self._full.get(address, -math.inf), now)):
            return wait, f"this address has its {limits.rate:.0f} bytes a second"
        if self.running and (wait := self._wait(self._all_full, now)):
            return wait, f"all {limits.total_rate:.0f} bytes a second are in use"
        self._streams[address] = mine + 1
        self.running += 1
        return None

    def end(self, address: str) -> None:
        """A stream or a file has ended."""
        self.running -= 1
        self._streams[address] -= 1
        if not self._streams[address]:
            del self._streams[address]

    def wait(self, address: str, now: float) -> float:
        """How long not to send to an address, in seconds; 0 to send now."""
        return self._wait(max(self._full.get(address, -math.inf), self._all_full), now)

    def spend(self, address: str, size: int, now: float) -> None:
        """So many bytes were sent to an address."""
        limits = self._settings
        if limits.total_rate < math.inf:
            self._all_full = max(self._all_full, now) + size / limits.total_rate
        if limits.rate < math.inf:
            full = max(self._full.pop(address, now), now) + size / limits.rate
            self._full[address] = full
            if len(self._full) > ADDRESSES:
                self._full.popitem(last=False)

    @staticmethod
    def _wait(full: float, now: float) -> float:
        """Until there is something in a bucket that will be full at that time."""
        return max(0.0, full - BURST - now)
