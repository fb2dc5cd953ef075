"""What the server needs of files."""

import re
import warnings

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download import files as module
from lab.download.files import LONGEST_GLOB, TooMany, collect, matching
from lab.download.names import WrongName
from lab.download.wire import Entry


class MatchingTests(SynchronousTestCase):
    """Patterns of names."""

    def test_patterns(self) -> None:
        """They are the shell's, but for a / in a name."""
        for glob, right, wrong in (
            ("*", "a/b", None),
            ("*.iso", "a/b.iso", "b.iso2"),
            ("?", "a", "ab"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("a", "a", "A"),
            ("\n*", "\n\n", "\t"),
        ):
            self.assertTrue(matching(glob)(right), glob)
            if wrong:
                self.assertFalse(matching(glob)(wrong), glob)

    @given(st.text("*?[]!-^\\a|&~.", max_size=12), st.text("a[]!-", max_size=5))
    def test_any(self, glob: str, name: str) -> None:
        """Whatever a stranger sends is a pattern."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.purge()
            matching(glob)(name)

    def test_too_long(self) -> None:
        """A pattern has a bound."""
        matching("?" * LONGEST_GLOB)
        error = self.assertRaises(WrongName, matching, "\u00e4" * 513)
        self.assertEqual(str(error), "the pattern is too long; give at most 1,024 bytes")

    def test_many_stars(self) -> None:
        """None takes time that grows with every star."""
        self.assertFalse(matching("*a" * 100 + "b")("a" * 255))


class CollectTests(SynchronousTestCase):
    """Lists."""

    def test_order(self) -> None:
        """They are sorted by their names."""
        a, b, c = (Entry(1, 1, name) for name in "abc")
        self.assertEqual(collect([[c], [], [b, a]]), [a, b, c])

    def test_too_many(self) -> None:
        """Nobody gets a list that is cut without a word."""
        self.patch(module, "ENTRIES", 2)
        batch = [Entry(1, 1, name) for name in "abc"]
        self.assertEqual(len(collect([batch[:2]])), 2)
        error = self.assertRaises(TooMany, collect, [batch[:2], batch[2:]])
        self.assertEqual(str(error), "more than 2 files match; give a narrower pattern")
