"""The command ``lab`` against a real server: what it prints, and what its exit codes say."""

import json
import re
import select
import signal
import socket
import time
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from lab.commands.main import COMMANDS, main
from tests.pytest_only.processes import LAB, PATIENCE, Ended, Server, cases, run, running, serving

#: Sent at 0, 0.05 and 0.15 s, and given up at 0.35 s.
QUICK = ("--timeout", ".05", "--max-timeout", ".2", "--backoff")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server on TCP and UDP."""
    with serving() as server:
        yield server


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A UDP port that hears, and never answers."""
    with socket.socket(type=socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.settimeout(PATIENCE)
        yield port


def udp(port: socket.socket) -> str:
    """The endpoint string of a port of ours."""
    return "udp:{}:{}".format(*port.getsockname())


def ask(*words: str, input: str = "") -> Ended:
    """Run `lab arithmetic`."""
    return run(LAB, "arithmetic", *words, input=input)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_answers(server: Server, kind: str) -> None:
    """One answer a line, in the order of the requests."""
    assert ask(server.place(kind), "+,1,1", "*,6,7") == Ended(0, "2\n42\n", "")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_refusal(server: Server, kind: str) -> None:
    """A request that is refused prints the reply as it is, and the exit code is 1."""
    assert ask(server.place(kind), "/,1,0") == Ended(1, "300,-1\n", "")
    assert ask(server.place(kind), "+,1,1", "nonsense", "-,5,3") == Ended(1, "2\n300,-1\n2\n", "")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_long_answer(server: Server, kind: str) -> None:
    """4,300 digits arrive whole; over UDP only after our address was proved."""
    assert ask(server.place(kind), "**,10,4299") == Ended(0, f"{10**4299}\n", "")


def test_many_requests_on_several_connections(server: Server) -> None:
    """Answers keep the order of the requests, whatever connection they went by."""
    requests = [f"+,{number},1" for number in range(500)]
    ended = ask(server.place("tcp"), "--connections", "5", *requests)
    assert ended == Ended(0, "".join(f"{number + 1}\n" for number in range(500)), "")


def test_gives_up(silent: socket.socket) -> None:
    """Three attempts, each wait twice the last; then one line, exit code 5, and the id is one."""
    ended = ask(udp(silent), *QUICK, "+,1,1")
    assert (ended.code, ended.out) == (5, "")
    match = re.fullmatch(r"no answer within ([0-9.]+) ms after 3 attempts\n", ended.err)
    assert match is not None, ended.err
    # Waits are at least what was asked for; how late a busy machine is, is no matter here.
    assert float(match[1]) >= 350
    sent = [silent.recv(100) for _ in range(3)]
    assert len(set(sent)) == 1
    assert sent[0].startswith(b"#")
    assert sent[0].endswith(b" +,1,1")
    assert select.select([silent], [], [], 0)[0] == []


def test_one_attempt_without_backoff(silent: socket.socket) -> None:
    """Without --backoff there is one attempt."""
    ended = ask(udp(silent), "--timeout", "50ms", "+,1,1")
    assert (ended.code, ended.out) == (5, "")
    assert re.fullmatch(r"no answer within [0-9.]+ ms after 1 attempt\n", ended.err)


def test_deadline(silent: socket.socket) -> None:
    """`--deadline` ends a request whatever attempts are left."""
    ended = ask(udp(silent), "--backoff", "--timeout", ".5", "--deadline", "100ms", "+,1,1")
    assert (ended.code, ended.out) == (5, "")
    assert re.fullmatch(r"no answer within [0-9.]+ ms after 1 attempt\n", ended.err)


def test_answer_after_a_retransmission(silent: socket.socket) -> None:
    """The answer to a second attempt counts, and is told apart with --json."""
    words = (LAB, "arithmetic", udp(silent), "--timeout", ".05", "--backoff", "--json", "+,1,1")
    with running(*words) as process:
        first, client = silent.recvfrom(100)
        again, _ = silent.recvfrom(100)
        silent.sendto(first.split()[0] + b" 200,2", client)
        ended = process.wait()
    assert again == first
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert (told["request"], told["code"], told["value"]) == ("+,1,1", 200, 2)
    assert told["attempts"] >= 2


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_nobody_listens(kind: str) -> None:
    """Where nobody listens it says so at once, with exit code 3."""
    with serving() as server:  # a port that was free
        place = server.place(kind)
    ended = ask(place, "+,1,1")
    assert (ended.code, ended.out) == (3, "")
    texts = {"tcp": "no connection after 1 attempt: Connection refused\n"}
    assert ended.err == texts.get(kind, f"nobody listens at {place}\n")


def test_name_without_address() -> None:
    """A name that can't be (RFC 6761) is one line, and exit code 1."""
    for kind in ("tcp", "udp"):
        ended = ask(f"{kind}:nothing.invalid:50000", "+,1,1")
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)


