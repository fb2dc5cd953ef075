"""
The file that a download becomes, on the disk. Knows no network; all that it does blocks.

**What it must do.** What is at the target is either what was there before, or the whole new file;
so it is after a crash at any moment. What was got survives, and nothing beside the file itself says
what that is, for such a note can be older or newer than the file.

**How it does it.** The bytes go to ``.NAME.part`` beside the target. Whoever begins takes its lock,
reads it, and holds each piece of it against the list: those that are right are there. So are pieces
of an older version of the target. The system begins to bring each piece to the disk when it is
right. In the end it is synced, and moved to the target's name, and then that is synced.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from lab.core import Part
from lab.download.disk import Disk
from lab.download.kinds import KINDS, SHA256
from lab.download.landing import Landing
from lab.download.outcomes import InUse, NoRoom
from lab.download.wire import count_pieces, tag
from lab.errors import LocalError

#: Bytes that are read at once, into a room that is used again, so that no new one has to be found.
#: With less at a time, the thread would wait for the interpreter more often.
READ = 2**20
#: The lock is of a file that is no longer there, if the other one has just finished: try again.
_TRIES = 10


@frozen
class Version:
    """
    What the file has to be.

    Args:
        size: In bytes.
        piece: Bytes of each piece but the last.
        digests: Of each, one behind the other.
        kind: Of these.
        sha256: What its server says that the whole file has, 64 hexadecimal digits.
    """

    size: int
    piece: int
    digests: bytes = field(repr=False)
    kind: str = SHA256
    sha256: str = field(default="", eq=False, repr=False)

    def same_file(self, other: "Version") -> bool:
        """
        Whether another list is of the same file, as far as that can be told.

        Lists of one kind are held against each other, piece by piece. Of lists of two kinds it is
        known only what their servers say of the whole file.
        """
        if self.kind == other.kind:
            return self == other
        return (self.size, self.sha256) == (other.size, other.sha256)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return count_pieces(self.size, self.piece)

    def digest(self, piece: int) -> bytes:
        """That of a piece."""
        return self.digests[32 * piece : 32 * piece + 32]

    def length(self, piece: int) -> int:
        """Bytes of a piece."""
        return min(self.piece, self.size - piece * self.piece)

    def landing(self, piece: int) -> Landing:
        """Where a piece comes in."""
        length, digest = self.length(piece), self.digest(piece)
        return Landing(piece, piece * self.piece, length, digest, self.kind)


class Stopped(Exception):
    """What was going on is not wanted any more."""


@define(eq=False)
class Target:
    """
    One file that is to be made.

    Args:
        path: Where.
        disk: What it is made on.

    Attributes:
        part: Where it is until it is whole.
        found: While it begins, bytes that were found to be right so far.
        stopped: Set to have long work end soon, in `Stopped`.
    """

    path: Path
    disk: Disk = field(factory=Disk)
    part: Path = field(init=False)
    found: int = field(init=False, default=0)
    stopped: bool = field(init=False, default=False)
    _file: int | None = field(init=False, default=None)
    _mode: int | None = field(init=False, default=None)
    _version: Version | None = field(init=False, default=None)
    _whole: bool = field(init=False, default=False)
    #: Of those who read at present each has one; these are free.
    _rooms: list[memoryview] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Where the part is."""
        if not self.path.name or "\0" in str(self.path):
            raise LocalError(f"target is {str(self.path)!r}; give the path of a file")
        self.part = self.path.with_name(f".{self.path.name}.part")

    def look(self) -> None:
        """
        See whether it can be made, before anything is asked for.

        Raises:
            LocalError: It can't.
        """
        with self._errors():
            folder = self.path.parent
            if not self.disk.is_folder(folder):
                raise LocalError(f"target is {self._shown}; {str(folder)!r} is no directory")
            for path in (self.path, self.part):
                self._regular(path)
            if not self.disk.may_write(folder):
                raise LocalError(f"target is {self._shown}; {str(folder)!r} is not writable")

    def begin(self, version: Version, served: Container[str]) -> list[int]:
        """
        Have a file with what is there already, and room for the rest.

        Args:
            version: What it is to become.
            served: Tags of the files that it comes from.

        Returns:
            The pieces that are there and right.

        Raises:
            LocalError: It can't be made, or it is the very file that it comes from.
        """
        self.found, self._version, self._whole = 0, version, False
        with self._errors(version.size):
            old = self._old(served)
            try:
                there = self._right(old, version) if old is not None else []
                if self._is_all(old, there, version):
                    self._whole = True
                    return there
                return self._prepare(old, there, version)
            finally:
                if old is not None:
                    self.disk.close(old)

    def room(self, landing: Landing) -> Part | None:
        """
        Where the rest of a piece may be put by others, before it is checked.

        Returns:
            None: nowhere; it has to be stored.
        """
        number = None if self._file is None else self.disk.number(self._file)
        if number is None or not landing.direct or landing.dropped:
            return None
        return Part(number, landing.offset + landing.got, landing.missing)

    def store(self, landing: Landing, chunks: Sequence[bytes | memoryview | int]) -> bool:
        """
        Write what came of a piece.

        Args:
            landing: The piece.
            chunks: What came, one behind the other; a number is of bytes that are in the file.

        Returns:
            Whether all of it is there, and right.
        """
        if landing.dropped:
            return False
        at = start = landing.offset + landing.stored
        loose: list[tuple[int, bytes]] = []
        run: Any
        with self._errors(landing.length):
            for kind, run in groupby(chunks, type):
                if kind is int:
                    stop = at + sum(run)
                    self._sum(landing, at, stop)
                    at = stop
                    continue
                # One call for all: a thread may have to wait for the interpreter after each.
                data = b"".join(run)
                landing.hash.update(data)
                loose.append((at, data))
                at += len(data)
            landing.stored += at - start
            whole = landing.stored == landing.length
            right = whole and landing.hash.digest() == landing.digest
            if right or not whole:
                for offset, data in loose:
                    self._write(data, offset)
                if whole:
                    # Or nothing would be on the disk in the end, and all would be waited for.
                    self.disk.flush(self._begun, landing.offset, landing.length)
        return right

    def sha256(self) -> str:
        """The SHA-256 of the whole file, read again."""
        digest = hashlib.sha256()
        with self._errors():
            file = self.disk.open(self.path if self._whole else self.part, make=False)
            try:
                for data in self._bytes(file, 0, self._size):
                    digest.update(data)
            finally:
                self.disk.close(file)
        return digest.hexdigest()

    def finish(self, mtime_ns: int) -> None:
        """
        It is whole: put it at its place.

        Args:
            mtime_ns: When it was written, in nanoseconds since 1970.
        """
        if self._whole or self._file is None:
            return
        with self._errors():
            self.disk.resize(self._file, self._size)
            self.disk.mark(self._file, mtime_ns, self._mode)
            self.disk.sync(self._file)
            self.disk.move(self.part, self.path)
            self.disk.sync_folder(self.path.parent)

    def close(self) -> None:
        """Let go of it; what was written is kept."""
        if self._file is not None:
            self.disk.close(self._file)
            self._file = None

    @property
    def _shown(self) -> str:
        """The path, for errors."""
        return repr(str(self.path))

    @property
    def _begun(self) -> int:
        """The part, open."""
        assert self._file is not None  # noqa: S101 - begun, or there would be no pieces
        return self._file

    @property
    def _size(self) -> int:
        """Bytes of the file that it is to become."""
        return self._version.size if self._version else 0

    def _regular(self, path: Path) -> os.stat_result | None:
        """What is there, if it is a file or nothing (or a link, which is replaced)."""
        try:
            found = self.disk.look(path)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise LocalError(f"target is {self._shown}; {str(path)!r} is a directory")
        if stat.S_ISLNK(found.st_mode) and path == self.path:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise LocalError(f"target is {self._shown}; {str(path)!r} is no ordinary file")
        return found

    def _old(self, served: Container[str]) -> int | None:
        """What is at the target, open; None if there is nothing that can be read."""
        found = self._regular(self.path)
        self._mode = None if found is None else stat.S_IMODE(found.st_mode)
        if found is None:
            return None
        if tag(found) in served:
            raise LocalError(
                f"target is {self._shown}; it is the very file that is served, give another"
            )
        try:
            return self.disk.open(self.path, make=False)
        except PermissionError:
            return None

    def _is_all(self, old: int | None, there: list[int], version: Version) -> bool:
        """Whether the target is what it is to become."""
        if old is None or len(there) < version.count:
            return False
        return self.disk.stat(old).st_size == version.size

    def _prepare(self, old: int | None, there: list[int], version: Version) -> list[int]:
        """Have the part, with its own right pieces and those of the target."""
        if self._file is None:
            self._file = self._open()
        file = self._file
        have = set(self._right(file, version))
        if self.disk.stat(file).st_size > version.size:
            self.disk.resize(file, version.size)
        self.disk.reserve(file, version.size)
        for piece in there:  # what is there is in what is old
            if piece not in have and old is not None and self._copy(old, piece, version):
                have.add(piece)
        return sorted(have)

    def _open(self) -> int:
        """The part, locked."""
        for _ in range(_TRIES):
            file = self.disk.open(self.part, make=True)
            try:
                self.disk.lock(file)
                found = self.disk.look(self.part)
                here = self.disk.stat(file)
                if (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino):
                    return file
            except BlockingIOError:
                self.disk.close(file)
                raise InUse(
                    f"target is {self._shown}; somebody else is downloading to it, "
                    f"wait for that or give another"
                ) from None
            except FileNotFoundError:
                pass
            except OSError:
                self.disk.close(file)
                raise
            self.disk.close(file)  # the one who had it has finished
        raise InUse(f"target is {self._shown}; others are downloading to it all the time")

    def _right(self, file: int, version: Version) -> list[int]:
        """The pieces of a file that are right."""
        size = self.disk.stat(file).st_size
        have = []
        for piece in range(version.count):
            offset, length = piece * version.piece, version.length(piece)
            if offset + length > size:
                break
            digest = KINDS[version.kind]()
            for data in self._bytes(file, offset, length):
                digest.update(data)
            if digest.digest() == version.digest(piece):
                have.append(piece)
                self.found = min(self.found + length, version.size)
        return have

    def _copy(self, old: int, piece: int, version: Version) -> bool:
        """Take a piece from the target, if it is right still."""
        landing = version.landing(piece)
        return any(
            self.store(landing, [data]) for data in self._bytes(old, landing.offset, landing.length)
        )

    def _bytes(self, file: int, offset: int, length: int) -> Iterator[memoryview]:
        """What is in a file there; each is gone when the next is asked for."""
        stop = offset + length
        with self._room() as room:
            while offset < stop:
                if self.stopped:
                    raise Stopped
                size = self.disk.read(file, room[: stop - offset], offset)
                if not size:
                    return
                yield room[:size]
                offset += size

    @contextmanager
    def _room(self) -> Iterator[memoryview]:
        """Where bytes that are read go; nobody else has it meanwhile."""
        try:
            room = self._rooms.pop()
        except IndexError:
            room = memoryview(bytearray(READ))
        try:
            yield room
        finally:
            self._rooms.append(room)

    def _sum(self, landing: Landing, offset: int, stop: int) -> None:
        """Have the digest of a piece know what is in the file there."""
        for data in self._bytes(self._begun, offset, stop - offset):
            landing.hash.update(data)

    def _write(self, data: bytes, offset: int) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            wrote = self.disk.write(self._begun, view, offset)
            offset += wrote
            view = view[wrote:]

    @contextmanager
    def _errors(self, size: int = 0) -> Iterator[None]:
        """Say what the system has against it."""
        try:
            yield
        except OSError as error:
            raise self.explain(error, size) from error

    def explain(self, error: OSError, size: int) -> LocalError:
        """An error of the system's, in one line."""
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return NoRoom(
                f"target is {self._shown}; {os.strerror(error.errno)}: it needs {size:,} bytes, "
                f"and {self._free()} are free; what was got is kept"
            )
        if error.errno == errno.ENAMETOOLONG:
            return LocalError(
                f"target is {self._shown}; {self.part.name[:20]}... is too long for this "
                f"directory, give a shorter name"
            )
        where = "" if error.filename in {None, str(self.path)} else f" ({error.filename})"
        return LocalError(f"target is {self._shown}; {error.strerror or error}{where}")

    def _free(self) -> str:
        """How many bytes are free, if that can be said."""
        try:
            return f"{self.disk.free(self.path.parent):,}"
        except OSError:
            return "an unknown number"
