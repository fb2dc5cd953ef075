"""
Numbers with units, as people type and read them. Inside, seconds and bytes have no unit.

Every reader here takes the text and the name of what it is, so that its error can say both.
"""

import re

from lab.errors import LocalError

_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
# At most 18 digits on either side: the regular expression bounds the number as well.
_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\s*([A-Za-z]{0,2})")


def seconds(text: str, name: str = "time") -> float:
    """
    Read a duration: a number of seconds, or one with the unit us, ms, s, m or h.

    Returns:
        Seconds; 0 or more.

    Raises:
        LocalError: Not such a number.

    >>> seconds(".1"), seconds("250ms"), seconds("2m")
    (0.1, 0.25, 120.0)
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2] not in _TIMES:
        raise LocalError(f"{name} is {text!r}; give seconds, for example 0.1, 100ms or 2s")
    return float(match[1]) * _TIMES[match[2]]


def positive_seconds(text: str, name: str = "time") -> float:
    """
    Read a duration that can't be nothing.

    Raises:
        LocalError: Not a duration, or 0.
    """
    value = seconds(text, name)
    if value <= 0:
        raise LocalError(f"{name} is {text!r}; give more than 0, for example 0.1 or 100ms")
    return value


def size(text: str, name: str = "size") -> int:
    """
    Read a number of bytes: plain, or with K, M or G (1024 bytes, and so on).

    Raises:
        LocalError: Not such a number, or a fraction of a byte.

    >>> size("1200"), size("64K")
    (1200, 65536)
    """
    match = _NUMBER.fullmatch(text.strip())
    unit = match[2].upper().removesuffix("B") if match else None
    if match is None or unit not in _SIZES or "." in match[1]:
        raise LocalError(f"{name} is {text!r}; give bytes, for example 1200, 64K or 16M")
    return int(match[1]) * _SIZES[unit]


def rate(text: str, name: str = "rate") -> float:
    """
    Read bytes a second.

    Raises:
        LocalError: Not a size, or none at all.

    >>> rate("64K")
    65536.0
    """
    value = size(text, name)
    if not value:
        raise LocalError(f"{name} is {text!r}; give more than 0, for example 64K or 10M")
    return float(value)


def show_size(value: float) -> str:
    """
    Write bytes in the unit in which three digits say most; the units are those of `size`.

    >>> show_size(1023), show_size(3_250_586), show_size(2**40)
    ('1,023 bytes', '3.1 MiB', '1,024 GiB')
    """
    if value < 2**10:
        return f"{value:,.0f} bytes"
    for scale, unit in ((2**10, "KiB"), (2**20, "MiB")):
        if value < scale * 1023.5:
            return _three(value / scale, unit)
    return _three(value / 2**30, "GiB")


def _three(value: float, unit: str) -> str:
    """At least three digits of it."""
    return f"{value:,.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"


def count(text: str, name: str = "count", least: int = 1, most: int = 10**9) -> int:
    """
    Read a whole number between two bounds, both allowed.

    Raises:
        LocalError: Not a whole number, or outside.

    >>> count("12")
    12
    """
    digits = text.strip()  # by itself, int() strips fewer characters
    if not re.fullmatch(r"[0-9]{1,20}", digits) or not least <= int(digits) <= most:
        raise LocalError(f"{name} is {text!r}; give a whole number from {least:,} to {most:,}")
    return int(digits)


def seed(text: str, name: str = "seed") -> int:
    """
    Read the seed of random streams, 0 or more.

    Raises:
        LocalError: Not a whole number, or larger than any seed needs to be.
    """
    return count(text, name, least=0, most=2**64 - 1)


def probability(text: str, name: str = "probability") -> float:
    """
    Read a probability, 0 to 1, both allowed.

    Raises:
        LocalError: Not a number from 0 to 1.

    >>> probability("0.3")
    0.3
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2] or float(match[1]) > 1:
        raise LocalError(f"{name} is {text!r}; give a probability from 0 to 1, for example 0.3")
    return float(match[1])


def show_seconds(value: float) -> str:
    """
    Write a duration in the unit in which three digits say most.

    >>> show_seconds(0.00042), show_seconds(0.1), show_seconds(3.1000000001), show_seconds(0)
    ('420 us', '100 ms', '3.1 s', '0 s')
    """
    if not value:
        return "0 s"
    for scale, unit in ((1e-6, "us"), (1e-3, "ms")):
        if value < scale * 999.5:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} s" if value < 999.5 else f"{value:,.0f} s"
