"""Packets one by one, for plots and for comparing with what was done to each."""

from itertools import pairwise

from attrs import define, evolve, field

from lab.echo.figures import Packet


@define
class Kept:
    """
    Keeps packets: some hundred bytes each.

    Attributes:
        packets: Those that came, by their number; ``sent`` and ``delay`` have any zero.
    """

    packets: dict[int, Packet] = field(factory=dict, init=False, repr=False)

    def add(self, packet: Packet) -> None:
        """One that came for the first time."""
        self.packets[packet.number] = packet

    def again(self, number: int) -> None:
        """A copy of one."""
        packet = self.packets[number]
        self.packets[number] = evolve(packet, copies=packet.copies + 1)

    def all(self, count: int, step: float) -> list[Packet]:
        """
        All packets by their number, those that did not come included.

        Args:
            count: How many there are.
            step: Seconds from one to the next by the sender's plan. A packet that was lost between
                two others is put between their times; at the ends, and if fewer than two came,
                the plan has to do.
        """
        sent = self._sent(count, step)
        least = min((packet.delay or 0.0 for packet in self.packets.values()), default=0.0)
        return [
            evolve(packet, sent=at - sent[0], delay=(packet.delay or 0.0) - least)
            if (packet := self.packets.get(number))
            else Packet(number, at - sent[0], None, copies=0)
            for number, at in enumerate(sent)
        ]

    def _sent(self, count: int, step: float) -> list[float]:
        """When each left."""
        known = sorted((packet.number, packet.sent) for packet in self.packets.values())
        if not known:
            return [number * step for number in range(count)]
        number, at = known[0]
        sent = [at - step * (number - before) for before in range(number)]
        for (number, at), (later, then) in pairwise(known):
            each = (then - at) / (later - number)
            sent += [at + each * more for more in range(later - number)]
        number, at = known[-1]
        return sent + [at + step * (after - number) for after in range(number, count)]
