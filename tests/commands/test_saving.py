"""Where characters go."""

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import saving
from lab.commands.saving import Nowhere, Printed, Saved, Spool
from lab.echo.pattern import characters
from lab.errors import LocalError
from tests.commands.echoes import Taken
from tests.helpers import folder

N = 600_000
WHOLE = characters(3, 0, N)


class SinkCase(SynchronousTestCase):
    """Characters, and where they go."""

    def run_to_end(self, coroutine: Any) -> None:
        """A coroutine that waits for nothing."""
        self.successResultOf(Deferred.fromCoroutine(coroutine))


class PrintedTests(SinkCase):
    """Nowhere, and to a reader."""

    def test_nowhere(self) -> None:
        """Nobody wants them."""
        sink = Nowhere()
        self.assertEqual((sink.begin(), sink.write(0, b"a"), sink.close()), (0, None, ""))
        self.run_to_end(sink.finish())

    def test_printed(self) -> None:
        """They are written as they come, and the reader is waited for."""
        out: Any = Taken()
        self.successResultOf(Printed(out).write(0, b"ab"))
        self.assertEqual(out.data, b"ab")

    def test_spooled(self) -> None:
        """In whatever order they come, they are written in theirs, when all are there."""
        out: Any = Taken()
        sink = Spool(out, 100)
        half = N // 2
        sink.write(100 + half, WHOLE[half:])
        sink.write(100, WHOLE[:half])
        self.assertEqual(out.data, b"")
        self.run_to_end(sink.finish())
        self.assertEqual(out.data, WHOLE)
        self.assertEqual(sink.close(), "")


