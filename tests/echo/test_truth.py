"""What reports say, held against what a proxy of datagrams has done to each packet."""

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ServerSettings
from lab.echo.udp import EchoClient, EchoDatagramProtocol
from lab.echo.wire import Packet, Probed, StreamEnd, read_reply
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.proxy.datagrams import DatagramRelay, Limits
from lab.rng import stream
from lab.simulator import simulate
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

    def received_from(self, client: tuple[str, int], data: bytes) -> None:
        """Note it."""
        self.came.append(data)
        super().received_from(client, data)

    def reply(self, data: bytes, client: tuple[str, int]) -> None:
        """Note it."""
        self.left.append(data)
        super().reply(data, client)


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

    def decided(self, direction: str, fault: str) -> set[int]:
        """The units about which a fault has decided something; each counts those that it sees."""
        return {
            entry.unit
            for entry in self.journal.entries
            if (entry.place.direction, entry.place.fault) == (direction, fault)
        }

    def copies(self, direction: str, units: list[bytes]) -> dict[bytes, int]:
        """How often each datagram leaves the proxy, by what the journal says."""
        lost = self.decided(direction, "loss")
        survived = [unit for number, unit in enumerate(units) if number not in lost]
        twice = {survived[number] for number in self.decided(direction, "duplicate")}
        return {
            unit: 0 if number in lost else 1 + (unit in twice) for number, unit in enumerate(units)
        }


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


class StreamTests(SynchronousTestCase):
    """Streams: nothing is wrong with the way up, so that what is lost was lost on the way back."""

    def compare(self, count: int, seed: int) -> None:
        """No packet is misclassified."""
        truth = run("stream", count, up=False, seed=seed)
        copies = {
            packet.seq: times
            for unit, times in truth.copies("downstream", truth.server.said).items()
            if isinstance(packet := read_reply(unit), Packet)
        }
        self.assertEqual(sorted(copies), list(range(count)))
        behind, highest, before = set[int](), -1, set[int]()
        for unit in truth.relay.left:
            if isinstance(packet := read_reply(unit), Packet):
                if packet.seq < highest and packet.seq not in before:
                    behind.add(packet.seq)
                highest = max(highest, packet.seq)
                before.add(packet.seq)
        found: Any = truth.measured.report
        wrong = [
            packet
            for packet in truth.measured.packets
            if packet.copies != copies[packet.number]
            or (packet.extent > 0) != (packet.number in behind)
        ]
        self.assertEqual((wrong, len(truth.measured.packets)), ([], count))
        counts = (found.packets, found.lost, found.duplicates, found.reordered)
        lost = sum(times == 0 for times in copies.values())
        twice = sum(times == 2 for times in copies.values())
        self.assertEqual(counts, (count, lost, twice, len(behind)))
        self.assertEqual((found.foreign, found.overdue, found.forgotten), (0, 0, 0))
        self.assertEqual(sum(row.lost for row in found.intervals), lost)
        self.assertGreater(min(counts), count / 500)
        ends = [unit for unit in truth.server.said if isinstance(read_reply(unit), StreamEnd)]
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
        probes = [unit for unit in truth.relay.came if b" probe " in unit]
        # Nothing was sent before the probes, so that the units are theirs.
        self.assertEqual(truth.relay.came[:count], probes)
        up = truth.copies("upstream", truth.relay.came)
        said = [(unit, read_reply(unit)) for unit in truth.server.said]
        lost_up = sum(up[unit] == 0 for unit in probes)
        answered: dict[int, int] = {}
        # An answer is another for each copy of a probe, so that each is a unit of its own.
        down = truth.copies("downstream", truth.server.said)
        for unit, reply in said:
            if isinstance(reply, Probed):
                answered[reply.seq] = answered.get(reply.seq, 0) + down[unit]
        report: Any = truth.measured.report
        lost_down = sum(times == 0 for times in answered.values())
        self.assertEqual((report.sent, report.lost_up), (count, lost_up))
        self.assertEqual((report.lost_down, report.lost_unknown), (lost_down, 0))
        self.assertEqual(report.duplicates_up, sum(up[unit] == 2 for unit in probes))
        twice = sum(down[unit] == 2 for unit, reply in said if isinstance(reply, Probed))
        self.assertEqual(report.duplicates_down, twice)
        for packet in truth.measured.packets:
            self.assertEqual(packet.copies, answered.get(packet.number, 0))
        self.assertGreater(min(lost_up, lost_down, twice), 20)
