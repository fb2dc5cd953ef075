"""What the peers on Twisted have in common: they listen, say where, and end by themselves."""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory

BACKLOG = 4096
"""So many connections may wait to be accepted."""


async def serve(reactor: Any, lifetime: str, factory: Factory) -> None:
    """
    Serve until killed, on a free port of 127.0.0.1, which is printed.

    Args:
        reactor: Twisted's.
        lifetime: The process ends by itself after this, in seconds.
        factory: Of what is served.
    """
    signal.alarm(int(lifetime))
    endpoint = serverFromString(reactor, f"tcp:0:interface=127.0.0.1:backlog={BACKLOG}")
    port: Any = await endpoint.listen(factory)
    print(f"tcp {port.getHost().port}", flush=True)
    await Deferred()
