"""The arithmetic itself, against fractions and decimals."""

import math
from decimal import Context, Decimal
from fractions import Fraction

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.numbers import DIGITS, OPERATORS, TOO_LARGE, Number, Undefined, _power, evaluate

SMALL = st.integers(-40, 40)
INTEGERS = SMALL | st.integers(-(10**30), 10**30) | st.integers(-(10**400), 10**400)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
#: Floats with which nothing has to be rounded.
EIGHTHS = st.integers(-9999, 9999).map(lambda n: n / 8)
#: The bits of the first integer that is too large.
BITS = TOO_LARGE.bit_length()
#: More digits than any arithmetic here loses.
PRECISE = Context(prec=60)


def exact(operator: str, left: Number, right: Number) -> Fraction | None:
    """The result without any rounding, None where there is none; powers by integers only."""
    one, other = Fraction(left), Fraction(right)
    if not other and operator in {"/", "//", "%"}:
        return None
    if operator == "**":
        return one ** int(other) if one or other >= 0 else None
    return {
        "+": lambda: one + other,
        "-": lambda: one - other,
        "*": lambda: one * other,
        "/": lambda: one / other,
        "//": lambda: Fraction(math.floor(one / other)),
        "%": lambda: one - other * math.floor(one / other),
    }[operator]()


class NumbersCase(SynchronousTestCase):
    """A test case that knows what may come out."""

    def assertExactly(self, operator: str, left: Number, right: Number) -> None:
        """The result is what fractions give: an integer, or the nearest float."""
        expected = exact(operator, left, right)
        if expected is None:
            self.assertRaises(Undefined, evaluate, operator, left, right)
            return
        got = evaluate(operator, left, right)
        if isinstance(left, int) and isinstance(right, int) and expected.denominator == 1:
            self.assertIsInstance(got, int)
            self.assertEqual(got, expected)
        else:
            self.assertIsInstance(got, float)
            self.assertEqual(got, nearest(expected))

    def assertUndefined(self, *cases: tuple[str, Number, Number]) -> None:
        """There is no result."""
        for case in cases:
            self.assertRaises(Undefined, evaluate, *case)


def nearest(value: Fraction) -> float:
    """The float that is nearest, found among its neighbours."""
    guess = value.numerator / value.denominator
    around = (math.nextafter(guess, -math.inf), guess, math.nextafter(guess, math.inf))
    finite = [number for number in around if math.isfinite(number)]
    best = min(finite, key=lambda number: abs(Fraction(number) - value))
    # Halfway between two it is the one that is even, which the division has found.
    return guess if abs(Fraction(best) - value) == abs(Fraction(guess) - value) else best


class IntegerTests(NumbersCase):
    """Integers give exact results."""

    @settings(deadline=None, max_examples=200)
    @given(st.sampled_from(["+", "-", "*", "//", "%"]), INTEGERS, INTEGERS)
    def test_exact(self, operator: str, left: int, right: int) -> None:
        """Whatever their size, and floor division and remainder go downwards."""
        self.assertExactly(operator, left, right)

    @settings(deadline=None, max_examples=200)
    @given(SMALL | st.integers(-(10**40), 10**40), SMALL | st.integers(-(10**40), 10**40))
    @example(10**40, 10**20)
    @example(2**53 + 1, 2)
    def test_division(self, left: int, right: int) -> None:
        """Division gives an integer where it comes out even, else the nearest float."""
        self.assertExactly("/", left, right)

    def test_division_shortest(self) -> None:
        """The float is written with the fewest digits that read back the same."""
        for left, right, text in [(6, 3, "2"), (7, 2, "3.5"), (1, 3, "0.3333333333333333")]:
            self.assertEqual(repr(evaluate("/", left, right)), text)

    @settings(deadline=None)
    @given(SMALL, SMALL)
    @example(0, 0)
    @example(0, -1)
    @example(-1, -3)
    @example(-2, -1)
    def test_power(self, left: int, right: int) -> None:
        """Powers are exact; those with a negative exponent are the nearest float."""
        self.assertExactly("**", left, right)

    def test_power_of_one_and_nothing(self) -> None:
        """1, -1 and 0 can be raised to any power without any work."""
        huge = 10**1000
        self.assertEqual(
            [evaluate("**", n, p) for n in (1, -1, 0) for p in (huge, huge + 1)],
            [1, 1, 1, -1, 0, 0],
        )
        self.assertEqual(
            [evaluate("**", n, p) for n in (1, -1) for p in (-huge, -huge - 1)], [1, 1, 1, -1]
        )
        self.assertUndefined(("**", 0, -huge))

    def test_by_zero(self) -> None:
        """Nothing can be divided by 0, whatever it is written like."""
        zeros = (0, 0.0, -0.0)
        self.assertUndefined(*[(op, 1, zero) for op in ("/", "//", "%") for zero in zeros])
        self.assertUndefined(("**", 0, -1), ("**", 0.0, -1), ("**", 0, -0.5))


