"""
A capture that is being written: its interfaces, the names of addresses, packets and their times.

It takes functions that write, and so knows no files; every block is whole when it is written.
"""

import math
from collections.abc import Callable, Iterable

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
        describe: Takes what is no packet, which nobody can do without who reads those that
            follow; ``write`` if it is not given.

    Attributes:
        wanted: Whether anybody wants packets now; who makes them need not if nobody does.
    """

    _write: Callable[[bytes], object]
    comment: str
    hardware: str = ""
    epoch: float = EPOCH
    _describe: Callable[[bytes], object] = field(kw_only=True)
    wanted: bool = field(init=False, default=True)
    _sides: dict[tuple[str, str], int] = field(init=False, factory=dict)
    _named: set[str] = field(init=False, factory=set)

    @_describe.default
    def _like_packets(self) -> Callable[[bytes], object]:
        """There is one place for all."""
        return self._write

    def __attrs_post_init__(self) -> None:
        """Begin the file."""
        self._describe(pcapng.section(self.comment, hardware=self.hardware, application="txlab"))

    def side(self, name: str, description: str = "") -> int:
        """
        An interface, made when it is first named; of two with one name each has its own text.

        Args:
            name: Its name.
            description: What it is.

        Returns:
            Its number, for `packet`.
        """
        number = self._sides.get((name, description))
        if number is None:
            number = self._sides[name, description] = len(self._sides)
            self._describe(pcapng.interface(name, description))
        return number

    def name(self, address: str, name: str) -> None:
        """Tell the name of an address, once."""
        if address not in self._named:
            self._named.add(address)
            self._describe(pcapng.names([(address, name)]))

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
        self.packets(side, at, [(data, inbound, comment)])

    def packets(self, side: int, at: float, several: Iterable[tuple[bytes, bool, str]]) -> None:
        """
        Add packets that were seen at one time, in one piece.

        Args:
            side: The number of their interface.
            at: When they were seen there, in seconds.
            several: The bytes of each, whether it came in, and what there is to say of it.

        Raises:
            LocalError: The time is before 1970, or none.
        """
        if not -self.epoch <= at < math.inf:
            raise LocalError(f"time is {at!r}; give seconds from {-self.epoch:g} on")
        # The epoch as a whole number: a float of today's time has no nanoseconds.
        when = round(self.epoch * 1e6) * 1000 + round(at * 1e9)
        way = pcapng.OUTBOUND, pcapng.INBOUND
        self._write(
            b"".join(
                pcapng.packet(side, when, data, flags=way[inbound], comment=comment)
                for data, inbound, comment in several
            )
        )
