"""
Many runs of one scenario: which seeds fail, and which few faults are to blame.

A failing run is replayed from its journal, with fewer and fewer of its faults, as long as the
same failure comes: delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
failure-inducing input", 2002).
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from attrs import field, frozen
from twisted.logger import globalLogBeginner

from lab.errors import LabError
from lab.faults.journal import Journal, Line, Replay
from lab.faults.link import Decisions
from lab.simulator.network import Network, frozen_heap, simulate
from lab.simulator.parallel import in_processes, pieces, processes
from lab.simulator.reports import seeds_given

#: What is run: it gets the network, and raises if something is wrong.
Scenario = Callable[[Network], object]
# So many seeds are given to a process together.
_PIECE = 10


@frozen
class Found:
    """
    A seed that fails.

    Args:
        seed: The seed.
        error: What it raised.
        journal: The faults that are enough for that failure.
        runs: How many runs it took to find them.
    """

    seed: int
    error: Exception = field(eq=False)
    journal: Journal
    runs: int

    def __str__(self) -> str:
        """For people: the seed, the failure, and the faults."""
        lines = "\n".join(f"  {line}" for line in self.journal.lines())
        return f"seed {self.seed} fails: {self.error!r}\n{lines or '  without any fault'}"


class ExplorationFailed(LabError):
    """
    A seed failed.

    Attributes:
        found: Which, how, and because of what.
    """

    def __init__(self, found: Found) -> None:
        super().__init__(str(found))
        self.found = found


class NothingProved(LabError):
    """An exploration went by what it was made for; the text says what."""


def explore(
    scenario: Scenario,
    seeds: Iterable[int] = range(100),
    *,
    jobs: int = 1,
    to: Path | None = None,
    order: str = "fifo",
) -> int:
    """
    Run a scenario with many seeds.

    With ``LAB_SEED=7`` in the environment that seed is run, and no other.

    Args:
        scenario: Called with a network for each seed; it raises if something is wrong.
        seeds: The seeds.
        jobs: In so many processes; 0 for one for each CPU. What the scenario changes outside of
            its network is then changed in these, and lost.
        to: Where the journal of a failure is written, for `replay`.
        order: Of timers of one time: ``fifo`` or ``shuffle``, see `simulate`.

    Returns:
        How many seeds there were, all of which were right.

    Raises:
        ExplorationFailed: One was not, the first of them; the text has the few faults that are to
            blame.
        NothingProved: What `Network.sometimes` names has held in none of them.
        LocalError: There can't be so many jobs.
        LabError: A process has died, or a seed failed in one, and not when it was run again.
    """
    jobs = processes(jobs)
    number, held = 0, dict[str, bool]()
    once = partial(run_once, scenario, order=order)
    failures: dict[int, _Failure] = {}
    with many_runs(), closing(_runs(once, seeds_given(seeds), jobs, failures)) as runs:
        for count, wrong, held_there in runs:
            number += count
            for name, has in held_there.items():
                held[name] = held.get(name, False) or has
            if wrong is not None:
                error, journal = failures.get(wrong) or _again(once, wrong)
                found = _shrink(once, wrong, error, journal)
                if to is not None:
                    to.write_text("".join(f"{line}\n" for line in found.journal.lines()))
                raise ExplorationFailed(found) from error
    for name, has in sorted(held.items()):
        if not has:
            raise NothingProved(f"{name!r} has held in none of {number} runs; give other faults")
    return number


@contextmanager
def many_runs() -> Iterator[None]:
    """
    Let no run take longer because of those before.

    Until a log begins Twisted keeps the last events for it, and by these the runs that they are of:
    those of runs are not kept. What is critical is printed as ever.
    """
    with ExitStack() as stack:
        # Each run collects those before it: nothing is frozen between them.
        stack.enter_context(frozen_heap())
        # There is no other way in.
        early = getattr(globalLogBeginner, "_temporaryObserver", None)
        kept = getattr(globalLogBeginner, "_initialBuffer", None)
        if early is not None:  # no log has begun
            early.removeObserver(kept)
            stack.callback(early.addObserver, kept)
        yield


# What a run raised, and what its faults decided.
_Failure = tuple[Exception, Journal]
_Run = tuple[Exception | None, Journal]
# How many seeds were right, the first that was not, and what has held in them.
_Result = tuple[int, int | None, dict[str, bool]]


def _runs(
    once: Callable[..., _Run], seeds: Iterable[int], jobs: int, failures: dict[int, _Failure]
) -> Generator[_Result]:
    """Run many seeds, here, which fills in the failures, or in several processes."""

    def run(piece: list[int]) -> _Result:
        """Some of them, up to the first that is wrong."""
        held: dict[str, bool] = {}
        for number, seed in enumerate(piece):
            error, journal = once(seed, None, held)
            if error is not None:
                failures[seed] = error, journal
                return number, seed, held
        return len(piece), None, held

    if jobs == 1:
        yield from map(run, pieces(seeds, 1))
        return
    with closing(in_processes(run, pieces(seeds, _PIECE), jobs)) as results:
        for _, result in results:
            yield result


def _again(once: Callable[..., _Run], seed: int) -> _Failure:
    """Run a seed here that has failed in another process."""
    error, journal = once(seed, None)
    if error is None:
        raise LabError(
            f"seed {seed} failed, and was right when it was run again: something outside of the "
            "simulation has a part in it"
        )
    return error, journal


def replay(
    scenario: Scenario,
    journal: Journal | Path,
    seed: int = 0,
    *,
    capture: Path | None = None,
    order: str = "fifo",
) -> None:
    """
    Run a scenario with the faults of a journal, and no others.

    Args:
        scenario: As for `explore`.
        journal: The faults, or the file that has them.
        seed: Of all that is drawn besides faults.
        capture: As for `simulate`.
        order: As for `explore`; ``shuffle`` takes the seed that failed, too.

    Raises:
        Exception: Whatever the scenario raises.
    """
    if isinstance(journal, Path):
        journal = Journal.read(journal.read_text().splitlines())
    with simulate(seed, Replay.of(journal), capture=capture, order=order) as net:
        scenario(net)


def run_once(
    scenario: Scenario,
    seed: int,
    decisions: Decisions | None,
    held: dict[str, bool] | None = None,
    *,
    order: str = "fifo",
) -> tuple[Exception | None, Journal]:
    """
    Run a scenario once.

    Args:
        scenario: As for `explore`.
        seed: All that is drawn follows from it.
        decisions: Where the verdicts of faults come from.
        held: Notes what `Network.sometimes` names, and whether it has held.
        order: Of timers of one time.

    Returns:
        What it raised, if anything, and what its faults decided.
    """
    journal = Journal()
    try:
        with simulate(seed, decisions, order=order) as net:
            journal = net.journal
            scenario(net)
            if held is not None:
                for name, has in net.checks.held.items():
                    held[name] = held.get(name, False) or has
    except Exception as error:  # noqa: BLE001 - a scenario may raise anything
        return error, journal
    return None, journal


def _shrink(once: Callable[..., _Run], seed: int, error: Exception, journal: Journal) -> Found:
    """Find few entries of the journal with which the same failure comes."""
    runs = 0

    def fails(entries: list[Line]) -> bool:
        """Whether it comes with these."""
        nonlocal runs
        runs += 1
        again, _ = once(seed, Replay.of(Journal(entries)))
        return again is not None and _alike(again, error)

    entries = journal.entries
    if fails(entries):  # else it takes more than the faults, and all of them are told
        entries = ddmin(entries, fails)
    return Found(seed, error, Journal(entries), runs)


def _alike(one: Exception, other: Exception) -> bool:
    """Whether two failures are the same, but for times and numbers in their texts."""

    def words(error: Exception) -> str:
        """The text without digits."""
        return "".join(c for c in str(error) if not (c.isdigit() or c in ".-+e"))

    return type(one) is type(other) and words(one) == words(other)


def ddmin(entries: list[Line], fails: Callable[[list[Line]], bool]) -> list[Line]:
    """
    Leave out what is not needed for a failure.

    Args:
        entries: With all of them it fails.
        fails: Whether it does with some of them.

    Returns:
        A list of which no entry can be left out.
    """
    parts = 2
    while len(entries) >= 1:
        size = max(1, -(-len(entries) // parts))
        for start in range(0, len(entries), size):
            fewer = entries[:start] + entries[start + size :]
            if fails(fewer):
                entries, parts = fewer, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(entries), 2 * parts)
    return entries
