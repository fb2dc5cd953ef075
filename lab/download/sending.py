"""What a server sends behind the line of a reply: a file, or lines. Knows no connection."""

from typing import Protocol

from attrs import define, field

from lab.download.digests import SIZE, Digests
from lab.download.files import Opened
from lab.download.wire import encode


class Sending(Protocol):
    """
    Bytes that are sent.

    Attributes:
        left: How many are left.
    """

    left: int

    def read(self, size: int) -> bytes:
        """
        The bytes that come next, at most so many, or one line.

        Returns:
            None at all, if they are not there any more.

        Raises:
            OSError: The system can't read them.
        """

    def close(self) -> None:
        """No more is sent."""


@define(eq=False)
class FileSending:
    """
    A part of a file.

    Args:
        file: It is closed in the end.
        name: Its name.
        offset: Where the part begins, in bytes.
        length: How many bytes it has.
    """

    file: Opened
    name: str
    offset: int
    length: int
    left: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """All is left, and will be read."""
        self.left = self.length
        self.file.expect(self.offset, self.length)

    def at(self) -> int:
        """Where the next byte is."""
        return self.offset + self.length - self.left

    def read(self, size: int) -> bytes:
        """See `Sending`."""
        data = self.file.read(self.at(), min(size, self.left))
        self.left -= len(data)
        return data

    def close(self) -> None:
        """See `Sending`."""
        self.file.close()


@define(eq=False)
class TextSending:
    """
    Lines that are there.

    Args:
        text: Them; other connections may send the same.
    """

    _text: bytes
    left: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """All is left."""
        self.left = len(self._text)

    def read(self, size: int) -> bytes:
        """See `Sending`."""
        start = len(self._text) - self.left
        data = self._text[start : start + size]
        self.left -= len(data)
        return data

    def close(self) -> None:
        """See `Sending`."""
        self._text = b""


@define(eq=False)
class DigestSending:
    """
    The digests of a file's pieces, as lines that are made when they are sent.

    Args:
        found: Has them.
    """

    _found: Digests
    left: int = field(init=False)
    _at: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """All is left."""
        self.left = len(self._found.pieces) // SIZE * _LINE

    def read(self, size: int) -> bytes:
        """See `Sending`."""
        some = self._found.pieces[self._at : self._at + max(1, size // _LINE) * SIZE]
        self._at += len(some)
        digests = (some[start : start + SIZE] for start in range(0, len(some), SIZE))
        data = b"".join(encode(digest) + b"\n" for digest in digests)
        self.left -= len(data)
        return data

    def close(self) -> None:
        """See `Sending`."""


# Bytes of a line with a digest.
_LINE = 2 * SIZE + 1
