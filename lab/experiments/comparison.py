"""
Two runs of an experiment, cell by cell: by how much they differ, and whether that is chance.

Each repetition gives one number, as a repetition is what the chance of a run happens to. Of these
the ratio of the means has a bootstrap interval, and the rank test of Mann and Whitney says whether
there is a difference at all; Holm's correction counts how many cells were looked at. So in all the
comparisons of a call together, 5 % of calls at most call anything better or worse if both runs are
of one program. Knows no files.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from lab.errors import LocalError
from lab.experiments.bootstrap import Interval, of_ratio, ratio
from lab.experiments.cells import Cell, Run
from lab.experiments.distribution import MEDIAN, P90, P95, P99, P999, Distribution
from lab.experiments.ranks import holm, least_possible, rank_test
from lab.experiments.results import Value

#: What a repetition's number may be.
STATISTICS = {"mean": 0, "median": MEDIAN, "p90": P90, "p95": P95, "p99": P99, "p99.9": P999}
#: A difference less probable than this is none of chance.
SIGNIFICANT = 0.05


def _threshold(value: float) -> float:
    """A ratio from 1 on."""
    if not 1 <= value < float("inf"):
        raise LocalError(f"threshold is {value!r}; give a ratio of 1 or more, for example 1.05")
    return value


@frozen
class Question:
    """
    What is asked of two runs.

    Args:
        measures: Which are compared; none: all of which less or more is better.
        statistic: What each repetition's number is, one of `STATISTICS`.
        threshold: Worse is what is worse by more than this ratio, 1 or more.
        seed: Of the intervals.
    """

    measures: tuple[str, ...] = ()
    statistic: str = "mean"
    threshold: float = field(default=1.0, converter=_threshold)
    seed: int = 1


@frozen
class Row:
    """
    One measure of one cell in both runs.

    Args:
        cell: The value of each parameter.
        measure: Its name.
        unit: Its unit.
        counts: How many repetitions there are in either.
        means: The means of their numbers.
        ratio: Of the second run to the first.
        interval: The 95 % interval of confidence of that; None where there is none.
        probability: By the rank test, corrected for the number of rows.
        verdict: ``worse``, ``better`` or ``same``; ``differs`` where neither less nor more of it
            is better.
    """

    cell: Mapping[str, Value]
    measure: str
    unit: str
    counts: tuple[int, int]
    means: tuple[float, float]
    ratio: float
    interval: Interval | None
    probability: float
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has; a ratio to 0 is none."""
        low, high = (self.interval.low, self.interval.high) if self.interval else (None, None)
        finite = {
            name: value if value is not None and value < float("inf") else None
            for name, value in (("ratio", self.ratio), ("low", low), ("high", high))
        }
        return {
            "cell": dict(self.cell),
            "measure": self.measure,
            "unit": self.unit,
            "n": list(self.counts),
            "means": list(self.means),
            **finite,
            "p": self.probability,
            "verdict": self.verdict,
        }


@frozen
class Comparison:
    """
    All rows.

    Args:
        rows: In the order of the cells of the first run.
        only: The cells that only the first run has, and those that only the second has.
        blind: How many rows have so few repetitions that no difference could be told from chance.
    """

    rows: tuple[Row, ...]
    only: tuple[tuple[Cell, ...], tuple[Cell, ...]]
    blind: int

    @property
    def worse(self) -> bool:
        """Whether anything is worse."""
        return any(row.verdict == "worse" for row in self.rows)


@frozen
class _Pair:
    """The numbers of one measure of one cell in both runs."""

    cell: Cell
    measure: str
    numbers: tuple[list[float], list[float]]


def compare(one: Run, other: Run, question: Question | None = None) -> Comparison:
    """
    Compare two runs.

    Args:
        one: The run that is the standard.
        other: The run that is judged.
        question: What is asked.

    Raises:
        LocalError: They have no cell in common, or not that measure, or a statistic that there
            is not.
    """
    question = question or Question()
    if question.statistic not in STATISTICS:
        known = ", ".join(STATISTICS)
        raise LocalError(f"statistic is {question.statistic!r}; give one of {known}")
    theirs = {_key(cell): cell for cell in other.cells}
    both = [(cell, theirs[_key(cell)]) for cell in one.cells if _key(cell) in theirs]
    if not both:
        raise LocalError(f"{one.name} and {other.name} have no cell in common")
    pairs = [
        _Pair(mine, measure, numbers)
        for mine, its in both
        for measure in _measures(one, other, question)
        if all(numbers := (_numbers(mine, measure, question), _numbers(its, measure, question)))
    ]
    corrected = holm([rank_test(*pair.numbers) for pair in pairs])
    rows = tuple(
        _row(one, pair, probability, question)
        for pair, probability in zip(pairs, corrected, strict=True)
    )
    common = {_key(cell) for cell, _ in both}
    first, second = ([c for c in run.cells if _key(c) not in common] for run in (one, other))
    sizes = [tuple(map(len, pair.numbers)) for pair in pairs]
    blind = sum(least_possible(*size) * len(pairs) > SIGNIFICANT for size in sizes)
    return Comparison(rows, (tuple(first), tuple(second)), blind)


def _measures(one: Run, other: Run, question: Question) -> list[str]:
    """Which measures are compared."""
    for measure in question.measures:
        one.unit(measure)
        other.unit(measure)
    if question.measures:
        return list(question.measures)
    found = [name for name in one.measures if one.better(name) and name in other.measures]
    if not found:
        raise LocalError(
            f"{one.name} and {other.name} have no measure of which less or more is better; name one"
        )
    return found


def _numbers(cell: Cell, measure: str, question: Question) -> list[float]:
    """A number of each repetition."""
    thousandths = STATISTICS[question.statistic]
    each = (Distribution.of([found]) for found in cell.measured(measure))
    return [one.percentile(thousandths) if thousandths else one.mean for one in each]


def _row(run: Run, pair: _Pair, probability: float, question: Question) -> Row:
    """What is said of a pair."""
    first, second = (np.array(numbers) for numbers in pair.numbers)
    found = ratio(float(second.mean()), float(first.mean()))
    return Row(
        pair.cell.values,
        pair.measure,
        run.unit(pair.measure),
        (len(first), len(second)),
        (float(first.mean()), float(second.mean())),
        found,
        of_ratio(second, first, question.seed),
        probability,
        _verdict(found, probability, run.better(pair.measure), question.threshold),
    )


def _verdict(found: float, probability: float, better: str, threshold: float) -> str:
    """In a word."""
    less, more = found * threshold < 1, found > threshold
    if probability >= SIGNIFICANT or not (less or more):
        return "same"
    if not better:
        return "differs"
    return "better" if less == (better == "less") else "worse"


def _key(cell: Cell) -> str:
    """Equal cells have equal ones."""
    return repr(sorted(cell.values.items()))
