"""
A run as one page of HTML that opens offline: pictures, tables, the plan, versions, how to repeat.

What a page is made of `lab.experiments.page` knows. Knows no files.
"""

from collections.abc import Iterator, Mapping
from html import escape

from attrs import Factory, frozen

from lab.experiments.bootstrap import Interval
from lab.experiments.cells import Run, show
from lab.experiments.page import figure, page, table
from lab.experiments.plots.kinds import Picture, suiting
from lab.experiments.plots.paper import Scale, inline
from lab.experiments.summary import Summary, summarise, warnings

#: So many cells a table has at most; and so many warnings and pictures a page.
ROWS, WARNINGS, PICTURES = 500, 50, 40
_COLUMNS = ("n", "mean", "95 % of the mean", "sd", "median", "95 % of the median")
_TAIL = ("p90", "p95", "p99", "p99.9", "max")


@frozen
class Report:
    """
    What a report is made of.

    Args:
        run: The run.
        command: What to type to have it once more.
        plans: The text of each plan, by the name of its file.
        seed: Of the intervals.
    """

    run: Run
    command: str
    plans: Mapping[str, str] = Factory(dict)
    seed: int = 1

    def page(self) -> str:
        """The page."""
        title = f"{self.run.experiment or self.run.name}: experiment"
        return page(
            title,
            [
                *self._facts(),
                *self._warnings(),
                *self._pictures(),
                "<h2>Figures</h2>",
                *(part for name in self.run.measures for part in self._table(name)),
                *self._processes(),
                *self._again(),
            ],
        )

    def _facts(self) -> Iterator[str]:
        """What there is of everything."""
        run = self.run
        counted = sum(len(cell.results) for cell in run.cells)
        failed = sum(cell.failed for cell in run.cells)
        how = "in the simulator" if run.simulated else "as processes on a real network"
        yield (
            f"<p>{len(run.cells):,} cells, {counted:,} repetitions that count, {failed:,} that "
            f"failed, {how}. Intervals are of 95 % confidence, by the bootstrap over repetitions "
            "(expanded percentiles); percentiles are of all values of a cell.</p>"
        )

    def _warnings(self) -> Iterator[str]:
        """What whoever reads it should know."""
        found = list(warnings(self.run))
        if found:
            more = [f"and {len(found) - WARNINGS:,} more"] if len(found) > WARNINGS else []
            lines = "".join(f"<li>{escape(text)}</li>" for text in found[:WARNINGS] + more)
            yield f"<h2>Mind</h2><ul>{lines}</ul>"

    def _pictures(self) -> Iterator[str]:
        """The pictures."""
        if not self.run.measures and not self.run.series:
            return
        yield "<h2>Pictures</h2>"
        pictures = suiting([self.run])
        for number, picture in enumerate(pictures[:PICTURES]):
            yield self._picture(picture, f"p{number}")
        if len(pictures) > PICTURES:
            yield f"<p>{len(pictures) - PICTURES:,} more pictures: lab experiment plot.</p>"

    def _picture(self, picture: Picture, name: str) -> str:
        """A picture."""
        svg = inline(picture.drawing([self.run]), name)
        return figure(svg, f"{picture.kind} of {picture.measure}")

    def _table(self, measure: str) -> Iterator[str]:
        """The figures of a measure."""
        cells = self.run.cells[:ROWS]
        found = [summarise(cell, measure, self.seed) for cell in cells]
        most = max((one.most for one in found if one), default=0.0)
        scale = Scale.of(self.run.unit(measure), most)
        names = self.run.parameters
        head = [*names, *_COLUMNS, *_TAIL]
        rows = [
            [show(name, cell.values.get(name, "")) for name in names] + _figures(one, scale)
            for cell, one in zip(cells, found, strict=True)
            if one
        ]
        yield table(scale.label(measure), head, rows)
        if len(self.run.cells) > ROWS:
            yield f"<p>{ROWS:,} of {len(self.run.cells):,} cells; summary.csv has all.</p>"

    def _processes(self) -> Iterator[str]:
        """What processes used."""
        used: dict[str, list[tuple[float, float]]] = {}
        for cell in self.run.cells:
            for result in cell.results:
                for one in result.processes:
                    used.setdefault(one.id, []).append((one.cpu, one.memory))
        rows = [
            [name, f"{len(of):,}", f"{sum(cpu for cpu, _ in of) / len(of):.3g}",
             f"{max(memory for _, memory in of) / 1e6:,.1f}"]
            for name, of in sorted(used.items())[:ROWS]
        ]  # fmt: skip
        if rows:
            head = ["process", "n", "mean CPU time (s)", "most memory (MB)"]
            yield table("Processes", head, rows)

    def _again(self) -> Iterator[str]:
        """How to have it once more, and on what it ran."""
        yield f"<h2>To repeat it</h2><pre>{escape(self.command)}</pre>"
        for name, text in self.plans.items():
            yield f"<h2>{escape(name)}</h2><pre>{escape(text)}</pre>"
        rows = [[name, version] for name, version in self.run.versions.items()]
        if rows:
            yield table("Versions", ["what", "version"], rows)


def _figures(summary: Summary, scale: Scale) -> list[str]:
    """The figures of a row, as `_COLUMNS` and `_TAIL` name them."""

    def written(value: float) -> str:
        """In the unit of the table."""
        return f"{value * scale.factor:,.4g}"

    def between(interval: Interval | None) -> str:
        """An interval."""
        return f"{written(interval.low)} to {written(interval.high)}" if interval else ""

    tail = (summary.p90, summary.p95, summary.p99, summary.p999, summary.most)
    return [
        f"{summary.n:,}",
        written(summary.mean),
        between(summary.mean_interval),
        written(summary.sd),
        written(summary.median),
        between(summary.median_interval),
        *map(written, tail),
    ]
