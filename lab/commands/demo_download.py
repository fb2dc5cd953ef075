"""What ``lab demo`` shows of the download service: of two servers, one is killed midway."""

import filecmp
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from lab.adapters.endpoints import clientFromString
from lab.backoff import Backoff
from lab.download.outcomes import Progress
from lab.download.settings import ClientSettings
from lab.download.tcp import DownloadClient
from lab.errors import LabError
from lab.rng import stream

#: What is shown of it.
NAME = "1 of 2 killed"
#: The file: its name, how many pieces it has, and bytes of each.
FILE, PIECES, PIECE = "file", 8, 2**20
#: Bytes a second that the client takes, so that there is a middle in which a server can be killed.
RATE = 8 * PIECE
# Who was killed does not come back; the other one is there.
_RETRY = Backoff.fixed(0.2, 5)


@define
class DownloadLeg:
    """
    The download, and what was seen in it.

    Args:
        name: What is shown of it.
        killed: Whether the second server was killed before the file was whole.
        given: Pieces from each server that are right, the killed one last.
        whole: Whether the file is there, and what it should be, though a server was killed.
        error: What went wrong.
    """

    name: str = NAME
    killed: bool = False
    given: list[int] = field(factory=list)
    whole: bool = False
    error: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        lost = "1 server" if self.killed else "0"
        return self.name, f"{PIECES} pieces", "", lost, f"{sum(self.given)}", "", "", ""

    @property
    def told(self) -> str:
        """How it ended, in a line."""
        text = f"download: {sum(self.given)} of {PIECES} pieces"
        if not (self.killed and self.given):
            return text
        return f"{text}: {self.given[0]} of one server, {self.given[1]} of the one that was killed"


def make_file(root: Path, seed: int) -> None:
    """Make the file, of which no two pieces are alike."""
    (root / FILE).write_bytes(stream(seed, "demo", FILE).randbytes(PIECES * PIECE))


async def download(
    reactor: Any,
    places: tuple[str, str],
    folders: tuple[Path, Path],
    seed: int,
    kill: Callable[[], object],
) -> DownloadLeg:
    """
    Download the file, and kill a server in the middle of that.

    Args:
        reactor: Of the program.
        places: Of both servers, as a client's endpoint strings.
        folders: Where the file is, and where it shall be.
        seed: Draws jitter.
        kill: Kills the second of the servers.

    Returns:
        What was seen.
    """
    leg = DownloadLeg()
    sources: Mapping[str, Any] = {place: clientFromString(reactor, place) for place in places}
    settings = ClientSettings(_RETRY, limit_rate=RATE)
    client = DownloadClient(reactor, sources, settings, stream(seed, "demo", NAME))

    def watch(progress: Progress) -> None:
        """Kill it when it has given a piece, or else when half of the file is there."""
        midway = progress.sources[1].pieces or progress.done >= PIECES * PIECE // 2
        if midway and not leg.killed and progress.done < PIECES * PIECE:
            leg.killed = True
            kill()

    target = folders[1] / FILE
    try:
        fetched = await client.get(FILE, target, watch=watch)
    except LabError as error:
        leg.error = str(error)
    else:
        leg.given = [source.pieces for source in fetched.sources]
        same = filecmp.cmp(folders[0] / FILE, target, shallow=False)
        leg.whole = same and leg.killed
        leg.error = "" if leg.killed else "the file was whole before a server was killed"
    finally:
        await client.close()
    return leg
