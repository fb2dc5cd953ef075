"""Which pictures there are."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.cells import Run, gather
from lab.experiments.plots.kinds import KINDS, Picture, suiting
from lab.experiments.results import Measure, Result
from tests.experiments.made import downloads, streams
from tests.experiments.plots.drawn import drawn, words


def names(*runs: Run, **asked: str) -> list[str]:
    """What the pictures are called."""
    return [picture.name for picture in suiting(runs, **asked)]


class SuitingTests(SynchronousTestCase):
    """What suits some runs."""

    def test_numbers(self) -> None:
        """Lines and maps where numbers vary; no distribution of a handful of values."""
        found = names(gather(downloads(3)))
        kinds = ["lines", "boxes", "heat"]
        self.assertEqual(
            found, [f"{kind}-{name}" for kind in kinds for name in ("duration", "throughput")]
        )
        self.assertIn("cdf-duration", names(gather(downloads(20))))
        self.assertNotIn("latency-throughput", names(gather(downloads(20))))

    def test_words(self) -> None:
        """Lines over words, too; the naive figure has no picture of its own."""
        found = names(gather(streams(2)))
        lines = ["lines-latency", "lines-success"]
        right = [
            *lines,
            "boxes-latency",
            "boxes-success",
            "cdf-latency",
            "latency-latency",
            "times-loss",
        ]
        self.assertEqual(found, right)

    def test_nothing_varies(self) -> None:
        """Of one cell there is a box."""
        self.assertEqual(
            names(gather([Result("x", {}, 0, {"y": Measure("1", (1,))})])), ["boxes-y"]
        )

    def test_asked(self) -> None:
        """Only of a kind or a measure."""
        run = gather(streams(2))
        self.assertEqual(names(run, kind="boxes"), ["boxes-latency", "boxes-success"])
        self.assertEqual(names(run, measure="loss"), ["times-loss"])
        self.assertEqual(names(run, measure="latency", kind="cdf"), ["cdf-latency"])

    def test_runs(self) -> None:
        """Of several runs what all have measured."""
        run, other = (
            gather(streams(2)),
            gather([Result("x", {}, 0, {"success": Measure("1", (1,))})]),
        )
        self.assertEqual(names(run, other), ["lines-success", "boxes-success", "heat-success"])

    def test_series_of_one(self) -> None:
        """What was measured over time in one of two runs only has no picture of both."""
        made = [evolve(one, series={}) for one in streams(1)]
        self.assertNotIn("times-loss", names(gather(streams(1)), gather(made)))

    def test_none(self) -> None:
        """What there is not, is said in a line."""
        run = gather(downloads(1))
        for asked, text in [
            ({"kind": "pie"}, "kind is 'pie'; give one of lines, boxes"),
            ({"measure": "speed"}, "measure is 'speed'; there are duration, throughput"),
            ({"kind": "times"}, "nothing was measured that a picture of times could be drawn of"),
        ]:
            error = self.assertRaises(LocalError, suiting, [run], **asked)
            self.assertTrue(str(error).startswith(text), error)
        empty = gather([Result("x", {}, 0)])
        self.assertRaises(LocalError, suiting, [empty])
        error = self.assertRaises(LocalError, suiting, [empty], "speed")
        self.assertTrue(str(error).endswith("there are none"))

    def test_drawn(self) -> None:
        """Each kind has what draws it; a parameter goes along the axis where there is one."""
        runs = [gather(downloads(4))]
        measures = dict.fromkeys(KINDS, "duration")
        for kind, measure in measures.items():
            if kind != "times":
                figure = drawn(Picture(kind, measure).drawing(runs, "size"))
                self.assertIn("n = 4 repetitions", words(figure))
        self.assertIn("over size", words(drawn(Picture("lines", "duration").drawing(runs, "size"))))
        figure = drawn(Picture("times", "loss").drawing([gather(streams(1))]))
        self.assertIn("over time", words(figure))

    def test_name(self) -> None:
        """A name is one of a file."""
        self.assertEqual(Picture("lines", "a/b").name, "lines-a_b")
