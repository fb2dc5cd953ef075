"""The types of options."""

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.types import COUNT, SECONDS, SEED, SHARE, TIME


@click.command()
@click.option("--wait", "-w", type=SECONDS, default="1")
@click.option("--after", type=TIME, default="0")
@click.option("--number", type=COUNT)
@click.option("--seed", type=SEED)
@click.option("--share", type=SHARE)
def command(**values: object) -> None:
    """Print what was read."""
    click.echo(values)


class TypesTests(SynchronousTestCase):
    """What is read, and what is said of what can't be read."""

    def test_values(self) -> None:
        """Words become values, defaults too."""
        done = CliRunner().invoke(command, ["--number", "3", "--seed", "7", "--share", ".5"])
        self.assertEqual(
            done.output, "{'number': 3, 'seed': 7, 'share': 0.5, 'wait': 1.0, 'after': 0.0}\n"
        )
        done = CliRunner().invoke(command, ["-w", "100ms"])
        self.assertIn("'wait': 0.1", done.output)

    def test_mistakes(self) -> None:
        """A mistake is a usage error that names the option, the value and what is allowed."""
        for words, text in {
            ("--wait", "soon"): "wait is 'soon'; give seconds",
            ("-w", "-1"): "wait is '-1'; give ",
            ("-w", "0"): "wait is '0'; give more than 0",
            ("--after", "x"): "after is 'x'; give seconds",
            ("--number", "0"): "number is '0'; give ",
            ("--seed", "x"): "seed is 'x'; give ",
            ("--share", "2"): "share is '2'; give a probability",
        }.items():
            done = CliRunner().invoke(command, words)
            self.assertEqual(done.exit_code, 2)
            self.assertIn(text, done.output)

    def test_help(self) -> None:
        """The help shows what a value looks like."""
        self.assertIn("--share 0..1", CliRunner().invoke(command, ["--help"]).output)
