"""
The lines of the download service, and what they say.

A request is a line. A reply is a line, and behind some of them come more lines, or bytes: behind
`Entries` so many `Entry`, behind `Hashed` so many digests, behind `Content` the bytes of the file.
Which replies are possible follows from the request. Who asks for digests may say which kinds it
knows besides SHA-256; who does not, or is answered by somebody who knows none of these, gets that.

Names are percent-encoded here, and not looked at any further: see `lab.download.names.check`.
"""

import hashlib
import math
import os
import re
from collections.abc import Callable
from typing import Any

from attrs import frozen

from lab.download.kinds import SHA256
from lab.download.names import GLOB, WrongName, quote, unquote
from lab.errors import LabError

#: Most bytes of a line. A name of 4,096 bytes fits, each of them percent-encoded.
LIMIT = 16_384
#: Most entries of a list.
ENTRIES = 100_000
#: Bytes of a piece that has a digest of its own, as long as there are not too many.
PIECE = 2**20
PIECES = 65_536
#: Most kinds of digests that are asked for at once.
CHOICE = 8
#: Most bytes of a file.
LARGEST = 2**63 - 1
#: Why a server refuses: the request is wrong, there is no such file, it is another version now,
#: the line is too long, it is the server's own fault.
CODES = (300, 404, 409, 413, 500)
_DIGITS = re.compile(r"0|[1-9][0-9]{0,18}")
# The time of a file system: 64 bits of seconds, and nanoseconds.
_TIME = re.compile(r"0|-?[1-9][0-9]{0,27}")
_HEX = re.compile(r"[0-9a-f]+")
_KIND = re.compile(r"[a-z0-9]{1,16}")


class WireError(LabError):
    """A line is none of the service; the text says what is allowed."""


@frozen
class List:
    """
    Which files are there?

    Args:
        glob: A pattern of names, as the shell's: ``*``, ``?`` and ``[...]``.
    """

    glob: str = "*"


@frozen
class Stat:
    """Of what size is the file, from when, and what is the SHA-256 of all of it?"""

    name: str


@frozen
class Get:
    """
    Send the file, or a part of it.

    Args:
        name: Of the file.
        offset: Where the part begins, in bytes.
        length: How many bytes; None for all to the end.
        tag: The version of the file that is wanted; empty for any.
    """

    name: str
    offset: int = 0
    length: int | None = None
    tag: str = ""


@frozen
class Hashes:
    """
    What are the digests of the file's pieces?

    Args:
        name: Of the file.
        kinds: Of digests that are known besides SHA-256, the best first; 8 at most.
    """

    name: str
    kinds: tuple[str, ...] = ()


@frozen
class Quit:
    """The client wants no more; the connection ends."""


@frozen
class Entries:
    """So many lines with an `Entry` follow."""

    count: int


@frozen
class Entry:
    """
    One file of a list.

    Args:
        size: In bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
        name: Its name.
    """

    size: int
    mtime_ns: int
    name: str


@frozen
class Status:
    """
    What a file is.

    Args:
        size: In bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
        tag: Names this version of it.
        sha256: Of all of it, 64 hexadecimal digits.
    """

    size: int
    mtime_ns: int
    tag: str
    sha256: str


@frozen
class Content:
    """So many bytes of the file follow, in the version that the tag names."""

    length: int
    tag: str


@frozen
class Hashed:
    """
    So many digests follow, one a line, of pieces of so many bytes.

    Args:
        size: Of the file, in bytes.
        tag: The version of the file that was read.
        piece: Bytes of a piece; it follows from the size, see `piece_size`.
        count: How many there are; the last may be shorter.
        kind: Of the digests: SHA-256, or one of those that were asked for.
    """

    size: int
    tag: str
    piece: int
    count: int
    kind: str = SHA256


@frozen
class Working:
    """The server reads the file to hash it, and has so many bytes of it; the reply comes later."""

    done: int
    size: int


@frozen
class Refused:
    """Nothing else comes to this request, for one of the reasons of `CODES`."""

    code: int
    text: str


@frozen
class Busy:
    """
    The server has too much to do; the same request may be sent again.

    Args:
        wait: Not before so many seconds.
        text: With what.
    """

    wait: float
    text: str


Request = List | Stat | Get | Hashes | Quit
Reply = Entries | Status | Content | Hashed | Working | Refused | Busy


def encode(message: Any) -> bytes:
    """
    A line, without its ending.

    >>> encode(Get("a b", 10)), encode(Content(5, "0" * 32)), encode(Busy(0.5, "later"))
    (b'get a%20b 10', b'200 5 00000000000000000000000000000000', b'429 500 later')
    """
    return _ENCODERS[type(message)](message).encode()


