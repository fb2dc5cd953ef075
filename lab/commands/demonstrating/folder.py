"""Where ``lab demo`` leaves what it has made, and what to type to go on from there."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lab.errors import LocalError

#: Where it is, if nobody says.
DEFAULT = "lab-demo"
#: What a picture is drawn as.
FORMATS = (".svg", ".png")


@frozen
class Folder:
    """
    The folder. In one that was there before, other files stay as they are.

    Args:
        path: As it was given.
    """

    path: Path

    @property
    def capture(self) -> Path:
        """Of what went through the proxy."""
        return self.path / "demo.pcapng"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def plots(self) -> Path:
        """The folder of pictures."""
        return self.path / "plots"

    def pictures(self, name: str) -> list[Path]:
        """The files of a picture, the first of which goes into the page."""
        return [self.plots / f"{name}{ending}" for ending in FORMATS]

    def prepare(self, names: Sequence[str]) -> None:
        """
        Have it, before anything is started.

        Args:
            names: Of the pictures that there will be.

        Raises:
            LocalError: It can't be written, or something else is where a file shall be.
        """
        try:
            self.plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot(self.path, error.strerror) from None
        for folder in (self.path, self.plots):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise _cannot(folder, "it can't be written")
        pictures = (path for name in names for path in self.pictures(name))
        for path in (self.capture, self.report, *pictures):
            if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
                raise _cannot(path, "it is no file that can be written")

    def go_on(self, seed: int) -> list[tuple[str, str]]:
        """
        What to type next, and what it does.

        Args:
            seed: Of this demo.
        """
        again = self.path.parent / f"{self.path.name or 'demo'}-again"
        lab = program("lab")
        return [
            (_line(lab, "plot", self.capture), "the first packets as a ladder"),
            (
                _line(lab, "plot", self.capture, "--kind", "time", "-o", self.plots / "time.png"),
                "all of them over time",
            ),
            (
                _line(lab, "demo", "--seed", seed + 1, "--to", again),
                "the same, with other faults",
            ),
            (
                _line(lab, "experiment", "run", "rpc", "--simulate", "--to", "rpc"),
                "many networks, simulated",
            ),
            (
                _line(program("twistd"), "-n", "lab-server"),
                f"the servers by themselves; in another terminal: {_line(lab, 'sequence', 20)}",
            ),
        ]


def program(name: str) -> str:
    """How a program of this environment is called: by its name, if that finds it."""
    here = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not here.exists() or (found and Path(found).resolve() == here.resolve()):
        return name
    return os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)


def _line(*words: object) -> str:
    """What to type."""
    return shlex.join(map(str, words))


def _cannot(path: Path, why: str | None) -> LocalError:
    """What is wrong with a place."""
    return LocalError(f"to is {str(path)!r}; {why}")
