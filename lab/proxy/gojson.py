"""
JSON with the rules and the error texts of Go's encoding/json, which clients of Toxiproxy know.

Only the first value counts, whatever stands behind it. Keys are matched without regard to case,
what is null is not there, and what nobody asked for is passed over. Nothing here recurses, so no
depth is too deep.
"""

import math
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from lab.proxy.errors import ApiError

#: Deepest nesting of arrays and objects; Go's.
DEPTH = 10_000

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_UNITS = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")
_LITERALS = {ord("t"): (b"true", True), ord("f"): (b"false", False), ord("n"): (b"null", None)}
_ESCAPES = dict(zip('bfnrt"\\/', '\b\f\n\r\t"\\/', strict=True))
#: What Go calls characters that can't be seen.
_NAMES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_NAMES |= {"\v": r"\v", "\\": r"\\", "'": r"\'"}


class DecodeError(ApiError):
    """
    A body that is no JSON, or not of the types that were asked for.

    Args:
        text: Go's words.
    """

    def __init__(self, text: str) -> None:
        super().__init__(400, f"bad request body: {text}")


class Number(str):
    """A number, as it was written: whether it fits depends on what it is for."""

    __slots__ = ()


class Object(list[tuple[str, Any]]):
    """An object: its keys and values in their order, each as often as it was written."""


class Float32(float):
    """A number that is written with as few digits as tell it from others of 32 bits."""

    __slots__ = ()


def decode(body: bytes) -> Any:
    """
    Read the first value.

    Returns:
        None, a bool, a `Number`, a text, a list or an `Object`.

    Raises:
        DecodeError: There is none, or it is no JSON.

    >>> decode(b'{"a": [1.50, null]} and so on')
    [('a', ['1.50', None])]
    """
    return _Reader(body).first()


