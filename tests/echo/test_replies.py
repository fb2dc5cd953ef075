"""What servers of the echo service say."""

import re

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.replies import (
    ENCODERS,
    Busy,
    Challenge,
    Counts,
    Data,
    Digest,
    FileEnd,
    Limits,
    Packet,
    Probed,
    Ready,
    Refused,
    Reply,
    StreamEnd,
    Text,
    parse_reply,
)
from tests.echo.messages import REPLIES


def written(reply: Reply | Text) -> bytes:
    """The bytes, without the id."""
    return ENCODERS[type(reply)](reply)


class ReplyTests(SynchronousTestCase):
    """Replies, and what is none."""

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
            self.assertEqual((parse_reply(said), written(expected)), (expected, said))
            self.assertEqual(parse_reply(said, b"k"), evolve(expected, id=b"k"))

    def test_none(self) -> None:
        """What is nearly one is none."""
        wrong = [b"", b"hello", b"packet 0 1", b"end 1 2 3", b"end 1 " + b"A" * 64, b"200 ready"]
        wrong += [b"200 ready 1 2", b"data 1 ", b"data 1 a b", b"sha256 x", b"301 x", b"429 x y"]
        wrong += [
            b"300 ",
            b"300 \xff",
            b"401 short",
            b"200 counts 01 2",
            b"packet 0 1 \n",
            b"packet 0 1 \r.",
        ]
        wrong += [
            b"end 1 2 3 " + b"9" * 20,
            b"300 " + b"x" * 201,
            b"200 counts 1 2 ",
            b"packet 0 1 \r.",
        ]
        for said in wrong:
            self.assertIsNone(parse_reply(said), said)

    @given(
        st.lists(
            st.sampled_from((b"packet ", b"0", b"12", b"01", b" ", b".", b"\n", b"\r", b"\xff"))
            | st.integers(0, 10**20).map(lambda number: b"%d" % number),
            max_size=8,
        )
    )
    def test_packets(self, parts: list[bytes]) -> None:
        """A packet is what the grammar says, and nothing else is."""
        number = rb"(0|[1-9][0-9]{0,18})"
        expected = re.fullmatch(rb"packet %s %s ([^\r\n]*)" % (number, number), b"".join(parts))
        packet = parse_reply(b"".join(parts))
        self.assertEqual(isinstance(packet, Packet), expected is not None)
        if expected is not None:
            seq, sent, padding = expected.groups()
            self.assertEqual(packet, Packet(int(seq), int(sent), padding))

    def test_secret(self) -> None:
        """A token is in no log that shows the object."""
        self.assertNotIn("aaaa", repr(Challenge(b"a" * 22)))

    @given(REPLIES)
    def test_round_trip(self, reply: Reply) -> None:
        """What is written is read as the same, but for the id, which stands before it."""
        read = parse_reply(written(reply))
        self.assertEqual(type(read), type(reply))
        self.assertEqual(written(read), written(reply))

    @given(st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        """What is read of any bytes is written as those; text is all of them."""
        self.assertEqual(written(Text(data)), data)
        reply = parse_reply(data)
        if reply is not None:
            self.assertEqual(written(reply), data)
