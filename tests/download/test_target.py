"""The file that a download becomes."""

import errno
import os
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Part
from lab.download import landing
from lab.download.disk import Disk
from lab.download.kinds import KINDS
from lab.download.landing import Landing
from lab.download.outcomes import InUse, NoRoom
from lab.download.target import Stopped, Target, Version
from lab.download.wire import tag
from lab.errors import LocalError
from tests.download.disks import Crashed, MemoryDisk
from tests.download.servers import digest, sha256
from tests.helpers import folder

PIECE = 10
TIME = 10**18
WHERE = Path("/data/out")
PART = Path("/data/.out.part")


def version(data: bytes, kind: str = "sha256") -> Version:
    """Of these bytes."""
    pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
    digests = b"".join(digest(piece, kind) for piece in pieces)
    return Version(len(data), PIECE, digests, kind, sha256(data).hex())


def fill(target: Target, data: bytes, have: list[int], pieces: Any = None) -> list[int]:
    """Store pieces that are not there; returns those that are wrong."""
    wanted, wrong = version(data), []
    for piece in range(wanted.count) if pieces is None else pieces:
        if piece not in have:
            one = wanted.landing(piece)
            if not target.store(one, [data[one.offset : one.offset + one.length]]):
                wrong.append(piece)
    return wrong


def make(disk: Disk, data: bytes, path: Path = WHERE) -> list[int]:
    """Make a file; returns the pieces that were there."""
    target = Target(path, disk)
    try:
        target.look()
        have = target.begin(version(data), ())
        assert not fill(target, data, have)
        target.finish(TIME)
        return have
    finally:
        target.close()


class WholeTests(SynchronousTestCase):
    """Files that become whole."""

    def setUp(self) -> None:
        """A folder."""
        self.path = folder(self) / "out"
        self.part = self.path.with_name(".out.part")

    def test_sizes(self) -> None:
        """Nothing, a byte, whole pieces, and a byte more."""
        for size in (0, 1, PIECE, 3 * PIECE, 3 * PIECE + 1):
            data = bytes(range(size))
            make(Disk(), data, self.path)
            self.assertEqual(self.path.read_bytes(), data)
            self.assertEqual(self.path.stat().st_mtime_ns, TIME)
            self.assertFalse(self.part.exists())

    def test_resumed(self) -> None:
        """What was got is found, wherever it is; nothing else has to be there."""
        data = bytes(range(95))
        target = Target(self.path)
        target.begin(version(data), ())
        fill(target, data, [], [1, 2, 9])
        target.close()
        target.close()
        target = Target(self.path)
        self.assertEqual(target.begin(version(data), ()), [1, 2, 9])
        self.assertEqual(target.found, 25)
        target.close()
        self.assertEqual(make(Disk(), data, self.path), [1, 2, 9])
        self.assertEqual(self.path.read_bytes(), data)

    def test_there(self) -> None:
        """A target that is right is left as it is."""
        self.path.write_bytes(b"x" * 25)
        before = self.path.stat()
        self.assertEqual(make(Disk(), b"x" * 25, self.path), [0, 1, 2])
        self.assertEqual(tag(self.path.stat()), tag(before))
        target = Target(self.path)
        target.begin(version(b"x" * 25), ())
        self.assertEqual(target.sha256(), sha256(b"x" * 25).hex())

    def test_replaced(self) -> None:
        """One that differs is replaced when the new one is whole; what is equal is taken over."""
        old, new = b"a" * 20 + b"b" * 20, b"a" * 20 + b"c" * 15
        self.path.write_bytes(old)
        self.path.chmod(0o600)
        target = Target(self.path)
        self.assertEqual(target.begin(version(new), ()), [0, 1])
        fill(target, new, [0, 1])
        self.assertEqual(target.sha256(), sha256(new).hex())
        self.assertEqual(self.path.read_bytes(), old)
        target.finish(TIME)
        target.close()
        self.assertEqual(self.path.read_bytes(), new)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_longer(self) -> None:
        """A target with more behind its right pieces is replaced; so is a longer part cut."""
        self.path.write_bytes(b"a" * 40)
        self.part.write_bytes(b"a" * 100)
        self.assertEqual(make(Disk(), b"a" * 25, self.path), [0, 1, 2])
        self.assertEqual(self.path.read_bytes(), b"a" * 25)

    def test_another_version(self) -> None:
        """It may begin again with another version; what is equal in both is kept."""
        target = Target(self.path)
        old, new = b"a" * 30, b"a" * 10 + b"b" * 20
        target.begin(version(old), ())
        fill(target, old, [])
        self.assertEqual(target.begin(version(new), ()), [0])
        fill(target, new, [0])
        target.finish(TIME)
        target.close()
        self.assertEqual(self.path.read_bytes(), new)

    def test_link(self) -> None:
        """A link at the target is replaced, and what it leads to is left alone."""
        other = self.path.with_name("other")
        other.write_bytes(b"other")
        self.path.symlink_to(other)
        make(Disk(), b"new", self.path)
        self.assertEqual((self.path.is_symlink(), other.read_bytes()), (False, b"other"))

    def test_changes_meanwhile(self) -> None:
        """What is taken over from the target is checked again: it may be written to."""
        disk = MemoryDisk()
        disk.put(WHERE, b"a" * 25)
        read = disk.read
        reads: list[int] = []

        def change(file: int, room: memoryview, offset: int) -> int:
            """After three reads there is something else."""
            reads.append(offset)
            if len(reads) <= 3:
                return read(file, room, offset)
            room[:] = b"z" * len(room)
            return len(room)

        disk.read = change  # type: ignore[method-assign]
        target = Target(WHERE, disk)
        self.assertEqual(target.begin(version(b"a" * 20 + b"b" * 5), ()), [])


