"""
What can go wrong with datagrams: the faults of tc-netem, as settings and what judges by them.

Settings are values: what a fault is, the same for all connections. `begin` gives the judge of
one link and connection, which keeps what it must remember. Seconds, bytes and bytes/s.
"""

from collections import deque
from typing import Protocol as Interface

from attrs import define, field, frozen

from lab.errors import LocalError
from lab.faults.draws import DISTRIBUTIONS, Draws, check_correlation
from lab.faults.verdicts import DELIVER, DROP, Verdict
from lab.rng import Random

#: Who may have a rate together.
SCOPES = ("connection", "client", "proxy")


class Judge(Interface):
    """What one fault does to the units of one link and connection, in their order."""

    def judge(self, size: int, now: float) -> Verdict:
        """
        Decide about the next unit.

        Args:
            size: Bytes of the unit.
            now: In seconds; never less than at the call before.
        """


class Settings(Interface):
    """
    What a fault is.

    Attributes:
        drawn: Whether its verdicts are decisions, which a journal keeps and a replay takes from
            there. What follows from sizes and times alone is computed again.
    """

    @property
    def drawn(self) -> bool:
        """See above."""

    def begin(self, random: Random) -> Judge:
        """
        What judges one link and connection.

        Args:
            random: A stream of its own.
        """


@frozen
class Latency:
    """
    Delivers later. Units that are delayed by different times may overtake each other.

    Args:
        latency: Mean delay, in seconds.
        jitter: What a draw of 1 adds, in seconds; no delay is less than 0.
        distribution: Of the draws: ``uniform`` (-1 to 1), ``normal`` (standard deviation 1),
            ``pareto`` (shape 3, mean about 0, cut at 4) or ``paretonormal`` (a quarter normal,
            three quarters pareto).
        correlation: Of a draw with the one before, 0 to less than 1; see `Draws`.

    Raises:
        LocalError: Numbers outside what is said above.
    """

    latency: float = 0.0
    jitter: float = 0.0
    distribution: str = "uniform"
    correlation: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _at_least_0("latency", self.latency)
        _at_least_0("jitter", self.jitter)
        if self.distribution not in DISTRIBUTIONS:
            known = ", ".join(DISTRIBUTIONS)
            raise LocalError(f"distribution is {self.distribution!r}; give one of {known}")
        check_correlation(self.correlation)

    @property
    def drawn(self) -> bool:
        """A delay without jitter is no decision."""
        return self.jitter > 0

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        if not self.jitter:
            return _Everything(Verdict((self.latency,)))
        return _LatencyJudge(self, Draws(random, self.correlation))


@define
class _LatencyJudge:
    """Draws a delay for each unit."""

    _settings: Latency
    _draws: Draws

    def judge(self, size: int, now: float) -> Verdict:
        """Deliver later."""
        settings = self._settings
        draw = DISTRIBUTIONS[settings.distribution](self._draws)
        return Verdict((max(0.0, settings.latency + settings.jitter * draw),), draw=draw)


@frozen
class Loss:
    """
    Drops units: at random, or every nth, or in bursts.

    Bursts are those of the Gilbert-Elliott model: a good and a bad state, of which each unit may
    be the last. Elliott, "Estimates of error rates for codes on burst-noise channels", 1963.

    Args:
        probability: Of a loss; without ``every`` and without ``p``.
        correlation: Of a draw with the one before, 0 to less than 1; the rate stays
            ``probability``. See `Draws`.
        every: Every nth unit is lost.
        p: Probability of going from good to bad.
        r: Probability of going from bad to good.
        h: Probability with which a unit is delivered in the bad state.
        k: Probability with which a unit is delivered in the good state.

    Raises:
        LocalError: Numbers outside what is said above, or two models at once.
    """

    probability: float = 0.0
    correlation: float = 0.0
    every: int = 0
    p: float = 0.0
    r: float = 1.0
    h: float = 0.0
    k: float = 1.0

    drawn = True

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        for name in ("probability", "p", "r", "h", "k"):
            _probability(name, getattr(self, name))
        check_correlation(self.correlation)
        if self.every < 0:
            raise LocalError(f"every is {self.every}; give 1 or more: every nth is lost")
        if sum(map(bool, (self.probability, self.every, self.p))) > 1:
            raise LocalError("loss has two models; give one of probability, every, p")

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        if self.every:
            return _EveryNth(self.every)
        if self.p:
            return _GilbertElliott(self, random)
        return _Random(Draws(random, self.correlation), self.probability, DROP)


@define
class _EveryNth:
    """Drops every nth."""

    _every: int
    _count: int = 0

    def judge(self, size: int, now: float) -> Verdict:
        """Count."""
        self._count += 1
        return DELIVER if self._count % self._every else DROP


@define
class _GilbertElliott:
    """Drops in bursts: a draw for the loss, in the state before the step, and one for the step."""

    _settings: Loss
    _random: Random
    _bad: bool = False

    def judge(self, size: int, now: float) -> Verdict:
        """Lose or not, and go on to the next state."""
        settings, random = self._settings, self._random
        draw, step = random.random(), random.random()
        lost = draw >= (settings.h if self._bad else settings.k)
        self._bad = step >= settings.r if self._bad else step < settings.p
        return Verdict((), draw=draw) if lost else DELIVER


