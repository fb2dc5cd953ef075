"""``lab echo``, ``lab stream`` and ``lab file`` against a real server, with and without faults."""

import json
import re
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from lab.echo.pattern import characters
from tests.pytest_only import proxies as with_api
from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    Ended,
    Server,
    ask_tcp,
    cases,
    proxying,
    run,
    running,
    serving,
)
from tests.pytest_only.terminals import terminal

N = 1_000_000
BOTH = pytest.mark.parametrize("kind", ["tcp", "udp"])
#: Patient: on a busy machine an attempt takes its time.
PATIENT = ("--timeout", "1", "--backoff")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server on TCP and UDP, which sends over UDP at a pace that a busy machine keeps up with."""
    with serving("--pace", "1M", service="echo") as server:
        yield server


@BOTH
def test_echo(server: Server, kind: str) -> None:
    """What is sent comes back byte for byte, be it a command or not."""
    words = ("hello", "  two  blanks ", "stream", "echo 42", "\u00e4", "x" * 60_000)
    ended = run(LAB, "echo", server.place(kind), *PATIENT, *words[:2], *words[3:])
    expected = ["hello", "  two  blanks ", "42", "\u00e4", "x" * 60_000]
    assert (ended.code, ended.err, ended.lines) == (0, "", expected)


@BOTH
def test_pipe(server: Server, kind: str) -> None:
    """On a pipe: text, an integer, a stream, and nothing behind quit."""
    given = "hello\n1000\nstream 10 20\nlimits\nquit\nnobody hears this\n"
    ended = run(LAB, "echo", server.place(kind), *PATIENT, input=given)
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[0] == "hello"
    digest = sha256(characters(0, 0, 1000)).hexdigest()
    assert ended.lines[1].startswith("1,000 characters in ")
    assert ended.lines[1].endswith(f"every one right; SHA-256 {digest}, as the server's")
    assert "packets          20" in ended.lines
    assert ended.lines[-1] == "streams   at most 16 at a time"


def test_print_file(server: Server) -> None:
    """A file that is printed stands between the answers before and behind it."""
    given = "hello\n5000\nbye\n"
    ended = run(LAB, "echo", server.place("tcp"), "--print-file", input=given)
    assert ended == Ended(0, f"hello\n{characters(0, 0, 5000).decode()}bye\n", "")


@pytest.mark.thorough
def test_hosts(server: Server, tmp_path: Path) -> None:
    """Of a list in the working directory the first is asked, or of one that is named."""
    tcp, udp = server.place("tcp"), server.place("udp")
    (tmp_path / "hosts.txt").write_text(f"# ours\n{tcp}\n{udp}\n")
    ended = run(LAB, "stream", "--interval", "0", "--json", cwd=tmp_path)
    assert json.loads(ended.out)["start"]["connecting_to"] == tcp
    (tmp_path / "mine").write_text(f"{udp}  # over UDP\n")
    ended = run(LAB, "stream", "--hosts", "mine", *PATIENT, "--json", "--interval", "1",
                cwd=tmp_path)  # fmt: skip
    assert json.loads(ended.out)["start"]["connecting_to"] == udp
    ended = run(LAB, "echo", "hello", cwd=tmp_path)
    assert ended == Ended(0, "hello\n", "")


def test_terminal(server: Server, tmp_path: Path) -> None:
    """A person chooses a server with Enter, types, sees rows as they come, interrupts, quits."""
    (tmp_path / "hosts.txt").write_text(f"{server.place('tcp')}\n{server.place('udp')}\n")
    with terminal("echo", cwd=tmp_path) as (screen, process):
        screen.until(r"  2  udp:.*\r\nserver \[tcp:.*\]: ")
        screen.type("\r")
        screen.until("echo> ")
        screen.type("hello\r")
        screen.until(r"echo> hello.*\r\nhello\r\n")
        screen.type("42\r")
        screen.until(r"42 characters in .*; every one right; SHA-256 ")
        screen.type("str\t10 20\r")
        screen.until(r"(?s)seconds +packets.*?packets +20 *\r\n")
        screen.type("stream 100 1000\r")
        screen.until(r"\n +0-1 +1\d ")
        screen.type("\x03")
        screen.until("interrupted\r\n")
        screen.type("help\r")
        screen.until("what the server allows")
        screen.type("quit\r")
        assert process.wait(PATIENCE) == 0


@BOTH
def test_stream(server: Server, kind: str, tmp_path: Path) -> None:
    """Each packet comes; the picture and the packets are written."""
    picture, packets = tmp_path / "a.png", tmp_path / "packets.jsonl"
    words = ("--interval", "5", "--count", "100", "--size", "200")
    files = ("--plot", str(picture), "--packets", str(packets))
    ended = run(LAB, "stream", server.place(kind), *PATIENT, *words, *files, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert (told["end"]["sum"]["packets"], told["end"]["sum"]["bytes"]) == (100, 20_000)
    assert picture.read_bytes().startswith(b"\x89PNG")
    classes = [json.loads(line)["class"] for line in packets.read_text().splitlines()]
    assert classes == ["received"] * 100


@BOTH
@pytest.mark.thorough
def test_stream_interrupted(server: Server, kind: str) -> None:
    """Ctrl-C ends the stream, with its report and 130."""
    words = ("stream", server.place(kind), *PATIENT, "--interval", "20", "--count", "1000")
    with running(LAB, *words) as process:
        process.line(lambda line: line.startswith("0-1 s: "))
        ended = process.end(signal.SIGINT)
    assert ended.code == 130
    assert re.search(r"(?m)^received +\d+, ", ended.out)
    assert ended.err == "interrupted\n"


@BOTH
def test_round_trip(server: Server, kind: str) -> None:
    """Probes are answered."""
    words = ("--round-trip", "--interval", "5", "--count", "50", "--json")
    ended = run(LAB, "stream", server.place(kind), *PATIENT, *words)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["end"]["round_trip"]["count"] == 50


@BOTH
def test_file(server: Server, kind: str, tmp_path: Path) -> None:
    """A file is saved, whole, under its name only."""
    words = ("file", server.place(kind), str(N), "-o", "big", "--reliable", *PATIENT)
    ended = run(LAB, *words, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["big"]
    assert (tmp_path / "big").read_bytes() == characters(0, 0, N)
    ended = run(LAB, "file", server.place(kind), str(N), "--print-file", "--reliable", *PATIENT)
    assert (ended.code, ended.out) == (0, characters(0, 0, N).decode())


MISTAKES = {
    "stream tcp:localhost:1 --size 63": "size is 63; give 64 to 65,507",
    "stream tcp:localhost:1 --interval 1.5": (
        "lab stream: interval is '1.5'; give whole milliseconds, for example 20 or 2s"
        "  (lab stream --help)"
    ),
    "file tcp:localhost:1": (
        "lab file: n is ''; give a whole number from 0 to 1,000,000,000,000,000,000"
        "  (lab file --help)"
    ),
    "echo --hosts /none": (
        "lab echo: hosts is '/none'; No such file or directory  (lab echo --help)"
    ),
}


@pytest.mark.parametrize("words", cases(MISTAKES))
def test_mistake(words: str) -> None:
    """A mistake is one line on standard error, and exit code 2."""
    assert run(LAB, *words.split()) == Ended(2, "", MISTAKES[words] + "\n")


def test_refused(server: Server) -> None:
    """What the server does not allow it says, and the exit code is 3; so does nobody at all."""
    ended = run(LAB, "stream", server.place("tcp"), "--count", "1001")
    assert ended == Ended(3, "", "the server refuses: count is 1001; at most 1000\n")
    assert run(LAB, "file", "tcp:127.0.0.1:1", "5").code == 3


@pytest.mark.thorough
def test_faults_of_datagrams(server: Server) -> None:
    """Through a proxy that loses, both say so: the stream as a result, the file by asking again."""
    faults = ("--fault", "loss:probability=0.1", "--seed", "5")
    upstream = server.place("udp")
    with with_api.proxying(("udp:0:interface=127.0.0.1", upstream), options=faults) as proxies:
        place = f"udp:127.0.0.1:{proxies.ports[0]}"
        words = ("--interval", "2", "--count", "500", "--json")
        ended = run(LAB, "stream", place, "--timeout", ".3", "--backoff", *words)
        assert (ended.code, ended.err) == (0, "")
        total = json.loads(ended.out)["end"]["sum"]
        assert total["packets"] == 500
        assert 10 < total["lost_packets"] < 150
        words = (str(N // 4), "--timeout", ".3", "--backoff", "--print-file")
        ended = run(LAB, "file", place, *words)
        assert (ended.code, ended.out) == (1, "")
        ended = run(LAB, "file", place, *words, "--reliable")
        assert (ended.code, ended.out) == (0, characters(0, 0, N // 4).decode())


def test_cut(server: Server, tmp_path: Path) -> None:
    """A file that a proxy cuts is never success; it is gone on with at the server itself."""
    fault = ("--fault", f"limit_data:bytes={N // 2}")
    upstream = server.place("tcp").removeprefix("tcp:")
    with proxying("--listen", "127.0.0.1:0", "--upstream", upstream, *fault) as proxy:
        ended = run(LAB, "file", proxy.place("tcp"), str(N), "-o", "big", cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert [path.name for path in tmp_path.iterdir()] == ["big.part"]
    words = ("file", server.place("tcp"), str(N), "-o", "big", "--resume")
    ended = run(LAB, *words, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("goes on with character 4")
    assert (tmp_path / "big").read_bytes() == characters(0, 0, N)


@pytest.mark.thorough
def test_classic() -> None:
    """The old services are there when they are named, and no other then."""
    place = "tcp:0:interface=127.0.0.1"
    for service, answer in (("classic-echo", b"+,1,1\n"), ("chargen", bytes(range(32, 104)))):
        with serving(service=service, places=[place]) as server:
            assert ask_tcp(server.address("tcp")).rstrip(b"\r").startswith(answer)
            ended = server.process.end()
            assert any("1 connections" in line for line in ended.lines)


def test_counters(server: Server) -> None:
    """At its end the server says what it did."""
    with serving(service="echo") as ours:
        assert ask_tcp(ours.address("tcp"), b"hello\n") == b"hello\n"
        ended = ours.process.end()
    said = "echo ends: 1 echoed, 0 probes, 0 streams, 0 files, 0 refused, 0 busy"
    assert any(said in line for line in ended.lines)
