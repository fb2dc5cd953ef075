"""One connection as one of its ends has it."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.conversations import Conversation
from lab.capture.flows import WINDOW
from lab.capture.packets import ACK, FIN, MSS, PSH, RST, SYN
from lab.capture.recorder import Capture
from tests.capture.blocks import Packet, packets
from tests.capture.test_flows import fields

HERE, THERE = ("10.0.0.2", 80), ("10.0.0.3", 49152)
FIRST = 2**32 - 10


class ConversationTests(SynchronousTestCase):
    """Which packets there are."""

    def setUp(self) -> None:
        """A connection that the peer has made."""
        self.file = bytearray()
        self.capture = Capture(self.file.extend, "")
        self.talk = Conversation(self.capture, 0, HERE, THERE, FIRST)
        self.talk.open(1.0, inbound=True)

    def packets(self) -> list[Packet]:
        """Those that have been added."""
        return packets(bytes(self.file))

    def seen(self) -> list[tuple[str, int, int, int, int]]:
        """Of each who sends, its numbers from the first on, its flags, how much it carries."""
        found = []
        for one in self.packets():
            seq, ack, flags, data = fields(one.data)
            who = "peer" if one.flags == 1 else "we"
            numbers = [(number - FIRST) % 2**32 for number in (seq, ack)]
            found.append((who, numbers[0], numbers[1] if flags & ACK else 0, flags, len(data)))
        return found

    def test_life(self) -> None:
        """A handshake, bytes and their acknowledgements, ends both ways."""
        self.talk.send(2.0, b"hello", inbound=True)
        self.talk.send(2.0, b"hi", ["late"], inbound=False)
        for _ in range(2):
            self.talk.end(3.0, "because", inbound=False)
        self.talk.end(4.0, inbound=True)
        self.talk.send(4.0, b"too late", inbound=True)
        self.assertEqual(
            self.seen(),
            [
                ("peer", 0, 0, SYN, 0),
                ("we", 0, 1, SYN | ACK, 0),
                ("peer", 1, 1, ACK, 0),
                ("peer", 1, 1, ACK | PSH, 5),
                ("we", 1, 6, ACK, 0),
                ("we", 1, 6, ACK | PSH, 2),
                ("peer", 6, 3, ACK, 0),
                ("we", 3, 6, ACK | FIN, 0),
                ("peer", 6, 4, ACK, 0),
                ("peer", 6, 4, ACK | FIN, 0),
                ("we", 4, 7, ACK, 0),
            ],
        )
        comments = {number: one.comment for number, one in enumerate(self.packets()) if one.comment}
        self.assertEqual(comments, {5: "late", 7: "because"})

    def test_the_other_way(self) -> None:
        """We may be the one who asks."""
        self.file.clear()
        Conversation(self.capture, 0, HERE, THERE, FIRST).open(1.0, inbound=False)
        self.assertEqual([who for who, *_ in self.seen()], ["we", "peer", "we"])

    def test_note(self) -> None:
        """What is to be said later is said with an acknowledgement that is none."""
        self.talk.send(2.0, b"hello", inbound=True)
        self.talk.note(3.0, "dropped")
        self.assertEqual(self.seen()[4:], [("we", 1, 6, ACK, 0)] * 2)
        self.assertEqual([one.comment for one in self.packets()[4:]], ["", "dropped"])

    def test_reset(self) -> None:
        """Nothing is seen behind it."""
        self.talk.reset(2.0, "broken", inbound=True)
        for inbound in (True, False):
            self.talk.send(3.0, b"x", inbound=inbound)
            self.talk.end(3.0, inbound=inbound)
        self.assertEqual(self.seen()[3:], [("peer", 1, 1, RST | ACK, 0)])
        self.assertEqual(self.packets()[-1].comment, "broken")

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 200_000)), max_size=4))
    def test_windows(self, sizes: list[tuple[bool, int]]) -> None:
        """However much is sent: it is all there in segments, and never beyond the window."""
        self.setUp()
        begin = len(self.packets())
        for inbound, size in sizes:
            self.talk.send(2.0, bytes(size), inbound=inbound)
        sent = {"peer": 1, "we": 1}
        acked = {"peer": 1, "we": 1}
        for who, seq, ack, _, size in self.seen()[begin:]:
            self.assertEqual(seq, sent[who])
            self.assertLessEqual(size, MSS)
            sent[who] += size
            other = "we" if who == "peer" else "peer"
            acked[other] = ack
            self.assertLessEqual(sent[who] - acked[who], WINDOW // 2)
            self.assertLessEqual(ack, sent[other])
        self.assertEqual(acked, sent)
        for way, who in ((True, "peer"), (False, "we")):
            self.assertEqual(sent[who] - 1, sum(size for inbound, size in sizes if inbound is way))

    def test_unwanted(self) -> None:
        """While nobody wants packets none is made, and what comes later is numbered as ever."""
        self.capture.wanted = False
        self.talk.send(2.0, b"hello", inbound=True)
        self.capture.wanted = True
        self.talk.send(2.0, b"again", inbound=True)
        self.talk.send(2.0, b"hi", inbound=False)
        self.assertEqual(
            self.seen()[3:],
            [
                ("peer", 6, 1, ACK | PSH, 5),
                ("we", 1, 11, ACK, 0),
                ("we", 1, 11, ACK | PSH, 2),
                ("peer", 11, 3, ACK, 0),
            ],
        )
