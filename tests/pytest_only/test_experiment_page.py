"""The page about experiments shows what happens."""

import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from lab.commands import experiment_run
from lab.commands.main import main
from lab.experiments.pools import Inline

PAGE = (Path(__file__).parents[2] / "doc/howto/run-an-experiment.rst").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?: .*\n|\n)+)", PAGE, re.MULTILINE)
    return [dedent(block).strip("\n") + "\n" for block in found]


def test_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command prints what is shown below it, but for what takes its time."""
    monkeypatch.chdir(tmp_path)
    place = nullcontext((Inline(), lambda: 1))
    monkeypatch.setattr(experiment_run, "here", lambda *_, **__: place)
    (plan,) = blocks("ini")
    (tmp_path / "lossy.ini").write_text(plan)
    shown = blocks("console")
    assert len(shown) == 3
    for block in shown:
        command, _, output = block.removeprefix("$ ").partition("\n")
        done = CliRunner().invoke(main, shlex.split(command)[1:], prog_name="lab")
        assert done.exit_code == 0
        pattern = re.escape(output).replace(re.escape("...\n"), "(?:.*\n)*")
        assert re.fullmatch(pattern, done.output), done.output
