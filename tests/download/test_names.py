"""Names of files: on the wire, and which of them may be."""

import os
import string

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.names import (
    GLOB,
    LONGEST,
    LONGEST_COMPONENT,
    WrongName,
    check,
    quote,
    unquote,
)

#: Whatever a file system may give: bytes without NUL.
NAMES = st.binary(min_size=1, max_size=300).map(os.fsdecode)


class QuoteTests(SynchronousTestCase):
    """Percent-encoding."""

    @given(NAMES)
    def test_read_again(self, name: str) -> None:
        """Any bytes come back, and what is on the wire has no blank, no line ending, no % alone."""
        for plain in ("", GLOB):
            text = quote(name, plain)
            self.assertEqual(unquote(text, plain), name)
            self.assertLessEqual(
                set(text), {*string.ascii_letters, *string.digits, *"-._~/%", *plain}
            )

    def test_examples(self) -> None:
        """Unreserved characters and / stay; all else is %XX, of bytes that are no text too."""
        for name, text in (
            ("AZaz09-._~/b", "AZaz09-._~/b"),
            ("a b", "a%20b"),
            ("100%", "100%25"),
            ("\u00e4", "%C3%A4"),
            (os.fsdecode(b"\xff\n\0"), "%FF%0A%00"),
            ("*", "%2A"),
        ):
            self.assertEqual(quote(name), text)
        self.assertEqual(quote("[!a]?*+", GLOB), "[!a]?*%2B")

    def test_read(self) -> None:
        """Digits may be in either case, and what need not be encoded may be."""
        self.assertEqual(unquote("%c3%A4%41"), "\u00e4A")

    def test_refused(self) -> None:
        """What is not encoded right is no name."""
        for text in ("", "a b", "a%2", "%", "%zz", "%2g", "\u00e4", "a\n", "*", "a+b", "%%20"):
            error = self.assertRaises(WrongName, unquote, text)
            self.assertIn("is no name; give one that is percent-encoded", str(error))
        self.assertEqual(unquote("*", GLOB), "*")
        self.assertRaises(WrongName, unquote, "+", GLOB)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever comes is a name, or is refused in one line of ASCII."""
        for function in (unquote, quote):
            try:
                function(text)
            except WrongName as error:
                self.assertTrue(str(error).isascii() and str(error).isprintable())
                self.assertLess(len(str(error)), 500)

    def test_surrogates(self) -> None:
        """A character that stands for no byte can't be sent."""
        error = self.assertRaises(WrongName, quote, "a\ud800")
        self.assertEqual(str(error), r"'a\ud800' is no name; it has a character without bytes")
        self.assertRaises(WrongName, check, "\ud800")


class CheckTests(SynchronousTestCase):
    """Which names stay in a directory."""

    def test_flat(self) -> None:
        """In a flat directory there are no directories."""
        self.assertEqual(check("a"), ("a",))
        error = self.assertRaises(WrongName, check, "a/b")
        self.assertEqual(str(error), "'a/b' has a /; only names without directories are served")

    def test_recursive(self) -> None:
        """In others a name may have components, but none that leads elsewhere."""
        self.assertEqual(check("a/b/c", recursive=True), ("a", "b", "c"))
        for name in ("/a", "a/", "a//b", "../a", "a/..", "a/../b", "./a", "a/.", "/", "..", "."):
            for hidden in (False, True):
                error = self.assertRaises(WrongName, check, name, recursive=True, hidden=hidden)
                self.assertIn("is no plain path; give one without //, . and ..", str(error))

    def test_hidden(self) -> None:
        """A leading dot hides a file, or all that is in a directory."""
        for name in (".a", "a/.b/c", "..."):
            error = self.assertRaises(WrongName, check, name, recursive=True)
            self.assertIn("begins with a dot; hidden files are not served", str(error))
            check(name, recursive=True, hidden=True)
        self.assertEqual(check("a."), ("a.",))

    def test_no_name(self) -> None:
        """What no file can be called is refused."""
        for name in ("", "a\0b", "\0"):
            error = self.assertRaises(WrongName, check, name, hidden=True)
            self.assertIn("give 1 to 4,096 bytes without NUL", str(error))

    def test_lengths(self) -> None:
        """Bytes count, not characters."""
        check("a" * LONGEST_COMPONENT)
        error = self.assertRaises(WrongName, check, "a" * (LONGEST_COMPONENT + 1))
        self.assertIn("has a component that is too long; give at most 255 bytes", str(error))
        self.assertRaises(WrongName, check, "\u00e4" * 128)
        longest = "a/" * (LONGEST // 2 - 1) + "bc"
        self.assertEqual(len(check(longest, recursive=True)), LONGEST // 2)
        error = self.assertRaises(WrongName, check, longest + "d", recursive=True)
        self.assertIn("give 1 to 4,096 bytes", str(error))
        self.assertLess(len(str(error)), 150)

    @given(st.text("a./\0\u00e4", max_size=9))
    def test_any(self, name: str) -> None:
        """What is let through joins to itself, and stays where it is joined to."""
        try:
            parts = check(name, recursive=True, hidden=True)
        except WrongName:
            return
        self.assertEqual("/".join(parts), name)
        self.assertEqual(os.path.normpath(f"/served/{name}"), f"/served/{name}")
