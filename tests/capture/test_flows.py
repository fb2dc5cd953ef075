"""The numbers of one direction of a connection."""

import struct

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.flows import Flow
from lab.capture.packets import ACK, FIN, MSS, PSH, SYN


def fields(packet: bytes) -> tuple[int, int, int, bytes]:
    """Sequence and acknowledgement number, flags, data of a TCP packet over IPv4."""
    seq, ack, length, flags = struct.unpack_from("!IIBB", packet, 38)
    return seq, ack, flags, packet[34 + (length >> 4) * 4 :]


class FlowTests(SynchronousTestCase):
    """Which numbers packets have."""

    def setUp(self) -> None:
        """A direction of a connection."""
        self.flow = Flow(("10.0.0.2", 1), ("10.0.0.3", 2))

    def test_a_life(self) -> None:
        """SYN and FIN take one number each, bytes one each."""
        found = [fields(self.flow.packet(SYN))]
        self.flow.ack = 1
        found += [fields(self.flow.packet(0)), fields(self.flow.packet(0, b"hello"))]
        self.flow.ack = 8
        found += [fields(self.flow.packet(0)), fields(self.flow.packet(FIN))]
        found += [fields(self.flow.packet(0))]
        self.assertEqual(
            found,
            [
                (0, 0, SYN, b""),
                (1, 1, ACK, b""),
                (1, 1, ACK | PSH, b"hello"),
                (6, 8, ACK, b""),
                (6, 8, ACK | FIN, b""),
                (7, 8, ACK, b""),
            ],
        )

    def test_many_bytes(self) -> None:
        """They are cut in segments."""
        data = bytes(range(256)) * 12
        found = [fields(packet) for packet in self.flow.packets(data)]
        self.assertEqual([seq for seq, _, _, _ in found], [0, MSS, 2 * MSS])
        self.assertEqual(b"".join(part for _, _, _, part in found), data)
