"""The answering side: a core for each peer, that computes. Knows no transport."""

import json
import math
import operator
import re
from collections.abc import Sequence
from operator import call

from attrs import define, field

from lab.arithmetic.numbers import Undefined, evaluate
from lab.arithmetic.replies import ReplyCache
from lab.arithmetic.settings import ServerSettings
from lab.arithmetic.wire import LIMIT, WireError, encode_refusal, encode_result, read_request
from lab.core import Finished
from lab.wire.ids import read_id

#: A batch that is answered line by line is left when its answers have so many bytes.
TURN = 65536
# Below this many lines, looking at a batch as a whole costs more than it saves.
_BULK = 4
#: So many bytes may be a single sum; whether they are is looked at first.
SHORT = 64
_DIGITS = b"0123456789"
_SIGNED = _DIGITS + b"+-"
# What is between the two commas and the line ending of a sum: without an id, and with one.
_PLAIN = _SIGNED + b"*"
_ANY = bytes(byte for byte in range(256) if byte not in b",\n")
# What may stand before the first comma of each line: an id perhaps, and an operator.
_HEADS = re.compile(rb"(?:(?:#[A-Za-z0-9-]{1,20}+ )?[-+*]\n)*+")
# One whole line; the operands are integers.
_SUM = re.compile(rb"((?:#[A-Za-z0-9-]{1,20} )?)([-+*]),([+-]?[0-9]++),([+-]?[0-9]++)\r?\n")
_EXACT = {b"+": operator.add, b"-": operator.sub, b"*": operator.mul}
_sum_of = _EXACT.__getitem__
# Sums as one list of integers: each operator is one of these, and a line ending a comma.
_CODES = b"123"
_AS_LIST = bytes.maketrans(b"".join(_EXACT) + b"\n", _CODES + b",")
_sum_of_code = dict(zip(map(int, _CODES.decode()), _EXACT.values(), strict=True)).__getitem__
_ALIKE = bytes.maketrans(b"-*", b"++")
_read_list = json.JSONDecoder().raw_decode


@define
class Counters:
    """
    What a server did, over all its peers.

    Attributes:
        executed: Requests that were computed, with 200.
        refused: Messages that were answered with 300.
        repeated: Requests that were answered from the reply cache.
    """

    executed: int = 0
    refused: int = 0
    repeated: int = 0


