"""Two runs, cell by cell."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.cells import Run, gather
from lab.experiments.comparison import STATISTICS, Question, compare
from lab.experiments.results import Measure, Result
from lab.rng import stream
from tests.experiments.made import MIB, downloads, streams
from tests.helpers import thorough


def run_of(*cells: list[Any], better: str = "less", name: str = "x") -> Run:
    """A run: a list of values for each cell."""
    return gather(
        (
            Result("x", {"a": a}, n, {"y": Measure("s", (value,), better=better)})
            for a, values in enumerate(cells)
            for n, value in enumerate(values)
        ),
        name,
    )


def false_alarms(rounds: int, cells: int, **asked: Any) -> float:
    """The share of comparisons of equal programs in which anything is better or worse."""
    dice = stream(3, "alarms")

    def run() -> Run:
        """A run of the program."""
        return run_of(*([dice.lognormvariate(0, 1) for _ in range(10)] for _ in range(cells)))

    found = (compare(run(), run(), Question(**asked)) for _ in range(rounds))
    return sum(any(row.verdict != "same" for row in one.rows) for one in found) / rounds


class CompareTests(SynchronousTestCase):
    """What is said of two runs."""

    def test_worse(self) -> None:
        """A fifth slower is worse in time and in throughput, and found in each cell."""
        found = compare(gather(downloads()), gather(downloads(slower=1.2, seed=2)))
        self.assertEqual(len(found.rows), 12)
        self.assertEqual({row.verdict for row in found.rows}, {"worse"})
        self.assertTrue(found.worse)
        held = 0
        for row in found.rows:
            right = 1.2 if row.measure == "duration" else 1 / 1.2
            held += row.interval.low < right < row.interval.high
            self.assertTrue(row.interval.low < row.ratio < row.interval.high, row)
            self.assertApproximates(row.ratio, right, 0.1)
            self.assertLess(row.probability, 0.01)
            self.assertEqual(row.counts, (10, 10))
        self.assertGreaterEqual(held, 10)

    def test_better(self) -> None:
        """The other way round it is better, and nothing is worse."""
        found = compare(gather(downloads(slower=1.2, seed=2)), gather(downloads()))
        self.assertEqual({row.verdict for row in found.rows}, {"better"})
        self.assertFalse(found.worse)

    def test_threshold(self) -> None:
        """A difference within the threshold is none, though it is certain."""
        one, other = gather(downloads()), gather(downloads(slower=1.2, seed=2))
        found = compare(one, other, Question(threshold=1.5))
        self.assertEqual({row.verdict for row in found.rows}, {"same"})
        self.assertLess(max(row.probability for row in found.rows), 0.05)

    def test_chance(self) -> None:
        """A large ratio of few repetitions may be chance; and it says that it could not know."""
        found = compare(run_of([1, 2, 3]), run_of([4, 5, 6]))
        self.assertEqual((found.rows[0].verdict, found.blind), ("same", 1))
        found = compare(run_of([1, 2, 3, 2.5]), run_of([4, 5, 6, 4.5]))
        self.assertEqual((found.rows[0].verdict, found.blind), ("worse", 0))

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), min_size=1, max_size=4),
        st.sampled_from(sorted(STATISTICS)),
    )
    def test_itself(self, cells: list[list[float]], statistic: str) -> None:
        """A run against itself is never better or worse, and has a ratio of 1."""
        run = run_of(*cells)
        found = compare(run, run, Question(statistic=statistic))
        self.assertEqual({(row.verdict, row.ratio) for row in found.rows}, {("same", 1.0)})
        self.assertEqual(found.only, ((), ()))

    def test_false_alarms(self) -> None:
        """Equal programs differ in 5 % of comparisons at most, of however many cells."""
        self.assertLess(false_alarms(60, 6), 0.12)

    @thorough
    def test_false_alarms_closely(self) -> None:
        """The same with more rounds; without the correction it would be every fourth."""
        for cells in (1, 6):
            self.assertLess(false_alarms(400, cells), 0.075)

    def test_neither(self) -> None:
        """Where neither less nor more is better a difference is no harm; it has to be asked for."""
        one, other = (run_of(values, better="") for values in ([1, 2, 3, 4], [5, 6, 7, 8]))
        found = compare(one, other, Question(("y",)))
        self.assertEqual((found.rows[0].verdict, found.worse), ("differs", False))
        error = self.assertRaises(LocalError, compare, one, other)
        self.assertIn("no measure of which less or more is better", str(error))

    def test_only_one_has(self) -> None:
        """Cells that only one has are named, not compared."""
        made = downloads()
        small = [result for result in made if result.cell["size"] == MIB]
        found = compare(gather(made), gather(small))
        self.assertEqual([len(cells) for cells in found.only], [3, 0])
        self.assertEqual({row.cell["size"] for row in found.rows}, {MIB})

    def test_statistic(self) -> None:
        """Each repetition's number may be a percentile of its samples."""
        low, high = (
            gather([Result("x", {}, n, {"y": Measure("s", [1] * 98 + [top + n / 10] * 2)})
                    for n in range(5)])
            for top in (2, 4)
        )  # fmt: skip
        means = [
            compare(low, high, Question(("y",), statistic)).rows[0].means
            for statistic in ("median", "p99")
        ]
        self.assertEqual(means, [(1, 1), (2.2, 4.2)])

    def test_zero(self) -> None:
        """Failures that were none before are infinitely worse."""
        found = compare(run_of([0] * 5), run_of([0.1, 0.2, 0.3, 0.4, 0.5]))
        (row,) = found.rows
        self.assertEqual((row.ratio, row.verdict), (float("inf"), "worse"))
        values = json.loads(json.dumps(row.as_json(), allow_nan=False))
        self.assertEqual((values["ratio"], values["n"], values["verdict"]), (None, [5, 5], "worse"))

    def test_single(self) -> None:
        """One repetition has no interval."""
        (row,) = compare(run_of([1]), run_of([2])).rows
        self.assertIsNone(row.interval)
        self.assertEqual((row.as_json()["low"], row.as_json()["ratio"]), (None, 2.0))

    def test_gaps(self) -> None:
        """A measure that one of both has not in a cell is not compared there."""
        one = gather([*streams(1), Result("stream", {"rate": 1, "fault": ""}, 0)])
        found = compare(one, one)
        self.assertEqual({row.cell["rate"] for row in found.rows}, {1000})

    def test_mistakes(self) -> None:
        """What there is not is an error of a line."""
        one, other = gather(downloads(1), "one"), gather(streams(1), "other")
        for question, text in [
            (None, "one and other have no cell in common"),
            (Question(statistic="mode"), "statistic is 'mode'; give one of mean, median, p90"),
        ]:
            error = self.assertRaises(LocalError, compare, one, other, question)
            self.assertTrue(str(error).startswith(text), error)
        error = self.assertRaises(LocalError, compare, one, one, Question(("speed",)))
        self.assertIn("measure is 'speed'; one has duration, throughput", str(error))
        for wrong in (0.9, float("nan"), float("inf")):
            self.assertIn("ratio", str(self.assertRaises(LocalError, Question, threshold=wrong)))
