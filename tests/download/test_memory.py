"""Files in memory."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.files import BATCH, Absent
from lab.download.memory import MemoryCatalogue
from lab.download.names import WrongName
from lab.download.wire import Entry


class MemoryTests(SynchronousTestCase):
    """They behave as those on a disk do."""

    def test_list(self) -> None:
        """All that match, sorted, however many there are."""
        files = MemoryCatalogue({f"{n:04}": b"x" * n for n in range(BATCH + 3)})
        self.assertEqual(len(files.list()), BATCH + 3)
        self.assertEqual(files.list("000[12]"), [Entry(1, 0, "0001"), Entry(2, 0, "0002")])

    def test_gone_meanwhile(self) -> None:
        """What is removed while names are looked at is not told, and nobody minds."""
        files = MemoryCatalogue({f"{n:04}": b"" for n in range(BATCH + 3)})
        found = files.scan()
        next(found)
        files.remove(f"{BATCH:04}")
        self.assertEqual(len(next(found)), 2)

    def test_read(self) -> None:
        """A part, and less at the end."""
        file = MemoryCatalogue({"a": b"12345"}).open("a")
        file.expect(0, 5)
        self.assertEqual((file.size, file.mtime_ns, file.fileno()), (5, 0, None))
        self.assertEqual([file.read(1, 2), file.read(4, 9), file.read(5, 1)], [b"23", b"5", b""])
        file.close()

    def test_replaced(self) -> None:
        """Who has a file open keeps it, and its version, when another takes its name."""
        files = MemoryCatalogue({"a": b"1"})
        before = files.open("a")
        files.put("a", b"2", 7)
        after = files.open("a")
        self.assertNotEqual(before.tag, after.tag)
        self.assertEqual((before.read(0, 9), after.read(0, 9)), (b"1", b"2"))
        self.assertFalse(before.changed())
        self.assertEqual(after.mtime_ns, 7)
        files.remove("a")
        self.assertEqual(before.read(0, 9), b"1")
        self.assertRaises(Absent, files.open, "a")

    def test_written(self) -> None:
        """What is written into a file changes under who has it open, and its version does."""
        files = MemoryCatalogue({"a": b"1"})
        file = files.open("a")
        files.write("a", b"23", 5)
        self.assertTrue(file.changed())
        self.assertTrue(file.written())
        self.assertEqual(file.read(0, 9), b"23")
        again = files.open("a")
        self.assertEqual((again.size, again.mtime_ns), (2, 5))
        self.assertNotEqual(again.tag, file.tag)
        self.assertEqual(files.open("a").tag, again.tag)

    def test_within(self) -> None:
        """What is in one directory: files, and directories once."""
        files = MemoryCatalogue({"a": b"12", "d/a": b"3", "d/b": b"4", "d/e/f": b"", "dd": b""})
        (top,), (inner,) = files.within(), files.within("d")
        self.assertEqual(top, [Entry(2, 0, "a"), Entry(0, 0, "d/"), Entry(0, 0, "dd")])
        self.assertEqual([entry.name for entry in inner], ["d/a", "d/b", "d/e/"])
        self.assertEqual(list(MemoryCatalogue().within()), [[]])
        for name in ("a", "x", "d/a"):
            self.assertRaises(Absent, next, files.within(name))
        self.assertRaises(WrongName, next, files.within("d/"))

    def test_tags(self) -> None:
        """Two files, and the same file of two catalogues, have different ones."""
        one, other = (MemoryCatalogue({"a": b"", "b": b""}, label) for label in "xy")
        self.assertEqual(len({file.open(name).tag for file in (one, other) for name in "ab"}), 4)

    def test_names(self) -> None:
        """What can be no name is refused everywhere."""
        self.assertRaises(WrongName, MemoryCatalogue, {"../a": b""})
        self.assertRaises(WrongName, MemoryCatalogue().open, ".a")
        error = self.assertRaises(Absent, MemoryCatalogue(hidden=True).open, ".a")
        self.assertEqual(str(error), "there is no file '.a'")
