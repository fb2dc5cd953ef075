"""What messages are made of."""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.fields import (
    EXACT,
    HEX,
    HUGE,
    NUMBER,
    PADDING,
    TEXT,
    number,
    numbers,
    of_numbers,
    optional,
    padded,
)


class FieldTests(SynchronousTestCase):
    """Numbers and the rest."""

    @given(st.integers(0, HUGE))
    def test_number(self, value: int) -> None:
        """One of 19 digits is exact, a longer one is as large as can be."""
        text = b"%d" % value
        self.assertTrue(re.fullmatch(NUMBER, text) and re.fullmatch(EXACT, text))
        self.assertEqual(number(text), value)
        self.assertEqual(number(b"1" + text.zfill(19)), HUGE)

    def test_patterns(self) -> None:
        """What is one, and what is none."""
        for pattern, right, wrong in (
            (NUMBER, [b"0", b"10", b"9" * 1000], [b"", b"00", b"01", b"-1", b"+1", b"1 ", b"1.0"]),
            (EXACT, [b"0", b"10", b"9" * 19], [b"", b"00", b"01", b"9" * 20]),
            (PADDING, [b"", b" ", b"\x00\xff"], [b"a\n", b"\r"]),
            (TEXT, [b" ", b"~" * 200], [b"", b"\x7f", b"a\n", b"~" * 201]),
            (HEX, [b"0a" * 32], [b"", b"0A" * 32, b"0a" * 33]),
            (b"x" + optional(2), [b"x", b"x 1", b"x 1 2"], [b"x ", b"x 1 ", b"x 1 2 3", b"x1"]),
        ):
            self.assertTrue(all(re.fullmatch(pattern, one) for one in right), pattern)
            self.assertFalse(any(re.fullmatch(pattern, one) for one in wrong), pattern)

    def test_numbers(self) -> None:
        """A pattern with numbers, and what is made of them."""
        pattern, build = numbers(b"N of N", lambda *values: values)  # type: ignore[arg-type]
        match = pattern.fullmatch(b"2 of 30")
        self.assertEqual(build(*match.groups()), (2, 30))
        self.assertEqual(of_numbers(complex)(b"1", None), 1 + 0j)

    def test_padded(self) -> None:
        """No padding is not even a space."""
        self.assertEqual([padded(one) for one in (None, b"", b"x")], [b"", b" ", b" x"])
