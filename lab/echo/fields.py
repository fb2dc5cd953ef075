"""
What the messages of the echo service are made of: numbers, padding, texts, and what is allowed.

Knows no message; see `lab.echo.requests` and `lab.echo.replies`.
"""

import re
from collections.abc import Callable
from typing import Any

from lab.errors import RemoteError

#: Most bytes of a message, without line ending, id included: what fits in a datagram of IPv4.
LIMIT = 65_507
#: Fewest bytes of a packet, its line ending included: id and numbers always fit.
LEAST_SIZE = 64
#: The longest interval, in seconds.
LONGEST = 3600
#: The largest number there is; one of more digits counts as this, and is beyond every limit.
HUGE = 10**19 - 1

#: A pattern, and what makes a message of its groups.
Grammar = tuple[re.Pattern[bytes], Callable[..., Any]]

#: A number, of any size. ``*+`` never gives back a digit: a line that is wrong at its end costs no
#: search.
NUMBER = rb"(0|[1-9][0-9]*+)"
#: A number that comes back, or a server's, has to be read exactly.
EXACT = rb"(0|[1-9][0-9]{0,18}+)"
#: Bytes without CR and LF.
PADDING = rb"([^\r\n]*+)"
#: Printable ASCII.
TEXT = rb"([ -~]{1,200}+)"
#: A SHA-256.
HEX = rb"([0-9a-f]{64})"


class WireError(RemoteError):
    """A message that is not in the protocol."""


def number(text: bytes) -> int:
    """
    A number of any size; to convert a very long one would take long.

    >>> number(b"42"), number(b"9" * 60_000) == HUGE
    (42, True)
    """
    return int(text) if len(text) < 20 else HUGE


def of_numbers(kind: type[Any]) -> Callable[..., Any]:
    """What makes something of numbers, of which the last may not be there."""
    return lambda *texts: kind(*[number(text) for text in texts if text is not None])


def numbers(pattern: bytes, kind: type[Any]) -> Grammar:
    """
    Something that is nothing but numbers.

    Args:
        pattern: How it is written; N stands for a number.
        kind: What it is.
    """
    return re.compile(pattern.replace(b"N", EXACT)), of_numbers(kind)


def optional(count: int) -> bytes:
    """A pattern for up to so many numbers, each behind a space."""
    tail = b""
    for _ in range(count):
        tail = b"(?: %s%s)?" % (NUMBER, tail)
    return tail


def padded(padding: bytes | None) -> bytes:
    """How a message with this padding ends."""
    return b"" if padding is None else b" " + padding
