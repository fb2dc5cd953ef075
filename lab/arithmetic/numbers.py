"""
The arithmetic itself: exact where it can be, and never more work than a bound allows.

Knows no bytes and no network.
"""

import math
from collections.abc import Callable

from lab.errors import LabError

Number = int | float

#: Most digits of an integer result.
DIGITS = 4300
#: The first integer that has more.
TOO_LARGE = 10**DIGITS
_BITS = TOO_LARGE.bit_length()


class Undefined(LabError):
    """The numbers have no such result, or it is larger than the bounds."""


def evaluate(operator: str, left: Number, right: Number) -> Number:
    """
    Compute ``left operator right``.

    Args:
        operator: One of `OPERATORS`.

    Returns:
        An exact integer for integers (``/`` only where it divides), a finite float otherwise.

    Raises:
        Undefined: Division by zero, no real result, or one of more than `DIGITS` digits.

    >>> evaluate("+", 1, 1), evaluate("/", 6, 3), evaluate("/", 7, 2), evaluate("**", 2, 100)
    (2, 2, 3.5, 1267650600228229401496703205376)
    """
    try:
        result = OPERATORS[operator](left, right)
    except (ArithmeticError, ValueError) as error:
        raise Undefined(f"{operator} of these numbers: {error}") from error
    if isinstance(result, float):
        if not math.isfinite(result):
            raise Undefined(f"{operator} of these numbers is {result}")
    elif not -TOO_LARGE < result < TOO_LARGE:
        raise Undefined(f"{operator} of these numbers has more than {DIGITS} digits")
    return result


def _divide(left: Number, right: Number) -> Number:
    """True division, exact for integers that divide."""
    if isinstance(left, int) and isinstance(right, int):
        quotient, rest = divmod(left, right)
        return left / right if rest else quotient
    return left / right


def _power(left: Number, right: Number) -> Number:
    """Power; integers exactly, and only if the result is within the bounds."""
    if isinstance(left, float) or isinstance(right, float):
        # Not `**`, which leaves the real numbers for a negative base.
        return math.pow(left, right)
    if abs(left) <= 1:
        if not left and right < 0:
            raise ZeroDivisionError("0 to a negative power")
        return left ** (abs(right) % 2 or 2) if right else 1
    # 2**(bits - 1) <= abs(left): what this lets through has at most twice the digits.
    if (left.bit_length() - 1) * abs(right) > _BITS:
        raise OverflowError("too large")
    power: int = left ** abs(right)
    return power if right >= 0 else 1 / power


OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "**": _power,
}
