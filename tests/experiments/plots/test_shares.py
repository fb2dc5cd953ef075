"""Distributions: as CDF, and by percentile."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.cells import gather
from lab.experiments.plots.shares import draw_cdf, draw_percentiles
from lab.experiments.results import Measure, Result
from tests.experiments.made import streams
from tests.experiments.plots.drawn import drawn, labels, ticks, words


def of(draw: Any, runs: list[Any], measure: str = "latency") -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, runs, measure))


def one(values: Any, **cell: Any) -> Result:
    """A result with these values."""
    return Result("x", cell, 0, {"y": Measure("s", values)})


class CdfTests(SynchronousTestCase):
    """The share of values over their size."""

    def test_steps(self) -> None:
        """From 0 up to 1, a step at each value."""
        figure = of(draw_cdf, [gather([one([3.0, 1.0, 1.0, 4.0])])], "y")
        (line,) = figure.axes[0].lines
        self.assertEqual(list(line.get_xdata()), [1, 1, 3, 4])
        self.assertEqual(list(line.get_ydata()), [0, 0.5, 0.75, 1])
        self.assertEqual(labels(figure), ["y (n = 4)"])
        self.assertEqual(figure.axes[0].get_xlabel(), "y (s)")
        self.assertEqual(figure.axes[0].get_xscale(), "linear")

    def test_runs(self) -> None:
        """A line for each cell and run, with marks of its own; a wide range is logarithmic."""
        runs = [gather(streams(1), "real"), gather(streams(1)[:1], "simulated")]
        figure = of(draw_cdf, runs)
        lines = figure.axes[0].lines
        self.assertEqual([line.get_linestyle() for line in lines], ["-", "-", "--"])
        self.assertEqual([line.get_marker() for line in lines], ["o", "s", "o"])
        self.assertIn("fault none, simulated (n = 5,000)", labels(figure))
        self.assertEqual(figure.axes[0].get_xscale(), "log")
        self.assertIn("n = 1 repetition a cell", words(figure))

    def test_many_values(self) -> None:
        """Of very many values a part is drawn, with the first and the last."""
        figure = of(draw_cdf, [gather([one([float(n) for n in range(10_000)])])], "y")
        (line,) = figure.axes[0].lines
        self.assertLess(len(line.get_xdata()), 2100)
        self.assertEqual((line.get_xdata()[-1], line.get_ydata()[-1]), (9999, 1))


class PercentileTests(SynchronousTestCase):
    """The size of values over nines."""

    def test_nines(self) -> None:
        """Each nine is as wide as the one before: 90 % stands at 1, 99 % at 2."""
        figure = of(draw_percentiles, [gather([one([float(n) for n in range(1, 1001)])])], "y")
        (line,) = figure.axes[0].lines
        across, up = list(line.get_xdata()), list(line.get_ydata())
        for nine, value in ((1, 901), (2, 991)):
            (at,) = (y for x, y in zip(across, up, strict=True) if abs(x - nine) < 1e-9)
            self.assertEqual(at, value)
        self.assertEqual((up[0], up[-1]), (1, 1000))
        axis = figure.axes[0].xaxis
        self.assertEqual(ticks(axis), ["0 %", "90 %", "99 %", "99.9 %"])
        self.assertEqual([round(float(at), 6) for at in axis.get_ticklocs()], [0, 1, 2, 3])

    def test_naive(self) -> None:
        """The naive latency stands dashed beside the one from the planned times, below it."""
        figure = of(draw_percentiles, [gather(streams(1)[:1])])
        corrected, naive = figure.axes[0].lines
        self.assertEqual((corrected.get_linestyle(), naive.get_linestyle()), ("-", "--"))
        self.assertEqual(labels(figure)[1], "latency naive (n = 5,000)")
        self.assertIn("dashed: naive", words(figure))
        # Of 5,000 requests one found a pause of a second; 500 were planned in it.
        for line, right in ((corrected, 0.5), (naive, 0.0)):
            pairs = zip(line.get_xdata(), line.get_ydata(), strict=True)
            at95 = max(y for x, y in pairs if x <= 1.301)
            self.assertApproximates(at95, right, 0.03)

    def test_gap(self) -> None:
        """A cell that only one of two runs has is drawn of that one."""
        runs = [gather([one([1.0], a=1), one([2.0], a=2)], "p"), gather([one([1.5], a=1)], "q")]
        figure = of(draw_percentiles, runs, "y")
        self.assertEqual(len(figure.axes[0].lines), 3)
