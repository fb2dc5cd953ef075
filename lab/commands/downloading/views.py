"""What is shown of downloads: lines, bars or JSON while they last, a line for each at the end."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from attrs import asdict

from lab import units
from lab.commands.conversation.aside import Aside
from lab.commands.conversation.session import one_line, printable
from lab.commands.downloading.batch import Batch, show
from lab.commands.progress import DRAWN, TOLD, Pace, bars, event, part
from lab.download.outcomes import Fetched, Progress, State
from lab.errors import LabError

if TYPE_CHECKING:
    from rich.progress import TaskID

Say = Callable[[str], object]
#: Why a source was left out.
_LEFT_OUT = (State.LYING, State.OTHER, State.REJECTED)


def complain(text: str) -> None:
    """A line on standard error."""
    click.echo(text, err=True)


def describe(fetched: Fetched) -> str:
    """
    What came of a file, in words for people.

    >>> describe(Fetched("a", Path("a"), 2048, "f" * 64, seconds=2.0, fetched=2048))[:38]
    'a: 2,048 bytes in 2 s, 1 KiB/s; SHA-25'
    """
    took = units.show_seconds(fetched.seconds)
    texts = [f"{printable(fetched.name)}: {fetched.size:,} bytes in {took}"]
    if fetched.fetched:
        rate = units.show_size(fetched.fetched / max(fetched.seconds, 1e-6))
        texts[0] += f", {rate}/s"
    if given := [f"{one.bytes:,} from {one.name}" for one in fetched.sources if one.bytes]:
        texts.append(", ".join(given))
    if fetched.reused:
        texts.append(f"{fetched.reused:,} were here already")
    if fetched.wasted:
        texts.append(f"{fetched.wasted:,} came in vain")
    if fetched.wrong:
        pieces = "1 piece was" if fetched.wrong == 1 else f"{fetched.wrong:,} pieces were"
        texts.append(f"{pieces} wrong")
    for one in fetched.sources:
        if one.state in _LEFT_OUT:
            note = f" ({printable(one.note)})" if one.note else ""
            texts.append(f"{one.name} was left out: {one.state}{note}")
    checked = ", computed here" if fetched.confirmed else ""
    return "; ".join([*texts, f"SHA-256 {fetched.sha256}{checked}"])


class Lines:
    """
    A line a second at most while it lasts.

    Args:
        seconds: Gives the time.
        say: Prints a line.
        complain: Prints one of an error.
    """

    every = TOLD

    def __init__(
        self, seconds: Callable[[], float], say: Say = click.echo, complain: Say = complain
    ) -> None:
        self._pace, self._say, self._complain = Pace(seconds, self.every), say, complain

    def step(self, batch: Batch) -> None:
        """Something has come."""
        if self._pace.due():
            self.show(batch)

    def show(self, batch: Batch) -> None:
        """It is so far."""
        if text := batch.text():
            self._say(text)

    def ended(self, fetched: Fetched) -> None:
        """A file is here."""
        self._say(describe(fetched))

    def failed(self, name: str, error: LabError, code: int) -> None:
        """A file will not come."""
        self._complain(f"{printable(name)}: {one_line(error)}")

    def kept(self, name: str, path: Path) -> None:
        """A file is here already, and nobody asked for it again."""
        self._say(f"{printable(name)}: {printable(str(path))} is there, and is kept")

    def stopped(self, name: str, progress: Progress) -> None:
        """A file was stopped on its way; whoever stopped it says so."""

    def close(self) -> None:
        """Nothing more is shown of how far it is."""


class JsonLines(Lines):
    """Everything is a JSON object a line, ten a second at most of how far it is."""

    every = DRAWN

    def show(self, batch: Batch) -> None:
        """It is so far: all of it, and each that is on its way."""
        total = batch.total()
        figures = {"size": total.size, "done": total.done, "rate": total.rate, "eta": total.eta}
        running = [{"name": name, **asdict(one)} for name, one in batch.running.items()]
        ended, files = len(batch.codes), len(batch.names)
        self._tell("progress", files=files, ended=ended, **figures, running=running)

    def ended(self, fetched: Fetched) -> None:
        """A file is here."""
        self._tell("ended", **asdict(fetched) | {"path": str(fetched.path)})

    def failed(self, name: str, error: LabError, code: int) -> None:
        """A file will not come."""
        self._tell("failed", name=name, error=one_line(error), code=code)

    def kept(self, name: str, path: Path) -> None:
        """A file is here already, and nobody asked for it again."""
        self._tell("kept", name=name, path=str(path))

    def stopped(self, name: str, progress: Progress) -> None:
        """A file was stopped on its way."""
        self._tell("stopped", name=name, size=progress.size, done=progress.done)

    def _tell(self, kind: str, **values: Any) -> None:
        """One object."""
        self._say(event(kind, **values))


class Bars(Lines):
    """A bar for each file on a terminal, and one for all; they are gone at the end."""

    every = DRAWN

    def __init__(self, seconds: Callable[[], float], out: IO[str]) -> None:
        super().__init__(seconds, self._print, self._print_error)
        self._progress = bars(out)
        self._tasks: dict[str, TaskID] = {}

    def show(self, batch: Batch) -> None:
        """It is so far."""
        self._progress.start()
        if len(batch.names) > 1:
            self._draw("", batch.total(), batch.text())
        for name, progress in batch.running.items():
            self._draw(name, progress, show(name, progress))
        for name in self._tasks.keys() - batch.running.keys() - {""}:
            self._progress.remove_task(self._tasks.pop(name))
        self._progress.refresh()

    def close(self) -> None:
        """No bars any more."""
        self._progress.stop()

    def _draw(self, name: str, progress: Progress, text: str) -> None:
        """One bar; an empty name is that of all."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(text, total=progress.size)
        self._progress.update(
            self._tasks[name], total=progress.size, completed=progress.done, description=text
        )

    def _print(self, text: str) -> None:
        """A line above the bars, in as many rows as it takes."""
        from rich.text import Text

        self._progress.console.print(Text(text), soft_wrap=True)

    def _print_error(self, text: str) -> None:
        """The same, unless errors go elsewhere."""
        (self._print if sys.stderr.isatty() else complain)(text)


class Prompted(Lines):
    """Above a prompt: only how a file has ended; the prompt itself says how far all is."""

    every = 0.5

    def __init__(self, seconds: Callable[[], float], aside: Aside) -> None:
        super().__init__(seconds, aside.say, aside.say)
        self._aside = aside

    def show(self, batch: Batch) -> None:
        """It is so far."""
        self._aside.refresh()

    def stopped(self, name: str, progress: Progress) -> None:
        """A file was stopped on its way."""
        there = f"{part(progress.done, progress.size)} are" if progress.size else "nothing is"
        self._say(f"{printable(name)} was stopped; {there} here, and get goes on with it")


def make_view(seconds: Callable[[], float], aside: Aside | None, *, as_json: bool) -> Lines:
    """
    What shows it.

    Args:
        seconds: Gives the time.
        aside: Of a conversation on a terminal, if there is one.
        as_json: Whether everything is JSON.
    """
    if as_json:
        return JsonLines(seconds, aside.say if aside else click.echo)
    if aside is not None:
        return Prompted(seconds, aside)
    return Bars(seconds, sys.stdout) if sys.stdout.isatty() else Lines(seconds)
