"""Servers of the download service and a client of them, on a virtual network and a real disk."""

from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint

from lab.download.disk import Disk
from lab.download.memory import MemoryCatalogue
from lab.download.outcomes import Progress
from lab.download.settings import ClientSettings
from lab.download.tcp import DownloadClient, DownloadFactory
from lab.rng import stream
from lab.simulator.network import Network
from tests.download.servers import Shelf

PORT = 50002


class OpenFiles(Disk):
    """A disk that closes what was open when its computer crashes."""

    def __init__(self) -> None:
        self.files: set[int] = set()

    def open(self, path: Path, *, make: bool) -> int:
        """Note it."""
        file = super().open(path, make=make)
        self.files.add(file)
        return file

    def close(self, file: int) -> None:
        """It is closed."""
        self.files.discard(file)
        super().close(file)

    def crash(self) -> None:
        """Close all."""
        for file in list(self.files):
            self.close(file)


@define(eq=False)
class Real:
    """
    What a server of ours has.

    Args:
        files: By name; whoever changes one puts another.
        name: Of its host.
    """

    files: dict[str, bytes]
    name: str
    catalogue: MemoryCatalogue = field(init=False)

    def __attrs_post_init__(self) -> None:
        """It has them from the beginning."""
        self.catalogue = MemoryCatalogue(self.files, self.name)

    def put(self, name: str, data: bytes) -> None:
        """Change a file."""
        self.files[name] = data
        self.catalogue.put(name, data)


@define(eq=False)
class Scene:
    """
    What there is.

    Args:
        net: The network.
        folder: Where targets are.
        endpoint: By which clients connect.

    Attributes:
        shelves: What is served, by the names of the hosts.
        seen: Progress that was told.
    """

    net: Network
    folder: Path
    endpoint: Any = HostnameEndpoint
    disk: OpenFiles = field(factory=OpenFiles)
    shelves: dict[str, Any] = field(factory=dict)
    seen: list[Progress] = field(factory=list)
    clients: int = 0

    def serve(self, name: str, **files: bytes) -> Shelf:
        """One more server."""
        shelf = self.shelves[name] = Shelf(dict(files), name)
        host = self.net.host(name)
        host.start(lambda reactor, disk: TCP4ServerEndpoint(reactor, PORT).listen(shelf))
        return shelf

    def serve_really(self, name: str, **files: bytes) -> Real:
        """One more server, of our own classes."""
        real = self.shelves[name] = Real(dict(files), name)

        def start(reactor: Any, disk: dict[str, Any]) -> None:
            """Listen, also after a crash."""
            factory = DownloadFactory(reactor, real.catalogue)
            TCP4ServerEndpoint(reactor, PORT).listen(factory)

        self.net.host(name).start(start)
        return real

    def client(self, **settings: Any) -> DownloadClient:
        """A client of all servers."""
        reactor: Any = self.net.host("client").reactor
        places = {name: self.endpoint(reactor, name, PORT) for name in self.shelves}
        self.clients += 1
        random = stream(self.net.seed, "client", self.clients)
        return DownloadClient(reactor, places, ClientSettings(**settings), random, disk=self.disk)

    def get(self, name: str = "f", limit: float = 1e5, **words: Any) -> Any:
        """Download a file with a client of its own, which leaves nothing behind."""
        settings = {word: words.pop(word) for word in [*words] if word in SETTINGS}
        client = self.client(**settings)
        try:
            getting = client.get(name, self.target, watch=self.seen.append, **words)
            return self.net.run_until(getting, limit)
        finally:
            self.net.run_until(client.close(), 100)
            host = self.net.host("client")
            left = [*host.reactor.getDelayedCalls(), *host.ends, *self.disk.files]
            assert not left, [getattr(one, "name", one) for one in left]

    @property
    def target(self) -> Path:
        """Where the file is put."""
        return self.folder / "out"

    @property
    def part(self) -> Path:
        """Where it is before."""
        return self.folder / ".out.part"


SETTINGS = frozenset(field.name for field in ClientSettings.__attrs_attrs__)
