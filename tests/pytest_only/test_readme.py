"""What the README shows is what happens to a person who types it."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.helpers import thorough
from tests.pytest_only.processes import BIN, TWISTD, Server, run, running, serving

#: Commands that ask a server.
CLIENTS = "arithmetic|sequence|echo|file|stream"
CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.rst").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?: .*\n|\n)+)", README, re.MULTILINE)
    return [dedent(block).strip("\n") + "\n" for block in found]


def asked() -> Iterator[tuple[str, str]]:
    """Each command that asks, and the output that is shown for it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if (
                re.search("lab (arithmetic|sequence|echo|file|stream)", command)
                and "51000" not in command
            ):
                yield command, output


ASKED = list(asked())
#: Commands whose output is drawn.
DRAWN = [("lab arithmetic", "--json"), ("lab sequence", "")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server."""
    with serving() as server:
        yield server


def shell(command: str, cwd: Path | None = None) -> str:
    """The standard output of a command, as a person with our environment would see it."""
    return run("bash", "-c", f"PATH={shlex.quote(str(BIN))}:$PATH; {command}", cwd=cwd).out


def drawn(number: int) -> tuple[str, str]:
    """The one command of this kind, and its output."""
    words = DRAWN[number]
    (found,) = [one for one in ASKED if all(word in one[0] for word in words)]
    return found


ECHO = [one for one in ASKED if re.match("lab (echo|file|stream)", one[0])]
PLAIN = [one for one in ASKED if one not in {drawn(0), drawn(1), *ECHO}]


@pytest.mark.parametrize(("command", "output"), PLAIN)
def test_console(server: Server, command: str, output: str) -> None:
    """Every command prints what is shown below it."""
    command = re.sub(r"(tcp|udp):localhost:50000", lambda m: server.place(m[1]), command)
    assert "50000" not in command
    assert shell(command) == output


def test_loss() -> None:
    """With the drop rate and the seed that are named, the answer comes after as many attempts."""
    command, output = drawn(0)
    (options,) = re.findall(r"``twistd -n lab-server (--drop-rate[^`]+)``", README)
    shown = re.sub(r'"seconds": .*', "", output)
    with serving(*options.split()) as server:
        command = command.replace("udp:localhost:50000", server.place("udp"))
        assert re.sub(r'"seconds": .*', "", shell(command)) == shown


def test_sequence(tmp_path: Path) -> None:
    """A sequence comes as it is shown, with other numbers."""
    command, output = drawn(1)
    places = ["tcp:0:interface=127.0.0.1"]
    with serving(places=places, service="sequence") as server:
        command = command.replace("tcp:localhost:49155", server.places[0])
        assert "49155" not in command
        shown, seen = (re.sub(r"\d{4,}", "N", text) for text in (output, shell(command, tmp_path)))
    assert seen == shown.rstrip() + "\n"


def timeless(text: str) -> list[str]:
    """Lines without what is another each time, and without those that tell how far a file is."""
    text = re.sub(r"[\d.]+ [kMG]?bit/s", "RATE", re.sub(r"in [\d.]+ m?s,", "in TIME,", text))
    return [line for line in text.rstrip().splitlines() if " of 1,000,000 " not in line]


def test_echo(tmp_path: Path) -> None:
    """Texts, a file and a stream come as they are shown, but for times; both files are there."""
    assert [command.split()[1] for command, _ in ECHO] == ["echo", "file", "stream"]
    with serving(service="echo") as server:
        for command, output in ECHO:
            here = re.sub(r"(tcp|udp):localhost:50001", lambda m: server.place(m[1]), command)
            assert "50001" not in here
            assert timeless(shell(here, tmp_path)) == timeless(output)
    assert (tmp_path / "big.txt").stat().st_size == 1_000_000
    assert (tmp_path / "delays.png").read_bytes().startswith(b"\x89PNG")


@thorough
def test_download(tmp_path: Path) -> None:
    """A file of this directory comes whole."""
    (block,) = [block for block in blocks("console") if "lab download" in block]
    places = ["tcp:0:interface=127.0.0.1"]
    with serving("--root", str(CHECKOUT), places=places, service="download") as server:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            command = command.replace("/tmp", str(tmp_path))
            seen = shell(command.replace("tcp:localhost:50002", server.places[0]), CHECKOUT)
            seen = seen.replace(server.places[0], "tcp:localhost:50002")
            shown, found = (re.sub(r" in .*?/s;", " in S;", text) for text in (output, seen))
            assert found == shown.rstrip() + "\n"


def test_proxy(server: Server) -> None:
    """The proxy breaks the network as it is shown, and stops when it is told to."""
    (begin,) = re.findall(r"^ +\$ twistd -n lab-proxy (.*)$", README, re.MULTILINE)
    (block,) = [block for block in blocks("console") if "lab proxy" in block]
    _, _, port = server.place("tcp").split(":")
    for old, new in (("8474", "0"), ("localhost:51000", "localhost:0"), ("50000", port)):
        assert begin.count(old) == 1
        begin = begin.replace(old, new)
    with running(TWISTD, "-n", "--pidfile=", "lab-proxy", *begin.split()) as proxy:
        (port,) = re.findall(r"127\.0\.0\.1:(\d+) for", proxy.line(lambda line: " for " in line))
        (api,) = re.findall(r"tcp:(\S+)", proxy.line(lambda line: "api listens" in line))
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            command = command.replace("51000", port).replace("lab proxy", f"lab proxy -h {api}")
            seen = shell(f"{command} 2>&1")
            assert re.sub(r"within \S+ m?s", "within 1 s", seen) == output


def test_program(tmp_path: Path) -> None:
    """The program that embeds server and client runs, and prints what is said."""
    (program,) = blocks("python")
    script = tmp_path / "program.py"
    script.write_text(program)
    ended = run(sys.executable, str(script), cwd=tmp_path)
    (said,) = re.findall(r"^It prints ``(.*?)``", README, re.MULTILINE)
    assert (ended.code, ended.out, ended.err) == (0, f"{said}\n", "")


def test_both_commands() -> None:
    """The two commands that set everything up are there, each on one line."""
    lines = [line.strip() for line in README.splitlines() if "python3 -m venv" in line]
    programs = [re.search(r"&& \.venv/bin/(\w+)[^&]*$", line)[1] for line in lines]
    assert programs == ["lab", "pytest"]
