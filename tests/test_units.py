"""Numbers as people type and read them."""

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab import units
from lab.errors import LocalError

READERS: list[Callable[[str], float]] = [
    units.seconds,
    units.positive_seconds,
    units.size,
    units.rate,
    units.count,
    units.seed,
    units.probability,
]
# What numbers are made of, and what looks like it.
PIECES = [*"019.+-_ eE", "ms", "us", "m", "h", "K", "KB", "GB", "nan", "inf", "٣", "\x1c", "\n"]


class UnitsCase(SynchronousTestCase):
    """A test case that knows what a refusal looks like."""

    def assertRefuses(self, read: Callable[[str], object], *texts: str) -> None:
        """Each of these texts is refused, and the error shows it."""
        for text in texts:
            error = self.assertRaises(LocalError, read, text)
            self.assertIn(repr(text), str(error))


class SecondsTests(UnitsCase):
    """Durations."""

    def test_units(self) -> None:
        """Each unit is worth what it is worth, and seconds need none."""
        for text, value in [
            ("3", 3),
            ("3s", 3),
            ("1.5 s", 1.5),
            ("0", 0),
            (".1", 0.1),
            ("1.", 1),
            ("7us", 7e-6),
            ("250ms", 0.25),
            ("2m", 120),
            (" 2h ", 7200),
        ]:
            self.assertAlmostEqual(units.seconds(text), value, places=12)

    def test_refused(self) -> None:
        """What is no duration, or might be read in two ways."""
        self.assertRefuses(
            units.seconds,
            "",
            ".",
            "-1",
            "+1",
            "1e3",
            "nan",
            "inf",
            "1_0",
            "1 0",
            "1S",
            "1d",
            "9" * 19,
        )

    def test_positive(self) -> None:
        """Where nothing makes no sense, 0 is refused, whatever it is written like."""
        self.assertEqual(units.positive_seconds("1us"), 1e-6)
        self.assertRefuses(units.positive_seconds, "0", "0.0ms", ".0 h", "-1")

    def test_name_in_error(self) -> None:
        """The error says what the number was for."""
        error = self.assertRaises(LocalError, units.seconds, "soon", "timeout")
        self.assertEqual(
            str(error), "timeout is 'soon'; give seconds, for example 0.1, 100ms or 2s"
        )


class SizeTests(UnitsCase):
    """Numbers of bytes."""

    def test_units(self) -> None:
        """Units are powers of 1024, in either case, with a B or without."""
        for text, value in [
            ("0", 0),
            ("1200", 1200),
            ("12B", 12),
            ("64K", 65536),
            ("64 kB", 65536),
            ("1mb", 2**20),
            ("2G", 2**31),
        ]:
            self.assertEqual(units.size(text), value)

    def test_rate(self) -> None:
        """A rate is a size a second, and not none."""
        self.assertEqual(units.rate("10M"), 10 * 2**20)
        self.assertRefuses(units.rate, "0", "0K", "fast")

    def test_refused(self) -> None:
        """Fractions of a byte, and what is no size."""
        self.assertRefuses(units.size, "", "1.5K", "1.", "-1", "1T", "1KiB", "K", "1BB")


class CountTests(UnitsCase):
    """Whole numbers."""

    def test_bounds(self) -> None:
        """Both bounds are allowed, their neighbours are not."""
        self.assertEqual([units.count(text, "n", 3, 5) for text in ("3", "5", "05")], [3, 5, 5])
        self.assertRefuses(lambda text: units.count(text, "n", 3, 5), "2", "6")

    def test_refused(self) -> None:
        """What is no whole number, and what is too long to be read at all."""
        self.assertRefuses(units.count, "", "0", "1.0", "1e3", "1_0", "-1", "٣", "1K", "1" * 5000)

    def test_strips_all_spaces(self) -> None:
        """Whatever Python takes for space around the number is no matter."""
        self.assertEqual(units.count("\x1c12\u2003"), 12)

    def test_error_names_bounds(self) -> None:
        """The error says what is allowed."""
        error = self.assertRaises(LocalError, units.count, "0", "packets", 1, 65535)
        self.assertEqual(str(error), "packets is '0'; give a whole number from 1 to 65,535")

    def test_seed(self) -> None:
        """A seed is 0 to 2**64 - 1."""
        self.assertEqual(units.seed("0"), 0)
        self.assertEqual(units.seed(str(2**64 - 1)), 2**64 - 1)
        self.assertRefuses(units.seed, str(2**64), "-1", "seven")


class ProbabilityTests(UnitsCase):
    """Probabilities."""

    def test_bounds(self) -> None:
        """Never and always are probabilities."""
        self.assertEqual(
            [units.probability(text) for text in ("0", "1", ".3", "1.000")], [0, 1, 0.3, 1]
        )

    def test_refused(self) -> None:
        """More than always, less than never, and numbers with a unit."""
        self.assertRefuses(units.probability, "1.1", "-0.1", "30%", "0.3s", "nan", "")


class AnyTextTests(SynchronousTestCase):
    """All readers, with whatever people type."""

    @settings(deadline=None)
    @given(st.text(max_size=30) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
    @example("\x1f1")
    def test_only_our_error(self, text: str) -> None:
        """A reader gives a number of 0 or more, or `LocalError` in one line."""
        for read in READERS:
            try:
                self.assertTrue(0 <= read(text) < 1e23)
            except LocalError as error:
                self.assertNotIn("\n", str(error))


class ShowSecondsTests(SynchronousTestCase):
    """Durations for people."""

    def test_unit_changes(self) -> None:
        """The unit is the one in which three digits say most."""
        for value, text in [
            (0, "0 s"),
            (1e-6, "1 us"),
            (0.00042, "420 us"),
            (0.00099949, "999 us"),
            (0.0009996, "1 ms"),
            (0.1, "100 ms"),
            (0.9996, "1 s"),
            (3.1000000001, "3.1 s"),
            (999.4, "999 s"),
            (3600, "3,600 s"),
        ]:
            self.assertEqual(units.show_seconds(value), text)

    @settings(deadline=None)
    @given(st.floats(1e-6, 999))
    def test_reads_back(self, value: float) -> None:
        """What is shown is read as what it was, to three digits."""
        again = units.seconds(units.show_seconds(value))
        self.assertTrue(abs(again - value) <= value * 0.0051, again)


class ShowSizeTests(SynchronousTestCase):
    """Bytes for people."""

    def test_unit_changes(self) -> None:
        """The unit is the one in which three digits say most, or all digits before the point."""
        for value, text in [
            (0, "0 bytes"),
            (1023, "1,023 bytes"),
            (1024, "1 KiB"),
            (1023.4 * 2**10, "1,023 KiB"),
            (1023.6 * 2**10, "1 MiB"),
            (10 * 2**20, "10 MiB"),
            (99.94 * 2**20, "99.9 MiB"),
            (99.96 * 2**20, "100 MiB"),
            (456.7 * 2**20, "457 MiB"),
            (2**60, "1,073,741,824 GiB"),
        ]:
            self.assertEqual(units.show_size(value), text)
