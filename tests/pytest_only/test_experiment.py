"""``lab experiment run`` as a process: Ctrl-C in the middle, and on again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lab.experiments.results import PLACE, read
from tests.helpers import thorough

LAB = [sys.executable, "-c", "from lab.commands.main import main; main()", "experiment", "run"]
PLAN = "[experiment]\nservice=sequence\ncount=3\nclients=1,2\nrepetitions=3\nwarm-up=0\n"


def interrupted(folder: Path, *words: str) -> None:
    """Run until some results are there, then press Ctrl-C."""
    with subprocess.Popen(
        [*LAB, "plan.ini", *words], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert next(lines) == "6 of 6 runs are to be done\n"
        # All descendants have standard error: reading it ends when the last of them has ended.
        if "--simulate" not in words:
            log = folder / "plan" / "logs"
            while process.poll() is None and not log.is_dir():
                os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert "interrupted; what is finished is kept" in list(lines)[-1]
        assert process.wait(60) == 130


def go_on(folder: Path, *words: str) -> str:
    """Run to the end; gives the results."""
    done = subprocess.run(
        [*LAB, "plan.ini", *words],
        cwd=folder, check=True, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert "results are in" in done.stderr
    return (folder / words[-1] / PLACE).read_text()


@thorough
def test_simulated(tmp_path: Path) -> None:
    """The results are those of a run that nobody has interrupted."""
    (tmp_path / "plan.ini").write_text(PLAN)
    interrupted(tmp_path, "--simulate", "--jobs", "1", "--to", "one")
    one = go_on(tmp_path, "--simulate", "--jobs", "1", "--to", "one")
    assert one == go_on(tmp_path, "--simulate", "--jobs", "2", "--to", "two")


@thorough
def test_real(tmp_path: Path) -> None:
    """All processes are gone behind Ctrl-C, and what is left is done then."""
    (tmp_path / "plan.ini").write_text(PLAN)
    interrupted(tmp_path, "--to", "plan")
    go_on(tmp_path, "--to", "plan")
    results = list(read(tmp_path / "plan" / PLACE))
    assert [(one.cell["clients"], one.repetition) for one in results] == [
        (clients, number) for clients in (1, 2) for number in range(3)
    ]
    assert not any(one.error for one in results)
    assert all(len(one.processes) == one.cell["clients"] + 2 for one in results)
