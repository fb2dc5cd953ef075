"""JSON with Go's rules."""

import contextlib
import json
import math
import struct
from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.proxy.gojson import DEPTH, DecodeError, Float32, Number, Object, decode, encode, members

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)  # fmt: skip
WORDS = (
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
)
#: Bytes that are often nearly JSON.
NEARLY = st.lists(st.sampled_from([bytes((c,)) for c in b'{}[]:,"\\u0d8e1-+.tfn \n\x00\xff']))


def plain(value: Any) -> Any:
    """What json would have made of it."""
    if isinstance(value, Number):
        return float(value) if set(value) & set(".eE") else int(value)
    if isinstance(value, Object):
        return {key: plain(one) for key, one in value}
    return [plain(one) for one in value] if isinstance(value, list) else value


class DecodeTests(SynchronousTestCase):
    """What is read."""

    def test_values(self) -> None:
        """Every kind of value, and nothing behind the first."""
        for body, value in (
            (b"null", None),
            (b" true x", True),
            (b"false", False),
            (b"-0.5e+3]", "-0.5e+3"),
            (b"1E-9", "1E-9"),
            (b"01", "0"),
            (b"[]x", []),
            (b"{ }x", []),
            (b'[1 , {"a" : [2], "b": {}} ] trailing', ["1", [("a", ["2"]), ("b", [])]]),
            (b'{"a":1,"a":2}', [("a", "1"), ("a", "2")]),
        ):
            self.assertEqual(decode(body), value, body)

    def test_texts(self) -> None:
        """Escapes, pairs and halves of them, and bytes that are no UTF-8."""
        for body, value in (
            (rb'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
            (rb'"\u00e9\ud83d\ude00"', "é😀"),
            (rb'"\ud800 \udc00"', "\ufffd \ufffd"),
            (rb'"\ud800\u0041"', "\ufffdA"),
            (b'"\xc3\xa9\xff"', "é\ufffd"),
        ):
            self.assertEqual(decode(body), value, body)

    def test_errors(self) -> None:
        """Go's words."""
        for body, text in (
            (b"", "EOF"),
            (b" \n", "EOF"),
            (b"{", "unexpected EOF"),
            (b'{"a":[', "unexpected EOF"),
            (b'"a', "unexpected EOF"),
            (b"tru", "unexpected EOF"),
            (b"-", "unexpected EOF"),
            (b"1.", "unexpected EOF"),
            (b"x", "invalid character 'x' looking for beginning of value"),
            (b"[1,]", "invalid character ']' looking for beginning of value"),
            (b"[1 2]", "invalid character '2' after array element"),
            (b"{1", "invalid character '1' looking for beginning of object key string"),
            (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
            (b'{"a" 1}', "invalid character '1' after object key"),
            (b'{"a":1 x', "invalid character 'x' after object key:value pair"),
            (b"nul!", "invalid character '!' in literal null (expecting 'l')"),
            (b'"\n"', r"invalid character '\n' in string literal"),
            (b'"\x00"', r"invalid character '\x00' in string literal"),
            (rb'"\x', "invalid character 'x' in string escape code"),
            (rb'"\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
            (b"-x", "invalid character 'x' in numeric literal"),
            (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
            (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
            (b"'", r"invalid character '\'' looking for beginning of value"),
            (b"\\", r"invalid character '\\' looking for beginning of value"),
            (b"\x7f", r"invalid character '\x7f' looking for beginning of value"),
            (b"\xa0", r"invalid character '\u00a0' looking for beginning of value"),
            (b"\xc3", "invalid character 'Ã' looking for beginning of value"),
        ):
            error = self.assertRaises(DecodeError, decode, body)
            self.assertEqual((error.status, str(error)), (400, f"bad request body: {text}"))

    def test_depth(self) -> None:
        """As deep as Go reads, and no deeper; nothing recurses."""
        for opens, closes in ((b"[", b"]"), (b'{"a":', b"}")):
            decode(opens * DEPTH + b"1" + closes * DEPTH)
            error = self.assertRaises(DecodeError, decode, opens * (DEPTH + 1))
            self.assertIn("exceeded max depth", str(error))

    @given(PLAIN)
    def test_json(self, value: Any) -> None:
        """All that is JSON is read as what it is."""
        self.assertEqual(plain(decode(json.dumps(value).encode())), value)

    @given(st.binary() | NEARLY.map(b"".join))
    def test_fuzz(self, body: bytes) -> None:
        """No bytes raise anything but a DecodeError."""
        with contextlib.suppress(DecodeError):
            encode(str(decode(body)))

    @given(PLAIN, st.integers(min_value=0))
    def test_cut(self, value: Any, at: int) -> None:
        """What has been cut is a shorter number, or nothing whole."""
        body = json.dumps(value).encode()
        try:
            found = decode(body[: at % len(body)])
        except DecodeError as error:
            self.assertIn("EOF", str(error))
        else:
            self.assertIsInstance(found, Number)


class MembersTests(SynchronousTestCase):
    """What objects hold."""

    types: ClassVar = {
        "name": "string", "enabled": "bool", "latency": "int64", "toxicity": "float32",
        "after": "float64", "attributes": "x.Toxic", "toxics": "[]x.Toxic",
    }  # fmt: skip

    def read(self, body: bytes) -> dict[str, Any]:
        """The members of an object."""
        return members(decode(body), self.types, "value of type x.Proxy", "Proxy")

    def test_keys(self) -> None:
        """Any case, nothing unknown, nothing that is null; the last one counts."""
        self.assertEqual(self.read(b"null"), {})
        self.assertEqual(self.read(b'{"x": 1, "name": null}'), {})
        self.assertEqual(self.read(b'{"NAME": "a", "Name": "b", "name": null}'), {"name": "b"})
        self.assertEqual(self.read(b'{"\\u017ftream":1,"enabled":true}'), {"enabled": True})

    def test_objects(self) -> None:
        """One that comes twice is read into the same place."""
        found = self.read(b'{"attributes": {"a": 1}, "Attributes": {"b": []}, "toxics": [5]}')
        self.assertEqual(found, {"attributes": [("a", "1"), ("b", [])], "toxics": ["5"]})
        self.assertIsInstance(found["attributes"], Object)

    def test_numbers(self) -> None:
        """As many bits as there are."""
        least, most = -(2**63), 2**63 - 1
        self.assertEqual(self.read(b'{"latency": %d}' % least), {"latency": least})
        self.assertEqual(self.read(b'{"latency": %d}' % most), {"latency": most})
        self.assertEqual(self.read(b'{"toxicity": 0.3}'), {"toxicity": 0.30000001192092896})
        self.assertEqual(self.read(b'{"after": 1e3}'), {"after": 1000.0})

    def test_errors(self) -> None:
        """Go's words."""
        for body, text in (
            (b"[]", "array into Go value of type x.Proxy"),
            (b"5", "number into Go value of type x.Proxy"),
            (b'{"name": 5}', "number into Go struct field Proxy.name of type string"),
            (b'{"name": {}}', "object into Go struct field Proxy.name of type string"),
            (b'{"enabled": "x"}', "string into Go struct field Proxy.enabled of type bool"),
            (b'{"latency": true}', "bool into Go struct field Proxy.latency of type int64"),
            (b'{"latency": "5"}', "string into Go struct field Proxy.latency of type int64"),
            (b'{"latency": 1.0}', "number 1.0 into Go struct field Proxy.latency of type int64"),
            (
                b'{"latency": 9223372036854775808}',
                "number 9223372036854775808 into Go struct field Proxy.latency of type int64",
            ),
            (
                b'{"toxicity": 1e39}',
                "number 1e39 into Go struct field Proxy.toxicity of type float32",
            ),
            (b'{"after": 1e309}', "number 1e309 into Go struct field Proxy.after of type float64"),
            (b'{"attributes": []}', "array into Go struct field Proxy.attributes of type x.Toxic"),
            (b'{"attributes": 1}', "number into Go struct field Proxy.attributes of type x.Toxic"),
            (b'{"toxics": {}}', "object into Go struct field Proxy.toxics of type []x.Toxic"),
        ):
            error = self.assertRaises(DecodeError, self.read, body)
            self.assertEqual(str(error), f"bad request body: json: cannot unmarshal {text}")

    def test_many_digits(self) -> None:
        """A number of very many digits is read and refused as any other."""
        for name in ("latency", "toxicity", "after"):
            body = b'{"%s": %s}' % (name.encode(), b"9" * 9000)
            self.assertIn("number 9999", str(self.assertRaises(DecodeError, self.read, body)))


class EncodeTests(SynchronousTestCase):
    """What is written."""

    def test_values(self) -> None:
        """As Go's encoder does."""
        for value, text in (
            (None, "null"),
            ([True, False], "[true,false]"),
            ({"b": 1, "a": [], "c": {}}, '{"b":1,"a":[],"c":{}}'),
            ('<a href="é">&\\\u2028\x01\t', r'"\u003ca href=\"é\"\u003e\u0026\\\u2028\u0001\t"'),
            ("\ud800", r'"\ufffd"'),
            (-5, "-5"),
        ):
            self.assertEqual(encode(value), text)

    def test_numbers(self) -> None:
        """Shortest digits; exponents only where numbers are long."""
        for number, text in (
            (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (100.0, "100"), (0.25, "0.25"), (-12.5, "-12.5"),
            (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"), (1e-7, "1e-7"), (-1.5e-10, "-1.5e-10"),
            (Float32(0.30000001192092896), "0.3"), (Float32(7.0), "7"),
        ):  # fmt: skip
            self.assertEqual(encode(number), text)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_reads_back(self, number: float) -> None:
        """All numbers are read back as the same."""
        self.assertEqual(float(encode(number)), number)
        self.assertLessEqual(len(encode(number).strip("-0.")), 24)

    @given(st.floats(width=32, allow_nan=False, allow_infinity=False))
    def test_reads_back_32(self, number: float) -> None:
        """So are those of 32 bits."""
        (found,) = struct.unpack("<f", struct.pack("<f", float(encode(Float32(number)))))
        self.assertEqual(math.copysign(1, found), math.copysign(1, number))
        self.assertEqual(found, number)

    @given(
        st.recursive(WORDS, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab<é"), inner))
    )
    def test_round_trip(self, value: Any) -> None:
        """Python reads the same."""
        self.assertEqual(json.loads(encode(value)), value)