class _Reader:
    """Reads one value, with a stack of what is open."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._open: list[list[Any]] = []
        #: The keys under which what is open in objects will stand.
        self._keys: list[str] = []

    def first(self) -> Any:
        """The value."""
        while True:
            value, opened = self._begin()
            while not opened:
                if not self._open:
                    return value
                self._add(value)
                if self._goes_on():
                    break
                value = self._open.pop()

    def _begin(self) -> tuple[Any, bool]:
        """What begins here: a whole value, or something that has been opened and holds more."""
        char = self._next()
        self._at += 1
        if char in b"[{":
            return self._container(char)
        if char == ord('"'):
            return self._text(), False
        if char in _LITERALS:
            return self._literal(*_LITERALS[char]), False
        self._at -= 1
        if char in b"-0123456789":
            return self._number(), False
        raise self._wrong("looking for beginning of value")

    def _container(self, char: int) -> tuple[Any, bool]:
        """An array or object has been opened; if it is empty, it is closed again."""
        opened: list[Any] = [] if char == ord("[") else Object()
        if len(self._open) == DEPTH:
            self._at -= 1
            raise self._wrong("exceeded max depth")
        self._open.append(opened)
        if self._next() == char + 2:  # in ASCII, what closes is two behind what opens
            self._at += 1
            return self._open.pop(), False
        if isinstance(opened, Object):
            self._key()
        return None, True

    def _add(self, value: Any) -> None:
        """Put a value into what is open."""
        inner = self._open[-1]
        inner.append((self._keys.pop(), value) if isinstance(inner, Object) else value)

    def _goes_on(self) -> bool:
        """Whether what is open holds more; otherwise it has been closed."""
        is_object = isinstance(self._open[-1], Object)
        char = self._next()
        context = "after object key:value pair" if is_object else "after array element"
        self._need(b",}" if is_object else b",]", context)
        if char == ord(",") and is_object:
            self._key()
        return char == ord(",")

    def _key(self) -> None:
        """A key of an object, with its colon."""
        self._next()
        self._need(b'"', "looking for beginning of object key string")
        self._keys.append(self._text())
        self._next()
        self._need(b":", "after object key")

    def _text(self) -> str:
        """A text, behind its first quotation mark."""
        start = self._at
        while True:
            self._skip(_PLAIN)
            self._need(b'"\\', "in string literal")
            if self._body[self._at - 1] == ord('"'):
                break
            self._need(b'bfnrt"\\/u', "in string escape code")
            if self._body[self._at - 1] == ord("u"):
                for _ in range(4):
                    self._need(b"0123456789abcdefABCDEF", "in \\u hexadecimal character escape")
        text = self._body[start : self._at - 1].decode("utf-8", "replace")
        return _UNITS.sub(_unescaped, text) if "\\" in text else text

    def _literal(self, word: bytes, value: Any) -> Any:
        """What is left of true, false or null."""
        for char in word[1:]:
            expected = f"in literal {word.decode()} (expecting {chr(char)!r})"
            self._need(bytes((char,)), expected)
        return value

    def _number(self) -> Number:
        """A number; only what can't go on is wrong, not what stands behind it."""
        start = self._at
        if self._here() == ord("-"):
            self._at += 1
        self._need(b"0123456789", "in numeric literal")
        if self._body[self._at - 1] != ord("0"):
            self._skip(_DIGITS)
        if self._here() == ord("."):
            self._at += 1
            self._need(b"0123456789", "after decimal point in numeric literal")
            self._skip(_DIGITS)
        if self._here() in {ord("e"), ord("E")}:
            self._at += 1
            if self._here() in {ord("+"), ord("-")}:
                self._at += 1
            self._need(b"0123456789", "in exponent of numeric literal")
            self._skip(_DIGITS)
        return Number(self._body[start : self._at].decode())

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        """Go behind what matches; all patterns match at least nothing."""
        found = pattern.match(self._body, self._at)
        self._at = found.end() if found else self._at

    def _here(self) -> int:
        """The byte that comes, or -1 at the end."""
        return self._body[self._at] if self._at < len(self._body) else -1

    def _next(self) -> int:
        """The byte that comes, behind all space."""
        self._skip(_SPACE)
        if self._at == len(self._body):
            raise DecodeError("unexpected EOF" if self._open else "EOF")
        return self._body[self._at]

    def _need(self, allowed: bytes, context: str) -> None:
        """Go behind one of these bytes, and nothing else."""
        if self._at == len(self._body):
            raise DecodeError("unexpected EOF")
        if self._body[self._at] not in allowed:
            raise self._wrong(context)
        self._at += 1

    def _wrong(self, context: str) -> DecodeError:
        """What Go says of the byte that comes."""
        char = chr(self._body[self._at])
        if char in _NAMES:
            shown = _NAMES[char]
        elif char.isprintable():
            shown = char
        else:
            code = ord(char)
            shown = f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
        return DecodeError(f"invalid character '{shown}' {context}")


def _unescaped(found: re.Match[str]) -> str:
    """What an escape, or a run of those of UTF-16, stands for; half a pair is U+FFFD."""
    text = found[0]
    if text[1] != "u":
        return _ESCAPES[text[1]]
    return bytes.fromhex(text.replace("\\u", "")).decode("utf-16-be", "replace")


def members(value: Any, types: Mapping[str, str], whole: str, path: str) -> dict[str, Any]:
    """
    What an object holds under the keys that are asked for.

    Args:
        value: As `decode` gives it.
        types: For each key the name of its type in Go. ``string``, ``bool``, ``int64``,
            ``float32`` and ``float64`` become Python's; ``[]`` and more is a list, and every
            other name an `Object`, as they are.
        whole: What the object itself is called, if it is none.
        path: The name in Go of what has the keys, for errors: ``Proxy``.

    Raises:
        DecodeError: Something has another type.

    >>> members(decode(b'{"NAME": "a", "more": 1}'), {"name": "string"}, "value of x", "Proxy")
    {'name': 'a'}
    """
    if value is None:
        return {}
    if not isinstance(value, Object):
        raise mismatch(value, whole)
    found: dict[str, Any] = {}
    for key, item in value:
        name = key if key in types else key.casefold()
        if name not in types or item is None:
            continue
        one = convert(item, types[name], f"struct field {path}.{name} of type {types[name]}")
        # Go reads an object that comes twice into the same place.
        found[name] = Object([*found.get(name, ()), *one]) if isinstance(one, Object) else one
    return found