def read_request(line: bytes) -> Request:
    """
    What a client says.

    Args:
        line: Without its ending.

    Raises:
        WireError: It is no request.

    >>> read_request(b"get a%20b 10 20")
    Get(name='a b', offset=10, length=20, tag='')
    """
    name, *words = _words(line)
    if name not in _REQUESTS:
        raise WireError(f"request is {name[:20]!r}; give one of {', '.join(_REQUESTS)}")
    least, most, read, form = _REQUESTS[name]
    if not least <= len(words) <= most:
        raise WireError(f"{name} has {len(words)} words behind it; give {form}")
    request: Request = read(*words)
    return request


def read_reply(line: bytes, request: Request) -> Reply:
    """
    What a server says to a request.

    Args:
        line: Without its ending.
        request: What was asked.

    Raises:
        WireError: It is no reply to that.

    >>> read_reply(b"200 7", List())
    Entries(count=7)
    """
    code = line[:4]
    if code in _REFUSALS:
        return Refused(int(code), _text(line[4:]))
    if code == b"429 ":
        wait, _, text = line[4:].partition(b" ")
        return Busy(_number(wait.decode("ascii", "replace"), "wait", 10**9) / 1000, _text(text))
    code_, *words = _words(line)
    kind = type(request)
    if code_ == "102" and kind in {Stat, Hashes} and len(words) == 2:
        size = _number(words[1], "size")
        return Working(_number(words[0], "done", size), size)
    counts, read = _REPLIES.get(kind, ((), _nothing))
    if code_ != "200" or len(words) not in counts:
        raise WireError(f"{_shown(line)} is no reply to {kind.__name__.lower()}")
    reply: Reply = read(*words)
    if isinstance(reply, Hashed) and reply.kind not in _known(request):
        raise WireError(f"digests of the kind {reply.kind!r} came, and nobody has asked for them")
    return reply


def read_entry(line: bytes) -> Entry:
    """
    One file of a list; its name may be anything.

    Raises:
        WireError: It is none.
    """
    words = _words(line)
    if len(words) != 3:
        raise WireError(f"{_shown(line)} is no entry of a list")
    size, mtime_ns, name = words
    return Entry(_number(size, "size"), _time(mtime_ns), _name(name))


def read_digest(line: bytes) -> bytes:
    """
    The digest of a piece, 32 bytes, of whatever kind.

    Raises:
        WireError: It is none.
    """
    [*words] = _words(line)
    return bytes.fromhex(_hex(words[0] if len(words) == 1 else "", "digest", 32))


def piece_size(size: int) -> int:
    """
    Bytes of a piece of a file of so many bytes: 1 MiB, doubled until there are few enough.

    >>> piece_size(0), piece_size(2**36), piece_size(2**36 + 1)
    (1048576, 1048576, 2097152)
    """
    piece = PIECE
    while count_pieces(size, piece) > PIECES:
        piece *= 2
    return piece


