"""
What servers of the echo service say, with the id of the request.

What it means is no matter here. See ``doc/reference/wire-echo.rst``.
"""

import re
from collections.abc import Callable
from typing import Any

from attrs import evolve, field, frozen

from lab.echo.fields import EXACT, HEX, PADDING, TEXT, Grammar, numbers, padded

#: Codes of `Refused`: the request is wrong; its id is that of another; too much is asked for.
WRONG, CONFLICT, TOO_LARGE = 300, 409, 413


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

_REFUSED = (
    re.compile(b"(300|409|413) " + TEXT),
    lambda code, text: Refused(int(code), text.decode()),
)
# How a packet begins.
_PACKET = re.compile(b"packet %s %s " % (EXACT, EXACT))
# All others, by their first four bytes.
_REPLIES: dict[bytes, tuple[Grammar, ...]] = {
    b"end ": (
        numbers(b"end N N N N", StreamEnd),
        (
            re.compile(b"end %s %s" % (EXACT, HEX)),
            lambda count, digest: FileEnd(int(count), digest.decode()),
        ),
    ),
    b"200 ": (
        numbers(b"200 ready N(?: N N)?", Ready),
        numbers(b"200 counts N N", Counts),
        numbers(b"200 limits interval=N packets=N size=N file=N rate=N streams=N", Limits),
    ),
    b"data": (
        (
            re.compile(b"data %s ([!-~]++)" % EXACT),
            lambda offset, characters: Data(int(offset), characters),
        ),
    ),
    b"sha2": ((re.compile(b"sha256 " + HEX), lambda digest: Digest(digest.decode())),),
    b"prob": (
        (
            re.compile(b"probed %s(?: %s)?" % (b" ".join([EXACT] * 5), PADDING)),
            lambda *parts: Probed(*map(int, parts[:5]), parts[5]),  # type: ignore[call-arg, arg-type]
        ),
    ),
    b"300 ": (_REFUSED,),
    b"409 ": (_REFUSED,),
    b"413 ": (_REFUSED,),
    b"429 ": (
        (
            re.compile(b"429 %s %s" % (EXACT, TEXT)),
            lambda wait, reason: Busy(int(wait), reason.decode()),
        ),
    ),
    b"401 ": ((re.compile(rb"401 ([A-Za-z0-9_-]{22})"), Challenge),),
}


def parse_reply(said: bytes, id: bytes = b"") -> Reply | None:
    """
    The reply that this is, to any request but an echo, or None.

    Args:
        said: What stands behind the id.
        id: The id.

    >>> parse_reply(b"200 ready 1000"), parse_reply(b"hello")
    (Ready(length=1000, piece=None, count=None, id=b''), None)
    """
    if said.startswith(b"packet "):
        return _parse_packet(said, id)
    for pattern, build in _REPLIES.get(said[:4], ()):
        match = pattern.fullmatch(said)
        if match is not None:
            reply: Reply = build(*match.groups())
            return evolve(reply, id=id) if id else reply
    return None


def _parse_packet(said: bytes, id: bytes) -> Packet | None:
    """The packet that this is; padding is long, and a pattern would look at each byte of it."""
    match = _PACKET.match(said)
    if match is None or b"\n" in said or b"\r" in said:
        return None
    seq, sent = match.groups()
    return Packet(int(seq), int(sent), said[match.end() :], id)


def _encode_ready(m: Ready) -> bytes:
    """With the numbers of datagrams, or without."""
    pieces = b"" if m.piece is None else b" %d %d" % (m.piece, m.count or 0)
    return b"200 ready %d%s" % (m.length, pieces)


#: How each is written, behind its id.
ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Text: lambda m: m.text,
    Packet: lambda m: b"packet %d %d %s" % (m.seq, m.sent_ns, m.padding),
    StreamEnd: lambda m: b"end %d %d %d %d" % (m.count, m.missed, m.mean_ns, m.max_ns),
    Ready: _encode_ready,
    Data: lambda m: b"data %d %s" % (m.offset, m.characters),
    Digest: lambda m: b"sha256 %s" % m.sha256.encode(),
    FileEnd: lambda m: b"end %d %s" % (m.count, m.sha256.encode()),
    Probed: lambda m: (
        b"probed %d %d %d %d %d%s"
        % (m.seq, m.sent_ns, m.received, m.duplicates, m.received_ns, padded(m.padding))
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
