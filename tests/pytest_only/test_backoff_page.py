"""The tutorial about backoff shows what happens."""

import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from lab.commands import experiment_run
from lab.commands.main import main
from lab.experiments.plan import read
from lab.experiments.pools import Inline
from lab.experiments.samples import find

PAGE = Path(__file__).parents[2] / "doc/tutorial/backoff-or-fixed.rst"


def blocks() -> list[tuple[str, str]]:
    """The code blocks of the page, with their languages."""
    found = re.findall(
        r"^\.\. code-block:: (\w+)\n\n((?: .*\n|\n)+)",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [(language, dedent(block).strip("\n") + "\n") for language, block in found]


def test_sample() -> None:
    """The plan as it ends is the one that comes with the package."""
    last = [block for language, block in blocks() if language == "ini"][-1]
    assert read(last, "backoff") == find("backoff")


@pytest.mark.thorough
def test_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command prints what is shown below it, with the plan as it is by then."""
    monkeypatch.chdir(tmp_path)
    place = nullcontext((Inline(), lambda: 1))
    monkeypatch.setattr(experiment_run, "here", lambda *_, **__: place)
    codes = []
    for language, block in blocks():
        if language == "ini":
            Path("backoff.ini").write_text(block)
        elif language == "console":
            command, _, output = block.removeprefix("$ ").partition("\n")
            done = CliRunner().invoke(main, shlex.split(command)[1:], prog_name="lab")
            pattern = re.escape(output).replace(re.escape("...\n"), "(?:.*\n)*")
            assert re.fullmatch(pattern, done.output), done.output
            codes.append(done.exit_code)
    assert codes == [0, 0, 1, 0, 0, 1, 0, 0, 0]
    assert Path("clients.svg").stat().st_size
