"""
The numbers of one direction of a TCP connection: which byte is next, and what the peer has said.

Knows no files and no network: who sees bytes pass is told which packet that made.
"""

from attrs import define

from lab.capture.packets import ACK, FIN, MSS, PSH, SYN, Address, tcp

#: What an end gives as its window, in bytes.
WINDOW = 256 * 1024


@define(eq=False)
class Flow:
    """
    What one end of a connection sends, as seen at one place.

    Args:
        source: This end.
        to: The other.

    Attributes:
        seq: The number of the next byte, from 0 for SYN.
        ack: How many of the other end's numbers it has acknowledged.
    """

    source: Address
    to: Address
    seq: int = 0
    ack: int = 0
    window: int = WINDOW

    def packet(self, flags: int, data: bytes = b"") -> bytes:
        """
        The next packet.

        Args:
            flags: As for `lab.capture.packets.tcp`; ACK is added where something came before.
            data: What it carries, `MSS` bytes at most over real Ethernet.
        """
        if self.ack:
            flags |= ACK
        if data:
            flags |= PSH
        numbers = self.seq, self.ack
        made = tcp(self.source, self.to, flags, numbers=numbers, window=self.window, data=data)
        self.seq += len(data) + bool(flags & SYN) + bool(flags & FIN)
        return made

    def packets(self, data: bytes) -> list[bytes]:
        """Bytes in as many packets as they need."""
        return [self.packet(0, data[at : at + MSS]) for at in range(0, len(data), MSS)]