class PlacedTests(SynchronousTestCase):
    """Pieces of which others have put something into the file."""

    def setUp(self) -> None:
        """A file of which nothing is there."""
        self.target = Target(folder(self) / "out")
        self.addCleanup(self.target.close)
        self.data = bytes(range(25))
        self.version = version(self.data)

    def begin(self) -> int:
        """Begin; returns the number of the file."""
        self.target.begin(self.version, ())
        part = self.target.room(self.landing(0))
        assert part is not None
        return part.fd

    def landing(self, piece: int, *, direct: bool = True) -> Landing:
        """One that may be put there."""
        one = self.version.landing(piece)
        one.direct = direct
        return one

    def test_room(self) -> None:
        """Where the rest of a piece is; nowhere for others, or before there is a file."""
        one = self.landing(1)
        self.assertIsNone(self.target.room(one))
        number = self.begin()
        one.placed(3, "a")
        self.assertEqual(self.target.room(one), Part(number, 13, 7))
        self.assertIsNone(self.target.room(self.landing(1, direct=False)))
        one.dropped = True
        self.assertIsNone(self.target.room(one))

    def test_no_file_of_the_system(self) -> None:
        """Nor where the system knows no such file."""
        target = Target(WHERE, MemoryDisk())
        target.begin(self.version, ())
        self.assertIsNone(target.room(self.landing(0)))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.booleans(), min_size=10, max_size=10), st.booleans())
    def test_mixed(self, ways: list[bool], right: bool) -> None:  # noqa: FBT001 - drawn
        """Whichever bytes are there and which are brought: all count, and are there in the end."""
        number = self.begin()
        os.pwrite(number, bytes(10), 10)
        one = self.landing(1)
        data = self.data[10:20] if right else self.data[9:19]
        for at, placed in enumerate(ways):
            if placed:
                os.pwrite(number, data[at : at + 1], 10 + at)
                one.placed(1, "a")
            else:
                one.add(data[at : at + 1], "a")
        self.assertEqual(self.target.store(one, one.batch()[0]), right)
        there = os.pread(number, 10, 10)
        kept = bytes(byte if placed else 0 for byte, placed in zip(data, ways, strict=True))
        self.assertEqual(there, data if right else kept)
        self.target.close()
        self.target.part.unlink()

    def test_gone(self) -> None:
        """What somebody has cut from the file is not there."""
        number = self.begin()
        os.ftruncate(number, 12)
        one = self.landing(1)
        one.placed(10, "a")
        self.assertFalse(self.target.store(one, one.batch()[0]))

    def test_two_at_a_time(self) -> None:
        """Each of those who read has a room of its own; it is used again."""
        number = self.begin()
        os.pwrite(number, self.data, 0)
        one, other = (self.target._bytes(number, at, 5) for at in (0, 10))
        found = [next(one), next(other)]
        self.assertEqual([bytes(room) for room in found], [self.data[:5], self.data[10:15]])
        self.assertEqual([*one, *other], [])
        self.assertEqual(len(self.target._rooms), 2)
        self.assertEqual([bytes(x) for x in self.target._bytes(number, 5, 5)], [self.data[5:10]])
        self.assertEqual(len(self.target._rooms), 2)


