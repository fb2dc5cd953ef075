"""How far the scenes are, a bar for each on a terminal, lines elsewhere; the table at the end."""

from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table
from rich.text import Text

from lab.commands.demonstrating.scene import Scene
from lab.commands.progress import DRAWN, Pace, Shown, bars, say_above

#: The columns of the table.
HEAD = ("scene", "what was asked", "what the network did", "what arrived", "right")


class Lines(Shown):
    """
    A line for each thing that happens.

    Args:
        console: Standard output.
        scenes: All.
        seconds: Gives the time.
    """

    def __init__(
        self, console: Console, scenes: Sequence[Scene], seconds: Callable[[], float]
    ) -> None:
        self.console = console
        for scene in scenes:
            scene.say = partial(self.happened, scene)
        self.seconds = seconds
        self.began = seconds()

    def say(self, text: str) -> None:
        """Something for people."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def happened(self, scene: Scene, text: str) -> None:
        """Something has happened in a scene."""
        self.say(f"{self.seconds() - self.began:5.1f} s  {scene.name}: {text}")

    def work(self, text: str) -> None:
        """Something is under way that is no scene."""


class Bars(Lines):
    """The same on a terminal, with a bar for each scene below."""

    def __init__(
        self, console: Console, scenes: Sequence[Scene], seconds: Callable[[], float]
    ) -> None:
        super().__init__(console, scenes, seconds)
        self._progress = bars(console.file)
        self._scenes = {scene: self._progress.add_task(scene.name, total=scene.total)
                        for scene in scenes}  # fmt: skip
        self._working: TaskID | None = None
        self._pace = Pace(seconds, DRAWN)
        for scene in scenes:
            scene.step = self._step

    def open(self) -> None:
        """Draw them."""
        self._draw()
        self._progress.start()

    def close(self) -> None:
        """They are gone."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Something for people, above the bars."""
        say_above(self._progress, text)

    def work(self, text: str) -> None:
        """It has a line below the bars."""
        if self._working is None:
            self._working = self._progress.add_task("", total=None)
        self._progress.update(self._working, description=text)
        self._progress.refresh()

    def _step(self) -> None:
        """Something is to be shown."""
        if self._pace.due() or all(scene.ended for scene in self._scenes):
            self._draw()
            self._progress.refresh()

    def _draw(self) -> None:
        """How far each is."""
        for scene, task in self._scenes.items():
            mark = {True: "right", False: "WRONG"}[scene.right] if scene.ended else ""
            text = f"{scene.name}: {scene.progress} {mark}"
            self._progress.update(task, completed=scene.done, description=text)


def make_showing(console: Console, scenes: Sequence[Scene], seconds: Callable[[], float]) -> Lines:
    """What fits standard output."""
    return (Bars if console.is_terminal else Lines)(console, scenes, seconds)


def table(scenes: Sequence[Scene]) -> Table:
    """A row for each scene."""
    title = "What was asked, what the network did, what arrived"
    rows = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in HEAD:
        rows.add_column(name)
    for number, scene in enumerate(scenes, 1):
        rows.add_row(*map(Text, scene.row), end_section=number < len(scenes))
    return rows
