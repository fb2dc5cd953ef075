"""When faults were at work, and how they are called."""

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.results import Window
from lab.experiments.windows import named, windows
from tests.experiments.cells import cell


class WindowTests(SynchronousTestCase):
    """Faults that are not at work all the time."""

    def test_always(self) -> None:
        """What is always at work has no window."""
        self.assertEqual(windows(cell("service=echo", "fault=loss:probability=0.1"), 5.0), ())

    def test_times(self) -> None:
        """Once, or again and again until the end."""
        once = cell("service=echo", "fault=blackhole:after=1000,duration=500")
        self.assertEqual(windows(once, 5.0), (Window(1.0, 1.5, "blackhole_downstream"),))
        self.assertEqual(windows(once, 0.5), ())
        often = cell("service=echo", "fault=blackhole:name=x,after=500,duration=1000,every=2000")
        self.assertEqual(windows(often, 3.0), (Window(0.5, 1.5, "x"), Window(2.5, 3.0, "x")))

    def test_bounded(self) -> None:
        """A fault that works all the time anew does not fill the memory."""
        busy = cell("service=echo", "fault=noop:after=0.001,duration=0.0001,every=0.001")
        self.assertEqual(len(windows(busy, 100.0)), 1000)

    def test_cut(self) -> None:
        """A cut has its times."""
        cut = cell("service=sequence", "cut=2s", "cut-after=500ms")
        self.assertEqual(windows(cut, 9.0), (Window(0.5, 2.5, "cut"),))


class NameTests(SynchronousTestCase):
    """Two faults of one name."""

    def test_numbers(self) -> None:
        """Each has a name of its own, as the proxy gives them."""
        faults = cell("service=echo", "fault=noop;loss;noop;noop").faults()
        self.assertEqual(
            [fault.name for fault in named(faults)],
            ["noop_downstream", "loss_downstream", "noop_downstream_2", "noop_downstream_3"],
        )
