"""The scenes of the echo service, on a simulated network."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.echo import CHARACTERS, PACKETS, File, Stream
from lab.commands.demonstrating.scene import Scene
from lab.echo.oneway import OneWay
from lab.echo.outcomes import Measured, Received
from lab.errors import LabError
from lab.faults.datagrams import Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.simulator import simulate
from tests.commands.demonstrating.play import play, world
from tests.commands.echoes import TCP, UDP, serve


def played(scene: Scene, *faults: Fault, up: bool = True) -> Any:
    """A scene on a network."""
    with simulate(7) as net:
        serve(net) if up else net.host("server")
        net.link("server", "client", *faults)
        there = world(net, echo_udp=UDP, echo_tcp=TCP)
        try:
            return play(net, scene, there)
        finally:
            net.run(1)
            assert there.reactor.getDelayedCalls() == []


class EchoTests(SynchronousTestCase):
    """A stream and a file."""

    def test_stream(self) -> None:
        """Jitter and what was out of order are told, and losses, which are no mistake."""
        faults = (
            Fault(Latency(0.03, 0.008), "late"),
            Fault(Reorder(0.05, displacement=3), "order"),
        )
        scene = played(Stream(), *faults, Fault(Loss(0.02), "loss"))
        self.assertEqual(scene.wrong, [])
        self.assertRegex(
            scene.arrived, r"^4\d\d packets, [1-9]\d* lost, \d\d out of order, jitter \d[\d.]* ms$"
        )
        self.assertEqual(len(scene.packets), PACKETS)
        self.assertEqual(scene.done, sum(bool(packet.copies) for packet in scene.packets))

    def test_plain_stream(self) -> None:
        """One that comes as it left has not been where it should have been."""
        scene = played(Stream())
        self.assertEqual((scene.wrong, scene.done), (["all came in order"], PACKETS))

    def test_stream_without_end(self) -> None:
        """Packets that nobody has accounted for are missing."""
        for measured in (
            Measured(OneWay(5).report(), ended=True),
            Measured(evolve(OneWay(PACKETS).report(), reordered=1)),
        ):
            scene = Stream()
            scene.judge(measured)
            packets = measured.report.packets  # type: ignore[union-attr]
            self.assertIn(f"of 500 packets {packets} are accounted for", scene.wrong)

    def test_file(self) -> None:
        """A file comes whole, and the server has said the same of it."""
        scene = played(File())
        self.assertEqual((scene.wrong, scene.done), ([], CHARACTERS))
        said = r"^400,000 characters in [\d.]+ m?s, SHA-256 as the server's$"
        self.assertRegex(scene.arrived, said)

    def test_file_without_word(self) -> None:
        """One of which the server has not said so is not right."""
        scene = File()
        scene.judge(Received(0, CHARACTERS, seconds=2.0))
        self.assertEqual(scene.arrived, "400,000 characters in 2 s")
        self.assertEqual(scene.wrong, ["the server has not said the same SHA-256"])

    def test_nobody_there(self) -> None:
        """Without a server it ends with why; nothing is left."""
        for scene in (Stream(), File()):
            self.assertRaises(LabError, played, scene, up=False)
