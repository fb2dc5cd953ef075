"""A real ``twistd -n lab-client sequence`` against a real server: many clients, cut off."""

import json
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.commands.load_sequence import SequenceOptions
from lab.commands.loads import allow_files
from tests.pytest_only.processes import TWISTD, Server, cases, run, running, serving

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

FOREGROUND = (TWISTD, "-n", "--pidfile=", "lab-client", "sequence")
JSON = ("--log-format", "json")
PLACES = ("tcp:0:interface=127.0.0.1:backlog=1024",)
ROWS = [
    "clients",
    "sequences",
    "equal",
    "different",
    "rejected",
    "conflict",
    "refused",
    "not ended",
    "begun anew",
    "numbers",
    "wrong numbers",
    "broken off",
    "resumed",
    "retries",
    "lateness p50",
    "lateness p90",
    "lateness p99",
    "lateness p99.9",
    "lateness max",
]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of sequences."""
    with serving(places=PLACES, service="sequence") as server:
        yield server


@pytest.fixture
def files() -> Iterator[int]:
    """How many files processes may have open, which is as many as the system lets us."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield allow_files(10_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def rows(out: str) -> dict[str, str]:
    """The rows of the summary, which stand between the lines of the log."""
    found = (line for line in out.splitlines() if not re.match(r"\d{4}-", line))
    return dict(re.split(r" {2,}| (?=\d)", row, maxsplit=1) for row in found)


def test_summary(server: Server) -> None:
    """So many sequences; then it ends, and its last word is a table. The server says the same."""
    words = ("--clients", "5", "--count", "10", "--n", "10", "--interval", "20ms")
    ended = run(*FOREGROUND, server.place("tcp"), *words)
    assert (ended.code, ended.err) == (0, "")
    found = rows(ended.out)
    assert list(found) == ROWS
    assert (found["clients"], found["sequences"], found["equal"]) == ("5", "10", "10")
    assert (found["numbers"], found["wrong numbers"]) == ("100", "0")
    assert all(re.fullmatch(r"[0-9.]+ (us|ms|s)", found[name]) for name in ROWS[-5:])
    ended = server.process.end()
    assert "10 begun, 0 resumed, 10 done, 0 rejected" in ended.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_with_a_summary(server: Server, number: int) -> None:
    """Without a count it goes on until SIGTERM or Ctrl-C, and then prints its summary as well."""
    words = ("--clients", "3", "--n", "10", "--interval", "20ms", "--abort-every", ".2")
    with running(*FOREGROUND, server.place("tcp"), *words) as process:
        process.line(lambda line: "3 clients of tcp:" in line)
        process.started()
        ended = process.end(number)
    assert (ended.code, ended.err) == (-number, "")
    assert list(rows(ended.out))[: len(ROWS)] == ROWS


def test_nobody_listens() -> None:
    """A server that isn't there is named, and is no traceback."""
    with serving(places=PLACES, service="sequence") as server:  # a port that was free
        place = server.place("tcp")
    with running(*FOREGROUND, place, "--clients", "3") as process:
        process.line(lambda line: "3 clients of tcp:" in line)
        process.started()
        ended = process.end()
    found = rows(ended.out)
    assert found["numbers"] == "0"
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.thorough
def test_a_thousand(server: Server, files: int) -> None:
    """A thousand clients whose connections are broken off: all is received, nothing is wrong."""
    assert files > 1100, "raise the hard limit of open files"
    words = ("--clients", "1000", "--count", "1000", "--n", "50", "--interval", "100ms")
    ended = run(*FOREGROUND, server.place("tcp"), *words, "--abort-every", "3", *JSON)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.lines) < 20  # none for each connection, none for each sequence
    (found,) = (event for event in map(json.loads, ended.lines) if "begun" in event)
    assert (found["begun"], found["equal"], found["unfinished"]) == (1000, 1000, 0)
    assert (found["numbers"], found["wrong"]) == (1000 * 50, 0)
    assert found["aborted"] > 1000
    ended = server.process.end()
    said = re.search(r"([0-9,]+) begun, ([0-9,]+) resumed, 1,000 done, 0 rejected", ended.out)
    assert said is not None
    begun, resumed = (int(text.replace(",", "")) for text in said.groups())
    # Some are broken off before they hear that they have begun, or that they go on.
    assert begun >= 1000
    assert resumed >= found["resumed"] > 500
    assert "Traceback" not in ended.out + ended.err
    assert len(ended.lines) < 1000 + 20  # one for each sequence, none for those broken off


MISTAKES = {
    "--bogus": "option --bogus not recognized; see --help",
    "--clients 0": "clients is '0'; give a whole number from 1 to 100,000",
    "--on-reject go": "on-reject is 'go'; give stop or restart",
    "-c absent.ini": "config is 'absent.ini'; ",
    "tcp:one tcp:two": "Wrong number of arguments.",
    "udp:localhost:1": "endpoint is 'udp:localhost:1'; give one of streams",
}


@pytest.mark.parametrize("words", cases(MISTAKES))
def test_mistake(words: str) -> None:
    """A mistake is one line that says what is allowed, and exit code 2."""
    ended = run(*FOREGROUND, *words.split())
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"lab-client sequence: {MISTAKES[words]}")


def test_help_lists_every_option() -> None:
    """`--help` has each option there is."""
    ended = run(*FOREGROUND, "--help")
    assert (ended.code, ended.err) == (0, "")
    for option in SequenceOptions().longOpt:
        assert f"--{option}" in ended.out


def test_file_overrides_options(server: Server, tmp_path: Path) -> None:
    """The INI file has the last word here, too."""
    (tmp_path / "lab.ini").write_text("[lab-client sequence]\ncount = 2\nn = 3\n")
    words = ("--count", "7", "--interval", "10ms", "-c", "lab.ini")
    ended = run(*FOREGROUND, server.place("tcp"), *words, cwd=tmp_path)
    assert "--count: 7 of the command line is overridden by 2 of lab.ini" in ended.out
    assert rows(ended.out)["numbers"] == "6"
