"""
The SHA-256 of files, digests of their pieces, and what is kept of them.

`digest` is a generator that reads some MiB at each step, so that whoever takes the steps, in a
thread or not, can stop at each. It knows no threads.
"""

from collections import OrderedDict
from collections.abc import Generator

from attrs import define, field, frozen

from lab.download.files import Files, Opened
from lab.download.kinds import KINDS, SHA256
from lab.download.names import short
from lab.download.wire import Hashed, Refused, Status, Working, count_pieces, piece_size

#: Bytes that are read at a step.
SLICE = 2**22
#: A file that changes while it is read is read so many times.
TRIES = 3
#: Bytes of a digest.
SIZE = 32
# What Python needs besides for an entry, about.
_ENTRY = 600


@frozen
class Digests:
    """
    What was found in one version of a file.

    Args:
        size: Of the file, in bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
        tag: The version.
        whole: The SHA-256 of all of it, 32 bytes.
        pieces: The digests of its pieces, 32 bytes each, one behind the other.
        kind: Of these.
    """

    size: int
    mtime_ns: int
    tag: str
    whole: bytes
    pieces: bytes
    kind: str = SHA256

    def status(self) -> Status:
        """As a reply to ``stat``."""
        return Status(self.size, self.mtime_ns, self.tag, self.whole.hex())

    def hashed(self) -> Hashed:
        """As the first line of a reply to ``hashes``."""
        piece = piece_size(self.size)
        return Hashed(self.size, self.tag, piece, count_pieces(self.size, piece), self.kind)


def digest(
    files: Files, name: str, kind: str = SHA256, known: Digests | None = None
) -> Generator[Working, None, Digests | Refused]:
    """
    Read a file, as it is when it does not change meanwhile.

    Args:
        files: Has it.
        name: Its name.
        kind: Of the digests of pieces, one of `lab.download.kinds.KINDS`.
        known: What was found before, of another kind: of the same version of the file, the SHA-256
            is not computed again.

    Yields:
        How far it is.

    Raises:
        WrongName: Nothing has that name.
        Absent: There is no such file.
        OSError: The system can't read it.
    """
    for _ in range(TRIES):
        file = files.open(name)
        try:
            whole = known.whole if known is not None and known.tag == file.tag else None
            found = yield from _read(file, kind, whole)
        finally:
            file.close()
        if found is not None:
            return found
    return Refused(409, f"{short(name)} was written to while it was read, {TRIES} times")


def _read(file: Opened, kind: str, known: bytes | None) -> Generator[Working, None, Digests | None]:
    """Read an open file, whose SHA-256 may be known; nothing is found if it changes."""
    size, piece = file.size, piece_size(file.size)
    whole, pieces, part, done = KINDS[SHA256](), bytearray(), KINDS[kind](), 0
    file.expect(0, size)
    while done < size:
        data = file.read(done, min(SLICE, size - done))
        if not data:
            return None
        if known is None:
            whole.update(data)
        view = memoryview(data)
        while view:
            some = view[: piece - done % piece]
            part.update(some)
            done += len(some)
            view = view[len(some) :]
            if done % piece == 0 or done == size:
                pieces += part.digest()
                part = KINDS[kind]()
        yield Working(done, size)
    if file.changed():
        return None
    return Digests(size, file.mtime_ns, file.tag, known or whole.digest(), bytes(pieces), kind)


@define(eq=False)
class Cache:
    """
    What was found, by names, versions and kinds; what was not asked for longest is forgotten first.

    Args:
        room: Bytes that all of it may take.
    """

    _room: int
    _kept: OrderedDict[tuple[str, str, str], Digests] = field(init=False, factory=OrderedDict)
    _taken: int = field(init=False, default=0)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def find(self, name: str, tag: str, kind: str = "") -> Digests | None:
        """What was found in this version of the file, of this kind; if none is said, of any."""
        for one in [kind] if kind else KINDS:
            found = self._kept.get((name, tag, one))
            if found is not None:
                self._kept.move_to_end((name, tag, one))
                return found
        return None

    def keep(self, name: str, found: Digests) -> None:
        """Keep something, if there can be room for it."""
        key = name, found.tag, found.kind
        self._drop(key)
        self._kept[key] = found
        self._taken += _cost(name, found)
        while self._taken > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, str, str]) -> None:
        """Forget something, if it is there."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._taken -= _cost(key[0], found)


def _cost(name: str, found: Digests) -> int:
    """Bytes that it takes, about."""
    return len(found.pieces) + 4 * len(name) + _ENTRY
