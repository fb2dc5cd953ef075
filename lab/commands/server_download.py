"""The download service in ``twistd lab-server``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from lab import units
from lab.commands.server_echo import rate
from lab.download.catalogue import Catalogue
from lab.download.listings import Listing
from lab.download.server import Wanted
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.download.wire import List, Working
from lab.download.workshop import Found


def download_settings(options: Mapping[str, Any]) -> ServerSettings:
    """
    The limits that options ask for.

    Args:
        options: The words of `lab.commands.server_options.DOWNLOAD` and of ``idle``.

    Raises:
        LocalError: A value can't be.
    """
    counts = ("transfers", "total-transfers", "connections", "total-connections")
    return ServerSettings(
        idle=units.positive_seconds(options["idle"], "idle"),
        rate=rate(options, "limit-rate"),
        total_rate=rate(options, "total-limit-rate"),
        **{name.replace("-", "_"): units.count(options[name], name, most=10**6) for name in counts},
    )


def catalogue(options: Mapping[str, Any]) -> Catalogue:
    """
    What is served; the root is found now, for a daemon goes elsewhere.

    Raises:
        LocalError: It is no directory.
    """
    return Catalogue(
        Path(options["root"]),
        recursive=bool(options["recursive"]),
        hidden=bool(options["hidden"]),
    )


class DirectoryService(Service):
    """
    Says at the start what is served.

    Args:
        factory: Serves it.
        root: The directory, for the log.
    """

    _log = Logger()

    def __init__(self, factory: DownloadFactory, root: str) -> None:
        self._factory = factory
        self._root = root

    def startService(self) -> None:
        """Count the files, without keeping anybody waiting."""
        super().startService()
        self._factory.workshop.ask(Wanted(List()), self)

    def stopService(self) -> None:
        """Nobody wants to know any more."""
        super().stopService()
        self._factory.workshop.leave(self)

    def progress(self, working: Working) -> None:
        """See `lab.download.workshop.Asker`."""

    def answer(self, found: Found) -> None:
        """See `lab.download.workshop.Asker`."""
        what = (
            f"{found.count:,} files" if isinstance(found, Listing) else getattr(found, "text", "")
        )
        self._log.info("download serves {root}: {what}", root=self._root, what=what)


def report(factory: DownloadFactory) -> str:
    """What the server did."""
    counters = factory.counters
    return (
        f"{counters.requests:,} requests, {counters.transfers:,} transfers, "
        f"{counters.system_bytes + counters.read_bytes:,} bytes, {counters.hashed:,} hashed, "
        f"{counters.refused:,} refused, {counters.busy:,} busy"
    )
