"""
The bytes of the echo service: messages with their ids.

A message is a line without its ending, or a datagram. What its parts are is said in
`lab.echo.fields`, `lab.echo.requests` and `lab.echo.replies`; their values are here, too. See
``doc/reference/wire-echo.rst``.
"""

from typing import Any

from attrs import evolve

from lab.echo import replies, requests
from lab.echo.fields import (
    HUGE,
    LEAST_SIZE,
    LIMIT,
    LONGEST,
    WireError,
)
from lab.echo.replies import (
    CONFLICT,
    TOO_LARGE,
    WRONG,
    Busy,
    Challenge,
    Counts,
    Data,
    Digest,
    FileEnd,
    Limits,
    Packet,
    Probed,
    Ready,
    Refused,
    Reply,
    StreamEnd,
    Text,
    parse_reply,
)
from lab.echo.requests import (
    AskCounts,
    AskLimits,
    Echo,
    File,
    Probe,
    Quit,
    Request,
    Stream,
    read_command,
)
from lab.errors import LocalError
from lab.wire.ids import encode_id, read_id

__all__ = [
    "CONFLICT",
    "HUGE",
    "LEAST_SIZE",
    "LIMIT",
    "LONGEST",
    "TOO_LARGE",
    "WRONG",
    "AskCounts",
    "AskLimits",
    "Busy",
    "Challenge",
    "Counts",
    "Data",
    "Digest",
    "Echo",
    "File",
    "FileEnd",
    "Limits",
    "Packet",
    "Probe",
    "Probed",
    "Quit",
    "Ready",
    "Refused",
    "Reply",
    "Request",
    "Stream",
    "StreamEnd",
    "Text",
    "WireError",
    "encode",
    "encode_packets",
    "read_reply",
    "read_request",
    "read_text",
]

_ENCODERS = requests.ENCODERS | replies.ENCODERS
# The last three digits of a number that has more.
_DIGITS = [b"%03d" % number for number in range(1000)]


def encode(message: Any) -> bytes:
    """
    Write a request or a reply, without line ending.

    Raises:
        LocalError: A wrong id, or more than `lab.echo.fields.LIMIT` bytes.

    >>> encode(Echo(b"hello")), encode(Echo(b"stream")), encode(Stream(10, 100))
    (b'hello', b'echo stream', b'stream 10 100 64')
    """
    data = encode_id(message.id) + _ENCODERS[type(message)](message)
    if message.id and read_id(data) != message.id:
        raise LocalError(f"id is {message.id!r}; give 1 to 20 letters, digits and dashes")
    if len(data) > LIMIT:
        raise LocalError(f"message has {len(data):,} bytes; give at most {LIMIT:,}")
    return data


def encode_packets(id: bytes, seqs: range, sent_ns: int, size: int, ending: bytes = b"") -> bytes:
    """
    Packets that are sent together, one behind the other.

    Args:
        id: Of the stream.
        seqs: Their numbers, in steps of 1.
        sent_ns: When they leave, in nanoseconds.
        size: Bytes of each, `LEAST_SIZE` - 1 or more.
        ending: What stands behind each.
    """
    name, time = b"%spacket " % encode_id(id), b" %d " % sent_ns
    if len(seqs) == 1:
        return (b"%s%d%s" % (name, seqs.start, time)).ljust(size, b".") + ending
    # Of those in a row only the last digits differ. So they are these digits, joined by what stands
    # between them: that takes a quarter of the time of formatting each.
    packets, first = [], seqs.start
    while first < seqs.stop:
        thousands, last = divmod(first, 1000)
        if thousands:
            stop = min(seqs.stop, (thousands + 1) * 1000)
            before, digits = b"%s%d" % (name, thousands), _DIGITS[last : last + stop - first]
        else:
            stop = min(seqs.stop, 10 ** len(str(first)))
            before, digits = name, [b"%d" % number for number in range(first, stop)]
        behind = time.ljust(size - len(before) - len(digits[0]), b".") + ending
        digits[0] = before + digits[0]
        digits[-1] += behind
        packets.append((behind + before).join(digits))
        first = stop
    return b"".join(packets)


def read_request(message: bytes) -> Request:
    r"""
    Read what a client says. One line ending behind a command is no part of it.

    Raises:
        lab.echo.fields.WireError: More than `lab.echo.fields.LIMIT` bytes; all else is a request.

    >>> read_request(b"stream 10\n"), read_request(b"#a stream x\n")
    (Stream(interval_ms=10, count=10, size=64, id=b''), Echo(text=b'stream x\n', id=b'a'))
    """
    id, said = _parts(message)
    request = read_command(said)
    if request is None:
        return Echo(said.removeprefix(b"echo "), id)
    return evolve(request, id=id) if id else request


def read_reply(message: bytes) -> Reply:
    """
    Read what a server says to any request but an `Echo`.

    Raises:
        lab.echo.fields.WireError: Not a reply.

    >>> read_reply(b"#a 200 ready 1000")
    Ready(length=1000, piece=None, count=None, id=b'a')
    """
    id, said = _parts(message)
    reply = parse_reply(said, id)
    if reply is None:
        raise WireError(f"not a reply: {message[:40]!r}")
    return reply


def read_text(message: bytes) -> Text:
    """
    Read what a server says to an `Echo`, which may look like any other reply.

    Raises:
        lab.echo.fields.WireError: More than `lab.echo.fields.LIMIT` bytes.
    """
    id, said = _parts(message)
    return Text(said, id)


def _parts(message: bytes) -> tuple[bytes, bytes]:
    """Id and what stands behind it."""
    if len(message) > LIMIT:
        raise WireError(f"longer than {LIMIT:,} bytes")
    id = read_id(message)
    return id, message[len(encode_id(id)) :]
