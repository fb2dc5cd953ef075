"""
How fast is the simulator? ``python benchmarks/simulator.py`` says so.

A hundred clients on UDP, each of which sends a message a second and gets it back, for an hour of
virtual time. CPU time is what counts, so that what else the machine does counts less. Beside it,
in turn, the same clients on Twisted's own `task.Clock`, without any network: messages are handed
over by `callLater`. It keeps no trace, and models nothing.
"""

import asyncio
import resource
import statistics
import time
from collections.abc import Callable

import click
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from frame import Frame, framed
from lab.simulator import simulate

try:
    from simloop import SimLoop
except ImportError:
    SimLoop = None

CLIENTS = 100
#: What each way takes, in seconds, as in our simulator.
LATENCY = 0.001


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


class AsyncServer(asyncio.DatagramProtocol):
    """Sends back what it gets, on asyncio."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """Keep it."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send it back."""
        self.transport.sendto(data, addr)


class AsyncClient(AsyncServer):
    """Sends a message a second, on asyncio."""

    answers = events = 0

    def __init__(self, peer: tuple[str, int]) -> None:
        self._peer = peer

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._send()

    def _send(self) -> None:
        """Send one, and come again."""
        self.events += 1
        self.transport.sendto(b"hello", self._peer)
        asyncio.get_running_loop().call_later(1, self._send)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """It came back."""
        self.answers += 1


def in_simloop(seconds: float) -> tuple[int, int]:
    """Run it in simloop; returns events and answers: a timer and two arrivals for each message."""
    loop, clients = SimLoop(seed=7), []

    async def begin(protocol: asyncio.DatagramProtocol, port: int) -> None:
        """Open a port on a host."""
        running = asyncio.get_running_loop()
        await running.create_datagram_endpoint(lambda: protocol, local_addr=("0.0.0.0", port))

    async def scenario() -> None:
        """A server, clients, and time."""
        loop.net.set_defaults(latency=(LATENCY, LATENCY))
        await loop.net.host("server").create_task(begin(AsyncServer(), 5000))
        for number in range(CLIENTS):
            clients.append(AsyncClient(("server", 5000)))
            await loop.net.host(f"client-{number}").create_task(begin(clients[-1], 5000))
        await asyncio.sleep(seconds)

    loop.run_until_complete(scenario())
    loop.close()
    answers = sum(client.answers for client in clients)
    return sum(client.events for client in clients) + 2 * answers, answers


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
@framed("simulator")
def main(*, frame: Frame, seconds: float, rounds: int) -> None:
    """Measure events per second of CPU time, in the simulator and beside it."""
    # The others are slower, and need less time to be measured.
    less = max(10.0, seconds / 10)
    runs = {"simulator": (in_simulator, seconds), "task.Clock": (on_clock, less)}
    if SimLoop is not None:
        runs["simloop"] = in_simloop, less
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, time_) in runs.items():
            rates[name].append(measure(run, time_))
    ours = rates["simulator"]
    each = {name: [{"events/s": rate} for rate in found] for name, found in rates.items()}
    frame.add("CPU time of a second of clients", each, ours="simulator")
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(ours, found, strict=True))
        click.echo(
            f"{name:12} {statistics.median(found):12,.0f} events/s; ours are {ratio:.2f} x as many",
            err=frame.quiet,
        )
    if SimLoop is None:
        click.echo(
            "simloop      is not there: pip install simloop, with Python 3.12 or later", err=True
        )
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    click.echo(f"{size:,} KiB of memory at most; {rounds} rounds", err=frame.quiet)


if __name__ == "__main__":
    main()
