"""What stands where in a picture."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments.cells import Cell, Run, gather
from lab.experiments.plots.looks import (
    Looks,
    all_cells,
    chosen_lines,
    chosen_panels,
    counted,
    numeric,
    place,
    split,
    values,
    with_run,
)
from lab.experiments.results import Measure, Result
from tests.experiments.made import MIB, downloads, streams
from tests.experiments.plots.drawn import drawn, ticks


def cells(**lists: Any) -> list[Cell]:
    """Cells with the values of each list in turn; shorter lists begin again."""
    count = max(map(len, lists.values()))
    return [Cell({k: v[n % len(v)] for k, v in lists.items()}, ()) for n in range(count)]


class LooksTests(SynchronousTestCase):
    """What stands along the axis, what makes lines, what makes panels."""

    def test_liked(self) -> None:
        """Clients along the axis and a line for each size, if they vary."""
        made = cells(servers=[1, 2], clients=[1, 1, 2, 2], size=[1, 2, 3])
        self.assertEqual(Looks.of(made), Looks("clients", "size", ("servers",)))

    def test_others(self) -> None:
        """Or else the first number, and the first of the others."""
        made = cells(fault=["", "x"], loss=[0.1, 0.1, 0.2], rate=[1, 1, 1, 2])
        self.assertEqual(Looks.of(made), Looks("loss", "fault", ("rate",)))
        self.assertEqual(Looks.of(made, "fault"), Looks("fault", "loss", ("rate",)))

    def test_words_only(self) -> None:
        """Words, where there are no numbers that vary."""
        self.assertEqual(Looks.of(cells(n=[1], fault=["", "x"])), Looks("fault", "", ()))
        made = cells(backoff=["none", "none", "some"], fault=["", "x"])
        self.assertEqual(Looks.of(made), Looks("fault", "backoff", ()))

    def test_nothing_varies(self) -> None:
        """Of one cell, any parameter; of none that has any, none."""
        self.assertEqual(Looks.of(cells(fault=["x"], clients=[1])), Looks("clients", "", ()))
        self.assertEqual(Looks.of(cells(fault=["x"])), Looks("fault", "", ()))
        self.assertEqual(Looks.of([Cell({}, ())]), Looks("", "", ()))

    def test_wrong(self) -> None:
        """A parameter that there is not."""
        error = self.assertRaises(LocalError, Looks.of, cells(a=[1], b=[2]), "c")
        self.assertEqual(str(error), "x is 'c'; give one of a, b")


class PartsTests(SynchronousTestCase):
    """Cells in parts."""

    def test_split(self) -> None:
        """Those with equal values are together; by none, all are."""
        made = cells(size=[MIB, 2 * MIB], clients=[1, 1, 2, 2])
        self.assertEqual(list(split(made, ["size"])), ["size 1M", "size 2M"])
        self.assertEqual(split(made, []), {"": made})

    def test_chosen(self) -> None:
        """Of too many panels and lines some are drawn, and that is said."""
        made = cells(a=list(range(100)))
        titles, said = chosen_panels(made, ["a"])
        self.assertEqual((len(titles), said), (6, "6 of 100 panels drawn"))
        self.assertEqual(chosen_lines(made, ["a"])[1], "7 of 100 lines drawn")
        self.assertEqual(chosen_lines(made[:2], ["a"]), (["a 0", "a 1"], ""))

    def test_values(self) -> None:
        """In their order; a mixture is no number."""
        made = cells(a=[3, 1, 2, 1], b=["x", 1])
        self.assertEqual((values(made, "a"), numeric(made, "a")), ([1, 2, 3], True))
        self.assertFalse(numeric(made, "b"))

    def test_runs(self) -> None:
        """A label has the name of its run where there are several."""
        one, other = Run("one", tuple(cells(a=[1]))), Run("other", tuple(cells(a=[2])))
        self.assertEqual(with_run("a 1", one, [one]), "a 1")
        self.assertEqual(with_run("a 1", one, [one, other]), "a 1, one")
        self.assertEqual(with_run("", one, [one, other]), "one")
        self.assertEqual(len(all_cells([one, other])), 2)

    def test_counted(self) -> None:
        """How many repetitions there are, from the fewest to the most."""
        made = gather(downloads(10)).cells
        self.assertEqual(counted(made, "duration"), "n = 10 repetitions a cell")
        more = gather([Result("x", {}, 0, {"duration": Measure("s", (1.0,))})]).cells
        self.assertEqual(counted(more, "duration"), "n = 1 repetition a cell")
        self.assertEqual(counted([*made, *more], "duration"), "n = 1 to 10 repetitions a cell")
        self.assertEqual(counted([], "duration"), "n = 0 repetitions a cell")


class PlaceTests(SynchronousTestCase):
    """Where values stand along an axis."""

    def placed(self, made: list[Cell], name: str) -> tuple[Any, Any]:
        """Where they stand, and the axes."""
        found: list[Any] = []
        figure = drawn(lambda f: found.append(place(made, name, f.subplots())))
        return found[0], figure.axes[0]

    def test_numbers(self) -> None:
        """Numbers stand where they are; those that grow by factors on a logarithmic axis."""
        places, axes = self.placed(cells(clients=[1, 2, 4]), "clients")
        self.assertEqual((places, axes.get_xscale()), ({1: 1.0, 2: 2.0, 4: 4.0}, "linear"))
        self.assertEqual((ticks(axes.xaxis), axes.get_xlabel()), (["1", "2", "4"], "clients"))
        places, axes = self.placed(cells(size=[MIB, 16 * MIB]), "size")
        self.assertEqual((axes.get_xscale(), axes.get_xlabel()), ("log", "size (B)"))
        self.assertEqual(ticks(axes.xaxis), ["1M", "16M"])
        self.assertEqual(self.placed(cells(loss=[0, 0.1]), "loss")[1].get_xscale(), "linear")

    def test_words(self) -> None:
        """Words stand side by side."""
        places, axes = self.placed(list(gather(streams(1)).cells), "fault")
        self.assertEqual(places, {"": 0.0, "loss:probability=0.1": 1.0})
        self.assertEqual(ticks(axes.xaxis), ["none", "loss:probability=0.1"])
        several = cells(fault=["", *(f"loss:probability={p}" for p in (0.2, 0.05))])
        places, axes = self.placed(several, "fault")
        self.assertEqual(ticks(axes.xaxis), ["none", "0.05", "0.2"])
        self.assertEqual(axes.get_xlabel(), "fault loss:probability")

    def test_many(self) -> None:
        """Of very many some have their number."""
        _, axes = self.placed(cells(a=list(range(100))), "a")
        self.assertEqual(len(ticks(axes.xaxis)), 12)
