"""
Our sequence server, embedded as any application would: ``python txlab_sequence.py LIFETIME``.

Twisted's default reactor, on a free port of 127.0.0.1, which is printed.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react

from lab.sequence.settings import ServerSettings
from lab.sequence.tcp import SequenceFactory


async def main(reactor: Any, lifetime: str) -> None:
    """
    Serve until killed.

    Args:
        reactor: Twisted's.
        lifetime: The process ends by itself after this, in seconds.
    """
    signal.alarm(int(lifetime))
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=4096")
    settings = ServerSettings(sessions=1_000_000, per_address=1_000_000)
    port: Any = await endpoint.listen(SequenceFactory(reactor, settings))
    print(f"tcp {port.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
