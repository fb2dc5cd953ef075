"""How far the scenes are, and the table at the end."""

import io
import os
import re

from rich.console import Console
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.scene import Scene
from lab.commands.demonstrating.showing import HEAD, Bars, Lines, make_showing, table
from lab.commands.progress import DRAWN


class Terminal(io.StringIO):
    """Standard output that is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


class ShowingTests(SynchronousTestCase):
    """On a pipe and on a terminal."""

    def setUp(self) -> None:
        """Two scenes."""
        self.scenes = [Scene(f"scene {number}", "", (), 1000, "[things]") for number in (1, 2)]
        self.out, self.clock = io.StringIO(), Clock()
        self.patch(os, "environ", {**os.environ, "TERM": "xterm", "COLUMNS": "100"})
        self.clock.advance(100)

    def show(self, *, terminal: bool) -> Lines:
        """What shows it."""
        self.out = Terminal() if terminal else io.StringIO()
        console = Console(file=self.out, force_terminal=terminal, width=80)
        return make_showing(console, self.scenes, self.clock.seconds)

    def test_lines(self) -> None:
        """On a pipe what happens is a line, with its time; steps and work are none."""
        with self.show(terminal=False) as showing:
            self.assertIs(type(showing), Lines)
            showing.say("twistd -n " + "x" * 100)
            self.clock.advance(1.25)
            self.scenes[1].say("[bold] has come")
            self.scenes[0].move(500)
            showing.work("drawing")
        said = f"twistd -n {'x' * 100}\n  1.2 s  scene 2: [bold] has come\n"
        self.assertEqual(self.out.getvalue(), said)

    def test_bars(self) -> None:
        """On a terminal each scene has a bar, which is drawn at its pace, and gone at the end."""
        with self.show(terminal=True) as showing:
            self.assertIs(type(showing), Bars)
            self.assertIn("scene 1: 0 of 1,000 [things]", self.out.getvalue())
            self.scenes[0].move(500)
            self.assertNotIn("500 of 1,000", self.out.getvalue())
            self.clock.advance(DRAWN)
            self.scenes[0].move(501)
            self.assertIn("scene 1: 501 of 1,000 [things]", self.out.getvalue())
            self.scenes[1].say("[bold] has come")
            for number, scene in enumerate(self.scenes):
                scene.ended, scene.wrong = True, ["it"] * number
                scene.step()
            for text in ("drawing one", "drawing two"):
                showing.work(text)
        out = self.out.getvalue()
        for text in ("[bold] has come", "[things] right", "[things] WRONG", "drawing one"):
            self.assertIn(text, out)
        last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out[out.rindex("drawing two") :])
        self.assertEqual(last.partition("\n")[2].strip(), "")

    def test_table(self) -> None:
        """The table has a row for each scene; nothing of it is cut at 80 columns."""
        for number, scene in enumerate(self.scenes):
            scene.asked, scene.network = "a file of 5 MiB from two servers", "[red] reset 2 times"
            scene.arrived, scene.ended = "60 of 60 numbers, checksum as the server's", True
            scene.wrong = ["it"] * number
        console = Console(file=self.out, width=80)
        console.print(table(self.scenes))
        words = self.out.getvalue().split()
        for word in (*" ".join(HEAD).split(), "checksum", "[red]", "yes", "no", "MiB"):
            self.assertIn(word, words)
        self.assertNotIn("\u2026", self.out.getvalue())
