"""Runs: their order, how they go on, and that this does not show."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LabError, LocalError
from lab.experiments.plan import Repetition, read
from lab.experiments.pools import Inline
from lab.experiments.results import PLACE, Result
from lab.experiments.results import read as read_results
from lab.experiments.running import Run
from tests.experiments.quick import PLAN, work
from tests.helpers import folder

#: A run that is killed by itself behind so many results.
KILLED = """
import os, signal, sys
from pathlib import Path
from lab.experiments.pools import pool
from lab.experiments.running import Run
from tests.experiments.quick import PLAN, work

def watch(result):
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    left = [None] * 5
    with pool(2) as executor:
        run = Run(PLAN, Path(sys.argv[1]), simulated=True)
        run.carry_out(executor, work, ahead=lambda: 4, watch=watch)
"""


class RunTests(SynchronousTestCase):
    """With work that takes no time."""

    def setUp(self) -> None:
        """A folder for the experiment."""
        self.folder = folder(self) / "x"
        self.run_ = Run(PLAN, self.folder, simulated=True)
        self.done: list[tuple[int, int]] = []

    def work(self, one: Repetition) -> Result:
        """What is done here."""
        self.done.append((one.cell.whole("clients"), one.number))
        return work(one)

    def text(self, folder: Path) -> str:
        """The results."""
        return (folder / PLACE).read_text()

    def test_whole(self) -> None:
        """All repetitions, each once, in an order that is drawn; lines in the order of cells."""
        begun: list[tuple[int, int]] = []
        self.assertEqual(
            self.run_.carry_out(Inline(), self.work, begin=lambda *given: begun.append(given)), 0
        )
        self.assertEqual(begun, [(0, 12)])
        names = [(clients, number) for clients in (1, 2, 3) for number in range(4)]
        self.assertEqual(sorted(self.done), names)
        self.assertNotEqual(self.done, names)
        results = list(read_results(self.folder / PLACE))
        self.assertEqual([(one.cell["clients"], one.repetition) for one in results], names)
        self.assertEqual(read((self.folder / "configs" / "mine.ini").read_text(), "mine"), PLAN)

    def test_order(self) -> None:
        """The order follows from the seed of the plan."""
        self.run_.carry_out(Inline(), self.work)
        first, self.done = self.done, []
        Run(PLAN, self.folder / "again", simulated=True).carry_out(Inline(), self.work)
        again, self.done = self.done, []
        other = Run(evolve(PLAN, seed=1), self.folder / "other", simulated=True)
        other.carry_out(Inline(), self.work)
        self.assertEqual(first, again)
        self.assertNotEqual(first, self.done)

    def test_any_executor(self) -> None:
        """Threads do as well, and more than one at a time; the file is the same."""
        self.run_.carry_out(Inline(), self.work)
        other = self.folder / "threads"
        with ThreadPoolExecutor(1) as executor:
            Run(PLAN, other, simulated=True).carry_out(executor, self.work, ahead=lambda: 5)
        self.assertEqual(self.text(other), self.text(self.folder))

    def test_interrupted(self) -> None:
        """What is finished is not done again."""

        def stop(result: Result) -> None:
            if len(self.done) == 5:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.run_.carry_out(Inline(), self.work, watch=stop)
        self.assertEqual(len(self.done), 5)
        self.run_.carry_out(Inline(), self.work)
        self.assertEqual(len(self.done), len(set(self.done)), 12)
        self.done.clear()
        self.run_.carry_out(Inline(), self.work)
        self.assertEqual(self.done, [])

    def test_killed(self) -> None:
        """Behind ``kill -9``, too; and its processes are gone."""
        self.run_.carry_out(Inline(), self.work)
        killed = self.folder / "killed"
        script = self.folder / "killed.py"
        script.write_text(KILLED)
        path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        done = subprocess.run(
            [sys.executable, script, killed],
            check=False,
            capture_output=True,  # ends when the last process that has the pipe is gone
            timeout=100,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        lines = self.text(killed).count("\n")
        self.assertTrue(5 <= lines < 12, lines)
        Run(PLAN, killed, simulated=True).carry_out(Inline(), self.work)
        self.assertEqual(self.text(killed), self.text(self.folder))

    def test_more_of_it(self) -> None:
        """A plan may grow: only what is new is done."""
        self.run_.carry_out(Inline(), self.work)
        self.done.clear()
        more = read("[experiment]\nservice=arithmetic\ncount=2\nclients=4,1,2,3\nrepetitions=4")
        Run(more, self.folder, simulated=True).carry_out(Inline(), self.work)
        self.assertEqual({clients for clients, _ in self.done}, {4})
        first = next(iter(read_results(self.folder / PLACE)))
        self.assertEqual(first.cell["clients"], 4)

    def test_failures(self) -> None:
        """They are counted, and done again."""

        def fail(one: Repetition) -> Result:
            result = self.work(one)
            return evolve(result, error="lost") if one.number == 2 else result

        self.assertEqual(self.run_.carry_out(Inline(), fail), 3)
        self.done.clear()
        self.assertEqual(self.run_.carry_out(Inline(), self.work), 0)
        self.assertEqual(sorted(self.done), [(1, 2), (2, 2), (3, 2)])

    def test_broken(self) -> None:
        """A process that died is one line; what is finished is kept."""

        class Broken(Executor):
            def submit(self, *given: Any, **named: Any) -> "Future[Any]":
                future: Future[Any] = Future()
                future.set_exception(BrokenProcessPool("terminated abruptly"))
                return future

        with self.assertRaisesRegex(LabError, "a process of the run has died"):
            self.run_.carry_out(Broken(), self.work)

    def test_broken_last(self) -> None:
        """What ended well by then is kept, in whatever order they come back."""

        class Broken(Executor):
            left = 12

            def submit(self, fn: Any, /, *given: Any, **named: Any) -> "Future[Any]":
                future: Future[Any] = Future()
                Broken.left -= 1
                if Broken.left == 6:
                    future.set_exception(LabError("lost"))
                else:
                    future.set_result(fn(*given))
                return future

        with self.assertRaisesRegex(LabError, "lost"):
            self.run_.carry_out(Broken(), self.work, ahead=lambda: 12)
        self.assertEqual(len(list(read_results(self.folder / PLACE))), 11)

    def test_nowhere(self) -> None:
        """A directory that can't be made, and a plan that can't be kept."""
        self.folder.write_text("")
        with self.assertRaisesRegex(LocalError, "to is .*; Not a directory|to is .*; File exists"):
            self.run_.carry_out(Inline(), self.work)
        self.folder.unlink()
        (self.folder / "configs" / "mine.ini").mkdir(parents=True)
        with self.assertRaisesRegex(LocalError, "to is .*; Is a directory"):
            self.run_.carry_out(Inline(), self.work)

    def test_other_results(self) -> None:
        """Real results and simulated ones do not mix; the plan that is kept stays."""
        self.run_.carry_out(Inline(), self.work)
        with self.assertRaisesRegex(LocalError, "give another directory"):
            Run(evolve(PLAN, seed=5), self.folder, simulated=False).carry_out(Inline(), self.work)
        self.assertIn("seed = 0\n", (self.folder / "configs" / "mine.ini").read_text())
