"""Sequences, measured."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments import simulated
from lab.experiments.of_sequence import SequenceSubject
from lab.faults.fault import Fault
from lab.faults.streams import ResetPeer
from tests.experiments.cells import cell, found, repetition, value

SUBJECT = SequenceSubject()


class SequenceTests(SynchronousTestCase):
    """In the simulator."""

    def test_whole(self) -> None:
        """Each client receives its sequence, in the time that it takes."""
        seen = found(SUBJECT, cell("service=sequence", "clients=2", "count=11", "interval=100ms"))
        self.assertEqual((value(seen, "completion"), value(seen, "numbers")), (1.0, 1.0))
        self.assertEqual((value(seen, "wrong"), value(seen, "resumptions")), (0.0, 0.0))
        self.assertEqual(len(seen.measures["duration"].samples), 2)
        self.assertApproximates(seen.measures["duration"].samples[0], 1.0, 0.05)
        self.assertLess(seen.measures["lateness"].histogram.most, 0.001)  # type: ignore[union-attr]

    def test_resumed(self) -> None:
        """A connection that is reset is made again, and the sequence goes on."""
        reset = Fault(ResetPeer(idle=True), "reset", after=0.3, duration=0.1)
        seen = found(SUBJECT, cell("service=sequence"), reset)
        self.assertEqual(value(seen, "completion"), 1.0)
        self.assertGreaterEqual(value(seen, "resumptions"), 1.0)
        self.assertGreaterEqual(value(seen, "retries"), 1.0)

    def test_given_up(self) -> None:
        """If the session is gone, the sequence has not ended well, and took no time."""
        seen, _ = simulated.run(repetition("service=sequence", "cut=5s"), 60.0)
        self.assertEqual(value(seen, "completion"), 0.0)
        self.assertLess(value(seen, "numbers"), 0.5)
        self.assertNotIn("duration", seen.measures)

    def test_one_number(self) -> None:
        """The first of a connection is never late."""
        seen = found(SUBJECT, cell("service=sequence", "count=1"))
        self.assertEqual(value(seen, "completion"), 1.0)
        self.assertNotIn("lateness", seen.measures)

    def test_arguments(self) -> None:
        """The server is told what the cell says."""
        words = SUBJECT.arguments(cell("service=sequence", "window=5s"), Path())
        self.assertEqual(
            words[:4], ["--sequence", "tcp:0:interface=127.0.0.1", "--interval", "0.02"]
        )
        self.assertEqual(words[4:], ["--heartbeat-interval", "0.5", "--reconnect-window", "5"])
