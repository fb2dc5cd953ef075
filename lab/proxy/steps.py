"""
Steps: what is done to all proxies of a run, and when; parsed, and put in order.

Knows neither clocks nor registries; `lab.proxy.stepping` does the steps. Seconds.
"""

import math
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from lab import units
from lab.errors import LocalError
from lab.faults.datagrams import Blackhole, Settings
from lab.faults.fault import DIRECTIONS, Fault
from lab.faults.schema import from_text
from lab.faults.streams import Partition
from lab.proxy.toxics import KINDS, LEAST_EVERY, MOST_TIME, Toxic, toxic_of

#: Steps that are a word; any other is a fault.
WORDS = ("partition", "heal", "down", "up", "drop", "reset")
_EXAMPLE = "10:partition or 10/60:partition"


def partition(protocol: str) -> list[Toxic]:
    """
    The toxics that cut a proxy in both directions: streams wait, datagrams are dropped.

    >>> [toxic.name for toxic in partition("udp")]
    ['partition_upstream', 'partition_downstream']
    """
    settings: Settings = Partition() if protocol == "tcp" else Blackhole()
    return [
        toxic_of(Fault(settings, f"partition_{stream}", stream), protocol) for stream in DIRECTIONS
    ]


@frozen
class Step:
    """
    A step.

    Args:
        what: One of `WORDS`, or a fault in its short form.
        at: When, in seconds from the start.
        every: And again after so long, in seconds; 0 for never again.
    """

    what: str
    at: float
    every: float = 0.0

    @classmethod
    def read(cls, text: str) -> "Step":
        """
        Read ``SECONDS:STEP`` or ``SECONDS/SECONDS:STEP``.

        Raises:
            LocalError: Something else; the text says what is allowed.

        >>> Step.read("10/1m:partition")
        Step(what='partition', at=10.0, every=60.0)
        """
        when, colon, what = text.partition(":")
        if not colon:
            raise LocalError(f"at is {text!r}; give SECONDS:STEP, for example {_EXAMPLE}")
        if what.partition(":")[0] not in {*WORDS, *KINDS["tcp"], *KINDS["udp"]}:
            raise LocalError(
                f"step is {what!r}; give one of {', '.join(WORDS)}, "
                "or a fault like latency:latency=100"
            )
        first, slash, every = when.partition("/")
        return cls(what, _time(first), _time(every, least=LEAST_EVERY) if slash else 0.0)

    def toxics(self, protocol: str) -> list[Toxic]:
        """
        The toxics that it gives a proxy.

        Args:
            protocol: Of the proxy.

        Raises:
            LocalError: It is no fault, or one of the other protocol.
        """
        if self.what == "partition":
            return partition(protocol)
        if self.what in WORDS:
            return []
        return [toxic_of(from_text(self.what, KINDS[protocol]), protocol)]

    def time(self, number: int) -> float:
        """When it comes for the how-manieth time, counted from 0; infinity for never."""
        if number and not self.every:
            return math.inf
        return self.at + number * self.every


@define
class Plan:
    """
    Steps in the order of their times, those of one time in the order in which they were given.

    Who comes late, after several times of one step, finds it once, at the last of them.

    Args:
        steps: They.
    """

    _steps: Sequence[Step]
    #: How often each has been.
    _done: list[int] = field(init=False)

    @_done.default
    def _none(self) -> list[int]:
        """Nothing yet."""
        return [0] * len(self._steps)

    def deadline(self) -> float | None:
        """When the next step is due, in seconds from the start, or None."""
        times = (step.time(done) for step, done in zip(self._steps, self._done, strict=True))
        due = min(times, default=math.inf)
        return due if due < math.inf else None

    def take(self, since: float) -> list[tuple[float, Step]]:
        """
        Steps that are due, and when they were; they are then done.

        Args:
            since: Seconds from the start.
        """
        found: list[tuple[float, int]] = []
        for number, step in enumerate(self._steps):
            if step.time(self._done[number]) <= since:
                last = self._last(step, self._done[number], since)
                found.append((step.time(last), number))
                self._done[number] = last + 1
        return [(at, self._steps[number]) for at, number in sorted(found)]

    def _last(self, step: Step, done: int, since: float) -> int:
        """The number of its last time up to then; it has come for the time after ``done``."""
        if not step.every:
            return done
        last = max(done, int((since - step.at) // step.every))
        return last if step.time(last) <= since else last - 1


def read_steps(texts: Iterable[str], protocols: Iterable[str]) -> list[Step]:
    """
    Read steps for proxies of these protocols.

    Raises:
        LocalError: One is none, or not for all of them.
    """
    steps = [Step.read(text) for text in texts]
    for protocol in protocols:
        for step in steps:
            step.toxics(protocol)
    return steps


def _time(text: str, least: float = 0.0) -> float:
    """A time of a step, in seconds."""
    time = units.seconds(text, "at")
    if not least <= time <= MOST_TIME:
        raise LocalError(f"at is {text!r}; give {least:g} to {MOST_TIME:g} s")
    return time
