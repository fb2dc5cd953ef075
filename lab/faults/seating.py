"""
How the faults of one link are put to work, and what they decide is written down.

Knows neither datagrams nor streams.
"""

from typing import TYPE_CHECKING

from attrs import define, field

from lab.faults.datagrams import Judge
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Place, Toxicity
from lab.faults.verdicts import Verdict

if TYPE_CHECKING:
    from lab.faults.link import Decisions

# Places in the decimals of a time in a journal: microseconds, which real clocks have.
_PLACES = 6


@define
class Seating:
    """
    Asks what decides for one link, on behalf of its faults.

    Args:
        decisions: Where verdicts come from.
        place: Which link, connection and direction it is.
        journal: Takes what is decided; without, nothing is kept.
        since: When the link began, in seconds.
    """

    _decisions: "Decisions"
    place: Place
    _journal: Journal | None
    _since: float
    #: How often each fault has been put to work.
    _begun: dict[str, int] = field(factory=dict)
    #: What is written down last about the toxicity of each.
    _told: dict[str, bool] = field(factory=dict)

    def begin(self, fault: Fault, now: float) -> tuple[Place, Judge] | None:
        """
        Put a fault to work.

        Args:
            fault: Which.
            now: In seconds.

        Returns:
            Its name in the journal, and what judges; None if it does not work on this connection.
        """
        place = self.place.of(fault.name)
        if fault.toxicity < 1 and not self._hits(place, fault, now):
            return None
        # What begins anew counts its units anew, and needs a name of its own in the journal.
        times = self._begun[fault.name] = self._begun.get(fault.name, 0) + 1
        if times > 1:
            place = self.place.of(f"{fault.name}#{times}")
        return place, self._decisions.judge(place, fault)

    def record(self, place: Place, unit: int, now: float, verdict: Verdict) -> None:
        """
        Write a verdict down.

        Args:
            place: Who decided.
            unit: The number of the unit, from 0.
            now: In seconds.
            verdict: What was decided.
        """
        if self._journal is not None:
            self._journal.record(Entry(place, unit, self._at(now), verdict))

    def _hits(self, place: Place, fault: Fault, now: float) -> bool:
        """Whether a fault works on this connection; that is written down once."""
        draw = self._decisions.draw(place, fault)
        hit = draw < fault.toxicity
        if self._journal is not None and self._told.get(fault.name) is not hit:
            self._told[fault.name] = hit
            self._journal.record(Toxicity(place, self._at(now), hit, draw))
        return hit

    def _at(self, now: float) -> float:
        """A time, counted from when the link began."""
        return round(now - self._since, _PLACES)
