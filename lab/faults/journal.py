"""
What faults have decided, kept to be read, and to be decided again without dice.

A journal is JSON lines. A line is one verdict that was not "deliver": on which link, connection
and direction, by which fault, on the how-manieth unit that this fault saw, and when. Or it says
whether a fault works on a connection at all, where its toxicity has left that to a draw. The first
line may name the seed. `Journal.read` says what else it reads.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import define, field, frozen

from lab.errors import LocalError, shortened
from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.verdicts import DELIVER, Verdict
from lab.rng import stream

#: Of the form of journals; the first line has it.
VERSION = 1


@frozen
class Place:
    """
    Where a fault sits. Random streams and journals are named by it.

    Args:
        link: Name of the link.
        connection: Number of the connection on it, from 0.
        direction: ``upstream`` or ``downstream``.
        fault: Name of the fault; empty for the place of them all.
    """

    link: str
    connection: int = 0
    direction: str = "downstream"
    fault: str = ""

    def of(self, fault: str) -> "Place":
        """The place of this fault on the same link."""
        return Place(self.link, self.connection, self.direction, fault)

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {
            "link": self.link,
            "connection": self.connection,
            "direction": self.direction,
            "fault": self.fault,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Place":
        """Read what `as_json` gave; what is none raises any of several errors."""
        link, connection = str(values["link"]), int(values["connection"])
        return cls(link, connection, str(values["direction"]), str(values["fault"]))


@frozen
class Entry:
    """
    One decision about a unit.

    Args:
        place: Who decided.
        unit: The number of the unit, from 0 for the first that the fault saw.
        at: When, in seconds since the connection began.
        verdict: What was decided.
    """

    place: Place
    unit: int
    at: float
    verdict: Verdict

    def encode(self) -> str:
        """One line of JSON, without its ending."""
        more = {"unit": self.unit, "at": self.at}
        return json.dumps(self.place.as_json() | more | self.verdict.as_json())

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Entry":
        """Read the values of a line; what is none raises any of several errors."""
        unit, at = int(values["unit"]), _time(values["at"])
        return cls(Place.from_json(values), unit, at, Verdict.from_json(values))


@frozen
class Toxicity:
    """
    Whether a fault works on a connection, which its toxicity has left to a draw.

    Args:
        place: Which fault, and which connection.
        at: When, in seconds since the connection began.
        hit: Whether it works.
        draw: The random number: it works where that is less than its toxicity.
    """

    place: Place
    at: float
    hit: bool
    draw: float

    @property
    def kind(self) -> str:
        """One word: hit or miss."""
        return "hit" if self.hit else "miss"

    def encode(self) -> str:
        """One line of JSON, without its ending."""
        more = {"at": self.at, "verdict": self.kind, "draw": self.draw}
        return json.dumps(self.place.as_json() | more)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Toxicity":
        """Read the values of a line; what is none raises any of several errors."""
        hit = values["verdict"] == "hit"
        draw = float(values.get("draw", 0.0 if hit else 1.0))
        if not 0 <= draw <= 1:
            raise ValueError(draw)
        return cls(Place.from_json(values), _time(values["at"]), hit, draw)


def _time(value: Any) -> float:
    """When something was, in seconds."""
    at = float(value)
    if not math.isfinite(at):
        raise ValueError(value)
    return at


#: A line of a journal.
Line = Entry | Toxicity
# What reading raises that meets something else.
_WRONG = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


@define
class Journal:
    """
    A list of decisions.

    Args:
        entries: Those that were made, in their order.
        seed: Of the dice that decided, if they were and it is known.
        watch: Called with each entry that is recorded.
    """

    entries: list[Line] = field(factory=list)
    seed: int | None = None
    watch: Callable[[Line], object] | None = field(default=None, eq=False, repr=False)

    def record(self, entry: Line) -> None:
        """Keep one more."""
        self.entries.append(entry)
        if self.watch is not None:
            self.watch(entry)

    @property
    def header(self) -> list[str]:
        """The first line, which names the seed; none without one."""
        return [] if self.seed is None else [json.dumps({"journal": VERSION, "seed": self.seed})]

    def lines(self) -> Iterator[str]:
        """As lines of JSON, without their endings."""
        yield from self.header
        for entry in self.entries:
            yield entry.encode()

    @classmethod
    def read(cls, lines: Iterable[str]) -> "Journal":
        """
        Read lines. Empty ones are passed over; several journals, one behind the other, are one,
        with the seed of the first. There need be no header, nor lines about toxicity.

        Raises:
            LocalError: A line that is none of a journal; the text names its number.
        """
        journal = cls()
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    journal.add(line)
                except LocalError as error:
                    raise LocalError(f"line {number} of the journal: {error}") from error
        return journal

    def add(self, line: str) -> None:
        """
        Read one more line.

        Raises:
            LocalError: No line of a journal, or one of a later version.
        """
        try:
            values = json.loads(line)
            if "journal" in values:
                self._begin(values["journal"], values["seed"])
            elif values["verdict"] in {"hit", "miss"}:
                self.record(Toxicity.from_json(values))
            else:
                self.record(Entry.from_json(values))
        except _WRONG as error:
            raise LocalError(f"line is {shortened(line)}; give one of a journal") from error

    def _begin(self, version: int, seed: int) -> None:
        """A header."""
        if version != VERSION:
            raise ValueError(version)
        if self.seed is None:
            self.seed = int(seed)


@define
class Dice:
    """
    Decides by random streams, one for each place: no decision moves another.

    Args:
        seed: Equal seeds decide alike.
    """

    seed: int

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""
        return fault.settings.begin(self._stream(place))

    def draw(self, place: Place, fault: Fault) -> float:
        """The fault works on this connection if this is less than its toxicity."""
        drawn: float = self._stream(place, "toxicity").random()
        return drawn

    def _stream(self, place: Place, *more: str) -> Any:
        """The random stream of a place."""
        return stream(
            self.seed, "fault", place.link, place.connection, place.direction, place.fault, *more
        )


@define
class Replay:
    """
    Decides what was decided before, and nothing else.

    What follows from sizes and times alone, a rate or a delay without jitter, is computed as
    ever. A fault that works on some connections works in a replay where it did; where the journal
    does not say, as older ones do not, it works where it has decided something.

    Args:
        journal: The decisions.
    """

    _kept: dict[Place, dict[int, Verdict]] = field(factory=dict)
    #: What decided whether a fault works.
    _drawn: dict[Place, float] = field(factory=dict)

    @classmethod
    def of(cls, journal: Journal) -> "Replay":
        """The replay of a journal."""
        replay = cls()
        for entry in journal.entries:
            if isinstance(entry, Toxicity):
                replay._drawn[entry.place] = entry.draw
            else:
                replay._kept.setdefault(entry.place, {})[entry.unit] = entry.verdict
        return replay

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""
        if fault.settings.drawn:
            return _Recorded(self._kept.get(place, {}))
        return fault.settings.begin(stream(0))

    def draw(self, place: Place, fault: Fault) -> float:
        """The fault works on this connection if this is less than its toxicity."""
        return self._drawn.get(place, 0.0 if place in self._kept else 1.0)


@define
class _Recorded:
    """Gives each unit what it was given before."""

    _kept: dict[int, Verdict]
    _unit: int = 0

    def judge(self, size: int, now: float) -> Verdict:
        """The verdict on the next unit."""
        verdict = self._kept.get(self._unit, DELIVER)
        self._unit += 1
        return verdict
