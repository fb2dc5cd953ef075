"""
The grammar in the documentation, held against the parsers.

The rules are read from the page itself and written as regular expressions, each sign by its own,
so that neither the page nor a parser can change alone.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.server import answer_sums
from lab.arithmetic.udp import ArithmeticDatagramProtocol
from lab.arithmetic.wire import LIMIT, REPLY_LIMIT, Reply, WireError, read_request
from lab.wire.lines import LineReader
from lab.wire.tokens import with_token

PAGE = Path(__file__).parents[2] / "doc" / "reference" / "wire-arithmetic.rst"
#: RFC 5234, appendix B.1, as far as the page uses it.
CORE = {
    "ALPHA": b"[A-Za-z]",
    "DIGIT": b"[0-9]",
    "CR": b"\r",
    "LF": b"\n",
    "SP": b" ",
    "OCTET": rb"[\x00-\xff]",
}
#: Names, texts, bytes and ranges of them, repetitions, brackets and bars.
SIGN = re.compile(
    r'[A-Za-z][A-Za-z0-9-]*|(?:%s)?"[^"]*"|%x[0-9A-F.-]+|[0-9]*\*[0-9]*|[0-9]+|[][()/]'
)


def read_rules(page: str) -> dict[str, str]:
    """The rules of a page's ABNF, by name, without their comments."""
    [block] = re.findall(r"\.\. code-block:: abnf\n\n((?:   .*\n|\n)+)", page)
    lines = [line.partition(";")[0].partition(" = ") for line in block.splitlines()]
    return {name.strip(): text.strip() for name, _, text in lines if text}


class Grammar:
    """Rules of ABNF (RFC 5234) as regular expressions."""

    def __init__(self, rules: dict[str, str]) -> None:
        self.rules = rules

    def pattern(self, name: str) -> re.Pattern[bytes]:
        """What this rule says."""
        return re.compile(self._rule(name))

    def _rule(self, name: str) -> bytes:
        """A rule, with all the rules that it names."""
        if name in CORE:
            return CORE[name]
        signs = SIGN.findall(self.rules[name])
        assert "".join(signs) == self.rules[name].replace(" ", ""), f"no ABNF: {self.rules[name]}"
        return self._alternatives(signs)

    def _alternatives(self, signs: list[str]) -> bytes:
        """Up to the bracket that closes, or the end; a bar binds less than what stands together."""
        branches = [b""]
        while signs and signs[0] not in {")", "]"}:
            if signs[0] == "/":
                del signs[0]
                branches.append(b"")
            else:
                branches[-1] += self._element(signs)
        return b"(?:%s)" % b"|".join(branches)

    def _element(self, signs: list[str]) -> bytes:
        """One element; texts are in either case."""
        sign = signs.pop(0)
        if sign in {"(", "["}:
            inner = self._alternatives(signs)
            closing = signs.pop(0)
            assert sign + closing in {"()", "[]"}
            return inner if sign == "(" else inner + b"?"
        if sign.startswith("%s"):
            return re.escape(sign[3:-1].encode())
        if sign.startswith('"'):
            return b"".join(b"[%s]" % _either(letter) for letter in sign[1:-1])
        if sign.startswith("%x"):
            return _bytes(sign[2:])
        if sign[0].isdigit() or sign[0] == "*":
            least, star, most = sign.partition("*")
            times = f"{least or 0},{most}" if star else least
            return b"%s{%s}" % (self._element(signs), times.encode())
        return self._rule(sign)


def _bytes(digits: str) -> bytes:
    """Bytes, one behind the other, or one of a range."""
    if "-" in digits:
        return rb"[\x%s-\x%s]" % tuple(map(str.encode, digits.split("-")))
    return b"".join(rb"\x%s" % byte.encode() for byte in digits.split("."))


def _either(letter: str) -> bytes:
    """A letter in both cases, for between square brackets."""
    return "".join(re.escape(one) for one in sorted({letter.lower(), letter.upper()})).encode()


GRAMMAR = Grammar(read_rules(PAGE.read_text()))
REQUEST, REPLY, PREFIX, PROOF, LINE, DATAGRAM = map(
    GRAMMAR.pattern, ["request", "reply", "prefix", "proof", "line", "datagram"]
)

