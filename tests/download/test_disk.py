"""The calls of the system that a target is made with."""

import errno
import os
import stat
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.download.disk import Disk
from tests.helpers import folder


class DiskTests(SynchronousTestCase):
    """On the real disk."""

    def setUp(self) -> None:
        """A folder."""
        self.folder, self.disk = folder(self), Disk()
        self.path = self.folder / "file"

    def open(self, *, make: bool = True) -> int:
        """Open the file."""
        file = self.disk.open(self.path, make=make)
        self.addCleanup(self.disk.close, file)
        return file

    def test_bytes(self) -> None:
        """What is written there is read there, by who may only read, too."""
        file = self.open()
        self.disk.reserve(file, 0)
        self.disk.reserve(file, 8)
        self.assertEqual(self.disk.write(file, memoryview(b"hello"), 2), 5)
        self.disk.sync(file)
        room = memoryview(bytearray(10))
        self.assertEqual(self.disk.read(self.open(make=False), room, 1), 7)
        self.assertEqual(bytes(room), b"\0hello\0\0\0\0")
        self.assertEqual(self.disk.number(file), file)
        self.disk.resize(file, 4)
        self.assertEqual(self.disk.stat(file).st_size, 4)
        self.assertRaises(OSError, self.disk.write, self.open(make=False), b"x", 0)

    def test_reserve(self) -> None:
        """A file system that can't reserve space is told about when it is full, others before."""
        file = self.open()
        codes = iter([errno.EOPNOTSUPP, errno.ENOSPC])

        def fail(*arguments: Any) -> None:
            """The system says no."""
            raise OSError(next(codes), "no")

        self.patch(os, "posix_fallocate", fail)
        self.disk.reserve(file, 10)
        self.assertRaises(OSError, self.disk.reserve, file, 10)

    def test_flush(self) -> None:
        """It is a hint: nobody is told that it can't be, and it may be unknown here."""
        file = self.open()
        self.disk.write(file, b"hello", 0)
        self.disk.flush(file, 0, 5)
        self.disk.flush(-1, 0, 5)
        if hasattr(os, "posix_fadvise"):
            self.addCleanup(setattr, os, "posix_fadvise", os.posix_fadvise)
            del os.posix_fadvise
        self.disk.flush(file, 0, 5)
        self.assertEqual(os.pread(file, 5, 0), b"hello")

    def test_lock(self) -> None:
        """One at a time, also in one process."""
        first, second = self.open(), self.open()
        self.disk.lock(first)
        self.assertRaises(BlockingIOError, self.disk.lock, second)

    def test_links(self) -> None:
        """A link is looked at, and not followed."""
        self.path.symlink_to("/etc/passwd")
        self.assertTrue(stat.S_ISLNK(self.disk.look(self.path).st_mode))
        for make in (True, False):
            self.assertRaises(OSError, self.disk.open, self.path, make=make)

    def test_names(self) -> None:
        """A file takes the place of another, with its time and permissions."""
        file, old = self.open(), self.folder / "old"
        old.write_bytes(b"old")
        self.disk.mark(file, 10**18 + 1, None)
        self.disk.mark(file, 10**18 + 1, 0o640)
        self.disk.move(self.path, old)
        self.disk.sync_folder(self.folder)
        found = self.disk.look(old)
        self.assertEqual((found.st_size, stat.S_IMODE(found.st_mode)), (0, 0o640))
        self.assertEqual(found.st_mtime_ns, 10**18 + 1)
        self.assertFalse(self.path.exists())

    def test_folders(self) -> None:
        """What is a folder, and how much room there is."""
        self.assertTrue(self.disk.is_folder(self.folder))
        self.assertFalse(self.disk.is_folder(self.path))
        self.assertTrue(self.disk.may_write(self.folder))
        self.assertFalse(self.disk.may_write(self.path))
        self.assertGreater(self.disk.free(self.folder), 0)
