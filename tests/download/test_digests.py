"""SHA-256 of files and their pieces."""

import hashlib
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download import digests as module
from lab.download import wire
from lab.download.digests import Cache, Digests, digest
from lab.download.kinds import KINDS
from lab.download.memory import MemoryCatalogue
from lab.download.wire import Hashed, Refused, Status, Working
from tests.download.servers import digest as digest_of


def run(steps: Any) -> tuple[list[Working], Any]:
    """All steps, and what was found."""
    taken: list[Working] = []
    while True:
        try:
            taken.append(next(steps))
        except StopIteration as stop:
            return taken, stop.value


class DigestTests(SynchronousTestCase):
    """A file is read."""

    @settings(deadline=None, max_examples=50)
    @given(
        st.integers(0, 70),
        st.integers(1, 9),
        st.integers(1, 20),
        st.integers(1, 30),
        st.sampled_from([*KINDS]),
    )
    def test_pieces(self, size: int, piece: int, slice: int, pieces: int, kind: str) -> None:
        """Whatever the sizes of pieces and slices, the digests are those of the bytes."""
        data = bytes(range(size))
        with settings_of(PIECE=piece, PIECES=pieces), slices(slice):
            steps, found = run(digest(MemoryCatalogue({"a": data}), "a", kind))
            piece = wire.piece_size(size)
        self.assertEqual(found.whole, hashlib.sha256(data).digest())
        expected = [digest_of(data[start : start + piece], kind) for start in range(0, size, piece)]
        self.assertEqual(found.pieces, b"".join(expected))
        self.assertEqual([step.done for step in steps][-1:], [size] if size else [])
        self.assertEqual(len(steps), -(-size // slice))

    def test_replies(self) -> None:
        """What was found is told as the wire wants it."""
        files = MemoryCatalogue()
        files.put("a", b"abc", mtime_ns=7)
        _, found = run(digest(files, "a"))
        tag, whole = files.open("a").tag, hashlib.sha256(b"abc").hexdigest()
        self.assertEqual(found.status(), Status(3, 7, tag, whole))
        self.assertEqual(found.hashed(), Hashed(3, tag, 2**20, 1))
        _, found = run(digest(files, "a", "blake3"))
        self.assertEqual(found.status(), Status(3, 7, tag, whole))
        self.assertEqual(found.hashed(), Hashed(3, tag, 2**20, 1, "blake3"))

    def test_known(self) -> None:
        """What is known of the version is not computed again; of another it is."""
        files = MemoryCatalogue({"a": b"abc"})
        known = Digests(3, 0, files.open("a").tag, b"known", b"")
        _, found = run(digest(files, "a", "blake3", known))
        self.assertEqual((found.whole, found.pieces), (b"known", digest_of(b"abc", "blake3")))
        files.write("a", b"123")
        _, found = run(digest(files, "a", "blake3", known))
        self.assertEqual(found.whole, hashlib.sha256(b"123").digest())

    def changing(self, times: int) -> tuple[MemoryCatalogue, Any]:
        """What is found of a file that is written to so many times while it is read."""
        files = MemoryCatalogue({"a": b"0"})
        steps = digest(files, "a")
        for time in range(times):
            next(steps)
            files.write("a", b"%d" % (time + 1))
        return files, run(steps)[1]

    def test_changed(self) -> None:
        """A file that changes is read again, and what is told is of one version."""
        files, found = self.changing(2)
        self.assertEqual(found.whole, hashlib.sha256(b"2").digest())
        self.assertEqual(found.tag, files.open("a").tag)

    def test_changing(self) -> None:
        """One that does not stop changing is given up."""
        _, found = self.changing(3)
        self.assertEqual(found, Refused(409, "'a' was written to while it was read, 3 times"))

    def test_shorter(self) -> None:
        """One that becomes shorter is read again, too."""
        with slices(2):
            files = MemoryCatalogue({"a": b"12345"})
            steps = digest(files, "a")
            next(steps)
            files.write("a", b"1")
            self.assertEqual(run(steps)[1].size, 1)

    def test_closed(self) -> None:
        """Who wants no more closes the file with it."""
        closed = []
        files = MemoryCatalogue({"a": b"1"})
        file: Any = files.open("a")

        class Watched:
            """A file that tells when it is closed."""

            size, mtime_ns, tag = 1, 0, ""
            read, expect = file.read, file.expect

            def close(self) -> None:
                """It is."""
                closed.append(True)

        stand_in: Any = Watched()
        self.patch(MemoryCatalogue, "open", lambda *_: stand_in)
        steps = digest(files, "a")
        next(steps)
        self.assertEqual(closed, [])
        steps.close()
        self.assertEqual(closed, [True])


class _Patched:
    """Numbers that are others for a while."""

    def __init__(self, module: Any, **numbers: int) -> None:
        self._module, self._numbers = module, numbers

    def __enter__(self) -> None:
        self._before = {name: getattr(self._module, name) for name in self._numbers}
        vars(self._module).update(self._numbers)

    def __exit__(self, *_: object) -> None:
        vars(self._module).update(self._before)


def settings_of(**numbers: int) -> _Patched:
    """Others of the wire's."""
    return _Patched(wire, **numbers)


def slices(size: int) -> _Patched:
    """Other slices."""
    return _Patched(module, SLICE=size)


def found(tag: str, pieces: int = 0) -> Digests:
    """Something to keep."""
    return Digests(0, 0, tag, b"", b"x" * 32 * pieces)


class CacheTests(SynchronousTestCase):
    """What is kept."""

    def test_found(self) -> None:
        """Of this version, and of no other."""
        cache = Cache(10_000)
        cache.keep("a", found("1"))
        self.assertEqual(cache.find("a", "1"), found("1"))
        self.assertIsNone(cache.find("a", "2"))
        self.assertIsNone(cache.find("b", "1"))

    def test_kinds(self) -> None:
        """Each kind is kept for itself; who says none has any."""
        cache = Cache(10_000)
        plain = found("1")
        other = evolve(plain, kind="blake3")
        cache.keep("a", plain)
        self.assertIsNone(cache.find("a", "1", "blake3"))
        self.assertIs(cache.find("a", "1"), plain)
        cache.keep("a", other)
        self.assertIs(cache.find("a", "1", "blake3"), other)
        self.assertIs(cache.find("a", "1", "sha256"), plain)
        self.assertEqual(len(cache), 2)

    def test_room(self) -> None:
        """What was not asked for longest goes first, and nothing is counted twice."""
        cache = Cache(3 * 604)
        for tag in ("1", "2", "3", "3"):
            cache.keep("a", found(tag))
        cache.find("a", "1")
        cache.keep("a", found("4"))
        self.assertEqual([tag for tag in "1234" if cache.find("a", tag)], ["1", "3", "4"])
        self.assertEqual(len(cache), 3)
        cache.keep("a", found("5", pieces=30))
        self.assertEqual([tag for tag in "12345" if cache.find("a", tag)], ["5"])

    def test_too_large(self) -> None:
        """What can't have room leaves nothing behind."""
        cache = Cache(1000)
        cache.keep("a", found("1", pieces=1000))
        self.assertEqual((len(cache), cache._taken), (0, 0))
