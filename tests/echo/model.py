"""
What the RFCs say of packets, computed by their definitions, slowly and with everything in memory.

Nothing here is shared with what it is compared to.
"""

from itertools import groupby, pairwise
from typing import Any

from attrs import define, field, frozen
from hypothesis import strategies as st


@frozen
class Seen:
    """A packet as it came: its number, when it left and came, and its size."""

    number: int
    sent: float
    at: float
    size: int = 64


@define
class Model:
    """
    All figures of a stream.

    Args:
        seen: In the order of arrival.
        count: How many packets there are at least.
        expected: How many were asked for, or None.
        timeout: A silence of so long ends it, or None.
        late: See `lab.echo.oneway.OneWay`.
    """

    seen: list[Seen]
    count: int
    expected: int | None = None
    timeout: float | None = None
    late: float = 0.1
    foreign: int = 0
    overdue: int = 0
    #: Those that count, and of them the first copies.
    taken: list[Seen] = field(factory=list)
    firsts: list[Seen] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        """Sort out what does not count."""
        over = False
        for one in self.seen:
            if one.number < 0 or (self.expected is not None and one.number >= self.expected):
                self.foreign += 1
                continue
            if self.timeout is not None and self.taken:
                over = over or one.at - self.taken[-1].at > self.timeout
            if over:
                self.overdue += 1
                continue
            if one.number not in {other.number for other in self.taken}:
                self.firsts.append(one)
            self.taken.append(one)

    @property
    def packets(self) -> int:
        """How many there are."""
        return max([self.count, *(one.number + 1 for one in self.firsts)])

    @property
    def lost(self) -> list[int]:
        """The numbers that did not come."""
        return sorted(set(range(self.packets)) - {one.number for one in self.firsts})

    def copies(self, number: int) -> int:
        """How often a packet came."""
        return sum(one.number == number for one in self.taken)

    def jump(self, one: Seen) -> Seen | None:
        """The first arrival before it of a higher number."""
        before = self.firsts[: self.firsts.index(one)]
        return next((other for other in before if other.number > one.number), None)

    def extent(self, one: Seen) -> int:
        """How many arrivals ago that was; 0 if there was none."""
        jump = self.jump(one)
        return self.firsts.index(one) - self.firsts.index(jump) if jump else 0

    def n(self, one: Seen) -> int:
        """The largest n for which it is n-reordered."""
        index = self.firsts.index(one)
        return max(
            n
            for n in range(index + 1)
            if all(other.number > one.number for other in self.firsts[index - n : index])
        )

    @property
    def reordered(self) -> list[Seen]:
        """Those that came behind a higher number."""
        return [one for one in self.firsts if self.jump(one)]

    def behind(self, one: Seen) -> float:
        """How long after the first of its successors."""
        jump = self.jump(one)
        return one.at - jump.at if jump else 0.0

    @property
    def ipdv(self) -> list[float]:
        """Differences of the delays of neighbours."""
        delays = {one.number: one.at - one.sent for one in self.firsts}
        return sorted(delays[n] - delays[n - 1] for n in delays if n - 1 in delays)

    @property
    def pdv(self) -> list[float]:
        """Delays above the least."""
        delays = [one.at - one.sent for one in self.firsts]
        return sorted(delay - min(delays) for delay in delays)

    @property
    def jitter(self) -> float:
        """RFC 3550, section 6.4.1, as it stands there."""
        found = 0.0
        for before, one in pairwise(self.firsts):
            difference = (one.at - before.at) - (one.sent - before.sent)
            found += (abs(difference) - found) / 16
        return found

    @property
    def bursts(self) -> list[int]:
        """Lengths of the runs of lost numbers, in their order."""
        lost = self.lost
        runs = groupby(enumerate(lost), lambda pair: pair[1] - pair[0])
        return [len(list(run)) for _, run in runs]

    @property
    def distances(self) -> list[int]:
        """From each lost packet to the one before."""
        lost = self.lost
        return [after - before for before, after in pairwise(lost)]

    def rows(self, every: float) -> list[dict[str, int]]:
        """The counts of each interval, from the first arrival on."""
        if not self.taken:
            return [{"received": 0, "lost": len(self.lost), "size": 0}] * bool(self.lost)
        start = self.taken[0].at
        last = int((self.taken[-1].at - start) / every)
        rows = [
            {"received": 0, "lost": 0, "duplicates": 0, "reordered": 0, "size": 0}
            for _ in range(last + 1)
        ]
        for one in self.taken:
            row = rows[int((one.at - start) / every)]
            row["size"] += one.size
            if one not in self.firsts:
                row["duplicates"] += 1
            else:
                row["received"] += 1
                row["reordered"] += one in self.reordered
        for number in self.lost:
            above = [one.at for one in self.firsts if one.number > number]
            rows[int((above[0] - start) / every) if above else last]["lost"] += 1
        return rows


@st.composite
def arrivals(draw: Any) -> list[Seen]:
    """Packets that are lost, come again, come late, and come in any order."""
    count = draw(st.integers(0, 25))
    offset = draw(st.sampled_from([0.0, 1000.0, -50.0]))
    seen, delays = [], st.integers(0, 600)
    for number in range(count):
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 0, 2, 3]))):
            sent = number / 64
            # Parts of 1/1024 s, which floats add without error; no two at one time.
            at = sent + draw(delays) / 1024 + len(seen) / 2**20
            seen.append(Seen(number, sent - offset, at, draw(st.integers(0, 99))))
    shift = draw(st.integers(0, 3))
    return sorted(
        (Seen(one.number + shift, one.sent, one.at, one.size) for one in seen),
        key=lambda one: one.at,
    )
