"""The command ``lab``."""

import sys
from importlib import import_module
from typing import Any
from unittest import mock

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.main import COMMANDS, main


def run(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, words, prog_name="lab")


class MainTests(SynchronousTestCase):
    """What it says without a subcommand, and of wrong ones."""

    def test_help(self) -> None:
        """The help names each command and says what it does."""
        for words in (("--help",), ("-h",)):
            done = run(*words)
            self.assertEqual(done.exit_code, 0)
            for name, (_, text) in COMMANDS.items():
                self.assertIn(f"  {name}", done.output)
                self.assertIn(text.split()[0], done.output)

    def test_version(self) -> None:
        """The version is that of the distribution."""
        self.assertRegex(run("--version").output, r"^lab, version \d+\.\d+")

    def test_unknown(self) -> None:
        """An unknown command or option is one line with where to look, and exit code 2."""
        for words, text in {
            ("bogus",): "lab: No such command 'bogus'.  (lab --help)\n",
            ("--bogus",): "lab: No such option '--bogus'.  (lab --help)\n",
            ("demo", "--requests", "0"): "lab demo: requests is '0'; give ",
        }.items():
            done = run(*words)
            self.assertEqual(done.exit_code, 2)
            self.assertEqual(done.output.count("\n"), 1)
            self.assertTrue(done.output.startswith(text), done.output)

    def test_no_command(self) -> None:
        """Without a command it says how it is used, and exit code 2."""
        done = run()
        self.assertEqual((done.exit_code, done.stdout), (2, ""))
        self.assertTrue(done.stderr.startswith("Usage: lab [OPTIONS] COMMAND"), done.stderr)
        self.assertNotIn("(lab --help)", done.stderr)

    def test_usage_error_without_a_place(self) -> None:
        """A usage error that knows no command is one of lab's."""
        self.patch(click.Group, "main", self.raises(click.UsageError("no way")))
        done = run()
        self.assertEqual((done.exit_code, done.output), (2, "lab: no way  (lab --help)\n"))

    def test_aborted(self) -> None:
        """Ctrl-C before a command began is 130."""
        self.patch(click.Group, "main", self.raises(click.Abort()))
        self.assertEqual(run().exit_code, 130)

    def raises(self, error: Exception) -> Any:
        """A function that raises."""

        def fail(*args: object, **kwargs: object) -> None:
            """Raise."""
            raise error

        return fail

    def test_each_command_is_there(self) -> None:
        """Each name leads to a command with a help of its own."""
        for name in COMMANDS:
            done = run(name, "--help")
            self.assertEqual(done.exit_code, 0)
            self.assertTrue(done.output.startswith(f"Usage: lab {name} "))

    def test_completion(self) -> None:
        """The shell is told all names."""
        environment = {"_LAB_COMPLETE": "bash_complete", "COMP_WORDS": "lab ", "COMP_CWORD": "1"}
        done = CliRunner().invoke(main, [], prog_name="lab", env=environment)
        self.assertEqual(done.output.split(), [f"plain,{name}" for name in COMMANDS])

    def test_a_quick_start(self) -> None:
        """Neither the command nor its help loads Twisted."""
        with mock.patch.dict(sys.modules):
            for name in list(sys.modules):
                if name.partition(".")[0] in {"lab", "twisted"}:
                    del sys.modules[name]
            sys.modules["twisted"] = None  # type: ignore[assignment]
            fresh = import_module("lab.commands.main").main
            self.assertIsNot(fresh, main)
            self.assertEqual(CliRunner().invoke(fresh, ["--help"]).exit_code, 0)
            done = CliRunner().invoke(fresh, ["demo"])
            self.assertIsInstance(done.exception, ImportError)
