"""``lab demo``: how it plays and judges its scenes, what it leaves; on a stand-in of its stage."""

import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from rich.console import Console
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import demo
from lab.commands.demo import LIMIT, Demo, make_scenes
from lab.commands.demonstrating.folder import Folder
from lab.commands.demonstrating.pictures import Picture
from lab.commands.demonstrating.scene import Scene, World
from lab.commands.main import main
from lab.commands.processes import ServerError
from lab.errors import LocalError, NoAnswer
from tests.commands.demonstrating.play import Controls
from tests.helpers import folder


class Told(Scene):
    """A scene that ends when a test says how."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "a thing", (), 1, "things")
        self.ends = Deferred[None]()
        self.cleaned = False

    async def play(self, world: World) -> None:
        """Wait."""
        try:
            await self.ends
        finally:
            self.cleaned = True
        self.move(1)
        self.arrived = f"a thing of {self.name}"


def draws(figure: Any) -> None:
    """Draw nothing."""


def fails(figure: Any) -> None:
    """There is nothing to be drawn."""
    raise LocalError("nothing was captured")


class DemoTestCase(SynchronousTestCase):
    """Runs a demo on a stand-in of its stage."""

    def setUp(self) -> None:
        """Two scenes, and a stage."""
        self.clock, self.out = Clock(), io.StringIO()
        self.place = Folder(folder(self) / "demo")
        self.place.prepare([])
        self.scenes = [Told("one"), Told("two")]
        self.commands = ["twistd -n lab-server"]
        self.closed = 0
        self.pictures: list[Picture] = []
        self.patch(demo, "Stage", self.stage)
        self.patch(demo, "pictures", self.draw)

    def stage(self, reactor: Any, seed: int, capture: Path, scratch: Path, say: Any) -> Any:
        """Be the stage."""
        self.assertTrue(scratch.is_dir())
        self.began_with = seed, capture
        self.scratch = scratch
        say(self.commands[0])
        return self

    @asynccontextmanager
    async def open(self, scenes: Any) -> AsyncIterator[World]:
        """It is open."""
        self.assertEqual(scenes, self.scenes)
        places = {"echo-tcp": "tcp:127.0.0.1:9"}
        try:
            yield World(self.clock, 7, places, Controls(), Path(), Path(), bool)
        finally:
            self.closed += 1

    def draw(self, scenes: Any, capture: Path, ports: dict[str, str]) -> Any:
        """The pictures; the stage is closed by then, so that all is captured."""
        self.assertEqual((self.closed, capture), (1, self.place.capture))
        self.assertEqual(ports, {"echo-tcp": "127.0.0.1:9"})
        return iter(self.pictures)

    def begin(self) -> "Deferred[int]":
        """Begin."""
        console = Console(file=self.out, width=100)
        made = Demo(self.clock, self.place, self.scenes, 7, 30.0, console)
        return Deferred.fromCoroutine(made.run())

    def finish(self, running: "Deferred[int]") -> int:
        """Let everything end that waits for a turn only; the exit code."""
        while not running.called:
            self.clock.advance(0)
        code: int = self.successResultOf(running)
        return code


class RunTests(DemoTestCase):
    """The whole of it."""

    def test_right(self) -> None:
        """All are played at the same time; it says so, where things are and how to go on."""
        running = self.begin()
        for scene in self.scenes:
            self.clock.advance(2.5)
            scene.ends.callback(None)
        self.assertEqual((self.finish(running), self.closed), (0, 1))
        self.assertEqual(self.began_with, (7, self.place.capture))
        self.assertFalse(self.scratch.exists())
        out = self.out.getvalue()
        self.assertTrue(out.startswith("twistd -n lab-server\n"))
        self.assertIn("\nEverything was right, in 5.0 s. Seed 7.\n", out)
        self.assertIn("  2.5 s  one: right: a thing of one\n", out)
        for path in (self.place.report, self.place.capture, self.place.plots):
            self.assertIn(f"\n{path}   ", out)
        for line, _ in self.place.go_on(7):
            self.assertIn(f"\n  {line}\n", out)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_report(self) -> None:
        """The page has the table, each picture, and what was started; pictures are files, too."""
        self.pictures = [Picture("first", "The first", draws), Picture("second", "The 2nd", draws)]
        running = self.begin()
        for scene in self.scenes:
            scene.ends.callback(None)
        self.finish(running)
        page = self.place.report.read_text()
        for words in ("<h2>The first</h2>", "<h2>The 2nd</h2>", "a thing of two", self.commands[0],
                      "Everything was right, in 0.0 s.", "lab plot", "twisted"):  # fmt: skip
            self.assertIn(words, page)
        files = sorted(path.name for path in self.place.plots.iterdir())
        self.assertEqual(files, ["first.png", "first.svg", "second.png", "second.svg"])

    def test_time(self) -> None:
        """How long it took is known before anything is drawn, and is the same in both places."""

        def slow(figure: object) -> None:
            """Something that takes long to draw."""
            self.clock.rightNow += 3

        self.pictures = [Picture("first", "The first", slow)]
        running = self.begin()
        self.clock.advance(2)
        for scene in self.scenes:
            scene.ends.callback(None)
        self.finish(running)
        for text in (self.place.report.read_text(), self.out.getvalue()):
            self.assertIn("Everything was right, in 2.0 s. Seed 7.", text)

    def test_wrong(self) -> None:
        """One that is wrong is named with the reason, in both places; the others are played."""
        self.pictures = [Picture("first", "The first", fails)]
        running = self.begin()
        self.scenes[0].ends.errback(NoAnswer("nobody [is] there"))
        self.clock.advance(1)
        self.scenes[1].ends.callback(None)
        self.assertEqual(self.finish(running), 1)
        out = self.out.getvalue()
        self.assertIn(
            "one: nobody [is] there\nNot everything was right, in 1.0 s: one. Seed 7", out
        )
        self.assertIn("first: nothing was captured\n", out)
        page = self.place.report.read_text()
        self.assertIn("<li>one: nobody [is] there</li>", page)
        self.assertNotIn("The first", page)

    def test_limit(self) -> None:
        """A scene that never ends is told, with what it lacks."""
        running = self.begin()
        self.scenes[1].ends.callback(None)
        self.clock.advance(30)
        self.assertEqual(self.finish(running), 1)
        self.assertIn("one: not done within 30 s: 0 of 1 things\n", self.out.getvalue())

    def test_server_ends(self) -> None:
        """If a server ends by itself nothing is waited for, and all that were not done say so."""
        running = self.begin()
        self.scenes[1].ends.callback(None)
        self.broken(ServerError("lab-server: it has ended by itself"))
        self.assertEqual(self.finish(running), 1)
        self.assertIn("one: lab-server: it has ended by itself\n", self.out.getvalue())
        self.assertTrue(self.scenes[0].cleaned)
        self.assertTrue(self.scenes[1].right)

    def test_interrupted(self) -> None:
        """Ctrl-C ends scenes and stage, and nothing is judged."""
        running = self.begin()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(([one.cleaned for one in self.scenes], self.closed), ([True] * 2, 1))
        self.assertFalse(self.place.report.exists())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_interrupted_while_it_draws(self) -> None:
        """It is heard between two pictures, too."""
        drawn: list[object] = []

        def interrupted(figure: object) -> None:
            """Ctrl-C comes while one is drawn."""
            drawn.append(figure)
            self.clock.callLater(0, running.cancel)
            raise LocalError("there is nothing")

        self.pictures = [Picture("first", "", interrupted), Picture("second", "", interrupted)]
        running = self.begin()
        for scene in self.scenes:
            scene.ends.callback(None)
        self.clock.advance(0)
        self.failureResultOf(running, CancelledError)
        self.assertEqual(len(drawn), 1)

    def test_bug(self) -> None:
        """A bug is none of a scene's mistakes, also when a server has ended."""
        running = self.begin()
        self.scenes[0].ends.errback(ZeroDivisionError())
        self.broken(ServerError("gone"))
        self.failureResultOf(running, ZeroDivisionError)
        self.assertEqual(self.closed, 1)