def count_pieces(size: int, piece: int) -> int:
    """
    How many pieces there are.

    >>> count_pieces(0, 10), count_pieces(10, 10), count_pieces(11, 10)
    (0, 1, 2)
    """
    return -(-size // piece)


def tag(found: os.stat_result) -> str:
    """
    What names a version of a file: where it is, its size, and when it was changed.

    Equal tags on one machine mean one file. What two machines have has different tags.

    Args:
        found: Of ``os.fstat``.
    """
    facts = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return hashlib.sha256(" ".join(map(str, facts)).encode()).hexdigest()[:32]


def _words(line: bytes) -> list[str]:
    """The words of a line."""
    if len(line) > LIMIT:
        raise WireError(f"the line is too long; give at most {LIMIT:,} bytes")
    try:
        return line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise WireError(f"{_shown(line)} is not ASCII; percent-encode names") from None


def _shown(line: bytes) -> str:
    """The beginning of a line, for an error."""
    return ascii(line[:40].decode("latin-1"))


def _number(text: str, name: str, most: int = LARGEST) -> int:
    """A whole number in its bounds."""
    if not _DIGITS.fullmatch(text) or int(text) > most:
        raise WireError(f"{name} is {text[:20]!a}; give 0 to {most}")
    return int(text)


def _time(text: str) -> int:
    """A time, in nanoseconds since 1970."""
    if not _TIME.fullmatch(text):
        raise WireError(f"time is {text[:20]!r}; give nanoseconds since 1970")
    return int(text)


def _hex(text: str, name: str, size: int) -> str:
    """So many bytes, as hexadecimal digits."""
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise WireError(f"{name} is {text[:20]!r}; give {2 * size} digits of 0-9 and a-f")
    return text


def _tag(text: str) -> str:
    """The version of a file."""
    return _hex(text, "tag", 16)


def _name(text: str, plain: str = "") -> str:
    """A name, or a pattern of names."""
    try:
        return unquote(text, plain)
    except WrongName as error:
        raise WireError(str(error)) from None


def _text(data: bytes) -> str:
    """Words for people; nothing in them moves a cursor."""
    text = data[:LIMIT].decode(errors="replace")
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _get(name: str, offset: str = "0", length: str = "-", *version: str) -> Get:
    """``get NAME [OFFSET [LENGTH [TAG]]]``."""
    return Get(
        _name(name),
        _number(offset, "offset"),
        None if length == "-" else _number(length, "length"),
        _tag(*version) if version else "",
    )


def _kind(text: str) -> str:
    """A kind of digests, be it known or not."""
    if not _KIND.fullmatch(text):
        raise WireError(f"kind is {text[:20]!a}; give 1 to 16 of a-z and 0-9")
    return text


def _known(request: Request) -> tuple[str, ...]:
    """The kinds of digests that who asks knows."""
    return (SHA256, *request.kinds) if isinstance(request, Hashes) else ()


def _hashed(size: str, version: str, piece: str, count: str, kind: str = SHA256) -> Hashed:
    """The numbers of pieces have to fit together."""
    read = Hashed(
        _number(size, "size"),
        _tag(version),
        _number(piece, "piece"),
        _number(count, "count", PIECES),
        _kind(kind),
    )
    right = piece_size(read.size)
    if (read.piece, read.count) != (right, count_pieces(read.size, right)):
        raise WireError(
            f"{read.count} pieces of {read.piece} bytes are not {read.size} bytes; "
            f"give pieces of {right}"
        )
    return read


def _nothing() -> None:
    """What is behind a request without a reply."""


_REQUESTS: dict[str, tuple[int, int, Callable[..., Any], str]] = {
    "list": (0, 1, lambda glob="*": List(_name(glob, GLOB)), "list [GLOB]"),
    "stat": (1, 1, lambda name: Stat(_name(name)), "stat NAME"),
    "get": (1, 4, _get, "get NAME [OFFSET [LENGTH [TAG]]]"),
    "hashes": (
        *(1, 1 + CHOICE),
        lambda name, *kinds: Hashes(_name(name), tuple(map(_kind, kinds))),
        "hashes NAME [KIND...]",
    ),
    "quit": (0, 0, Quit, "quit"),
}
_REFUSALS = frozenset(f"{code} ".encode() for code in CODES)
_REPLIES: dict[type[Any], tuple[tuple[int, ...], Callable[..., Any]]] = {
    List: ((1,), lambda count: Entries(_number(count, "count", ENTRIES))),
    Stat: (
        (4,),
        lambda size, mtime_ns, version, digest: Status(
            _number(size, "size"), _time(mtime_ns), _tag(version), _hex(digest, "SHA-256", 32)
        ),
    ),
    Get: ((2,), lambda length, version: Content(_number(length, "length"), _tag(version))),
    Hashes: ((4, 5), _hashed),
}


def _encode_get(request: Get) -> str:
    """As few words as it takes."""
    length = "-" if request.length is None else str(request.length)
    words = [str(request.offset), length, request.tag]
    for default in ("", "-", "0"):
        if words[-1] != default:
            break
        words.pop()
    return " ".join(["get", quote(request.name), *words])


_ENCODERS: dict[type[Any], Callable[[Any], str]] = {
    List: lambda request: "list" if request.glob == "*" else f"list {quote(request.glob, GLOB)}",
    Stat: lambda request: f"stat {quote(request.name)}",
    Get: _encode_get,
    Hashes: lambda request: " ".join(["hashes", quote(request.name), *request.kinds]),
    Quit: lambda _: "quit",
    Entries: lambda reply: f"200 {reply.count}",
    Entry: lambda entry: f"{entry.size} {entry.mtime_ns} {quote(entry.name)}",
    Status: lambda reply: f"200 {reply.size} {reply.mtime_ns} {reply.tag} {reply.sha256}",
    Content: lambda reply: f"200 {reply.length} {reply.tag}",
    Hashed: lambda reply: (
        f"200 {reply.size} {reply.tag} {reply.piece} {reply.count}"
        + (f" {reply.kind}" if reply.kind != SHA256 else "")
    ),
    Working: lambda reply: f"102 {reply.done} {reply.size}",
    Refused: lambda reply: f"{reply.code} {reply.text}",
    Busy: lambda reply: f"429 {math.ceil(round(reply.wait * 1000, 6))} {reply.text}",
    bytes: lambda digest: digest.hex(),
}
