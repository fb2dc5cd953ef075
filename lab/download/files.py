"""
What the server needs of the files that it serves, wherever they are.

`lab.download.catalogue` has those of a directory, `lab.download.memory` some that are nowhere.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol

from lab.download.names import WrongName
from lab.download.wire import ENTRIES, Entry, Working
from lab.errors import LabError

#: Most bytes of a pattern.
LONGEST_GLOB = 1024
#: So many names are looked at between two looks at whether they are still wanted.
BATCH = 512

#: What is found at once.
Batch = list[Entry]


class Absent(LabError):
    """There is no such file, or none that is served."""


class TooMany(LabError):
    """More files than can be told."""


class Opened(Protocol):
    """
    A file in one version, open for reading.

    Attributes:
        size: In bytes, when it was opened.
        mtime_ns: When it was written, in nanoseconds since 1970.
        tag: The version that was opened.
    """

    size: int
    mtime_ns: int
    tag: str

    def read(self, offset: int, size: int) -> bytes:
        """
        What is there: fewer bytes than that at the end, none behind it.

        Raises:
            OSError: The system can't read it.
        """

    def expect(self, offset: int, size: int) -> None:
        """So many bytes will be read from there, in order."""

    def fileno(self) -> int | None:
        """The number by which the system knows the file; None if it does not."""

    def changed(self) -> bool:
        """Whether it is not the version any more that was opened."""

    def written(self) -> bool:
        """Whether its bytes are others now; not so if it has another name, or none."""

    def close(self) -> None:
        """Read no more of it."""


class Files(Protocol):
    """Files with names, some of them in directories perhaps."""

    def scan(self, glob: str = "*") -> Iterator[Batch]:
        """
        Look for all whose names match, some names at a time.

        Raises:
            WrongName: The pattern is too long.
            TooMany: There are more directories than can be looked at.
            OSError: The system can't read the directory.
        """

    def within(self, directory: str = "") -> Generator[Batch]:
        """
        Look at what is in one directory, some names at a time.

        Args:
            directory: Its name; empty for the one that all are in.

        Yields:
            Files and directories; the names of directories end with a slash.

        Raises:
            WrongName: No directory has that name.
            Absent: There is no such directory.
            TooMany: It has more directories than can be looked at.
            OSError: The system can't read it now.
        """

    def open(self, name: str) -> Opened:
        """
        Open one of them.

        Raises:
            WrongName: Nothing has that name.
            Absent: There is no such file.
            OSError: The system can't open it now.
        """


def matching(glob: str) -> Callable[[str], object]:
    """
    What says of a name whether it matches; ``*`` matches a ``/``, too.

    Raises:
        WrongName: The pattern is too long.
    """
    if len(os.fsencode(glob)) > LONGEST_GLOB:
        raise WrongName(f"the pattern is too long; give at most {LONGEST_GLOB:,} bytes")
    if glob == "*":
        return lambda name: True
    # Not `fnmatch.fnmatch`: it keeps the patterns of many thousand strangers.
    return re.compile(fnmatch.translate(glob)).match


def gather(found: Iterable[Batch]) -> Generator[Working, None, Batch]:
    """
    All that was found, in the order of names.

    Yields:
        How many were found, after each batch.

    Raises:
        TooMany: There are more than a list may have.
    """
    entries: Batch = []
    for batch in found:
        entries += batch
        if len(entries) > ENTRIES:
            raise TooMany(f"more than {ENTRIES:,} files match; give a narrower pattern")
        yield Working(len(entries), len(entries))
    return sorted(entries, key=lambda entry: entry.name)


def collect(found: Iterable[Batch]) -> Batch:
    """The same, all at once."""
    gathering = gather(found)
    while True:
        try:
            next(gathering)
        except StopIteration as stop:
            entries: Batch = stop.value
            return entries
