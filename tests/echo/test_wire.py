"""The bytes of the echo service, with their ids."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import replies, requests, wire
from lab.echo.wire import (
    LEAST_SIZE,
    LIMIT,
    Echo,
    File,
    Quit,
    Refused,
    Stream,
    Text,
    WireError,
    encode,
    encode_packets,
    read_reply,
    read_request,
    read_text,
)
from lab.errors import LocalError
from lab.testing import chunkings
from lab.wire.lines import LineReader
from tests.echo.messages import IDS, NUMBERS, REPLIES, REQUESTS, TEXTS


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

    @given(TEXTS)
    def test_text(self, text: bytes) -> None:
        """What stands behind echo is text, whatever it looks like, also behind an id."""
        self.assertEqual(read_request(b"echo " + text), Echo(text))
        self.assertEqual(read_request(b"#k echo " + text), Echo(text, b"k"))
        self.assertEqual(read_request(b"#k_1 " + text), Echo(b"#k_1 " + text))


class ReplyTests(SynchronousTestCase):
    """What servers say."""

    @settings(deadline=None)
    @given(REPLIES)
    def test_round_trip(self, reply: Any) -> None:
        """What is written is read as the same."""
        self.assertEqual(read_reply(encode(reply)), reply)

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

    @given(IDS, st.integers(0, 10**9 - 2), NUMBERS, st.integers(LEAST_SIZE - 1, 2000))
    def test_packet(self, id: bytes, seq: int, sent: int, size: int) -> None:
        """A packet has its size, whatever is in it, also with a line ending behind it."""
        both = encode_packets(id, range(seq, seq + 2), sent, size)
        data, after = both[:size], both[size:]
        packet = read_reply(data)
        self.assertEqual(len(data), size)
        self.assertEqual((packet.id, packet.seq, packet.sent_ns), (id, seq, sent))
        self.assertEqual(set(packet.padding), set(b"."))
        self.assertEqual(read_reply(after).seq, seq + 1)

    @given(
        IDS,
        st.integers(0, 10**9) | st.sampled_from((0, 8, 97, 995, 999, 1990, 99_999_990)),
        st.integers(0, 40),
        NUMBERS,
        st.integers(LEAST_SIZE - 1, 200),
        st.sampled_from((b"", b"\n")),
    )
    @example(b"", 0, 1, 0, LEAST_SIZE, b"")
    def test_together(
        self, id: bytes, first: int, count: int, sent: int, size: int, ending: bytes
    ) -> None:
        """Packets that are made together are those that are made one by one."""
        head = b"#%s " % id if id else b""
        one_by_one = [
            (b"%spacket %d %d " % (head, seq, sent)).ljust(size, b".") + ending
            for seq in range(first, first + count)
        ]
        together = encode_packets(id, range(first, first + count), sent, size, ending)
        self.assertEqual(together, b"".join(one_by_one))

    def test_none(self) -> None:
        """What is none is said, and not all of it."""
        error = self.assertRaises(WireError, read_reply, b"x" * 1000)
        self.assertEqual(str(error), f"not a reply: {b'x' * 40!r}")
        self.assertEqual(read_reply(b"#k 300 no"), Refused(300, "no", b"k"))


class NameTests(SynchronousTestCase):
    """What can be had from here."""

    def test_all(self) -> None:
        """Every message can be had here, and what is said to be there is."""
        messages = {kind.__name__ for kind in {**requests.ENCODERS, **replies.ENCODERS}}
        self.assertEqual(messages - set(wire.__all__), set())
        self.assertEqual([name for name in wire.__all__ if not hasattr(wire, name)], [])
