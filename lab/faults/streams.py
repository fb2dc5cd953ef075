"""
What can go wrong with a stream: Toxiproxy's toxics, with their meanings, and more.

A stream keeps its order whatever happens to it. So a fault on a stream is a stage of a pipe, see
`lab.faults.stages`; here are their settings. They are values, as those of datagrams; `Latency`,
`Loss`, `Corrupt`, `Bandwidth`, `Blackhole` and `Noop` are the very same. Seconds and bytes.
"""

import math

from attrs import define, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Judge, Noop
from lab.faults.verdicts import DELIVER, Verdict
from lab.rng import Random, stream


@frozen
class Mark:
    """
    An item that is no bytes.

    Args:
        name: What it is called.
    """

    name: str


#: The sender has said that no more will come (FIN).
END = Mark("end")
#: The connection is closed in both directions, by us.
CLOSE = Mark("close")
#: The connection is reset (RST).
RESET = Mark("reset")

Item = bytes | Mark
Timed = tuple[float, Item]


class _Undrawn:
    """Settings whose stage decides by sizes and times alone."""

    drawn = False

    def begin(self, random: Random) -> Judge:
        """A judge that delivers all: the stage does the rest."""
        return Noop().begin(random)


@frozen
class SlowClose(_Undrawn):
    """
    Delays the end, and nothing else.

    Args:
        delay: In seconds.

    Raises:
        LocalError: A delay below 0.
    """

    delay: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _at_least_0("delay", self.delay)


@frozen
class Timeout(_Undrawn):
    """
    Drops everything, and closes the connection when no chunk has come for a time.

    Args:
        timeout: That time, in seconds; 0 for never.

    Raises:
        LocalError: A time below 0.
    """

    timeout: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _at_least_0("timeout", self.timeout)


@frozen
class ResetPeer(_Undrawn):
    """
    Lets nothing pass, and resets the connection.

    Args:
        timeout: So long after the first chunk or end, in seconds. What has begun takes place,
            even if the fault stops working before.
        idle: Count from when the fault begins to work on the connection; without, a connection
            on which nothing is sent is never reset.

    Raises:
        LocalError: A time below 0.
    """

    timeout: float = 0.0
    idle: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _at_least_0("timeout", self.timeout)


@frozen
class Slicer:
    """
    Cuts chunks in slices. Any numbers do; those that make no sense are taken as the nearest.

    Args:
        average_size: Of a slice, in bytes; at least 1.
        size_variation: A chunk is halved until it is larger by no more than this, and where it is
            cut is moved by up to this, in bytes; at least 0.
        delay: Wait after each slice, in seconds; at least 0.
    """

    average_size: int = 0
    size_variation: int = 0
    delay: float = 0.0

    @property
    def drawn(self) -> bool:
        """Halves alone are no decision."""
        return self.size_variation > 0

    def begin(self, random: Random) -> Judge:
        """One draw for each chunk: all its cuts follow from it."""
        return _SlicerJudge(random) if self.drawn else Noop().begin(random)

    def cut(self, data: bytes, draw: float | None) -> list[bytes]:
        """
        Cut a chunk.

        Args:
            data: The chunk.
            draw: What the judge drew; None for halves.

        >>> Slicer(average_size=2).cut(b"abcdefg", None)
        [b'a', b'bc', b'de', b'fg']
        """
        most = max(1, self.average_size) + max(0, self.size_variation)
        vary = 0 if draw is None else max(0, self.size_variation)
        random = stream(0, "slices", draw)
        found: list[bytes] = []
        left = [(0, len(data))]
        while left:
            start, end = left.pop()
            if end - start <= most:
                found.append(data[start:end])
                continue
            middle = start + (end - start) // 2 + (random.randrange(-vary, vary) if vary else 0)
            middle = min(max(middle, start + 1), end - 1)
            left += [(middle, end), (start, middle)]
        return found


@define
class _SlicerJudge:
    """Draws, and lets pass."""

    _random: Random

    def judge(self, size: int, now: float) -> Verdict:
        """Draw."""
        return Verdict(draw=self._random.random())


@frozen
class LimitData(_Undrawn):
    """
    Closes the connection when so many bytes have passed.

    Args:
        bytes: How many; with 0 it is closed at the first chunk.

    Raises:
        LocalError: A number below 0.
    """

    bytes: int = 0

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _at_least_0("bytes", self.bytes)


@frozen
class PacketLoss:
    """
    Drops whole chunks: bytes are missing in what arrives, which TCP itself never does.

    Args:
        loss_rate: Probability of a loss. What is not from 0 to 1 is taken as the nearest.
        correlation: What is added to it after a loss; likewise.
    """

    loss_rate: float = 0.0
    correlation: float = 0.0

    drawn = True

    def begin(self, random: Random) -> Judge:
        """See `lab.faults.datagrams.Settings`."""
        rate, more = (min(max(0.0, p), 1.0) for p in (self.loss_rate, self.correlation))
        return _PacketLossJudge(random, rate, rate + more)


@define
class _PacketLossJudge:
    """Draws for each chunk, against one of two probabilities."""

    _random: Random
    _rate: float
    _after_loss: float
    _lost: bool = False

    def judge(self, size: int, now: float) -> Verdict:
        """Draw."""
        draw = self._random.random()
        self._lost = draw < (self._after_loss if self._lost else self._rate)
        return Verdict((), draw=draw) if self._lost else DELIVER


@frozen
class Cut:
    """
    Resets the connection at a byte, wherever chunks begin: both ends see it.

    Args:
        probability: Of a cut before each byte, 0 to 1; with 1 no byte passes.

    Raises:
        LocalError: No probability.
    """

    probability: float = 0.0

    drawn = True

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if not 0 <= self.probability <= 1:
            raise LocalError(f"probability is {self.probability:g}; give 0 to 1")

    def begin(self, random: Random) -> Judge:
        """See `lab.faults.datagrams.Settings`."""
        stays = -math.inf if self.probability == 1 else math.log1p(-self.probability)
        return _CutJudge(random, stays)


@define
class _CutJudge:
    """
    Draws once for each chunk.

    How many bytes pass before a cut is geometric, which has no memory: where a chunk ends is of
    no meaning to it.
    """

    _random: Random
    #: Logarithm of the probability that a byte passes.
    _stays: float

    def judge(self, size: int, now: float) -> Verdict:
        """Draw; the number of bytes is the inverse of its distribution at the draw."""
        draw = self._random.random()
        passed = math.log1p(-draw) / self._stays if self._stays else math.inf
        return Verdict(draw=draw, cut=int(passed)) if passed < size else DELIVER


@frozen
class Partition(_Undrawn):
    """Holds everything while it works, and then lets it go on."""


def _at_least_0(name: str, value: float) -> None:
    """Refuse what is negative, infinite or no number."""
    if not 0 <= value < math.inf:
        raise LocalError(f"{name} is {value:g}; give 0 or more")
