"""
How one transfer keeps to the rates of a server.

It books a share, waits for its time, and sends it. The share is the smaller the more transfers
there are, and the more of them are of one address: so each address gets its part, however many
connections it has.
"""

import math

from attrs import define, field

from lab.download.shared import Shared


@define(eq=False)
class Booking:
    """
    What one transfer may send.

    Args:
        shared: Has the rates, and knows the transfers.
        address: Of the peer, as far as limits for one address go.

    Attributes:
        due: When what is booked may be sent, in seconds.
    """

    _shared: Shared
    _address: str
    due: float = field(init=False, default=0.0)
    _booked: int = field(init=False, default=0)

    def allowed(self, left: int, now: float) -> int:
        """
        How many bytes may be sent now; 0 before ``due``.

        Args:
            left: Bytes that there are.
            now: In seconds.
        """
        rates, places = self._shared.rates, self._shared.transfers
        if rates.least == math.inf:
            return left
        if not self._booked:
            transfers = places.addresses() * places.of(self._address)
            self._booked = min(left, rates.part(max(1, transfers)))
            self.due = now + rates.wait(self._address, now)
            rates.spend(self._address, self._booked, now)
        return self._booked if now >= self.due else 0

    def took(self, size: int) -> None:
        """So many bytes were sent."""
        self._booked = max(0, self._booked - size)
