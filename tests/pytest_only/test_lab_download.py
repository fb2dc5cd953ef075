"""``lab download`` against real servers: whole files, whatever happens to either side meanwhile."""

import json
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.helpers import thorough
from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    Ended,
    Process,
    Server,
    proxying,
    run,
    running,
    serving,
)
from tests.pytest_only.terminals import terminal

PIECE = 2**20
SIZE = 6 * PIECE + 5
BIG = Random(5).randbytes(SIZE)
#: So that it can be interrupted: it takes three seconds.
SLOW = ("--limit-rate", "2M")


@contextmanager
def downloads(root: Path, *options: str) -> Iterator[Server]:
    """A server of the files of a folder."""
    place = "tcp:0:interface=127.0.0.1"
    with serving("--root", str(root), *options, places=[place], service="download") as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served."""
    root = tmp_path_factory.mktemp("root")
    (root / "big").write_bytes(BIG)
    (root / "read me.txt").write_text("hello\n")
    (root / "empty").touch()
    return root


@pytest.fixture(scope="module")
def place(root: Path) -> Iterator[str]:
    """Where it is served."""
    with downloads(root) as server:
        yield server.places[0]


def lines(process: Process) -> Iterator[dict[str, object]]:
    """The events of a download in JSON, until its end."""
    while True:
        yield json.loads(process.line(lambda line: line.startswith("{")))


def until(process: Process, done: int) -> None:
    """Wait until so many bytes are there."""
    next(event for event in lines(process) if int(str(event.get("done", 0))) >= done)


def resumed(place: str, folder: Path) -> int:
    """Go on with `BIG`; gives how many bytes were asked for."""
    ended = run(LAB, "download", place, "--to", str(folder), "--json", "big")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.lines[-1])
    assert (folder / "big").read_bytes() == BIG
    assert [path.name for path in folder.iterdir()] == ["big"]
    assert told["reused"] + told["fetched"] == SIZE
    return int(told["fetched"])


def test_names(place: str, tmp_path: Path) -> None:
    """Files come whole, a line says so of each; what is not there is said, and is 3."""
    words = ("--to", str(tmp_path), "--", "big", "read me.txt", "empty", "none", "big")
    ended = run(LAB, "download", place, *words)
    assert ended.code == 3
    assert re.fullmatch(r"none: tcp:\S+: 404 .*\n", ended.err)
    assert (tmp_path / "big").read_bytes() == BIG
    assert (tmp_path / "read me.txt").read_text() == "hello\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big", "empty", "read me.txt"]
    said = {line.partition(":")[0]: line for line in ended.lines}
    assert set(said) == {"big", "read me.txt", "empty"}
    form = rf"big: 6,291,461 bytes in .*s, .*/s; 6,291,461 from {re.escape(place)}; SHA-256 \w+$"
    assert re.match(form, said["big"])


@thorough
def test_pipe(place: str, tmp_path: Path) -> None:
    """On a pipe each word is done before the next, and nothing behind quit."""
    given = "ls *.txt\nget 'read me.txt'; lls\nls 'x\nget none\nquit\nget big\n"
    ended = run(LAB, "download", place, input=given, cwd=tmp_path)
    assert ended.code == 2
    assert re.fullmatch(r"6  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  read me.txt", ended.lines[0])
    assert ended.lines[1].startswith("read me.txt: 6 bytes in ")
    assert ended.lines[2].endswith("Z  read me.txt")
    assert len(ended.lines) == 3
    first, second = ended.err.splitlines()
    assert first == 'line 3: no closing quotation in "ls \'x"; quote as in a shell'
    assert second.startswith("none: ")


@thorough
def test_execute(place: str, tmp_path: Path) -> None:
    """The same words on the command line."""
    ended = run(LAB, "download", place, "-e", "mget *.txt e*; lls", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"read me.txt", "empty"}
    ended = run(LAB, "download", place, "--json", "-e", "ls e*; get none; bogus", cwd=tmp_path)
    listed, failed, wrong = map(json.loads, ended.lines)
    assert (ended.code, ended.err) == (3, "")
    assert (listed["name"], listed["size"]) == ("empty", 0)
    assert (failed["event"], failed["name"], failed["code"]) == ("failed", "none", 3)
    assert (wrong["command"], wrong["code"]) == ("bogus", 2)


def test_terminal(place: str, tmp_path: Path) -> None:
    """A person lists, completes, downloads while he types, stops that, is kept from leaving."""
    words = ("download", place, "--limit-rate", "4M")
    with terminal(*words, cwd=tmp_path) as (screen, process):
        screen.until("download> ")
        screen.type("ls\r")
        screen.until("6,291,461  .*Z  big\r\n")
        screen.type("get read\t\r")
        screen.until(r"download> get read\\ me.txt")
        screen.until("read me.txt: 6 bytes in ")
        screen.type("get big\r")
        screen.until(r"download \(1 job, \d\d? %\)> ")
        screen.type("jobs\r")
        screen.until(r"2  get big: big: .* of 6 MiB \(")
        screen.type("quit\r")
        screen.until("1 download goes on; once more to stop")
        screen.type("cancel 2\r")
        screen.until("big was stopped; .* are here, and get goes on with it\r\n")
        screen.type("get big\r")
        screen.until("big: 6,291,461 bytes in .* were here already; ")
        screen.type("lcd /tm\t\r")
        screen.until("/tmp\r\n")
        screen.type("quit\r")
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / "big").read_bytes() == BIG


@thorough
def test_bars(place: str, tmp_path: Path) -> None:
    """On a terminal there are bars while it lasts, and a line for each at the end."""
    words = ("download", place, *SLOW, "big", "read me.txt")
    with terminal(*words, cwd=tmp_path) as (screen, process):
        screen.until("read me.txt: 6 bytes in ")
        screen.until(r"1 of 2 files, .* of 6 MiB \(\d+ %\)")
        screen.until(r"big: .* of 6 MiB \(\d+ %\), .*/s, 0:0\d left")
        screen.until(r"big: 6,291,461 bytes in .*SHA-256 ")
        assert process.wait(PATIENCE) == 0


def test_interrupted(place: str, root: Path, tmp_path: Path) -> None:
    """After kill -9, and after Ctrl-C, which says what is here, only the rest is asked for."""
    words = (LAB, "download", place, *SLOW, "--json", "--to", str(tmp_path), "big")
    with running(*words) as process:
        until(process, PIECE)
        assert process.end(signal.SIGKILL).code == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".big.part"]
    with running(*words) as process:
        until(process, 2 * PIECE)
        ended = process.end(signal.SIGINT)
    said = r"interrupted; [\d.]+ of 6 MiB are here; run the same command to go on\n"
    assert ended.code == 130
    assert re.fullmatch(said, ended.err), ended.err
    with downloads(root) as server:
        fetched = resumed(server.places[0], tmp_path)
        report = server.process.end().out
    assert fetched <= SIZE - 2 * PIECE
    assert f"{fetched:,} bytes" in report, report


@thorough
def test_killed_again_and_again(place: str, tmp_path: Path) -> None:
    """However often it is killed, it comes to its end, and never asks for a piece it has."""
    words = (LAB, "download", place, *SLOW, "--json", "--to", str(tmp_path), "big")
    for pieces in range(1, 6):
        with running(*words) as process:
            until(process, pieces * PIECE)
            process.end(signal.SIGKILL)
    assert resumed(place, tmp_path) <= SIZE - 5 * PIECE


@thorough
def test_three_servers(root: Path, tmp_path: Path) -> None:
    """One of three that is killed in the middle is missed by nobody."""
    with ExitStack() as stack:
        servers = [stack.enter_context(downloads(root, "--limit-rate", "2M")) for _ in range(3)]
        places = [server.places[0] for server in servers]
        words = (LAB, "download", *places, "--json", "--to", str(tmp_path), "--", "big")
        process = stack.enter_context(running(*words))
        until(process, PIECE)
        servers[1].process.end(signal.SIGKILL)
        ended = process.wait()
    assert ended.code == 0, ended
    assert (tmp_path / "big").read_bytes() == BIG
    given = {one["name"]: one["bytes"] for one in json.loads(ended.lines[-1])["sources"]}
    assert list(given) == places
    assert given[places[0]] > PIECE < given[places[2]]


@thorough
def test_server_that_comes_back(root: Path, tmp_path: Path) -> None:
    """A server that is restarted meanwhile is asked for the rest."""
    with downloads(root) as server:
        port = server.places[0]
        words = (LAB, "download", port, *SLOW, "--json", "--to", str(tmp_path), "big")
        with running(*words) as process:
            until(process, 3 * PIECE)
            server.process.end(signal.SIGKILL)
            again = f"tcp:{port.rpartition(':')[2]}:interface=127.0.0.1"
            with serving("--root", str(root), places=[again], service="download"):
                ended = process.wait()
    assert ended.code == 0, ended
    assert (tmp_path / "big").read_bytes() == BIG


@thorough
def test_through_a_proxy_that_flips_bits(place: str, tmp_path: Path) -> None:
    """What was damaged on its way is asked for again."""
    fault = ("--fault", "corrupt:probability=0.01,bits=1", "--seed", "3")
    upstream = place.removeprefix("tcp:")
    with proxying("--listen", "127.0.0.1:0", "--upstream", upstream, *fault) as proxy:
        words = (LAB, "download", proxy.place("tcp"), "--timeout", "2", "--to", str(tmp_path))
        ended = run(*words, "big")
    if ended.code == 0:
        assert (tmp_path / "big").read_bytes() == BIG
    else:
        assert not (tmp_path / "big").exists()
        assert ended.err.count("\n") == 1


@thorough
def test_full_disk(place: str, tmp_path: Path) -> None:
    """Where there is no room there is one line, and 1; with room it comes."""

    def bounded() -> None:
        """No file may be larger; SIGXFSZ is ignored, as by Python itself."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, PIECE))

    done = subprocess.run(
        (LAB, "download", place, "--to", str(tmp_path), "big"),
        capture_output=True, text=True, timeout=PATIENCE, check=False, preexec_fn=bounded,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("big: "), done.stderr
    assert not (tmp_path / "big").exists()
    resumed(place, tmp_path)


@thorough
def test_into_the_folder_that_is_served(place: str, root: Path) -> None:
    """A file is not downloaded onto itself."""
    before = (root / "big").stat()
    ended = run(LAB, "download", place, "--to", str(root), "big")
    assert (ended.code, ended.out) == (2, "")
    assert "it is the very file that is served" in ended.err
    after = (root / "big").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@thorough
def test_sha256(place: str, tmp_path: Path) -> None:
    """A file that is not the one that is meant does not come."""
    ended = run(LAB, "download", place, "--to", str(tmp_path), "--sha256", "0" * 64, "big")
    assert (ended.code, ended.out) == (4, "")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


MISTAKES = {
    "tcp:localhost:1 --to /none a": "to is '/none'; there is no such folder",
    "tcp:localhost:1 --sha256 abc a": "sha256 is 'abc'; give 64 hexadecimal digits",
    "x -- y": (
        "endpoint is 'x'; give endpoints before --, as tcp:localhost:50002, names behind it"
    ),
    "tcp:localhost:1 -c /none a": (
        "config is '/none'; [Errno 2] No such file or directory: '/none'"
    ),
}


@thorough
@pytest.mark.parametrize("words", MISTAKES)
def test_mistake(words: str) -> None:
    """A mistake is one line on standard error, and exit code 2."""
    said = f"lab download: {MISTAKES[words]}  (lab download --help)\n"
    assert run(LAB, "download", *words.split()) == Ended(2, "", said)


@thorough
def test_config(place: str, tmp_path: Path) -> None:
    """A file says what else would be typed; each override is a line with both values."""
    (tmp_path / "lab.ini").write_text("[lab-download]\ntimeout = 5s\nno-clobber = yes\n")
    words = ("-c", "lab.ini", "--timeout", "20", "empty")
    for said in ("empty: 0 bytes in ", "empty: empty is there, and is kept"):
        ended = run(LAB, "download", place, *words, cwd=tmp_path)
        assert ended.code == 0
        assert ended.err == "--timeout: 20 of the command line is overridden by 5s of lab.ini\n"
        assert ended.out.startswith(said), ended.out


@thorough
def test_nobody(tmp_path: Path) -> None:
    """Where nobody listens: 3, in a line."""
    ended = run(LAB, "download", "tcp:127.0.0.1:1", "--timeout", ".5", "a", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
