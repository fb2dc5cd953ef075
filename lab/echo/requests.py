"""
What clients of the echo service say.

What matches the grammar of a command is one; any other request is text, which comes back. What
the commands mean is no matter here. See ``doc/reference/wire-echo.rst``.
"""

import re
from collections.abc import Callable
from typing import Any

from attrs import Factory, frozen

from lab.echo.fields import (
    EXACT,
    LEAST_SIZE,
    NUMBER,
    PADDING,
    Grammar,
    number,
    of_numbers,
    optional,
    padded,
)
from lab.wire.ids import read_id

# Each may have an id: 1 to 20 of [A-Za-z0-9-].


@frozen
class Echo:
    """
    Send this back.

    Args:
        text: Any bytes; on a stream, without a line ending.
    """

    text: bytes
    id: bytes = b""


@frozen
class Stream:
    """
    Send packets.

    Args:
        interval_ms: One so often, in milliseconds; 0 for as fast as allowed.
        count: How many.
        size: Bytes of each.
    """

    interval_ms: int = 1000
    count: int = 10
    size: int = LEAST_SIZE
    id: bytes = b""


@frozen
class File:
    """
    Send a part of a file.

    Args:
        n: Characters of the whole file.
        offset: Where the part begins.
        length: Characters of the part; all to the end, unless said.
        seed: Which of the files of this size.
    """

    n: int
    offset: int = 0
    length: int = Factory(lambda self: max(0, self.n - self.offset), takes_self=True)
    seed: int = 0
    id: bytes = b""


@frozen
class Probe:
    """
    Count this, and send it back.

    Args:
        seq: Its number.
        sent_ns: When it was sent, on the client's clock, in nanoseconds.
        padding: What makes it longer, without CR and LF; None for nothing, not even a space.
    """

    seq: int
    sent_ns: int
    padding: bytes | None = None
    id: bytes = b""


@frozen
class AskCounts:
    """How many probes came?"""

    id: bytes = b""


@frozen
class AskLimits:
    """What is allowed?"""

    id: bytes = b""


@frozen
class Quit:
    """No more."""

    id: bytes = b""


Request = Echo | Stream | File | Probe | AskCounts | AskLimits | Quit

_BARE = re.compile(NUMBER)
_COMMANDS: dict[bytes, Grammar] = {
    b"stream": (re.compile(b"stream" + optional(3)), of_numbers(Stream)),
    b"file": (re.compile(b"file " + NUMBER + optional(3)), of_numbers(File)),
    b"probe": (
        re.compile(b"probe %s %s(?: %s)?" % (EXACT, EXACT, PADDING)),
        lambda seq, sent, padding: Probe(int(seq), int(sent), padding),
    ),
    b"counts": (re.compile(b"counts"), AskCounts),
    b"limits": (re.compile(b"limits"), AskLimits),
    b"quit": (re.compile(b"quit"), Quit),
}


def read_command(said: bytes) -> Request | None:
    r"""
    The command that this is, or None: it is text. One line ending behind it is no part of it.

    Args:
        said: What stands behind the id.

    >>> read_command(b"stream 10\n"), read_command(b"stream x")
    (Stream(interval_ms=10, count=10, size=64, id=b''), None)
    """
    line = said[:-1].removesuffix(b"\r") if said.endswith(b"\n") else said
    kind = _COMMANDS.get(line.split(b" ", 1)[0])
    if kind is None:
        return File(number(line)) if _BARE.fullmatch(line) else None
    pattern, build = kind
    match = pattern.fullmatch(line)
    return build(*match.groups()) if match else None


def _encode_echo(message: Echo) -> bytes:
    """The text alone, unless it would be taken for something else."""
    text = message.text
    # What is an id, or a proof of address, is that at the beginning of a message only.
    other = text.startswith(b"echo ") or read_command(text) is not None
    if not message.id:
        other = other or text.startswith(b"token=") or bool(read_id(text))
    return b"echo " + text if other else text


#: How each is written, behind its id.
ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Echo: _encode_echo,
    Stream: lambda m: b"stream %d %d %d" % (m.interval_ms, m.count, m.size),
    File: lambda m: b"file %d %d %d %d" % (m.n, m.offset, m.length, m.seed),
    Probe: lambda m: b"probe %d %d%s" % (m.seq, m.sent_ns, padded(m.padding)),
    AskCounts: lambda m: b"counts",
    AskLimits: lambda m: b"limits",
    Quit: lambda m: b"quit",
}
