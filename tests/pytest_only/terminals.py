"""Commands on a terminal of their own, and what a person sees there."""

import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pytest_only.processes import LAB, PATIENCE


class Screen:
    """What a person sees and types."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seen = ""

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.fd, text.encode())

    def until(self, pattern: str) -> str:
        """What is seen until this is."""
        while not (found := re.search(pattern, self.seen)):
            assert select.select([self.fd], [], [], PATIENCE)[0], self.seen
            self.seen += os.read(self.fd, 65_536).decode()
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before


@contextmanager
def terminal(
    *words: str, cwd: Path, program: str = LAB
) -> Iterator[tuple[Screen, "subprocess.Popen[bytes]"]]:
    """A command on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (program, *words), cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Screen(ours), process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        os.close(ours)
