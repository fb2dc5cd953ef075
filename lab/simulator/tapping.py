"""
What a capture sees of a simulation: who sent which packet, and what arrived.

Between two hosts there are two interfaces, one at each side, so that delay and loss are the
difference between them. Knows no reactor; headers are made up by `lab.capture`.
"""

from lab.capture.flows import Flow
from lab.capture.packets import FIN, RST, SYN, Address
from lab.capture.recorder import Capture
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.streams import RESET, Item, Mark
from lab.faults.verdicts import Verdict
from lab.faults.words import done_by, told
from lab.simulator.kernel import Kernel


class Tap:
    """
    Sees one direction between two hosts.

    Args:
        capture: Where packets go.
        kernel: The clock.
        source: Name of the host that sends.
        to: Name of the host that receives; its loopback if it is the same.
        there: Whether there is such a host.
    """

    def __init__(
        self, capture: Capture, kernel: Kernel, source: str, to: str, *, there: bool = True
    ) -> None:
        self._capture, self._kernel = capture, kernel
        self._near = capture.side(f"{source}-to-{to}", f"the side of {source} on its link to {to}")
        self._far = self._near
        if there and to != source:
            self._far = capture.side(
                f"{to}-to-{source}", f"the side of {to} on its link to {source}"
            )

    def leaves(self, packet: bytes, comment: str = "") -> None:
        """A packet is sent."""
        self._capture.packet(self._near, self._kernel.now, packet, inbound=False, comment=comment)

    def arrives(self, packet: bytes, comment: str = "") -> None:
        """A packet is there. On a loopback it has been seen already, nowhere it is not seen."""
        if self._near != self._far:
            self._capture.packet(self._far, self._kernel.now, packet, inbound=True, comment=comment)


class StreamTap:
    """
    Sees one direction of one connection.

    Args:
        tap: Sees the way it takes.
        source: The end that sends.
        to: The end that receives.
    """

    traces = True

    def __init__(self, tap: Tap, source: Address, to: Address) -> None:
        self._tap = tap
        #: As its end sends, and as it arrives.
        self._near, self._far = Flow(source, to), Flow(source, to)
        self._waiting = bytearray()  # bytes that have left and not arrived
        self._arrived = 0
        #: Up to where each loss has judged; what is before that is sent again.
        self._judged: dict[str, int] = {}
        self.ending = ""  # which fault has ended it

    # Control packets: what is said without bytes.

    def say(self, flags: int) -> bytes:
        """The packet with which the end says something."""
        return self._near.packet(flags)

    def hear(self, packet: bytes, flags: int, acked: int) -> None:
        """It has arrived; so much was acknowledged when it left."""
        self._far.seq += bool(flags & SYN)
        self._far.ack = max(self._far.ack, acked)
        self._tap.arrives(packet)

    def leaves(self, packet: bytes, comment: str = "") -> None:
        """A packet is sent."""
        self._tap.leaves(packet, comment)

    @property
    def acked(self) -> int:
        """How much the end has taken of what the other sends; SYN and FIN count 1 each."""
        return self._near.ack

    def acknowledge(self, size: int) -> None:
        """It has taken so much more."""
        self._near.ack += size

    # Bytes, and their end.

    def send(self, data: bytes) -> bytes:
        """The packet with which the end sends bytes."""
        self._waiting += data
        return self._near.packet(0, data)

    def arrive(self, item: Item, told: str = "") -> None:
        """Bytes are there, or an end or a reset that a fault has made; and what was done to it."""
        if isinstance(item, Mark):
            self._tap.arrives(self._far.packet(RST if item is RESET else FIN), told)
            return
        self._arrived += len(item)
        del self._waiting[: len(item)]
        for packet in self._far.packets(item):
            self._tap.arrives(packet, told)

    # What faults say: `lab.faults.trail.Watch`.

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """What a loss judges again is sent again."""
        if isinstance(fault.settings, Loss):
            if start < self._judged.get(fault.name, 0):
                at = start - self._arrived
                data = bytes(self._waiting[at : at + size])
                flow = Flow(self._near.source, self._near.to, 1 + start, self._near.ack)
                self._tap.leaves(flow.packet(0, data), told(fault, done))
            self._judged[fault.name] = max(start + size, self._judged.get(fault.name, 0))

    def ended(self, fault: Fault) -> None:
        """Keep who it was."""
        self.ending = done_by(fault, "ended")