@define
class ArithmeticServerCore:
    """
    Answers the requests of one peer, in order.

    Args:
        settings: Its limits.
        now: When the peer came, in seconds.
        counters: Shared by all cores of a server.
        peer: Names the peer in the reply cache.
        replies: The reply cache, for peers that may repeat a request.
    """

    _settings: ServerSettings
    _now: float
    counters: Counters = field(factory=Counters)
    _peer: str = ""
    _replies: ReplyCache | None = None
    _outgoing: list[bytes] = field(factory=list)
    _events: list[object] = field(factory=list)
    _finished: bool = False

    def message(self, data: bytes, now: float) -> None:
        """Answer one request; one that is too long is the last."""
        self._now = now
        if len(data) > LIMIT:
            self._finish(f"a line of more than {LIMIT:,} bytes")
        self._outgoing.append(self._answer(data))

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """Answer as many of these requests as one turn should; returns how many."""
        if len(batch) > _BULK:
            lines = b"\n".join(batch) + b"\n"
            known = lines.count(b"\n") == len(batch)
            answers = answer_sums(lines, len(batch)) if known else None
            if answers is not None:
                self._now = now
                self.counters.executed += len(batch)
                self._outgoing.append(answers[:-1])
                return len(batch)
        size = taken = 0
        while size < TURN and taken < len(batch):
            self.message(batch[taken], now)
            size += len(self._outgoing[-1])
            taken += 1
        return taken

    def reply(self, lines: bytes, now: float) -> bytes | None:
        """The answers to these requests, if they are simple; see `lab.core.PromptCore`."""
        if self._replies is not None:
            return None
        count = 1
        answers = answer_sum(lines) if len(lines) <= SHORT else None
        if answers is None:
            if b"\r" in lines:
                lines = lines.replace(b"\r\n", b"\n")
            count = lines.count(b"\n")
            answers = answer_sums(lines, count)
            if answers is None:
                return None
        self._now = now
        self.counters.executed += count
        return answers

    def tick(self, now: float) -> None:
        """The peer was idle for too long."""
        self._finish(f"no request for {self._settings.idle:g} s")

    def close(self, now: float) -> None:
        """The peer is gone; there is nothing to keep."""

    def outgoing(self) -> list[bytes]:
        """The answers."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """`lab.core.Finished`, when the connection has to end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When the peer will have been idle for too long."""
        if self._finished or self._settings.idle == math.inf:
            return None
        return self._now + self._settings.idle

    def _finish(self, reason: str) -> None:
        """The connection has to end; nothing more is waited for."""
        self._finished = True
        self._events.append(Finished(reason))

    def _answer(self, data: bytes) -> bytes:
        """The answer, from the cache if the peer asked the same with the same id before."""
        if self._replies is None or len(data) > LIMIT or not read_id(data):
            return self._execute(data)
        kept = self._replies.get(self._peer, data)
        if kept is not None:
            self.counters.repeated += 1
            return kept
        answer = self._execute(data)
        self._replies.put(self._peer, data, answer)
        return answer

    def _execute(self, data: bytes) -> bytes:
        """Compute and count."""
        try:
            id, operator, left, right = read_request(data)
        except WireError as error:
            self.counters.refused += 1
            return encode_refusal(error.id)
        try:
            answer = encode_result(id, evaluate(operator, left, right))
        except Undefined:
            self.counters.refused += 1
            return encode_refusal(id)
        self.counters.executed += 1
        return answer


def answer_sum(line: bytes) -> bytes | None:
    r"""
    The answer to one addition, subtraction or multiplication of integers; None to all else.

    Args:
        line: One line or more with its ending, of at most 1,024 bytes; to more than one there is
            no answer.

    >>> answer_sum(b"#k3-7 *,6,7\n"), answer_sum(b"/,6,3\n")
    (b'#k3-7 200,42\n', None)
    """
    fields = line.split(b",")
    if len(fields) == 3:
        operator, left, right = fields
        # Nothing but digits and what `int` does not mind: the line ending.
        if operator in _EXACT and left.isdigit() and right[:-1].isdigit():
            return b"200,%d\n" % _EXACT[operator](int(left), int(right))
    match = _SUM.fullmatch(line)
    if match is None:
        return None
    id, operator, left, right = match.groups()
    return b"%s200,%d\n" % (id, _EXACT[operator](int(left), int(right)))


def answer_sums(lines: bytes, count: int) -> bytes | None:
    r"""
    The answers to lines that are nothing but additions, subtractions and multiplications
    of integers, with ids or without; None for any others.

    It looks at the columns of all lines instead of at the lines, which takes a fifth of the time
    of answering them one by one.

    Args:
        lines: Each with LF behind it.
        count: How many there are.

    >>> answer_sums(b"+,1,1\n#k3-7 *,6,7\n", 2)
    b'200,2\n#k3-7 200,42\n'
    """
    if len(lines) > LIMIT:
        if not _all_short(lines):
            return None
        answers = _answer_list(lines, count)
        if answers is not None:
            return answers
    shape = b",,\n" * count
    plain = lines.translate(None, _PLAIN) == shape
    if not plain and lines.translate(None, _ANY) != shape:
        return None
    # Each line is three fields; one cut is enough for all. Operators are single bytes, of which
    # Python has one object each, whose hash it knows.
    fields = lines.replace(b"\n", b",").split(b",")
    heads, lefts, rights = fields[:-1:3], fields[1::3], fields[2::3]
    if not plain:
        return _answer_named_sums(heads, lefts, rights)
    try:
        values = map(call, map(_sum_of, heads), map(int, lefts), map(int, rights))
        return b"200,%d\n" * count % (*values,)
    except (KeyError, ValueError):
        return None


def _answer_list(lines: bytes, count: int) -> bytes | None:
    """
    The same for many lines of an operator and digits only; None also for leading zeros.

    JSON's reader cuts a list and makes the integers in one, which takes three quarters of the time.
    """
    if lines.translate(_ALIKE, _DIGITS) != b"+,,\n" * count:
        return None
    try:
        numbers, _ = _read_list("[" + lines[:-1].translate(_AS_LIST).decode() + "]")
        # With a digit beside it, an operator has become a number that is none of the codes.
        sums = map(_sum_of_code, numbers[::3])
        return b"200,%d\n" * count % (*map(call, sums, numbers[1::3], numbers[2::3]),)
    except (KeyError, ValueError):
        return None


def _all_short(lines: bytes) -> bool:
    """Whether no line is too long."""
    # With a line ending in each half of the limit no line is longer than that.
    half = LIMIT // 2
    return (
        all(lines.find(b"\n", start, start + half) >= 0 for start in range(0, len(lines), half))
        or max(map(len, lines.split(b"\n"))) <= LIMIT
    )


def _answer_named_sums(heads: list[bytes], lefts: list[bytes], rights: list[bytes]) -> bytes | None:
    """The same for lines in which there are ids."""
    if b"".join(lefts).translate(None, _SIGNED) or b"".join(rights).translate(None, _SIGNED):
        return None
    if not _HEADS.fullmatch(b"\n".join(heads) + b"\n"):
        return None
    try:
        sums = [_EXACT[head[-1:]] for head in heads]
        parts: list[object] = [b""] * (2 * len(heads))
        parts[::2] = [head[:-1] for head in heads]
        parts[1::2] = map(call, sums, map(int, lefts), map(int, rights))
    except ValueError:
        return None
    return b"%s200,%d\n" * len(heads) % tuple(parts)
