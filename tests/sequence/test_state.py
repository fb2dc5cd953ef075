"""What a client has received, in a file."""

import errno
import os
import stat
from pathlib import Path

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.sequence.state import StateFile
from lab.sequence.wire import Number, Session, encode
from tests.helpers import folder

SESSION = Session("1" * 32, bytes(16), 20, 0.5)
VALUES = (7, 8, 4294967295)
LINES = [encode(SESSION), *(encode(Number(index, value)) for index, value in enumerate(VALUES))]
WHOLE = b"\n".join(LINES) + b"\n"


class StateTests(SynchronousTestCase):
    """Files of all kinds."""

    def setUp(self) -> None:
        """A place for one."""
        self.path = folder(self) / "a.state"

    def open(self) -> StateFile:
        """Open it, and close it at the end."""
        state = StateFile(self.path)
        self.addCleanup(state.close)
        return state

    def test_new(self) -> None:
        """There is none yet: it is made, and only its owner may read it."""
        state = self.open()
        self.assertEqual((state.session, state.numbers), (None, ()))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_goes_on(self) -> None:
        """What one process keeps, the next one has, without the first having closed anything."""
        state = self.open()
        state.keep(SESSION)
        for index, value in enumerate(VALUES):
            state.keep(Number(index, value))
        self.assertEqual(self.path.read_bytes(), WHOLE)
        state.close()
        again = self.open()
        self.assertEqual((again.session, again.numbers), (SESSION, VALUES))
        again.keep(Number(3, 1))
        self.assertEqual(self.path.read_bytes(), WHOLE + b"number 3 1\n")

    def test_new_beginning(self) -> None:
        """A session takes the place of the one before, with all its numbers."""
        self.path.write_bytes(WHOLE)
        other = Session("2" * 32, bytes(16), 5, 1.0)
        self.open().keep(other)
        self.assertEqual(self.path.read_bytes(), encode(other) + b"\n")

    def test_remove(self) -> None:
        """It is over: there is no file, and closing it twice does nothing."""
        state = self.open()
        state.remove()
        state.close()
        self.assertFalse(self.path.exists())

    @given(st.integers(0, len(WHOLE)))
    def test_killed_at_any_byte(self, size: int) -> None:
        """A last line that was not written to its end is taken for not there."""
        self.path.write_bytes(WHOLE[:size])
        state = StateFile(self.path)
        ends = [end for end in range(size + 1) if WHOLE[end - 1 : end] == b"\n"]
        self.assertEqual(state.session, SESSION if ends else None)
        self.assertEqual(state.numbers, VALUES[: max(0, len(ends) - 1)])
        self.assertEqual(self.path.read_bytes(), WHOLE[: ends[-1] if ends else 0])
        state.close()

    @given(st.binary(max_size=300))
    def test_anything(self, data: bytes) -> None:
        """What is something else is told so, and is left as it was."""
        self.path.write_bytes(data)
        try:
            StateFile(self.path).close()
        except LocalError:
            self.assertEqual(self.path.read_bytes(), data)

    def test_something_else(self) -> None:
        """One line says where, and why."""
        for data, text in (
            (b"hello", "line 1 can't be read: it is no session"),
            (b"hello\n", "line 1 can't be read: line begins with 'hello'"),
            (LINES[1] + b"\n", "line 1 can't be read: it is out of place"),
            (WHOLE + LINES[1] + b"\n", "line 5 can't be read: it is out of place"),
            (WHOLE + LINES[0] + b"\n", "line 5 can't be read: it is out of place"),
            (encode(evolve(SESSION, n=2)) + WHOLE[len(LINES[0]) :], "line 4 can't be read: it is"),
            (LINES[0] + b"\nnumber 0\n", "line 2 can't be read: number has 1 words"),
        ):
            self.path.write_bytes(data)
            error = self.assertRaises(LocalError, StateFile, self.path)
            self.assertIn(text, str(error))
            self.assertEqual(self.path.read_bytes(), data)

    def test_no_space(self) -> None:
        """A line that can't be written to its end is an error."""
        state = self.open()
        write = os.write
        self.patch(os, "write", lambda file, data: write(file, data[:5]))
        error = self.assertRaises(OSError, state.keep, SESSION)
        self.assertEqual(error.errno, errno.ENOSPC)

    def test_locked(self) -> None:
        """Two processes can't both go on with it."""
        self.path.write_bytes(WHOLE)
        self.open()
        error = self.assertRaises(LocalError, StateFile, self.path)
        self.assertEqual(str(error), f"state is {str(self.path)!r}; another process has it")
        self.assertEqual(self.path.read_bytes(), WHOLE)

    def test_no_place(self) -> None:
        """Where none can be is told in one line."""
        for path, text in (
            (self.path / "a", "No such file or directory"),
            (self.path.parent, "Is a directory"),
            (Path("/proc/self/mem/x"), "Not a directory"),
        ):
            error = self.assertRaises(LocalError, StateFile, path)
            self.assertEqual(str(error), f"state is {str(path)!r}; {text}")
