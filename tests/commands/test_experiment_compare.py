"""``lab experiment compare``."""

import json

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.experiment_compare import threshold
from lab.errors import LocalError
from tests.commands.experiments import directory, run
from tests.experiments.made import MIB, downloads
from tests.helpers import folder


class CompareTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Have a run, one that is slower, and one with fewer cells and repetitions."""
        place = folder(self)
        self.before = directory(place / "before", downloads())
        self.after = directory(place / "after", downloads(slower=1.2, seed=2))
        few = [one for one in downloads(2) if one.cell["size"] == MIB]
        self.few = directory(place / "few", few)

    def test_worse(self) -> None:
        """Worse is exit code 1, with a row for each cell and measure."""
        done = run("experiment", "compare", self.before, self.after)
        self.assertEqual((done.exit_code, done.stderr), (1, ""))
        head, *rows = done.stdout.splitlines()
        names = [
            "clients",
            "size",
            "measure",
            "n",
            "before",
            "after",
            "B/A",
            "95 %",
            "p",
            "verdict",
        ]
        self.assertEqual([word.strip() for word in head.split("  ") if word], names)
        self.assertEqual(len(rows), 12)
        self.assertTrue(all(row.endswith("worse") for row in rows))
        self.assertIn("10, 10", rows[0])
        self.assertRegex(rows[0], r"ms .* ms .*1\.\d+ to 1\.\d+")

    def test_not_worse(self) -> None:
        """Better is exit code 0, and so is what is within the threshold."""
        self.assertEqual(run("experiment", "compare", self.after, self.before).exit_code, 0)
        done = run("experiment", "compare", self.before, self.after, "--threshold", "1.5")
        self.assertEqual(done.exit_code, 0)
        done = run("experiment", "compare", self.before, self.before, "--measure", "duration")
        self.assertEqual(done.exit_code, 0)
        self.assertEqual(len(done.stdout.splitlines()), 7)

    def test_only_one_has(self) -> None:
        """Cells of one run are named; rows that can't tell anything are counted."""
        done = run("experiment", "compare", self.before, self.few)
        self.assertEqual(done.exit_code, 0)
        self.assertIn("only before has service download, clients 1, size 16M", done.stdout)
        said = "6 rows have too few repetitions to tell any difference from chance\n"
        self.assertEqual(done.stderr, said)

    def test_between(self) -> None:
        """Cells of one run with one value of a parameter, and those with another one."""
        words = ["--between", "size", "1M", "16M", "--measure", "duration"]
        done = run("experiment", "compare", self.before, *words)
        self.assertEqual(done.exit_code, 1)
        head, *rows = done.stdout.splitlines()
        self.assertEqual(head.split()[:5], ["clients", "measure", "n", "1M", "16M"])
        self.assertEqual([row.split()[0] for row in rows], ["1", "2", "4"])
        self.assertTrue(all(15 < float(row.split()[8]) < 17 for row in rows), rows)
        done = run("experiment", "compare", self.before, *words, "--where", "clients=4")
        self.assertEqual(len(done.stdout.splitlines()), 2)
        done = run("experiment", "compare", self.before, self.after, "--between", "size", "1M",
                   "1M", "--measure", "duration", "--json")  # fmt: skip
        ratios = [row["ratio"] for row in json.loads(done.stdout)["rows"]]
        self.assertTrue(all(1.1 < ratio < 1.3 for ratio in ratios), ratios)

    def test_json(self) -> None:
        """The same as an object."""
        done = run("experiment", "compare", self.before, self.after, "--json", "--statistic", "p90")
        values = json.loads(done.stdout)
        self.assertEqual((done.exit_code, values["worse"], values["blind"]), (1, True, 0))
        self.assertEqual(len(values["rows"]), 12)
        self.assertEqual(values["rows"][0]["cell"]["clients"], 1)
        done = run("experiment", "compare", self.few, self.before, "--json")
        self.assertEqual(len(json.loads(done.stdout)["only_second"]), 3)

    def test_single(self) -> None:
        """Without an interval its column is empty."""
        one = directory(self.before.parent / "one", downloads(1))
        done = run("experiment", "compare", one, one)
        self.assertNotIn(" to ", done.stdout)

    def test_mistakes(self) -> None:
        """What there is not is a line, and exit code 2."""
        for words, text in [
            ([self.before, self.before / "no"], "No such file"),
            ([self.before, self.after, "--measure", "speed"], "measure is 'speed'; before has"),
            ([self.before, self.after, "--statistic", "mode"], "statistic is 'mode'"),
            ([self.before], "B is missing; give a second run, or --between PARAMETER ONE OTHER"),
            ([self.before, "--between", "size", "1M", "3M"], "where is 'size=3M'; before has no"),
            ([self.before, self.after, "--where", "size"], "where is 'size'; give NAME=VALUE"),
            ([self.before, self.after, "--threshold", "0.9"], "threshold is '0.9'; give a ratio"),
        ]:
            done = run("experiment", "compare", *words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""))
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_threshold(self) -> None:
        """A ratio is a plain number from 1 on."""
        self.assertEqual(threshold("1", "x"), 1.0)
        for text in ("0.99", "nan", "inf", "1e3", "", "-2"):
            self.assertRaises(LocalError, threshold, text, "x")
