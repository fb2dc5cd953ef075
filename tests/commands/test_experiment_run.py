"""``lab experiment run``."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import experiment_run
from lab.commands.main import main
from lab.errors import LabError
from lab.experiments import cluster as cluster_room
from lab.experiments import results
from lab.experiments.plan import Repetition
from lab.experiments.pools import Inline
from lab.experiments.results import PLACE
from lab.experiments.running import Run
from lab.experiments.working import Work
from tests.experiments.quick import work
from tests.helpers import folder

PLAN = """
[experiment]
service = arithmetic
count = 2
clients = 1, 20
backoff = none, exponential
repetitions = 2
"""


class RunTests(SynchronousTestCase):
    """Without processes: all is done here, and at once."""

    def setUp(self) -> None:
        """A plan in a folder of its own, and nothing that takes time."""
        self.folder = folder(self)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.plan = self.folder / "mine.ini"
        self.plan.write_text(PLAN)
        self.jobs: list[int] = []
        self.works: list[Work] = []
        self.patch(experiment_run, "pool", self.pool)
        self.patch(Work, "__call__", self.work)
        self.patch(sys, "argv", ["/usr/bin/lab", "experiment", "run", "a plan"])
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    @contextmanager
    def pool(self, jobs: int) -> Iterator[Executor]:
        """No pool at all."""
        self.jobs.append(jobs)
        yield Inline()

    def work(self, one: Repetition) -> results.Result:
        """Do what is quick."""
        return work(one)

    def lab(self, *words: str) -> Result:
        """Run the command."""
        words = ("experiment", "run", str(self.plan), *words)
        return CliRunner().invoke(main, words, prog_name="lab")

    def test_dry(self) -> None:
        """The cells, in columns; nothing is made."""
        done = self.lab("--dry-run")
        self.assertEqual(done.exit_code, 0)
        head, *rows = done.stdout.splitlines()
        self.assertEqual(
            head,
            "arithmetic: servers = 1, transport = udp, rate = 100, count = 2, timeout = 0.5, "
            "max-timeout = 2, fault = none, proxy = yes",
        )
        self.assertEqual(
            rows,
            [
                "cell  clients  backoff",
                "1     1        none",
                "2     1        exponential",
                "3     20       none",
                "4     20       exponential",
                "4 cells, of each 2 repetitions and 1 to warm up: 12 runs",
            ],
        )
        self.assertEqual([path.name for path in self.folder.iterdir()], ["mine.ini"])
        more = self.lab("--dry-run", "--simulate", "--repetitions", "3").stdout
        self.assertIn("4 cells, of each 3 repetitions: 12 runs", more)
        one = self.lab("--dry-run", "--simulate", "--repetitions", "1").stdout
        self.assertIn("4 cells, of each 1 repetition: 4 runs", one)
        done = self.lab("--simulate", "--repetitions", "1000000000")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("repetitions is 1000000000; 4 cells would have 4,000,000,000", done.stderr)

    def test_simulated(self) -> None:
        """Results are in a directory of the plan's name; all processors work, if not said."""
        done = self.lab("--simulate")
        self.assertEqual((done.exit_code, done.stdout), (0, ""))
        self.assertIn("8 of 8 runs", done.stderr)
        self.assertIn("results are in mine/times/results.jsonl", done.stderr)
        self.assertEqual(len(list(results.read(self.folder / "mine" / PLACE))), 8)
        figures = (self.folder / "mine" / "times" / "summary.csv").read_text().splitlines()
        self.assertGreater(len(figures), 4)
        self.assertEqual(self.jobs, [len(os.sched_getaffinity(0))])
        self.assertEqual(self.lab("--simulate", "--jobs", "7", "--to", "x").exit_code, 0)
        self.assertEqual(self.jobs[1:], [7])
        self.assertTrue((self.folder / "x" / PLACE).is_file())

    def test_real(self) -> None:
        """Real cells run one at a time, in this process."""
        made: list[Work] = []

        def note(doing: Work, one: Repetition) -> results.Result:
            made.append(doing)
            return evolve(work(one), simulated=False)

        self.patch(Work, "__call__", note)
        self.assertEqual(self.lab().exit_code, 0)
        self.assertEqual((self.jobs, len(made)), ([], 12))
        stage = made[0].stage
        assert stage is not None
        self.assertEqual(stage.folder, (self.folder / "mine").resolve())

    def test_failures(self) -> None:
        """They are told, and are the exit code."""
        self.patch(Work, "__call__", lambda self, one: evolve(work(one), error="nobody there"))
        done = self.lab("--simulate")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("nobody there (service = arithmetic, servers = 1,", done.stderr)
        self.assertIn("8 of them are failures; run it again to try those again", done.stderr)

    def test_mistakes(self) -> None:
        """One line, and exit code 2."""
        self.assertEqual(self.lab("--simulate").exit_code, 0)
        for words, said in (
            (["--jobs", "0"], "jobs is '0'; give a whole number"),
            ([], "has results of simulated runs; give another directory with --to"),
        ):
            done = self.lab(*words)
            self.assertEqual(done.exit_code, 2)
            self.assertIn(said, done.stderr.splitlines()[-1])
        self.plan.write_text("[experiment]\nservice = ftp\n")
        done = self.lab()
        self.assertEqual(done.exit_code, 2)
        self.assertEqual(
            done.stderr,
            "lab experiment run: [experiment] service is 'ftp'; give one of arithmetic, echo, "
            "sequence, download  (lab experiment run --help)\n",
        )

    def test_broken(self) -> None:
        """What goes wrong with the run itself is one line, too."""

        def fail(*given: object) -> None:
            raise LabError("out of memory")

        self.patch(Work, "__call__", fail)
        done = self.lab("--simulate")
        self.assertEqual((done.exit_code, done.stderr.splitlines()[-1]), (1, "out of memory"))

    def test_elsewhere(self) -> None:
        """On a cluster: the next ones wait there for all its threads, or so many as is said."""
        given: list[tuple[object, ...]] = []
        aheads: list[int] = []

        class There(Inline):
            threads = 3

        @contextmanager
        def cluster(*words: object) -> Iterator[Executor]:
            given.append(words[:2])
            yield There()

        def carry_out(*_: object, ahead: Callable[[], int], **others: object) -> int:
            for There.threads in (3, 0):
                aheads.append(ahead())
            return 0

        self.patch(cluster_room, "cluster", cluster)
        self.patch(Run, "carry_out", carry_out)
        self.patch(experiment_run, "tell_figures", lambda folder: None)
        for name in ("distributed", "distributed.client", "tornado", "tornado.application"):
            self.addCleanup(logging.getLogger(name).setLevel, logging.getLogger(name).level)
        with warnings.catch_warnings():
            place = ("--scheduler", "tcp://127.0.0.1:8786")
            self.assertEqual(self.lab(*place).exit_code, 0)
            self.assertEqual(self.lab(*place, "--jobs", "7").exit_code, 0)
            warnings.warn_explicit("mismatch", UserWarning, "f", 1, module="distributed.client")
        self.assertEqual(given, [("tcp://127.0.0.1:8786", Path("mine"))] * 2)
        self.assertEqual((aheads, self.jobs), ([6, 1, 7, 7], []))
        self.assertFalse(logging.getLogger("distributed.client").isEnabledFor(logging.CRITICAL))

    def test_nowhere(self) -> None:
        """An address that is none is a mistake, and nothing is made."""
        done = self.lab("--scheduler", "8786")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("scheduler is '8786'; give tcp://HOST:PORT, for example", done.stderr)
        self.assertFalse((self.folder / "mine").exists())

    def test_interrupted(self) -> None:
        """Ctrl-C and SIGTERM: one line says how to go on, and nothing is lost."""
        for number in (signal.SIGINT, signal.SIGTERM):
            left = [None] * 3

            def stop(
                _: Work, one: Repetition, left: list[None] = left, number: int = number
            ) -> results.Result:
                if not left:
                    os.kill(os.getpid(), number)
                left.pop()
                return work(one)

            self.patch(Work, "__call__", stop)
            done = self.lab("--simulate", "--jobs", "1", "--to", str(number))
            self.assertEqual(done.exit_code, 128 + number)
            self.assertEqual(
                done.stderr.splitlines()[-1],
                "interrupted; what is finished is kept, go on with: lab experiment run 'a plan'",
            )
            kept = list(results.read(self.folder / str(number) / PLACE))
            self.assertEqual(len(kept), 3)
