"""The reactor as programs get it: as a plugin of Twisted's, and Twisted's own tests of reactors."""

import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers import thorough
from tests.pytest_only.processes import TWISTD, address, ask_tcp, run, serving

CHECKOUT = Path(__file__).parents[2]
#: Twisted's modules of tests that `ReactorBuilder` makes for each reactor.
CASES = "tcp udp time process fdset tls unix core threads socket posixbase"
OURS = "tests.pytest_only.reactor_cases.EPollReactor"
TWISTEDS = "twisted.internet.epollreactor.EPollReactor"


def test_serves() -> None:
    """``twistd --reactor=lab`` runs a service on it."""
    twistd = (TWISTD, "-n", "--pidfile=", "--reactor=lab")
    with serving(places=["tcp:0:interface=127.0.0.1"], twistd=twistd) as server:
        assert ask_tcp(address(server.places[0]), b"*,6,7\n") == b"200,42\n"
        assert server.process.end().code == -signal.SIGTERM


def test_is_listed() -> None:
    """``twistd --help-reactors`` has it."""
    assert re.search(r"^\s+lab\s+\S", run(TWISTD, "--help-reactors").out, re.MULTILINE)


def test_without_epoll() -> None:
    """Elsewhere one line says so."""
    code = (
        "import sys; sys.modules['twisted.internet.epollreactor'] = None;"
        "from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    )
    ended = run(sys.executable, "-c", code, "-n", "--reactor=lab", "lab-server")
    assert ended.code == 1
    assert "the reactor `lab` needs epoll, which this system does not have" in ended.out + ended.err
    assert "Traceback" not in ended.err


def results(reactor: str, folder: Path) -> dict[str, str]:
    """What came of each of Twisted's tests for this reactor."""
    modules = [f"twisted.internet.test.test_{name}" for name in CASES.split()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.pytest_only.reactor_cases", reactor, *modules],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])},
        check=True,
    )
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return said


@thorough
@pytest.mark.skipif(find_spec("hamcrest") is None, reason="Twisted's tests need PyHamcrest")
def test_twisteds_own(tmp_path: Path) -> None:
    """Each of Twisted's tests of reactors says of ours what it says of its own epoll reactor."""
    ours, twisteds = results(OURS, tmp_path), results(TWISTEDS, tmp_path)
    assert len(twisteds) > 300
    assert {name.replace(OURS, TWISTEDS): said for name, said in ours.items()} == twisteds
