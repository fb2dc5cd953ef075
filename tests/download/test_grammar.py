"""The grammar in the documentation of the download protocol, held against the parsers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.names import LONGEST, LONGEST_COMPONENT
from lab.download.settings import ServerSettings
from lab.download.wire import (
    ENTRIES,
    LARGEST,
    LIMIT,
    PIECES,
    Get,
    Hashes,
    List,
    Stat,
    WireError,
    count_pieces,
    encode,
    piece_size,
    read_digest,
    read_entry,
    read_reply,
    read_request,
)
from lab.wire.lines import LineReader
from tests.arithmetic.test_grammar import Grammar, read_rules
from tests.download.test_wire import HASHES, REPLIES, REQUESTS

PAGE = Path(__file__).parents[2] / "doc" / "reference" / "wire-download.rst"
TEXT = PAGE.read_text()
GRAMMAR = Grammar(read_rules(TEXT))
REQUEST, ENTRY, SHA256, LINE = map(GRAMMAR.pattern, ["request", "entry", "sha256", "line"])
#: What each request may be answered with, by the page.
ANSWERS: dict[type, str] = {List: "listed", Stat: "stated", Get: "got", Hashes: "digested"}
PATTERNS = {kind: GRAMMAR.pattern(name) for kind, name in ANSWERS.items()}
BYTES = st.sampled_from([bytes([one]) for one in b"0189afAFgG-%/.*?[! \t\r\n\0\x7f\xff"])


@st.composite
def mutations(draw: st.DrawFn, messages: st.SearchStrategy[Any]) -> Any:
    """A line that was right, with a few bytes put in, taken away, doubled or put elsewhere."""
    message = draw(messages)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(message))] * 2)))
        piece = draw(st.just(b"") | BYTES | st.just(message[start:end] * 2))
        end = draw(st.sampled_from([start, start + 1, end]))
        message = message[:start] + piece + message[end:]
    return message


def accepts(read: Callable[..., object], *words: Any) -> bool:
    """Whether a parser takes it."""
    try:
        read(*words)
    except WireError:
        return False
    return True


def fits(line: bytes) -> bool:
    """Beyond the grammar: numbers of 19 digits may be too large, and lines too long."""
    words = [word for word in line.split(b" ") if word.isdigit() and len(word) == 19]
    return len(line) <= LIMIT and all(int(word) <= LARGEST for word in words)


def is_request(line: bytes) -> bool:
    """What the page says of a request."""
    if not REQUEST.fullmatch(line) or len(line) > LIMIT:
        return False
    return not line.startswith(b"get ") or fits(b" ".join(line.split(b" ")[2:4]))


def is_reply(line: bytes, request: Any) -> bool:
    """What the page says of a reply: its grammar, and which numbers go together."""
    kind = type(request)
    if not PATTERNS[kind].fullmatch(line):
        return False
    code, *words = line.split(b" ")
    if code == b"429":
        return int(words[0]) <= 10**9
    if code == b"102":
        return int(words[0]) <= int(words[1]) <= LARGEST
    return code != b"200" or go_together(request, int(words[0]), words)


def go_together(request: Any, number: int, words: list[bytes]) -> bool:
    """Whether the numbers do that stand behind 200."""
    if isinstance(request, Hashes):
        piece = piece_size(number)
        right = [b"%d" % piece, b"%d" % count_pieces(number, piece)]
        kinds = {"sha256", *request.kinds} >= {word.decode() for word in words[4:]}
        return number <= LARGEST and words[2:4] == right and kinds
    return number <= (ENTRIES if isinstance(request, List) else LARGEST)


class RequestTests(SynchronousTestCase):
    """The rule ``request``, and `read_request`."""

    @settings(deadline=None)
    @given(REQUESTS.map(encode) | st.from_regex(REQUEST, fullmatch=True))
    def test_written(self, line: bytes) -> None:
        """What we write is a request for the page, and what the page's rules produce is read."""
        self.assertTrue(REQUEST.fullmatch(line))
        self.assertEqual(accepts(read_request, line), is_request(line))

    @settings(deadline=None, max_examples=150)
    @given(mutations(REQUESTS.map(encode)) | st.lists(BYTES, max_size=10).map(b"".join))
    @example(b"get a 9223372036854775808")
    @example(b"list a\n")
    @example(b"stat %2")
    @example(b"hashes a" + b" b" * 8)
    @example(b"hashes a" + b" b" * 9)
    @example(b"hashes a blake3 ")
    def test_mutated(self, line: bytes) -> None:
        """Right or wrong, page and parser say the same."""
        self.assertEqual(accepts(read_request, line), is_request(line), line)

    @settings(deadline=None)
    @given(
        REQUESTS.map(encode),
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r", b" \n", b""]),
    )
    def test_line(self, line: bytes, ending: bytes) -> None:
        """What is one line for the page is one request for the server, and nothing else is."""
        read = LineReader(LIMIT).feed(line + ending + b"next\n") == [line, b"next"]
        self.assertEqual(LINE.fullmatch(line + ending) is not None, read)


