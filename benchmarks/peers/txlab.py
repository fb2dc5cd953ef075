"""
Our server, embedded as any application would: ``python txlab.py default|lab LIFETIME``.

On Twisted's default reactor or on ours; TCP and UDP on free ports of 127.0.0.1, which are printed.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import signal
import sys
from typing import Any

from twisted.application.reactors import installReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react

from lab.arithmetic.tcp import ArithmeticFactory
from lab.arithmetic.udp import ArithmeticDatagramProtocol


async def main(reactor: Any, lifetime: str) -> None:
    """
    Serve until killed.

    Args:
        reactor: Twisted's; it gives TCP, UDP and time.
        lifetime: The process ends by itself after this, in seconds.
    """
    signal.alarm(int(lifetime))
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=1024")
    stream: Any = await endpoint.listen(ArithmeticFactory(reactor))
    datagrams = reactor.listenUDP(
        0, ArithmeticDatagramProtocol(reactor), interface="127.0.0.1", maxPacketSize=65535
    )
    tcp_port, udp_port = stream.getHost().port, datagrams.getHost().port
    print(f"tcp {tcp_port} udp {udp_port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    installReactor(sys.argv[1])
    react(main, sys.argv[2:])
