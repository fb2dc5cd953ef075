"""One fault on a link."""

from math import inf, nan
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Blackhole
from lab.faults.fault import Fault


def fault(**arguments: Any) -> Fault:
    """A blackhole."""
    return Fault(Blackhole(), "hole", **arguments)


class FaultTests(SynchronousTestCase):
    """When it works."""

    def works(self, times: list[float], **arguments: Any) -> list[float]:
        """At which of these times it works."""
        it = fault(**arguments)
        return [time for time in times if it.works(time)]

    def test_always(self) -> None:
        """Unless times are given, from the beginning and for ever."""
        self.assertTrue(fault().always)
        self.assertEqual(self.works([0.0, 1e9]), [0.0, 1e9])

    def test_window(self) -> None:
        """From `after` on, that moment included, for `duration`, the end excluded."""
        self.assertFalse(fault(after=1.0).always or fault(duration=2.0).always)
        times = [0.0, 0.999, 1.0, 2.999, 3.0, 9.0]
        self.assertEqual(self.works(times, after=1.0, duration=2.0), [1.0, 2.999])

    def test_again_and_again(self) -> None:
        """With `every`, the window comes again."""
        times = [0.0, 1.0, 2.0, 5.999, 6.0, 6.999, 7.0, 501.5]
        self.assertEqual(
            self.works(times, after=1.0, duration=1.0, every=5.0), [1.0, 6.0, 6.999, 501.5]
        )

    def test_refused(self) -> None:
        """What can't be is refused, and the text says what can."""
        wrong: list[dict[str, Any]] = [
            {"stream": "sideways"}, {"toxicity": 1.5}, {"toxicity": nan}, {"after": -1.0},
            {"after": inf}, {"duration": -1.0}, {"duration": nan}, {"every": -1.0},
            {"every": 5.0}, {"duration": 6.0, "every": 5.0}, {"duration": 1.0, "every": inf},
        ]  # fmt: skip
        for arguments in wrong:
            error = self.assertRaises(LocalError, fault, **arguments)
            self.assertIn("; give ", str(error))
