"""
The calls of the system that a target is made with: one each, so that tests can have another disk.

All of them block. Errors are `OSError`.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

#: What a file system says that can't reserve space.
_CANNOT = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class Disk:
    """The real one."""

    def open(self, path: Path, *, make: bool) -> int:
        """Open a file to read it, or to write it too; a link is none."""
        flags = os.O_RDWR | os.O_CREAT if make else os.O_RDONLY | os.O_NONBLOCK
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)

    def lock(self, file: int) -> None:
        """Have it alone; `BlockingIOError` if somebody else has it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self, file: int) -> None:
        """Let it go."""
        os.close(file)

    def number(self, file: int) -> int | None:
        """By which the system knows an open file; None if it does not."""
        return file

    def look(self, path: Path) -> os.stat_result:
        """What is there, be it a link."""
        return path.lstat()

    def stat(self, file: int) -> os.stat_result:
        """What an open file is."""
        return os.fstat(file)

    def is_folder(self, path: Path) -> bool:
        """Whether there is a directory."""
        return path.is_dir()

    def may_write(self, folder: Path) -> bool:
        """Whether files can be made there."""
        return os.access(folder, os.W_OK | os.X_OK)

    def reserve(self, file: int, size: int) -> None:
        """Make it at least so long, in bytes, and see that there is room for all of it."""
        if size:
            try:
                os.posix_fallocate(file, 0, size)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise

    def resize(self, file: int, size: int) -> None:
        """Make it so long, in bytes."""
        os.ftruncate(file, size)

    def read(self, file: int, room: memoryview, offset: int) -> int:
        """Read into this room, as much as can be; returns how many bytes that was."""
        return os.preadv(file, [room], offset)

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        """Write, as much as can be; returns how many bytes that was."""
        return os.pwrite(file, data, offset)

    def flush(self, file: int, offset: int, size: int) -> None:
        """Have the system begin to bring this part to the disk, if it can; it is not waited for."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # it is a hint, and `sync` tells what is wrong
                # Linux begins to write what is not written; what is being written stays in memory.
                os.posix_fadvise(file, offset, size, os.POSIX_FADV_DONTNEED)

    def sync(self, file: int) -> None:
        """Wait until it is on the disk."""
        os.fsync(file)

    def mark(self, file: int, mtime_ns: int, mode: int | None) -> None:
        """Set its time, in nanoseconds since 1970, and its permissions."""
        os.utime(file, ns=(mtime_ns, mtime_ns))
        if mode is not None:
            os.fchmod(file, mode)

    def move(self, path: Path, to: Path) -> None:
        """Put it there, in place of what is there."""
        path.replace(to)

    def sync_folder(self, folder: Path) -> None:
        """Wait until its names are on the disk."""
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def free(self, folder: Path) -> int:
        """Bytes that there is room for."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
