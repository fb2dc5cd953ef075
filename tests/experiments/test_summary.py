"""The figures of cells."""

import csv
import io

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.cells import gather
from lab.experiments.results import Measure, Result
from lab.experiments.summary import FIGURES, far, summarise, table, warnings
from tests.experiments.made import downloads, streams


def cell_of(*repetitions: Measure) -> list[Result]:
    """Repetitions of one cell."""
    return [Result("x", {"a": 1}, n, {"y": one}) for n, one in enumerate(repetitions)]


class SummaryTests(SynchronousTestCase):
    """One measure of one cell."""

    def test_figures(self) -> None:
        """Of all values of all repetitions, with intervals around mean and median."""
        made = gather(cell_of(*(Measure("s", range(n, 1000, 10)) for n in range(10))))
        found = summarise(made.cells[0], "y")
        self.assertEqual((found.n, found.repetitions), (1000, 10))
        self.assertEqual((found.mean, found.median, found.most), (499.5, 499.5, 999))
        self.assertEqual(
            (found.p90, found.p95, found.p99, found.p999), (899.5, 949.5, 989.5, 998.5)
        )
        self.assertApproximates(found.sd, 288.82, 0.01)
        self.assertTrue(found.mean_interval.low <= 499.5 <= found.mean_interval.high)
        # The interval is of values that there are.
        self.assertTrue(found.median_interval.low <= 499 <= found.median_interval.high)
        self.assertEqual(found, summarise(made.cells[0], "y"))
        self.assertEqual(list(found.figures), list(FIGURES))

    def test_single(self) -> None:
        """One repetition has figures, but no intervals."""
        found = summarise(gather(cell_of(Measure("s", [1, 2]))).cells[0], "y")
        self.assertEqual(
            (found.mean, found.mean_interval, found.median_interval), (1.5, None, None)
        )
        self.assertIsNone(found.figures["mean_low"])

    def test_nothing(self) -> None:
        """What was not measured has none."""
        self.assertIsNone(summarise(gather(cell_of(Measure("s", ()))).cells[0], "y"))

    def test_outliers(self) -> None:
        """Repetitions far from the others are named by their numbers, not by their places."""
        usual = [Measure("s", (1 + n / 100,)) for n in range(6)]
        made = cell_of(Measure("s", ()), *usual, Measure("s", (9.0,)))
        cell = gather(made).cells[0]
        self.assertEqual(far(cell, "y"), [7])
        self.assertEqual(summarise(cell, "y").outliers, (7,))


class TableTests(SynchronousTestCase):
    """The table of all cells."""

    def rows(self, results: list[Result]) -> list[dict[str, str]]:
        """The lines of a table."""
        return list(csv.DictReader(io.StringIO(table(gather(results), seed=2))))

    def test_columns(self) -> None:
        """A line a cell, parameters and figures in columns whose heads have units."""
        rows = self.rows(downloads())
        self.assertEqual(len(rows), 6)
        names = list(rows[0])
        first = ["experiment", "simulated", "service", "clients", "size (B)", "fault"]
        self.assertEqual(names[:8], [*first, "repetitions", "failed"])
        self.assertEqual(names[8:11], ["duration n", "duration mean (s)", "duration mean_low (s)"])
        self.assertIn("throughput p99.9 (B/s)", names)
        self.assertEqual(len(names), 8 + 2 * len(FIGURES))
        self.assertEqual(rows[0]["size (B)"], str(2**20))
        self.assertEqual((rows[0]["duration n"], rows[0]["repetitions"]), ("10", "10"))
        low, mean, high = (
            float(rows[0][f"duration {name} (s)"]) for name in ("mean_low", "mean", "mean_high")
        )
        self.assertTrue(low < mean < high)

    def test_stable(self) -> None:
        """The same results in another order give the same bytes."""
        made = downloads()
        self.assertEqual(table(gather(made)), table(gather(made[::-1])))

    def test_gaps(self) -> None:
        """What was not measured is empty; what has no unit has none in its head."""
        made = [*streams(1), Result("stream", {"rate": 1000, "fault": "x"}, 0, simulated=True)]
        rows = self.rows(made)
        (gap,) = (row for row in rows if row["fault"] == "x")
        self.assertEqual((gap["success mean"], gap["latency n"]), ("", ""))
        self.assertEqual((rows[0]["success n"], rows[0]["success mean_low"]), ("1", ""))

    def test_simulated(self) -> None:
        """It says whether it was simulated."""
        self.assertEqual(self.rows(downloads(1, simulated=True))[0]["simulated"], "yes")
        self.assertEqual(self.rows(downloads(1))[0]["simulated"], "no")


class WarningTests(SynchronousTestCase):
    """What whoever reads figures should know."""

    def test_none(self) -> None:
        """Nothing of what is well."""
        self.assertEqual(list(warnings(gather(downloads()))), [])

    def test_all(self) -> None:
        """Failures with their reasons, outliers with their numbers, repetitions that are alone."""
        made = downloads()
        made[3] = evolve(made[3], error="connection lost")
        slow = {"duration": Measure("s", (99.0,), better="less")}
        made[14] = evolve(made[14], measures=slow)
        alone = Result(
            "download", {**made[0].cell, "clients": 99}, 0, {"duration": Measure("s", (1.0,))}
        )
        found = list(warnings(gather([*made, alone])))
        self.assertEqual(len(found), 3)
        self.assertIn("clients 1, size 1M", found[0])
        self.assertIn("1 repetitions failed (connection lost)", found[0])
        self.assertTrue(found[1].endswith("duration of repetition 4 is far from the others"))
        self.assertTrue(found[2].endswith("from one repetition there are no intervals"))
