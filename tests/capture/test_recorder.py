"""A capture that is being written."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.recorder import EPOCH, Capture
from lab.errors import LocalError
from tests.capture.blocks import Packet, blocks, packets


class CaptureTests(SynchronousTestCase):
    """What is in the file."""

    def setUp(self) -> None:
        """A file in memory."""
        self.file = bytearray()
        self.capture = Capture(self.file.extend, "seed 7", "simulated")

    def kinds(self) -> list[int]:
        """The types of its blocks."""
        return [block.kind for block in blocks(bytes(self.file))]

    def test_sides(self) -> None:
        """An interface is written once, and has its number."""
        found = [self.capture.side(name) for name in ("a", "b", "a")]
        self.assertEqual((found, self.kinds()), ([0, 1, 0], [0x0A0D0D0A, 1, 1]))

    def test_sides_of_one_name(self) -> None:
        """What has a text of its own is another interface."""
        found = [self.capture.side("a", text) for text in ("to here", "to there", "to here")]
        self.assertEqual((found, self.kinds()), ([0, 1, 0], [0x0A0D0D0A, 1, 1]))

    def test_names(self) -> None:
        """A name is written once."""
        self.capture.name("10.0.0.2", "client")
        self.capture.name("10.0.0.2", "client")
        self.assertEqual(self.kinds(), [0x0A0D0D0A, 4])

    def test_packets(self) -> None:
        """Times are exact to the nanosecond."""
        side = self.capture.side("a")
        self.capture.packet(side, 1.123456789, b"x", inbound=False)
        self.capture.packet(side, 2.0, b"y", inbound=True, comment="dropped")
        begin = 946_684_800 * 10**9
        self.assertEqual(
            packets(bytes(self.file)),
            [
                Packet(0, begin + 1_123_456_789, b"x", 2, ""),
                Packet(0, begin + 2 * 10**9, b"y", 1, "dropped"),
            ],
        )

    def test_several_packets(self) -> None:
        """What was seen at one time is written in one piece."""
        pieces: list[bytes] = []
        capture = Capture(pieces.append, "")
        side = capture.side("a")
        capture.packets(side, 1.0, [(b"x", False, ""), (b"y", True, "late")])
        found = [(one.data, one.flags, one.comment) for one in packets(pieces[-1])]
        self.assertEqual(found, [(b"x", 2, ""), (b"y", 1, "late")])
        self.assertEqual(len(pieces), 3)

    def test_descriptions(self) -> None:
        """What is no packet may have a place of its own; packets are wanted until somebody says."""
        described = bytearray()
        capture = Capture(self.file.extend, "", describe=described.extend)
        self.file.clear()
        side = capture.side("a")
        capture.name("10.0.0.2", "client")
        capture.packet(side, 0.0, b"x", inbound=True)
        self.assertEqual(self.kinds(), [6])
        kinds = [block.kind for block in blocks(bytes(described))]
        self.assertEqual((kinds, capture.wanted), ([0x0A0D0D0A, 1, 4], True))

    def test_other_epoch(self) -> None:
        """A clock that has a date needs none."""
        capture = Capture(self.file.extend, "", epoch=0.0)
        capture.packet(capture.side("a"), 5.0, b"", inbound=True)
        self.assertEqual(packets(bytes(self.file))[0].when, 5 * 10**9)

    def test_times_that_are_none(self) -> None:
        """There is no time before 1970 in such a file."""
        self.capture.packet(0, -EPOCH, b"", inbound=True)
        for at in (-EPOCH - 1, math.inf, math.nan):
            error = self.assertRaises(LocalError, self.capture.packet, 0, at, b"", inbound=True)
            self.assertEqual(str(error), f"time is {at!r}; give seconds from -9.46685e+08 on")
