"""
Lists of files, as they are sent.

`listing` is a generator of steps, as `lab.download.digests.digest` is.
"""

from collections.abc import Generator

from attrs import frozen

from lab.download.files import BATCH, Files, gather
from lab.download.wire import Working, encode


@frozen(eq=False)
class Listing:
    """
    A list.

    Args:
        count: How many files there are.
        lines: A line for each.
    """

    count: int
    lines: bytes


def listing(files: Files, glob: str) -> Generator[Working, None, Listing]:
    """
    Look for all files whose names match, in the order of names.

    Args:
        files: Where to look.
        glob: A pattern.

    Yields:
        How many were found.

    Raises:
        WrongName: The pattern is too long.
        TooMany: A list can't have so many.
        OSError: The system can't read the directory.
    """
    entries = yield from gather(files.scan(glob))
    lines = bytearray()
    for start in range(0, len(entries), BATCH):
        lines += b"".join(encode(entry) + b"\n" for entry in entries[start : start + BATCH])
        yield Working(len(entries), len(entries))
    return Listing(len(entries), bytes(lines))
