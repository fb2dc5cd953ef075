"""
A UDP port that reads several datagrams at a time, where the kernel hands them over so.

Knows no service. While much comes (`BULK`), Linux is asked to hand over datagrams of one sender
and size together (``UDP_GRO``, from 5.0 on). The protocol gets the same datagrams, one by one, or
those of a turn of the reactor at once if it has a method ``datagramsReceived(datagrams, addr)``.
Each counts with its headers against ``maxThroughput``, so that those of no bytes can't hold the
reactor for ever. Elsewhere all is as with Twisted's port.

**Why only while much comes.** Reading a datagram with what says how many it was made of takes
0.4 us more, which nothing pays back where they come alone. There is no way back: what lies in the
socket when the option is taken away would be read in one piece, without a word of its seams.

**Arrival times.** Datagrams that are handed over together have arrived together: a sender's system
has sent them in one piece, or a network card has handed them over in one turn. Without this they
would lie in the socket's buffer meanwhile. A stream at a pace never comes to be read so.
"""

import sys
from contextlib import suppress
from typing import Any

from twisted.internet.udp import Port
from twisted.python import log

#: For ``setsockopt``; Python's ``socket`` has no names for them.
SOL_UDP, UDP_GRO = 17, 104
#: A port that has read so many bytes in one turn of the reactor reads several datagrams at a time
#: from then on.
BULK = 2**14
#: What a datagram counts for in a turn besides its bytes: its headers, of IPv4 and UDP, in bytes.
HEADERS = 28

# Most bytes that the kernel hands over together, and room for what it says of them; a program may
# have asked for time stamps, too, and what has no room is cut off.
_LARGEST, _ANCILLARY = 65_535, 256

Address = tuple[str, int]


class CoalescingPort(Port):
    """Listens for datagrams; the arguments are those of Twisted's ``Port``."""

    #: Whether datagrams are handed over together, and whether that can be asked for.
    _together = False
    _askable = sys.platform == "linux"
    #: Whose datagrams are kept for a protocol that wants all at once, and these.
    _sender: Address | None = None
    _gathered: list[bytes]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._gathered = []

    def _bindSocket(self) -> None:
        """Open the socket; of one that is given to us, others may have a part, and read it."""
        given = self._preexistingSocket is not None
        super()._bindSocket()
        if given and self._askable:
            self._askable = False
            self._together = _is_on(self.socket)

    def doRead(self) -> None:
        """Read what is there, but not too much at a time."""
        if self._together:
            self._read_together()
        elif self._askable:
            self._read_alone()
        else:
            super().doRead()

    def _read_alone(self) -> None:
        """Read one after the other, as Twisted does; if that is much, ask for more at a time."""
        read, receive = 0, self.socket.recvfrom
        while read < self.maxThroughput:
            try:
                data, addr = receive(self.maxPacketSize)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionRefusedError:
                self._nobody()
                break
            read += len(data) + HEADERS
            self._hand_over(data, addr[:2])
        if read >= BULK:
            self._ask()

    def _read_together(self) -> None:
        """Read those that are handed over together; a protocol may want more of them at once."""
        read, refused, receive = 0, False, self.socket.recvmsg
        at_once = hasattr(self.protocol, "datagramsReceived")
        while read < self.maxThroughput:
            try:
                data, ancillary, _, addr = receive(_LARGEST, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionRefusedError:
                refused = True
                break
            read += len(data) + HEADERS
            if ancillary or at_once:
                parts = self._parted(data, _size(ancillary))
                read += HEADERS * (len(parts) - 1)
                self._gather(parts, addr[:2], at_once=at_once)
            else:
                self._hand_over(data[: self.maxPacketSize], addr[:2])
        self._hand_over_gathered()
        if refused:
            self._nobody()

    def _parted(self, data: bytes, size: int) -> list[bytes]:
        """The datagrams of this size, or the one; each is cut as it would be alone."""
        if not 0 < size < len(data):
            return [data[: self.maxPacketSize]]
        length = min(size, self.maxPacketSize)
        return [data[at : at + length] for at in range(0, len(data), size)]

    def _gather(self, datagrams: list[bytes], addr: Address, *, at_once: bool) -> None:
        """Give them to the protocol, or keep them until another sender's come, or the turn ends."""
        if not at_once:
            for datagram in datagrams:
                if self.connected:
                    self._hand_over(datagram, addr)
        elif addr == self._sender:
            self._gathered += datagrams
        else:
            self._hand_over_gathered()
            self._gathered, self._sender = datagrams, addr

    def _hand_over_gathered(self) -> None:
        """Give what was kept to the protocol."""
        datagrams, addr = self._gathered, self._sender
        self._gathered, self._sender = [], None
        if datagrams and self.connected:
            try:
                self.protocol.datagramsReceived(datagrams, addr)
            except BaseException:  # noqa: BLE001 - a mistake in a protocol ends nothing else
                log.err()

    def _hand_over(self, datagram: bytes, addr: Address) -> None:
        """Give one to the protocol."""
        try:
            self.protocol.datagramReceived(datagram, addr)
        except BaseException:  # noqa: BLE001 - see above
            log.err()

    def _nobody(self) -> None:
        """Nobody listens there; Twisted tells those that have one peer only."""
        if self._connectedAddr:
            self.protocol.connectionRefused()

    def _ask(self) -> None:
        """Have datagrams handed over together from now on, if the system can do that."""
        self._askable = False
        if self.connected:
            with suppress(OSError):
                self.socket.setsockopt(SOL_UDP, UDP_GRO, 1)
                self._together = True


def _size(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The size of datagrams that are handed over together; 0 if it is one."""
    for level, kind, said in ancillary:
        if (level, kind) == (SOL_UDP, UDP_GRO):
            return int.from_bytes(said, sys.byteorder)
    return 0


def _is_on(socket: Any) -> bool:
    """Whether datagrams are handed over together already."""
    try:
        return bool(socket.getsockopt(SOL_UDP, UDP_GRO))
    except OSError:
        return False
