"""
The lines of the sequence service, and what they say.

Client and server each have their own kinds of lines; what is no line of the other side is a
`WireError`. A key is shown by no ``repr``.
"""

import hmac
import math
import re
from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from lab.errors import LabError
from lab.sequence.values import LONGEST

#: Most bytes of a line.
LIMIT = 1024
#: Why a session is not resumed.
REASONS = ("unknown", "expired", "proof", "ahead", "full")
_HEX = re.compile(r"[0-9a-f]+")
_DIGITS = re.compile(r"[0-9]{1,10}")
_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?")
_MOST = 2**32


class WireError(LabError):
    """A line is none of the service; the text says what is allowed."""


@frozen
class Start:
    """
    Begin a sequence.

    Args:
        n: How many numbers; None leaves it to the server.
        interval: The time between two, in seconds; None leaves it to the server.
    """

    n: int | None = None
    interval: float | None = None


@frozen
class Resume:
    """Go on with a session, from the index that is next."""

    id: str
    next: int


@frozen
class Proof:
    """Whoever resumes has the key."""

    mac: str = field(repr=False)


@frozen
class Heartbeat:
    """The client is there; the server answers with the same number."""

    number: int


@frozen
class Done:
    """The client has all numbers, and has compared the checksum."""


@frozen
class Session:
    """A session has begun: its name, its secret, how many numbers come, and how often."""

    id: str
    key: bytes = field(repr=False)
    n: int
    interval: float


@frozen
class Number:
    """One number."""

    index: int
    value: int


@frozen
class Alive:
    """The answer to a heartbeat."""

    number: int


@frozen
class Challenge:
    """Prove that you have the key, with this number that is used once."""

    nonce: str


@frozen
class Resumed:
    """The session goes on at this index."""

    next: int


@frozen
class Rejected:
    """It does not: one of `REASONS`."""

    reason: str


@frozen
class Sum:
    """The server's checksum over all numbers: CRC-32 and SHA-256."""

    crc: str
    sha: str


@frozen
class Conflict:
    """Somebody who has the key has resumed the session elsewhere."""


@frozen
class Wrong:
    """The other side did not understand."""

    text: str


@frozen
class Unavailable:
    """The server can't now, and it is no fault of the client's: come again."""

    text: str


ClientLine = Start | Resume | Proof | Heartbeat | Done
ServerLine = (
    Session | Number | Alive | Challenge | Resumed | Rejected | Sum | Conflict | Wrong | Unavailable
)


def proof(key: bytes, id: str, nonce: str, next: int) -> str:
    """What proves that somebody has a key (HMAC-SHA256, RFC 2104), in hexadecimal digits."""
    return hmac.new(key, f"{id} {nonce} {next}".encode(), "sha256").hexdigest()


def encode(line: Any) -> bytes:
    """
    A line, without its ending.

    >>> encode(Start(5)), encode(Number(0, 77)), encode(Done())
    (b'start 5', b'number 0 77', b'done')
    """
    return _ENCODERS[type(line)](line).encode()


def read_client(data: bytes) -> ClientLine:
    """
    What a client says.

    Raises:
        WireError: It is none of its lines.
    """
    found: ClientLine = _read(data, _CLIENT)
    return found


def read_server(data: bytes) -> ServerLine:
    """
    What a server says.

    Raises:
        WireError: It is none of its lines.
    """
    if data[:4] in _CODES:
        return _CODES[data[:4]](data[4:].decode(errors="replace"))
    found: ServerLine = _read(data, _SERVER)
    return found


def show_seconds(seconds: float) -> str:
    """
    A time in as few digits as it takes.

    >>> show_seconds(1.0), show_seconds(0.1)
    ('1', '0.1')
    """
    return f"{seconds:.9f}".rstrip("0").rstrip(".")


def _read(data: bytes, kinds: dict[str, Callable[..., Any]]) -> Any:
    """Read a line of one of these kinds."""
    if len(data) > LIMIT:
        raise WireError(f"the line is too long; give at most {LIMIT:,} bytes")
    try:
        name, *words = data.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise WireError("the line is not ASCII") from None
    if name not in kinds:
        raise WireError(f"line begins with {name[:20]!r}; give one of {', '.join(kinds)}")
    try:
        return kinds[name](*words)
    except TypeError:
        raise WireError(f"{name} has {len(words)} words behind it; that is no {name}") from None


