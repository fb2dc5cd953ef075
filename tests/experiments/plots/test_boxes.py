"""A box for each cell."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.cells import gather
from lab.experiments.distribution import Distribution
from lab.experiments.plots import boxes
from lab.experiments.plots.boxes import draw
from lab.experiments.results import Measure, Result
from tests.experiments.made import downloads
from tests.experiments.plots.drawn import drawn, labels, ticks, words


def of(runs: list[Any], measure: str = "duration") -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, runs, measure))


class BoxesTests(SynchronousTestCase):
    """What is drawn."""

    def test_quartiles(self) -> None:
        """A box from quartile to quartile, and a dot for the mean of each repetition."""
        run = gather(downloads())
        figure = of([run])
        (axes,) = figure.axes
        self.assertEqual(len(axes.patches), 6)
        whole = Distribution.of(run.cells[0].measured("duration"))
        box = axes.patches[0].get_path().get_extents()
        self.assertApproximates(box.y0, whole.percentile(250) * 1000, 1e-6)
        self.assertApproximates(box.y1, whole.percentile(750) * 1000, 1e-6)
        dots = [line for line in axes.lines if line.get_marker() == "."]
        self.assertEqual([len(line.get_ydata()) for line in dots], [10] * 6)
        self.assertEqual(ticks(axes.xaxis)[0], "clients 1,\nsize 1M")
        self.assertEqual((axes.get_ylabel(), axes.get_yscale()), ("duration (ms)", "linear"))
        self.assertIn("n = 10 repetitions a cell; box: quartiles", words(figure))
        self.assertEqual(labels(figure), [])

    def test_runs(self) -> None:
        """Boxes of two runs stand beside each other, and differ in hatches, too."""
        runs = [gather(downloads(), "real"), gather(downloads(seed=2)[:10], "simulated")]
        figure = of(runs)
        self.assertEqual(labels(figure), ["real", "simulated"])
        boxes = figure.axes[0].patches[:7]
        self.assertEqual({box.get_hatch() for box in boxes}, {"", "///"})
        edges = [box.get_path().get_extents() for box in boxes]
        self.assertLess(edges[0].x1, edges[6].x0)

    def test_many(self) -> None:
        """Of very many some are drawn, and that is said; a wide range has a logarithmic axis."""
        made = [Result("x", {"a": n}, 0, {"y": Measure("s", (1.0 + n**2,))}) for n in range(100)]
        self.patch(boxes, "BOXES", 9)
        figure = of([gather([*made, Result("x", {"a": 200}, 0)])], "y")
        (axes,) = figure.axes
        self.assertEqual(len(axes.patches), 9)
        self.assertIn("9 of 100 cells drawn", words(figure))
        self.assertEqual(axes.get_yscale(), "log")
