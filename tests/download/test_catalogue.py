"""The files of a directory: nothing else ever comes."""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download import catalogue as module
from lab.download.catalogue import Catalogue, DiskFile
from lab.download.files import BATCH, Absent, TooMany
from lab.download.names import WrongName, check
from lab.download.wire import tag
from lab.errors import LocalError
from tests.helpers import folder

SECRET = b"secret"


def plant(root: Path) -> dict[str, bytes]:
    """A tree with everything that can be in one; returns the files that may be served."""
    (root.parent / "secret").write_bytes(SECRET)
    (root.parent / "beside").mkdir()
    (root.parent / "beside" / "a").write_bytes(SECRET)
    files = {"a": b"1", "a b%": b"2", os.fsdecode(b"\xff\n"): b"3", "d/a": b"4", "d/e/f": b"5"}
    (root / "d" / "e").mkdir(parents=True)
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / ".hidden").write_bytes(b"6")
    (root / ".d").mkdir()
    (root / ".d" / "a").write_bytes(b"7")
    for name, target in (
        ("out", "../secret"),
        ("outs", "../beside"),
        ("up", ".."),
        ("here", "."),
        ("inner", "a"),
        ("absolute", str(root.parent / "secret")),
        ("loop", "loop"),
    ):
        (root / name).symlink_to(target)
        (root / "d" / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    listener.close()
    return files


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class CatalogueCase(SynchronousTestCase):
    """A directory within a directory."""

    def setUp(self) -> None:
        """Plant it."""
        self.root = folder(self) / "root"
        self.root.mkdir()
        self.files = plant(self.root)

    def read(self, name: str, **words: bool) -> bytes:
        """All of a file."""
        file = Catalogue(self.root, **words).open(name)
        self.addCleanup(file.close)
        return file.read(0, 100)


class OpenTests(CatalogueCase):
    """What is opened."""

    def test_files(self) -> None:
        """Every file of the directory, and with `recursive` of those within it."""
        for name, data in self.files.items():
            self.assertEqual(self.read(name, recursive=True), data)
            if "/" in name:
                self.assertRaises(WrongName, self.read, name)
            else:
                self.assertEqual(self.read(name), data)

    def test_hidden(self) -> None:
        """A leading dot hides, unless it is said otherwise."""
        self.assertRaises(WrongName, self.read, ".hidden")
        self.assertEqual(self.read(".hidden", hidden=True), b"6")
        self.assertRaises(WrongName, self.read, ".d/a", recursive=True)
        self.assertEqual(self.read(".d/a", recursive=True, hidden=True), b"7")

    def test_absent(self) -> None:
        """Links, directories, FIFOs and sockets are no files, and nothing waits for them."""
        names = "out outs up here inner absolute loop fifo socket d nothing outs/a here/a d/inner "
        names += "up/secret d/out a/b"
        for name in names.split():
            error = self.assertRaises(Absent, self.read, name, recursive=True)
            self.assertEqual(str(error), f"there is no file {name!r}")

    def test_device(self) -> None:
        """A device is none; it is not even opened."""
        self.patch(module.os, "open", None)
        directory = Path("/dev")
        with self.assertRaises(FileNotFoundError):
            module._open("null", 0 if not directory.is_dir() else self._fd(directory))

    def _fd(self, path: Path) -> int:
        """A directory's descriptor, which is closed in the end."""
        import posix

        fd = posix.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return fd

    def test_changed_between(self) -> None:
        """A name that becomes something else between two looks at it is not served."""
        real = os.stat
        pipe = self.root / "pipe"
        os.mkfifo(pipe)

        def look(name: Any, **words: Any) -> os.stat_result:
            """As if it had been a file a moment ago."""
            return real(self.root / "a") if name == "pipe" else real(name, **words)

        self.patch(module.os, "stat", look)
        before = descriptors()
        self.assertRaises(Absent, self.read, "pipe")
        self.assertEqual(descriptors(), before)

        def swap(name: Any, **words: Any) -> os.stat_result:
            """A link takes its place."""
            found = real(name, **words)
            if name == "a":
                (self.root / "a").unlink()
                (self.root / "a").symlink_to("../secret")
            return found

        self.patch(module.os, "stat", swap)
        self.assertRaises(Absent, self.read, "a")

    def test_system(self) -> None:
        """What the system can't do now is another matter than what is not there."""

        def fail(*_: Any, **__: Any) -> int:
            """No more descriptors."""
            raise OSError(errno.EMFILE, "Too many open files")

        catalogue = Catalogue(self.root)
        self.patch(module.os, "open", fail)
        self.assertRaises(OSError, catalogue.open, "a")

    def test_no_descriptor_stays(self) -> None:
        """Whatever is asked for, descriptors are closed."""
        catalogue = Catalogue(self.root, recursive=True)
        before = descriptors()
        for name in ("d/e/f", "d/e/x", "d/x/f", "outs/a", "fifo"):
            try:
                file = catalogue.open(name)
            except Absent:
                continue
            self.assertFalse(os.get_inheritable(file.fd))
            file.close()
            file.close()
        found = catalogue.scan()
        next(found)
        found.close()
        self.assertEqual(descriptors(), before)

    def test_root(self) -> None:
        """It is a directory, and stays the same wherever the process goes."""
        for path in (self.root / "a", self.root / "nothing"):
            error = self.assertRaises(LocalError, Catalogue, path)
            self.assertIn(f"root is {str(path)!r}: N", str(error))
            self.assertIn("; give a directory", str(error))
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.root)
        catalogue = Catalogue("d")
        os.chdir("/")
        self.assertEqual([entry.name for entry in catalogue.list()], ["a"])
        link = self.root.parent / "link"
        link.symlink_to("root")
        self.assertEqual(Catalogue(link).open("a").read(0, 9), b"1")

    def test_replaced_root(self) -> None:
        """Another directory may take the place of the root."""
        catalogue = Catalogue(self.root)
        self.root.rename(self.root.parent / "old")
        self.assertRaises(Absent, catalogue.open, "a")
        self.assertRaises(FileNotFoundError, catalogue.list)
        self.root.mkdir()
        (self.root / "a").write_bytes(b"new")
        self.assertEqual(catalogue.open("a").read(0, 9), b"new")


