"""Numbers over time."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.plots import progress
from lab.experiments.plots.progress import Mark, Trace, draw
from tests.experiments.plots.drawn import drawn, labels, words


def of(*traces: Trace) -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, "title", traces, ["a note"]))


class ProgressTests(SynchronousTestCase):
    """What is drawn."""

    def test_marks(self) -> None:
        """A panel a direction, with its unit; each kind has a colour and a shape of its own."""
        kinds = ["sent", "acknowledged", "again", "lost"]
        marks = [Mark(n, 10 * n, kind) for n, kind in enumerate(kinds)]
        figure = of(Trace("a to b", "sequence number", marks), Trace("b to a", "packet", marks[:1]))
        one, other = figure.axes
        self.assertEqual(labels(figure), kinds)
        self.assertEqual([line.get_marker() for line in one.lines], [".", "_", "s", "x"])
        self.assertEqual(len({line.get_color() for line in one.lines}), 4)
        self.assertEqual([list(line.get_ydata()) for line in one.lines], [[0], [10], [20], [30]])
        self.assertEqual((one.get_title(), other.get_title()), ("a to b (n = 4)", "b to a (n = 1)"))
        self.assertEqual((one.get_ylabel(), other.get_xlabel()), ("sequence number", "time (s)"))
        self.assertEqual(words(figure), "title|a note")

    def test_many(self) -> None:
        """Of very many marks some are drawn; of directions those in which most happened."""
        self.patch(progress, "MARKS", 5)
        traces = [Trace(f"t{n}", "unit", [Mark(0, 0)] * (n + 1)) for n in range(9)]
        figure = of(*traces)
        self.assertEqual(
            [axes.get_title()[:2] for axes in figure.axes], [f"t{n}" for n in range(3, 9)]
        )
        self.assertEqual(len(figure.axes[-1].lines[0].get_xdata()), 5)
        self.assertTrue(figure.axes[-1].get_title().endswith("5 of 9 sent drawn"))
        self.assertIn("6 of 9 directions drawn", words(figure))
