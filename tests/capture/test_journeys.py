"""Packets on their way, from captures of one place and of both sides."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.journeys import Journey, Trip
from lab.capture.packets import ACK, PSH, SYN, tcp, udp
from lab.capture.reading import Name, Packet

A, B = ("10.0.0.1", 1000), ("10.0.0.2", 80)


def seen(at: float, data: bytes, side: int = 0, comment: str = "") -> Packet:
    """A packet: it goes out at the side 0, and comes in at any other."""
    return Packet(10**18 + round(at * 1e9), side, 1, data, bool(side), comment)


def data_of(seq: int, data: bytes, way: Any = (A, B), ack: int = 1) -> bytes:
    """A segment of TCP with bytes."""
    return tcp(*way, PSH | ACK, numbers=(seq, ack), data=data)


def trip(*packets: Packet | Name, most: int = 100) -> Trip:
    """What was seen."""
    return Trip.of(packets, most)


class DatagramTests(SynchronousTestCase):
    """Datagrams."""

    def test_one_place(self) -> None:
        """Of one place each packet is seen, and neither loss nor arrival is known."""
        found = trip(seen(0, udp(A, B, b"x")), seen(1, udp(B, A, b"y")), seen(2, udp(A, B, b"x")))
        self.assertFalse(found.two_sided)
        self.assertEqual([one.sent for one in found.journeys], [0, 1, 2])
        self.assertEqual({(one.arrived, one.lost) for one in found.journeys}, {(None, False)})
        self.assertEqual([one.number for one in found.journeys], [0, 0, 1])

    def test_inbound_at_one_place(self) -> None:
        """At the side that receives, too."""
        found = trip(seen(0, udp(A, B, b"x"), 1), seen(0.5, udp(A, B, b"x"), 1))
        self.assertEqual(len(found.journeys), 2)
        self.assertFalse(found.two_sided)

    def test_both_sides(self) -> None:
        """The difference of both sides is the delay; what does not arrive is lost."""
        one, other = udp(A, B, b"one"), udp(A, B, b"other")
        found = trip(seen(0, one), seen(1, other), seen(1.25, other, 1, "late"))
        self.assertEqual(
            [(j.arrived, j.lost) for j in found.journeys], [(None, True), (1.25, False)]
        )
        self.assertEqual([j.comment for j in found.journeys], ["", "late"])

    def test_dropped(self) -> None:
        """Of two that are alike the one that a fault has dropped is lost, not the later one."""
        one = udp(A, B, b"one")
        dropped = "dropped by loss, p=0.3, draw 0.113"
        found = trip(seen(0, one, comment=dropped), seen(1, one), seen(1.5, one, 1))
        self.assertEqual(
            [(j.arrived, j.lost) for j in found.journeys], [(None, True), (1.5, False)]
        )

    def test_duplicate(self) -> None:
        """What arrives twice is a duplicate; one that was never sent is nothing."""
        one = udp(A, B, b"one")
        arriving = [seen(1, one, 1), seen(2, one, 1), seen(3, udp(A, B, b"?"), 1)]
        found = trip(seen(0, one), *arriving)
        kinds = [(j.kind, j.sent, j.arrived) for j in found.journeys]
        self.assertEqual(kinds, [("sent", 0, 1), ("duplicate", 0, 2)])


class SegmentTests(SynchronousTestCase):
    """Segments of TCP."""

    def numbers(self, *packets: Packet) -> list[tuple[int, str]]:
        """The numbers and kinds of what was sent."""
        return [(one.number, one.kind) for one in trip(*packets).journeys]

    def test_numbers(self) -> None:
        """Numbers count from SYN, beyond 32 bits; what was sent before is sent again."""
        begin = 2**32 - 3
        syn = tcp(A, B, SYN, numbers=(begin, 0))
        found = self.numbers(
            seen(0, syn),
            seen(1, data_of(begin + 1, b"abcd")),
            seen(2, data_of(begin + 5, b"ef")),
            seen(3, data_of(begin + 1, b"abcd")),
            seen(4, data_of(begin + 7, b"")),
        )
        self.assertEqual(found, [(0, "sent"), (1, "sent"), (5, "sent"), (1, "again"), (7, "sent")])

    def test_from_the_middle(self) -> None:
        """Without SYN they count from the first that was seen."""
        self.assertEqual(self.numbers(seen(0, data_of(5000, b"ab")), seen(1, data_of(5002, b"c"))),
                         [(0, "sent"), (2, "sent")])  # fmt: skip

    def test_acknowledged(self) -> None:
        """What is acknowledged counts from 0, too; unknown if the other was never seen."""
        found = trip(
            seen(0, data_of(5000, b"ab")), seen(1, data_of(900, b"", (B, A), 5002))
        ).journeys
        self.assertEqual([one.ack for one in found], [None, 2])

    def test_sent_again(self) -> None:
        """Of bytes that were sent twice and arrive once, the first were lost."""
        one = data_of(100, b"abc")
        found = trip(seen(0, one), seen(1, one), seen(1.5, one, 1)).journeys
        right = [("sent", True, None), ("again", False, 1.5)]
        self.assertEqual([(j.kind, j.lost, j.arrived) for j in found], right)

    def test_other_pieces(self) -> None:
        """Bytes that arrive in other pieces have arrived when the last of them has."""
        parts = [
            seen(0, data_of(100, b"ab")),
            seen(0, data_of(102, b"cd")),
            seen(0, data_of(104, b"ef")),
        ]
        found = trip(*parts, seen(1, data_of(100, b"abcd"), 1)).journeys
        self.assertEqual(
            [(j.arrived, j.lost) for j in found], [(1, False), (1, False), (None, True)]
        )
        empty = seen(0, data_of(100, b"")), seen(1, data_of(100, b"ab"), 1)
        self.assertTrue(trip(*empty).journeys[0].lost)

    def test_loss_of_a_stream(self) -> None:
        """A proxy sees one place: what a loss had sent again has arrived, if not at once."""
        said = "lost and sent again by loss, p=0.3"
        one = seen(0, data_of(100, b"abc"), comment=said)
        self.assertFalse(trip(one, seen(1, data_of(103, b"d"))).journeys[0].lost)
        self.assertTrue(
            trip(one, seen(1, udp(A, B, b"")), seen(2, udp(A, B, b""), 1)).journeys[0].lost
        )


class TripTests(SynchronousTestCase):
    """All of a capture."""

    def test_names(self) -> None:
        """Names of addresses are kept."""
        self.assertEqual(trip(Name("10.0.0.1", "here")).names, {"10.0.0.1": "here"})

    def test_strange(self) -> None:
        """What is not known is counted."""
        found = trip(seen(0, b"?"), seen(1, udp(A, B, b"x")))
        self.assertEqual((found.strange, len(found.journeys)), (1, 1))
        self.assertIsInstance(found.journeys[0], Journey)

    def test_bounded(self) -> None:
        """Of very many some are kept, and the others counted; duplicates, too."""
        one = udp(A, B, b"x")
        found = trip(*(seen(n, one) for n in range(9)), seen(9, one, 1), seen(10, one, 1), most=1)
        self.assertEqual((len(found.journeys), found.passed), (1, 8))
