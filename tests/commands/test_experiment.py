"""``lab experiment``."""

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.experiment import COMMANDS
from lab.commands.main import main


class ExperimentTests(SynchronousTestCase):
    """The group."""

    def test_help(self) -> None:
        """It names its commands; each of them has a help of its own."""
        done = CliRunner().invoke(main, ["experiment", "--help"], prog_name="lab")
        for name, (_, text) in COMMANDS.items():
            self.assertIn(f"  {name}", done.output)
            self.assertIn(text.split()[0], done.output)
            more = CliRunner().invoke(main, ["experiment", name, "--help"], prog_name="lab")
            self.assertTrue(more.output.startswith(f"Usage: lab experiment {name} "), more.output)
