"""The scene of the download: of two servers, each behind a long way, one is killed midway."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.adapters.endpoints import clientFromString
from lab.backoff import Backoff
from lab.commands.demonstrating.scene import Link, Scene, Toxic, World
from lab.download.outcomes import Fetched, Progress
from lab.download.settings import ClientSettings
from lab.download.tcp import DownloadClient
from lab.experiments.results import Result, Series, Window
from lab.rng import stream

#: The file: its name, how many pieces it has, and bytes of each.
FILE, PIECES, PIECE = "file", 5, 2**20
#: Each server gives so much a second, so that there is a middle in which one can be killed. A proxy
#: that held it up would have most of it already, and give that behind the server's end.
RATE = "512K"
_TOXIC = Toxic("latency", "downstream", "{} chunks delayed", {"latency": 40, "jitter": 10})
# Who was killed does not come back; the other one is there.
_RETRY = Backoff.fixed(0.5, 10)


class Download(Scene):
    """A file from two servers."""

    def __init__(self) -> None:
        links = tuple(
            Link(f"download-{server}", "download", "tcp", (_TOXIC,), server) for server in (1, 2)
        )
        asked = f"a file of {PIECES} MiB from two servers"
        super().__init__("download, one killed", asked, links, PIECES * PIECE, "bytes")
        self.killed_at: float | None = None
        self._kill: Callable[[], object] = bool
        self._seconds: Callable[[], float] = float
        self._points: list[tuple[float, int]] = []

    async def play(self, world: World) -> None:
        """See `Scene.play`."""
        reactor, began = world.reactor, world.reactor.seconds()
        self._seconds, self._kill = lambda: reactor.seconds() - began, world.kill
        places = [world.places[link.name] for link in self.links]
        sources: Mapping[str, Any] = {
            place: clientFromString(reactor, place) for place in places
        }  # fmt: skip
        random = stream(world.seed, "demo", "download")
        client = DownloadClient(reactor, sources, ClientSettings(_RETRY), random)
        target = world.scratch / FILE
        try:
            fetched = await client.get(FILE, target, watch=self.watch)
        finally:
            await client.close()
        self.judge(fetched, world.root / FILE)

    def watch(self, progress: Progress) -> None:
        """Kill it when it has given a piece, or else when half of the file is there."""
        self._points.append((self._seconds(), progress.done))
        if progress.done != self.done:
            self.move(progress.done)
        midway = progress.sources[1].pieces or progress.done >= self.total // 2
        if midway and self.killed_at is None and progress.done < self.total:
            self.killed_at = self._seconds()
            self.say(f"one of two servers is killed after {self.progress}")
            self._kill()

    def judge(self, fetched: Fetched, served: Path) -> None:
        """It has ended: the file is what was served, though a server was killed."""
        same = _sha256(served) == _sha256(fetched.path)
        given = [source.pieces for source in fetched.sources]
        self.arrived = (
            f"{sum(given)} of {PIECES} pieces, {given[1]} of them from the server that was killed; "
            f"SHA-256 {'equal' if same else 'different'}"
        )
        if not same or sum(given) != PIECES:
            self.wrong.append("the file is not what was served")
        if self.killed_at is None:
            self.wrong.append("the file was whole before a server was killed")
        else:
            self.network = "one server killed (SIGKILL)"
        end = self._seconds()
        windows = () if self.killed_at is None else (Window(self.killed_at, end, "one server"),)
        times, values = zip(*self._points, (end, fetched.size), strict=True)
        series = {"bytes there": Series("B", times, values)}
        self.result = Result("demo", {}, 0, series=series, windows=windows)


def make_file(root: Path, seed: int) -> None:
    """Make the file, of which no two pieces are alike."""
    (root / FILE).write_bytes(stream(seed, "demo", FILE).randbytes(PIECES * PIECE))


def _sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
