"""Texts that would be too long for their place."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.plots.texts import stand_below, wrapped
from tests.experiments.plots.drawn import drawn

FAULT = "bandwidth:rate=2,queue=2000,stream=upstream,scope=proxy"


class WrappedTests(SynchronousTestCase):
    """Lines."""

    def test_lines(self) -> None:
        """They end behind commas and semicolons; what is short stays as it is."""
        self.assertEqual(wrapped("none", 20), "none")
        self.assertEqual(
            wrapped(FAULT, 30).splitlines(),
            ["bandwidth:rate=2,queue=2000,", "stream=upstream,scope=proxy"],
        )

    @given(st.text(alphabet="ab,; ", max_size=60), st.integers(1, 20))
    def test_nothing_lost(self, text: str, width: int) -> None:
        """All is there, and a line is too long only if it is a single word."""
        found = wrapped(text, width)
        self.assertEqual("".join(found.split()), "".join(text.split()))
        for line in found.split("\n"):
            if len(line) > width:
                self.assertFalse(set(line[:-1]) & set(",; "), line)


class BelowTests(SynchronousTestCase):
    """What stands below an axis."""

    def below(self, *texts: str) -> Any:
        """The axes with such texts."""

        def draw(figure: Any) -> None:
            """Draw them."""
            figure.set_figwidth(8)
            stand_below(figure.subplots(), range(len(texts)), texts)

        return drawn(draw).axes[0]

    def apart(self, axes: Any) -> bool:
        """Whether no text is over another."""
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        return not any(
            one.overlaps(other)
            for at, one in enumerate(boxes)
            for other in boxes[at + 1 :]
        )  # fmt: skip

    def test_beside(self) -> None:
        """Short ones stand as they are, longer ones in lines: none is over another."""
        for texts in (["1", "2", "4"], [FAULT, "none", f"{FAULT};noop"]):
            axes = self.below(*texts)
            self.assertTrue(self.apart(axes), texts)
            self.assertEqual({label.get_rotation() for label in axes.get_xticklabels()}, {0.0})
        self.assertIn("\n", axes.get_xticklabels()[0].get_text())

    def test_upright(self) -> None:
        """Where there is no room beside each other they stand upright, in a higher picture."""
        axes = self.below(*[f"{FAULT};loss:probability=0.{one}" for one in range(1, 10)])
        self.assertTrue(self.apart(axes))
        self.assertEqual({label.get_rotation() for label in axes.get_xticklabels()}, {90.0})
        self.assertGreater(axes.figure.get_figheight(), 6)