#: The same rules once more, by hand: what they are meant to say.
DIGITS = st.text("0123456789", min_size=1, max_size=30)
SIGNS = st.sampled_from(["", "+", "-"])
MANTISSAS = st.one_of(
    DIGITS,
    st.builds("{}.".format, DIGITS),
    st.builds("{}.{}".format, DIGITS, DIGITS),
    st.builds(".{}".format, DIGITS),
)
EXPONENTS = st.just("") | st.builds(
    "{}{}{}".format, st.sampled_from("eE"), SIGNS, st.integers(0, 400)
)
NUMBERS = st.builds("{}{}{}".format, SIGNS, MANTISSAS, EXPONENTS).map(str.encode)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
PREFIXES = st.just(b"") | st.text(LETTERS, min_size=1, max_size=20).map(
    lambda letters: f"#{letters} ".encode()
)
OPERATORS = st.sampled_from([b"+", b"-", b"*", b"/", b"//", b"%", b"**"])
REQUESTS = st.builds(lambda *of: b"%s%s,%s,%s" % of, PREFIXES, OPERATORS, NUMBERS, NUMBERS)
INTEGERS = st.builds("{}{}".format, SIGNS, DIGITS).map(str.encode)
SUMS = st.builds(
    lambda *of: b"%s%s,%s,%s" % of,
    PREFIXES,
    st.sampled_from([b"+", b"-", b"*"]),
    INTEGERS,
    INTEGERS,
)
TOKENS = st.text(LETTERS + "_", min_size=22, max_size=22).map(str.encode)
REPLIES = st.builds(
    lambda prefix, rest: prefix + rest,
    PREFIXES,
    st.one_of(
        NUMBERS.map(lambda number: b"200," + number),
        st.just(b"300,-1"),
        TOKENS.map(lambda token: b"401 " + token),
    ),
)
#: Bytes that mean something, and some that don't.
BYTES = st.sampled_from([bytes([one]) for one in b"+-*/%,.#eE019aZ_ \t\r\n\0\x7f\xb2\xff"])


