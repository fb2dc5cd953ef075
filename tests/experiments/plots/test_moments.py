"""What was measured over time."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.cells import gather
from lab.experiments.plots.moments import POINTS, REPETITIONS, draw
from lab.experiments.results import Result, Series, Window
from tests.experiments.made import streams
from tests.experiments.plots.drawn import drawn, labels, words


def of(runs: list[Any], measure: str = "loss") -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, runs, measure))


class MomentsTests(SynchronousTestCase):
    """What is drawn."""

    def test_windows(self) -> None:
        """A panel a cell, a line a repetition, the times of faults shaded and named."""
        figure = of([gather(streams(3))])
        still, faulty = figure.axes
        titles = [axes.get_title() for axes in figure.axes]
        self.assertEqual(titles, ["fault none", "fault loss:probability=0.1"])
        self.assertEqual((len(still.lines), len(faulty.lines)), (3, 3))
        self.assertEqual(list(faulty.lines[0].get_xdata())[:3], [0, 0.25, 0.5])
        self.assertEqual(len(still.patches), 0)
        shaded = [
            patch.get_extents().transformed(faulty.transData.inverted()) for patch in faulty.patches
        ]
        edges = [(round(one.x0, 6), round(one.x1, 6)) for one in shaded]
        self.assertEqual(edges, [(3, 5), (7, 7.5)])
        self.assertEqual(len({patch.get_hatch() for patch in faulty.patches}), 2)
        self.assertEqual(labels(figure), ["a repetition", "fault: loss", "fault: partition"])
        self.assertEqual((faulty.get_xlabel(), faulty.get_ylabel()), ("time (s)", "loss"))
        self.assertEqual(still.get_ylim()[0], 0)
        self.assertEqual(words(figure), "loss over time|n = 3 repetitions a cell")

    def test_runs(self) -> None:
        """Runs that are laid over each other have their names and dashes."""
        runs = [gather(streams(1), "real"), gather(streams(2)[:1], "simulated")]
        figure = of(runs)
        self.assertEqual(labels(figure)[:2], ["real", "simulated"])
        self.assertEqual([line.get_linestyle() for line in figure.axes[0].lines], ["-", "--"])

    def test_below_zero(self) -> None:
        """What may be below 0 is not cut off."""
        made = Result("x", {}, 0, series={"skew": Series("s", [0, 1], [-5, 5])})
        self.assertLess(of([gather([made])], "skew").axes[0].get_ylim()[0], -5)

    def test_many(self) -> None:
        """Of very many repetitions and points some are drawn; units suit the values."""
        made = [
            Result(
                "x", {"a": 1}, n,
                series={"delay": Series("s", range(5000), [0.002] * 5000)},
                windows=(Window(n, n + 1, "x"),),
            )
            for n in range(30)
        ]  # fmt: skip
        figure = of([gather([*made, Result("x", {"a": 2}, 0)])], "delay")
        (axes,) = figure.axes
        self.assertEqual(len(axes.lines), REPETITIONS)
        self.assertEqual(len(axes.lines[0].get_xdata()), POINTS)
        self.assertEqual(axes.get_ylabel(), "delay (ms)")
        self.assertIn("n = 30 repetitions", words(figure))
