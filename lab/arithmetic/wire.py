"""
The bytes of the arithmetic service, and the one room that knows them.

A request is ``OPERATOR,LEFT,RIGHT``, a reply ``200,VALUE`` or ``300,-1``; before either may
stand ``#ID`` and a space. What they mean is no matter here. See
``doc/reference/wire-arithmetic.rst``.
"""

import math
import re

from attrs import field, frozen

from lab.arithmetic.numbers import DIGITS, OPERATORS, TOO_LARGE, Number
from lab.errors import LocalError, RemoteError
from lab.wire.ids import encode_id, read_id

#: Most bytes of a request, without line ending, id included.
LIMIT = 1024
#: Most bytes of a reply that a client reads: id, code, and 4,300 digits with their sign.
REPLY_LIMIT = 4400

OK, WRONG, TOKEN = 200, 300, 401

_ID = rb"#([A-Za-z0-9-]{1,20}) "
# `++` and `*+` never give back a digit: a request that is wrong at its end costs no search.
_NUMBER = rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_OPERATOR = rb"\*\*?|//?|[-+%]"
_REQUEST = re.compile(rb"(?:%s)?(%s),(%s),(%s)" % (_ID, _OPERATOR, _NUMBER, _NUMBER))
_REPLY = re.compile(rb"(?:%s)?(?:(200),(%s)|(300),-1|(401) ([A-Za-z0-9_-]{22}))" % (_ID, _NUMBER))


class WireError(RemoteError):
    """
    A message that is not in the protocol.

    Attributes:
        id: The id that stood before it, if one did.
    """

    def __init__(self, text: str, id: bytes = b"") -> None:
        super().__init__(text)
        self.id = id


def _number(text: bytes) -> Number:
    """The number of a text that fits the grammar; an integer has only digits and a sign."""
    try:
        return int(text)
    except ValueError:
        value = float(text)
    if not math.isfinite(value):
        raise WireError(f"a number is too large: {text[:40]!r}")
    return value


def encode_number(value: Number) -> bytes:
    """
    Write a number so that it reads back the same.

    Raises:
        LocalError: Not finite, no number, or an integer of more than 4,300 digits.
    """
    if isinstance(value, float) and math.isfinite(value):
        return repr(value).encode()
    if isinstance(value, int) and abs(value) < TOO_LARGE:
        return b"%d" % value
    shown = value if isinstance(value, float | str) else type(value).__name__
    raise LocalError(f"operand is {shown!r}; give a finite number of at most {DIGITS:,} digits")


@frozen
class Request:
    """
    A question.

    Args:
        operator: One of ``+ - * / // % **``.
        left: First operand.
        right: Second operand.
        id: 1 to 20 of ``[A-Za-z0-9-]``; empty for none.
    """

    operator: str
    left: Number
    right: Number
    id: bytes = b""

    @classmethod
    def decode(cls, message: bytes) -> "Request":
        """
        Read one request.

        Args:
            message: Without its line ending.

        Raises:
            WireError: Not a request; its ``id`` is the one to answer with.

        >>> Request.decode(b"#k3-7 *,6,7")
        Request(operator='*', left=6, right=7, id=b'k3-7')
        """
        id, operator, left, right = read_request(message)
        return cls(operator, left, right, id)

    def encode(self) -> bytes:
        """
        Write it.

        Raises:
            LocalError: An unknown operator, an operand that is no finite number, a wrong id, or
                more than `LIMIT` bytes.

        >>> Request("+", 1, 1).encode()
        b'+,1,1'
        """
        if self.operator not in OPERATORS:
            raise LocalError(f"operator is {self.operator!r}; give one of {' '.join(OPERATORS)}")
        message = b"%s%s,%s,%s" % (
            encode_id(self.id),
            self.operator.encode(),
            encode_number(self.left),
            encode_number(self.right),
        )
        if self.id and read_id(message) != self.id:
            raise LocalError(f"id is {self.id!r}; give 1 to 20 letters, digits and dashes")
        if len(message) > LIMIT:
            raise LocalError(f"request has {len(message):,} bytes; give at most {LIMIT:,}")
        return message


@frozen
class Reply:
    """
    An answer.

    Args:
        code: 200 (`OK`), 300 (`WRONG`) or 401 (`TOKEN`: ask again with this token).
        value: The result, with 200 only.
        token: The token, with 401 only.
        id: The id of the request; empty for none.
    """

    code: int
    value: Number = -1
    token: bytes = field(default=b"", repr=False)
    id: bytes = b""

    @classmethod
    def decode(cls, message: bytes) -> "Reply":
        """
        Read one reply.

        Raises:
            WireError: Not a reply.

        >>> Reply.decode(b"#k3-7 200,42")
        Reply(code=200, value=42, id=b'k3-7')
        """
        match = _REPLY.fullmatch(message) if len(message) <= REPLY_LIMIT else None
        if match is None:
            raise WireError(f"not a reply: {message[:40]!r}")
        id, ok, value, wrong, _, token = match.groups(b"")
        if ok:
            return cls(OK, _number(value), id=id)
        return cls(WRONG, id=id) if wrong else cls(TOKEN, token=token, id=id)

    def encode(self) -> bytes:
        """
        Write it.

        >>> Reply(200, 2).encode(), Reply(300).encode()
        (b'200,2', b'300,-1')
        """
        if self.code == TOKEN:
            return b"%s401 %s" % (encode_id(self.id), self.token)
        return encode_result(self.id, self.value) if self.code == OK else encode_refusal(self.id)


def read_request(message: bytes) -> tuple[bytes, str, Number, Number]:
    """
    Read one request into id, operator and operands: what `Request.decode` does, for those who
    have no time for an object.

    Raises:
        WireError: Not a request; its ``id`` is the one to answer with.
    """
    if len(message) > LIMIT:
        raise WireError(f"longer than {LIMIT:,} bytes")
    match = _REQUEST.fullmatch(message)
    if match is None:
        raise WireError(f"not OPERATOR,LEFT,RIGHT: {message[:40]!r}", read_id(message))
    id, operator, left, right = match.groups(b"")
    try:
        return id, operator.decode(), _number(left), _number(right)
    except WireError as error:
        raise WireError(str(error), id) from None


def encode_result(id: bytes, value: Number) -> bytes:
    """The reply 200 to the request with this id (empty for none)."""
    return b"%s200,%s" % (encode_id(id), encode_number(value))


def encode_refusal(id: bytes) -> bytes:
    """The reply 300 to the request with this id (empty for none)."""
    return encode_id(id) + b"300,-1"
