"""
Whether each module's own test module covers all its branches.

``python .ci/coverage_by_module.py [PATH...]``: ``lab/x/y.py`` is run with ``tests/x/test_y.py``,
and nothing else. A module that other tests happen to pass through is not tested yet.

Each is run in a process of its own. That is forked from one that has loaded pytest and Twisted, but
nothing of ``lab``: to load them took longer than most of these tests take.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from io import StringIO
from itertools import islice
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[1]
#: What most tests load; no reactor, which each process has to make for itself.
SHARED = (
    "_hypothesis_pytestplugin",
    "hypothesis.stateful",
    "pytest_twisted",
    "sybil.integration.pytest",
    "sybil.parsers.rest",
    "trustme",
    "twisted.internet.endpoints",
    "twisted.internet.ssl",
    "twisted.internet.testing",
    "twisted.trial.unittest",
    "xdist.plugin",
)


def modules() -> list[Path]:
    """All modules that have something in them besides a docstring."""
    found = sorted(path.relative_to(ROOT) for path in ROOT.glob("lab/**/*.py"))
    return [path for path in found if path.name != "__init__.py"]


def tests_of(module: Path) -> Path:
    """Where its tests are."""
    return Path("tests", *module.parts[1:-1], f"test_{module.name}")


def check(module: Path, log: Path) -> str:
    """What is missing; empty if nothing is. The log has what pytest prints."""
    tests = tests_of(module)
    if not (ROOT / tests).exists():
        return f"{module}: there is no {tests}"
    measured = coverage.Coverage(branch=True, source=["lab"], data_file=None)
    measured.start()
    # What is loaded can't be rewritten any more; other runs show what an assertion has compared.
    code = pytest.main(["-q", "-p", "no:cacheprovider", "--assert=plain", str(tests)])
    measured.stop()
    if code:
        sys.stdout.flush()
        return f"{module}: {tests} fails\n{log.read_text()[-2000:]}"
    said = StringIO()
    try:
        covered = measured.report(include=[str(module)], show_missing=True, file=said)
    except coverage.CoverageException as error:  # such as that nobody has loaded it
        return f"{module}: {error}"
    rows = [line for line in said.getvalue().splitlines() if line.startswith(str(module))]
    return " ".join(rows[0].split()) if covered < 100 else ""


def start(module: Path, log: Path) -> int:
    """Check a module in a process: its id. It ends with 0, or what is wrong is in the log."""
    pid = os.fork()
    if pid:
        return pid
    wrong = "it has not come to its end"
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        wrong = check(module, log)
        log.write_text(wrong)
    finally:
        os._exit(bool(wrong))


def missing(chosen: Iterable[Path], jobs: int) -> Iterator[str]:
    """What is wrong with these modules, of which so many at a time are checked."""
    rest, there = iter(chosen), dict[int, Path]()
    with tempfile.TemporaryDirectory() as folder:
        while True:
            for module in islice(rest, jobs - len(there)):
                log = Path(folder, str(module).replace("/", "."))
                there[start(module, log)] = log
            if not there:
                return
            pid, status = os.wait()
            log = there.pop(pid)
            if status:
                yield log.read_text() or f"{log.name}: its process has ended with {status}"


def main() -> int:
    """Check all modules, or those that are named."""
    os.chdir(ROOT)
    sys.path[0] = str(ROOT)  # as ``python -m pytest`` has it
    for name in SHARED:
        import_module(name)
    chosen = [Path(word) for word in sys.argv[1:]] or modules()
    found = sorted(missing(chosen, os.cpu_count() or 1))
    print("\n".join(found) or f"{len(chosen)} modules: nothing is missing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