class CommandTests(DemoTestCase):
    """What is typed."""

    def setUp(self) -> None:
        """Note what would be run."""
        super().setUp()
        self.ran: list[Any] = []
        self.patch(demo, "run", self.run_main)
        self.patch(demo, "make_scenes", lambda requests: self.ran.append(requests) or self.scenes)

    def run_main(self, begin: Callable[[Any], Coroutine[Any, Any, int]]) -> None:
        """As `lab.commands.running.run`, on a clock."""
        running = Deferred.fromCoroutine(begin(self.clock))
        for scene in self.scenes:
            scene.ends.callback(None)
        raise SystemExit(self.finish(running))

    def call(self, *words: str) -> Result:
        """Call it as a shell would."""
        return CliRunner().invoke(main, ["demo", *words], prog_name="lab")

    def test_options(self) -> None:
        """What is typed is what is done."""
        path = self.place.path.with_name("elsewhere")
        self.place = Folder(path)
        done = self.call("--to", str(path), "--requests", "9", "--seed", "8")
        self.assertEqual((done.exit_code, self.ran), (0, [9]), done.output)
        self.assertEqual(self.began_with, (8, path / "demo.pcapng"))
        self.assertIn("Seed 8.", done.stdout)
        self.assertTrue((path / "report.html").exists())

    def test_mistakes(self) -> None:
        """A mistake is one line, exit code 2, and nothing is started."""
        file = self.place.path / "file"
        file.write_text("")
        mistakes = {
            ("--requests", "0"): "requests is '0'; give a whole number from 1",
            ("--seed", "-1"): "seed is '-1'; give a whole number from 0",
            ("argument",): "Got unexpected extra argument",
            ("--to", str(file)): f"to is {str(file)!r}; Not a directory",
        }
        for words, line in mistakes.items():
            done = self.call(*words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""), words)
            self.assertTrue(done.stderr.startswith(f"lab demo: {line}"), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        self.assertEqual(self.ran, [])


class ScenesTests(SynchronousTestCase):
    """The scenes that there are."""

    def test_scenes(self) -> None:
        """All four services are shown, through a proxy of its own each."""
        scenes = make_scenes(12)
        links = [link for scene in scenes for link in scene.links]
        services = {link.service for link in links}
        self.assertEqual(services, {"arithmetic", "echo", "sequence", "download"})
        self.assertEqual(len({link.name for link in links}), len(links))
        self.assertEqual(len({scene.name for scene in scenes}), len(scenes))
        self.assertEqual([scene.total for scene in scenes[:2]], [12, 12])
        self.assertGreater(LIMIT, 30)
