"""The echo service over TCP and UDP, without limits; ``one-by-one``: a system call a datagram."""

import sys

from twisted.internet import endpoints, reactor

from lab.adapters import offload
from lab.adapters.endpoints import DatagramServerEndpoint
from lab.echo.settings import ServerSettings
from lab.echo.tcp import EchoFactory
from lab.echo.udp import EchoDatagramProtocol

PACE = 1e10
"""Bytes a second: more than can be."""


def main() -> None:
    """Listen on free ports, and say which."""
    if "one-by-one" in sys.argv:
        offload.SEGMENTS = 1
    settings = ServerSettings(packets=10**9, pace=PACE)
    protocol = EchoDatagramProtocol(reactor, settings)
    datagrams = DatagramServerEndpoint(reactor, 0, "127.0.0.1").listen(protocol)
    streams = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")

    def listening(port: object) -> None:
        """Both listen."""
        print("tcp", port.getHost().port, "udp", datagrams.getHost().port, flush=True)

    streams.listen(EchoFactory(reactor, settings)).addCallback(listening)
    reactor.run()


if __name__ == "__main__":
    main()
