"""What the commands that draw have in common."""

from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.pictures import mistakes, picture
from lab.errors import LocalError


class PicturesTests(SynchronousTestCase):
    """Names and mistakes."""

    def test_endings(self) -> None:
        """The endings are those that there are pictures of; an error names the option."""
        self.assertEqual(picture("A.PNG", "plot"), Path("A.PNG"))
        self.assertEqual(picture("dir/a.svg", "plot"), Path("dir/a.svg"))
        error = self.assertRaises(LocalError, picture, "a.pdf", "plot")
        self.assertEqual(str(error), "plot is 'a.pdf'; give a name that ends in .png or .svg")

    def test_mistakes(self) -> None:
        """A mistake is one of usage, what else is wrong is not."""

        def fail(error: Exception) -> None:
            """Fail with it."""
            with mistakes():
                raise error

        self.assertEqual(self.assertRaises(click.UsageError, fail, LocalError("x")).message, "x")
        self.assertRaises(KeyError, fail, KeyError())
