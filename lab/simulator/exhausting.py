"""
Every placement of a few faults, instead of many runs with drawn ones.

A short scenario has few datagrams. Losing each of them in turn, and each two of them, proves more
about it than any number of seeds.
"""

from collections.abc import Iterator

from attrs import define, field

from lab.faults.datagrams import Duplicate, Judge, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Place, Replay
from lab.faults.verdicts import DROP, Verdict
from lab.simulator.exploring import ExplorationFailed, Found, Scenario, run_once


def _placed(fault: Fault) -> Verdict | None:
    """What a fault does to the unit it is placed on; None if it can't be placed."""
    settings = fault.settings
    if isinstance(settings, Loss):
        return DROP
    if isinstance(settings, Duplicate):
        return Verdict((0.0,) * (1 + settings.copies))
    return Verdict(held=settings.displacement) if isinstance(settings, Reorder) else None


@define
class _Counting:
    """
    Decides what a journal says, and counts the units that faults could be placed on.

    Args:
        replay: Has the decisions.
        units: How many units each place has seen, and what would be done to one.
    """

    _replay: Replay
    units: dict[Place, tuple[int, Verdict]] = field(factory=dict)

    def judge(self, place: Place, fault: Fault) -> Judge:
        """What judges at this place."""
        judge, placed = self._replay.judge(place, fault), _placed(fault)
        return judge if placed is None else _Counted(judge, place, placed, self.units)

    def hits(self, place: Place, fault: Fault) -> bool:
        """Every fault works on every connection."""
        return True


@define
class _Counted:
    """A judge whose units are counted."""

    _judge: Judge
    _place: Place
    _placed: Verdict
    _units: dict[Place, tuple[int, Verdict]]

    def judge(self, size: int, now: float) -> Verdict:
        """Count, and judge."""
        self._units[self._place] = (self._units.get(self._place, (0,))[0] + 1, self._placed)
        return self._judge.judge(size, now)


def exhaust(scenario: Scenario, faults: int = 1, seed: int = 0) -> int:
    """
    Run a scenario with every placement of so many faults, and of fewer.

    What can be placed are the `Loss`, `Duplicate` and `Reorder` that the scenario has on its
    links: each on each datagram, whatever their probability. Nothing is drawn for them.

    Args:
        scenario: As for `explore`; a short one, for there are n**faults runs for n datagrams.
        faults: How many are placed in one run.
        seed: Of all that is drawn besides.

    Returns:
        How many runs there were, all of which were right.

    Raises:
        ExplorationFailed: One was not; the text has the faults that were placed.
    """
    runs = 0
    for entries in _placements(scenario, [], faults, seed):
        runs += 1
        error, _ = run_once(scenario, seed, Replay.of(Journal(entries)))
        if error is not None:
            raise ExplorationFailed(Found(seed, error, Journal(entries), runs))
    return runs


def _placements(
    scenario: Scenario, entries: list[Entry], left: int, seed: int
) -> Iterator[list[Entry]]:
    """These faults, and these with each one more, behind the last of them, and so on."""
    yield entries
    if not left:
        return
    # A fault may bring forth datagrams that were not there without it: count with it.
    counting = _Counting(Replay.of(Journal(entries)))
    run_once(scenario, seed, counting)
    last = (entries[-1].place, entries[-1].unit) if entries else None
    for place, (number, placed) in sorted(counting.units.items(), key=lambda of: str(of[0])):
        for unit in range(number):
            if last is None or (str(place), unit) > (str(last[0]), last[1]):
                entry = Entry(place, unit, 0.0, placed)
                yield from _placements(scenario, [*entries, entry], left - 1, seed)
