"""Lines over a parameter."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.bootstrap import of_mean
from lab.experiments.cells import gather
from lab.experiments.distribution import Distribution
from lab.experiments.plots.lines import draw
from lab.experiments.results import Measure, Result
from tests.experiments.made import MIB, downloads
from tests.experiments.plots.drawn import drawn, labels, words


def of(runs: list[Any], measure: str = "throughput", x: str = "") -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, runs, measure, x))


class LinesTests(SynchronousTestCase):
    """What is drawn."""

    def test_means(self) -> None:
        """A line a size through the means, in the unit of the axis; a band of the intervals."""
        run = gather(downloads())
        figure = of([run])
        (axes,) = figure.axes
        self.assertEqual(labels(figure), ["size 1M", "size 16M"])
        line = axes.lines[0]
        self.assertEqual(list(line.get_xdata()), [1, 2, 4])
        cells = [cell for cell in run.cells if cell.values["size"] == MIB]
        for cell, value in zip(cells, line.get_ydata(), strict=True):
            samples = [one.samples[0] for one in cell.measured("throughput")]
            self.assertApproximates(value, sum(samples) / 10 / 1e6, 1e-6)
        band = axes.collections[0].get_paths()[0].get_extents()
        intervals = [of_mean(Distribution.each(cell.measured("throughput"))) for cell in cells]
        self.assertApproximates(band.y1 * 1e6, max(one.high for one in intervals), 1)
        self.assertApproximates(band.y0 * 1e6, min(one.low for one in intervals), 1)
        self.assertEqual((axes.get_ylabel(), axes.get_xlabel()), ("throughput (MB/s)", "clients"))
        self.assertEqual(axes.get_ylim()[0], 0)
        self.assertIn("throughput over clients|n = 10 repetitions a cell", words(figure))

    def test_apart(self) -> None:
        """Lines differ in their marks, runs that are laid over each other in their dashes."""
        runs = [gather(downloads(), "real"), gather(downloads(seed=2), "simulated")]
        figure = of(runs)
        lines = figure.axes[0].lines
        self.assertEqual([line.get_marker() for line in lines], ["o", "s", "o", "s"])
        self.assertEqual([line.get_linestyle() for line in lines], ["-", "-", "--", "--"])
        self.assertIn("size 16M, simulated", labels(figure))

    def test_nothing_cut_off(self) -> None:
        """The axis suits all panels, and not only the first."""
        found = [
            Result("x", {"clients": c, "rate": r, "count": n}, 0, {"y": Measure("1", (c * n,))})
            for c in (1, 2) for r in (1, 2) for n in (1, 100)
        ]  # fmt: skip
        for axes in of([gather(found)], "y").axes:
            self.assertEqual(axes.get_ylim(), (0, 210))

    def test_panels(self) -> None:
        """What is neither along the axis nor a line has a panel for each value."""
        found = [
            Result(
                "x", {"clients": c, "size": s, "servers": v}, 0, {"y": Measure("1", (c * s * v,))}
            )
            for c in (1, 2) for s in (1, 2) for v in (1, 2)
        ]  # fmt: skip
        figure = of([gather(found)], "y")
        self.assertEqual([axes.get_title() for axes in figure.axes], ["servers 1", "servers 2"])
        self.assertEqual(list(figure.axes[1].lines[1].get_ydata()), [4, 8])

    def test_x(self) -> None:
        """Another parameter along the axis."""
        figure = of([gather(downloads())], x="size")
        self.assertEqual(figure.axes[0].get_xlabel(), "size (B)")
        self.assertEqual(labels(figure), ["clients 1", "clients 2", "clients 4"])

    def test_single(self) -> None:
        """One cell is a point with its interval; a cell without values is left out."""
        made = [Result("x", {"a": 1}, n, {"y": Measure("s", (n + 1.0,))}) for n in range(3)]
        figure = of([gather([*made, Result("x", {"a": 2}, 0)])], "y")
        (axes,) = figure.axes
        self.assertEqual((list(axes.lines[0].get_xdata()), labels(figure)), ([1], ["y"]))
        self.assertEqual(len(axes.containers), 1)
        self.assertIn("n = 0 to 3 repetitions", words(figure))

    def test_gap(self) -> None:
        """A line of which nothing was measured is not drawn."""
        made = [Result("x", {"a": 1, "size": s}, 0, {"y": Measure("s", (1.0,))} if s else {})
                for s in (0, 1)]  # fmt: skip
        self.assertEqual(labels(of([gather(made)], "y", "a")), ["size 1"])
