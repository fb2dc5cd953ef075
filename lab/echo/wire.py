"""
The bytes of the echo service, and the one room that knows them.

A message is a line without its ending, or a datagram. What matches the grammar of a command is one;
any other request is text, which comes back. What the commands mean is no matter here. See
``doc/reference/wire-echo.rst``.
"""

import re
from collections.abc import Callable
from typing import Any

from attrs import Factory, evolve, field, frozen

from lab.errors import LocalError, RemoteError
from lab.wire.ids import encode_id, read_id

#: Most bytes of a message, without line ending, id included: what fits in a datagram of IPv4.
LIMIT = 65_507
#: Fewest bytes of a packet, its line ending included: id and numbers always fit.
LEAST_SIZE = 64
#: The longest interval, in seconds.
LONGEST = 3600
#: The largest number there is; one of more digits counts as this, and is beyond every limit.
HUGE = 10**19 - 1
#: Codes of `Refused`: the request is wrong; its id is that of another; too much is asked for.
WRONG, CONFLICT, TOO_LARGE = 300, 409, 413


class WireError(RemoteError):
    """A message that is not in the protocol."""


# What clients say. Each may have an id: 1 to 20 of [A-Za-z0-9-].


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


# What servers say, with the id of the request.


@frozen
class Text:
    """What was to be sent back."""

    text: bytes
    id: bytes = b""


@frozen
class Packet:
    """
    One packet of a stream.

    Args:
        seq: Its number, from 0.
        sent_ns: When it was sent, on the server's clock, in nanoseconds.
        padding: What gives it its size, without CR and LF.
    """

    seq: int
    sent_ns: int
    padding: bytes = b""
    id: bytes = b""


@frozen
class StreamEnd:
    """
    A stream has ended.

    Args:
        count: Packets that were sent.
        missed: Those of them that left more than an interval after their time.
        mean_ns: How long after its time a packet left in the mean, in nanoseconds.
        max_ns: And at most.
    """

    count: int
    missed: int
    mean_ns: int
    max_ns: int
    id: bytes = b""


@frozen
class Ready:
    """
    Characters of a file follow.

    Args:
        length: How many.
        piece: How many in a datagram, but in the last; None on a stream.
        count: How many datagrams; None on a stream.
    """

    length: int
    piece: int | None = None
    count: int | None = None
    id: bytes = b""


@frozen
class Data:
    """
    Characters of a file, in a datagram.

    Args:
        offset: Where in the file the first of them is.
        characters: At least one.
    """

    offset: int
    characters: bytes
    id: bytes = b""


@frozen
class Digest:
    """On a stream, all characters were sent: their SHA-256 (64 hexadecimal digits)."""

    sha256: str
    id: bytes = b""


@frozen
class FileEnd:
    """Over datagrams, all characters were sent: how many datagrams, and their SHA-256."""

    count: int
    sha256: str
    id: bytes = b""


@frozen
class Probed:
    """
    A probe came.

    Args:
        seq: Its number.
        sent_ns: When it was sent, as it says.
        received: Different probes that came so far.
        duplicates: Those that came again.
        received_ns: When it came, on the server's clock, in nanoseconds.
        padding: As much of the probe's as makes this one as long; None for nothing.
    """

    seq: int
    sent_ns: int
    received: int
    duplicates: int
    received_ns: int
    padding: bytes | None = None
    id: bytes = b""


@frozen
class Counts:
    """Different probes that came, and those that came again."""

    received: int
    duplicates: int
    id: bytes = b""


@frozen
class Limits:
    """
    What is allowed.

    Args:
        interval_ms: The shortest interval, in milliseconds.
        packets: Most packets of a stream.
        size: Most bytes of a packet.
        file: Most characters of a file.
        rate: Most bytes a second for one address; 0 for no limit.
        streams: Most streams and files at a time for one address.
    """

    interval_ms: int
    packets: int
    size: int
    file: int
    rate: int
    streams: int
    id: bytes = b""


@frozen
class Refused:
    """
    The request can't be granted.

    Args:
        code: `WRONG`, `CONFLICT` or `TOO_LARGE`.
        text: What is wrong, and what is allowed; printable ASCII.
    """

    code: int
    text: str
    id: bytes = b""


@frozen
class Busy:
    """
    Not now.

    Args:
        wait_ms: Worth trying again after so long, in milliseconds.
        reason: Why; printable ASCII.
    """

    wait_ms: int
    reason: str
    id: bytes = b""


@frozen
class Challenge:
    """Over datagrams: ask again behind this token (22 of ``[A-Za-z0-9_-]``)."""

    token: bytes = field(repr=False)
    id: bytes = b""


Reply = (
    Packet
    | StreamEnd
    | Ready
    | Data
    | Digest
    | FileEnd
    | Probed
    | Counts
    | Limits
    | Refused
    | Busy
    | Challenge
)


