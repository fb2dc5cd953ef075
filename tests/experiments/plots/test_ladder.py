"""Ladders."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.plots import ladder
from lab.experiments.plots.ladder import Arrow, draw
from tests.experiments.plots.drawn import drawn, words


def of(*arrows: Arrow, notes: tuple[str, ...] = ()) -> Any:
    """The axes."""
    figure = drawn(lambda made: draw(made, "title", arrows, notes))
    return figure.axes[0], words(figure)


def texts(axes: Any) -> list[str]:
    """What stands there, without the empty texts of arrows."""
    return [text.get_text() for text in axes.texts if text.get_text()]


def arrows_of(axes: Any) -> list[Any]:
    """The arrows."""
    return [one for one in axes.texts if getattr(one, "arrow_patch", None)]


def ways(axes: Any) -> list[tuple[Any, Any]]:
    """From where to where arrows go."""
    return [(one.xyann, one.xy) for one in arrows_of(axes)]


class LadderTests(SynchronousTestCase):
    """What is drawn."""

    def test_hosts(self) -> None:
        """Each host is a line, with its name; a packet an arrow, with its time and label."""
        axes, said = of(
            Arrow("a", "b", 0.0, 0.01, "SYN"), Arrow("b", "a", 0.01, 0.02, "ACK"), notes=("a note",)
        )
        self.assertEqual(texts(axes), ["a", "b", "0.000 ms", "SYN", "10.000 ms", "ACK"])
        self.assertEqual(ways(axes)[0], ((0, 0), (1, 0.5)))
        self.assertEqual(ways(axes)[1], ((1, 1), (0, 1.5)))
        self.assertEqual(said, "title|n = 2 packets; time is not to scale; a note")

    def test_overtaken(self) -> None:
        """One that takes long ends behind what leaves before it is there."""
        axes, _ = of(*(Arrow("a", "b", at, end) for at, end in ((0, 5), (1, 1.5), (2, 2.5))))
        ends = [end[1] for _, end in ways(axes)]
        self.assertEqual(ends, [2.5, 1.5, 2.5])

    def test_lost(self) -> None:
        """One that is lost ends in a cross before the other side."""
        axes, _ = of(Arrow("a", "b", 0, 0, lost=True), Arrow("a", "b", 1, 1))
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        self.assertEqual(len(crosses), 1)
        self.assertTrue(0 < crosses[0].get_xdata()[0] < 1)
        styles = [one.arrow_patch.get_arrowstyle() for one in arrows_of(axes)]
        self.assertEqual([type(style).__name__ for style in styles], ["Curve", "CurveFilledB"])

    def test_kinds(self) -> None:
        """What is sent again or comes twice says so, and has dashes."""
        axes, _ = of(
            Arrow("a", "b", 0, 1, "x", kind="again"), Arrow("a", "b", 0, 2, "x", kind="duplicate")
        )
        self.assertEqual(texts(axes)[3::2], ["x (again)", "x (duplicate)"])
        patches = [one.arrow_patch for one in arrows_of(axes)]
        self.assertEqual([patch.get_linestyle() for patch in patches], ["--", ":"])

    def test_many(self) -> None:
        """Of very many packets the first are drawn, of hosts those that come first."""
        self.patch(ladder, "ARROWS", 10)
        axes, said = of(*(Arrow("a", f"b{n % 12}", n, n) for n in range(30)))
        self.assertEqual(len(ways(axes)), 10)
        self.assertIn("n = 10 packets", said)
        self.assertIn("20 of 30 packets left out", said)
        self.assertIn("b6", texts(axes))
        self.assertNotIn("b7", texts(axes))

    def test_nothing(self) -> None:
        """Nothing is a picture of nothing."""
        self.assertEqual(of()[1], "title|n = 0 packets; time is not to scale")
