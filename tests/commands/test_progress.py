"""How often progress is told, and in which form."""

import io
import json
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.progress import Pace, bars, say, tell


class PaceTests(SynchronousTestCase):
    """How often."""

    def test_at_most_so_often(self) -> None:
        """However often it is asked, it is due once in each time, and not at the beginning."""
        clock = Clock()
        pace = Pace(clock.seconds, 1.0)
        due = []
        for step in range(100):
            clock.advance(0.0625)
            if pace.due():
                due.append((step + 1) * 0.0625)
        self.assertEqual(due, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        self.assertEqual(pace.passed(), 6.25)

    def test_after_a_pause(self) -> None:
        """What was not told meanwhile is not made up for."""
        clock = Clock()
        pace = Pace(clock.seconds, 1.0)
        clock.advance(10)
        self.assertEqual([pace.due(), pace.due()], [True, False])


class FormTests(SynchronousTestCase):
    """In which form."""

    def test_lines(self) -> None:
        """A line for people, an object for programs."""
        out = io.StringIO()
        say(out, "half")
        tell(out, "progress", done=1)
        plain, told = out.getvalue().splitlines()
        self.assertEqual((plain, json.loads(told)), ("half", {"event": "progress", "done": 1}))

    def test_bars(self) -> None:
        """A text is shown as it is, when it is told to; at the end nothing is left of it."""
        out = io.StringIO()
        out.isatty = lambda: True  # type: ignore[method-assign]
        with mock.patch.dict("os.environ", {"TERM": "xterm", "COLUMNS": "80"}):
            progress = bars(out)
            task = progress.add_task("waiting", total=None)
            progress.start()
            progress.update(task, total=10, completed=5, description="[red]a[/red] 1234")
            self.assertNotIn("1234", out.getvalue())
            progress.refresh()
            self.assertIn("[red]a[/red] 1234", out.getvalue())
            progress.stop()
        self.assertTrue(out.getvalue().endswith("\x1b[2K"), out.getvalue())