def test_pipe(server: Server) -> None:
    """On a pipe each line is a request; blank lines are none, and the end needs no line ending."""
    ended = ask(server.place("tcp"), input="+,1,1\n\n*,6,7\r\n**,2,100")
    assert ended == Ended(0, f"2\n42\n{2**100}\n", "")
    assert ask(server.place("udp"), input="/,1,0\n+,1,1\n") == Ended(1, "300,-1\n2\n", "")
    assert ask(server.place("tcp")) == Ended(0, "", "")


def test_json(server: Server, silent: socket.socket) -> None:
    """With --json each request gives one object, answered or not."""
    ended = ask(server.place("tcp"), "--json", "+,1,1", "/,1,0")
    assert (ended.code, ended.err) == (1, "")
    one, two = map(json.loads, ended.lines)
    assert one.pop("seconds") > 0
    assert one == {"request": "+,1,1", "code": 200, "value": 2, "attempts": 1}
    assert (two["code"], two["value"]) == (300, -1)
    ended = ask(udp(silent), "--timeout", ".05", "--json", "+,1,1")
    assert (ended.code, ended.err) == (5, "")
    told = json.loads(ended.out)
    assert told.keys() == {"request", "error"}
    assert told["error"].startswith("no answer within ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(silent: socket.socket, number: int) -> None:
    """Ctrl-C during a request ends it at once, with 130 and without a traceback."""
    with running(LAB, "arithmetic", udp(silent), "--timeout", "60", "+,1,1") as process:
        silent.recv(100)
        started = time.monotonic()
        ended = process.end(number)
    assert ended == Ended(128 + number, "", "interrupted\n")
    assert time.monotonic() - started < 10


MISTAKES = {
    "bogus": "lab: No such command 'bogus'.  (lab --help)",
    "--bogus": "lab: No such option '--bogus'.  (lab --help)",
    "arithmetic --bogus": "lab arithmetic: No such option '--bogus'.  (lab arithmetic --help)",
    "arithmetic --timeout 0 +,1,1": (
        "lab arithmetic: timeout is '0'; give more than 0, for example 0.1 or 100ms"
        "  (lab arithmetic --help)"
    ),
    "arithmetic --timeout 3 --backoff +,1,1": (
        "lab arithmetic: timeout is 3 s; with backoff give less than its cap of 2 s, or raise "
        "that with --max-timeout  (lab arithmetic --help)"
    ),
    "arithmetic bogus:1 +,1,1": (
        "endpoint is 'bogus:1'; give one like tcp:localhost:50000 (Unknown endpoint type: 'bogus')"
    ),
    "arithmetic udp:localhost +,1,1": (
        "endpoint is 'udp:localhost'; give udp:HOST:PORT, e.g. udp:localhost:50000"
    ),
    "proxy toxic add -t latency -a 100 sequence": (
        "lab proxy toxic add: attribute is '100'; give NAME=VALUE  (lab proxy toxic add --help)"
    ),
    "demo --requests 0": (
        "lab demo: requests is '0'; give a whole number from 1 to 1,000,000,000  (lab demo --help)"
    ),
}


@pytest.mark.parametrize("words", cases(MISTAKES))
def test_mistake(words: str) -> None:
    """A mistake is one line on standard error, and exit code 2."""
    assert run(LAB, *words.split()) == Ended(2, "", MISTAKES[words] + "\n")


def test_help_lists_every_command_and_option() -> None:
    """`lab --help` names the commands, and theirs each option."""
    ended = run(LAB, "--help")
    assert (ended.code, ended.err) == (0, "")
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", ended.out, re.MULTILINE)
    for name, (module, _) in COMMANDS.items():
        command = import_module(f"lab.commands.{module}").command
        shown = CliRunner().invoke(main, [name, "--help"])
        assert shown.exit_code == 0
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[-1] in shown.output


def test_version() -> None:
    """`lab --version` says which it is."""
    assert re.fullmatch(r"lab, version \d+\.\d+\.\d+\S*\n", run(LAB, "--version").out)
