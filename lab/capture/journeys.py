"""
Which packets that arrived are those that were sent, and which never arrived.

A capture of one place has each packet once; those of the simulator have both sides of each link,
where delay and loss are the difference. Knows no files and draws nothing.
"""

from collections import deque
from collections.abc import Iterable

from attrs import Factory, define, evolve, frozen

from lab.capture.dissecting import Segment, dissect
from lab.capture.packets import ACK, SYN
from lab.capture.reading import Name, Packet

#: What comments say of packets that a fault took away; and of those of a stream, which are sent
#: again: where only one place is seen, that is how long they took, and not what was seen.
_DROPPED, _AGAIN = "dropped by ", "lost and sent again by "


@frozen
class Journey:
    """
    A packet on its way.

    Args:
        segment: What it says.
        sent: When it was seen first, in seconds since the first packet of all.
        arrived: When it was seen at the other side; None where that is not known.
        lost: Whether it is known that it never arrived.
        kind: ``sent``; ``again`` for bytes that were sent before; ``duplicate`` for one that
            arrives once more.
        number: In TCP of its first byte, in others of the packet, from 0 in its direction.
        ack: The acknowledged number of the peer's bytes, from 0; None without one.
        comment: What was said of it.
    """

    segment: Segment
    sent: float
    arrived: float | None = None
    lost: bool = False
    kind: str = "sent"
    number: int = 0
    ack: int | None = None
    comment: str = ""


@define
class _Direction:
    """One direction between two ends: what was sent, and where its numbers begin."""

    packets: int = 0
    first: int | None = None  # the number of SYN, or of the first byte seen
    top: int = 0  # from 0: the end of what was sent
    waiting: dict[object, deque[int]] = Factory(dict)
    known: dict[object, int] = Factory(dict)

    def count(self, seq: int) -> int:
        """A number from 0 on, beyond 32 bits: the one nearest to the last."""
        if self.first is None:
            self.first = seq
        away = (seq - self.first - self.top + 2**31) % 2**32 - 2**31
        return self.top + away


@define
class Trip:
    """
    All that was seen, in order.

    Args:
        most: So many packets are kept.

    Attributes:
        journeys: Those of which something is known.
        names: Of addresses.
        passed: How many packets were passed over: there are more than were to be kept.
        strange: How many packets are of protocols that are not known.
        two_sided: Whether packets are seen where they leave, and where they arrive.
    """

    most: int
    journeys: list[Journey] = Factory(list)
    names: dict[str, str] = Factory(dict)
    passed: int = 0
    strange: int = 0
    two_sided: bool = False
    _begin: int | None = None
    _directions: dict[object, _Direction] = Factory(dict)
    _sides: dict[object, int] = Factory(dict)

    @classmethod
    def of(cls, found: Iterable[Packet | Name], most: int) -> "Trip":
        """Follow the packets of a capture."""
        trip = cls(most)
        for one in found:
            if isinstance(one, Name):
                trip.names[one.address] = one.name
            else:
                trip._see(one)
        trip._end()
        return trip

    def _see(self, packet: Packet) -> None:
        """A packet."""
        if self._begin is None:
            self._begin = packet.at
        segment = dissect(packet.link, packet.data)
        if segment is None:
            self.strange += 1
            return
        at = (packet.at - self._begin) / 1e9
        between = (segment.protocol, segment.source, segment.to)
        direction = self._directions.setdefault(between, _Direction())
        # Where a packet comes in on another interface than it went out, it has arrived.
        sender = self._sides.setdefault(between, packet.side)
        if packet.inbound and packet.side != sender:
            self.two_sided = True
            self._arrive(direction, segment, at, packet.comment)
        elif len(self.journeys) >= self.most:
            self.passed += 1
        else:
            self._send(direction, segment, at, packet.comment)

    def _send(self, direction: _Direction, segment: Segment, at: float, comment: str) -> None:
        """It leaves."""
        number, kind, ack = direction.packets, "sent", None
        direction.packets += 1
        if segment.protocol == "TCP":
            if segment.flags & SYN:
                direction.first, direction.top = segment.seq, 0
            number = direction.count(segment.seq)
            if segment.length and number < direction.top:
                kind = "again"
            direction.top = max(direction.top, number + segment.length)
            ack = self._acknowledged(segment)
        lost = _DROPPED in comment or _AGAIN in comment
        if not lost:
            place = len(self.journeys)
            direction.waiting.setdefault(_key(segment), deque()).append(place)
        self.journeys.append(Journey(segment, at, None, lost, kind, number, ack, comment))

    def _acknowledged(self, segment: Segment) -> int | None:
        """What it acknowledges, from 0."""
        back = self._directions.get((segment.protocol, segment.to, segment.source))
        if not segment.flags & ACK or back is None or back.first is None:
            return None
        return back.count(segment.ack)

    def _arrive(self, direction: _Direction, segment: Segment, at: float, comment: str) -> None:
        """It is there: the one that has waited longest of those that are alike."""
        key = _key(segment)
        waiting = direction.waiting.get(key)
        if waiting:
            if segment.protocol == "TCP" and segment.size:
                # TCP sends bytes again because those before were lost.
                while len(waiting) > 1:
                    lost = waiting.popleft()
                    self.journeys[lost] = evolve(self.journeys[lost], lost=True)
            place = waiting.popleft()
            direction.known[key] = place
            before = self.journeys[place]
            told = before.comment or comment
            self.journeys[place] = evolve(before, arrived=at, comment=told)
        elif key in direction.known and len(self.journeys) < self.most:
            before = self.journeys[direction.known[key]]
            self.journeys.append(evolve(before, arrived=at, kind="duplicate", comment=comment))
        elif segment.protocol == "TCP" and segment.size:
            self._cover(direction, segment, at)

    def _cover(self, direction: _Direction, segment: Segment, at: float) -> None:
        """Bytes arrive in other pieces than they were sent in: all up to there have arrived."""
        end = direction.count(segment.seq) + segment.size
        for waiting in direction.waiting.values():
            while waiting:
                journey = self.journeys[waiting[0]]
                if not journey.segment.size or journey.number + journey.segment.size > end:
                    break
                self.journeys[waiting.popleft()] = evolve(journey, arrived=at)

    def _end(self) -> None:
        """What has not arrived where all else is seen to arrive, is lost."""
        if not self.two_sided:
            for place, journey in enumerate(self.journeys):
                if _AGAIN in journey.comment:
                    self.journeys[place] = evolve(journey, lost=False)
            return
        for direction in self._directions.values():
            for waiting in direction.waiting.values():
                for place in waiting:
                    # What a capture ends before is not lost for certain, but is drawn as such.
                    self.journeys[place] = evolve(self.journeys[place], lost=True)


def _key(segment: Segment) -> object:
    """What a packet has in common with itself at the other side."""
    return (segment.size, segment.seq, segment.flags, segment.data)
