"""A scene of the demo: how it is played, and when it is right."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.scene import Link, Scene, Toxic, World, perform
from lab.errors import NoAnswer
from tests.commands.demonstrating.play import Controls

LOST = Toxic("loss", "upstream", "{} lost", {"probability": 0.5})
BACK = Toxic("loss", "downstream", "{} lost", name="back")
LINKS = (
    Link("one", "echo", "udp", (LOST,)),
    Link("two", "echo", "udp", (BACK,)),
    Link("3", "", ""),
)


class Made(Scene):
    """A scene that does what a test says."""

    does: Callable[["Made"], Any]

    async def play(self, world: World) -> None:
        """Do it."""
        await self.does(self)


async def well(scene: Scene) -> None:
    """All goes well."""
    scene.move(3)
    scene.arrived = "three"


class SceneTests(SynchronousTestCase):
    """Scenes."""

    def setUp(self) -> None:
        """A scene, and somebody who hears of it."""
        self.scene = Made("a scene", "three things", LINKS, 3, "things")
        self.said: list[str] = []
        self.scene.say, self.scene.step = self.said.append, lambda: self.said.append("step")
        self.controls = Controls({"one": {"loss_upstream": 1200}, "two": {"back": 34}})
        self.clock = Clock()

    def perform(self, does: Callable[[Scene], Any]) -> Deferred[None]:
        """Play it for 5 s at most."""
        self.scene.does = does
        there: Any = World(self.clock, 7, {}, self.controls, None, None, bool)  # type: ignore[arg-type]
        return Deferred.fromCoroutine(perform(self.scene, there, 5.0))

    def test_right(self) -> None:
        """One that goes well, and whose faults have struck, is right; its row says all."""
        self.assertFalse(self.scene.right)
        self.successResultOf(self.perform(well))
        self.assertTrue(self.scene.right)
        row = ("a scene", "three things", "1,234 lost", "three", "yes")
        self.assertEqual((self.scene.row, self.said), (row, ["step", "right: three", "step"]))

    def test_fault_that_does_nothing(self) -> None:
        """A fault that did not strike makes it wrong, and is named; so is one nobody counts."""
        self.controls.counted = {"one": {"loss_upstream": 0}}
        self.scene.network = "cut"
        self.successResultOf(self.perform(well))
        self.assertFalse(self.scene.right)
        self.assertEqual(self.scene.row[2:], ("cut, 0 lost", "three", "no"))
        wrong = [
            "the fault loss_upstream of the proxy one did nothing",
            "the fault back of the proxy two did nothing",
        ]
        self.assertEqual((self.scene.wrong, self.said[1]), (wrong, "wrong: three"))

    def test_error(self) -> None:
        """One that fails says why, and how far it was."""

        async def fails(scene: Scene) -> None:
            """No answer after one thing."""
            scene.move(1)
            raise NoAnswer("nobody is there")

        self.successResultOf(self.perform(fails))
        self.assertEqual(self.scene.wrong, ["nobody is there"])
        self.assertEqual(self.scene.row[3:], ("1 of 3 things when it ended", "no"))

    def test_limit(self) -> None:
        """One that takes too long is broken off, and says what was missing."""
        waiting = Deferred[None]()
        playing = self.perform(lambda scene: waiting)
        self.clock.advance(4.9)
        self.assertNoResult(playing)
        self.clock.advance(0.1)
        self.successResultOf(playing)
        self.assertEqual(self.scene.wrong, ["not done within 5 s: 0 of 3 things"])
        self.assertTrue(waiting.called)

    def test_others(self) -> None:
        """To be cancelled, and a bug, are none of its errors; its clock is left alone."""
        playing = self.perform(lambda scene: Deferred())
        playing.cancel()
        self.failureResultOf(playing, CancelledError)
        self.failureResultOf(self.perform(lambda scene: 1 // 0), ZeroDivisionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_play_is_for_others(self) -> None:
        """A scene that is none can't be played."""
        scene: Any = Scene("", "", (), 0, "")
        played = Deferred.fromCoroutine(scene.play(None))
        self.failureResultOf(played, NotImplementedError)
        self.assertEqual((scene.step(), scene.say("")), (None, None))

    def test_toxic(self) -> None:
        """A toxic is what the API knows; its name is that of the API, unless it has one."""
        self.assertEqual(
            LOST.as_json(),
            {"type": "loss", "stream": "upstream", "name": "loss_upstream",
             "attributes": {"probability": 0.5}},
        )  # fmt: skip
        self.assertEqual(BACK.as_json()["name"], "back")
