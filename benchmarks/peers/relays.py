"""
Proxies on Twisted: ours, without faults or with a latency, and Twisted's own portforward.

Ours for datagrams is ``udp-relay``, and with the reactor `lab.adapters.epoll` it is ``udp-lean``.
"""

import signal
import sys
from typing import Any

if sys.argv[1:2] in (["lean"], ["udp-lean"]):
    from lab.adapters.epoll import install

    install()

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.protocols.portforward import ProxyFactory

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.adapters.lean import lean
from lab.faults.datagrams import Latency
from lab.faults.fault import Fault
from lab.faults.journal import Dice
from lab.proxy.datagrams import DatagramRelay
from lab.proxy.ports import connector
from lab.proxy.streams import StreamRelay


def make(kind: str, port: int) -> Factory:
    """Make what accepts connections to this port of the origin."""
    if kind == "portforward":
        return ProxyFactory("127.0.0.1", port)
    relay = StreamRelay(reactor, kind, connector(reactor, f"127.0.0.1:{port}"), decisions=Dice(7))
    if kind == "latency":
        relay.set_faults([Fault(Latency(0.02), "latency")], [])
    return relay.factory


def listen(kind: str, port: int) -> int:
    """Relay to this port; gives ours."""
    if kind.startswith("udp"):
        connect = connector(reactor, f"127.0.0.1:{port}", "udp")
        relay = DatagramRelay(reactor, kind, connect, decisions=Dice(7))
        made: Any = DatagramServerEndpoint(reactor, 0, "127.0.0.1").listen(relay.protocol)
        return int(made.getHost().port)
    factory = make(kind, port)
    factory.noisy = False
    listening = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
    if kind != "portforward":
        lean(listening)  # as the proxy does
    return int(listening.getHost().port)


def main() -> None:
    """Forward to a port, until it has been so many seconds: KIND PORT SECONDS."""
    kind, port, seconds = sys.argv[1:]
    transport = "udp" if kind.startswith("udp") else "tcp"
    sys.stdout.write(f"{transport} {listen(kind, int(port))}\n")
    sys.stdout.flush()
    signal.alarm(int(seconds))
    reactor.run()


if __name__ == "__main__":
    main()
