"""
SHA-256 of files and their pieces, and what is kept of them.

`digest` is a generator that reads some MiB at each step, so that whoever takes the steps, in a
thread or not, can stop at each. It knows no threads.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Generator

from attrs import define, field, frozen

from lab.download.files import Files, Opened
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
        pieces: Those of its pieces, 32 bytes each, one behind the other.
    """

    size: int
    mtime_ns: int
    tag: str
    whole: bytes
    pieces: bytes

    def status(self) -> Status:
        """As a reply to ``stat``."""
        return Status(self.size, self.mtime_ns, self.tag, self.whole.hex())

    def hashed(self) -> Hashed:
        """As the first line of a reply to ``hashes``."""
        piece = piece_size(self.size)
        return Hashed(self.size, self.tag, piece, count_pieces(self.size, piece))


def digest(files: Files, name: str) -> Generator[Working, None, Digests | Refused]:
    """
    Read a file, as it is when it does not change meanwhile.

    Args:
        files: Has it.
        name: Its name.

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
            found = yield from _read(file)
        finally:
            file.close()
        if found is not None:
            return found
    return Refused(409, f"{short(name)} was written to while it was read, {TRIES} times")


def _read(file: Opened) -> Generator[Working, None, Digests | None]:
    """Read an open file; nothing is found if it changes."""
    size, piece = file.size, piece_size(file.size)
    whole, pieces, part, done = hashlib.sha256(), bytearray(), hashlib.sha256(), 0
    file.expect(0, size)
    while done < size:
        data = file.read(done, min(SLICE, size - done))
        if not data:
            return None
        whole.update(data)
        view = memoryview(data)
        while view:
            some = view[: piece - done % piece]
            part.update(some)
            done += len(some)
            view = view[len(some) :]
            if done % piece == 0 or done == size:
                pieces += part.digest()
                part = hashlib.sha256()
        yield Working(done, size)
    if file.changed():
        return None
    return Digests(size, file.mtime_ns, file.tag, whole.digest(), bytes(pieces))


@define(eq=False)
class Cache:
    """
    What was found, by names and versions; what was not asked for longest is forgotten first.

    Args:
        room: Bytes that all of it may take.
    """

    _room: int
    _kept: OrderedDict[tuple[str, str], Digests] = field(init=False, factory=OrderedDict)
    _taken: int = field(init=False, default=0)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def find(self, name: str, tag: str) -> Digests | None:
        """What was found in this version of the file."""
        found = self._kept.get((name, tag))
        if found is not None:
            self._kept.move_to_end((name, tag))
        return found

    def keep(self, name: str, found: Digests) -> None:
        """Keep something, if there can be room for it."""
        self._drop((name, found.tag))
        self._kept[name, found.tag] = found
        self._taken += _cost(name, found)
        while self._taken > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, str]) -> None:
        """Forget something, if it is there."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._taken -= _cost(key[0], found)


def _cost(name: str, found: Digests) -> int:
    """Bytes that it takes, about."""
    return len(found.pieces) + 4 * len(name) + _ENTRY
