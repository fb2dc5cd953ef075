"""
Every placement of a few faults, instead of many runs with drawn ones.

A short scenario has few datagrams and few bytes. Losing each of them in turn, and each two of them,
proves more about it than any number of seeds; so does a cut of each connection after each byte.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from attrs import define, evolve, field, frozen

from lab.errors import LabError, LocalError
from lab.faults.datagrams import Duplicate, Judge, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Line, Place, Replay
from lab.faults.streams import Cut
from lab.faults.verdicts import DROP, Verdict
from lab.simulator.exploring import ExplorationFailed, Found, Scenario, many_runs, run_once
from lab.simulator.parallel import in_processes, processes

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
    """A unit that a fault has seen: where, the how-manieth, and how large it is in bytes."""

    place: Place
    settings: Any
    number: int
    size: int

    def entries(self) -> list[Line]:
        """All that the fault may do to it; when, a run will tell."""
        placed = _PLACED[type(self.settings)](self.settings, self.number, self.size)
        return [Entry(self.place, self.number, 0.0, verdict) for verdict in placed]


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

    def draw(self, place: Place, fault: Fault) -> float:
        """A fault that can be placed works on every connection: it does nothing by itself."""
        return 0.0 if type(fault.settings) in _PLACED else self._replay.draw(place, fault)


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
        self._units.append(_Unit(self._place, self._settings, self._number, size))
        self._number += 1
        return self._judge.judge(size, now)


@define
class _Search:
    """
    Runs of one scenario, with more and more faults.

    A run is what it would be without its last fault until that judges. So all sets of faults come
    up, and each once, if one is added only behind the last, in the order in which units are seen:
    also on units, such as those of a connection that is made again, that are there because of the
    faults before.

    Attributes:
        runs: How many there were.
    """

    _scenario: Scenario
    _seed: int
    _most: int
    runs: int = 0

    def search(self, entries: list[Line], left: int, first: int = 0) -> None:
        """
        Run with these faults, and with these and up to so many more.

        Args:
            entries: The faults.
            left: How many more may be placed.
            first: On which unit the first of them may be, counted over all places.
        """
        units = self._run(entries)
        if left:
            for number, entry in _placements(units, first):
                self.search([*entries, entry], left - 1, number)

    def share(self, left: int, jobs: int) -> None:
        """
        As `search` from the beginning, in several processes: a piece of work is one first fault.

        Args:
            left: How many faults may be placed; at least one.
            jobs: How many processes.
        """

        def below(first: tuple[int, Line]) -> tuple[int, list[Line]]:
            """All that begin with a fault: how many runs, and the faults of one that is wrong."""
            number, entry = first
            search = _Search(self._scenario, self._seed, self._most)
            try:
                search.search([entry], left - 1, number)
            except ExplorationFailed as failed:
                return search.runs, failed.found.journal.entries
            except LocalError:  # it is too much for all, then, and is told there
                pass
            return search.runs, []

        first = _placements(self._run([]), 0)
        with closing(in_processes(below, first, jobs)) as results:
            for _, (runs, wrong) in results:
                if wrong:
                    self._count(runs - 1)
                    self._again(wrong)
                self._count(runs)

    def _run(self, entries: list[Line]) -> list[_Unit]:
        """Run with these faults; returns what others can be placed on."""
        self._count(1)
        counting = _Counting(Replay.of(Journal(entries)))
        error, journal = run_once(self._scenario, self._seed, counting)
        if error is not None:
            # Those that were placed, with the times that they had in this run.
            placed = [evolve(entry, at=0.0) for entry in entries]
            found = [entry for entry in journal.entries if evolve(entry, at=0.0) in placed]
            raise ExplorationFailed(Found(self._seed, error, Journal(found), self.runs))
        return counting.units

    def _again(self, entries: list[Line]) -> None:
        """Run with faults here that were wrong in another process."""
        self._run(entries)
        lines = "\n".join(f"  {entry.encode()}" for entry in entries)
        raise LabError(
            "a run failed, and was right when it was run again: something outside of the "
            f"simulation has a part in it\n{lines}"
        )

    def _count(self, runs: int) -> None:
        """There are so many more runs."""
        self.runs += runs
        if self.runs > self._most:
            raise LocalError(
                f"more than {self._most} runs; give a shorter scenario, fewer faults or more runs"
            )


def _placements(units: list[_Unit], first: int) -> Iterator[tuple[int, Line]]:
    """One more fault, on each unit from the first on: where the next one may be, and the fault."""
    for number, unit in enumerate(units[first:], first + 1):
        for entry in unit.entries():
            yield number, entry


def exhaust(
    scenario: Scenario, faults: int = 1, seed: int = 0, *, most: int = 100_000, jobs: int = 1
) -> int:
    """
    Run a scenario with every placement of so many faults, and of fewer.

    What can be placed are the `Loss`, `Duplicate` and `Reorder` that the scenario has on its
    links, each on each datagram, and the `lab.faults.streams.Cut`: ahead of the first byte of each
    connection, and behind each byte. Their probability is of no meaning; nothing is drawn for them.

    Args:
        scenario: As for `explore`; a short one, for there are about n**faults runs for n
            datagrams or bytes.
        faults: How many are placed in one run.
        seed: Of all that is drawn besides.
        most: So many runs at most.
        jobs: As for `explore`.

    Returns:
        How many runs there were, all of which were right.

    Raises:
        ExplorationFailed: One was not, the first of them; the text has the faults that were placed.
        LocalError: It takes more runs, and as many as are allowed were right; or there can't be so
            many jobs.
        LabError: A process has died, or a run failed in one, and not when it was run again.
    """
    jobs = processes(jobs)
    search = _Search(scenario, seed, most)
    with many_runs():
        if faults and jobs > 1:
            search.share(faults, jobs)
        else:
            search.search([], faults)
    return search.runs