def encode(message: Any) -> bytes:
    """
    Write a request or a reply, without line ending.

    Raises:
        LocalError: A wrong id, or more than `LIMIT` bytes.

    >>> encode(Echo(b"hello")), encode(Echo(b"stream")), encode(Stream(10, 100))
    (b'hello', b'echo stream', b'stream 10 100 64')
    """
    data = encode_id(message.id) + _ENCODERS[type(message)](message)
    if message.id and read_id(data) != message.id:
        raise LocalError(f"id is {message.id!r}; give 1 to 20 letters, digits and dashes")
    if len(data) > LIMIT:
        raise LocalError(f"message has {len(data):,} bytes; give at most {LIMIT:,}")
    return data


def encode_packet(id: bytes, seq: int, sent_ns: int, size: int) -> bytes:
    """A packet of so many bytes, `LEAST_SIZE` - 1 or more."""
    return (b"%spacket %d %d " % (encode_id(id), seq, sent_ns)).ljust(size, b".")


def read_request(message: bytes) -> Request:
    r"""
    Read what a client says. One line ending behind a command is no part of it.

    Raises:
        WireError: More than `LIMIT` bytes; all else is a request.

    >>> read_request(b"stream 10\n"), read_request(b"#a stream x\n")
    (Stream(interval_ms=10, count=10, size=64, id=b''), Echo(text=b'stream x\n', id=b'a'))
    """
    id, said = _parts(message)
    request = _command(said)
    if request is None:
        return Echo(said.removeprefix(b"echo "), id)
    return evolve(request, id=id) if id else request


def read_reply(message: bytes) -> Reply:
    """
    Read what a server says to any request but an `Echo`.

    Raises:
        WireError: Not a reply.

    >>> read_reply(b"#a 200 ready 1000")
    Ready(length=1000, piece=None, count=None, id=b'a')
    """
    id, said = _parts(message)
    for pattern, build in _REPLIES.get(said[:4], ()):
        match = pattern.fullmatch(said)
        if match is not None:
            reply: Reply = build(*match.groups())
            return evolve(reply, id=id) if id else reply
    raise WireError(f"not a reply: {message[:40]!r}")


def read_text(message: bytes) -> Text:
    """
    Read what a server says to an `Echo`, which may look like any other reply.

    Raises:
        WireError: More than `LIMIT` bytes.
    """
    id, said = _parts(message)
    return Text(said, id)


def _parts(message: bytes) -> tuple[bytes, bytes]:
    """Id and what stands behind it."""
    if len(message) > LIMIT:
        raise WireError(f"longer than {LIMIT:,} bytes")
    id = read_id(message)
    return id, message[len(encode_id(id)) :]


# `*+` never gives back a digit: a line that is wrong at its end costs no search.
_NUMBER = rb"(0|[1-9][0-9]*+)"
# A number that comes back, or a server's, has to be read exactly.
_EXACT = rb"(0|[1-9][0-9]{0,18}+)"
_PADDING = rb"([^\r\n]*+)"
_TEXT = rb"([ -~]{1,200}+)"
_HEX = rb"([0-9a-f]{64})"
_BARE = re.compile(_NUMBER)


def _command(said: bytes) -> Request | None:
    """The command that this is, without its id, or None: it is text."""
    line = said[:-1].removesuffix(b"\r") if said.endswith(b"\n") else said
    kind = _COMMANDS.get(line.split(b" ", 1)[0])
    if kind is None:
        return File(_number(line)) if _BARE.fullmatch(line) else None
    pattern, build = kind
    match = pattern.fullmatch(line)
    return build(*match.groups()) if match else None


def _number(text: bytes) -> int:
    """A number of any size; to convert a very long one would take long."""
    return int(text) if len(text) < 20 else HUGE


def _of_numbers(kind: type[Any]) -> Callable[..., Any]:
    """What makes something of numbers, of which the last may not be there."""
    return lambda *texts: kind(*[_number(text) for text in texts if text is not None])


def _numbers(pattern: bytes, kind: type[Any]) -> tuple[re.Pattern[bytes], Callable[..., Any]]:
    """Something that is nothing but numbers, for which N stands."""
    return re.compile(pattern.replace(b"N", _EXACT)), _of_numbers(kind)


def _optional(numbers: int) -> bytes:
    """Up to so many numbers, each behind a space."""
    tail = b""
    for _ in range(numbers):
        tail = b"(?: %s%s)?" % (_NUMBER, tail)
    return tail


