"""Directories of experiments, and the commands on them, for tests."""

from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Done

from lab.commands.main import main
from lab.experiments.results import PLACE, Result, write


def directory(place: Path, results: Iterable[Result]) -> Path:
    """The directory of an experiment that had these results."""
    (place / PLACE).parent.mkdir(parents=True)
    write(place / PLACE, results)
    (place / "configs").mkdir()
    (place / "configs" / "plan.ini").write_text("[experiment]\nservice = download\n")
    return place


def run(*words: object) -> Done:
    """Run the command ``lab``."""
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="lab")
