"""The arithmetic service, measured."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.of_arithmetic import ArithmeticSubject
from lab.faults.datagrams import Blackhole, Loss
from lab.faults.fault import Fault
from tests.experiments.cells import cell, found, parts, value

SUBJECT = ArithmeticSubject()


class ArithmeticTests(SynchronousTestCase):
    """In the simulator, on a way of 1 ms."""

    def test_whole(self) -> None:
        """All is answered in two milliseconds, over both transports, by all clients."""
        for transport in ("udp", "tcp"):
            one = cell(
                "service=arithmetic", f"transport={transport}", "clients=2", "count=20", "rate=50"
            )
            seen = found(SUBJECT, one)
            self.assertEqual((value(seen, "success"), value(seen, "attempts")), (1.0, 1.0))
            self.assertApproximates(value(seen, "throughput"), 100, 5)
            for name in ("latency", "latency_naive"):
                histogram = seen.measures[name].histogram
                self.assertEqual(histogram.count, 40)  # type: ignore[union-attr]
                self.assertApproximates(histogram.percentile(50), 0.002, 0.0001)  # type: ignore[union-attr]

    def test_in_turns(self) -> None:
        """Clients are not in step: their requests are evenly spread."""
        one = cell("service=arithmetic", "clients=2", "count=1", "rate=1")
        first, second = parts(SUBJECT, one)
        self.assertEqual([first["asked"], second["asked"]], [1, 1])
        self.assertApproximates(first["seconds"], second["seconds"], 1e-9)

    def test_loss(self) -> None:
        """Without backoff what is lost stays lost; with it there are more attempts."""
        lost = Fault(Loss(0.3), "loss")
        keys = ["service=arithmetic", "count=100", "timeout=50ms"]
        without = found(SUBJECT, cell(*keys), lost)
        backoff = found(SUBJECT, cell(*keys, "backoff=exponential"), lost)
        self.assertApproximates(value(without, "success"), 0.7, 0.15)
        self.assertEqual(value(without, "attempts"), 1.0)
        self.assertGreater(value(backoff, "success"), 0.95)
        self.assertGreater(value(backoff, "attempts"), 1.2)

    def test_fixed(self) -> None:
        """Equal waits are as long in all as growing ones: all is given up at 3.1 s."""
        keys = ["service=arithmetic", "count=1", "timeout=100ms"]
        for backoff, attempts in (("none", 1), ("fixed", 31), ("exponential", 5)):
            hole = Fault(Blackhole(), "hole")
            (part,) = parts(SUBJECT, cell(*keys, f"backoff={backoff}"), hole)
            self.assertEqual(part["sent"], attempts)
            self.assertApproximates(part["seconds"], 0.1 if backoff == "none" else 3.1, 1e-6)

    def test_over_time(self) -> None:
        """What is asked while nothing comes through is seen at its time, whoever asks."""
        hole = Fault(Blackhole(), "hole", after=1.0, duration=0.5)
        keys = ["service=arithmetic", "clients=2", "rate=100", "timeout=50ms"]
        seen = found(SUBJECT, cell(*keys), hole).series
        success = dict(zip(seen["success"].times, seen["success"].values, strict=True))
        self.assertEqual(list(success), [round(number / 10, 9) for number in range(20)])
        self.assertEqual({time for time, share in success.items() if share == 0},
                         {1.0, 1.1, 1.2, 1.3, 1.4})  # fmt: skip
        self.assertEqual({share for time, share in success.items() if not 0.9 <= time < 1.5}, {1.0})
        self.assertNotIn(1.2, seen["latency"].times)
        self.assertApproximates(max(seen["latency"].values), 0.002, 1e-4)

    def test_bounded_over_time(self) -> None:
        """Of a long load there are not more rows, but longer ones."""
        seen = found(SUBJECT, cell("service=arithmetic", "count=900", "rate=10")).series
        self.assertEqual(len(seen["success"].times), 45)
        self.assertEqual(seen["success"].times[1], 2.0)

    def test_nothing(self) -> None:
        """Where no answer comes there is no latency."""
        seen = found(SUBJECT, cell("service=arithmetic", "count=3"), Fault(Blackhole(), "hole"))
        self.assertEqual(value(seen, "success"), 0.0)
        self.assertEqual(set(seen.series), {"success"})
        self.assertEqual(set(seen.measures), {"success", "throughput", "attempts"})

    def test_arguments(self) -> None:
        """The server listens on any port of this machine."""
        self.assertEqual(
            SUBJECT.arguments(cell("service=arithmetic"), Path()),
            ["--arithmetic", "udp:0:interface=127.0.0.1"],
        )