class PieceTests(SynchronousTestCase):
    """What is stored of a piece."""

    def setUp(self) -> None:
        """A file of which nothing is there."""
        self.disk = MemoryDisk(most=3)
        self.target = Target(WHERE, self.disk)
        self.data = bytes(range(25))
        self.version = version(self.data)
        self.target.begin(self.version, ())

    def test_right(self) -> None:
        """It is written, however little the system takes at once."""
        self.assertTrue(
            self.target.store(self.version.landing(1), [b"\n\x0b\x0c", self.data[13:20]])
        )
        self.assertEqual(self.disk.content(PART), bytes(10) + self.data[10:20] + bytes(5))

    def test_flushed(self) -> None:
        """It begins to go to the disk when it is right, and not before."""
        seen: list[tuple[int, int]] = []
        self.patch(self.disk, "flush", lambda file, *where: seen.append(where))
        self.target.store(self.version.landing(0), [b"0123456789"])
        one = self.version.landing(1)
        self.target.store(one, [self.data[10:14]])
        self.assertEqual(seen, [])
        self.target.store(one, [self.data[14:20]])
        self.assertEqual(seen, [(10, 10)])

    def test_wrong(self) -> None:
        """Nothing of it is written."""
        self.assertFalse(self.target.store(self.version.landing(1), [b"0123456789"]))
        self.assertEqual(self.disk.content(PART), bytes(25))

    def test_in_parts(self) -> None:
        """A large one is written as it comes; its last part says whether it is right."""
        one = self.version.landing(0)
        self.assertFalse(self.target.store(one, [self.data[:4]]))
        self.assertTrue(self.target.store(one, [self.data[4:10]]))
        other = self.version.landing(2)
        self.assertFalse(self.target.store(other, [b"zz"]))
        self.assertFalse(self.target.store(other, [self.data[22:25]]))
        self.assertEqual(self.disk.content(PART), self.data[:10] + bytes(10) + b"zz" + bytes(3))

    def test_dropped(self) -> None:
        """What nobody wants any more is not written."""
        one = self.version.landing(0)
        one.dropped = True
        self.assertFalse(self.target.store(one, [self.data[:10]]))
        self.assertEqual(self.disk.content(PART), bytes(25))


