"""
The figures of each cell, and a table of them as CSV.

Percentiles are of all values of a cell together; intervals say what other repetitions might have
given (`lab.experiments.bootstrap`). Outliers are sought among repetitions, by their means: that
the slowest of 10,000 requests is slow says nothing, that one repetition of ten is slow does.
"""

import csv
import io
from collections.abc import Iterator

from attrs import frozen

from lab.experiments.bootstrap import Interval, of_mean, of_median
from lab.experiments.cells import UNITS, Cell, Run, varied
from lab.experiments.distribution import MEDIAN, P90, P95, P99, P999, Distribution, outliers

#: What a table has of each measure, and whether that has the unit of the measure.
FIGURES = {
    "n": False,
    "mean": True,
    "mean_low": True,
    "mean_high": True,
    "sd": True,
    "median": True,
    "median_low": True,
    "median_high": True,
    "p90": True,
    "p95": True,
    "p99": True,
    "p99.9": True,
    "max": True,
    "outliers": False,
}


@frozen
class Summary:
    """
    What is said of one measure of one cell, in the unit of the measure.

    Args:
        n: How many values there are.
        repetitions: From how many repetitions.
        mean: Of all values.
        mean_interval: Its 95 % interval of confidence; None of a single repetition.
        sd: Standard deviation of the sample.
        median: Of all values.
        median_interval: As that of the mean.
        p90: So many percent of the values don't exceed it.
        p95: The same.
        p99: The same.
        p999: The same, of 99.9 %.
        most: The largest.
        outliers: Which repetitions are far from the others.
    """

    n: int
    repetitions: int
    mean: float
    mean_interval: Interval | None
    sd: float
    median: float
    median_interval: Interval | None
    p90: float
    p95: float
    p99: float
    p999: float
    most: float
    outliers: tuple[int, ...] = ()

    @property
    def figures(self) -> dict[str, float | None]:
        """By the names of `FIGURES`."""
        values = (
            self.n,
            self.mean,
            *_ends(self.mean_interval),
            self.sd,
            self.median,
            *_ends(self.median_interval),
            self.p90,
            self.p95,
            self.p99,
            self.p999,
            self.most,
            len(self.outliers),
        )
        return dict(zip(FIGURES, values, strict=True))


def summarise(cell: Cell, measure: str, seed: int = 1) -> Summary | None:
    """
    Sum up a measure of a cell.

    Args:
        cell: Which.
        measure: The name of the measure.
        seed: Equal ones give equal intervals.

    Returns:
        None if no repetition has a value of it.
    """
    found = cell.measured(measure)
    if not found:
        return None
    parts = Distribution.each(found)
    whole = Distribution.joined(parts)
    return Summary(
        n=whole.count,
        repetitions=len(found),
        mean=whole.mean,
        mean_interval=of_mean(parts, seed),
        sd=whole.deviation,
        median=whole.percentile(MEDIAN),
        median_interval=of_median(parts, seed),
        p90=whole.percentile(P90),
        p95=whole.percentile(P95),
        p99=whole.percentile(P99),
        p999=whole.percentile(P999),
        most=whole.most,
        outliers=tuple(_far(cell, measure, parts)),
    )


def far(cell: Cell, measure: str) -> list[int]:
    """The numbers of the repetitions whose mean is far from that of the others."""
    return _far(cell, measure, Distribution.each(cell.measured(measure)))


def table(run: Run, seed: int = 1) -> str:
    """
    A CSV file (RFC 4180) with a line for each cell, and units in its first line.

    Columns are the parameters, how many repetitions count and how many failed, and for each
    measure its `FIGURES`; what there is not is empty.

    Args:
        run: Of which experiment.
        seed: Of the intervals.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    parameters, measures = run.parameters, run.measures
    head = ["experiment", "simulated"]
    head += [_with(name, UNITS.get(name, "")) for name in parameters]
    head += ["repetitions", "failed"]
    for measure in measures:
        unit = run.unit(measure)
        head += [_with(f"{measure} {name}", unit if has else "") for name, has in FIGURES.items()]
    writer.writerow(head)
    for cell in run.cells:
        row: list[object] = [run.experiment, "yes" if run.simulated else "no"]
        row += [cell.values.get(name, "") for name in parameters]
        row += [len(cell.results), cell.failed]
        for measure in measures:
            summary = summarise(cell, measure, seed)
            row += summary.figures.values() if summary else [None] * len(FIGURES)
        writer.writerow(row)
    return out.getvalue()


def warnings(run: Run) -> Iterator[str]:
    """What whoever reads the figures should know: failures, outliers, too few repetitions."""
    names = varied(run.cells) or run.parameters
    for cell in run.cells:
        label = cell.label(names)
        if cell.failed:
            said = "; ".join(cell.errors[:3])
            yield f"{label}: {cell.failed} repetitions failed ({said})"
        if len(cell.results) == 1:
            yield f"{label}: from one repetition there are no intervals"
        for measure in run.measures:
            if which := ", ".join(map(str, far(cell, measure))):
                yield f"{label}: {measure} of repetition {which} is far from the others"


def _far(cell: Cell, measure: str, parts: list[Distribution]) -> list[int]:
    """The same, of values that are known already."""
    known = [
        result.repetition
        for result in cell.results
        if measure in result.measures and result.measures[measure].count
    ]
    return [known[place] for place in outliers(one.mean for one in parts)]


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    """Both ends of an interval."""
    return (interval.low, interval.high) if interval else (None, None)


def _with(name: str, unit: str) -> str:
    """The head of a column."""
    return f"{name} ({unit})" if unit and unit != "1" else name
