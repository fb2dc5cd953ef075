"""What reports say, held against what a proxy of datagrams has done to each packet."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ServerSettings
from lab.echo.udp import EchoClient, EchoDatagramProtocol
from lab.echo.wire import StreamEnd
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.proxy.datagrams import DatagramRelay, Limits
from lab.rng import stream
from lab.simulator import simulate
from tests.echo.truth import check_probes, check_stream, extents, replies
from tests.helpers import thorough

PORT, PROXY = 50001, 49157


class Noting(EchoDatagramProtocol):
    """A server that notes what it hears and says."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[bytes] = []
        self.said: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Note it."""
        self.heard.append(datagram)
        super().datagramReceived(datagram, addr)

    def _send(self, messages: list[bytes], address: Any = None) -> None:
        """Note it."""
        self.said += messages
        super()._send(messages, address)


class NotingRelay(DatagramRelay):
    """A relay that notes what it is sent, and what leaves it, in their order."""

    def __init__(self, *arguments: Any, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self.came: list[bytes] = []
        self.left: list[bytes] = []

    def received_from(self, client: tuple[str, int], datagrams: Sequence[bytes]) -> None:
        """Note them."""
        self.came += datagrams
        super().received_from(client, datagrams)

    def reply(self, datagrams: Sequence[bytes], client: tuple[str, int]) -> bool:
        """Note them."""
        self.left += datagrams
        return super().reply(datagrams, client)


@frozen
class Truth:
    """
    What a run has shown.

    Args:
        measured: By the client.
        journal: Of the faults.
        relay: The proxy.
        server: The server.
    """

    measured: Measured
    journal: Journal
    relay: NotingRelay
    server: Noting


def faults() -> tuple[Fault, ...]:
    """3 % loss, 1 % duplicates, 2 % reordering, 5 ms jitter."""
    kinds: tuple[Any, ...] = (Loss(0.03), Duplicate(0.01), Reorder(0.02, 5), Latency(0.02, 0.005))
    names = ("loss", "duplicate", "reorder", "latency")
    return tuple(Fault(kind, name) for kind, name in zip(kinds, names, strict=True))


def run(kind: str, count: int, *, up: bool, seed: int = 7) -> Truth:
    """A stream or probes through a proxy, with faults on the way back, and up perhaps."""
    with simulate(seed) as net:
        there: Any = net.host("server").reactor
        between: Any = net.host("proxy").reactor
        here: Any = net.host("client").reactor
        server = Noting(there, ServerSettings(packets=count))
        DatagramServerEndpoint(there, PORT).listen(server)
        journal = Journal()
        relay = NotingRelay(
            between,
            "link",
            lambda: DatagramClientEndpoint(between, net.host("server").address, PORT),
            decisions=Dice(seed),
            journal=journal,
            limits=Limits(idle=3600.0),
        )
        relay.set_faults(faults() if up else (), faults())
        DatagramServerEndpoint(between, PROXY).listen(relay.protocol)
        place = DatagramClientEndpoint(here, net.host("proxy").address, PROXY)
        client: EchoAsking = EchoClient(here, place, random=stream(seed))
        ask = getattr(client, kind)
        asked: Deferred[Measured] = ask(0.002, count, 100, keep=True)
        measured = net.run_until(asked, limit=3600)
        net.run_until(client.close())
        relay.drop()
        return Truth(measured, journal, relay, server)


class ExtentTests(SynchronousTestCase):
    """What the comparison itself computes."""

    def test_extents(self) -> None:
        """The first with a higher number counts, and of copies the first."""
        self.assertEqual(extents([0, 2, 3, 1, 3]), {0: 0, 2: 0, 3: 0, 1: 2})


class StreamTests(SynchronousTestCase):
    """Streams: nothing is wrong with the way up, so that what is lost was lost on the way back."""

    def compare(self, count: int, seed: int) -> None:
        """No packet is misclassified."""
        truth = run("stream", count, up=False, seed=seed)
        found = check_stream(truth.measured, truth.journal.entries, truth.relay.left, count)
        self.assertEqual(found.pop("late"), 0)
        self.assertGreater(min(found.values()), count / 500)
        ends = [one for one in replies(truth.server.said) if isinstance(one, StreamEnd)]
        self.assertEqual((len(ends), truth.measured.ended), (3, True))

    def test_five_thousand(self) -> None:
        """Five thousand packets."""
        self.compare(5000, seed=7)

    @thorough
    def test_hundred_thousand(self) -> None:
        """A hundred thousand."""
        self.compare(100_000, seed=1)


class ProbeTests(SynchronousTestCase):
    """Probes, and both ways are bad."""

    def test_five_thousand(self) -> None:
        """What was lost and doubled on which way is what the journal says."""
        count = 5000
        truth = run("probe", count, up=True)
        # Nothing was sent before the probes, so that the units are theirs.
        self.assertTrue(all(b" probe " in unit for unit in truth.relay.came[:count]))
        found = check_probes(truth.measured, truth.journal.entries, truth.relay.left, count)
        self.assertEqual(found.pop("late"), 0)
        self.assertGreater(min(found.values()), count / 500)