class ReplyTests(SynchronousTestCase):
    """The rules of replies, and their parsers."""

    @settings(deadline=None, max_examples=100)
    @given(REPLIES)
    def test_written(self, both: tuple[Any, Any]) -> None:
        """What we write is a reply for the page, and to that request."""
        request, reply = both
        self.assertTrue(PATTERNS[type(request)].fullmatch(encode(reply)))

    @settings(deadline=None, max_examples=150)
    @given(st.data(), st.sampled_from([List(), Stat("a"), Get("a"), Hashes("a"), HASHES]))
    def test_mutated(self, data: st.DataObject, request: Any) -> None:
        """Right or wrong, page and parser say the same."""
        written = REPLIES.map(lambda both: encode(both[1]))
        made = st.from_regex(PATTERNS[type(request)], fullmatch=True)
        line = data.draw(written | mutations(written) | made | mutations(made))
        right = is_reply(line, request)
        self.assertEqual(accepts(read_reply, line, request), right, line)

    @settings(deadline=None, max_examples=100)
    @given(st.from_regex(ENTRY, fullmatch=True) | mutations(st.from_regex(ENTRY, fullmatch=True)))
    def test_entries(self, line: bytes) -> None:
        """So it is with entries of a list."""
        right = ENTRY.fullmatch(line) is not None and fits(line.split(b" ")[0])
        self.assertEqual(accepts(read_entry, line), right, line)

    @settings(deadline=None)
    @given(st.from_regex(SHA256, fullmatch=True) | mutations(st.from_regex(SHA256, fullmatch=True)))
    def test_digests(self, line: bytes) -> None:
        """And with digests."""
        self.assertEqual(accepts(read_digest, line), SHA256.fullmatch(line) is not None, line)


class PageTests(SynchronousTestCase):
    """The page itself."""

    def test_rules(self) -> None:
        """Each rule can be read, and is used or is what somebody sends."""
        rules = GRAMMAR.rules
        named = {word for text in rules.values() for word in text.replace("32hex", "hex").split()}
        sent = {*ANSWERS.values(), "request", "entry", "line", "hex", "sha256"}
        for name in rules:
            self.assertTrue(name in named or name in sent, name)
            GRAMMAR.pattern(name)

    def test_numbers(self) -> None:
        """The page's numbers are those of the code."""
        limits = ServerSettings()
        for number, text in (
            (LIMIT, "at most {:,} bytes. A longer"),
            (LONGEST, "longer than {:,} bytes"),
            (LONGEST_COMPONENT, "longer than {:,} bytes"),
            (ENTRIES, "If more than {:,} match"),
            (PIECES, "more than {:,} pieces"),
            (limits.transfers, "- {:,} files at a time"),
            (limits.total_transfers, "and {:,} in all"),
            (limits.connections, "{:,} connections of one address"),
            (limits.total_connections, "and {:,} in all"),
            (limits.queue, "and {:,} more wait"),
        ):
            self.assertIn(text.format(number), " ".join(TEXT.split()))
        self.assertIn(f"after {limits.idle:.0f} s", TEXT)
