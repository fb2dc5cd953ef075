"""
What has become of packets, by the journal of a proxy and by what came out of it; and the comparison
of a client's report with that, packet by packet.

Nothing of it is shared with what makes reports. A report has to be right about what came while the
client listened, always. What came and what the journal says are the same, too, unless the proxy was
so late that the client had not waited for it: that is counted as ``late``, and is no fault of the
client's.

The faults of a direction are loss, duplicate and
what changes only the order, one behind the other: the first sees each datagram as a unit, the
second those that are left.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.echo.outcomes import Measured
from lab.echo.wire import Packet, Probed, WireError, read_reply
from lab.faults.journal import Line

#: A client is asked to prove its address so often at most, for one request.
PROOFS = 8


def decided(journal: Iterable[Line], direction: str, fault: str) -> set[int]:
    """
    The units about which a fault has decided something; each counts those that it sees.

    Args:
        journal: Of one link and connection.
        direction: Of the fault.
        fault: Its name, or its type if it has the name that an API gives it.
    """
    names = (fault, f"{fault}_{direction}")
    return {
        entry.unit  # type: ignore[union-attr]
        for entry in journal
        if entry.place.direction == direction and entry.place.fault in names
    }


def copies(journal: Sequence[Line], direction: str, units: int) -> list[int]:
    """How often each of so many datagrams leaves the proxy, by what the journal says."""
    lost = decided(journal, direction, "loss")
    found = [int(number not in lost) for number in range(units)]
    survived = [number for number in range(units) if number not in lost]
    for number in decided(journal, direction, "duplicate"):
        if number < len(survived):
            found[survived[number]] += 1
    return found


def replies(datagrams: Iterable[bytes]) -> list[Any]:
    """The replies that datagrams are."""
    found = []
    for datagram in datagrams:
        try:
            found.append(read_reply(datagram))
        except WireError:
            found.append(None)
    return found


def extents(numbers: Iterable[int]) -> dict[int, int]:
    """
    Over how many packets each was overtaken, by the definition of RFC 4737, section 4.2.

    Args:
        numbers: In the order of their arrival; of several copies the first counts.

    >>> extents([0, 2, 3, 1, 3])
    {0: 0, 2: 0, 3: 0, 1: 2}
    """
    found: dict[int, int] = {}
    highest: list[int] = []  # so far, behind each arrival
    for number in numbers:
        if number not in found:
            found[number] = len(highest) - bisect_right(highest, number)
            highest.append(max(number, highest[-1] if highest else number))
    return found


def misclassified(
    measured: Measured, times: Mapping[int, int], behind: Mapping[int, int]
) -> list[Any]:
    """
    The packets of which a report says something else.

    Args:
        measured: What the client says.
        times: How often each packet has come; 0 if it is not in there.
        behind: By how many each that came was overtaken.
    """
    said = [(one.number, one.copies, one.extent) for one in measured.packets]
    numbers = range(len(said))
    right = [(number, times.get(number, 0), behind.get(number, 0)) for number in numbers]
    return [pair for pair in zip(said, right, strict=True) if pair[0] != pair[1]]


def too_late(left: Counter[int], came: Counter[int]) -> int:
    """How many of those that have left the proxy did not come; there may not be others."""
    assert not came - left, "what has come was lost, or not doubled, by what the proxy says"
    return (left - came).total()


def check_stream(
    measured: Measured, journal: Sequence[Line], came: Iterable[bytes], count: int
) -> Counter[str]:
    """
    Hold what a client says of a stream against what the proxy did to it on its way back.

    Before the first packet the server sends as many proofs of address as it was asked without one;
    how many that were follows from what came.

    Args:
        measured: What the client says.
        journal: What the proxy has decided.
        came: The datagrams that came out of the proxy, in their order.
        count: How many packets the server sent.

    Returns:
        What has happened, and how often.
    """
    arrived = [reply.seq for reply in replies(came) if isinstance(reply, Packet)]
    times = Counter(arrived)
    units = copies(journal, "downstream", count + PROOFS)
    fitting = [Counter(dict(enumerate(units[before:][:count]))) for before in range(1, PROOFS + 1)]
    left = min(fitting, key=lambda some: (some - times).total() + (times - some).total())
    late = too_late(left, times)
    behind = extents(arrived)
    assert len(measured.packets) == count
    assert misclassified(measured, times, behind) == []
    found: Any = measured.report
    lost, again = count - len(times), times.total() - len(times)
    reordered = sum(extent > 0 for extent in behind.values())
    counts = (found.packets, found.lost, found.duplicates, found.reordered)
    assert counts == (count, lost, again, reordered)
    assert (found.received, found.foreign) == (count - lost, 0)
    assert (found.overdue, found.forgotten) == (0, 0)
    assert sum(row.lost for row in found.intervals) == lost
    return Counter(packets=count, lost=lost, again=again, reordered=reordered, late=late)


def check_probes(
    measured: Measured, journal: Sequence[Line], came: Iterable[bytes], count: int
) -> Counter[str]:
    """
    Hold what a client says of probes against what the proxy did to them on both ways.

    Each arrival of a probe at the server has a number, the sum of what it has counted, and is
    answered; so that is the unit of the answer.

    Args:
        measured: What the client says.
        journal: What the proxy has decided.
        came: The datagrams that came out of the proxy, in their order.
        count: How many probes were sent, before anything else.

    Returns:
        What has happened, and how often.
    """
    answers = [reply for reply in replies(came) if isinstance(reply, Probed)]
    up = copies(journal, "upstream", count)
    down = copies(journal, "downstream", sum(up))
    units = Counter(reply.received + reply.duplicates - 1 for reply in answers)
    late = too_late(Counter(dict(enumerate(down))), units)
    times = Counter(reply.seq for reply in answers)
    assert all(up[number] for number in times)
    behind = extents(reply.seq for reply in answers)
    assert len(measured.packets) == count
    assert misclassified(measured, times, behind) == []
    found: Any = measured.report
    lost_up = up.count(0)
    assert (found.sent, found.answered, found.lost) == (count, len(times), count - len(times))
    assert found.reordered == sum(extent > 0 for extent in behind.values())
    assert (found.overdue, found.foreign, found.forgotten) == (0, 0, 0)
    if late:  # then the server has counted before all of them had come
        return Counter(probes=count, late=late)
    lost = (found.lost_up, found.lost_down, found.lost_unknown)
    assert lost == (lost_up, count - len(times) - lost_up, 0)
    doubled = (found.duplicates_up, found.duplicates_down)
    assert doubled == (sum(up) - count + lost_up, sum(number == 2 for number in down))
    assert (found.down.packets, found.down.lost) == (sum(up), down.count(0))
    happened = {"lost up": lost[0], "lost down": lost[1], "reordered": found.reordered}
    happened |= {"again up": doubled[0], "again down": doubled[1]}
    return Counter(probes=count, late=0, **happened)
