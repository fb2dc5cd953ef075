"""A real ``twistd -n lab-client`` against a real server: the load, its summary, its end."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.commands.load_arithmetic import ArithmeticOptions
from tests.pytest_only.processes import TWISTD, Ended, Server, cases, message, run, running, serving

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

FOREGROUND = (TWISTD, "-n", "--pidfile=")
ROWS = [
    "requests",
    "right answers",
    "wrong answers",
    "given up",
    "lost connections",
    "messages sent",
    "late answers",
    "latency p50",
    "latency p90",
    "latency p99",
    "latency p99.9",
    "latency max",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that loses three datagrams in ten."""
    with serving("--drop-rate", "0.3", "--seed", "7") as server:
        yield server


def client(*options: str, cwd: Path | None = None) -> Ended:
    """Run a lab-client that ends by itself."""
    return run(*FOREGROUND, "lab-client", *options, cwd=cwd)


def summary(ended: Ended) -> dict[str, str]:
    """The rows of the summary, which stand between the lines of the log."""
    rows = (line for line in ended.lines if not re.match(r"\d{4}-", line))
    return dict(re.split(r" {2,}| (?=\d)", row, maxsplit=1) for row in rows)


@pytest.mark.parametrize("named", [[], ["arithmetic"]])
def test_summary(server: Server, named: list[str]) -> None:
    """So many requests at that rate; then it ends, and its last word is a table."""
    ended = client(*named, server.place("tcp"), "--rate", "200", "--count", "40")
    assert (ended.code, ended.err) == (0, "")
    rows = summary(ended)
    assert list(rows) == ROWS
    assert rows["requests"] == rows["right answers"] == "40"
    assert rows["messages sent"] == "40 (0 again)"
    assert [rows[name] for name in ROWS[2:5]] == ["0", "0", "0"]
    assert all(re.fullmatch(r"[0-9.]+ (us|ms|s)", rows[name]) for name in ROWS[-5:])


def test_loss_is_made_good(server: Server) -> None:
    """Over UDP, with backoff, every request is answered in spite of the loss."""
    options = ("--rate", "200", "--count", "40", "--timeout", ".02", "--backoff")
    rows = summary(client(server.place("udp"), *options, "--max-timeout", "60", "--seed", "7"))
    assert rows["requests"] == rows["right answers"] == "40"
    again = re.fullmatch(r"(\d+) \((\d+) again\)", rows["messages sent"])
    assert again is not None
    assert int(again[1]) == 40 + int(again[2])
    assert int(again[2]) > 0


def test_loss_is_seen_without_backoff(server: Server) -> None:
    """Without backoff, what was lost is given up, and counted."""
    options = ("--rate", "200", "--count", "40", "--timeout", ".05")
    rows = summary(client(server.place("udp"), *options))
    assert int(rows["right answers"]) + int(rows["given up"]) == 40
    assert int(rows["given up"]) > 0
    assert re.fullmatch(r"no answer within [0-9.]+ ms after 1 attempt", rows["last error"])


def test_json_log(server: Server) -> None:
    """With `--log-format json` every line parses, and one has all the figures."""
    options = ("--rate", "200", "--count", "20", "--connections", "3", "--log-format", "json")
    ended = client("arithmetic", server.place("tcp"), *options)
    assert (ended.code, ended.err) == (0, "")
    (figures,) = (e for e in map(json.loads, ended.lines) if " asked, " in e["message"])
    assert (figures["asked"], figures["right"], figures["sent"]) == (20, 20, 20)
    assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["p99.9"]
    assert figures["p99.9"] <= figures["max"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_with_a_summary(server: Server, number: int) -> None:
    """Without a count it asks until SIGTERM or Ctrl-C, and then prints its summary as well."""
    words = (*FOREGROUND, "lab-client", "--rate", "100", server.place("tcp"))
    with running(*words) as process:
        process.line(lambda line: " asks tcp:" in line)
        process.started()
        ended = process.end(number)
    assert (ended.code, ended.err) == (-number, "")
    rows = summary(ended)
    assert list(rows)[: len(ROWS)] == ROWS
    assert "Server Shut Down." in ended.out


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_nobody_listens(kind: str) -> None:
    """A server that isn't there is counted and named, and is no traceback."""
    with serving() as server:  # a port that was free
        place = server.place(kind)
    ended = client(place, "--count", "3", "--rate", "100")
    rows = summary(ended)
    assert (rows["requests"], rows["right answers"], rows["lost connections"]) == ("3", "0", "3")
    assert "onnection refused" in rows["last error"] or "nobody listens" in rows["last error"]
    assert "Traceback" not in ended.out + ended.err


def test_file_overrides_options(server: Server, tmp_path: Path) -> None:
    """The INI file has the last word here, too, and each override is logged."""
    (tmp_path / "lab.ini").write_text("[lab-client arithmetic]\ncount = 5\nbackoff = yes\n")
    options = ("--count", "7", "--rate", "100", "--log-format", "json", "-c", "lab.ini")
    ended = client(server.place("tcp"), *options, cwd=tmp_path)
    messages = [message(line) for line in ended.lines]
    assert "--count: 7 of the command line is overridden by 5 of lab.ini" in messages
    assert any(text.startswith("5 asked, 5 right") for text in messages)


MISTAKES = {
    "--bogus": "option --bogus not recognized; see --help",
    "--rate 0": "rate is '0'; give a whole number from 1 to 1,000,000",
    "--count x": "count is 'x'; give a whole number from 1 to 1,000,000,000",
    "--timeout 2 --backoff": "timeout is 2 s; with backoff give less than its cap of 2 s",
    "--connections 1001": "connections is 1001; give 1 to 1,000",
    "--jitter 2": "jitter is '2'; give a probability from 0 to 1, for example 0.3",
    "-c absent.ini": "config is 'absent.ini'; ",
    "tcp:one tcp:two": "Wrong number of arguments.",
    "udp:localhost": "endpoint is 'udp:localhost'; give udp:HOST:PORT",
}


@pytest.mark.parametrize("words", cases(MISTAKES))
def test_mistake(words: str) -> None:
    """A mistake is one line that says what is allowed, and exit code 2."""
    ended = client(*words.split())
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"lab-client arithmetic: {MISTAKES[words]}")


def test_help_lists_every_option() -> None:
    """`--help` names the services there are, and theirs each option there is."""
    ended = client("--help")
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^ +arithmetic ", ended.out, re.MULTILINE)
    ended = client("arithmetic", "--help")
    assert (ended.code, ended.err) == (0, "")
    for option in ArithmeticOptions().longOpt:
        assert f"--{option}" in ended.out


def test_beside_a_server(tmp_path: Path) -> None:
    """Server and client run in one folder without any option of twistd's but -n."""
    with serving(twistd=[TWISTD, "-n"], cwd=tmp_path) as server:
        words = (TWISTD, "-n", "lab-client", server.place("tcp"), "--count", "1")
        ended = run(*words, cwd=tmp_path)
        assert (ended.code, ended.err) == (0, "")
        assert list(tmp_path.iterdir()) == []
