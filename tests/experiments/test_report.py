"""The page of an experiment."""

from html.parser import HTMLParser
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments import report
from lab.experiments.cells import gather
from lab.experiments.report import Report
from lab.experiments.results import Measure, Result
from tests.experiments.made import downloads, streams

#: Elements that have no end (HTML, section 13.1.2).
_VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Reads a page: what is open, texts, ids, where links and sources lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.leads: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        links = {"href", "src", "xlink:href", "action"}
        self.leads += [value or "" for name, value in attrs if name in links]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One of SVG's that has no inside."""
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """An element ends: the one that began last."""
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        """A text."""
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def page_of(results: list[Any], **more: Any) -> Page:
    """The page of a run."""
    made = Report(gather(results, "run"), "lab experiment run x.ini", **more)
    page = Page(made.page())
    assert page.open == []
    return page


class ReportTests(SynchronousTestCase):
    """What stands on the page."""

    def setUp(self) -> None:
        """Draw one picture: that takes most of the time."""
        self.all = report.PICTURES
        self.patch(report, "PICTURES", 1)

    def test_whole(self) -> None:
        """It is well formed, its ids differ, and it loads nothing from anywhere."""
        self.patch(report, "PICTURES", self.all)
        page = page_of(streams(2))
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertEqual({lead[:1] for lead in page.leads}, {"#"})
        self.assertLessEqual({lead[1:] for lead in page.leads}, set(page.ids))
        self.assertEqual({"script", "link", "iframe", "img"} & set(page.tags), set())
        self.assertEqual(page.tags.count("figure"), 7)
        self.assertEqual(page.tags.count("svg"), 7)

    def test_same(self) -> None:
        """The same results give the same page."""
        run = gather(downloads(2))
        self.assertTrue(Report(run, "x").page() == Report(run, "x").page())

    def test_tables(self) -> None:
        """A table for each measure, a line for each cell, in units that suit, with intervals."""
        page = page_of(downloads(3))
        captions = ["duration (ms)", "throughput (MB/s)", "Processes", "Versions"]
        self.assertEqual(page.texts["caption"], captions)
        cells = page.texts["td"]
        self.assertIn("16M", cells)
        self.assertTrue(any(" to " in text for text in cells))
        self.assertIn("40.0", cells)  # the memory of server-1
        self.assertIn("3.13.1", cells)

    def test_to_repeat(self) -> None:
        """The plan and the command stand there as they are."""
        page = page_of(downloads(2), plans={"plan.ini": "[experiment]\nfault = <none> & more\n"})
        self.assertEqual(page.texts["pre"][0], "lab experiment run x.ini")
        self.assertEqual(page.texts["pre"][1], "[experiment]\nfault = <none> & more\n")
        self.assertIn("plan.ini", page.texts["h2"])

    def test_escaped(self) -> None:
        """Whatever names and errors are, they are texts, and no HTML."""
        bad = "<script>alert('&\"')</script>"
        one = Measure("s", (1.0,))
        made = [
            Result(bad, {"a": bad}, 0, {bad: one}, versions={bad: bad}),
            Result(bad, {"a": bad}, 1, error=bad),
        ]
        page = page_of(made, plans={bad: bad})
        self.assertNotIn("script", page.tags)
        self.assertIn(bad, page.texts["pre"])
        self.assertTrue(any(bad in text for text in page.texts["li"]))

    def test_warnings(self) -> None:
        """Failures are said above; of very many some."""
        self.assertNotIn("li", page_of(downloads(2)).texts)
        made = [evolve(one, error="lost") if one.repetition == 0 else one for one in downloads(3)]
        self.assertEqual(len(page_of(made).texts["li"]), 6)
        self.patch(report, "WARNINGS", 4)
        found = page_of(made).texts["li"]
        self.assertEqual((len(found), found[-1]), (5, "and 2 more"))

    def test_simulated(self) -> None:
        """It says how it ran; one that was simulated has no processes."""
        real, simulated = page_of(downloads(2)), page_of(downloads(2, simulated=True))
        self.assertIn("as processes on a real network", real.texts["p"][0])
        self.assertIn("in the simulator", simulated.texts["p"][0])
        self.assertNotIn("Processes", simulated.texts["caption"])

    def test_many(self) -> None:
        """Of very many cells and pictures some are there, and that is said."""
        self.patch(report, "ROWS", 4)
        page = page_of(downloads(2))
        self.assertEqual(page.tags.count("figure"), 1)
        self.assertIn("5 more pictures: lab experiment plot.", page.texts["p"])
        self.assertIn("4 of 6 cells; summary.csv has all.", page.texts["p"])

    def test_nothing_measured(self) -> None:
        """If all failed, that is what it says; where one cell has no value, the others have."""
        page = page_of([Result("x", {"a": 1}, 0, error="refused")])
        self.assertNotIn("svg", page.tags)
        self.assertIn("a 1: 1 repetitions failed (refused)", page.texts["li"])
        gap = [*downloads(1), Result("download", {**downloads(1)[0].cell, "clients": 9}, 0)]
        self.assertEqual(page_of(gap).texts["caption"][0], "duration (ms)")
