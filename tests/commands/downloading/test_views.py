"""What is shown of downloads."""

import io
import json
import sys
from pathlib import Path
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.aside import Aside
from lab.commands.downloading.batch import Batch
from lab.commands.downloading.views import (
    Bars,
    JsonLines,
    Lines,
    Prompted,
    complain,
    describe,
    make_view,
)
from lab.download.outcomes import Fetched, Progress, SourceProgress, State
from lab.errors import RemoteError
from tests.commands.downloading.scenes import SHA256

ONE = Fetched("a\n", Path("/x/a"), 2**21, SHA256, seconds=2.0, fetched=2**20, reused=2**20)
ERROR = RemoteError("it said \x1b no")


class DescribeTests(SynchronousTestCase):
    """How a file has ended."""

    def test_plain(self) -> None:
        """Name, bytes, seconds, rate, and what it should have."""
        fetched = Fetched("a", Path("a"), 2048, SHA256, seconds=2.0, fetched=2048)
        self.assertEqual(describe(fetched), f"a: 2,048 bytes in 2 s, 1 KiB/s; SHA-256 {SHA256}")

    def test_all(self) -> None:
        """Who gave how much, what was here, what was for nothing, what was wrong, and who lied."""
        fetched = Fetched(
            "a", Path("a"), 10_000_000, SHA256, confirmed=True, seconds=1.0, reused=2_000_000,
            fetched=9_000_000, wasted=1_000_000, wrong=2,
            sources=(
                SourceProgress("x", State.WAITING, 5_000_000, 5),
                SourceProgress("y", State.LYING, 4_000_000, 3, note="piece 3 is \x1b wrong"),
                SourceProgress("z", State.OTHER),
                SourceProgress("w", State.LOST),
            ),
        )  # fmt: skip
        self.assertEqual(
            describe(fetched),
            "a: 10,000,000 bytes in 1 s, 8.58 MiB/s; 5,000,000 from x, 4,000,000 from y; "
            "2,000,000 were here already; 1,000,000 came in vain; 2 pieces were wrong; "
            "y was left out: lying (piece 3 is \\x1b wrong); z was left out: other; "
            f"SHA-256 {SHA256}, computed here",
        )
        one = Fetched("a", Path("a"), 1, SHA256, wrong=1)
        self.assertIn("; 1 piece was wrong; ", describe(one))


class ViewCase(SynchronousTestCase):
    """Takes down what is said."""

    def setUp(self) -> None:
        """Nothing yet."""
        self.clock = Clock()
        self.said: list[str] = []
        self.complained: list[str] = []
        self.batch = Batch(("a", "b"), Path("here"))
        self.batch.running["a"] = Progress(100, 25, rate=5.0, eta=15.0)

    def steps(self, view: Lines, count: int, every: float) -> None:
        """Time passes, and something comes each time."""
        for _ in range(count):
            self.clock.advance(every)
            view.step(self.batch)


class LinesTests(ViewCase):
    """Lines."""

    def setUp(self) -> None:
        """A view."""
        super().setUp()
        self.view = Lines(self.clock.seconds, self.said.append, self.complained.append)

    def test_one_a_second(self) -> None:
        """However often something comes, there is a line a second."""
        self.steps(self.view, 160, 0.0625)
        expected = "0 of 2 files, 25 of 100 bytes (25 %), 5 bytes/s, 0:15 left; a 25 %"
        self.assertEqual(self.said, [expected] * 10)

    def test_nothing_to_say(self) -> None:
        """Before anything has begun there is no line."""
        self.batch = Batch(("a",), Path())
        self.steps(self.view, 5, 1.0)
        self.assertEqual(self.said, [])

    def test_ends(self) -> None:
        """A line each; errors apart; nothing of what was stopped."""
        self.view.ended(ONE)
        self.view.kept("b\n", Path("/x/b\n"))
        self.view.stopped("c", Progress())
        self.view.failed("d\x1b", ERROR, 1)
        self.view.close()
        self.assertTrue(self.said[0].startswith("a\\n: 2,097,152 bytes in 2 s, 512 KiB/s; "))
        self.assertEqual(self.said[1:], ["b\\n: /x/b\\n is there, and is kept"])
        self.assertEqual(self.complained, ["d\\x1b: it said \\x1b no"])

    def test_errors_of_the_command_line(self) -> None:
        """Unless somebody else takes them, they go to standard error."""
        with mock.patch.object(sys, "stderr", io.StringIO()) as errors:
            complain("no")
        self.assertEqual(errors.getvalue(), "no\n")


