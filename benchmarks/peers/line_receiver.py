"""
The usual server on Twisted: ``python line_receiver.py LIFETIME``.

A ``LineReceiver`` that answers each line with ``sendLine``, on Twisted's own epoll reactor, as the
tutorials have it. It evaluates with the functions of the asyncio peer.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import signal
import sys
from typing import Any

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet.defer import Deferred  # noqa: E402 - behind the reactor
from twisted.internet.endpoints import serverFromString  # noqa: E402
from twisted.internet.protocol import Factory  # noqa: E402
from twisted.internet.task import react  # noqa: E402
from twisted.protocols.basic import LineReceiver  # noqa: E402

from plain_asyncio import LONGEST_LINE, answer  # noqa: E402


class LineServer(LineReceiver):
    """Answers one line at a time."""

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_LINE

    def lineReceived(self, line: bytes) -> None:
        """Answer it."""
        self.sendLine(answer(line))


async def main(reactor: Any, lifetime: str) -> None:
    """
    Serve until killed.

    Args:
        reactor: Twisted's.
        lifetime: The process ends by itself after this, in seconds.
    """
    signal.alarm(int(lifetime))
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=1024")
    port: Any = await endpoint.listen(Factory.forProtocol(LineServer))
    print(f"tcp {port.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
