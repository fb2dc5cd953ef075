"""
What a client has received, in a file: another process can go on with it.

The file has the server's own lines, ``session`` and then each ``number``. A line is written as soon
as the number is there, before anybody is told of it: a process that is killed may have told less
than the file has, but none tells a number twice. What is written outlives the process, not a loss
of power.
"""

import errno
import fcntl
import os
from pathlib import Path

from attrs import define, field

from lab.errors import LocalError
from lab.sequence import wire
from lab.sequence.wire import Number, Session


@define(eq=False)
class StateFile:
    """
    The file of one client. It has the key of the session, and only its owner may read it.

    Args:
        path: Where it is, or is to be; no other process may have it open as a `StateFile`.

    Attributes:
        session: The session that it has; None for none.
        numbers: The numbers of it, in their order.

    Raises:
        LocalError: It can't be opened, somebody else has it, or it is none.
    """

    path: Path
    session: Session | None = field(init=False, default=None)
    numbers: tuple[int, ...] = field(init=False, default=())
    _file: int = field(init=False, default=-1)

    def __attrs_post_init__(self) -> None:
        """Open it, and read what is there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(self.path, flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = self.path.read_bytes()
        except BlockingIOError:
            self.close()
            raise LocalError(f"state is {str(self.path)!r}; another process has it") from None
        except OSError as error:
            raise LocalError(f"state is {str(self.path)!r}; {error.strerror}") from None
        try:
            self._read(data)
        except LocalError:
            self.close()
            raise

    def keep(self, event: Session | Number) -> None:
        """
        Add a session, which is a new beginning, or a number.

        Raises:
            OSError: It can't be written.
        """
        if isinstance(event, Session):
            os.ftruncate(self._file, 0)
        line = wire.encode(event) + b"\n"
        # One write, without a buffer of ours: what was written is the kernel's.
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self) -> None:
        """The sequence is over: nobody has to go on with it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it; it stays where it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, data: bytes) -> None:
        """Take over what is there; a last line without an ending was not written to its end."""
        *lines, rest = data.split(b"\n")
        numbers, n = list[int](), 0
        for place, line in enumerate(lines, 1):
            try:
                found = wire.read_server(line)
            except wire.WireError as error:
                raise self._none(place, str(error)) from None
            if isinstance(found, Session) and place == 1:
                self.session, n = found, found.n
            elif isinstance(found, Number) and found.index == len(numbers) < n:
                numbers.append(found.value)
            else:
                raise self._none(place, "it is out of place")
        if rest and not lines and not b"session ".startswith(rest[:8]):
            raise self._none(1, "it is no session")
        self.numbers = tuple(numbers)
        os.ftruncate(self._file, len(data) - len(rest))

    def _none(self, place: int, why: str) -> LocalError:
        """What is there is something else, and is left as it is."""
        return LocalError(f"state is {str(self.path)!r}; line {place} can't be read: {why}")
