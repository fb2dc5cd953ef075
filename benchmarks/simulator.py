"""
How fast is the simulator? ``python benchmarks/simulator.py`` says so.

A hundred clients on UDP, each of which sends a message a second and gets it back, for an hour of
virtual time. CPU time is what counts, so that what else the machine does counts less. Beside it,
in turn, the same clients on Twisted's own `task.Clock`, without any network: messages are handed
over by `callLater`. It keeps no trace, and models nothing.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable

import click
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from lab.simulator import simulate

CLIENTS = 100


class Server(DatagramProtocol):
    """Sends back what it gets."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Send it back."""
        self.transport.write(datagram, addr)


class Client(DatagramProtocol):
    """Sends a message a second."""

    noisy = False

    def __init__(self, reactor: object, peer: tuple[str, int]) -> None:
        self._reactor, self._peer = reactor, peer
        self.answers = 0

    def startProtocol(self) -> None:
        """Begin."""
        self._send()

    def _send(self) -> None:
        """Send one, and come again."""
        self.transport.write(b"hello", self._peer)
        self._reactor.callLater(1, self._send)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """It came back."""
        self.answers += 1


def in_simulator(seconds: float) -> tuple[int, int]:
    """Run it in a simulation; returns events and answers."""
    with simulate(7) as net:
        server = net.host("server")
        server.reactor.listenUDP(5000, Server())
        clients = []
        for number in range(CLIENTS):
            reactor = net.host(f"client-{number}").reactor
            clients.append(Client(reactor, (server.address, 5000)))
            reactor.listenUDP(0, clients[-1])
        net.run(seconds)
        net.digest()
        return net.kernel.done, sum(client.answers for client in clients)


class Wire:
    """A transport that hands over what is written to it after a millisecond."""

    def __init__(self, clock: Clock, protocol: DatagramProtocol) -> None:
        self.clock, self.protocol = clock, protocol
        self.other: Wire
        self.events = 0

    def write(self, datagram: bytes, addr: object = None) -> None:
        """Hand it over."""
        self.events += 1
        self.clock.callLater(0.001, self.other.protocol.datagramReceived, datagram, addr)


def on_clock(seconds: float) -> tuple[int, int]:
    """Run it on `task.Clock`; returns events and answers."""
    clock, clients, events = Clock(), [], 0
    for _ in range(CLIENTS):
        client = Client(clock, ("server", 5000))
        here, there = Wire(clock, client), Wire(clock, Server())
        here.other, there.other = there, here
        there.protocol.transport = there
        client.makeConnection(here)
        clients.append((client, here, there))
    while clock.seconds() < seconds:
        clock.advance(clock.calls[0].getTime() - clock.seconds())
    for _, here, there in clients:
        events += 2 * here.events + there.events
    return events, sum(client.answers for client, _, _ in clients)


def measure(run: Callable[[float], tuple[int, int]], seconds: float) -> float:
    """Events per second of CPU time."""
    before = time.process_time()
    events, answers = run(seconds)
    taken = time.process_time() - before
    if answers < CLIENTS * (seconds - 1):
        raise SystemExit(f"only {answers:,} answers")
    return events / taken


@click.command()
@click.option("--seconds", type=click.FloatRange(10), default=3600.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
def main(seconds: float, rounds: int) -> None:
    """Measure events per second of CPU time, in the simulator and on Twisted's Clock."""
    rates: dict[str, list[float]] = {"simulator": [], "task.Clock": []}
    for _ in range(rounds):
        rates["simulator"].append(measure(in_simulator, seconds))
        # The Clock sorts all its calls each time: a tenth of the time is enough of it.
        rates["task.Clock"].append(measure(on_clock, max(10.0, seconds / 10)))
    for name, found in rates.items():
        click.echo(f"{name:12} {statistics.median(found):12,.0f} events/s")
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    click.echo(f"{'ratio':12} {statistics.median(ratios):12.2f}")
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    version = sys.version.split()[0]
    click.echo(f"{size:,} KiB of memory at most; {rounds} rounds, Python {version}")


if __name__ == "__main__":
    main()
