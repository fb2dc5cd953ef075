"""The scene of the sequence, on a simulated network."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.sequence import CUTS, NUMBERS, Sequence
from lab.sequence.client import Ended
from lab.sequence.tcp import SequenceFactory
from lab.simulator import simulate
from tests.commands.demonstrating.play import Controls, play, world

TOXIC = "reset_peer_downstream"
COUNTED = {"sequence": {TOXIC: 1}}


class SequenceTests(SynchronousTestCase):
    """A sequence that is cut."""

    def setUp(self) -> None:
        """A proxy that does what it is told."""
        self.controls = Controls(COUNTED, self.cut, self.mend)
        self.said: list[str] = []

    def cut(self) -> None:
        """All connections are reset, and nobody listens."""
        self.port.stopListening()
        for protocol in list(self.factory._open):
            protocol.transport.abortConnection()

    def mend(self) -> None:
        """Somebody listens."""
        self.port = self.net.host("server").reactor.listenTCP(80, self.factory)

    def play(self) -> Any:
        """Play it."""
        with simulate(7) as self.net:
            self.factory = SequenceFactory(self.net.host("server").reactor)
            self.mend()
            scene = Sequence()
            scene.say = self.said.append
            there = world(self.net, self.controls, sequence="tcp:server:80")
            play(self.net, scene, there)
            self.net.run(1)
            self.assertEqual(there.reactor.getDelayedCalls(), [])
        return scene

    def test_right(self) -> None:
        """It is reset twice and disabled once, goes on each time, and is whole."""
        scene = self.play()
        self.assertEqual((scene.wrong, scene.done), ([], NUMBERS))
        self.assertEqual(scene.network, "reset 2 times, disabled once")
        whole = "60 of 60 numbers, checksum as the server's; resumed 3 times"
        self.assertEqual(scene.arrived, whole)
        reset = [("add", "sequence", TOXIC), ("remove", "sequence", TOXIC)]
        disabled = [("disable", "sequence"), ("enable", "sequence")]
        self.assertEqual(self.controls.asked, [*reset, *reset, *disabled])
        cuts = ["reset", "reset", "disabled"]
        said = [
            line
            for way, at in zip(cuts, CUTS, strict=True)
            for line in (f"{way} by the proxy at number {at + 1}", f"goes on with number {at + 1}")
        ]
        self.assertEqual(self.said, said)
        series = scene.result.series["numbers"]
        self.assertEqual(series.values, tuple(range(1, NUMBERS + 1)))
        self.assertEqual([one.fault for one in scene.result.windows], cuts)
        for window in scene.result.windows:
            self.assertFalse([at for at in series.times if window.begin < at < window.end])

    def test_resets_that_nobody_counted(self) -> None:
        """A connection that was lost, but not by the proxy, is no reset."""
        self.controls.counted = {}
        self.assertEqual(self.play().wrong, ["the proxy has not reset the connection"] * 2)

    def test_not_cut(self) -> None:
        """One that the proxy does not cut is whole, and not right: why is told."""
        self.controls.refuses = True
        scene = self.play()
        self.assertEqual((scene.done, scene.network), (NUMBERS, ""))
        self.assertEqual(
            scene.wrong,
            [
                "no such proxy",
                "it was cut 0 times, and not 3 times",
                "it was resumed 0 times",
            ],
        )

    def test_cut_in_vain(self) -> None:
        """So is one whose connection does not break: nothing waits for that for ever."""
        self.controls.cut = bool
        scene = self.play()
        self.assertEqual(scene.done, NUMBERS)
        self.assertIn("it was cut 0 times, and not 3 times", scene.wrong)

    def test_different(self) -> None:
        """Another checksum, or numbers that are missing, are wrong."""
        for outcome, count in (("different", NUMBERS), ("equal", 5)):
            scene = Sequence()
            scene.ways, scene.resumed = ["reset", "reset", "disabled"], 3
            scene.judge(Ended(outcome, count, "so it was"))
            wrong = f"the sequence has ended with {count} of 60 numbers: so it was"
            self.assertEqual(scene.wrong, [wrong])
