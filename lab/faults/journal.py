"""
What faults have decided, kept to be read, and to be decided again without dice.

A journal is JSON lines. A line is one verdict that was not "deliver": on which link, connection
and direction, by which fault, on the how-manieth unit that this fault saw, and when.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.verdicts import DELIVER, Verdict
from lab.rng import stream


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


@frozen
class Entry:
    """
    One decision.

    Args:
        place: Who decided.
        unit: The number of the unit, from 0 for the first that the fault saw.
        at: When, in seconds.
        verdict: What was decided.
    """

    place: Place
    unit: int
    at: float
    verdict: Verdict

    def encode(self) -> str:
        """One line of JSON, without its ending."""
        place = self.place
        values = {
            "link": place.link,
            "connection": place.connection,
            "direction": place.direction,
            "fault": place.fault,
            "unit": self.unit,
            "at": self.at,
        }
        return json.dumps(values | self.verdict.as_json())

    @classmethod
    def decode(cls, line: str) -> "Entry":
        """
        Read one line.

        Raises:
            LocalError: No line of a journal.
        """
        try:
            values = json.loads(line)
            place = Place(
                str(values["link"]),
                int(values["connection"]),
                str(values["direction"]),
                str(values["fault"]),
            )
            return cls(place, int(values["unit"]), float(values["at"]), Verdict.from_json(values))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise LocalError(f"line is {line[:80]!r}; give one of a journal") from error


@define
class Journal:
    """
    A list of decisions.

    Args:
        entries: Those that were made, in their order.
    """

    entries: list[Entry] = field(factory=list)

    def record(self, entry: Entry) -> None:
        """Keep one more."""
        self.entries.append(entry)

    def lines(self) -> Iterator[str]:
        """As lines of JSON, without their endings."""
        return (entry.encode() for entry in self.entries)

    @classmethod
    def read(cls, lines: Iterable[str]) -> "Journal":
        """
        Read lines; empty ones are passed over.

        Raises:
            LocalError: A line that is none of a journal; the text names its number.
        """
        entries = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    entries.append(Entry.decode(line))
                except LocalError as error:
                    raise LocalError(f"line {number} of the journal: {error}") from error
        return cls(entries)


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

    def hits(self, place: Place, fault: Fault) -> bool:
        """Whether the fault works on this connection."""
        return fault.toxicity == 1 or self._stream(place, "toxicity").random() < fault.toxicity

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
    ever. A fault that works on some connections works in a replay where it has decided.

    Args:
        journal: The decisions.
    """

    _kept: dict[Place, dict[int, Verdict]] = field(factory=dict)

    @classmethod
    def of(cls, journal: Journal) -> "Replay":
        """The replay of a journal."""
        kept: dict[Place, dict[int, Verdict]] = {}
        for entry in journal.entries:
            kept.setdefault(entry.place, {})[entry.unit] = entry.verdict
        return cls(kept)

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""
        if fault.settings.drawn:
            return _Recorded(self._kept.get(place, {}))
        return fault.settings.begin(stream(0))

    def hits(self, place: Place, fault: Fault) -> bool:
        """Whether the fault works on this connection."""
        return fault.toxicity == 1 or place in self._kept


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
