"""The download service over HTTP, on a virtual clock and a transport in memory."""

from typing import Any

from attrs import frozen
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.download.memory import MemoryCatalogue
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadChannel, DownloadSite
from tests.adapters.stand_ins import Wire

DIGITS = b"0123456789"
#: When tests begin, in seconds since 1970; files were written long before.
BEGAN = 1_000_000_000.0
WRITTEN = 999_000_000 * 10**9


@frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse(data: bytes, *, head: bool = False) -> tuple[Answer, bytes]:
    """The first answer of some bytes, and what is behind it."""
    top, _, rest = data.partition(b"\r\n\r\n")
    line, *lines = top.decode("latin-1").split("\r\n")
    headers = dict(one.split(": ", 1) for one in lines)
    length = 0 if head else int(headers.get("Content-Length", 0))
    return Answer(int(line.split()[1]), headers, rest[:length]), rest[length:]


class SiteCase(SynchronousTestCase):
    """A server with some files."""

    settings = ServerSettings()

    def setUp(self) -> None:
        """Nobody is connected."""
        self.clock = Clock()
        self.clock.advance(BEGAN)
        self.files = MemoryCatalogue()
        for name in ("digits", "d/inner", "d/e/deep", "a b%.txt", "empty"):
            self.files.put(name, b"" if name == "empty" else DIGITS, WRITTEN)
        self.server = DownloadFactory(self.clock, self.files, self.settings)
        self.site = DownloadSite(self.server)
        self.site.doStart()
        self.addCleanup(self.site.doStop)
        self.wires: list[tuple[DownloadChannel, Wire]] = []
        self.addCleanup(self.leave)

    def connect(self, **words: Any) -> tuple[DownloadChannel, Wire]:
        """One more connection."""
        channel, wire = self.site.buildProtocol(None), Wire(**words)
        channel.makeConnection(wire)
        self.wires.append((channel, wire))
        return channel, wire

    def leave(self) -> None:
        """All connections end, and nothing is left of them."""
        for channel, _ in self.wires:
            channel.connectionLost(connectionDone)
        self.wires.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.server.connected, {})
        shared = self.server.shared
        self.assertEqual((shared.transfers.taken, shared.connections.taken), (0, 0))

    def turns(self) -> None:
        """Let everything happen that takes no time."""
        for _ in range(1000):
            self.clock.advance(0)

    def ask(self, path: str, method: str = "GET", wire: Any = None, **headers: str) -> Answer:
        """Ask, on a connection of its own or another, and read the answer."""
        channel, transport = wire or self.connect()
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        channel.dataReceived("\r\n".join((*lines, "", "")).encode("latin-1"))
        self.turns()
        answer, rest = parse(transport.value(), head=method == "HEAD")
        self.assertEqual(rest, b"")
        transport.clear()
        return answer