class FloatTests(NumbersCase):
    """Floats give finite floats."""

    @settings(deadline=None, max_examples=200)
    @given(st.sampled_from("+-*/"), FLOATS | INTEGERS, FLOATS)
    @example("*", 1e308, 10.0)
    @example("+", 10**400, 1.0)
    def test_nearest(self, operator: str, left: Number, right: float) -> None:
        """A result is the float nearest to the exact one, and too large is undefined."""
        try:
            left = float(left)
            expected = exact(operator, left, right)
            rounded = None if expected is None else float(expected)
        except OverflowError:
            rounded = None
        if rounded is None:
            self.assertUndefined((operator, left, right))
        else:
            got = evaluate(operator, left, right)
            self.assertIsInstance(got, float)
            self.assertEqual(got, rounded)

    @settings(deadline=None)
    @given(st.sampled_from(["//", "%"]), EIGHTHS, EIGHTHS)
    def test_floor_and_remainder(self, operator: str, left: float, right: float) -> None:
        """As with integers, both go downwards."""
        self.assertExactly(operator, left, right)

    @settings(deadline=None)
    @given(st.floats(1e-3, 1e3), st.floats(-40, 40) | st.integers(-40, 40))
    def test_power(self, left: float, right: Number) -> None:
        """A power of a positive float is right to 15 digits."""
        expected = PRECISE.power(Decimal(left), Decimal(right))
        got = Decimal(evaluate("**", left, right))
        self.assertTrue(abs(got - expected) <= abs(expected) * Decimal("4e-16"), (got, expected))

    def test_power_of_negative(self) -> None:
        """A negative float has whole powers, and no others: they would not be real."""
        self.assertEqual(evaluate("**", -2.0, 3), -8.0)
        self.assertEqual(evaluate("**", -2, 2.0), 4.0)
        self.assertUndefined(("**", -8.0, 0.5), ("**", -8, 0.5), ("**", -8, 1 / 3))

    def test_mixed(self) -> None:
        """With one float the result is one, even if it's whole."""
        for operator in OPERATORS:
            for left, right in [(4, 2.0), (4.0, 2)]:
                self.assertIsInstance(evaluate(operator, left, right), float)

    def test_too_large(self) -> None:
        """What is no finite float is undefined: overflows, and integers that are none."""
        self.assertUndefined(
            ("*", 1e308, 10), ("-", -1e308, 1e308), ("**", 10.0, 309), ("+", 10**400, 1.0)
        )
        self.assertUndefined(("/", 10**400 + 1, 10), ("//", 1e308, 1e-308), ("*", math.inf, 1))


class BoundTests(NumbersCase):
    """Work and results are bounded."""

    def test_digits(self) -> None:
        """A result of 4,300 digits is given, one of 4,301 is not, whatever its sign."""
        most = 10**DIGITS - 1
        self.assertEqual(evaluate("+", most - 1, 1), most)
        self.assertEqual(evaluate("-", 1 - most, 1), -most)
        self.assertEqual(len(str(evaluate("**", 10, DIGITS - 1))), DIGITS)
        self.assertUndefined(("+", most, 1), ("-", -most, 1), ("**", 10, DIGITS))
        self.assertUndefined(("*", -(10**2150), 10**2150))

    def test_largest_power(self) -> None:
        """The largest power of 2 that has 4,300 digits is computed, the next refused."""
        self.assertEqual(BITS, 14285)
        self.assertEqual(evaluate("**", 2, BITS - 1), 1 << BITS - 1)
        self.assertUndefined(("**", 2, BITS))

    def test_refused_by_estimate(self) -> None:
        """What may have more bits than the largest result is refused before it is computed."""
        for left in (2, -2, 3, 9, 2**20, 2**21 - 1, -(10**1000)):
            most = BITS // (left.bit_length() - 1)
            for power in (most + 1, 99_999_999, 10**1000, -most - 1, -(10**1000)):
                error = self.assertRaises(OverflowError, _power, left, power)
                self.assertEqual(str(error), "too large")
                self.assertUndefined(("**", left, power))

    @settings(deadline=None)
    @given(st.integers(2, 300) | st.integers(2, 10**1023), st.booleans(), st.integers(0, 5))
    def test_intermediate(self, left: int, negative: bool, below: int) -> None:  # noqa: FBT001
        """What the estimate lets through has at most twice the bits of the largest result."""
        right = BITS // (left.bit_length() - 1) - below
        assume(right >= 0)
        power = _power(-left if negative else left, right)
        self.assertTrue(power.bit_length() <= 2 * BITS)

    @settings(deadline=None)
    @given(st.integers(-300, 300), st.integers(-20_000, 20_000))
    def test_refuses_only_what_is_too_large(self, left: int, right: int) -> None:
        """A power is refused just when it is too large, or is one of a large number's parts."""
        digits = abs(right) * math.log10(abs(left)) if left else 0
        assume(abs(digits - DIGITS) > 1)
        try:
            result = evaluate("**", left, right)
        except Undefined:
            self.assertTrue(digits > DIGITS or (not left and right < 0))
        else:
            self.assertTrue(digits < DIGITS or right < 0)
            self.assertIsInstance(result, int if right >= 0 or left in {1, -1} else float)

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(list(OPERATORS)),
        st.integers(-(10**1023), 10**1023) | SMALL | FLOATS,
        st.integers(-(10**1023), 10**1023) | SMALL | FLOATS,
    )
    def test_any_operands(self, operator: str, left: Number, right: Number) -> None:
        """Whatever fits in a request gives a finite number in bounds, or `Undefined`."""
        try:
            result = evaluate(operator, left, right)
        except Undefined as error:
            self.assertIn(operator, str(error))
        else:
            self.assertTrue(math.isfinite(result) if isinstance(result, float) else True)
            self.assertTrue(abs(result) < TOO_LARGE)
