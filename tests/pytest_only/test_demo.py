"""``lab demo`` as a person runs it: real servers, a real proxy, and what it leaves."""

import os
import re
import select
import shlex
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path

from lab.capture.reading import read
from lab.commands.demonstrating.pictures import NAMES
from tests.helpers import thorough
from tests.pytest_only.processes import BIN, LAB, Ended, Process, run, running

SCENES = ("arithmetic, TCP", "arithmetic, UDP", "stream", "file", "sequence", "download")
#: It takes half a minute, and on a busy machine longer.
PATIENCE = 240.0


def children(pid: int) -> list[int]:
    """The ids of the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def watched(process: Process) -> list[int]:
    """Descriptors by which the end of its children is seen."""
    return [os.pidfd_open(child) for child in children(process.pid)]


def gone(descriptors: list[int]) -> int:
    """How many of them have ended, or do so soon."""
    count = 0
    for descriptor in descriptors:
        count += len(select.select([descriptor], [], [], 30)[0])
        os.close(descriptor)
    return count


class References(HTMLParser):
    """Notes what a page wants from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.found += [
            value or ""
            for name, value in attrs
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#")
        ]


def test_demo(tmp_path: Path) -> None:
    """Everything is right; the table, a capture, the plots and the page say so."""
    with running(LAB, "demo", "--requests", "60", "--to", "it is", cwd=tmp_path) as process:
        process.line(lambda line: line.startswith("Everything was right, in "), PATIENCE)
        ended = process.wait()
    assert (ended.code, ended.err) == (0, "")
    for scene in SCENES:
        assert re.search(rf"^  *\d+\.\d s  {scene}.*: right: ", ended.out, re.MULTILINE), scene
    assert len(re.findall(r" yes *$", ended.out, re.MULTILINE)) == len(SCENES)
    assert len(re.findall(r"goes on with number", ended.out)) >= 3
    made = tmp_path / "it is"
    plots = {f"{name}{ending}" for name in NAMES for ending in (".png", ".svg")}
    assert {path.name for path in (made / "plots").iterdir()} == plots
    assert {path.name for path in made.iterdir()} == {"demo.pcapng", "plots", "report.html"}
    page = (made / "report.html").read_text()
    references = References()
    references.feed(page)
    assert (references.found, references.tags & {"script", "link", "img", "iframe"}) == ([], set())
    assert page.count("<figure>") == len(NAMES)
    assert "Everything was right, in " in page
    capture = made / "demo.pcapng"
    assert 10**6 < capture.stat().st_size < 2 * 10**7
    with capture.open("rb") as file:
        assert sum(1 for _ in read(file)) > 1000
    # Where tshark is, it is asked as well; it reads the file to its end, and knows the resets.
    if shutil.which("tshark"):
        words = ("tshark", "-r", str(capture), "-Y", "tcp.flags.reset == 1")
        found = run(*words)
        assert (found.code, len(found.lines) > 1) == (0, True)


def shell(line: str, cwd: Path) -> Ended:
    """A command as it was printed, typed in this environment."""
    return run("bash", "-c", f"PATH={shlex.quote(str(BIN))}:$PATH; {line}", cwd=cwd)


@thorough
def test_goes_on(tmp_path: Path) -> None:
    """What is printed can be typed: each command, but for the servers, which stay, in its turn."""
    ended = shell("lab demo --requests 10 --seed 8", tmp_path)
    assert ended.code == 0, ended.out
    lines = re.findall(r"^  (\S.*)$", ended.out.partition("Go on with:\n")[2], re.MULTILINE)
    *commands, servers = lines
    assert (len(commands), servers.endswith("twistd -n lab-server")) == (4, True)
    for line in commands:
        done = shell(line, tmp_path)
        assert (done.code, done.err.count("Traceback")) == (0, 0), (line, done)
    assert (tmp_path / "lab-demo-again" / "report.html").exists()


@thorough
def test_server_is_killed(tmp_path: Path) -> None:
    """If a server is killed that should live, it says so at once, and the exit code is 1."""
    with running(LAB, "demo", "--requests", "5000", cwd=tmp_path) as process:
        process.line(lambda line: " goes on with number " in line, PATIENCE)
        ids = children(process.pid)
        os.kill(ids[0], signal.SIGKILL)
        ended = process.wait()
    assert (ended.code, ended.err) == (1, "")
    why = r"^sequence, cut: lab-server: it has ended by itself: "
    assert re.search(why, ended.out, re.MULTILINE)
    assert "Not everything was right" in ended.out


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends it with 130 and one line, and its servers and proxy with it."""
    with running(LAB, "demo", cwd=tmp_path) as process:
        process.line(lambda line: line.startswith("twistd -n lab-proxy"))
        there = watched(process)
        ended = process.end(signal.SIGINT)
    assert (len(there), gone(there)) == (3, 3)
    assert (ended.code, ended.err) == (130, "interrupted\n")


@thorough
def test_killed(tmp_path: Path) -> None:
    """If it is killed itself, its servers and proxy do not stay for long."""
    with running(LAB, "demo", cwd=tmp_path) as process:
        process.line(lambda line: " goes on with number " in line, PATIENCE)
        there = watched(process)
        process.send(signal.SIGKILL)
        # The demo may have killed one of three already.
        assert (len(there) >= 2, gone(there)) == (True, len(there))
