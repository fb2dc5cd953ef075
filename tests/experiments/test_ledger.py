"""The file of a run: what is done, what is left, and the order of its lines."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments import ledger as room
from lab.experiments.ledger import Ledger
from lab.experiments.plan import read
from lab.experiments.results import Result
from tests.helpers import folder

PLAN = read("[experiment]\nservice=echo\nclients=1,2\nrepetitions=2")
WANTED = {
    (cell.key, one.number): one
    for cell in PLAN.cells()
    for one in PLAN.repeated(cell, simulated=True)
}
RESULTS = [
    Result("mine", one.cell.values, one.number, seed=one.seed, simulated=True)
    for one in WANTED.values()
]
LINES = [f"{result.encode()}\n" for result in RESULTS]


class LedgerTests(SynchronousTestCase):
    """On a real file."""

    def setUp(self) -> None:
        """A file that is not there yet."""
        self.path = folder(self) / "results.jsonl"
        self.ledger = Ledger(self.path, WANTED, True)

    def refused(self, text: str) -> str:
        """Why a file is refused."""
        self.path.write_text(text)
        with self.assertRaises(LocalError) as raised, self.ledger.open():
            """It is looked at first."""
        return str(raised.exception)

    def test_from_nothing(self) -> None:
        """All is left; what is added is there."""
        with self.ledger.open() as add:
            self.assertEqual(self.ledger.left, list(WANTED.values()))
            add(RESULTS[2])
        with self.ledger.open():
            self.assertEqual(len(self.ledger.left), 3)
            self.assertNotIn(list(WANTED.values())[2], self.ledger.left)

    @settings(max_examples=50, deadline=None)
    @given(st.permutations(LINES), st.integers(0, 4), st.integers(0, 100))
    def test_any_order(self, lines: list[str], done: int, cut: int) -> None:
        """Wherever it was interrupted, in the end the file is the same."""
        half = lines[done][:cut] if done < 4 else ""
        self.path.write_text("".join(lines[:done]) + half)
        with self.ledger.open() as add:
            self.assertEqual(len(self.ledger.left), 4 - done)
            for one in self.ledger.left:
                add(next(r for r in RESULTS if (r.key, r.repetition) == (one.cell.key, one.number)))
            self.ledger.scan()
            self.ledger.sort()
        self.assertEqual(self.path.read_text(), "".join(LINES))
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["results.jsonl"])

    def test_sorted(self) -> None:
        """A file that is in its order is left alone."""
        self.path.write_text("".join(LINES))
        before = self.path.stat().st_ino
        self.ledger.scan()
        self.ledger.sort()
        self.assertEqual((self.path.stat().st_ino, self.ledger.failed), (before, 0))

    def test_failed(self) -> None:
        """What failed is left, and counted; the newest line of a repetition is the one."""
        failed = Result("mine", RESULTS[0].cell, 0, seed=RESULTS[0].seed, simulated=True, error="x")
        self.path.write_text(f"{failed.encode()}\n{LINES[1]}")
        with self.ledger.open() as add:
            self.assertEqual((len(self.ledger.left), self.ledger.failed), (3, 1))
            add(RESULTS[0])
            self.ledger.scan()
            self.assertEqual((len(self.ledger.left), self.ledger.failed), (2, 0))
            self.ledger.sort()
        self.assertEqual(self.path.read_text(), "".join(LINES[:2]))

    def test_other_cells(self) -> None:
        """Those of cells that are in the plan no more stay, behind the others."""
        other = Result("mine", {"service": "echo"}, 0, simulated=True, error="x").encode() + "\n"
        self.path.write_text("".join([other, *LINES[::-1]]))
        self.ledger.scan()
        self.ledger.sort()
        self.assertEqual(self.path.read_text(), "".join([*LINES, other]))
        self.assertEqual(self.ledger.failed, 0)

    def test_refused(self) -> None:
        """What another run has made, or nobody."""
        real = Result("mine", RESULTS[0].cell, 0, seed=RESULTS[0].seed)
        self.assertIn("has results of real runs; give another", self.refused(f"{real.encode()}\n"))
        simulated = Ledger(self.path, WANTED, False)
        self.path.write_text(LINES[0])
        with self.assertRaisesRegex(LocalError, "has results of simulated runs"):
            simulated.scan()
        seed = Result("mine", RESULTS[0].cell, 0, seed=9, simulated=True)
        self.assertIn("has results with another seed", self.refused(f"{seed.encode()}\n"))
        for text in ("nothing\n", "[]\n", "{}\n", '{"cell": 1}\n'):
            self.assertIn("line 2 of", self.refused(LINES[0] + text))

    def test_long(self) -> None:
        """A line that does not end is no line."""
        self.patch(room, "LONGEST", 10)
        self.path.write_text("x" * 20)
        with self.assertRaisesRegex(LocalError, "line 1 of .* is longer than 10 bytes"):
            self.ledger.scan()

    def test_alone(self) -> None:
        """Two runs in one directory would spoil each other's file."""
        with (
            self.ledger.open(),
            self.assertRaisesRegex(LocalError, "is used by another run"),
            Ledger(self.path, WANTED, True).open(),
        ):
            """Nobody comes here."""
        with self.ledger.open():
            """It is free again."""

    def test_gaps(self) -> None:
        """Half a line behind the last is no part of the order."""
        self.path.write_text("".join(LINES) + "half")
        self.assertEqual(room._in_order(self.places(), self.path), False)

    def places(self) -> list[room._Line]:
        """Where lines are."""
        self.ledger.scan()
        return list(self.ledger.lines.values())
