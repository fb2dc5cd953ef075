"""What ``lab demo`` sees of the echo service, on a simulated network."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demo_echo import CHARACTERS, FILE, PACKETS, STREAM, EchoLeg, echo
from lab.echo.oneway import OneWay
from lab.echo.outcomes import Measured
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.commands.echoes import UDP, serve


class EchoTests(SynchronousTestCase):
    """A stream and a file."""

    def legs(self, *faults: Fault, up: bool = True) -> list[EchoLeg]:
        """What is seen through a network."""
        with simulate(7) as net:
            (serve if up else self.nobody)(net)
            net.link("server", "client", *faults)
            return net.run_until(
                Deferred.fromCoroutine(echo(net.host("client").reactor, UDP, 7)), limit=600
            )

    def nobody(self, net: Network) -> None:
        """No server."""
        net.host("server")

    def test_bad_network(self) -> None:
        """Lost packets are a result, and a file is whole all the same."""
        stream, file = self.legs(
            Fault(Latency(0.02, 0.005), "latency"), Fault(Loss(0.1), "loss"),
        )  # fmt: skip
        self.assertEqual((stream.whole, stream.right + stream.lost), (True, PACKETS))
        self.assertGreater(stream.lost, 0)
        self.assertEqual(stream.told, f"echo, stream: {stream.right} of {PACKETS} packets")
        name, asked, again, lost, right, *times = stream.row
        self.assertEqual((name, asked, again), (STREAM, "100", "0"))
        self.assertEqual((int(lost) + int(right), len(times)), (100, 3))
        self.assertTrue(0.001 < stream.times[0] < 0.01, stream.times)
        self.assertEqual((file.whole, file.right), (True, CHARACTERS))
        self.assertGreater(file.again, 0)
        self.assertEqual(file.row, (FILE, "50,000", str(file.again), "0", "50,000", "", "", ""))
        self.assertEqual(file.told, "echo, file: 50,000 of 50,000 characters")

    def test_nothing_comes(self) -> None:
        """Neither is as it should be, and why is told."""
        for faults, up in (((Fault(Loss(1.0), "loss"),), True), ((), False)):
            for leg in self.legs(*faults, up=up):
                self.assertEqual((leg.whole, leg.right), (False, 0))
                self.assertIn("no answer" if up else "nobody listens", leg.error)

    def test_stream_without_packets(self) -> None:
        """Without packets there are no times."""
        leg = EchoLeg(STREAM, 5)
        leg.streamed(Measured(OneWay(5).report(), ended=True))
        self.assertEqual((leg.right, leg.lost, leg.whole), (0, 5, True))
        self.assertEqual(leg.row[-3:], ("", "", ""))