@define
class _Random:
    """One draw for each unit: what happens to those that it hits."""

    _draws: Draws
    _probability: float
    _verdict: Verdict

    def judge(self, size: int, now: float) -> Verdict:
        """Draw."""
        draw = self._draws.next()
        if draw >= self._probability:
            return DELIVER
        hit = self._verdict
        return Verdict(hit.delays, hit.flips, hit.held, draw)


@frozen
class Duplicate:
    """
    Delivers units more than once (RFC 5560).

    Args:
        probability: That a unit is duplicated.
        copies: How many there are besides the unit; 1 to 100.

    Raises:
        LocalError: Numbers outside what is said above.
    """

    probability: float = 0.0
    copies: int = 1

    drawn = True

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _probability("probability", self.probability)
        if not 1 <= self.copies <= 100:
            raise LocalError(f"copies is {self.copies}; give 1 to 100")

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _Random(Draws(random), self.probability, Verdict((0.0,) * (1 + self.copies)))


@frozen
class Reorder:
    """
    Holds units back until later ones have passed (RFC 4737).

    Args:
        probability: That a unit is held back.
        displacement: How many later units pass it; 1 to 1,000.

    Raises:
        LocalError: Numbers outside what is said above.
    """

    probability: float = 0.0
    displacement: int = 1

    drawn = True

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _probability("probability", self.probability)
        if not 1 <= self.displacement <= 1000:
            raise LocalError(f"displacement is {self.displacement}; give 1 to 1,000 units")

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _Random(Draws(random), self.probability, Verdict(held=self.displacement))


@frozen
class Corrupt:
    """
    Inverts bits. Exactly so many differ; a unit of fewer bits has them all inverted.

    Args:
        probability: That a unit is hit.
        bits: How many bits are inverted; 1 to 1,000.

    Raises:
        LocalError: Numbers outside what is said above.
    """

    probability: float = 0.0
    bits: int = 1

    drawn = True

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        _probability("probability", self.probability)
        if not 1 <= self.bits <= 1000:
            raise LocalError(f"bits is {self.bits}; give 1 to 1,000")

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _CorruptJudge(self, random)


@define
class _CorruptJudge:
    """Draws whether, and then which bits."""

    _settings: Corrupt
    _random: Random

    def judge(self, size: int, now: float) -> Verdict:
        """Draw."""
        draw = self._random.random()
        if draw >= self._settings.probability or not size:
            return DELIVER
        most = min(self._settings.bits, 8 * size)
        flips = tuple(sorted(self._random.sample(range(8 * size), most)))
        return Verdict(flips=flips, draw=draw)


@frozen
class Bandwidth:
    """
    Delivers at a rate (a token bucket), and drops what finds the queue full (tail drop).

    A unit is delivered when its last byte has been sent.

    Args:
        rate: In bytes/s; 0 lets nothing pass.
        burst: Bytes that may pass at once after a silence.
        queue: Most bytes that wait; 0 for no limit.
        packets: Most units that wait; 0 for no limit.
        scope: Who has all that together, in one direction: each ``connection`` for itself, all
            connections of a ``client``, which is an address, or all of the ``proxy``. See
            `lab.faults.sharing`.

    Raises:
        LocalError: A number below 0, or another scope.
    """

    rate: float = 0.0
    burst: float = 0.0
    queue: float = 0.0
    packets: int = 0
    scope: str = "connection"

    drawn = False

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        for name in ("rate", "burst", "queue", "packets"):
            _at_least_0(name, getattr(self, name))
        if self.scope not in SCOPES:
            raise LocalError(f"scope is {self.scope!r}; give one of {', '.join(SCOPES)}")

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _BandwidthJudge(self)


@define
class _BandwidthJudge:
    """Knows when all that it has taken will have been sent."""

    _settings: Bandwidth
    _sent_at: float = 0.0
    #: When each waiting unit will have been sent, and its size.
    _waiting: deque[tuple[float, int]] = field(factory=deque)
    _bytes: int = 0

    def judge(self, size: int, now: float) -> Verdict:
        """Send when there is room, if it may wait for so long."""
        settings, waiting = self._settings, self._waiting
        if not settings.rate:
            return DROP
        while waiting and waiting[0][0] <= now:
            self._bytes -= waiting.popleft()[1]
        too_many = settings.packets and len(waiting) >= settings.packets
        if too_many or (settings.queue and self._bytes + size > settings.queue):
            return DROP
        # The bucket is the time by which sending may run ahead of the rate.
        ahead = settings.burst / settings.rate
        self._sent_at = max(self._sent_at, now) + size / settings.rate
        delay = max(0.0, self._sent_at - ahead - now)
        if delay:
            waiting.append((now + delay, size))
            self._bytes += size
        return Verdict((delay,))


@frozen
class Blackhole:
    """Drops everything."""

    drawn = True

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _Everything(DROP)


@frozen
class Noop:
    """Does nothing, and can be seen doing it."""

    drawn = False

    def begin(self, random: Random) -> Judge:
        """See `Settings`."""
        return _Everything(DELIVER)


@define
class _Everything:
    """The same for all."""

    _verdict: Verdict

    def judge(self, size: int, now: float) -> Verdict:
        """The same for all."""
        return self._verdict


def _probability(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise LocalError(f"{name} is {value:g}; give a probability from 0 to 1, for example 0.3")


def _at_least_0(name: str, value: float) -> None:
    """Refuse what is negative, infinite or no number."""
    if not 0 <= value < float("inf"):
        raise LocalError(f"{name} is {value:g}; give 0 or more")