_COMMANDS: dict[bytes, tuple[re.Pattern[bytes], Callable[..., Request]]] = {
    b"stream": (re.compile(b"stream" + _optional(3)), _of_numbers(Stream)),
    b"file": (re.compile(b"file " + _NUMBER + _optional(3)), _of_numbers(File)),
    b"probe": (
        re.compile(b"probe %s %s(?: %s)?" % (_EXACT, _EXACT, _PADDING)),
        lambda seq, sent, padding: Probe(int(seq), int(sent), padding),
    ),
    b"counts": (re.compile(b"counts"), AskCounts),
    b"limits": (re.compile(b"limits"), AskLimits),
    b"quit": (re.compile(b"quit"), Quit),
}
_REFUSED = (
    re.compile(b"(300|409|413) " + _TEXT),
    lambda code, text: Refused(int(code), text.decode()),
)
# By their first four bytes.
_REPLIES: dict[bytes, tuple[tuple[re.Pattern[bytes], Callable[..., Any]], ...]] = {
    b"pack": (
        (
            re.compile(b"packet %s %s %s" % (_EXACT, _EXACT, _PADDING)),
            lambda seq, sent, padding: Packet(int(seq), int(sent), padding),
        ),
    ),
    b"end ": (
        _numbers(b"end N N N N", StreamEnd),
        (
            re.compile(b"end %s %s" % (_EXACT, _HEX)),
            lambda count, digest: FileEnd(int(count), digest.decode()),
        ),
    ),
    b"200 ": (
        _numbers(b"200 ready N(?: N N)?", Ready),
        _numbers(b"200 counts N N", Counts),
        _numbers(b"200 limits interval=N packets=N size=N file=N rate=N streams=N", Limits),
    ),
    b"data": (
        (
            re.compile(b"data %s ([!-~]++)" % _EXACT),
            lambda offset, characters: Data(int(offset), characters),
        ),
    ),
    b"sha2": ((re.compile(b"sha256 " + _HEX), lambda digest: Digest(digest.decode())),),
    b"prob": (
        (
            re.compile(b"probed %s(?: %s)?" % (b" ".join([_EXACT] * 5), _PADDING)),
            lambda *parts: Probed(*map(int, parts[:5]), parts[5]),  # type: ignore[call-arg, arg-type]
        ),
    ),
    b"300 ": (_REFUSED,),
    b"409 ": (_REFUSED,),
    b"413 ": (_REFUSED,),
    b"429 ": (
        (
            re.compile(b"429 %s %s" % (_EXACT, _TEXT)),
            lambda wait, reason: Busy(int(wait), reason.decode()),
        ),
    ),
    b"401 ": ((re.compile(rb"401 ([A-Za-z0-9_-]{22})"), Challenge),),
}


def _encode_echo(message: Echo) -> bytes:
    """The text alone, unless it would be taken for something else."""
    text = message.text
    # What is an id, or a proof of address, is that at the beginning of a message only.
    other = text.startswith(b"echo ") or _command(text) is not None
    if not message.id:
        other = other or text.startswith(b"token=") or bool(read_id(text))
    return b"echo " + text if other else text


def _padded(padding: bytes | None) -> bytes:
    """How a message ends."""
    return b"" if padding is None else b" " + padding


def _encode_ready(m: Ready) -> bytes:
    """With the numbers of datagrams, or without."""
    pieces = b"" if m.piece is None else b" %d %d" % (m.piece, m.count or 0)
    return b"200 ready %d%s" % (m.length, pieces)


_ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Echo: _encode_echo,
    Stream: lambda m: b"stream %d %d %d" % (m.interval_ms, m.count, m.size),
    File: lambda m: b"file %d %d %d %d" % (m.n, m.offset, m.length, m.seed),
    Probe: lambda m: b"probe %d %d%s" % (m.seq, m.sent_ns, _padded(m.padding)),
    AskCounts: lambda m: b"counts",
    AskLimits: lambda m: b"limits",
    Quit: lambda m: b"quit",
    Text: lambda m: m.text,
    Packet: lambda m: b"packet %d %d %s" % (m.seq, m.sent_ns, m.padding),
    StreamEnd: lambda m: b"end %d %d %d %d" % (m.count, m.missed, m.mean_ns, m.max_ns),
    Ready: _encode_ready,
    Data: lambda m: b"data %d %s" % (m.offset, m.characters),
    Digest: lambda m: b"sha256 %s" % m.sha256.encode(),
    FileEnd: lambda m: b"end %d %s" % (m.count, m.sha256.encode()),
    Probed: lambda m: (
        b"probed %d %d %d %d %d%s"
        % (m.seq, m.sent_ns, m.received, m.duplicates, m.received_ns, _padded(m.padding))
    ),
    Counts: lambda m: b"200 counts %d %d" % (m.received, m.duplicates),
    Limits: lambda m: (
        b"200 limits interval=%d packets=%d size=%d file=%d rate=%d streams=%d"
        % (m.interval_ms, m.packets, m.size, m.file, m.rate, m.streams)
    ),
    Refused: lambda m: b"%d %s" % (m.code, m.text.encode()),
    Busy: lambda m: b"429 %d %s" % (m.wait_ms, m.reason.encode()),
    Challenge: lambda m: b"401 " + m.token,
}
