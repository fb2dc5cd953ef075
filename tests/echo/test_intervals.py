"""Rows of equal length."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.intervals import ROWS, Intervals, Row
from lab.errors import LocalError


class IntervalsTests(SynchronousTestCase):
    """Which row a time belongs to, and what becomes of them."""

    def test_rows(self) -> None:
        """The first time is the beginning; silent intervals have rows, too."""
        intervals = Intervals(0.5)
        for at in (10.0, 10.5, 12.4):
            intervals.row(at).size += 1
        self.assertEqual([row.size for row in intervals.rows], [1, 1, 0, 0, 1])

    def test_beginning(self) -> None:
        """A beginning may be given; what is before it is in the first row."""
        intervals = Intervals(1.0, 5.0)
        self.assertIs(intervals.row(4.0), intervals.row(5.9))
        self.assertIsNot(intervals.row(4.0), intervals.row(6.0))

    def test_values(self) -> None:
        """Rows as values, each of a whole interval; the last has what is lost behind it."""
        intervals = Intervals(0.5, 0.0)
        intervals.row(0.1).delay(3.0)
        row = intervals.row(0.6)
        row.delay(5.0)
        row.delay(6.0)
        first, last = intervals.values(least=3.0, lost=2)
        self.assertEqual((first.start, first.end, first.received, first.lost), (0, 0.5, 1, 0))
        self.assertEqual((last.start, last.end, last.received, last.lost), (0.5, 1.0, 2, 2))
        self.assertEqual((last.least, last.mean, last.most), (2, 2.5, 3))

    def test_in_flight(self) -> None:
        """What may still come is not lost, and is in the row of its time."""
        intervals = Intervals(0.5, 10.0)
        for at in (10.0, 10.4, 10.5):
            intervals.row(at).lost += 1
        first, last = intervals.values(least=0.0, in_flight=[9.9, 10.5])
        self.assertEqual((first.lost, first.in_flight, first.packets), (1, 1, 1))
        self.assertEqual((last.lost, last.in_flight, last.packets), (0, 1, 0))
        self.assertIsNone(first.jitter)

    def test_nothing(self) -> None:
        """Without rows there are no values, unless something is lost."""
        self.assertEqual(Intervals(1.0).values(least=math.inf), ())
        (row,) = Intervals(1.0).values(least=math.inf, lost=3)
        self.assertEqual((row.start, row.end, row.lost, row.packets), (0, 1, 3, 3))
        self.assertEqual((row.least, row.mean, row.most), (None, None, None))

    def test_bounded(self) -> None:
        """Rows are made longer when there would be too many; nothing is left out."""
        intervals = Intervals(1.0, 0.0)
        for second in range(ROWS + 1):
            row = intervals.row(float(second))
            row.delay(second)
            row.jitter = float(second)
        self.assertEqual((intervals.every, len(intervals.rows)), (2.0, ROWS // 2 + 1))
        self.assertEqual(sum(row.received for row in intervals.rows), ROWS + 1)
        row = intervals.rows[1]
        self.assertEqual((row.least, row.most, row.total, row.jitter), (2, 3, 5, 3))
        intervals.row(1e12)
        self.assertLessEqual(len(intervals.rows), ROWS)
        self.assertEqual(sum(row.received for row in intervals.rows), ROWS + 1)

    def test_add_nothing(self) -> None:
        """The jitter stays what it was when nothing came afterwards."""
        row = Row(received=1, jitter=2.0)
        row.add(Row())
        self.assertEqual((row.received, row.jitter), (1, 2.0))

    def test_odd(self) -> None:
        """A last row without a partner stays."""
        intervals = Intervals(1.0, 0.0)
        for second in (0.0, 1.0, 2.0):
            intervals.row(second).size += 1
        intervals._halve()
        self.assertEqual([row.size for row in intervals.rows], [2, 1])

    def test_refused(self) -> None:
        """Lengths that can't be."""
        for every in (0.0, -1.0, math.inf, math.nan):
            error = self.assertRaises(LocalError, Intervals, every)
            self.assertIn("give more than 0", str(error))
