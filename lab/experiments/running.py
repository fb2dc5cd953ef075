"""
The run of a plan: which repetitions are to be done, in which order, and where results go.

It runs on any `concurrent.futures.Executor`. What is finished is kept at once, so a run that was
interrupted, in whatever way, goes on where it was.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path

from attrs import frozen

from lab.errors import LabError, LocalError
from lab.experiments.ledger import Ledger, Name
from lab.experiments.plan import Plan, Repetition
from lab.experiments.results import PLACE, Result
from lab.rng import stream

#: What a repetition is done with.
Work = Callable[[Repetition], Result]


@frozen
class Run:
    """
    A plan that is carried out in a directory.

    Args:
        plan: What is measured.
        folder: The directory.
        simulated: Whether it is simulated.
    """

    plan: Plan
    folder: Path
    simulated: bool

    def ledger(self) -> Ledger:
        """
        The results, which have not been looked at yet; the directories are made.

        Raises:
            LocalError: They can't be made.
        """
        path = self.folder / PLACE
        self._make(path.parent)
        return Ledger(path, self._wanted(), self.simulated)

    def keep_plan(self) -> None:
        """
        Keep the plan with the results, with all that it leaves open.

        Raises:
            LocalError: That can't be.
        """
        folder = self.folder / "configs"
        self._make(folder)
        try:
            (folder / f"{self.plan.name}.ini").write_text(self.plan.write(), encoding="utf-8")
        except OSError as error:
            raise LocalError(f"to is {str(self.folder)!r}; {error.strerror}") from None

    def carry_out(
        self,
        executor: Executor,
        work: Work,
        *,
        ahead: Callable[[], int] = lambda: 1,
        begin: Callable[[int, int], object] = lambda done, total: None,
        watch: Callable[[Result], object] = lambda result: None,
    ) -> int:
        """
        Do all that is not done.

        Args:
            executor: Runs the repetitions.
            work: Does one.
            ahead: So many are given to the executor at a time; asked again and again.
            begin: Called with how many are done already, and how many there are.
            watch: Called with each result.

        Returns:
            How many have failed.

        Raises:
            LocalError: The results can't be kept, or are those of another run.
            LabError: The executor can't go on, for example because a process of it has died.
        """
        ledger = self.ledger()
        with ledger.open() as add:
            self.keep_plan()
            left = ledger.left
            begin(len(ledger.wanted) - len(left), len(ledger.wanted))
            stream(self.plan.seed, "order").shuffle(left)
            left.reverse()
            pending: set[Future[Result]] = set()
            while left or pending:
                while left and len(pending) < ahead():
                    pending.add(executor.submit(work, left.pop()))
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                # What has ended well is kept first.
                for future in sorted(done, key=lambda one: one.exception() is not None):
                    result = _result(future)
                    add(result)
                    watch(result)
            ledger.scan()
            ledger.sort()
        return ledger.failed

    def _make(self, folder: Path) -> None:
        """Make a directory."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"to is {str(self.folder)!r}; {error.strerror}") from None

    def _wanted(self) -> dict[Name, Repetition]:
        """All repetitions, by cell and number."""
        return {
            # The repetitions of a cell have one text together, of which there are many.
            (key, one.number): one
            for cell in self.plan.cells()
            for key in [cell.key]
            for one in self.plan.repeated(cell, simulated=self.simulated)
        }


def _result(future: "Future[Result]") -> Result:
    """What came of a repetition."""
    try:
        return future.result()
    except BrokenExecutor as error:
        raise LabError(
            "a process of the run has died, perhaps for want of memory; what is finished is kept"
        ) from error
