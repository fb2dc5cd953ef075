"""Captures are read."""

import io
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.capture import reading
from lab.capture.pcapng import ETHERNET, INBOUND, OUTBOUND, interface, names, packet, section
from lab.capture.reading import Name, Packet, read
from lab.errors import LocalError

PACKETS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 2**62),
        st.binary(max_size=30),
        st.sampled_from([0, INBOUND, OUTBOUND]),
        st.text(st.characters(codec="utf-8"), max_size=10),
    ),
    max_size=4,
)
WAYS = {0: None, INBOUND: True, OUTBOUND: False}
HEAD = section("x") + interface("a") + interface("b")


def of(data: bytes) -> list[Packet | Name]:
    """What there is in a file."""
    return list(read(io.BytesIO(data)))


def swapped(kind: int, body: bytes) -> bytes:
    """A block in the other order of bytes."""
    length = struct.pack(">I", 12 + len(body))
    return struct.pack(">I", kind) + length + body + length


class ReadTests(SynchronousTestCase):
    """What is read."""

    @settings(max_examples=50, deadline=None)
    @given(PACKETS)
    def test_round_trip(self, made: list[tuple[int, int, bytes, int, str]]) -> None:
        """Packets that were written are read, with their times, ways and comments."""
        data = HEAD + b"".join(
            packet(side, when, data, flags=flags, comment=comment)
            for side, when, data, flags, comment in made
        )
        right = [
            Packet(when, side, ETHERNET, data, WAYS[flags], comment)
            for side, when, data, flags, comment in made
        ]
        self.assertEqual(of(data), right)

    def test_names(self) -> None:
        """So are the names of addresses."""
        data = section("x") + names([("10.0.0.1", "here"), ("2001:db8::1", "there")])
        self.assertEqual(of(data), [Name("10.0.0.1", "here"), Name("2001:db8::1", "there")])

    def test_cut(self) -> None:
        """A file that is still being written has the blocks before its end."""
        data = HEAD + packet(0, 1, b"one") + packet(0, 2, b"two")
        sizes = [len(of(data[:size])) for size in range(len(data) + 1)]
        self.assertEqual(sizes, sorted(sizes))
        self.assertEqual((set(sizes), of(data[:-1])), ({0, 1, 2}, of(data)[:1]))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=80), st.booleans())
    def test_garbage(self, data: bytes, begun: bool) -> None:  # noqa: FBT001
        """Whatever stands there is read or refused in one line."""
        try:
            of(HEAD + data if begun else data)
        except LocalError as error:
            self.assertNotIn("\n", str(error))

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_damaged(self, data: st.DataObject) -> None:
        """So is a file of which some bytes are others."""
        whole = bytearray(
            HEAD + packet(1, 5, b"data", flags=INBOUND, comment="c") + names([("::1", "x")])
        )
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(whole) - 1))
            whole[place] = data.draw(st.integers(0, 255))
        try:
            of(bytes(whole))
        except LocalError as error:
            self.assertNotIn("\n", str(error))

    def test_no_capture(self) -> None:
        """What is none says so; a wrong block has its number."""
        error = self.assertRaises(LocalError, of, b'{"journal": 1, "seed": 12}')
        self.assertEqual(str(error), "it is no pcapng file")
        self.assertRaises(LocalError, of, interface("a") * 3)
        error = self.assertRaises(LocalError, of, HEAD + packet(7, 1, b"x"))
        self.assertEqual(str(error), "block 4 is none of pcapng")

    def test_huge_block(self) -> None:
        """A block that says that it is huge is not read."""
        self.patch(reading, "LONGEST", 1000)
        data = HEAD + packet(0, 1, bytes(2000))
        error = self.assertRaises(LocalError, of, data)
        self.assertEqual(str(error), "block 4 is none of pcapng")

    def test_of_others(self) -> None:
        """Another order of bytes, times in other units, and blocks that are not known."""
        options = struct.pack(">HHB3xHHqHH", 9, 1, 0x80 | 10, 14, 8, 100, 0, 0)
        data = (
            swapped(0x0A0D0D0A, b"\x1a\x2b\x3c\x4d" + struct.pack(">HHq", 1, 0, -1))
            + swapped(1, struct.pack(">HHI", 101, 0, 0) + options)
            + swapped(0x55, b"1234")
            + swapped(4, struct.pack(">HH4s", 9, 4, b"what"))
            + swapped(6, struct.pack(">IIIII", 0, 0, 2048, 4, 4) + b"data")
        )
        self.assertEqual(of(data), [Packet(102 * 10**9, 0, 101, b"data")])

    def test_sections(self) -> None:
        """Several sections, one behind the other: interfaces of each have numbers of their own."""
        one = section("x") + interface("a") + packet(0, 1000, b"x")
        self.assertEqual([found.side for found in of(one + one)], [0, 1])

    def test_usual_resolution(self) -> None:
        """An interface that does not say has microseconds."""
        plain = struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)
        (found,) = of(section("x") + plain + packet(0, 3, b""))
        self.assertEqual(found.at, 3000)
