"""
The files of a directory, and nothing else that the system has.

**What it must do.** Whoever asks may send any name, and others may rename, link and remove files
meanwhile. Nothing outside the directory may ever be opened, nothing may block, and nothing that is
no file of bytes may be touched: opening a device or a FIFO can do something by itself.

**How it does it.** A name is walked down a component at a time, each opened relative to the
directory before it, without following a symbolic link. What was opened is looked at then, and not
the name. So a link that appears between two steps ends the walk, whatever was there a moment ago.

**What was refused.** Links that stay inside: to know that they do, each has to be resolved by hand,
for the kernel's own ``openat2`` can't be called from Python. No link is followed, and none is
listed. Comparing the real path of a name with the root: it may be another one when it is opened.
"""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from lab.download.files import BATCH, Absent, Batch, TooMany, collect, matching
from lab.download.names import WrongName, check, short
from lab.download.wire import ENTRIES, Entry, tag
from lab.errors import LocalError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# What the system says of names under which nothing is served.
_ABSENT = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EACCES,
    errno.EPERM,
    errno.ENXIO,
    errno.ENAMETOOLONG,
}
#: The system is asked to read so many bytes ahead, of what will be sent.
WILL_NEED = 2**22
#: Directories that are to be looked at.
Waiting = list[tuple[str, ...]]


def _absolute(path: str | os.PathLike[str]) -> str:
    """A path that stays the same wherever the process goes."""
    return str(Path(path).absolute())


@define(eq=False)
class DiskFile:
    """
    An open file.

    Args:
        fd: Its descriptor, which is closed by `close`.
        size: In bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
        tag: Its version.
    """

    fd: int
    size: int
    mtime_ns: int
    tag: str

    def read(self, offset: int, size: int) -> bytes:
        """See `lab.download.files.Opened`."""
        return os.pread(self.fd, size, offset)

    def expect(self, offset: int, size: int) -> None:
        """See `lab.download.files.Opened`."""
        try:
            os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            os.posix_fadvise(self.fd, offset, min(size, WILL_NEED), os.POSIX_FADV_WILLNEED)
        except (AttributeError, OSError):
            pass  # it is advice, and not every system takes it

    def fileno(self) -> int | None:
        """See `lab.download.files.Opened`."""
        return self.fd

    def changed(self) -> bool:
        """See `lab.download.files.Opened`."""
        return tag(os.fstat(self.fd)) != self.tag

    def written(self) -> bool:
        """See `lab.download.files.Opened`."""
        found = os.fstat(self.fd)
        return (found.st_size, found.st_mtime_ns) != (self.size, self.mtime_ns)

    def close(self) -> None:
        """See `lab.download.files.Opened`; a second time it does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


@define(eq=False)
class Catalogue:
    """
    What is served of a directory; see `lab.download.files.Files`.

    Args:
        root: The directory. It is found by its name each time, so that it may be replaced.
        recursive: Whether files in the directories within it are served, too.
        hidden: Whether names may begin with a dot.

    Raises:
        LocalError: There is no such directory.
    """

    root: str = field(converter=_absolute)
    recursive: bool = field(default=False, kw_only=True)
    hidden: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Find it once."""
        try:
            with self._entered(()):
                pass
        except OSError as error:
            why = error.strerror
            raise LocalError(f"root is {self.root!r}: {why}; give a directory") from None

    def list(self, glob: str = "*") -> Batch:
        """
        The files whose names match, in the order of names.

        Raises:
            WrongName: The pattern is too long.
            TooMany: There are more than 100,000.
            OSError: The system can't read the directory.
        """
        return collect(self.scan(glob))

    def scan(self, glob: str = "*") -> Iterator[Batch]:
        """See `lab.download.files.Files`."""
        match = matching(glob)
        waiting: Waiting = [()]
        while waiting:
            parts = waiting.pop()
            try:
                yield from self._scan(parts, match, waiting)
            except OSError:
                if not parts:
                    raise
                # A directory that may not be read, or is gone already.

    def within(self, directory: str = "") -> Generator[Batch]:
        """See `lab.download.files.Files`."""
        parts: tuple[str, ...] = ()
        if directory:
            parts = check(directory, recursive=True, hidden=self.hidden)
        inner: Waiting = []
        with _absences("directory", directory):
            if parts and not self.recursive:
                raise FileNotFoundError(errno.ENOENT, "not served")
            yield from self._scan(parts, lambda name: True, inner)
        for start in range(0, len(inner), BATCH):
            yield [Entry(0, 0, "/".join((*path, ""))) for path in inner[start : start + BATCH]]

    def open(self, name: str) -> DiskFile:
        """See `lab.download.files.Files`."""
        *parts, last = check(name, recursive=self.recursive, hidden=self.hidden)
        with _absences("file", name), self._entered(parts) as directory:
            return _open(last, directory)

    def _scan(
        self,
        parts: tuple[str, ...],
        match: Callable[[str], object],
        waiting: Waiting,
    ) -> Iterator[Batch]:
        """Look at one directory; those within it have to wait."""
        batch: Batch = []
        with self._entered(parts) as directory, os.scandir(directory) as found:
            for looked, entry in enumerate(found):
                if looked % BATCH == BATCH - 1:
                    yield batch
                    batch = []
                path = (*parts, entry.name)
                if self.recursive and entry.is_dir(follow_symlinks=False):
                    self._wait(path, waiting)
                elif (name := self._name(path)) and match(name):
                    batch += _entry(name, entry)
        yield batch

    def _wait(self, path: tuple[str, ...], waiting: Waiting) -> None:
        """Look at a directory later."""
        if self._name(path):
            waiting.append(path)
            if len(waiting) > ENTRIES:
                raise TooMany(f"there are more than {ENTRIES:,} directories")

    def _name(self, path: tuple[str, ...]) -> str:
        """The name of what is there, if it is one; otherwise nothing."""
        name = "/".join(path)
        try:
            check(name, recursive=self.recursive, hidden=self.hidden)
        except WrongName:
            return ""
        return name

    @contextmanager
    def _entered(self, parts: Sequence[str]) -> Iterator[int]:
        """The descriptor of a directory, for as long as this lasts."""
        # The root may be a link: whoever runs the server has named it.
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts:
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            yield directory
        finally:
            os.close(directory)


@contextmanager
def _absences(kind: str, name: str) -> Iterator[None]:
    """Tell what is not there, or may not be read, from what can't be read now."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        raise Absent(f"there is no {kind} {short(name)}") from None


def _open(name: str, directory: int) -> DiskFile:
    """Open what is a file; other things are not touched, if they do not appear just now."""
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise FileNotFoundError(errno.ENOENT, "no file")
    fd = os.open(name, _FILE, dir_fd=directory)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "no file any more")
    return DiskFile(fd, found.st_size, found.st_mtime_ns, tag(found))


def _entry(name: str, entry: os.DirEntry[str]) -> Batch:
    """What is told of a file; nothing of other things, and of what is gone already."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return []
    return [Entry(found.st_size, found.st_mtime_ns, name)] if stat.S_ISREG(found.st_mode) else []
