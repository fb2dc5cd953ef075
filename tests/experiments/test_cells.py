"""Results by cell."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.cells import Cell, Run, gather, load, order, show, varied
from lab.experiments.results import PLACE, Measure, Result, write
from tests.experiments.made import downloads, streams
from tests.helpers import folder


class GatherTests(SynchronousTestCase):
    """Results in their cells."""

    def test_any_order(self) -> None:
        """Cells stand in the order of their parameters, repetitions in theirs."""
        made = downloads()
        mixed = list(made)
        Random(1).shuffle(mixed)
        run, other = gather(made, "x"), gather(mixed, "x")
        self.assertEqual(run, other)
        self.assertEqual([cell.values["clients"] for cell in run.cells], [1, 1, 2, 2, 4, 4])
        for cell in run.cells:
            self.assertEqual([result.repetition for result in cell.results], list(range(10)))
        self.assertEqual((run.experiment, run.simulated), ("download", False))
        self.assertEqual(run.versions["txlab"], "0.1.0")

    def test_what_counts(self) -> None:
        """Warm-up is nothing, what failed is counted apart, of two with one number the later is."""
        one = Measure("s", (1.0,))
        made = [
            Result("x", {"a": 1}, 0, {"y": one}, warm_up=True),
            Result("x", {"a": 1}, 0, {}, error="refused"),
            Result("x", {"a": 1}, 1, {"y": one}),
            Result("x", {"a": 1}, 2, {}, error="refused"),
            Result("x", {"a": 1}, 3, {}, error="late"),
            Result("x", {"a": 1}, 3, {"y": Measure("s", ())}),
        ]
        (cell,) = gather(made).cells
        self.assertEqual([result.repetition for result in cell.results], [1, 3])
        self.assertEqual((cell.failed, cell.errors), (2, ("refused",)))
        self.assertEqual(cell.measured("y"), [one])
        self.assertEqual(gather([]), Run("", ()))

    def test_names(self) -> None:
        """Parameters, measures and series, and what each is in."""
        run = gather(streams())
        self.assertEqual(run.parameters, ["rate", "fault"])
        self.assertEqual(run.measures, ["latency", "latency_naive", "success"])
        self.assertEqual(run.series, ["loss"])
        self.assertEqual((run.unit("latency"), run.better("success")), ("s", "more"))
        error = self.assertRaises(LocalError, run.unit, "speed")
        self.assertIn("has latency, latency_naive, success", str(error))
        self.assertIn("has none", str(self.assertRaises(LocalError, Run("x", ()).unit, "speed")))

    def test_varied(self) -> None:
        """Parameters with more than one value; one that is not everywhere is such."""
        self.assertEqual(varied(gather(downloads()).cells), ["clients", "size"])
        cells = [Cell({"a": 1}, ()), Cell({"a": 1, "b": 2}, ())]
        self.assertEqual(varied(cells), ["b"])

    def test_where(self) -> None:
        """Some of the cells, by values as people write them or as they are kept."""
        run = gather(downloads(), "x")
        for text in ("1M", "1048576"):
            self.assertEqual(len(run.where({"size": text}).cells), 3)
        self.assertEqual(len(run.where({"size": "16M", "clients": "4", "fault": "none"}).cells), 1)
        self.assertIs(type(run.where({})), Run)
        error = self.assertRaises(LocalError, run.where, {"sizes": "1M"})
        self.assertIn("there are service, clients, size, fault", str(error))
        error = self.assertRaises(LocalError, run.where, {"size": "2M"})
        self.assertEqual(str(error), "where is 'size=2M'; x has no such cell")

    def test_only(self) -> None:
        """Cells of one value, which is no part of them any more; nothing else is changed."""
        run = gather(downloads(), "x")
        small, large = run.only("size", "1M"), run.only("size", "16M")
        self.assertEqual((small.name, small.parameters), ("1M", ["service", "clients", "fault"]))
        self.assertEqual(
            [cell.values for cell in small.cells], [cell.values for cell in large.cells]
        )
        self.assertEqual(small.cells[0].results, run.where({"size": "1M"}).cells[0].results)
        self.assertRaises(LocalError, run.only, "sizes", "1M")


class LoadTests(SynchronousTestCase):
    """Results of a directory."""

    def test_place(self) -> None:
        """A directory has them in its place, a file is itself; either gives the name."""
        path = folder(self) / "before"
        (path / PLACE).parent.mkdir(parents=True)
        write(path / PLACE, downloads())
        self.assertEqual((load(path).name, len(load(path).cells)), ("before", 6))
        self.assertEqual(load(str(path / PLACE)).name, "results")

    def test_nothing(self) -> None:
        """No file, and one without results, are errors of a line."""
        path = folder(self)
        self.assertIn("No such file", str(self.assertRaises(LocalError, load, path)))
        (path / "x.jsonl").write_text("")
        error = self.assertRaises(LocalError, load, path / "x.jsonl")
        self.assertIn("there are none in it yet", str(error))


class WordsTests(SynchronousTestCase):
    """Values for people."""

    def test_show(self) -> None:
        """Sizes in the largest unit that is whole, no fault as none, others as they are."""
        for name, value, text in [
            ("size", 2**30, "1G"),
            ("size", 1500, "1500"),
            ("size", 0, "0"),
            ("size", 1536, "1536"),
            ("clients", 1024, "1024"),
            ("fault", "", "none"),
            ("rate", 1e-6, "1e-06"),
            ("ready", True, "True"),
        ]:
            self.assertEqual(show(name, value), text)

    def test_label(self) -> None:
        """Some parameters of a cell."""
        cell = Cell({"clients": 4, "size": 2**20}, ())
        self.assertEqual(cell.label(["size", "clients"]), "size 1M, clients 4")
        self.assertEqual(cell.label([]), "")

    def test_order(self) -> None:
        """Numbers by their size, then texts."""
        self.assertEqual(sorted(["b", 10, 9.5, "a"], key=order), [9.5, 10, "a", "b"])
        texts = ["ab", "a=10.5", "", "a=10", "a=9"]
        self.assertEqual(sorted(texts, key=order), ["", "a=9", "a=10", "a=10.5", "ab"])
