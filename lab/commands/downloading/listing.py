"""Lists of files, those of a server and those of a folder here: for people, and for programs."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lab.commands.conversation.session import printable
from lab.download.wire import Entry
from lab.errors import LocalError


def show_time(mtime_ns: int) -> str:
    """
    A time of UTC, as ISO 8601 has it; ``-`` if there is no such year.

    >>> show_time(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20Z'
    """
    try:
        return f"{datetime.fromtimestamp(mtime_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return "-"


def table(entries: Iterable[Entry]) -> str:
    """
    Size in bytes, time and name of each; nothing in a name moves a cursor.

    >>> print(table([Entry(1200, 0, "a"), Entry(7, 0, "b")]))
    1,200  1970-01-01T00:00:00Z  a
        7  1970-01-01T00:00:00Z  b
    """
    rows = [(f"{one.size:,}", show_time(one.mtime_ns), printable(one.name)) for one in entries]
    wide = max((len(row[0]) for row in rows), default=0)
    long = max((len(row[1]) for row in rows), default=0)
    return "\n".join(f"{size:>{wide}}  {time:{long}}  {name}" for size, time, name in rows)


def as_json(entry: Entry) -> str:
    """One entry as an object; the time also in nanoseconds since 1970."""
    found: dict[str, Any] = {"name": entry.name, "size": entry.size}
    found |= {"time": show_time(entry.mtime_ns), "mtime_ns": entry.mtime_ns}
    return json.dumps(found)


def shown(glob: str, name: str) -> bool:
    """
    Whether a name is one that a pattern of a person's means: hidden ones only if it says so.

    >>> shown("*", ".profile"), shown(".p*", ".profile"), shown("*", "a/.b"), shown("a/*", "a/b")
    (False, True, False, True)
    """
    dots = [part.startswith(".") for part in name.split("/")]
    wanted = any(part.startswith(".") for part in glob.split("/"))
    return fnmatchcase(name, glob) and (wanted or not any(dots))


def below(folder: Path, name: str) -> Path:
    """
    The folder that a person means.

    Args:
        folder: Where the person is.
        name: Relative to that, or not; ``~`` is the user's.

    Raises:
        LocalError: There is no such user.
    """
    try:
        return folder / Path(name).expanduser()
    except RuntimeError:
        raise LocalError(f"folder is {name!r}; there is no such user") from None


def local(folder: Path, glob: str = "*") -> list[Entry]:
    """
    What is in a folder, sorted by name; names of folders end in ``/``.

    Args:
        folder: Which.
        glob: A pattern of names.

    Raises:
        LocalError: It can't be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = [_entry(one) for one in found if shown(glob, one.name)]
    except OSError as error:
        raise LocalError(f"folder is {str(folder)!r}; {error.strerror}") from None
    return sorted(entries, key=lambda entry: entry.name)


def _entry(found: os.DirEntry[str]) -> Entry:
    """One of a folder; a link is itself if it leads nowhere."""
    try:
        status = found.stat()
    except OSError:
        status = found.stat(follow_symlinks=False)
    name = f"{found.name}/" if found.is_dir() else found.name
    return Entry(status.st_size, status.st_mtime_ns, name)
