"""
A capture that is being written: its interfaces, the names of addresses, packets and their times.

It takes a function that writes, and so knows no files; every block is whole when it is written.
"""

import math
from collections.abc import Callable

from attrs import define, field

from lab.capture import pcapng
from lab.errors import LocalError

#: When a clock that begins at 0 began, in seconds since 1970: the first of January 2000.
EPOCH = 946_684_800.0


@define(eq=False)
class Capture:
    """
    A capture.

    Args:
        write: Takes bytes of the file.
        comment: What the file is about.
        hardware: What the packets were seen on.
        epoch: What the time 0 is, in seconds since 1970.
    """

    _write: Callable[[bytes], object]
    comment: str
    hardware: str = ""
    epoch: float = EPOCH
    _sides: dict[str, int] = field(init=False, factory=dict)
    _named: set[str] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin the file."""
        self._write(pcapng.section(self.comment, hardware=self.hardware, application="txlab"))

    def side(self, name: str, description: str = "") -> int:
        """
        An interface, made when it is first named.

        Args:
            name: Its name.
            description: What it is.

        Returns:
            Its number, for `packet`.
        """
        number = self._sides.get(name)
        if number is None:
            number = self._sides[name] = len(self._sides)
            self._write(pcapng.interface(name, description))
        return number

    def name(self, address: str, name: str) -> None:
        """Tell the name of an address, once."""
        if address not in self._named:
            self._named.add(address)
            self._write(pcapng.names([(address, name)]))

    def packet(
        self, side: int, at: float, data: bytes, *, inbound: bool, comment: str = ""
    ) -> None:
        """
        Add a packet.

        Args:
            side: The number of its interface.
            at: When it was seen there, in seconds.
            data: Its bytes.
            inbound: Whether it came in there; else it went out.
            comment: What there is to say of it.

        Raises:
            LocalError: The time is before 1970, or none.
        """
        if not -self.epoch <= at < math.inf:
            raise LocalError(f"time is {at!r}; give seconds from {-self.epoch:g} on")
        # The epoch as a whole number: a float of today's time has no nanoseconds.
        when = round(self.epoch * 1e6) * 1000 + round(at * 1e9)
        flags = pcapng.INBOUND if inbound else pcapng.OUTBOUND
        self._write(pcapng.packet(side, when, data, flags=flags, comment=comment))
