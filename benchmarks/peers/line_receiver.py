"""
The usual server on Twisted: ``python line_receiver.py LIFETIME``.

A ``LineReceiver`` that answers each line with ``sendLine``, on the reactor that Twisted takes by
itself (on Linux that of epoll), as the tutorials have it. It evaluates with the functions of the
asyncio peer.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import sys
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from plain_asyncio import LONGEST_LINE, answer
from serving import serve


class LineServer(LineReceiver):
    """Answers one line at a time."""

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_LINE

    def lineReceived(self, line: bytes) -> None:
        """Answer it."""
        self.sendLine(answer(line))


async def main(reactor: Any, lifetime: str) -> None:
    """Serve until killed, for at most so many seconds."""
    await serve(reactor, lifetime, Factory.forProtocol(LineServer))


if __name__ == "__main__":
    react(main, sys.argv[1:])
