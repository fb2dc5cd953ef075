"""How fast bytes go by."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.meter import WINDOW, Meter


class MeterTests(SynchronousTestCase):
    """The rate of late."""

    @given(st.integers(1, 10**9), st.integers(1, 60), st.integers(1, 50))
    def test_steady(self, rate: int, seconds: int, steps: int) -> None:
        """A steady rate is told as it is, but for the last step."""
        meter = Meter(100.0)
        for step in range(1, seconds * steps + 1):
            meter.add(rate, 100.0 + step / steps)
        told = meter.rate(100.0 + seconds)
        self.assertApproximates(told / (rate * steps), 1, 1 / min(steps, seconds * steps) + 0.01)

    def test_forgotten(self) -> None:
        """What was long ago counts no more, and a little ago a little."""
        meter = Meter(0.0)
        meter.add(1000, 0.5)
        self.assertEqual(meter.rate(WINDOW), 500)
        self.assertEqual(meter.rate(1.5 * WINDOW), 250)
        self.assertEqual(meter.rate(2 * WINDOW), 0)
        self.assertEqual(meter.rate(100.0), 0)

    def test_first_moment(self) -> None:
        """At once there is a rate, and it is finite."""
        meter = Meter(5.0)
        self.assertEqual(meter.rate(5.0), 0)
        meter.add(1, 5.0)
        self.assertEqual(meter.rate(5.0), 1000 / WINDOW)