class FileTests(CatalogueCase):
    """An open file."""

    def test_facts(self) -> None:
        """Size, time and version are those of what is open, not of what has its name."""
        file = Catalogue(self.root).open("a")
        found = (self.root / "a").stat()
        self.assertEqual((file.size, file.mtime_ns, file.tag), (1, found.st_mtime_ns, tag(found)))
        self.assertFalse(file.changed())
        (self.root / "a").write_bytes(b"12345")
        self.assertTrue(file.changed())
        self.assertEqual(os.fstat(file.fileno() or -1).st_size, 5)
        file.close()

    def test_read(self) -> None:
        """A part, and less at the end."""
        file = Catalogue(self.root, recursive=True).open("d/e/f")
        file.expect(0, 1)
        self.assertEqual([file.read(0, 1), file.read(0, 9), file.read(1, 9)], [b"5", b"5", b""])
        file.close()

    def test_written(self) -> None:
        """What was written is another matter than a name that was moved or removed."""
        path = self.root / "a"
        file = Catalogue(self.root).open("a")
        self.addCleanup(file.close)
        path.rename(self.root / "b")
        self.assertTrue(file.changed())
        self.assertFalse(file.written())
        with (self.root / "b").open("a") as there:
            there.write("more")
        self.assertTrue(file.written())

    def test_no_advice(self) -> None:
        """Where the system takes no advice it gets none."""

        def fail(*_: Any) -> None:
            """No such call."""
            raise OSError(errno.ENOSYS, "Function not implemented")

        self.patch(module.os, "posix_fadvise", fail)
        DiskFile(0, 1, 1, "").expect(0, 1)