class JsonTests(ViewCase):
    """Objects."""

    def setUp(self) -> None:
        """A view."""
        super().setUp()
        self.view = JsonLines(self.clock.seconds, self.said.append)

    def test_progress(self) -> None:
        """At most ten a second, with all there is to know."""
        source = SourceProgress("x", State.BUSY, 25, 0, 5.0)
        self.batch.running["a"] = Progress(100, 25, rate=5.0, eta=15.0, sources=(source,))
        self.steps(self.view, 640, 0.015625)
        self.assertTrue(80 <= len(self.said) <= 100, len(self.said))
        told = json.loads(self.said[-1])
        (running,) = told.pop("running")
        self.assertEqual(
            told,
            {"event": "progress", "files": 2, "ended": 0, "size": 100, "done": 25, "rate": 5.0,
             "eta": 15.0},
        )  # fmt: skip
        self.assertEqual((running["name"], running["done"], running["eta"]), ("a", 25, 15.0))
        self.assertEqual(running["sources"][0]["state"], "busy")

    def test_ends(self) -> None:
        """An object each, also of errors."""
        self.view.ended(ONE)
        self.view.failed("d", ERROR, 3)
        self.view.kept("b", Path("/x/b"))
        self.view.stopped("c", Progress(10, 5))
        ended, failed, kept, stopped = map(json.loads, self.said)
        self.assertEqual((ended["event"], ended["name"], ended["path"]), ("ended", "a\n", "/x/a"))
        self.assertEqual((ended["size"], ended["sha256"]), (2**21, SHA256))
        expected = {"event": "failed", "name": "d", "error": "it said \\x1b no", "code": 3}
        self.assertEqual(failed, expected)
        self.assertEqual(kept, {"event": "kept", "name": "b", "path": "/x/b"})
        self.assertEqual(stopped, {"event": "stopped", "name": "c", "size": 10, "done": 5})


class BarsTests(ViewCase):
    """Bars on a terminal."""

    def setUp(self) -> None:
        """A terminal."""
        super().setUp()
        self.out = io.StringIO()
        self.out.isatty = lambda: True  # type: ignore[method-assign]
        environment = mock.patch.dict("os.environ", {"TERM": "xterm", "COLUMNS": "120"})
        environment.start()
        self.addCleanup(environment.stop)
        self.view = Bars(self.clock.seconds, self.out)

    def shown(self) -> str:
        """What was written since."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text

    def test_bars(self) -> None:
        """One for all and one for each that is on its way; none is left at the end."""
        self.steps(self.view, 1, 0.05)
        self.assertEqual(self.shown(), "")
        self.batch.running["b"] = Progress()
        self.steps(self.view, 1, 0.1)
        shown = self.shown()
        for text in ("0 of 2 files, 25 of 100 bytes", "a: 25 of 100 bytes (25 %)", "b: begins"):
            self.assertIn(text, shown)
        del self.batch.running["a"]
        self.steps(self.view, 1, 0.1)
        self.assertNotIn("a: ", self.shown())
        self.view.close()
        self.assertTrue(self.shown().endswith("\x1b[2K"))

    def test_one(self) -> None:
        """Of one file there is one bar."""
        self.batch = Batch(("a",), Path())
        self.batch.running["a"] = Progress(100, 25)
        self.steps(self.view, 1, 0.1)
        shown = self.shown()
        self.assertIn("a: 25 of 100 bytes (25 %)", shown)
        self.assertNotIn("files", shown)
        self.view.close()

    def test_lines_above(self) -> None:
        """How a file has ended stands above the bars, in one line however long, markup or not."""
        self.steps(self.view, 1, 0.1)
        self.shown()
        self.view.ended(Fetched("[red]:smile: " + "x" * 200, Path(), 1, SHA256))
        shown = self.shown()
        self.assertIn(f"[red]:smile: {'x' * 200}: 1 bytes in 0 s; ", shown)
        self.assertIn("25 of 100", shown[shown.index(SHA256) :])
        self.view.close()

    def test_errors(self) -> None:
        """Above the bars as well, unless they go elsewhere."""
        with mock.patch.object(sys, "stderr", io.StringIO()) as errors:
            self.view.failed("a", ERROR, 1)
            self.assertEqual((errors.getvalue(), self.shown()), ("a: it said \\x1b no\n", ""))
            errors.isatty = lambda: True  # type: ignore[method-assign]
            self.view.failed("a", ERROR, 1)
        self.assertEqual(self.shown(), "a: it said \\x1b no\n")


class PromptedTests(ViewCase):
    """Above a prompt."""

    def test_ends(self) -> None:
        """Lines for what has ended; the prompt is drawn anew twice a second."""
        aside = Aside()
        view = Prompted(self.clock.seconds, aside)
        with aside.above(self.said.append):
            self.steps(view, 16, 0.125)
            self.assertEqual(self.said, [""] * 4)
            view.failed("d", ERROR, 1)
            view.stopped("c", Progress(10, 5))
            view.stopped("e", Progress())
        self.assertEqual(
            self.said[4:],
            [
                "d: it said \\x1b no",
                "c was stopped; 5 of 10 bytes are here, and get goes on with it",
                "e was stopped; nothing is here, and get goes on with it",
            ],
        )


class MakeTests(ViewCase):
    """Which one."""

    def test_each(self) -> None:
        """JSON if asked for; above a prompt if there is one; bars on a terminal; else lines."""
        aside = Aside(self.said.append)
        make_view(self.clock.seconds, aside, as_json=True).kept("a", Path("b"))
        self.assertEqual(json.loads(self.said[0])["event"], "kept")
        self.assertIs(type(make_view(self.clock.seconds, aside, as_json=False)), Prompted)
        with mock.patch.object(sys, "stdout", io.StringIO()) as out:
            self.assertIs(type(make_view(self.clock.seconds, None, as_json=True)), JsonLines)
            self.assertIs(type(make_view(self.clock.seconds, None, as_json=False)), Lines)
            out.isatty = lambda: True  # type: ignore[method-assign]
            self.assertIs(type(make_view(self.clock.seconds, None, as_json=False)), Bars)