def _number(text: str, name: str, most: int = _MOST - 1, least: int = 0) -> int:
    """A whole number in its bounds."""
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise WireError(f"{name} is {text[:20]!r}; give {least} to {most}")
    return int(text)


def _hex(text: str, name: str, size: int) -> str:
    """So many bytes, as hexadecimal digits; it may be a secret, and is not told again."""
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise WireError(f"{name} is none; give {2 * size} hexadecimal digits")
    return text


def _seconds(text: str) -> float:
    """An interval."""
    found = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not found > 0:
        raise WireError(f"interval is {text[:20]!r}; give seconds, more than 0")
    return found


def _start(*words: str) -> Start:
    """``start [N] [interval=SECONDS]``."""
    n, interval = None, None
    for word in words:
        if word.startswith("interval=") and interval is None:
            interval = _seconds(word.removeprefix("interval="))
        elif n is None and interval is None:
            n = _number(word, "n", LONGEST, 1)
        else:
            raise WireError(f"{word[:20]!r} is one word too many; give start [N] [interval=S]")
    return Start(n, interval)


_CODES: dict[bytes, Callable[[str], ServerLine]] = {b"300 ": Wrong, b"500 ": Unavailable}
_CLIENT: dict[str, Callable[..., Any]] = {
    "start": _start,
    "resume": lambda name, index: Resume(_hex(name, "id", 16), _number(index, "next", LONGEST)),
    "proof": lambda mac: Proof(_hex(mac, "proof", 32)),
    "heartbeat": lambda number: Heartbeat(_number(number, "heartbeat")),
    "done": Done,
}
_SERVER: dict[str, Callable[..., Any]] = {
    "session": lambda name, key, n, interval: Session(
        _hex(name, "id", 16),
        bytes.fromhex(_hex(key, "key", 16)),
        _number(n, "n", LONGEST, 1),
        _seconds(interval),
    ),
    "number": lambda index, value: Number(
        _number(index, "index", LONGEST - 1), _number(value, "value")
    ),
    "alive": lambda number: Alive(_number(number, "alive")),
    "challenge": lambda nonce: Challenge(_hex(nonce, "nonce", 16)),
    "resumed": lambda index: Resumed(_number(index, "next", LONGEST)),
    "rejected": lambda reason: Rejected(_reason(reason)),
    "checksum": lambda crc, sha: Sum(_hex(crc, "crc", 4), _hex(sha, "sha", 32)),
    "conflict": Conflict,
}


def _reason(text: str) -> str:
    """Why a session is not resumed."""
    if text not in REASONS:
        raise WireError(f"reason is {text[:20]!r}; give one of {', '.join(REASONS)}")
    return text


def _encode_start(line: Start) -> str:
    """``start [N] [interval=SECONDS]``."""
    n = "" if line.n is None else f" {line.n}"
    interval = "" if line.interval is None else f" interval={show_seconds(line.interval)}"
    return f"start{n}{interval}"


_ENCODERS: dict[type[Any], Callable[[Any], str]] = {
    Start: _encode_start,
    Resume: lambda line: f"resume {line.id} {line.next}",
    Proof: lambda line: f"proof {line.mac}",
    Heartbeat: lambda line: f"heartbeat {line.number}",
    Done: lambda line: "done",
    Session: lambda line: (
        f"session {line.id} {line.key.hex()} {line.n} {show_seconds(line.interval)}"
    ),
    Number: lambda line: f"number {line.index} {line.value}",
    Alive: lambda line: f"alive {line.number}",
    Challenge: lambda line: f"challenge {line.nonce}",
    Resumed: lambda line: f"resumed {line.next}",
    Rejected: lambda line: f"rejected {line.reason}",
    Sum: lambda line: f"checksum {line.crc} {line.sha}",
    Conflict: lambda line: "conflict",
    Wrong: lambda line: f"300 {line.text}",
    Unavailable: lambda line: f"500 {line.text}",
}
