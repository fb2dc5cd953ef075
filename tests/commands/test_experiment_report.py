"""``lab experiment report``."""

import csv

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.experiment_report import again, plans_of, write
from lab.errors import LocalError
from lab.experiments import report
from lab.experiments.cells import load
from lab.experiments.results import PLACE
from tests.commands.experiments import directory, run
from tests.experiments.made import downloads
from tests.helpers import folder


class ReportTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Have an experiment; draw no more than one picture."""
        self.place = folder(self)
        self.patch(report, "PICTURES", 1)
        self.made = directory(self.place / "made", downloads(2, simulated=True))

    def test_page_and_table(self) -> None:
        """The page has the plan and how to repeat it; the table has a line a cell."""
        done = run("experiment", "report", self.made)
        page, table = self.made / "report.html", self.made / "times" / "summary.csv"
        self.assertEqual((done.exit_code, done.stdout), (0, f"{page}\n{table}\n"))
        text = page.read_text()
        self.assertIn("service = download", text)
        plan = self.made / "configs" / "plan.ini"
        self.assertIn(f"lab experiment run {plan} --simulate --to made-again", text)
        with table.open(newline="") as file:
            self.assertEqual(len(list(csv.DictReader(file))), 6)
        self.assertNotIn(b"\r\r\n", table.read_bytes())

    def test_places(self) -> None:
        """Elsewhere, if somebody says; beside a file of results."""
        words = ("-o", self.place / "x.html", "--csv", self.place / "x.csv")
        done = run("experiment", "report", self.made, *words)
        self.assertEqual(done.stdout, f"{self.place / 'x.html'}\n{self.place / 'x.csv'}\n")
        done = run("experiment", "report", self.made / PLACE)
        self.assertEqual(done.exit_code, 0)
        self.assertTrue((self.made / "times" / "report.html").exists())
        self.assertTrue((self.made / "times" / "summary.csv").exists())

    def test_mistakes(self) -> None:
        """No results, or no place for the page: a line, and exit code 2."""
        nowhere = self.place / "no" / "x.html"
        for words in ([self.place / "no"], [self.made, "-o", nowhere]):
            done = run("experiment", "report", *words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""))
            self.assertIn("No such file or directory", done.stderr)
        self.assertRaises(LocalError, write, nowhere, "")

    def test_again(self) -> None:
        """Without a plan its name stands for it; a real run is not simulated."""
        self.assertEqual(plans_of(self.place), {})
        real = load(directory(self.place / "real", downloads(1)))
        words = "lab experiment run download.ini --to real-again"
        self.assertEqual(again(self.place / "real", {}, real), words)