class ListTests(CatalogueCase):
    """What is told."""

    def names(self, glob: str = "*", **words: bool) -> list[str]:
        """The names, in order."""
        return [entry.name for entry in Catalogue(self.root, **words).list(glob)]

    def test_files(self) -> None:
        """What can be opened is told, with its size and time, and nothing else is."""
        flat = sorted(name for name in self.files if "/" not in name)
        self.assertEqual(self.names(), flat)
        self.assertEqual(self.names(recursive=True), sorted(self.files))
        hidden = {*self.files, ".hidden", ".d/a"}
        self.assertEqual(self.names(recursive=True, hidden=True), sorted(hidden))
        for entry in Catalogue(self.root, recursive=True).list():
            found = (self.root / entry.name).lstat()
            self.assertTrue(stat.S_ISREG(found.st_mode))
            self.assertEqual((entry.size, entry.mtime_ns), (found.st_size, found.st_mtime_ns))

    def within(self, directory: str = "", **words: bool) -> list[str]:
        """The names in one directory, in order."""
        found = Catalogue(self.root, **words).within(directory)
        return sorted(entry.name for batch in found for entry in batch)

    def test_within(self) -> None:
        """What can be opened, and the directories in which there is more."""
        flat = sorted(name for name in self.files if "/" not in name)
        self.assertEqual(self.within(), flat)
        self.assertEqual(self.within(recursive=True), sorted([*flat, "d/"]))
        self.assertEqual(self.within("d", recursive=True), ["d/a", "d/e/"])
        self.assertEqual(self.within(".d", recursive=True, hidden=True), [".d/a"])
        for name in ("a", "outs", "up", "here", "loop", "nothing", "d/out", "d/e/f", "fifo"):
            error = self.assertRaises(Absent, self.within, name, recursive=True)
            self.assertEqual(str(error), f"there is no directory {name!r}")
        for name in ("..", "d/", ".d", "/etc", "d//e", "a\0"):
            self.assertRaises(WrongName, self.within, name, recursive=True)
        self.assertRaises(Absent, self.within, "d")

    def test_glob(self) -> None:
        """Names that match, wherever they are."""
        self.assertEqual(self.names("a*"), ["a", "a b%"])
        self.assertEqual(self.names("*a", recursive=True), ["a", "d/a"])
        self.assertRaises(WrongName, self.names, "a" * 2000)

    def test_batches(self) -> None:
        """Many names are looked at in batches, those that do not match as well."""
        for number in range(2 * BATCH):
            (self.root / f"x{number}").touch()
        catalogue = Catalogue(self.root)
        self.assertGreaterEqual(len(list(catalogue.scan("nothing"))), 3)
        self.assertEqual(len(catalogue.list("x*")), 2 * BATCH)

    def test_many_directories(self) -> None:
        """Those that wait have a bound."""
        for number in range(4):
            (self.root / f"d{number}").mkdir()
        self.patch(module, "ENTRIES", 3)
        error = self.assertRaises(TooMany, self.names, recursive=True)
        self.assertEqual(str(error), "there are more than 3 directories")

    def test_gone_meanwhile(self) -> None:
        """What goes while names are looked at is not told, and nobody minds."""
        catalogue = Catalogue(self.root, recursive=True)
        found = catalogue.scan()
        first = [entry.name for entry in next(found)]
        self.assertIn("a", first)
        (self.root / "d").rename(self.root.parent / "gone")
        self.assertEqual([batch for batch in found if batch], [])

        class Gone:
            """An entry of a file that was removed."""

            def stat(self, **_: bool) -> None:
                """It is not there."""
                raise FileNotFoundError

        entry: Any = Gone()
        self.assertEqual(module._entry("a", entry), [])


PARTS = st.sampled_from(
    [
        *("a", "d", "e", "f", "out", "outs", "up", "here", "inner", "absolute", "loop", "fifo"),
        *("socket", ".hidden", ".d", "", ".", "..", "secret", "beside", "root", "\0", "a\0"),
        *("a b%", os.fsdecode(b"\xff\n"), "x" * 256, "\ud800", "proc", "etc", "passwd"),
    ]
)


class HostileTests(SynchronousTestCase):
    """Whatever name is asked for."""

    def setUp(self) -> None:
        """One tree for all of them."""
        self.root = folder(self) / "root"
        self.root.mkdir()
        self.served = {**plant(self.root), ".hidden": b"6", ".d/a": b"7"}

    @settings(deadline=None)
    @given(
        st.lists(PARTS, max_size=6).map("/".join) | st.text(max_size=300),
        st.booleans(),
        st.booleans(),
    )
    @example("/etc/passwd", True, True)
    @example("../secret", True, True)
    @example("d/../../secret", True, True)
    @example("up/beside/a", True, True)
    @example("a/" * 3000, True, True)
    def test_nothing_else(self, name: str, recursive: Any, hidden: Any) -> None:
        """What comes is a file of the tree, by its own name; everything else is refused."""
        catalogue = Catalogue(self.root, recursive=recursive, hidden=hidden)
        before = descriptors()
        try:
            file = catalogue.open(name)
        except (WrongName, Absent) as error:
            self.assertTrue(str(error).isprintable())
            self.assertLess(len(str(error)), 500)
            parts = tuple(name.split("/"))
            try:
                self.assertEqual(check(name, recursive=recursive, hidden=hidden), parts)
            except WrongName:
                return
            self.assertNotIn(name, self.served)
        else:
            self.assertEqual(file.read(0, 100), self.served[name])
            file.close()
        self.assertEqual(descriptors(), before)
