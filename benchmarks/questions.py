"""
The requests that all servers are asked, and the answers they must give.

A `Wire` turns a question into the bytes of one protocol, and into the bytes of the one right
reply: the generator sends the former, and `check_stream` and `check_datagrams` hold a server to
the latter before anything is measured.
"""

import operator
import random
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from attrs import frozen

OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}

SEED = 20_260_101
LARGEST = 1_000_000

PATIENCE = 5.0
"""Seconds that a server may take for one batch of a check."""

BATCH = 1000
"""Requests that a check sends at once: as many as the pipelined measurement has in flight."""

T = TypeVar("T")


class WrongAnswerError(Exception):
    """A server did not answer, or not what it should."""


@frozen
class Question:
    """
    One calculation.

    >>> Question("*", 6, 7).value
    42
    """

    opcode: str
    left: int
    right: int

    @property
    def value(self) -> int:
        """The true result."""
        return OPERATORS[self.opcode](self.left, self.right)


def make_questions(count: int) -> list[Question]:
    """
    Draw distinct questions, the same ones every time.

    Args:
        count: How many; the operands are 0 to 1,000,000.
    """
    stream = random.Random(SEED)
    opcodes = list(OPERATORS)
    drawn: dict[Question, None] = {}
    while len(drawn) < count:
        question = Question(
            stream.choice(opcodes), stream.randint(0, LARGEST), stream.randint(0, LARGEST)
        )
        drawn[question] = None
    return list(drawn)


class Wire(ABC):
    """
    How questions and replies look in one protocol.

    Attributes:
        framing: How the generator tells the end of a reply: its FRAMING argument.
    """

    framing: str

    @abstractmethod
    def request(self, number: int, question: Question) -> bytes:
        """Return one request; the number counts from 0."""

    @abstractmethod
    def reply(self, number: int, question: Question) -> bytes:
        """Return the only right reply to it."""

    def requests(self, questions: Iterable[Question]) -> list[bytes]:
        """Return all requests."""
        return [self.request(number, question) for number, question in enumerate(questions)]

    def replies(self, questions: Iterable[Question]) -> list[bytes]:
        """Return all right replies."""
        return [self.reply(number, question) for number, question in enumerate(questions)]


class Lines(Wire):
    r"""
    A line each way.

    Args:
        ids: Whether each request has an identifier, which its reply repeats.
        end: The line ending; empty for datagrams.

    >>> Lines(ids=True).request(7, Question("*", 6, 7)), Lines().reply(7, Question("*", 6, 7))
    (b'#k-7 *,6,7\n', b'200,42\n')
    """

    framing = "lines"

    def __init__(self, *, ids: bool = False, end: bytes = b"\n") -> None:
        self._ids = ids
        self._end = end

    def request(self, number: int, question: Question) -> bytes:
        """Return for example ``+,1,1``."""
        text = f"{question.opcode},{question.left},{question.right}"
        return self._identifier(number) + text.encode() + self._end

    def reply(self, number: int, question: Question) -> bytes:
        """Return for example ``200,2``."""
        return self._identifier(number) + b"200,%d" % question.value + self._end

    def _identifier(self, number: int) -> bytes:
        """Return what stands before a request and its reply."""
        return b"#k-%d " % number if self._ids else b""


class Datagrams(Lines):
    """A datagram each way."""

    framing = "datagrams"

    def __init__(self, *, ids: bool = False) -> None:
        super().__init__(ids=ids, end=b"")


class Boxes(Wire):
    r"""
    AMP's boxes: the command ``Arithmetic`` and its answer.

    >>> Boxes().reply(7, Question("*", 6, 7))
    b'\x00\x07_answer\x00\x017\x00\x05value\x00\x0242\x00\x00'
    """

    framing = "boxes"

    def request(self, number: int, question: Question) -> bytes:
        """Return the box that ``callRemote`` would send."""
        return self._box(
            _ask=f"{number:x}",
            _command="Arithmetic",
            left=question.left,
            opcode=question.opcode,
            right=question.right,
        )

    def reply(self, number: int, question: Question) -> bytes:
        """Return the answer box."""
        return self._box(_answer=f"{number:x}", value=question.value)

    def _box(self, **fields: str | int) -> bytes:
        """Return keys and values, each after its length in two bytes, and a length of 0."""
        texts = [str(text).encode() for field in fields.items() for text in field]
        return b"".join(len(text).to_bytes(2, "big") + text for text in texts) + b"\0\0"


class Pings(Wire):
    r"""
    Redis's ``PING``: nothing is calculated.

    >>> Pings().request(7, Question("*", 6, 7)), Pings().reply(7, Question("*", 6, 7))
    (b'PING\r\n', b'+PONG\r\n')
    """

    framing = "lines"

    def request(self, number: int, question: Question) -> bytes:
        """Return the command, always the same."""
        return b"PING\r\n"

    def reply(self, number: int, question: Question) -> bytes:
        """Return the answer, always the same."""
        return b"+PONG\r\n"


def check_stream(port: int, wire: Wire, questions: Sequence[Question]) -> None:
    """
    Ask a TCP server all these questions and compare every byte of its answers.

    Args:
        port: Of 127.0.0.1.
        wire: How.
        questions: What.

    Raises:
        WrongAnswerError: A reply is wrong, missing or late.
    """
    pairs = zip(wire.requests(questions), wire.replies(questions), strict=True)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for batch in _batches(pairs, BATCH):
            expected = b"".join(reply for _, reply in batch)
            connection.sendall(b"".join(request for request, _ in batch))
            received = _read(connection, len(expected))
            if received != expected:
                raise WrongAnswerError(_first_difference(batch, received))


def check_datagrams(port: int, wire: Wire, questions: Iterable[Question]) -> None:
    """
    Ask a UDP server these questions, one at a time.

    Args:
        port: Of 127.0.0.1.
        wire: How.
        questions: What.

    Raises:
        WrongAnswerError: A reply is wrong, missing or late.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        for number, question in enumerate(questions):
            request, expected = wire.request(number, question), wire.reply(number, question)
            connection.send(request)
            received = _receive(connection, 65535)
            if received.removesuffix(b"\n") != expected:
                raise WrongAnswerError(_difference(request, expected, received))


def _batches(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """Cut into lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _receive(connection: socket.socket, size: int) -> bytes:
    """Receive at most ``size`` bytes; nothing if none come in time."""
    try:
        return connection.recv(size)
    except OSError:  # a timeout, too
        return b""


def _read(connection: socket.socket, size: int) -> bytes:
    """Read ``size`` bytes, or fewer if no more come in time."""
    received = bytearray()
    while len(received) < size and (data := _receive(connection, size - len(received))):
        received += data
    return bytes(received)


def _first_difference(batch: Iterable[tuple[bytes, bytes]], received: bytes) -> str:
    """Say which reply is the first wrong one."""
    start = 0
    for request, expected in batch:
        reply = received[start : start + len(expected)]
        if reply != expected:
            return _difference(request, expected, reply)
        start += len(expected)
    return "more replies than requests"


def _difference(request: bytes, expected: bytes, received: bytes) -> str:
    """Say what should have come and what came."""
    came = repr(received) if received else f"nothing in {PATIENCE:g} s"
    return f"to {request!r} the right reply is {expected!r}, but {came} came"
