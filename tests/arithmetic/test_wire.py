"""The bytes of the arithmetic service."""

import math

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.numbers import DIGITS, OPERATORS, Number
from lab.arithmetic.wire import (
    LIMIT,
    REPLY_LIMIT,
    Reply,
    Request,
    WireError,
    encode_number,
    encode_refusal,
    encode_result,
    read_request,
)
from lab.errors import LocalError

IDS = st.just(b"") | st.from_regex(rb"[A-Za-z0-9-]{1,20}", fullmatch=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = FLOATS | st.integers() | st.integers(-(10**490), 10**490)
TOKENS = st.from_regex(rb"[A-Za-z0-9_-]{22}", fullmatch=True)
REQUESTS = st.builds(Request, st.sampled_from(list(OPERATORS)), NUMBERS, NUMBERS, IDS)
REPLIES = st.one_of(
    st.builds(Reply, st.just(200), NUMBERS | st.integers(-(10**4299), 10**4299), id=IDS),
    st.builds(Reply, st.just(300), id=IDS),
    st.builds(Reply, st.just(401), token=TOKENS, id=IDS),
)
#: What messages are made of, and what does not belong in one.
PIECES = [*b"+-*/%,.eE#_ \t\r\n0179", b"**", b"//", b"#k3 ", b"200,", b"300,-1", b"401 ", b"x" * 22]
JUNK = st.binary(max_size=40) | st.lists(
    st.sampled_from([p if isinstance(p, bytes) else bytes([p]) for p in PIECES]), max_size=12
).map(b"".join)
#: Operands that look like numbers to somebody.
NO_NUMBERS = [
    b"",
    b" 1",
    b"1 ",
    b"1_0",
    b"nan",
    b"inf",
    b"-inf",
    b"infinity",
    b"1e999",
    b"-1e999",
    b"0x10",
    b"1e",
    b"e1",
    b".",
    b"-",
    b"+-1",
    b"--1",
    b"1.2.3",
    b"1e1.5",
    b"1j",
    b"one",
    b"\xd9\xa3",
    b"\xc2\xb2",
    b"1\r",
    b"1\n",
    b"1\x00",
    b"(1)",
]


def alike(one: Number, other: Number) -> bool:
    """Equal, of the same kind, and zeros of the same sign."""
    return type(one) is type(other) and repr(one) == repr(other)


class RequestTests(SynchronousTestCase):
    """Questions."""

    def assertNoRequest(self, message: bytes, id: bytes = b"") -> None:
        """This is no request, and its refusal would carry this id."""
        for read in (Request.decode, read_request):
            error = self.assertRaises(WireError, read, message)
            self.assertEqual((error.id, "\n" in str(error)), (id, False), message)

    @settings(deadline=None, max_examples=200)
    @given(REQUESTS)
    def test_round_trip(self, request: Request) -> None:
        """What was written is read as it was, to the last bit."""
        again = Request.decode(request.encode())
        self.assertEqual(again, request)
        self.assertTrue(alike(again.left, request.left))
        self.assertTrue(alike(again.right, request.right))

    def test_form(self) -> None:
        """The bytes are these."""
        for request, message in [
            (Request("+", 1, 1), b"+,1,1"),
            (Request("**", -2, 0.5, b"k3-7"), b"#k3-7 **,-2,0.5"),
            (Request("//", 1e300, 5), b"//,1e+300,5"),
        ]:
            self.assertEqual(request.encode(), message)

    def test_ways_to_write(self) -> None:
        """A number may be written in several ways; digits and a sign alone make an integer."""
        for text, value in [
            (b"7", 7),
            (b"+7", 7),
            (b"-7", -7),
            (b"007", 7),
            (b"-0", 0),
            (b"1.5", 1.5),
            (b"2e3", 2000.0),
            (b"2E-3", 0.002),
            (b"7.", 7.0),
            (b".5", 0.5),
            (b"-.5e+1", -5.0),
            (b"9" * 1000, 10**1000 - 1),
        ]:
            for message in (b"+,%s,1" % text, b"#k +,1,%s" % text):
                request = Request.decode(message)
                got = request.left if message.endswith(b",1") else request.right
                self.assertTrue(alike(got, value), message)

    def test_no_numbers(self) -> None:
        """Operands that are none, on either side, with an id and without."""
        for text in NO_NUMBERS:
            self.assertNoRequest(b"+,%s,1" % text)
            self.assertNoRequest(b"#k3 +,1,%s" % text, b"k3")

    def test_no_requests(self) -> None:
        """Wrong arity, unknown operators, and what stands in the wrong place."""
        for message in (
            *(b"", b"+", b"+,1", b"+,1,1,1", b",1,1", b"+,,", b"1,+,1", b"+ 1 1", b"+;1;1"),
            *(b"^,1,1", b"***,1,1", b"+-,1,1", b"add,1,1", b" +,1,1", b"+,1,1 ", b"\xff,1,1"),
            *(b"#+,1,1", b"# +,1,1", b"#k3+,1,1", b"#k_3 +,1,1", b"#" + b"x" * 21 + b" +,1,1"),
            *(b"token=" + b"x" * 22 + b" +,1,1", b"+,1,1\r", b"+,1,1\n"),
        ):
            self.assertNoRequest(message)

    def test_id_of_what_is_wrong(self) -> None:
        """An id that is right is known, whatever is wrong behind it."""
        for message in (b"#k3 ", b"#k3 +,1", b"#k3  +,1,1", b"#k3 #k4 +,1,1", b"#k3 +,1,1e999"):
            self.assertNoRequest(message, b"k3")

    def test_longest(self) -> None:
        """A request of 1,024 bytes is read, one of 1,025 is not, and its id not looked for."""
        longest = b"#k3 +,1," + b"1" * (LIMIT - 8)
        self.assertEqual(Request.decode(longest).id, b"k3")
        self.assertNoRequest(longest + b"1")

    @settings(deadline=None, max_examples=300)
    @given(JUNK | st.tuples(REQUESTS, JUNK).map(lambda pair: pair[0].encode() + pair[1]))
    def test_only_our_error(self, message: bytes) -> None:
        """Whatever comes, it is a request that can be written again, or `WireError`."""
        try:
            request = Request.decode(message)
        except WireError:
            return
        self.assertEqual(Request.decode(request.encode()), request)

    def test_no_search(self) -> None:
        """Long operands with a wrong byte after them are refused in one pass; else this hangs."""
        for _ in range(100):
            self.assertNoRequest(b"+,%s,%sx" % (b"1" * 500, b"1" * 500))
            self.assertNoRequest(b"+,%s.%s,1e%sx" % (b"1" * 300, b"1" * 300, b"1" * 300))

    def test_not_to_be_written(self) -> None:
        """What could not be read is not written; the error says what can be."""
        for request, text in [
            (Request("^", 1, 1), "operator is '^'; give one of + - * / // % **"),
            (Request("+", math.nan, 1), "operand is nan; give a finite number"),
            (Request("+", 1, math.inf), "operand is inf; give a finite number"),
            (Request("+", "1", 1), "operand is '1'; give a finite number"),
            (Request("+", None, 1), "operand is 'NoneType'; give a finite number"),
            (Request("+", 10**DIGITS, 1), "of at most 4,300 digits"),
            (Request("+", 1, 1, b"k 3"), "id is b'k 3'; give 1 to 20 letters"),
            (Request("+", 1, 1, b"k\n"), "id is b'k\\n'; give 1 to 20 letters"),
            (Request("+", 1, 1, b"x" * 21), "give 1 to 20 letters, digits and dashes"),
            (Request("+", 10**1020, 1), "request has 1,025 bytes; give at most 1,024"),
        ]:
            self.assertIn(text, str(self.assertRaises(LocalError, request.encode)))
        self.assertEqual(len(Request("+", 10**1019, 1).encode()), LIMIT)


class ReplyTests(SynchronousTestCase):
    """Answers."""

    @settings(deadline=None, max_examples=200)
    @given(REPLIES)
    def test_round_trip(self, reply: Reply) -> None:
        """What was written is read as it was."""
        again = Reply.decode(reply.encode())
        self.assertEqual(again, reply)
        self.assertTrue(alike(again.value, reply.value))

    def test_form(self) -> None:
        """The bytes are these."""
        for reply, message in [
            (Reply(200, 2), b"200,2"),
            (Reply(200, 3.5, id=b"k3-7"), b"#k3-7 200,3.5"),
            (Reply(300), b"300,-1"),
            (Reply(300, id=b"k3-7"), b"#k3-7 300,-1"),
            (Reply(401, token=b"x" * 22, id=b"k"), b"#k 401 " + b"x" * 22),
        ]:
            self.assertEqual(reply.encode(), message)
        self.assertEqual(encode_result(b"", 2), b"200,2")
        self.assertEqual(encode_refusal(b"k"), b"#k 300,-1")

    def test_largest(self) -> None:
        """The largest reply there can be is read; what is longer than any is not."""
        reply = Reply(200, 1 - 10**DIGITS, id=b"x" * 20)
        self.assertEqual(Reply.decode(reply.encode()), reply)
        self.assertTrue(len(reply.encode()) <= REPLY_LIMIT)
        self.assertEqual(Reply.decode(b"200,1." + b"0" * (REPLY_LIMIT - 6)).value, 1.0)
        self.assertRaises(WireError, Reply.decode, b"200,1." + b"0" * (REPLY_LIMIT - 5))

    def test_no_replies(self) -> None:
        """What is not in the protocol is no reply, however near it is."""
        for message in (
            *(b"", b"200", b"200,", b"200 2", b"200,2,3", b"200,nan", b"200,1e999", b" 200,2"),
            *(b"300", b"300,1", b"300,-10", b"500,1", b"401", b"401 short", b"401," + b"x" * 22),
            *(b"#k200,2", b"# 200,2", b"#" + b"x" * 21 + b" 200,2", b"200,2\r", b"+,1,1"),
            *(b"401 " + b"x" * 23, b"200," + b"9" * 4301),
        ):
            error = self.assertRaises(WireError, Reply.decode, message)
            self.assertNotIn("\n", str(error))

    @settings(deadline=None, max_examples=300)
    @given(JUNK | st.tuples(REPLIES, JUNK).map(lambda pair: pair[0].encode() + pair[1]))
    @example(b"200," + b"0" * 4350 + b"1")
    def test_only_our_error(self, message: bytes) -> None:
        """Whatever comes, it is a reply that can be written again, or `WireError`."""
        try:
            reply = Reply.decode(message)
        except WireError:
            return
        self.assertEqual(Reply.decode(reply.encode()), reply)

    def test_token_is_not_shown(self) -> None:
        """A log that shows the reply does not show the token."""
        self.assertNotIn("secret", repr(Reply(401, token=b"secret")))


class NumberTests(SynchronousTestCase):
    """Numbers on the wire."""

    @settings(deadline=None, max_examples=200)
    @given(FLOATS)
    def test_shortest(self, value: float) -> None:
        """A float is written with the fewest digits that read back as the same."""
        text = encode_number(value).decode()
        self.assertTrue(alike(float(text), value))
        digits = text.partition("e")[0].replace(".", "").strip("-0")
        assume(len(digits) > 1)
        self.assertNotEqual(float(f"{value:.{len(digits) - 2}e}"), value)

    def test_integers(self) -> None:
        """Integers are written digit by digit, up to 4,300."""
        self.assertEqual(encode_number(-(10**20)), b"-1" + b"0" * 20)
        self.assertEqual(encode_number(10**DIGITS - 1), b"9" * DIGITS)
        self.assertRaises(LocalError, encode_number, -(10**DIGITS))
