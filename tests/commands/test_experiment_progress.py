"""How far the run of a plan is."""

import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.experiment_progress import Bar, Lines, make_progress
from lab.experiments.results import Result

GOOD = Result("mine", {"service": "echo"}, 0)
BAD = Result("mine", {"service": "echo", "clients": 2}, 0, error="nobody there")


class LinesTests(SynchronousTestCase):
    """Lines on standard error."""

    def setUp(self) -> None:
        """A clock."""
        self.clock = Clock()
        self.clock.advance(100.0)

    def told(self, *results: Result, every: float) -> Iterator[str]:
        """What is said of results, one of which comes so often."""
        said = io.StringIO()
        with redirect_stderr(said), Lines(self.clock.seconds) as lines:
            lines.begin(2, 2 + len(results))
            for result in results:
                self.clock.advance(every)
                lines.done(result)
        return iter(said.getvalue().splitlines())

    def test_all(self) -> None:
        """The rate, and the time that is left if it goes on like that."""
        self.assertEqual(
            list(self.told(*[GOOD] * 6, every=2.5)),
            [
                "6 of 8 runs are to be done",
                "4 of 8 runs, 0.4/s, 0:10 left",
                "6 of 8 runs, 0.4/s, 0:05 left",
                "8 of 8 runs, 0.4/s, 0:00 left",
            ],
        )

    def test_no_time(self) -> None:
        """What takes no time at all."""
        *_, last = self.told(GOOD, every=0.0)
        self.assertEqual(last, "3 of 3 runs, at once, 0:00 left")

    def test_errors(self) -> None:
        """Each error is told, with its cell."""
        _, first, _ = self.told(BAD, every=1.0)
        self.assertEqual(first, "nobody there (service = echo, clients = 2)")

    def test_nothing(self) -> None:
        """If all is done already, that is said."""
        self.assertEqual(list(self.told(every=1.0)), ["0 of 2 runs are to be done"])


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class BarTests(SynchronousTestCase):
    """A bar on a terminal."""

    def test_bar(self) -> None:
        """It is drawn at most ten times a second; errors stand above it; in the end it is gone."""
        clock, drawn = Clock(), Terminal()
        with Bar(clock.seconds, drawn) as bar:
            bar.begin(0, 4)
            bar.done(GOOD)
            self.assertNotIn("1 of 4", drawn.getvalue())
            clock.advance(1.0)
            bar.done(BAD)
            bar.say("more [of] it")
        text = drawn.getvalue()
        self.assertIn("2 of 4 runs, 2/s, 0:01 left", text)
        self.assertIn("nobody there (service = echo, clients = 2)", text)
        self.assertIn("more [of] it", text)
        self.assertIn("\x1b[2K", text)

    def test_choice(self) -> None:
        """A bar where standard error is a terminal, lines elsewhere."""
        for stream, kind in ((Terminal(), Bar), (io.StringIO(), Lines)):
            self.patch(sys, "stderr", stream)
            self.assertIs(type(make_progress(Clock().seconds)), kind)
