"""Lines out of a stream."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.testing import chunkings
from lab.wire.lines import LineReader

LIMIT = 6
# Streams of what matters: endings, half endings, and lines around the limit.
STREAMS = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", b"d" * (LIMIT - 1), b"e" * LIMIT]),
    max_size=14,
).map(b"".join)


def expected(stream: bytes) -> list[bytes]:
    """The lines of a stream, found in the plainest way."""
    *lines, rest = stream.split(b"\n")
    found = [line.removesuffix(b"\r") for line in lines]
    if len(rest.removesuffix(b"\r")) > LIMIT:
        found.append(rest)
    for index, line in enumerate(found):
        if len(line) > LIMIT:
            return [*found[:index], line[: LIMIT + 1]]
    return found


def read(chunks: list[bytes], limit: int = LIMIT) -> list[bytes]:
    """The lines that a reader finds in these chunks."""
    reader = LineReader(limit)
    return [line for chunk in chunks for line in reader.feed(chunk)]


class ChunkTests(SynchronousTestCase):
    """However a stream is cut, its lines are the same."""

    @settings(deadline=None, max_examples=200)
    @given(STREAMS)
    def test_any_chunking(self, stream: bytes) -> None:
        """Chunks of every size, and two chunks cut at every place."""
        for chunks in chunkings(stream):
            self.assertEqual(read(chunks), expected(stream), chunks)

    @settings(deadline=None)
    @given(st.lists(STREAMS | st.binary(max_size=9), max_size=8))
    def test_uneven_chunks(self, chunks: list[bytes]) -> None:
        """Chunks of any kind, empty ones too."""
        self.assertEqual(read(chunks), expected(b"".join(chunks)))

    @settings(deadline=None)
    @given(st.lists(STREAMS | st.binary(max_size=40), max_size=8))
    def test_holds_one_line(self, chunks: list[bytes]) -> None:
        """It never holds more than a line and its CR, and gives no line that is longer than cut."""
        reader = LineReader(LIMIT)
        for chunk in chunks:
            lines = reader.feed(chunk)
            self.assertTrue(all(len(line) <= LIMIT + 1 for line in lines))
            self.assertTrue(len(reader._rest) <= LIMIT + 1)


class WholeTests(SynchronousTestCase):
    """Lines in one piece."""

    @settings(deadline=None, max_examples=200)
    @given(st.lists(STREAMS | st.binary(max_size=9), max_size=8))
    def test_same_lines(self, chunks: list[bytes]) -> None:
        """Whether chunks are taken in the one way or the other, the lines are the same."""
        reader, found = LineReader(LIMIT), []
        for chunk in chunks:
            whole = reader.whole(chunk)
            self.assertEqual(reader.whole(chunk), whole)
            lines = [line.removesuffix(b"\r") for line in whole.split(b"\n")]
            if lines.pop() or not lines or max(map(len, lines)) > LIMIT:
                found += reader.feed(chunk)
            else:
                reader.take(chunk)
                found += lines
        self.assertEqual(found, expected(b"".join(chunks)))

    def test_whole(self) -> None:
        """The chunk itself, if it is nothing but whole lines; nothing, if there are none."""
        reader, lines = LineReader(LIMIT), b"a\r\nb\n"
        self.assertIs(reader.whole(lines), lines)
        self.assertEqual(
            [reader.whole(chunk) for chunk in (b"", b"c", b"a\nc")], [b"", b"", b"a\n"]
        )
        reader.take(b"a\nc")
        self.assertEqual(reader.whole(b"d\n"), b"cd\n")

    def test_too_long(self) -> None:
        """None if what is left is too long, or something was before."""
        reader = LineReader(LIMIT)
        self.assertEqual(reader.whole(b"a\n" + b"x" * (LIMIT + 1)), b"")
        reader.feed(b"x" * (LIMIT + 1))
        self.assertEqual([reader.whole(chunk) for chunk in (b"a\n", b"a\nb")], [b"", b""])


class EndingTests(SynchronousTestCase):
    """Where a line ends."""

    def test_lf_and_crlf(self) -> None:
        """Both are endings, and empty lines are lines."""
        self.assertEqual(read([b"a\nb\r\n\n\r\nc"]), [b"a", b"b", b"", b""])

    def test_cr_inside(self) -> None:
        """A CR that is not before LF is a byte like others; of two before it one is."""
        self.assertEqual(read([b"a\rb\nc\r\r\n"]), [b"a\rb", b"c\r"])

    def test_rest_is_kept(self) -> None:
        """What has no ending yet waits for it."""
        reader = LineReader(LIMIT)
        self.assertEqual(reader.feed(b"+,1"), [])
        self.assertEqual(reader.feed(b",1\r"), [])
        self.assertEqual(reader.feed(b"\n"), [b"+,1,1"])


class LimitTests(SynchronousTestCase):
    """Lines that are too long."""

    def test_at_the_limit(self) -> None:
        """A line of just the limit is whole, and its ending does not count."""
        for ending in (b"\n", b"\r\n"):
            for chunks in chunkings(b"x" * LIMIT + ending + b"y" + ending):
                self.assertEqual(read(chunks), [b"x" * LIMIT, b"y"])

    def test_over_the_limit(self) -> None:
        """A line of one byte more is given cut, and is the last."""
        for over in (b"xx\n", b"x\n", b"x\r\n", b"\rx\n", b"\r\r\n", b"x" * 50):
            for chunks in chunkings(b"a\n" + b"x" * LIMIT + over + b"b\n"):
                cut = (b"x" * LIMIT + over)[: LIMIT + 1]
                self.assertEqual(read(chunks), [b"a", cut])

    def test_not_before_the_ending(self) -> None:
        """It is told as soon as it is known, not only when the line ends."""
        reader = LineReader(LIMIT)
        self.assertEqual(reader.feed(b"x" * LIMIT), [])
        self.assertEqual(reader.feed(b"x"), [b"x" * (LIMIT + 1)])

    def test_deaf_afterwards(self) -> None:
        """What follows a line that is too long is thrown away, whatever it is."""
        reader = LineReader(LIMIT)
        reader.feed(b"x" * 100)
        for chunk in (b"\n", b"a\n", b"x" * 100, b""):
            self.assertEqual(reader.feed(chunk), [])
        self.assertEqual(reader._rest, b"")
