"""What the times say."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.delays import Delays, Overtaken, Tag
from lab.echo.figures import Reordering
from lab.echo.order import Kind, Mark

NEXT: Mark[Tag] = Mark(Kind.NEXT)


class DelaysTests(SynchronousTestCase):
    """Delays of unknown zero."""

    def test_zero(self) -> None:
        """Whatever the clocks say, what is said of delays is the same."""
        for offset in (0.0, 1000.0, -5.0):
            delays, left = Delays(), None
            for sent, at in ((0.0, 0.5), (1.0, 1.25), (2.0, 3.0)):
                delay = delays.of(sent, at + offset)
                delays.add(delay, Mark(Kind.NEXT, left=left))
                left = at, delay
            self.assertEqual(delays.ipdv and (delays.ipdv.least, delays.ipdv.most), (-0.25, 0.75))
            self.assertEqual(delays.pdv and (delays.pdv.least, delays.pdv.most), (0.0, 0.75))
            # 0.25 / 16, and of 0.75 again a 16th.
            self.assertEqual(delays.jitter, 0.015625 + (0.75 - 0.015625) / 16)

    def test_nothing(self) -> None:
        """Without packets there is nothing to say; with one, no difference and no jitter."""
        delays = Delays()
        self.assertEqual((delays.ipdv, delays.pdv, delays.jitter), (None, None, 0.0))
        delays.add(delays.of(5.0, 9.0), NEXT)
        self.assertEqual((delays.ipdv, delays.jitter), (None, 0.0))
        self.assertEqual(delays.pdv and delays.pdv.most, 0.0)

    def test_neighbours(self) -> None:
        """One that comes between two that are there makes two differences."""
        delays = Delays()
        for mark, delay in (
            (NEXT, 0.0),
            (NEXT, 0.0),
            (Mark(Kind.REORDERED, left=(0.0, 0.0), right=(0.0, 0.25)), 1.0),
        ):
            delays.add(delay, mark)
        self.assertEqual(delays.ipdv and (delays.ipdv.least, delays.ipdv.most), (-0.75, 1.0))
        self.assertEqual(delays.ipdv and delays.ipdv.count, 2)


class OvertakenTests(SynchronousTestCase):
    """How packets were overtaken."""

    def test_nothing(self) -> None:
        """Nothing was."""
        self.assertEqual(Overtaken().reordering, Reordering())

    def test_n(self) -> None:
        """Who is 3-reordered is 2-reordered as well; who is not n-reordered for any n is none."""
        overtaken = Overtaken()
        for n in (3, 1, 1, 0):
            overtaken.add(Mark(Kind.REORDERED, extent=n + 4, n=n), 0.5)
        found = overtaken.reordering
        self.assertEqual(found.n, (3, 1, 1))
        self.assertEqual(found.extent and (found.extent.least, found.extent.most), (4, 7))
        self.assertEqual(found.late and (found.late.count, found.late.mean), (4, 0.5))