@st.composite
def mutations(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message that was right, with a few bytes put in, taken away, doubled or put elsewhere."""
    message = draw(messages)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(message))] * 2)))
        piece = draw(st.just(b"") | BYTES | st.just(message[start:end] * 2))
        end = draw(st.sampled_from([start, start + 1, end]))
        message = message[:start] + piece + message[end:]
    return message


def fits(number: bytes) -> bool:
    """Beyond the grammar: only a float can be too large."""
    return number.lstrip(b"+-").isdigit() or math.isfinite(float(number))


def is_request(message: bytes) -> bool:
    """What the page says of a request: its grammar, its length, and the size of its floats."""
    return (
        REQUEST.fullmatch(message) is not None
        and len(message) <= LIMIT
        and all(map(fits, message.split(b",")[1:]))
    )


def is_reply(message: bytes) -> bool:
    """The same for a reply."""
    match = REPLY.fullmatch(message)
    return (
        match is not None
        and len(message) <= REPLY_LIMIT
        and (b"200," not in message or fits(message.partition(b",")[2]))
    )


def accepts(read: Callable[[bytes], object], message: bytes) -> bool:
    """Whether a parser takes it."""
    try:
        read(message)
    except WireError:
        return False
    return True


class PageTests(SynchronousTestCase):
    """The page itself."""

    def test_rules(self) -> None:
        """It has these rules, and each is used or is what somebody sends."""
        rules = GRAMMAR.rules
        named = {name for text in rules.values() for name in re.findall(r"[A-Za-z]+", text)}
        for name in rules:
            self.assertTrue(name in named or name in {"line", "answer", "datagram"}, name)
            GRAMMAR.pattern(name)

    def test_transcription(self) -> None:
        """Repetitions, options, cases and bytes are transcribed as RFC 5234 means them."""
        grammar = Grammar({"a": '1*2b [ "x" c ] / %x79', "b": "DIGIT", "c": '2( "+" / "-" ) *SP'})
        for text in (b"1", b"12", b"1x+-", b"12X--  ", b"y"):
            self.assertTrue(grammar.pattern("a").fullmatch(text), text)
        for text in (b"", b"123", b"1x", b"1x+", b"1x+-+", b"Y", b"1y", b"x+-"):
            self.assertFalse(grammar.pattern("a").fullmatch(text), text)

    def test_ranges(self) -> None:
        """So are ranges of bytes, and texts in one case (RFC 7405)."""
        pattern = Grammar({"a": '%s"aB" %x31-33 / OCTET'}).pattern("a")
        for text in (b"aB1", b"aB3", b"\n", b"\xff"):
            self.assertTrue(pattern.fullmatch(text), text)
        for text in (b"ab1", b"AB1", b"aB4", b""):
            self.assertFalse(pattern.fullmatch(text), text)


class RequestTests(SynchronousTestCase):
    """The rule ``request``, and `read_request`."""

    @settings(deadline=None, max_examples=200)
    @given(REQUESTS)
    def test_meant(self, message: bytes) -> None:
        """What is meant to be a request is one for the page, and for the parser."""
        self.assertTrue(REQUEST.fullmatch(message))
        self.assertEqual(accepts(read_request, message), is_request(message))

    @settings(deadline=None, max_examples=200)
    @given(st.from_regex(REQUEST, fullmatch=True))
    def test_written(self, message: bytes) -> None:
        """What the page's rules produce is read, unless it is too long or too large."""
        self.assertEqual(accepts(read_request, message), is_request(message))

    @settings(deadline=None, max_examples=500)
    @given(mutations(REQUESTS) | st.lists(BYTES, max_size=10).map(b"".join))
    @example(b"+,1e999,1")
    @example(b"+," + b"9" * 400 + b",1")
    @example(b"#k +,1,1\n")
    @example(b"+,1,\xb2")
    def test_mutated(self, message: bytes) -> None:
        """Right or wrong, page and parser say the same."""
        self.assertEqual(accepts(read_request, message), is_request(message), message)

    def test_length(self) -> None:
        """The page's limit is the parser's, to the byte."""
        longest = b"+,1," + b"1" * (LIMIT - 4)
        self.assertTrue(accepts(read_request, longest) and is_request(longest))
        self.assertFalse(accepts(read_request, longest + b"1"))
        self.assertIn(f"- {LIMIT:,} bytes", PAGE.read_text())
        self.assertIn(f"- {REPLY_LIMIT:,} bytes", PAGE.read_text())

    @settings(deadline=None, max_examples=200)
    @given(st.lists(SUMS | mutations(SUMS), min_size=1, max_size=4))
    def test_batches(self, batch: list[bytes]) -> None:
        """A batch is answered as a whole only if the page knows each line of it."""
        lines = [line.replace(b"\n", b"") for line in batch]
        if answer_sums(b"\n".join(lines) + b"\n", len(lines)) is not None:
            self.assertTrue(all(map(is_request, lines)), lines)

    @settings(deadline=None, max_examples=200)
    @given(mutations(REQUESTS))
    def test_id(self, message: bytes) -> None:
        """The id that an error carries is the one the page's ``prefix`` finds."""
        try:
            id, *_ = read_request(message)
        except WireError as error:
            id = error.id
        match = PREFIX.match(message)
        self.assertEqual(b"#%s " % id if id else b"", match[0] if match else b"", message)


class ReplyTests(SynchronousTestCase):
    """The rule ``reply``, and `Reply.decode`."""

    @settings(deadline=None, max_examples=200)
    @given(REPLIES)
    def test_meant(self, message: bytes) -> None:
        """What is meant to be a reply is one for the page, and for the parser."""
        self.assertTrue(REPLY.fullmatch(message))
        self.assertEqual(accepts(Reply.decode, message), is_reply(message))

    @settings(deadline=None, max_examples=200)
    @given(st.from_regex(REPLY, fullmatch=True))
    def test_written(self, message: bytes) -> None:
        """What the page's rules produce is read, unless it is too long or too large."""
        self.assertEqual(accepts(Reply.decode, message), is_reply(message))

    @settings(deadline=None, max_examples=500)
    @given(mutations(REPLIES))
    @example(b"200,1e999")
    @example(b"300,-1\n")
    def test_mutated(self, message: bytes) -> None:
        """Right or wrong, page and parser say the same."""
        self.assertEqual(accepts(Reply.decode, message), is_reply(message), message)


class Wire:
    """A datagram transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, message: bytes, address: object) -> None:
        """Keep it."""
        self.sent.append(message)


class FramingTests(SynchronousTestCase):
    """The rules ``line`` and ``datagram``."""

    @settings(deadline=None, max_examples=200)
    @given(REQUESTS, st.sampled_from([b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r", b" \n", b""]))
    def test_line(self, request: bytes, ending: bytes) -> None:
        """What is one line for the page is one request for the server, and nothing else is."""
        read = LineReader(LIMIT).feed(request + ending + b"next\n") == [request, b"next"]
        self.assertEqual(LINE.fullmatch(request + ending) is not None, read)

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from([b"", b"token=", b"Token=", b"token ", b"token=x"]),
        TOKENS,
        PREFIXES,
        st.sampled_from([b"", b"\n", b"\r\n", b"\r", b"\n\n", b"\n\r", b"\r\r", b" "]),
    )
    def test_datagram(self, name: bytes, token: bytes, prefix: bytes, ending: bytes) -> None:
        """The UDP server computes what is a datagram for the page, and refuses everything else."""
        proof = name + token + b" " if name else b""
        datagram = proof + prefix + b"+,1,1" + ending
        server = ArithmeticDatagramProtocol(Clock())
        server.transport = Wire()
        server.datagramReceived(datagram, ("192.0.2.1", 5000))
        right = DATAGRAM.fullmatch(datagram) is not None
        self.assertEqual(server.counters.executed, int(right))
        [sent] = server.transport.sent
        self.assertTrue(REPLY.fullmatch(sent), sent)
        self.assertEqual(sent.endswith(b"200,2"), right)
        server.stopProtocol()

    @settings(deadline=None)
    @given(TOKENS, REQUESTS)
    def test_proof(self, token: bytes, request: bytes) -> None:
        """What our clients send with a token is a proof and a request."""
        message = with_token(token, request)
        self.assertTrue(DATAGRAM.fullmatch(message))
        self.assertEqual(PROOF.sub(b"", message, count=1), request)
