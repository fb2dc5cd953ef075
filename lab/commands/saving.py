"""
Where the characters of a file go: nowhere, into a file that is whole or not there, to a reader.

A file is written beside its target, under its name with ``.part`` behind it, and takes the name
when every character in it was checked again. What is there of an interrupted one is compared with
what it should be, so nothing has to be kept besides.
"""

import fcntl
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from lab.commands.conversation.descriptors import Output
from lab.echo.pattern import first_difference
from lab.errors import LocalError

#: So much is read at once when a file is checked or printed, in bytes.
_CHUNK = 2**18


def _real(path: Path) -> Path:
    """What a name stands for: a link stays one."""
    return Path(os.path.realpath(path))


class Nowhere:
    """Characters are counted and checked by whoever receives them; nobody wants them."""

    def begin(self) -> int:
        """Where to begin: so many characters are there already."""
        return 0

    def write(self, offset: int, data: bytes) -> Deferred[Any] | None:
        """Take characters."""
        return None

    async def finish(self) -> None:
        """All are there."""

    def close(self) -> str:
        """It is over, well or not; gives what there is to say of what was kept."""
        return ""


@define(eq=False)
class Printed(Nowhere):
    """
    Characters that come in order go to a reader, at its pace.

    Args:
        out: Writes to it.
    """

    _out: Output

    def write(self, offset: int, data: bytes) -> Deferred[Any] | None:
        """Print characters."""
        self._out.write(data)
        return self._out.drain()


@define(eq=False)
class Spool(Nowhere):
    """
    Characters that come in any order go to a reader when all are there.

    Args:
        out: Writes to it.
        offset: Of the first of them.
    """

    _out: Output
    _offset: int = 0
    _file: Any = field(init=False, factory=tempfile.TemporaryFile)

    def write(self, offset: int, data: bytes) -> Deferred[Any] | None:
        """Put them in their place."""
        _write(self._file.fileno(), offset - self._offset, data, "the temporary file")
        return None

    async def finish(self) -> None:
        """Print all."""
        await _print(self._file.fileno(), self._out)

    def close(self) -> str:
        """Nothing is kept."""
        self._file.close()
        return ""


@define(eq=False)
class Saved(Nowhere):
    """
    Characters become a file.

    Args:
        path: Its name.
        n: How many there will be.
        seed: Of the file.
        resume: Whether to go on with what is there of it.
        out: Prints it at the end, if somebody wants that.
    """

    _path: Path = field(converter=_real)
    _n: int
    _seed: int
    _resume: bool = False
    _out: Output | None = None
    _fd: int | None = field(init=False, default=None)
    _whole: bool = field(init=False, default=False)

    @property
    def part(self) -> Path:
        """Where it is until it is whole."""
        return self._path.with_name(f"{self._path.name}.part")

    def begin(self) -> int:
        """
        Open it.

        Returns:
            So many characters of it are there already.

        Raises:
            LocalError: It can't be, or somebody else writes it.
        """
        try:
            if self._path.exists() and not self._path.is_file():
                raise LocalError(f"file is {str(self._path)!r}; give the name of a plain file")
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self.part, flags, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise LocalError(f"file is {str(self.part)!r}; it is no plain file")
            there = self._right() if self._resume else 0
            os.ftruncate(self._fd, there)
        except BlockingIOError:
            raise LocalError(f"file is {str(self.part)!r}; another program writes it") from None
        except OSError as error:
            raise _cannot(self._path, error) from None
        return there

    def write(self, offset: int, data: bytes) -> Deferred[Any] | None:
        """Put them in their place."""
        assert self._fd is not None, "it was begun"  # noqa: S101 - for mypy
        _write(self._fd, offset, data, str(self.part))
        return None

    async def finish(self) -> None:
        """
        Look at all of it once more, and give it its name.

        Raises:
            LocalError: What is on the disk is not what was written.
        """
        assert self._fd is not None, "it was begun"  # noqa: S101 - for mypy
        right = self._right()
        if right != self._n or os.fstat(self._fd).st_size != self._n:
            raise LocalError(f"file is {str(self.part)!r}; it has changed at character {right:,}")
        try:
            os.fsync(self._fd)
            self.part.replace(self._path)
        except OSError as error:
            raise _cannot(self._path, error) from None
        self._whole = True
        if self._out is not None:
            await _print(self._fd, self._out)

    def close(self) -> str:
        """Close it; what is not whole stays where it is."""
        if self._fd is None:
            return ""
        size = os.fstat(self._fd).st_size
        if not self._whole and not size:
            self.part.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = None
        kept = size and not self._whole
        return f"what came is in {self.part}; --resume goes on with it" if kept else ""

    def _right(self) -> int:
        """So many characters, from the first on, are those of the file."""
        assert self._fd is not None, "it was begun"  # noqa: S101 - for mypy
        at = 0
        while data := os.pread(self._fd, min(_CHUNK, self._n - at), at):
            other = first_difference(self._seed, at, data)
            if other is not None:
                return other
            at += len(data)
        return at


def _write(fd: int, offset: int, data: bytes, name: str) -> None:
    """Write all of it."""
    view = memoryview(data)
    try:
        while view:
            size = os.pwrite(fd, view, offset)
            view, offset = view[size:], offset + size
    except OSError as error:
        raise _cannot(Path(name), error) from None


async def _print(fd: int, out: Output) -> None:
    """Print all of a file."""
    at = 0
    while data := os.pread(fd, _CHUNK, at):
        out.write(data)
        await out.drain()
        at += len(data)


def _cannot(path: Path, error: OSError) -> LocalError:
    """Why it can't be had or written."""
    return LocalError(f"file is {str(path)!r}; {error.strerror}")
