"""Downloads by name, into a folder: the client, many files at once, and what becomes of each."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.backoff import Backoff
from lab.commands import running
from lab.commands.downloading.batch import Batch
from lab.commands.downloading.views import Lines
from lab.commands.running import DATA_WRONG, FAILED, OK, REFUSED
from lab.download.names import WrongName, check
from lab.download.outcomes import InUse, NoRoom, Progress, Rejected, WrongData
from lab.download.settings import ClientSettings
from lab.download.tcp import DownloadClient
from lab.errors import LabError, LocalError
from lab.rng import stream

DEFAULT = "tcp:localhost:50002"


def make_settings(timeout: float, limit_rate: float | None) -> ClientSettings:
    """
    The settings that the options of the command ask for.

    Args:
        timeout: A server that is silent for so long is lost, in seconds; one that can't be reached
            is tried again for about as long before it is given up.
        limit_rate: Bytes a second of all servers together; None for no limit.

    Raises:
        LocalError: A value can't be.
    """
    retry = Backoff(min(0.25, timeout / 4), cap=timeout / 2, jitter=0.2)
    return ClientSettings(retry, silence=timeout, limit_rate=limit_rate or math.inf)


def make_client(
    reactor: Any, endpoints: Iterable[str], settings: ClientSettings, seed: int | None = None
) -> DownloadClient:
    """
    A client of the servers at these endpoint strings.

    Raises:
        LocalError: One is no endpoint string, or not one of streams.
    """
    sources = {}
    for endpoint in endpoints:
        place = clientFromString(reactor, endpoint)
        if isinstance(place, DatagramClientEndpoint):
            raise LocalError(f"endpoint is {endpoint!r}; give one of a stream, as {DEFAULT}")
        sources[endpoint] = place
    return DownloadClient(reactor, sources, settings, stream(seed, "client"))


def code_of(error: BaseException | None) -> int:
    """
    The exit code that an error stands for.

    >>> code_of(Rejected("there is no such file")), code_of(NoRoom("the disk is full"))
    (3, 1)
    """
    for kinds, code in (
        (WrongData, DATA_WRONG), (Rejected, REFUSED), ((NoRoom, InUse), FAILED),
    ):  # fmt: skip
        if isinstance(error, kinds):
            return code
    return running.code_of(error)


@define(eq=False)
class Downloads:
    """
    Downloads files, so many at once in all, and shows what becomes of each.

    Args:
        client: Gets them.
        parallel: Most files at once.
        clobber: Whether a file that is here is replaced.
    """

    _client: DownloadClient
    _parallel: int
    _clobber: bool = True
    _room: DeferredSemaphore = field(init=False)
    _batches: int = field(init=False, default=0)
    _made: list[Path] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """All is free."""
        self._room = DeferredSemaphore(self._parallel)

    async def fetch(self, batch: Batch, view: Lines) -> int:
        """
        Download the files of a batch.

        Args:
            batch: Which, and where to; it is kept up to date.
            view: Shows how far it is.

        Returns:
            Its exit code; what went wrong was shown.
        """
        names = iter(batch.names)
        count = min(self._parallel, len(batch.names))
        self._batches += 1
        workers = [Deferred.fromCoroutine(self._work(batch, names, view)) for _ in range(count)]
        try:
            while workers:
                await workers.pop(0)
        finally:
            for worker in workers:  # at Ctrl-C nobody waits for the others any more
                worker.addErrback(_ignore)
                worker.cancel()
            view.close()
            self._tidy()
        return batch.code

    def _tidy(self) -> None:
        """Folders that were made for nothing go when nobody downloads any more."""
        self._batches -= 1
        while self._made and not self._batches:
            with suppress(OSError):  # there is something in it
                self._made.pop().rmdir()

    async def _work(self, batch: Batch, names: Iterator[str], view: Lines) -> None:
        """One after the other."""
        for name in names:
            await self._room.acquire()
            try:
                batch.codes[name] = await self._one(batch, name, view)
            finally:
                self._room.release()

    async def _one(self, batch: Batch, name: str, view: Lines) -> int:
        """One file; gives its exit code."""

        def watch(progress: Progress) -> None:
            """It is so far."""
            batch.running[name] = progress
            view.step(batch)

        try:
            target = _target(batch.folder, name)
            if not self._clobber and _is_there(target):
                view.kept(name, target)
                return OK
            batch.running[name] = Progress()
            self._made += _make(batch.folder, target.parent)
            fetched = await self._client.get(name, target, sha256=batch.sha256, watch=watch)
        except CancelledError:
            view.stopped(name, batch.running[name])
            raise
        except LabError as error:
            code = code_of(error)
            batch.running.pop(name, None)
            view.failed(name, error, code)
            return code
        del batch.running[name]
        batch.whole, batch.size = batch.whole + 1, batch.size + fetched.size
        view.ended(fetched)
        return OK


def _target(folder: Path, name: str) -> Path:
    """
    Where a file goes: below the folder, in folders of its own if it is in some there.

    Raises:
        LocalError: A name that leads elsewhere.
    """
    try:
        return folder.joinpath(*check(name, recursive=True, hidden=True))
    except WrongName as error:
        raise LocalError(str(error)) from None


def _is_there(path: Path) -> bool:
    """Whether there is anything of this name."""
    return os.path.lexists(path)


def _make(top: Path, wanted: Path) -> list[Path]:
    """
    Make a folder, and those above it.

    Args:
        top: Is there, or whoever writes into it says that it isn't.
        wanted: Below it, or the same.

    Returns:
        Those that were not there before.

    Raises:
        LocalError: It can't be made.
    """
    missing = [wanted, *wanted.parents][: len(wanted.relative_to(top).parts)]
    made = [folder for folder in reversed(missing) if not folder.is_dir()]
    try:
        for folder in made:
            folder.mkdir()
    except OSError as error:
        raise LocalError(f"folder is {str(error.filename)!r}; {error.strerror}") from None
    return made


def _ignore(_: Failure) -> None:
    """What nobody waits for any more may fail."""
