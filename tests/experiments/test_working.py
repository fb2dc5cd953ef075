"""One repetition, and the line that it makes."""

import pickle
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import NoAnswer
from lab.experiments import processes, simulated
from lab.experiments.processes import Stage
from lab.experiments.results import Process, Window
from lab.experiments.subject import Found, one
from lab.experiments.working import Work, versions
from tests.experiments.cells import repetition


def clock() -> float:
    """The time."""
    return 5.0


class WorkTests(SynchronousTestCase):
    """In the simulator, and as processes that are stood in for."""

    def test_simulated(self) -> None:
        """The line has nothing in it that would not be the same tomorrow."""
        result = Work("mine", 60.0)(repetition("service=sequence", "cut=1s"))
        self.assertEqual(
            (result.experiment, result.repetition, result.seed, result.warm_up),
            ("mine", 0, 7, False),
        )
        self.assertEqual((result.simulated, result.began, result.processes), (True, None, ()))
        self.assertEqual(result.windows, (Window(0.3, 1.3, "cut"),))
        self.assertEqual(result.measures["completion"].samples, (1.0,))
        self.assertEqual((result.error, set(result.versions)), ("", {"txlab", "python", "twisted"}))
        again = Work("mine", 60.0)(repetition("service=sequence", "cut=1s"))
        self.assertEqual(again.encode(), result.encode())

    def test_series(self) -> None:
        """What was seen over time is there, too."""
        self.assertIn("loss", Work("mine", 60.0)(repetition("service=echo")).series)

    def test_real(self) -> None:
        """The line has when it began, and what processes used."""
        used = (Process("server-1", 0.5, 2**20),)
        found = Found({"success": one(1.0)})
        self.patch(processes, "run", lambda *given: (found, 2.0, used))
        result = Work("mine", 60.0, Stage(clock, Path(), ()), clock)(repetition("service=echo"))
        self.assertEqual((result.simulated, result.began, result.processes), (False, 5.0, used))
        self.assertEqual(result.measures, found.measures)
        self.assertIn("kernel", result.versions)
        undated = Work("mine", 60.0, Stage(clock, Path(), ()))(repetition("service=echo"))
        self.assertEqual(undated.began, None)

    def test_error(self) -> None:
        """An error is a line as well, of one line; and so is a bug."""
        late = Work("mine", 0.5)(repetition("service=arithmetic"))
        self.assertEqual((late.error, dict(late.measures)), ("seed 7: no result at 0.5 s", {}))

        errors = [NoAnswer("nothing\nat all"), KeyError("x")]

        def fail(*given: object) -> None:
            raise errors.pop(0)

        self.patch(simulated, "run", fail)
        for text in ("nothing", "KeyError: 'x'"):
            self.assertEqual(Work("mine", 1.0)(repetition("service=echo")).error, text)

    def test_pickled(self) -> None:
        """It can be sent to another process."""
        for work in (Work("mine", 1.0), Work("mine", 1.0, Stage(clock, Path(), ("a",)), clock)):
            self.assertEqual(pickle.loads(pickle.dumps(work)), work)

    def test_versions(self) -> None:
        """What is simulated does not depend on the kernel."""
        real, made = versions(simulated=False), versions(simulated=True)
        self.assertEqual({name: real[name] for name in made}, made)
        self.assertEqual(set(real) - set(made), {"kernel"})
