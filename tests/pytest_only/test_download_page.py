"""What the page about downloads shows is what happens to a person who types it."""

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

from tests.helpers import thorough
from tests.pytest_only.processes import BIN, run, serving

PAGE = Path(__file__).parents[2] / "doc" / "howto" / "download-files.rst"
#: Numbers that are others each time.
MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r" in [\d.,]+ \w+(?:, [\d.,]+ \w+/s)?;", " in SECONDS;"),
    (r"[\d.]+(?: \w+)? of 21.8 MiB are here", "SOME of 21.8 MiB are here"),
    (r"[\d,]+ were here already", "BYTES were here already"),
    (r"(?:[\d,]+ from tcp:localhost:\d+(?:, )?)+", "BYTES from SERVERS"),
    (r"; [\d,]+ came in vain", ""),
)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a page, and the output that is shown for it."""
    for block in re.findall(r"^\.\. code-block:: console\n\n((?: .*\n|\n)+)", text, re.MULTILINE):
        for part in re.split(r"^\$ ", dedent(block).strip("\n") + "\n", flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def masked(output: str) -> list[str]:
    """The lines that are the same each time, sorted: files come in any order."""
    for old, new in MASKS:
        output = re.sub(old, new, output)
    return sorted(line for line in output.splitlines() if not re.search(r"/s, \d:\d\d left$", line))


def shell(command: str, cwd: Path, places: dict[str, str]) -> str:
    """All that a command prints, with places as the page has them."""
    for shown, place in places.items():
        command = command.replace(shown, place)
    script = f"PATH={shlex.quote(str(BIN))}:$PATH; {{ {command}; }} 2>&1"
    found = run("bash", "-c", script, cwd=cwd).out
    for shown, place in places.items():
        found = found.replace(place, shown)
    return found


@thorough
def test_page(tmp_path: Path) -> None:
    """Every command prints what is shown below it."""
    form = r"twistd -n (?:--pidfile= )?lab-server --download tcp:(\d+):(\S+) (.*)"
    places: dict[str, str] = {}
    seen = 0
    with ExitStack() as servers:
        for command, output in commands(PAGE.read_text(encoding="utf-8")):
            if server := re.fullmatch(form, command):
                port, listens, more = server.groups()
                begun = serving(
                    *more.split(), places=[f"tcp:0:{listens}"], service="download", cwd=tmp_path
                )
                places[f"tcp:localhost:{port}"] = servers.enter_context(begun).places[0]
            else:
                found = shell(command, tmp_path, places)
                assert masked(found) == masked(output), command
                seen += 1
    assert seen > 10