class RefusalTests(SynchronousTestCase):
    """Targets that can't be; each in one line that names it."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = folder(self)

    def refusal(self, path: Path, disk: Disk | None = None) -> str:
        """Why there can be no file."""
        error = self.assertRaises(LocalError, Target(path, disk or Disk()).look)
        self.assertIn(repr(str(path)), str(error))
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_places(self) -> None:
        """Folders, devices, names that are too long, and places that are not there."""
        (self.folder / "file").touch()
        os.mkfifo(self.folder / "fifo")
        (self.folder / ".x.part").mkdir()
        (self.folder / ".y.part").symlink_to("x")
        for name, text in (
            ("", "is a directory"),
            ("missing/out", "is no directory"),
            ("file/out", "is no directory"),
            ("fifo", "is no ordinary file"),
            ("x", ".x.part' is a directory"),
            ("y", ".y.part' is no ordinary file"),
            ("n" * 252, "too long for this directory"),
        ):
            self.assertIn(text, self.refusal(self.folder / name))
        for path in ("/", "a\0b"):
            self.assertRaises(LocalError, Target, Path(path))

    def test_not_writable(self) -> None:
        """A folder that we may not write to."""
        disk = MemoryDisk()
        disk.may_write = lambda folder: False  # type: ignore[method-assign]
        self.assertIn("is not writable", self.refusal(WHERE, disk))

    def test_system(self) -> None:
        """What else the system has against it is in its words, with the place if it is another."""
        disk = MemoryDisk()
        disk.broken["look"] = errno.EACCES
        self.assertIn("; Permission denied", self.refusal(WHERE, disk))
        target = Target(self.folder / "out")
        target.part = self.folder / "missing" / ".out.part"
        error = self.assertRaises(LocalError, target.begin, version(b"x"), ())
        self.assertRegex(str(error), r"No such file or directory \(.*missing/.out.part\)")

    def test_served(self) -> None:
        """The very file that it comes from is not downloaded to."""
        path = self.folder / "out"
        path.write_bytes(b"x")
        target = Target(path)
        error = self.assertRaises(LocalError, target.begin, version(b"x"), {tag(path.stat())})
        self.assertIn("the very file that is served", str(error))

    def test_unreadable(self) -> None:
        """One that we may not read is replaced all the same."""
        disk = MemoryDisk()
        disk.put(WHERE, b"old")
        opened = disk.open

        def refuse(path: Path, *, make: bool) -> int:
            """Only what we make is ours."""
            if not make:
                raise PermissionError(errno.EACCES, "no")
            return opened(path, make=make)

        disk.open = refuse  # type: ignore[method-assign]
        make(disk, b"new")
        self.assertEqual(disk.content(WHERE), b"new")

    def test_two(self) -> None:
        """Two can't download to one target; what the first has is not touched."""
        first, second = (Target(self.folder / "out") for _ in range(2))
        first.begin(version(b"x"), ())
        error = self.assertRaises(InUse, second.begin, version(b"y"), ())
        self.assertIn("somebody else is downloading to it", str(error))
        second.close()
        first.close()

    def test_just_finished(self) -> None:
        """Who gets the lock of a file that has just been moved away tries again."""
        disk = MemoryDisk()
        lock = disk.lock
        changes: Any = iter(
            [lambda: disk.move(PART, WHERE), lambda: disk.put(PART, b"another"), lambda: None]
        )

        def late(file: int) -> None:
            """The other one finishes meanwhile, and another begins."""
            lock(file)
            next(changes)()

        disk.lock = late  # type: ignore[method-assign]
        target = Target(WHERE, disk)
        self.assertEqual(target.begin(version(b"x"), ()), [])
        self.assertEqual(disk.calls.count("lock"), 3)
        self.assertEqual(len(disk.files), 1)

    def test_never_free(self) -> None:
        """Not for ever."""
        disk = MemoryDisk()
        lock = disk.lock

        def late(file: int) -> None:
            """Each time it is gone."""
            lock(file)
            disk.names.clear()

        disk.lock = late  # type: ignore[method-assign]
        self.assertRaises(InUse, Target(WHERE, disk).begin, version(b"x"), ())
        self.assertEqual(disk.files, {})

    def test_lock_fails(self) -> None:
        """A file system without locks says so, and nothing stays open."""
        disk = MemoryDisk()
        disk.broken["lock"] = errno.ENOLCK
        error = self.assertRaises(LocalError, Target(WHERE, disk).begin, version(b"x"), ())
        self.assertIn("No locks available", str(error))
        self.assertEqual(disk.files, {})


class RoomTests(SynchronousTestCase):
    """Disks that are full."""

    def test_before(self) -> None:
        """It is told before anything is fetched, with both numbers."""
        disk = MemoryDisk(capacity=5000)
        target = Target(WHERE, disk)
        error = self.assertRaises(NoRoom, target.begin, version(bytes(9000)), ())
        self.assertIn("it needs 9,000 bytes, and 5,000 are free; what was got is kept", str(error))
        target.close()

    def test_meanwhile(self) -> None:
        """It may be full later, where space can't be reserved; how much is free is not known."""
        disk = MemoryDisk()
        disk.broken["write"] = disk.broken["free"] = errno.EDQUOT
        target = Target(WHERE, disk)
        target.begin(version(b"x"), ())
        error = self.assertRaises(NoRoom, fill, target, b"x", [])
        self.assertIn("Disk quota exceeded: it needs 1 bytes, and an unknown number", str(error))

    def test_sync_fails(self) -> None:
        """What the disk does not take for sure is not put at the target."""
        disk = MemoryDisk()
        disk.put(WHERE, b"old")
        disk.broken["sync"] = errno.EIO
        self.assertRaises(LocalError, make, disk, b"new")
        self.assertEqual(disk.content(WHERE), b"old")