def convert(value: Any, kind: str, where: str) -> Any:
    """
    A value of a type of Go.

    Args:
        value: As `decode` gives it; not None.
        kind: The type, see `members`.
        where: What it is read into, in Go's words.

    Raises:
        DecodeError: It has another type.
    """
    if isinstance(value, Number):
        if kind not in _NUMBERS:
            raise mismatch(value, where)
        number = _NUMBERS[kind](value)
        if number is None:
            raise DecodeError(f"json: cannot unmarshal number {value[:80]} into Go {where}")
        return number
    wanted: dict[str, type[Any]] = {"string": str, "bool": bool}
    if kind in _NUMBERS or not isinstance(value, wanted.get(kind, _container_of(kind))):
        raise mismatch(value, where)
    if kind.startswith("[]") and isinstance(value, Object):
        raise mismatch(value, where)
    return value


def _container_of(kind: str) -> type[Any]:
    """What holds others, by its type in Go."""
    return list if kind.startswith("[]") else Object


def mismatch(value: Any, where: str) -> DecodeError:
    """What Go says of a value that is of another type."""
    names = {Number: "number", str: "string", bool: "bool", Object: "object", list: "array"}
    return DecodeError(f"json: cannot unmarshal {names[type(value)]} into Go {where}")


def _int64(text: str) -> int | None:
    """A whole number of 64 bits."""
    # Python refuses to read very many digits, so they are counted first.
    if len(text) > 20 or not re.fullmatch("-?[0-9]+", text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _float64(text: str) -> float | None:
    """A number of 64 bits."""
    number = float(text)
    return number if math.isfinite(number) else None


def _float32(text: str) -> Float32 | None:
    """A number of 32 bits."""
    try:
        number = Float32(struct.unpack("<f", struct.pack("<f", float(text)))[0])
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_NUMBERS: Mapping[str, Callable[[str], Any]] = {
    "int64": _int64,
    "float32": _float32,
    "float64": _float64,
}


def encode(value: Any) -> str:
    r"""
    Write a value as Go does: no spaces, keys in their order, and what HTML could misread escaped.

    Args:
        value: None, bools, numbers, texts, and lists and dicts of them.

    >>> encode({"name": "<é>", "toxicity": 1.0})
    '{"name":"\\u003cé\\u003e","toxicity":1}'
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{encode(key)}:{encode(item)}" for key, item in value.items()) + "}"
    return "[" + ",".join(map(encode, value)) + "]"


_ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r"}
_SHORT |= {"\t": r"\t"}


def _escape(found: re.Match[str]) -> str:
    """One character that does not stand for itself; half a pair has no form in UTF-8."""
    char = found[0]
    code = 0xFFFD if "\ud800" <= char <= "\udfff" else ord(char)
    return _SHORT.get(char, f"\\u{code:04x}")


def _decimal(value: float) -> str:
    """A number with as few digits as tell it from its neighbours, and an exponent if it is long."""
    sign, digits, exponent = _shortest(value)
    if value and not -6 <= exponent < 21:
        rest = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".replace(
            "e-0", "e-"
        )
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, rest = digits[: exponent + 1], digits[exponent + 1 :]
    return f"{sign}{whole.ljust(exponent + 1, '0')}{'.' if rest else ''}{rest}"


def _shortest(value: float) -> tuple[str, str, int]:
    """Its sign, its digits, and the power of ten of the first."""
    if isinstance(value, Float32):
        tries = (f"{float(value):.{more}e}" for more in range(9))
        text = next(one for one in tries if _float32(one) == value)
    else:
        text = next(one for more in range(17) if float(one := f"{value:.{more}e}") == value)
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    return sign, digits, int(exponent)
