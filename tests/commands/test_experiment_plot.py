"""``lab experiment plot``."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.experiment_plot import places, read_where
from lab.errors import LocalError
from tests.commands.experiments import directory, run
from tests.experiments.made import downloads, streams
from tests.helpers import folder


class PlacesTests(SynchronousTestCase):
    """Where pictures go."""

    def test_beside(self) -> None:
        """In the directory, as both kinds; beside a file of results."""
        place = folder(self)
        self.assertEqual(
            places(place, None, ["a"]), [[place / "plots/a.png", place / "plots/a.svg"]]
        )
        file = place / "results.jsonl"
        self.assertEqual(places(file, None, ["a"])[0][0], place / "a.png")

    def test_named(self) -> None:
        """Where somebody says; of several each has its own name in it."""
        out = Path("x.svg")
        self.assertEqual(places(out, out, ["a"]), [[out]])
        self.assertEqual(places(out, out, ["a", "b"]), [[Path("x-a.svg")], [Path("x-b.svg")]])

    def test_where(self) -> None:
        """Which cells are wanted, and what is none."""
        self.assertEqual(read_where(("a=1", "b=")), {"a": "1", "b": ""})
        for word in ("a", "=1"):
            self.assertIn(
                "give NAME=VALUE", str(self.assertRaises(LocalError, read_where, (word,)))
            )


class PlotTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Have an experiment."""
        self.place = folder(self)
        self.made = directory(self.place / "made", streams(1))

    def test_all(self) -> None:
        """What suits is drawn, as PNG and SVG, and named."""
        done = run("experiment", "plot", self.made, "--kind", "boxes", "--measure", "success")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        named = [Path(line) for line in done.stdout.splitlines()]
        self.assertEqual(
            named, [self.made / "plots" / f"boxes-success{end}" for end in (".png", ".svg")]
        )
        for path in named:
            self.assertGreater(path.stat().st_size, 5000)

    def test_one(self) -> None:
        """One kind of several runs into one file."""
        other = directory(self.place / "other", downloads(2, simulated=True))
        made = directory(self.place / "real", downloads(2))
        out = self.place / "x.svg"
        words = ("--kind", "lines", "--measure", "duration", "--x", "size", "-o", out)
        done = run("experiment", "plot", made, other, "--where", "clients=4", *words)
        self.assertEqual((done.exit_code, done.stdout), (0, f"{out}\n"))
        text = out.read_text()
        for word in ("duration over size", "real", "other", "n = 2 repetitions a cell"):
            self.assertIn(word, text)

    def test_mistakes(self) -> None:
        """What there is not is a line, and exit code 2."""
        for words, text in [
            (["--kind", "pie"], "kind is 'pie'; give one of"),
            (["--measure", "speed"], "measure is 'speed'; there are latency"),
            (["--where", "rate"], "where is 'rate'"),
            (["-o", "x.pdf"], "output is 'x.pdf'; give a name that ends in .png or .svg"),
        ]:
            done = run("experiment", "plot", self.made, *words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""))
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        self.assertEqual(run("experiment", "plot").exit_code, 2)
        self.assertEqual(run("experiment", "plot", self.place / "no").exit_code, 2)