class SavedTests(SinkCase):
    """A file that is whole, or not there."""

    def setUp(self) -> None:
        """Where it will be."""
        self.folder = folder(self)
        self.path, self.part = self.folder / "a", self.folder / "a.part"

    def saved(self, *, resume: bool = False, out: Any = None, path: Path | None = None) -> Saved:
        """A sink."""
        sink = Saved(path or self.path, N, 3, resume, out)
        self.addCleanup(sink.close)
        return sink

    def names(self) -> list[str]:
        """What there is."""
        return [path.name for path in self.folder.iterdir()]

    def refused(self, sink: Saved) -> str:
        """Why it can't begin."""
        error = str(self.assertRaises(LocalError, sink.begin))
        sink.close()
        return error

    def test_whole(self) -> None:
        """It has its name when it is whole, and not before; the mode is that of any file."""
        sink = self.saved()
        self.assertEqual(sink.begin(), 0)
        sink.write(100, WHOLE[100:])
        sink.write(0, WHOLE[:100])
        self.assertEqual(self.names(), ["a.part"])
        self.run_to_end(sink.finish())
        self.assertEqual(sink.close(), "")
        self.assertEqual(self.names(), ["a"])
        self.assertEqual(self.path.read_bytes(), WHOLE)
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o666 & ~mask)

    def test_replaces(self) -> None:
        """What had the name is there until the new one is whole, and a link stays a link."""
        self.path.write_text("before")
        link = self.folder / "link"
        link.symlink_to(self.path)
        sink = self.saved(path=link)
        sink.begin()
        sink.write(0, WHOLE)
        self.assertEqual(self.path.read_text(), "before")
        self.run_to_end(sink.finish())
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.path.read_bytes(), WHOLE)

    def test_printed_as_well(self) -> None:
        """It may be printed from there."""
        out: Any = Taken()
        sink = self.saved(out=out)
        sink.begin()
        sink.write(0, WHOLE)
        self.run_to_end(sink.finish())
        self.assertEqual(out.data, WHOLE)

    def test_interrupted(self) -> None:
        """What there is stays, and it is said where; nothing has the name."""
        sink = self.saved()
        sink.begin()
        sink.write(0, WHOLE[:1000])
        self.assertEqual(sink.close(), f"what came is in {self.part}; --resume goes on with it")
        self.assertEqual(self.names(), ["a.part"])
        self.assertEqual(sink.close(), "")

    def test_nothing_came(self) -> None:
        """Of nothing, nothing stays."""
        sink = self.saved()
        sink.begin()
        self.assertEqual(sink.close(), "")
        self.assertEqual(self.names(), [])

    def test_resume(self) -> None:
        """It goes on behind what is right, whatever follows: zeros of a gap, too much."""
        for there, right in (
            (b"", 0),
            (WHOLE[:1000], 1000),
            (WHOLE[:300_000] + bytes(50) + WHOLE[300_050:400_000], 300_000),
            (WHOLE, N),
            (WHOLE + b"more", N),
            (characters(4, 0, 1000), 16),
        ):
            self.part.write_bytes(there)
            sink = self.saved(resume=True)
            self.assertEqual(sink.begin(), right)
            self.assertEqual(self.part.stat().st_size, right)
            sink.write(right, WHOLE[right:])
            self.run_to_end(sink.finish())
            sink.close()
            self.assertEqual(self.path.read_bytes(), WHOLE)

    def test_without_resume(self) -> None:
        """Otherwise it begins anew."""
        self.part.write_bytes(WHOLE[:1000])
        self.assertEqual(self.saved().begin(), 0)
        self.assertEqual(self.part.stat().st_size, 0)

    def test_changed(self) -> None:
        """What changed on the disk does not get the name."""
        for change in (b"?", b"\0" * N + b"?"):
            sink = self.saved()
            sink.begin()
            sink.write(0, WHOLE)
            with self.part.open("r+b") as file:
                if len(change) > 1:
                    file.seek(N)
                file.write(change[-1:])
            failure = self.failureResultOf(Deferred.fromCoroutine(sink.finish()), LocalError)
            self.assertIn("it has changed at character", str(failure.value))
            sink.close()
            self.assertFalse(self.path.exists())

    def test_one_at_a_time(self) -> None:
        """Two programs don't write one file."""
        self.saved().begin()
        said = f"file is {str(self.part)!r}; another program writes it"
        self.assertEqual(self.refused(self.saved()), said)

    def test_no_plain_file(self) -> None:
        """Folders, devices, pipes, links in our way: nothing is written there."""
        self.assertIn("give the name of a plain file", self.refused(self.saved(path=self.folder)))
        null = self.saved(path=Path("/dev/null"))
        self.assertIn("give the name of a plain file", self.refused(null))
        self.part.symlink_to("/etc/passwd")
        self.assertIn("Too many levels of symbolic links", self.refused(self.saved()))
        self.part.unlink()
        os.mkfifo(self.part)
        self.assertIn("it is no plain file", self.refused(self.saved()))
        none = self.saved(path=self.folder / "none" / "a")
        self.assertIn("No such file or directory", self.refused(none))

    def test_full(self) -> None:
        """A disk that is full is one line; so is one that fails at the end."""
        sink = self.saved()
        sink.begin()
        self.patch(saving.os, "pwrite", self.fail_to)
        error = self.assertRaises(LocalError, sink.write, 0, b"a")
        self.assertEqual(str(error), f"file is {str(self.part)!r}; No space left on device")
        self.patch(saving.os, "pwrite", lambda fd, data, at: os.pwritev(fd, [data[:7000]], at))
        sink.write(0, WHOLE)
        self.patch(saving.os, "fsync", self.fail_to)
        failure = self.failureResultOf(Deferred.fromCoroutine(sink.finish()), LocalError)
        self.assertIn("No space left on device", str(failure.value))

    def fail_to(self, *_: object) -> Any:
        """There is no room."""
        raise OSError(28, "No space left on device")

    def test_reader_is_waited_for(self) -> None:
        """Printing goes at the pace of the reader."""
        out: Any = Taken()
        room: Deferred[None] = Deferred()
        out.drain = lambda: room if len(out.data) < 300_000 else succeed(None)
        sink = Spool(out)
        sink.write(0, WHOLE)
        done = Deferred.fromCoroutine(sink.finish())
        self.assertNoResult(done)
        self.assertEqual(len(out.data), 2**18)
        room.callback(None)
        self.successResultOf(done)
        self.assertEqual(out.data, WHOLE)
        sink.close()