class CrashTests(SynchronousTestCase):
    """The computer crashes."""

    def test_anywhere(self) -> None:
        """Before each call that changes something: the target is old or new, and never else."""
        old, new = b"o" * 35, b"o" * 10 + b"n" * 31
        seen: dict[bytes | None, int] = {}
        for before in (None, old):
            for fuse in range(40):
                for seed in range(4):
                    disk = MemoryDisk(most=7, fuse=fuse)
                    if before is not None:
                        disk.put(WHERE, before)
                    try:
                        make(disk, new)
                    except Crashed:
                        disk.crash(Random(seed))
                    state = disk.content(WHERE)
                    self.assertIn(state, {before, new})
                    seen[state] = seen.get(state, 0) + 1
                    disk.fuse = -1
                    make(disk, new)
                    disk.crash(Random(seed))
                    self.assertEqual(disk.content(WHERE), new)
        self.assertEqual(set(seen), {None, old, new})


class StopTests(SynchronousTestCase):
    """Work that is not wanted any more."""

    def test_stopped(self) -> None:
        """What reads long files ends soon."""
        disk = MemoryDisk()
        disk.put(PART, bytes(100))
        target = Target(WHERE, disk)
        target.stopped = True
        self.assertRaises(Stopped, target.begin, version(bytes(100)), ())
        target.close()
        self.assertEqual(disk.files, {})

    def test_short(self) -> None:
        """A file that ends before its size is not read for ever."""
        disk = MemoryDisk()
        disk.put(WHERE, bytes(25))
        disk.read = lambda file, size, offset: b""  # type: ignore[method-assign]
        self.assertEqual(Target(WHERE, disk).begin(version(bytes(25)), ()), [])

    def test_not_begun(self) -> None:
        """Nothing to finish, nothing to close."""
        target = Target(WHERE, MemoryDisk())
        target.finish(TIME)
        target.close()
        self.assertEqual(target._size, 0)


class VersionTests(SynchronousTestCase):
    """What the file has to be."""

    def test_pieces(self) -> None:
        """The last is what is left."""
        wanted = version(bytes(25))
        self.assertEqual([wanted.length(piece) for piece in range(wanted.count)], [10, 10, 5])
        one = wanted.landing(2)
        self.assertEqual((one.offset, one.length, one.digest), (20, 5, sha256(bytes(5))))
        self.assertLess(wanted.length(2), landing.BATCH)

    def test_same_file(self) -> None:
        """Lists of one kind are compared, whatever is said of the file; others by what is said."""
        for kind, other in (("sha256", "blake3"), ("blake3", "sha256")):
            one, said = version(b"1" * 25, kind), sha256(b"2" * 25).hex()
            self.assertTrue(one.same_file(version(b"1" * 25, kind)))
            self.assertTrue(one.same_file(evolve(one, sha256=said)))
            self.assertFalse(one.same_file(version(b"2" * 25, kind)))
            self.assertTrue(one.same_file(version(b"1" * 25, other)))
            self.assertFalse(one.same_file(evolve(version(b"1" * 25, other), sha256=said)))
            self.assertFalse(one.same_file(evolve(version(b"1" * 25, other), size=26)))

    def test_kinds(self) -> None:
        """Pieces that are there are found by lists of any kind."""
        for kind in KINDS:
            disk = MemoryDisk()
            self.assertEqual(make(disk, bytes(25)), [])
            target = Target(WHERE, disk)
            self.addCleanup(target.close)
            self.assertEqual(target.begin(version(bytes(20) + b"1" * 5, kind), ()), [0, 1])
            one = target._version.landing(2)  # type: ignore[union-attr]
            self.assertFalse(target.store(one, [b"2" * 5]))
            one = target._version.landing(2)  # type: ignore[union-attr]
            self.assertTrue(target.store(one, [b"1" * 5]))
