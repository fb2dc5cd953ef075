"""
Whether each module's own test module covers all its branches.

``python .ci/coverage_by_module.py [PATH...]``: ``lab/x/y.py`` is run with ``tests/x/test_y.py``,
and nothing else. A module that other tests happen to pass through is not tested yet.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def modules() -> list[Path]:
    """All modules that have something in them besides a docstring."""
    found = sorted(path.relative_to(ROOT) for path in ROOT.glob("lab/**/*.py"))
    return [path for path in found if path.name != "__init__.py"]


def tests_of(module: Path) -> Path:
    """Where its tests are."""
    return Path("tests", *module.parts[1:-1], f"test_{module.name}")


def check(module: Path) -> str:
    """What is missing; empty if nothing is."""
    tests = tests_of(module)
    if not (ROOT / tests).exists():
        return f"{module}: there is no {tests}"
    with tempfile.TemporaryDirectory() as folder:
        data = f"--data-file={folder}/coverage"
        options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests))
        ran = run("run", "--branch", "--source=lab", data, *options)
        if ran.returncode:
            return f"{module}: {tests} fails\n{ran.stdout[-2000:]}"
        said = run("report", data, f"--include={module}", "--show-missing", "--fail-under=100")
    if said.returncode:
        line = next(row for row in said.stdout.splitlines() if row.startswith(str(module)))
        return " ".join(line.split())
    return ""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run coverage."""
    command = [sys.executable, "-m", "coverage", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> int:
    """Check all modules, or those that are named."""
    chosen = [Path(word) for word in sys.argv[1:]] or modules()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        missing = [text for text in pool.map(check, chosen) if text]
    print("\n".join(missing) or f"{len(chosen)} modules: nothing is missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
