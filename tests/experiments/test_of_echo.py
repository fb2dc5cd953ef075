"""Streams of the echo service, measured."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.of_echo import EchoSubject
from lab.faults.datagrams import Bandwidth, Blackhole, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import LimitData
from tests.experiments.cells import cell, found, value

SUBJECT = EchoSubject()


class EchoTests(SynchronousTestCase):
    """In the simulator."""

    def test_whole(self) -> None:
        """All arrives in time, over both transports."""
        for transport in ("udp", "tcp"):
            keys = ["service=echo", f"transport={transport}", "clients=2", "count=50", "rate=50"]
            seen = found(SUBJECT, cell(*keys))
            for name in ("loss", "duplicates", "reordered", "late"):
                self.assertEqual(value(seen, name), 0.0)
            self.assertLess(value(seen, "jitter"), 1e-6)
            self.assertEqual(seen.measures["delay"].count, 100)
            self.assertApproximates(value(seen, "throughput"), 2 * 50 * 200, 1000)

    def test_loss(self) -> None:
        """What is lost is counted, and when."""
        fault = Fault(Loss(1.0), "loss", after=1.0, duration=0.5)
        seen = found(SUBJECT, cell("service=echo", "count=200", "rate=100"), fault)
        self.assertApproximates(value(seen, "loss"), 0.25, 0.02)
        series = seen.series["loss"]
        lossy = {
            round(time, 3) for time, value in zip(series.times, series.values, strict=True) if value
        }
        self.assertTrue(lossy <= {1.0, 1.1, 1.2, 1.3, 1.4, 1.5}, lossy)
        self.assertGreater(len(lossy), 3)

    def test_jitter(self) -> None:
        """A way that is not steady, and one that is too narrow."""
        uneven = found(SUBJECT, cell("service=echo"), Fault(Latency(0.02, jitter=0.01), "latency"))
        self.assertGreater(value(uneven, "jitter"), 0.003)
        self.assertGreater(max(uneven.series["jitter"].values), 0.003)
        narrow = found(SUBJECT, cell("service=echo"), Fault(Bandwidth(10_000, queue=2000), "rate"))
        self.assertGreater(value(narrow, "loss"), 0.3)

    def test_nothing(self) -> None:
        """If nothing ever comes, all is lost, and there is no jitter."""
        seen = found(SUBJECT, cell("service=echo"), Fault(Blackhole(), "hole"))
        self.assertEqual(value(seen, "loss"), 1.0)
        self.assertEqual((set(seen.measures) & {"jitter", "delay"}, seen.series), (set(), {}))

    def test_broken(self) -> None:
        """What came before the end of a connection counts."""
        one = cell("service=echo", "transport=tcp", "count=100")
        seen = found(SUBJECT, one, Fault(LimitData(10_000), "limit"))
        self.assertGreater(seen.measures["delay"].count, 30)

    def test_arguments(self) -> None:
        """The server sends as many packets as are wanted, to all clients at a time."""
        words = SUBJECT.arguments(cell("service=echo", "count=5000"), Path())
        self.assertEqual(words[:2], ["--echo", "udp:0:interface=127.0.0.1"])
        self.assertEqual(words[2:], ["--stream-packets", "5000", "--streams", "1000"])
