"""How often progress is told, and in which form."""

import io
import json
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.progress import Pace, Shown, bars, clock, event, part, say_above


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


class Noting(Shown):
    """Notes when it is shown."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def open(self) -> None:
        """Note it."""
        super().open()
        self.noted.append("open")

    def close(self) -> None:
        """Note it."""
        super().close()
        self.noted.append("closed")


class ShownTests(SynchronousTestCase):
    """As long as it lasts."""

    def test_shown(self) -> None:
        """It is shown while the block lasts, however that ends."""
        shown = Noting()

        def block() -> None:
            """One that fails."""
            with shown as same:
                self.assertIs(same, shown)
                self.assertEqual(shown.noted, ["open"])
                raise KeyError

        self.assertRaises(KeyError, block)
        self.assertEqual(shown.noted, ["open", "closed"])


class FormTests(SynchronousTestCase):
    """In which form."""

    def test_event(self) -> None:
        """An object for programs, in ASCII."""
        told = event("progress", name="\udcff\n", done=1)
        self.assertTrue(told.isascii())
        self.assertEqual(json.loads(told), {"event": "progress", "name": "\udcff\n", "done": 1})

    def test_part(self) -> None:
        """The unit is named once if it is the same."""
        for done, size, text in (
            (0, 0, "0 of 0 bytes"),
            (0, 2048, "0 bytes of 2 KiB"),
            (1023, 1023, "1,023 of 1,023 bytes"),
            (3_250_586, 10_485_760, "3.1 of 10 MiB"),
            (2**20, 2**31, "1 MiB of 2 GiB"),
        ):
            self.assertEqual(part(done, size), text)

    def test_clock(self) -> None:
        """What is begun counts: nothing is left only at the end."""
        for seconds, text in (
            (0, "0:00"), (0.01, "0:01"), (59.5, "1:00"), (3599, "59:59"), (90_061, "25:01:01"),
        ):  # fmt: skip
            self.assertEqual(clock(seconds), text)

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
            say_above(progress, "[b] " + "x" * 90)
            self.assertIn(f"[b] {'x' * 90}\n", out.getvalue())
            progress.stop()
        self.assertTrue(out.getvalue().endswith("\x1b[2K"), out.getvalue())
