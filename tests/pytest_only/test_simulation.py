"""Tests on the simulator as users have them: their own files, under pytest and trial."""

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.pytest_only.processes import Ended, run

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "doc" / "howto" / "test-a-protocol.rst"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The folder with all code of the how-to as one file of tests."""
    blocks = re.findall(
        r"^\.\. code-block:: python\n\n((?: .*\n|\n)+)", PAGE.read_text(), re.MULTILINE
    )
    (tmp_path / "test_page.py").write_text("\n".join(map(dedent, blocks)))
    return tmp_path


def pytest_in(folder: Path, *words: str) -> Ended:
    """Run pytest there."""
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", *words)
    plugin = ("-p", "lab.simulator.pytest_plugin", "--strict-markers", f"--rootdir={folder}")
    return run(sys.executable, *options, *plugin, str(folder), cwd=CHECKOUT)


def trial_of(path: Path) -> Ended:
    """Run trial."""
    words = ("-m", "twisted.trial", f"--temp-directory={path.parent}/temp", str(path))
    return run(sys.executable, *words, cwd=CHECKOUT)


def test_page_under_pytest(page: Path) -> None:
    """The tests of the how-to pass under pytest."""
    ended = pytest_in(page)
    assert (ended.code, ended.lines[-1].split(" in ")[0]) == (0, "3 passed"), ended.out


def test_page_under_trial(page: Path) -> None:
    """Those in its class pass under trial."""
    assert "PASSED (successes=1)" in trial_of(page / "test_page.py").out


@pytest.mark.parametrize("runner", ["pytest", "trial"])
def test_asynchronous_case(tmp_path: Path, runner: str) -> None:
    """The mix-in goes with trial's asynchronous cases, whose time is real."""
    path = tmp_path / "test_later.py"
    path.write_text(
        dedent("""
            from lab.simulator.testing import SimulationMixin
            from twisted.internet.task import deferLater
            from twisted.trial.unittest import TestCase

            class Cases(SimulationMixin, TestCase):
                timeout = 30

                async def test_virtual(self):
                    done = deferLater(self.net.host("a").reactor, 3600)
                    self.net.run(3600)
                    await done
        """)
    )
    ended = pytest_in(tmp_path) if runner == "pytest" else trial_of(path)
    assert ended.code == 0, ended.out


def test_failures(tmp_path: Path) -> None:
    """What fails: the decorated test, and the test whose network was not well in the end."""
    (tmp_path / "test_failing.py").write_text(
        dedent("""
            from lab.simulator.testing import simulated

            @simulated(seeds=range(5))
            def test_seeds(net, tmp_path):
                assert net.seed < 3 and tmp_path.is_dir()

            def test_end(net):
                net.eventually("wonder", lambda: False)
                net.run(1)

            def test_assertion(net):
                net.run(5)
                assert net.now == 6
        """)
    )
    ended = pytest_in(tmp_path)
    assert "simulation with seed 0, at 5.000000 s; to run it again:" in ended.out
    assert "test_failing.py::test_assertion" in ended.out
    assert "ExplorationFailed: seed 3 fails" in ended.out
    assert "SimulationFailed: seed 0, 1 s: " in ended.out
    assert ended.lines[-1].split(" in ")[0] == "2 failed, 1 passed, 1 error", ended.out
