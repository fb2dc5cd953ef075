"""A server and a client of the echo service on a virtual network, over streams or datagrams."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.echo import tcp, udp
from lab.echo.asking import EchoAsking
from lab.echo.settings import ClientSettings, ServerSettings
from lab.rng import stream
from lab.simulator import simulate
from lab.simulator.network import Network

PORT = 50001


@frozen
class Scene:
    """
    What there is.

    Args:
        net: The network.
        server: `EchoFactory` or `EchoDatagramProtocol`.
        port: Where it listens.
        client: Of it.
    """

    net: Network
    server: Any
    port: Any
    client: EchoAsking

    def wait(self, result: Any, limit: float = 600.0) -> Any:
        """What comes of it."""
        return self.net.run_until(result, limit)

    def left(self) -> list[Any]:
        """Timers and connections of the client's host, after it was closed."""
        self.wait(self.client.close())
        host = self.net.host("client")
        return [*host.reactor.getDelayedCalls(), *host.udp, *host.ends]


def set_up(
    net: Network, transport: str, limits: ServerSettings | None = None, **settings: Any
) -> Scene:
    """A server and a client of it."""
    here: Any = net.host("client").reactor
    there: Any = net.host("server").reactor
    address = net.host("server").address
    set_, random = ClientSettings(**settings), stream(net.seed, "client")
    if transport == "tcp":
        factory = tcp.EchoFactory(there, limits)
        ports: list[Any] = []
        TCP4ServerEndpoint(there, PORT).listen(factory).addCallback(ports.append)
        place = TCP4ClientEndpoint(here, address, PORT)
        return Scene(net, factory, ports[0], tcp.EchoClient(here, place, set_, random))
    protocol = udp.EchoDatagramProtocol(there, limits)
    port = DatagramServerEndpoint(there, PORT).listen(protocol)
    to = DatagramClientEndpoint(here, address, PORT)
    return Scene(net, protocol, port, udp.EchoClient(here, to, set_, random))


@contextmanager
def scene(
    transport: str, limits: ServerSettings | None = None, seed: int = 7, **settings: Any
) -> Iterator[Scene]:
    """A network with both."""
    with simulate(seed) as net:
        yield set_up(net, transport, limits, **settings)
