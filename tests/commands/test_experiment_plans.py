"""``lab experiment plans``."""

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.main import main
from lab.experiments.samples import samples


class PlansTests(SynchronousTestCase):
    """The list."""

    def test_list(self) -> None:
        """Each plan has a line: its name, and what it is for."""
        done = CliRunner().invoke(main, ["experiment", "plans"], prog_name="lab")
        self.assertEqual(done.exit_code, 0)
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        self.assertEqual({name: text for name, text in lines}, samples())  # noqa: C416
