"""What pictures are drawn on."""

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.plots.paper import (
    COLOURS,
    FORMATS,
    LINES,
    MARKERS,
    Scale,
    evenly,
    from_zero,
    headline,
    inline,
    legend,
    omitted,
    paint,
    panels,
)
from tests.experiments.plots.drawn import drawn, labels, words
from tests.helpers import folder


def draw(figure: Any) -> None:
    """Something with a clip path, which has an id."""
    figure.subplots().plot([1, 2], [3, 4], label="a line")
    legend(figure)


class ScaleTests(SynchronousTestCase):
    """Units in which numbers are small."""

    def test_of(self) -> None:
        """The largest unit of which there is one or more; what is not known stays as it is."""
        for unit, most, name in [
            ("s", 2.0, "s"),
            ("s", 0.5, "ms"),
            ("s", 5e-5, "µs"),
            ("s", 1e-9, "µs"),
            ("s", 0.0, "s"),
            ("B/s", 3e9, "GB/s"),
            ("B/s", 3e6, "MB/s"),
            ("B/s", 0.5, "B/s"),
            ("B", 2e3, "kB"),
            ("1/s", 5e6, "1/s"),
            ("1", 5e6, ""),
        ]:
            found = Scale.of(unit, most)
            self.assertEqual(found.unit, name)
        self.assertEqual(
            (Scale.of("s", 0.5).label("x"), Scale.of("1", 1).label("x")), ("x (ms)", "x")
        )
        self.assertEqual(Scale.of("B/s", 3e6).factor, 1e-6)


class FileTests(SynchronousTestCase):
    """Pictures as files, and in pages."""

    def test_formats(self) -> None:
        """The ending says which; the same drawing gives the same bytes."""
        for name, begin in (("x.png", b"\x89PNG"), ("x.SVG", b"<?xml")):
            path = folder(self) / name
            paint(path, draw)
            first = path.read_bytes()
            self.assertTrue(first.startswith(begin))
            self.assertNotIn(b"<dc:date>", first)
            paint(path, draw)
            self.assertTrue(path.read_bytes() == first)

    def test_mistakes(self) -> None:
        """Another ending, a place that is not there: a line, and no file."""
        place = folder(self)
        self.assertIn(".png or .svg", str(self.assertRaises(LocalError, paint, place / "x", draw)))
        error = self.assertRaises(LocalError, paint, place / "no" / "x.png", draw)
        self.assertTrue(str(error).endswith("No such file or directory"))
        self.assertEqual(list(place.iterdir()), [])
        self.assertEqual(set(FORMATS), {".png", ".svg"})

    def test_inline(self) -> None:
        """In a page it has no prologue, and ids of its own that all belong together."""
        text = inline(draw, "p1")
        self.assertTrue(text.startswith("<svg"))
        self.assertNotIn("<metadata>", text)
        ids = set(re.findall(r'\bid="([^"]*)"', text))
        used = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text))
        used = {one or other for one, other in used}
        self.assertTrue(used)
        self.assertLessEqual(used, ids)
        self.assertTrue(all(name.startswith("p1-") for name in ids))


class LayoutTests(SynchronousTestCase):
    """Panels, legends, texts."""

    def test_panels(self) -> None:
        """So many axes with their titles; what is left of the grid is empty; it grows."""
        sizes = []
        for count, wide in ((1, False), (5, False), (3, True)):
            titles = [f"panel {number}" for number in range(count)]
            figure = drawn(lambda f, titles=titles, wide=wide: panels(f, titles, wide=wide))
            self.assertEqual([axes.get_title() for axes in figure.axes], titles)
            sizes.append(tuple(figure.get_size_inches()))
        self.assertGreater(sizes[1], sizes[0])
        self.assertEqual(sizes[2][0], sizes[0][0])

    def test_legend(self) -> None:
        """Each label once, though several panels have it; none where there are no labels."""

        def twice(figure: Any) -> None:
            """Draw two panels."""
            for axes in panels(figure, ["a", "b"]):
                axes.plot([1], [1], label="same")
            legend(figure)

        self.assertEqual(labels(drawn(twice)), ["same"])
        self.assertEqual(labels(drawn(legend)), [])

    def test_long_labels(self) -> None:
        """They have lines, and the picture grows as high as the legend."""

        def many(figure: Any) -> None:
            """Draw lines with names such as faults have."""
            (axes,) = panels(figure, ["fault latency:" + ",".join(["latency=20"] * 20)])
            for number in range(30):
                axes.plot([number], [1], label="fault loss:" + ",".join(["correlation=20"] * 9))
                axes.lines[-1].set_label(f"{number} {axes.lines[-1].get_label()}")
            legend(figure)

        figure = drawn(many)
        self.assertIn("\n", figure.axes[0].get_title())
        self.assertEqual({label.count("\n") for label in labels(figure)}, {2})
        figure.draw_without_rendering()
        (box,) = [one.get_window_extent() for one in figure.legends]
        self.assertGreater(box.y0, 0)
        self.assertGreater(box.x0, figure.axes[0].get_window_extent().x1)

    def test_from_zero(self) -> None:
        """All panels end above what is highest in any; where nothing is drawn, at 1."""

        def draw(figure: Any) -> None:
            """Draw two panels, of which one is empty."""
            first, second = panels(figure, ["a", "b"])
            second.plot([1, 2], [3, 20])
            from_zero([first, second])

        self.assertEqual([axes.get_ylim() for axes in drawn(draw).axes], [(0, 21)] * 2)
        figure = drawn(lambda f: from_zero(panels(f, ["a"])))
        self.assertEqual(figure.axes[0].get_ylim(), (0, 1))

    def test_headline(self) -> None:
        """A title above, notes below, without those that are empty; long ones have lines."""
        figure = drawn(lambda f: headline(f, "title", "n = 3", "", "word " * 60))
        self.assertTrue(words(figure).startswith("title|n = 3; word word"))
        self.assertIn("\n", figure.get_supxlabel())

    def test_evenly(self) -> None:
        """All, or so many of them."""
        self.assertEqual(evenly(range(4), 4), [0, 1, 2, 3])
        self.assertEqual(evenly(range(100), 4), [0, 25, 50, 75])
        self.assertEqual(
            (omitted("lines", 4, 4), omitted("lines", 7, 1000)), ("", "7 of 1,000 lines drawn")
        )

    def test_told_apart(self) -> None:
        """Each line has a colour and a mark of its own."""
        self.assertEqual(len(set(COLOURS)), LINES)
        self.assertEqual(len(set(MARKERS)), LINES)
