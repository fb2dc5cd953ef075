"""
One TCP connection as one of its ends has it: who says what, in packets without a flaw.

Knows no files and no network: it is told what an application can know, bytes and ends. What only
TCP knows is made up: the handshake, and acknowledgements right behind the bytes.
"""

from collections.abc import Sequence

from lab.capture.flows import Flow
from lab.capture.packets import FIN, MSS, RST, SYN, Address
from lab.capture.recorder import Capture

# After so many segments comes an acknowledgement, well before the window is full.
_AT_ONCE = 44


class Conversation:
    """
    A connection.

    Args:
        capture: Where its packets go.
        side: The number of the interface at which they are seen.
        here: The address of this end.
        there: The address of the peer.
        first: The number of both SYNs. Of two connections between the same addresses each needs
            its own, or else it looks like the other.
    """

    def __init__(
        self, capture: Capture, side: int, here: Address, there: Address, first: int
    ) -> None:
        self._capture, self._side = capture, side
        # By whether a packet comes in.
        self._flows = Flow(here, there, first), Flow(there, here, first)
        self._ended = [False, False]

    def open(self, at: float, *, inbound: bool) -> None:
        """
        It is there.

        Args:
            at: When, in seconds.
            inbound: Whether the peer has asked for it.
        """
        asked = self._made(SYN, inbound=inbound)
        self._take(inbound=not inbound)
        answered = self._made(SYN, inbound=not inbound)
        agreed = self._acknowledgement(inbound=inbound)
        self._capture.packets(self._side, at, [asked, answered, agreed])

    def send(self, at: float, data: bytes, comments: Sequence[str] = (), *, inbound: bool) -> None:
        """
        Bytes are sent; what comes behind an end is passed over.

        Args:
            at: When, in seconds.
            data: They.
            comments: What there is to say of each `MSS` bytes of them; none if there is nothing.
            inbound: Whether the peer sends them.
        """
        if self._ended[inbound]:
            return
        flow = self._flows[inbound]
        if not self._capture.wanted:
            flow.seq += len(data)
            self._take(inbound=not inbound)
            return
        found: list[tuple[bytes, bool, str]] = []
        for number, packet in enumerate(flow.packets(data), 1):
            found.append((packet, inbound, comments[number - 1] if comments else ""))
            left = max(0, len(data) - number * MSS)
            if not left or not number % _AT_ONCE:
                found.append(self._acknowledgement(left, inbound=not inbound))
        self._capture.packets(self._side, at, found)

    def note(self, at: float, comment: str) -> None:
        """
        Something is to be said of bytes that the peer has sent before.

        It is said with an acknowledgement of ours that acknowledges nothing new, as TCP itself
        says that something is missing.

        Args:
            at: When, in seconds.
            comment: What.
        """
        self._capture.packets(self._side, at, [self._made(0, comment, inbound=False)])

    def end(self, at: float, comment: str = "", *, inbound: bool) -> None:
        """
        One of the two sends no more (FIN); it does not matter if it has said so before.

        Args:
            at: When, in seconds.
            comment: What there is to say of that.
            inbound: Whether it is the peer.
        """
        if not self._ended[inbound]:
            self._ended[inbound] = True
            packet = self._made(FIN, comment, inbound=inbound)
            answer = self._acknowledgement(inbound=not inbound)
            self._capture.packets(self._side, at, [packet, answer])

    def reset(self, at: float, comment: str = "", *, inbound: bool) -> None:
        """
        One of the two destroys it (RST); nothing is seen of it from then on.

        Args:
            at: When, in seconds.
            comment: What there is to say of that.
            inbound: Whether it is the peer.
        """
        self._ended = [True, True]
        self._capture.packets(self._side, at, [self._made(RST, comment, inbound=inbound)])

    def _made(self, flags: int, comment: str = "", *, inbound: bool) -> tuple[bytes, bool, str]:
        """A packet without bytes."""
        return self._flows[inbound].packet(flags), inbound, comment

    def _take(self, left: int = 0, *, inbound: bool) -> None:
        """One has what the other has sent, but for so many bytes."""
        self._flows[inbound].ack = self._flows[not inbound].seq - left

    def _acknowledgement(self, left: int = 0, *, inbound: bool) -> tuple[bytes, bool, str]:
        """One says so."""
        self._take(left, inbound=inbound)
        return self._made(0, inbound=inbound)
