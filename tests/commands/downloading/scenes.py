"""A client that does what a test says, what is shown of it, and servers on a simulated network."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint

from lab.commands.downloading.batch import Batch
from lab.commands.downloading.views import Lines
from lab.download.outcomes import Fetched, Progress
from lab.download.wire import Entry
from lab.errors import LabError
from lab.simulator.network import Network
from tests.commands.echoes import EchoCommandCase
from tests.download.servers import Shelf
from tests.helpers import folder

SHA256 = "ab" * 32


@frozen
class Got:
    """One file that was asked for."""

    name: str
    target: Path
    sha256: str | None
    watch: Callable[[Progress], object]
    done: Deferred[Fetched]

    def comes(self, size: int = 100, **more: Any) -> None:
        """It is here."""
        self.done.callback(Fetched(self.name, self.target, size, SHA256, **more))


@define(eq=False)
class FakeClient:
    """
    Lists some names; files come when the test says so.

    Attributes:
        names: That it lists.
        error: With which listing fails.
        slow: Listing has no end.
        gots: What was asked for, by name.
        order: The same, in order.
        cancelled: Those of them that nobody wants any more.
        lingers: Fires when one that is cancelled has ended.
    """

    names: tuple[str, ...] = ()
    error: LabError | None = None
    slow: bool = False
    gots: dict[str, Got] = field(factory=dict)
    order: list[str] = field(factory=list)
    cancelled: list[str] = field(factory=list)
    lingers: Deferred[None] | None = None

    def list(self, glob: str = "*") -> Deferred[list[Entry]]:
        """Those that match."""
        if self.slow:
            return Deferred()
        if self.error is not None:
            return fail(self.error)
        return succeed([Entry(7, 0, name) for name in self.names if fnmatchcase(name, glob)])

    def get(self, name: str, target: Path, *, sha256: str | None, watch: Any) -> Deferred[Fetched]:
        """Ask for one."""
        self.order.append(name)
        self.gots[name] = Got(name, target, sha256, watch, Deferred())
        return Deferred.fromCoroutine(self._get(name))

    async def _get(self, name: str) -> Fetched:
        """Wait for it."""
        try:
            return await self.gots[name].done
        except CancelledError:
            self.cancelled.append(name)
            if self.lingers is not None:
                await self.lingers
            raise


class Seen(Lines):
    """Notes what it is to show."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.events: list[tuple[Any, ...]] = []

    def step(self, batch: Batch) -> None:
        """Something has come."""
        self.events.append(("step", *batch.running))

    def ended(self, fetched: Fetched) -> None:
        """A file is here."""
        self.events.append(("ended", fetched.name))

    def failed(self, name: str, error: LabError, code: int) -> None:
        """A file will not come."""
        self.events.append(("failed", name, str(error), code))

    def kept(self, name: str, path: Path) -> None:
        """A file is here already."""
        self.events.append(("kept", name))

    def stopped(self, name: str, progress: Progress) -> None:
        """A file was stopped."""
        self.events.append(("stopped", name, progress.done))

    def close(self) -> None:
        """Nothing more."""
        self.events.append(("close",))


def serve(net: Network, host: str, shelf: Shelf) -> None:
    """A server at port 80 of a host."""

    def start(reactor: Any, disk: dict[str, Any]) -> None:
        """Start it."""
        TCP4ServerEndpoint(reactor, 80).listen(shelf)

    net.host(host).start(start)


class DownloadCommandCase(EchoCommandCase):
    """Calls ``lab download``, on a simulated network with one server at ``tcp:server:80``."""

    name = "download"

    def setUp(self) -> None:
        """Some files, and somewhere to put them."""
        super().setUp()
        self.shelf = Shelf({"a": b"a" * 100, "b c": b"b" * 200, ".hidden": b"h"})
        self.prepare = lambda net: serve(net, "server", self.shelf)
        self.folder = folder(self)

    def there(self) -> dict[str, bytes]:
        """What has come."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}
