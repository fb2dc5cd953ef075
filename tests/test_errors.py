"""The errors of the laboratory."""

import inspect

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab import errors


class ErrorsTests(SynchronousTestCase):
    """What can be caught with what."""

    def test_one_base(self) -> None:
        """Whoever catches `LabError` catches them all, with the text that they were made with."""
        found = [e for _, e in inspect.getmembers(errors, inspect.isclass)]
        self.assertEqual(len(found), 6)
        for error in found:
            self.assertIsInstance(error("no way"), errors.LabError)
            self.assertEqual(str(error("no way")), "no way")

    def test_refused_is_unreachable(self) -> None:
        """Who only wants to know whether there was a way need not know of refusals."""
        self.assertTrue(issubclass(errors.ConnectionRefused, errors.Unreachable))

    def test_others_are_apart(self) -> None:
        """None of the others is caught with another."""
        apart = (errors.LocalError, errors.RemoteError, errors.NoAnswer, errors.Unreachable)
        for one in apart:
            self.assertEqual([e for e in apart if issubclass(one, e)], [one])


class ShortenedTests(SynchronousTestCase):
    """What an error shows of what came from outside."""

    def test_short(self) -> None:
        """What is short is there as it is, quoted."""
        self.assertEqual(errors.shortened("a b"), "'a b'")
        self.assertEqual(errors.shortened(b"a\n"), "b'a\\n'")

    def test_escapes_count(self) -> None:
        """Bytes that take four characters each are fewer; none is cut in the middle."""
        self.assertEqual(errors.shortened(bytes(2**20), 13), "b'\\x00\\x00'…")

    @given(st.text() | st.binary())
    def test_any(self, text: str | bytes) -> None:
        """Nothing makes more than a line, nor a long one."""
        shown = errors.shortened(text, 20)
        self.assertTrue(shown.isprintable())
        self.assertLessEqual(len(shown), 21)
        self.assertEqual(shown.endswith("…"), shown != repr(text))
