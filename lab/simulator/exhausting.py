"""
Every placement of a few faults, instead of many runs with drawn ones.

A short scenario has few datagrams and few bytes. Losing each of them in turn, and each two of them,
proves more about it than any number of seeds; so does a cut of each connection after each byte.
"""

import gc
from typing import Any

from attrs import define, field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Duplicate, Judge, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Place, Replay
from lab.faults.streams import Cut
from lab.faults.verdicts import DROP, Verdict
from lab.simulator.exploring import ExplorationFailed, Found, Scenario, run_once

# What a fault may do to a unit, by its settings, the number of the unit and its size in bytes.
_PLACED: dict[type[Any], Any] = {
    Loss: lambda settings, unit, size: [DROP],
    Duplicate: lambda settings, unit, size: [Verdict((0.0,) * (1 + settings.copies))],
    Reorder: lambda settings, unit, size: [Verdict(held=settings.displacement)],
    # Behind the last byte of a unit is ahead of the first of the next: it is one placement.
    Cut: lambda settings, unit, size: [Verdict(cut=n) for n in range(min(unit, 1), size + 1)],
}


@frozen
class _Unit:
    """A unit that a fault has seen: where, the how-manieth, when, and how large it is in bytes."""

    place: Place
    settings: Any
    number: int
    at: float
    size: int

    def entries(self) -> list[Entry]:
        """All that the fault may do to it."""
        placed = _PLACED[type(self.settings)](self.settings, self.number, self.size)
        return [Entry(self.place, self.number, self.at, verdict) for verdict in placed]


@define
class _Counting:
    """
    Decides what a journal says, and notes the units that faults could be placed on.

    Args:
        replay: Has the decisions.
        units: What faults have seen so far, in that order.
    """

    _replay: Replay
    units: list[_Unit] = field(factory=list)

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""
        judge = self._replay.judge(place, fault)
        if type(fault.settings) not in _PLACED:
            return judge
        return _Counted(judge, place, fault.settings, self.units)

    def hits(self, place: Place, fault: Fault) -> bool:
        """A fault that can be placed works on every connection: it does nothing by itself."""
        return type(fault.settings) in _PLACED or self._replay.hits(place, fault)


@define
class _Counted:
    """A judge whose units are noted."""

    _judge: Judge
    _place: Place
    _settings: Any
    _units: list[_Unit]
    _number: int = 0

    def judge(self, size: int, now: float) -> Verdict:
        """Note, and judge."""
        self._units.append(_Unit(self._place, self._settings, self._number, now, size))
        self._number += 1
        return self._judge.judge(size, now)


@define
class _Search:
    """Runs of one scenario, with more and more faults."""

    _scenario: Scenario
    _seed: int
    _most: int
    runs: int = 0

    def run(self, entries: list[Entry], left: int, first: int = 0) -> None:
        """
        Run with these faults, and with these and up to so many more.

        A run is what it would be without its last fault until that judges. So all sets of faults
        come up, and each once, if one is added only behind the last, in the order in which units
        are seen: also on units, such as those of a connection that is made again, that are there
        because of the faults before.

        Args:
            entries: The faults.
            left: How many more may be placed.
            first: On which unit the first of them may be, counted over all places.
        """
        if self.runs == self._most:
            raise LocalError(
                f"more than {self._most} runs; give a shorter scenario, fewer faults or more runs"
            )
        self.runs += 1
        counting = _Counting(Replay.of(Journal(entries)))
        error, _ = run_once(self._scenario, self._seed, counting)
        if error is not None:
            raise ExplorationFailed(Found(self._seed, error, Journal(entries), self.runs))
        if left:
            for number, unit in enumerate(counting.units[first:], first + 1):
                for entry in unit.entries():
                    self.run([*entries, entry], left - 1, number)


def exhaust(scenario: Scenario, faults: int = 1, seed: int = 0, *, most: int = 100_000) -> int:
    """
    Run a scenario with every placement of so many faults, and of fewer.

    What can be placed are the `Loss`, `Duplicate` and `Reorder` that the scenario has on its
    links, each on each datagram, and the `Cut`: ahead of the first byte of each connection, and
    behind each byte. Their probability is of no meaning; nothing is drawn for them.

    Args:
        scenario: As for `explore`; a short one, for there are about n**faults runs for n
            datagrams or bytes.
        faults: How many are placed in one run.
        seed: Of all that is drawn besides.
        most: So many runs at most.

    Returns:
        How many runs there were, all of which were right.

    Raises:
        ExplorationFailed: One was not; the text has the faults that were placed.
        LocalError: It takes more runs; as many as are allowed were right.
    """
    search = _Search(scenario, seed, most)
    gc.freeze()  # as in `explore`
    try:
        search.run([], faults)
    finally:
        gc.unfreeze()
    return search.runs
