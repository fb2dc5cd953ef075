"""Proxies in tests as users have them: the how-to's files, under the runners that it names."""

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.pytest_only.processes import Ended, run

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "doc" / "howto" / "test-with-a-broken-network.rst"
TRIAL, TWISTED, BLOCKING = (
    dedent(block)
    for block in re.findall(
        r"^\.\. code-block:: python\n\n((?: .*\n|\n)+)", PAGE.read_text(), re.MULTILINE
    )
)


def pytest_in(folder: Path, code: str, *words: str) -> Ended:
    """Run pytest on a file with this code, with the plug-in."""
    (folder / "test_it.py").write_text(code)
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", *words)
    plugin = ("-p", "lab.proxy.pytest_plugin", "--strict-markers", f"--rootdir={folder}")
    return run(sys.executable, *options, *plugin, "-W", "error", str(folder), cwd=folder)


def closing(ended: Ended) -> tuple[int, str]:
    """The exit code, and what pytest says last."""
    return ended.code, ended.lines[-1].split(" in ")[0]


def test_trial(tmp_path: Path) -> None:
    """The cases of the how-to pass under trial."""
    (tmp_path / "test_it.py").write_text(TRIAL)
    ended = run(sys.executable, "-m", "twisted.trial", "test_it", cwd=tmp_path)
    assert ended.code == 0, ended.out
    assert "PASSED (successes=3)" in ended.out


def test_without_pytest_twisted(tmp_path: Path) -> None:
    """Those that block pass beside cases of trial's, which start and stop the reactor."""
    (tmp_path / "test_blocking.py").write_text(BLOCKING)
    ended = pytest_in(tmp_path, TRIAL, "-p", "no:twisted")
    assert closing(ended) == (0, "6 passed"), ended.out


def test_with_pytest_twisted(tmp_path: Path) -> None:
    """Both fixtures go together; each has a reactor of its own."""
    (tmp_path / "test_blocking.py").write_text(BLOCKING)
    ended = pytest_in(tmp_path, TWISTED)
    assert closing(ended) == (0, "5 passed"), ended.out


def test_report(tmp_path: Path) -> None:
    """A test that fails shows the seed, and what happened at its proxies."""
    code = """
        import pytest
        from lab.faults.datagrams import Latency

        @pytest.fixture(params=["proxies", "blocking_proxies"])
        def db(request):
            return request.getfixturevalue(request.param).before(80, name="db")

        @pytest.mark.seed(7)
        def test_never(db):
            db.add(Latency(0.1))
            db.assert_hit("latency")
    """
    ended = pytest_in(tmp_path, dedent(code))
    assert closing(ended) == (1, "2 failed"), ended.out
    assert "AssertionError: latency of db has hit 0 times, and not 1; latency hit 0" in ended.out
    reports = re.findall(r"^-+ proxies -+\n((?:.+\n)+?)(?=[=_])", ended.out, re.MULTILINE)
    expected = dedent("""\
        proxies with seed 7:
          db at 127.0.0.1:PORT before 127.0.0.1:80
            latency hit 0 times; 0 accepted, 0 refused, 0 bytes up, 0 bytes down
        last decisions:
          none
    """)
    assert [re.sub(r":\d{4,}", ":PORT", report) for report in reports] == [expected] * 2


def test_report_of_trial(tmp_path: Path) -> None:
    """Under trial it is on standard error."""
    (tmp_path / "test_it.py").write_text(TRIAL.replace('{"cut": 1}', '{"cut": 2}'))
    ended = run(sys.executable, "-m", "twisted.trial", "test_it", cwd=tmp_path)
    assert "FAILED (failures=1, successes=2)" in ended.out, ended.out
    assert ended.err.startswith("proxies with seed 6:\n  proxy at 127.0.0.1:")
    assert "cut hit 1 time; 2 accepted, " in ended.err


def test_harm(tmp_path: Path) -> None:
    """What one test leaves open, or asks for in vain, does no harm to the next."""
    code = """
        import socket
        from lab.faults.datagrams import Latency

        def test_leaves(blocking_proxies):
            global client
            with socket.create_server(("127.0.0.1", 0)) as server:
                proxy = blocking_proxies.before(server.getsockname()[1])
                proxy.add(Latency(60.0), stream="both")
                client = socket.create_connection(proxy.address, timeout=10)
                client.sendall(b"hello")
                proxy.until_hit("latency")
            assert False

        def test_not_there(proxies):
            pass

        def test_next(blocking_proxies):
            assert blocking_proxies.before(80).accepted == 0
            with client:
                try:
                    client.recv(1)
                except ConnectionResetError:
                    return
            assert False
    """
    ended = pytest_in(tmp_path, dedent(code), "-p", "no:twisted")
    assert "pytest-twisted's, which is not there; for others there are block" in ended.out
    assert closing(ended) == (1, "1 failed, 1 passed, 1 error"), ended.out
