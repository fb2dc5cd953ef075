"""The bytes of the echo service."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.wire import (
    HUGE,
    LEAST_SIZE,
    LIMIT,
    AskCounts,
    AskLimits,
    Busy,
    Challenge,
    Counts,
    Data,
    Digest,
    Echo,
    File,
    FileEnd,
    Limits,
    Packet,
    Probe,
    Probed,
    Quit,
    Ready,
    Refused,
    Stream,
    StreamEnd,
    Text,
    WireError,
    encode,
    encode_packet,
    read_reply,
    read_request,
    read_text,
)
from lab.errors import LocalError
from lab.testing import chunkings
from lab.wire.lines import LineReader

IDS = st.just(b"") | st.from_regex(rb"[A-Za-z0-9-]{1,20}", fullmatch=True)
NUMBERS = st.integers(0, HUGE)
PADDING = st.binary(max_size=50).filter(lambda data: not set(data) & set(b"\r\n"))
WORDS = st.sampled_from(
    [b"echo", b"stream", b"file", b"probe", b"counts", b"limits", b"quit", b"token=", b"#k", b"200"]
)
PARTS = WORDS | st.sampled_from([b" ", b"\n", b"\r", b"0", b"007", b"42", b"x", b"9" * 25])
TEXTS = st.binary(max_size=60) | st.lists(PARTS, max_size=6).map(b"".join)
REASONS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200)
HEX = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
CHARACTERS = st.binary(min_size=1, max_size=50).map(
    lambda data: bytes(33 + byte % 94 for byte in data)
)

COMMANDS = st.one_of(
    st.builds(Stream, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(File, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(File, NUMBERS, NUMBERS),
    st.builds(Probe, NUMBERS, NUMBERS, st.none() | PADDING, IDS),
    st.builds(AskCounts, IDS),
    st.builds(AskLimits, IDS),
    st.builds(Quit, IDS),
)
REQUESTS = COMMANDS | st.builds(Echo, TEXTS, IDS)
REPLIES = st.one_of(
    st.builds(Packet, NUMBERS, NUMBERS, PADDING, IDS),
    st.builds(StreamEnd, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Ready, NUMBERS, id=IDS),
    st.builds(Ready, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Data, NUMBERS, CHARACTERS, IDS),
    st.builds(Digest, HEX, IDS),
    st.builds(FileEnd, NUMBERS, HEX, IDS),
    st.builds(Probed, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.none() | PADDING, IDS),
    st.builds(Counts, NUMBERS, NUMBERS, IDS),
    st.builds(Limits, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Refused, st.sampled_from([300, 409, 413]), REASONS, IDS),
    st.builds(Busy, NUMBERS, REASONS, IDS),
    st.builds(Challenge, st.from_regex(rb"[A-Za-z0-9_-]{22}", fullmatch=True), IDS),
)


class RequestTests(SynchronousTestCase):
    """What clients say."""

    @settings(deadline=None)
    @given(REQUESTS)
    @example(Echo(b"#k-1 hello"))
    @example(Echo(b"token=x hello"))
    @example(Echo(b"token=x hello", b"k"))
    @example(Echo(b"quit\r\n"))
    @example(File(10, 20, seed=3))
    def test_round_trip(self, request: Any) -> None:
        """What is written is read as the same."""
        self.assertEqual(read_request(encode(request)), request)

    def test_forms(self) -> None:
        """Every form of a command, and what is left out."""
        forms = {
            b"stream": Stream(1000, 10, 64),
            b"stream 10": Stream(10, 10, 64),
            b"stream 10 100": Stream(10, 100, 64),
            b"stream 0 1 65507": Stream(0, 1, 65_507),
            b"0": File(0, 0, 0, 0),
            b"1000": File(1000, 0, 1000, 0),
            b"file 1000": File(1000, 0, 1000, 0),
            b"file 1000 400": File(1000, 400, 600, 0),
            b"file 1000 400 50": File(1000, 400, 50, 0),
            b"file 1000 400 50 7": File(1000, 400, 50, 7),
            b"file 5 9": File(5, 9, 0, 0),
            b"probe 1 2": Probe(1, 2),
            b"probe 1 2 ": Probe(1, 2, b""),
            b"probe 1 2 a b": Probe(1, 2, b"a b"),
            b"counts": AskCounts(),
            b"limits": AskLimits(),
            b"quit": Quit(),
        }
        for said, expected in forms.items():
            for ending in (b"", b"\n", b"\r\n"):
                self.assertEqual(read_request(said + ending), expected)
                with_id = read_request(b"#k-1 " + said + ending)
                self.assertEqual((with_id.id, encode(with_id)[5:]), (b"k-1", encode(expected)))

    def test_text(self) -> None:
        """All else is text, and comes back byte for byte."""
        texts = [b"", b"hello", b"echo", b"echo\n", b"007", b"-1", b"+1", b"1.0", b"1 2", b" 1"]
        texts += [b"stream x", b"stream  1", b"stream 1 ", b"stream 01", b"stream 1 2 3 4", b"Quit"]
        texts += [b"quit now", b"quit\r", b"quit\n\n", b"file", b"file ", b"file 1 2 3 4 5", b"1\r"]
        texts += [b"probe", b"probe 1", b"probe 1 x", b"probe 1 2 a\nb", b"probe 1 " + b"9" * 20]
        texts += [b"counts 1", b"limits ", b"\xff\x00", b"hello\n", b"hello\r\n", "٣".encode()]
        for text in texts:
            self.assertEqual(read_request(text), Echo(text))
            self.assertEqual(read_request(b"#k " + text), Echo(text, b"k"))
            self.assertEqual(encode(Echo(text)), text)
            self.assertEqual(read_request(b"echo " + text), Echo(text))
        self.assertEqual(read_request(b"#k_1 quit"), Echo(b"#k_1 quit"))

    def test_large_numbers(self) -> None:
        """A number of any length is read at once, and is beyond every limit if it is long."""
        self.assertEqual(read_request(b"9" * 19), File(HUGE))
        for digits in (20, 60_000):
            self.assertEqual(read_request(b"9" * digits), File(HUGE))
            self.assertEqual(read_request(b"stream 1 1" + b"0" * digits), Stream(1, HUGE))

    def test_too_long(self) -> None:
        """A request of the limit is read; a longer one is none, and can't be written."""
        self.assertEqual(read_request(b"x" * LIMIT), Echo(b"x" * LIMIT))
        for read in (read_request, read_reply, read_text):
            self.assertRaises(WireError, read, b"x" * (LIMIT + 1))
        encode(Echo(b"x" * (LIMIT - 4), b"k-"))
        error = self.assertRaises(LocalError, encode, Echo(b"x" * (LIMIT - 3), b"k-"))
        self.assertEqual(str(error), "message has 65,508 bytes; give at most 65,507")

    def test_wrong_id(self) -> None:
        """An id that can't be read again is not written."""
        for id in (b"k_1", b"k 1", b"x" * 21):
            error = self.assertRaises(LocalError, encode, Quit(id))
            self.assertIn("give 1 to 20 letters, digits and dashes", str(error))

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=100) | TEXTS)
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever comes is a request, and what is read of it can be written and read again."""
        request = read_request(data)
        self.assertEqual(read_request(encode(request)), request)
        if isinstance(request, Echo):
            head = b"#%s " % request.id if request.id else b""
            self.assertIn(data, (head + request.text, head + b"echo " + request.text))

    def test_any_chunks(self) -> None:
        """However a stream is cut, its lines are the same requests."""
        stream = b"hello\r\n#k stream 10\n42\nquit\r\n"
        expected = [Echo(b"hello"), Stream(10, id=b"k"), File(42), Quit()]
        for chunks in chunkings(stream):
            reader = LineReader(LIMIT)
            lines = [line for chunk in chunks for line in reader.feed(chunk)]
            self.assertEqual([read_request(line) for line in lines], expected)


class ReplyTests(SynchronousTestCase):
    """What servers say."""

    @settings(deadline=None)
    @given(REPLIES)
    def test_round_trip(self, reply: Any) -> None:
        """What is written is read as the same."""
        self.assertEqual(read_reply(encode(reply)), reply)

    def test_forms(self) -> None:
        """How each looks."""
        forms = {
            b"packet 0 123 ..": Packet(0, 123, b".."),
            b"end 10 0 1500 9000": StreamEnd(10, 0, 1500, 9000),
            b"200 ready 1000": Ready(1000),
            b"200 ready 1000 1200 1": Ready(1000, 1200, 1),
            b"data 1200 abc": Data(1200, b"abc"),
            b"sha256 " + b"0a" * 32: Digest("0a" * 32),
            b"end 3 " + b"0a" * 32: FileEnd(3, "0a" * 32),
            b"probed 1 2 3 4 5": Probed(1, 2, 3, 4, 5),
            b"probed 1 2 3 4 5 ": Probed(1, 2, 3, 4, 5, b""),
            b"probed 1 2 3 4 5 x y": Probed(1, 2, 3, 4, 5, b"x y"),
            b"200 counts 3 4": Counts(3, 4),
            b"200 limits interval=1 packets=2 size=3 file=4 rate=5 streams=6": Limits(
                1, 2, 3, 4, 5, 6
            ),
            b"300 count is 0; at least 1": Refused(300, "count is 0; at least 1"),
            b"429 250 too much": Busy(250, "too much"),
            b"401 " + b"a" * 22: Challenge(b"a" * 22),
        }
        for said, expected in forms.items():
            self.assertEqual((read_reply(said), encode(expected)), (expected, said))
            self.assertEqual(encode(read_reply(b"#k " + said)), b"#k " + said)

    def test_none(self) -> None:
        """What is nearly one is none."""
        wrong = [b"", b"hello", b"packet 0 1", b"end 1 2 3", b"end 1 " + b"A" * 64, b"200 ready"]
        wrong += [b"200 ready 1 2", b"data 1 ", b"data 1 a b", b"sha256 x", b"301 x", b"429 x y"]
        wrong += [b"300 ", b"300 \xff", b"401 short", b"200 counts 01 2", b"packet 0 1 \n"]
        wrong += [b"end 1 2 3 " + b"9" * 20, b"300 " + b"x" * 201, b"200 counts 1 2 "]
        for said in wrong:
            error = self.assertRaises(WireError, read_reply, said)
            self.assertIn("not a reply: ", str(error))

    @settings(deadline=None)
    @given(st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever comes, nothing but its own error is raised, and text is read of all."""
        self.assertEqual(encode(read_text(data)), data)
        try:
            reply = read_reply(data)
        except WireError:
            return
        self.assertEqual(encode(reply), data)

    @settings(deadline=None)
    @given(TEXTS, IDS)
    def test_text(self, text: bytes, id: bytes) -> None:
        """The text of a reply with an id is what stands behind it, whatever it looks like."""
        if id:
            self.assertEqual(read_text(encode(Text(text, id))), Text(text, id))

    def test_secret(self) -> None:
        """A token is in no log that shows the object."""
        self.assertNotIn("aaaa", repr(Challenge(b"a" * 22)))

    @given(IDS, st.integers(0, 10**9 - 1), NUMBERS, st.integers(LEAST_SIZE - 1, 2000))
    def test_packet(self, id: bytes, seq: int, sent: int, size: int) -> None:
        """A packet has its size, whatever is in it, also with a line ending behind it."""
        data = encode_packet(id, seq, sent, size)
        packet = read_reply(data)
        self.assertEqual(len(data), size)
        self.assertEqual((packet.id, packet.seq, packet.sent_ns), (id, seq, sent))
        self.assertEqual(set(packet.padding), set(b"."))
