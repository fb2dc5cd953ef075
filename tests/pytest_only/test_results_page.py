"""The page about results shows what happens."""

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

PAGE = Path(__file__).parents[2] / "doc/howto/read-the-results.rst"


def blocks() -> list[tuple[str, str]]:
    """The code blocks of the page, with their languages."""
    found = re.findall(
        r"^\.\. code-block:: (\w+)\n\n((?: .*\n|\n)+)",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [(language, dedent(block).strip("\n") + "\n") for language, block in found]


@pytest.mark.thorough
def test_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command prints what is shown below it, and leaves the files that it names."""
    monkeypatch.chdir(tmp_path)
    place = nullcontext((Inline(), lambda: 1))
    monkeypatch.setattr(experiment_run, "here", lambda *_, **__: place)
    commands = 0
    for language, block in blocks():
        if language == "ini":
            Path("lossy.ini").write_text(block)
            Path("again.ini").write_text(block.replace("seed = 7", "seed = 8"))
        elif language == "python":
            exec(compile(block, str(PAGE), "exec"), {})
        else:
            command, _, output = block.removeprefix("$ ").partition("\n")
            done = CliRunner().invoke(main, shlex.split(command)[1:], prog_name="lab")
            assert done.exit_code == 0, done.output
            pattern = re.escape(output).replace(re.escape("...\n"), "(?:.*\n)*")
            assert re.fullmatch(pattern, done.output), done.output
            named = [word for word in output.split() if word.endswith((".svg", ".png", ".html"))]
            assert all(Path(name).stat().st_size for name in named)
            commands += 1
    assert commands == 8
