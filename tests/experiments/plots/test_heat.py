"""Heat maps."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.cells import gather
from lab.experiments.plots.heat import draw
from lab.experiments.results import Measure, Result
from tests.experiments.made import downloads
from tests.experiments.plots.drawn import drawn, ticks, words


def of(runs: list[Any], measure: str, x: str = "") -> Any:
    """The figure."""
    return drawn(lambda figure: draw(figure, runs, measure, x))


def grid(*sizes: int) -> list[Result]:
    """A result for each field."""
    return [
        Result("x", {"a": a, "b": b}, 0, {"y": Measure("s", (1.0 + a + 10 * b,))})
        for a in range(sizes[0])
        for b in range(sizes[1])
    ]


class HeatTests(SynchronousTestCase):
    """What is drawn."""

    def test_fields(self) -> None:
        """Each field has its mean, also in words that can be read on its colour."""
        figure = of([gather(grid(3, 2))], "y")
        axes, bar = figure.axes
        self.assertEqual(axes.images[0].get_array().tolist(), [[1, 2, 3], [11, 12, 13]])
        texts = {text.get_text(): text.get_color() for text in axes.texts}
        self.assertEqual(texts["1"], "white")
        self.assertEqual(texts["13"], "black")
        self.assertEqual((ticks(axes.xaxis), ticks(axes.yaxis)), (["0", "1", "2"], ["0", "1"]))
        labels = axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()
        self.assertEqual(labels, ("a", "b", "y (s)"))
        self.assertIn("mean y over a and b|n = 1 repetition a cell", words(figure))

    def test_gap(self) -> None:
        """A field of which nothing is known says so."""
        made = [*grid(2, 2)[:3], Result("x", {"a": 1, "b": 1}, 0)]
        texts = [text.get_text() for text in of([gather(made)], "y").axes[0].texts]
        self.assertEqual(sorted(texts), ["1", "11", "2", "none"])

    def test_runs(self) -> None:
        """Each run has a panel, with the same colours."""
        runs = [gather(downloads(), "real"), gather(downloads(slower=2), "simulated")]
        figure = of(runs, "duration", "size")
        self.assertEqual([axes.get_title() for axes in figure.axes[:2]], ["real", "simulated"])
        one, other = (axes.images[0].norm for axes in figure.axes[:2])
        self.assertIs(one, other)
        self.assertEqual(figure.axes[0].get_xlabel(), "size (B)")

    def test_many(self) -> None:
        """Of very many fields none has its number; of many panels some are drawn."""
        self.assertEqual(list(of([gather(grid(20, 20))], "y").axes[0].texts), [])
        made = [Result("x", {"a": n % 2, "b": n % 3, "c": n % 7}, 0, {"y": Measure("1", (1.0,))})
                for n in range(42)]  # fmt: skip
        figure = of([gather(made)], "y")
        self.assertIn("6 of 7 panels drawn", words(figure))

    def test_one_parameter(self) -> None:
        """One parameter is a line of fields."""
        figure = of([gather(grid(3, 1))], "y")
        self.assertEqual(figure.axes[0].images[0].get_array().shape, (1, 3))
        self.assertIn("mean y over a|", words(figure))
