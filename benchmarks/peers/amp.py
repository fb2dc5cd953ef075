"""
The AMP peer: ``python amp.py LIFETIME``.

Twisted's own remote procedure calls, over TCP: a command with typed arguments and its responder.
It listens on a free port of 127.0.0.1, which is printed.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import operator
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols import amp

from serving import serve

OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


class Arithmetic(amp.Command):
    """``left opcode right``, over integers."""

    arguments: ClassVar = [
        (b"opcode", amp.Unicode()),
        (b"left", amp.Integer()),
        (b"right", amp.Integer()),
    ]
    response: ClassVar = [(b"value", amp.Integer())]
    errors: ClassVar = {KeyError: b"OPERATOR", ZeroDivisionError: b"ZERO"}


class ArithmeticServer(amp.AMP):
    """Answers `Arithmetic`."""

    @Arithmetic.responder
    def evaluate(self, opcode: str, left: int, right: int) -> dict[str, int]:
        """Answer one command."""
        return {"value": OPERATORS[opcode](left, right)}


async def main(reactor: Any, lifetime: str) -> None:
    """Serve until killed, for at most so many seconds."""
    await serve(reactor, lifetime, Factory.forProtocol(ArithmeticServer))


if __name__ == "__main__":
    react(main, sys.argv[1:])
