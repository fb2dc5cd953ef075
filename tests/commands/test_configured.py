"""Commands that take their options from a file as well."""

from typing import Any

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.configured import Configured, config_option
from lab.commands.types import SECONDS, SEED
from tests.helpers import folder


class _Command(Configured):
    """Has a section."""

    section = "lab-x"


@click.command(cls=_Command)
@click.argument("words", nargs=-1)
@click.option("-t", "--timeout", type=SECONDS, default="1")
@click.option("--name", default="a")
@click.option("--seed", type=SEED)
@click.option("--json", "as_json", is_flag=True)
@config_option("lab-x")
def command(**given: Any) -> None:
    """Show what was given."""
    click.echo(given)


class ConfiguredTests(SynchronousTestCase):
    """What counts, and what is said of it."""

    def setUp(self) -> None:
        """A file."""
        self.path = folder(self) / "lab.ini"

    def test_below_a_group(self) -> None:
        """So it is for a command of a group, whose contexts share what they know."""
        self.path.write_text("[lab-x]\nname = b\n")
        group = click.Group("lab", {"x": command})
        done = CliRunner().invoke(group, ["x", "--name", "a", "-c", str(self.path)])
        self.shown(done, name="b")
        self.assertIn("--name: a of the command line is overridden by b of ", done.stderr)

    def call(self, text: str, *words: str) -> Result:
        """Call it with such a file."""
        self.path.write_text(f"[lab-x]\n{text}")
        return CliRunner().invoke(command, ["-c", str(self.path), *words])

    def shown(self, done: Result, **given: Any) -> None:
        """It was called with these."""
        expected = {
            "words": (),
            "timeout": 1.0,
            "name": "a",
            "as_json": False,
            "seed": None,
        } | given
        self.assertEqual((done.exit_code, eval(done.stdout)), (0, expected))

    def test_without(self) -> None:
        """Without a file the command line counts alone."""
        self.shown(CliRunner().invoke(command, ["--name", "b"]), name="b")

    def test_takes_what_the_file_says(self) -> None:
        """In the forms of the command line; the rest is as it was said, or as it is by default."""
        done = self.call("timeout = 250ms\njson = yes\n", "--name", "b", "w")
        self.shown(done, timeout=0.25, as_json=True, name="b", words=("w",))
        self.assertEqual(done.stderr, "")

    def test_says_what_it_overrides(self) -> None:
        """Each in a line, with both values as they were written; what is the same is no news."""
        text = "timeout = 250ms\njson = no\nname = b\n"
        done = self.call(text, "-t", ".5", "--json", "--name=b")
        self.shown(done, timeout=0.25, name="b")
        self.assertEqual(
            done.stderr.splitlines(),
            [
                f"--timeout: .5 of the command line is overridden by 250ms of {self.path}",
                f"--json: yes of the command line is overridden by no of {self.path}",
            ],
        )

    def test_nothing(self) -> None:
        """An option without a default may be said to be nothing."""
        self.shown(self.call("seed =\n"))
        done = self.call("seed =\nname =\n", "--seed", "5")
        self.shown(done, name="")
        text = f"--seed: 5 of the command line is overridden by nothing of {self.path}\n"
        self.assertEqual(done.stderr, text)

    def test_mistakes(self) -> None:
        """Each is one line, with what is allowed."""
        allowed = "allowed are json, name, seed, timeout"
        for text, said in (
            ("bogus = 1", f"config has 'bogus'; {allowed}"),
            ("config = x", f"config has 'config'; {allowed}"),
            ("help = yes", f"config has 'help'; {allowed}"),
            ("json = perhaps", "config has json = 'perhaps'; give yes or no"),
            ("timeout = 0", "timeout is '0'; give more than 0, for example 0.1 or 100ms"),
        ):
            done = self.call(text)
            self.assertEqual(done.exit_code, 2, done.output)
            self.assertEqual(done.stderr.splitlines()[-1], f"Error: {said}")
        done = CliRunner().invoke(command, ["-c", "/none"])
        self.assertIn("config is '/none'; ", done.stderr)
