"""The download service, measured: how long files take, from one server or from several."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lab.adapters.endpoints import clientFromString
from lab.download.memory import MemoryCatalogue
from lab.download.outcomes import Fetched
from lab.download.tcp import DownloadClient, DownloadFactory
from lab.echo.pattern import characters, chunks
from lab.errors import LabError
from lab.experiments.plan import Cell
from lab.experiments.results import Measure
from lab.experiments.subject import Found, Job, Part, one, share, shown_size
from lab.rng import stream

#: What is downloaded.
NAME = "file"
# Its characters follow from this; they are the same in all runs.
_SEED = 1


class DownloadSubject:
    """Files of one size, which all servers have."""

    port = 50002
    keeps = True

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """Those of ``twistd lab-server``, which serves a file that is made here if need be."""
        root = folder / shown_size(cell.whole("size"))
        make_file(root / NAME, cell.whole("size"))
        return [
            "--download", "tcp:0:interface=127.0.0.1",
            "--root", str(root),
            "--connections", "1000",
            "--transfers", "1000",
        ]  # fmt: skip

    def listen(self, reactor: Any, cell: Cell, seed: int) -> None:
        """A server in the simulator."""
        files = MemoryCatalogue({NAME: _content(cell.whole("size"))})
        reactor.listenTCP(self.port, DownloadFactory(reactor, files))

    def ask(self, reactor: Any, job: Job) -> Deferred[Part]:
        """Download the file from all servers."""
        sources: dict[str, Any] = {
            f"server-{number}": clientFromString(reactor, endpoint)
            for number, endpoint in enumerate(job.endpoints, 1)
        }
        random = stream(job.seed, "client", job.number)
        client = DownloadClient(reactor, sources, random=random)
        begin = reactor.seconds()

        def ended(result: Any) -> Deferred[Part]:
            """It is there, or will never be."""
            part = _part(result, reactor.seconds() - begin)
            return client.close().addCallback(lambda _: part)

        assert job.folder is not None  # noqa: S101 - whoever has us download says where to
        return client.get(NAME, job.folder / NAME).addBoth(ended)

    def sum(self, cell: Cell, parts: Sequence[Part]) -> Found:
        """What all clients saw."""
        whole = [part for part in parts if not part["error"]]
        fetched = sum(part["fetched"] for part in parts)
        measures = {
            "success": one(share(len(whole), len(parts)), better="more"),
            "wasted": one(share(sum(part["wasted"] for part in parts), fetched), better="less"),
        }
        if whole:
            times = [part["seconds"] for part in whole]
            total = cell.whole("size") * len(whole)
            measures["duration"] = Measure("s", times, better="less")
            measures["throughput"] = one(share(total, max(times)), "B/s", "more")
        return Found(measures)


def make_file(path: Path, size: int) -> None:
    """
    Have a file of so many bytes, all of them written: one with holes is sent faster than any disk.

    Raises:
        LocalError: It can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size == size:
        return
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.writelines(chunks(_SEED, 0, size))
    part.replace(path)


@lru_cache(1)
def _content(size: int) -> bytes:
    """What is in the file; servers of a simulation share it."""
    return characters(_SEED, 0, size)


def _part(result: "Fetched | Failure", seconds: float) -> Part:
    """What one client saw."""
    if isinstance(result, Failure):
        result.trap(LabError)
        error = str(result.value)
        return {"seconds": seconds, "fetched": 0, "wasted": 0, "error": error}
    return {
        "seconds": seconds, "fetched": result.fetched, "wasted": result.wasted, "error": "",
    }  # fmt: skip
