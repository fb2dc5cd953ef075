"""A server of the download protocol that does what a test wants, also what none should."""

import hashlib
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.protocol import Factory, Protocol

from lab.download import wire
from lab.download.kinds import KINDS, SHA256
from lab.download.wire import (
    Busy,
    Content,
    Entries,
    Entry,
    Get,
    Hashed,
    Hashes,
    List,
    Refused,
    Stat,
    Status,
    encode,
)


def sha256(data: bytes) -> bytes:
    """The digest."""
    return hashlib.sha256(data).digest()


@define(eq=False)
class Shelf(Factory):
    """
    Files, and how they are served.

    Attributes:
        files: By name. Whoever changes one gives it another version.
        versions: How often each was changed.
        salt: Makes tags unlike those of other servers.
        lies: What is sent instead of a part, by offset.
        kinds: Of digests that it knows besides SHA-256; None if it does not know what kinds are.
        hears: Called with each request; what it gives is sent instead of the answer.
        heard: All requests.
        served: Bytes of content that were sent.
        links: Connections.
    """

    files: dict[str, bytes]
    salt: str = ""
    versions: dict[str, int] = field(factory=dict)
    lies: dict[int, bytes] = field(factory=dict)
    kinds: tuple[str, ...] | None = ()
    hears: Callable[[Any], bytes | None] = lambda request: None
    heard: list[Any] = field(factory=list)
    served: int = 0
    links: list[Any] = field(factory=list)
    noisy = False

    def buildProtocol(self, addr: Any) -> "Server":
        """A connection."""
        return Server(self)

    def put(self, name: str, data: bytes) -> None:
        """Change a file."""
        self.files[name] = data
        self.versions[name] = self.versions.get(name, 0) + 1

    def tag(self, name: str) -> str:
        """Of the present version."""
        return sha256(f"{self.salt} {name} {self.versions.get(name)}".encode()).hex()[:32]

    def answer(self, request: Any) -> bytes:
        """What is said to a request."""
        self.heard.append(request)
        instead = self.hears(request)
        if instead is not None:
            return instead
        if isinstance(request, List):
            entries = [Entry(len(data), 10**18, name) for name, data in self.files.items()]
            return lines(Entries(len(entries)), *entries)
        if request.name not in self.files:
            return lines(Refused(404, "there is no such file"))
        data, tag = self.files[request.name], self.tag(request.name)
        if isinstance(request, Stat):
            return lines(Status(len(data), 10**18, tag, sha256(data).hex()))
        if isinstance(request, Hashes):
            return self.hashes(request, data, tag)
        return self.part(request, data, tag)

    def hashes(self, request: Hashes, data: bytes, tag: str) -> bytes:
        """The digests of pieces, or that it does not know what it is asked for."""
        if self.kinds is None and request.kinds:
            return lines(Refused(300, "hashes has 2 words behind it; give hashes NAME"))
        known = [kind for kind in request.kinds if kind in (self.kinds or ())]
        return digests(data, tag, *known[:1])

    def part(self, request: Get, data: bytes, tag: str) -> bytes:
        """Some content."""
        if request.tag not in {"", tag}:
            return lines(Refused(409, "it was changed"))
        stop = len(data) if request.length is None else request.offset + request.length
        content = self.lies.get(request.offset, data[request.offset : stop])
        self.served += len(content)
        return lines(Content(len(content), tag)) + content


class Server(Protocol):
    """One connection."""

    transport: Any

    def __init__(self, shelf: Shelf) -> None:
        self._shelf, self._rest = shelf, b""

    def connectionMade(self) -> None:
        """It is there."""
        self._shelf.links.append(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Requests."""
        *requests, self._rest = (self._rest + data).split(b"\n")
        for line in requests:
            self.transport.write(self._shelf.answer(wire.read_request(line)))


def lines(*replies: Any) -> bytes:
    """What is on the wire."""
    return b"".join(encode(reply) + b"\n" for reply in replies)


def digest(data: bytes, kind: str) -> bytes:
    """The digest of this kind."""
    made = KINDS[kind]()
    made.update(data)
    return made.digest()


def digests(data: bytes, tag: str, kind: str = SHA256) -> bytes:
    """A whole answer to `Hashes`."""
    piece = wire.piece_size(len(data))
    found = [digest(data[start : start + piece], kind) for start in range(0, len(data), piece)]
    return lines(Hashed(len(data), tag, piece, len(found), kind), *found)


def busy(wait: float) -> bytes:
    """Too busy."""
    return lines(Busy(wait, "too many transfers"))
