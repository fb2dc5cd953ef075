"""
The canary: what fails a test under trial fails it under pytest, too.

`tests/conftest.py` replaces private methods of trial. If they are renamed one day, tests that
leave something behind would pass in silence; these would not.
"""

import re
import sys
from pathlib import Path

import pytest

from tests.pytest_only.processes import Ended, run

CHECKOUT = Path(__file__).parents[2]
CASES = """
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.trial.unittest import TestCase


class Cases(TestCase):
    timeout = 0.2

    def test_passes_later(self):
        return deferLater(reactor, 0, lambda: None)

    async def test_passes_async(self):
        self.assertEqual(await succeed(2), 2)

    def test_passes_again(self):
        return deferLater(reactor, 0, lambda: None)

    def test_fails_call_left(self):
        reactor.callLater(60, lambda: None)

    def test_fails_port_left(self):
        reactor.listenTCP(0, Factory(), interface="127.0.0.1")

    def test_fails_timeout(self):
        return Deferred()

    def test_fails_logged_error(self):
        try:
            1 / 0
        except ZeroDivisionError:
            Logger().failure("oops")

    def test_fails_unhandled(self):
        fail(ValueError("nobody looks"))

    def test_fails_deferred(self):
        return fail(ValueError("somebody looks"))

    async def test_fails_assertion(self):
        self.assertEqual(await succeed(2), 3)
"""


@pytest.mark.parametrize("runner", ["pytest", "trial"])
def test_what_fails(runner: str, tmp_path: Path) -> None:
    """Left-over calls and ports, timeouts, logged and unhandled errors fail; the others pass."""
    (tmp_path / "test_canary.py").write_text(CASES)
    ended = run_pytest(tmp_path) if runner == "pytest" else run_trial(tmp_path)
    assert ended.code != 0
    names = set(re.findall(r"def (test_\w+)", CASES))
    found = set(re.findall(r"^(?:FAILED|ERROR) \S*?(test_[a-z_]+)(?: |$)", ended.out, re.MULTILINE))
    if runner == "trial":
        found = set(re.findall(r"^test_canary\.Cases\.(\w+)$", ended.out, re.MULTILINE))
    assert found == {name for name in names if name.startswith("test_fails")}


def run_pytest(folder: Path) -> Ended:
    """Run the cases under pytest, with our conftest, behind a test that is none of trial's."""
    (folder / "test_before.py").write_text("def test_plain():\n    pass\n")
    options = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-rfE", "--reactor=default")
    words = ("-m", "pytest", "-c", "/dev/null", *options, str(folder / "test_before.py"))
    words = (*words, str(folder / "test_canary.py"))
    return run(sys.executable, *words, cwd=CHECKOUT)


def run_trial(folder: Path) -> Ended:
    """Run the cases under trial."""
    return run(sys.executable, "-m", "twisted.trial", "test_canary", cwd=folder)
