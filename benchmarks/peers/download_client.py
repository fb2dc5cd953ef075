"""
Downloads one file with ``DownloadClient``, and prints how long that took, as JSON.

``download_client.py TARGET PORT...`` gets ``file`` from all servers together. With ``sha256``
behind that, it knows no other digests; with ``unchecked``, pieces are taken for right without a
look, which nobody should do.
"""

import json
import sys
import time
from pathlib import Path
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

from lab.download import kinds
from lab.download.disk import Disk
from lab.download.target import Version
from lab.download.tcp import DownloadClient


class TimedDisk(Disk):
    """
    The real one.

    Attributes:
        synced: How long it took until the file was on the disk, in seconds.
    """

    synced = 0.0

    def sync(self, file: int) -> None:
        """See there."""
        began = time.perf_counter()
        super().sync(file)
        self.synced += time.perf_counter() - began


class Trusting:
    """What computes no digest, but has the one that is wanted."""

    def update(self, data: bytes) -> None:
        """Nothing."""

    def digest(self) -> object:
        """Whatever it is held against."""
        return mock.ANY


def trust() -> None:
    """Have no piece checked."""
    checked = Version.landing

    def landing(version: Version, piece: int) -> object:
        """Where a piece comes in, unchecked."""
        made = checked(version, piece)
        made.hash = Trusting()
        return made

    Version.landing = landing


async def download(target: Path, ports: list[str]) -> None:
    """Do it."""
    disk = TimedDisk()
    places = {port: TCP4ClientEndpoint(reactor, "127.0.0.1", int(port)) for port in ports}
    client = DownloadClient(reactor, places, disk=disk)
    began = time.perf_counter()
    fetched = await client.get("file", target)
    took = time.perf_counter() - began
    await client.close()
    print(json.dumps({"get": took, "sync": disk.synced, "wasted": fetched.wasted}), flush=True)


def main() -> None:
    """Do what the command line says, and fail if that fails."""
    target, *ports = sys.argv[1:]
    if "unchecked" in ports:
        ports.remove("unchecked")
        trust()
    if "sha256" in ports:
        ports.remove("sha256")
        kinds.KINDS.pop("blake3", None)
    failed = []

    def begin() -> None:
        """The reactor runs."""
        done = Deferred.fromCoroutine(download(Path(target), ports))
        done.addErrback(failed.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if failed:
        sys.exit(failed[0].getErrorMessage())


if __name__ == "__main__":
    main()
