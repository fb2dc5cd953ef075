"""Groups that import a command when it is called."""

import sys

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.lazy import LazyGroup

COMMANDS = {
    "plans": ("experiment_plans", "List them."),
    "none": ("there_is_no_such_module", "Nothing."),
}


class LazyTests(SynchronousTestCase):
    """A group of two, one of which can't be imported."""

    def run_(self, *words: str) -> str:
        """What it says."""
        group = LazyGroup(name="group", commands_of=COMMANDS)
        return CliRunner().invoke(group, words).output

    def test_help(self) -> None:
        """The help has all commands, and imports none."""
        module = "lab.commands.experiment_plans"
        before = sys.modules.pop(module, None)
        if before is not None:
            self.addCleanup(sys.modules.__setitem__, module, before)
        text = self.run_("--help")
        self.assertIn("  plans  List them.\n  none   Nothing.", text)
        self.assertNotIn(module, sys.modules)

    def test_call(self) -> None:
        """A command is imported when it is called."""
        self.assertIn("rpc  ", self.run_("plans"))

    def test_unknown(self) -> None:
        """What nobody knows."""
        group = LazyGroup(name="group", commands_of=COMMANDS)
        self.assertEqual(group.list_commands(click.Context(group)), ["plans", "none"])
        self.assertIs(group.get_command(click.Context(group), "bogus"), None)
