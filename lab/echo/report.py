"""
What is to be said of a stream of packets, as values, and as JSON with the names of iperf3.

Knows neither how it was measured (see `lab.echo.oneway` and `lab.echo.roundtrip`) nor how it is
shown. What each figure means is on the page "Measuring streams". Seconds and bytes.
"""

from typing import Any

from attrs import asdict, frozen

from lab.echo.figures import Bursts, Figures, Reordering, Sender, figures_json


@frozen
class Interval:
    """
    What was seen in one interval.

    Args:
        start: In seconds from the beginning.
        end: In seconds from the beginning.
        received: Packets that came, each counted once; of probes: those that were sent in this
            interval and answered.
        lost: Packets that were found missing in it and never came; of probes: those that were
            sent in this interval and not answered, but for those in flight.
        duplicates: Packets that had come before.
        reordered: Packets that came behind a higher number.
        late: Packets that came too long behind their successors.
        size: Bytes of all that came.
        jitter: At its end, in seconds (RFC 3550); None if nothing came, and for probes.
        least: The smallest delay, in seconds; see `lab.echo.figures.Packet`; None without packets.
        mean: The mean delay, in seconds.
        most: The largest delay, in seconds.
        in_flight: While more may come: probes that were sent in it, and whose answer is not
            overdue yet.
    """

    start: float
    end: float
    received: int
    lost: int
    duplicates: int
    reordered: int
    late: int
    size: int
    jitter: float | None
    least: float | None
    mean: float | None
    most: float | None
    in_flight: int = 0

    @property
    def packets(self) -> int:
        """Received and lost."""
        return self.received + self.lost

    @property
    def bits_per_second(self) -> float:
        """Of all that came."""
        return _rate(self.size, self.end - self.start)

    def as_json(self) -> dict[str, Any]:
        """As iperf3 has it, and more."""
        more = {"received": self.received, "duplicates": self.duplicates, "late": self.late}
        delay = {"min": self.least, "mean": self.mean, "max": self.most}
        return {"sum": _iperf(self, self.start, self.end) | more | {"delay": delay}}


@frozen(kw_only=True)
class Report:
    """
    What a receiver saw of a stream.

    Args:
        received: Packets that came in time, each counted once.
        lost: Packets that did not. Received and lost are all packets.
        duplicates: Copies that came besides the first (RFC 5560).
        reordered: Packets that came behind a higher number (RFC 4737).
        late: Packets of those received that came too long behind their successors.
        overdue: Arrivals behind the receive timeout; they change nothing of the above.
        forgotten: Arrivals from so far back that nobody knows whether they had come before.
        foreign: Arrivals of numbers that are not in the stream.
        size: Bytes of all that came before the timeout, copies included.
        seconds: From the beginning to the last of them.
        jitter: At the end, in seconds (RFC 3550).
        ipdv: Differences of the delays of neighbours, in seconds (RFC 3393).
        pdv: Delays above the least, in seconds (RFC 5481).
        reordering: How packets were overtaken.
        bursts: How losses are spread.
        sender: What the sender said of itself, if that was heard.
        intervals: A row for each interval.
    """

    received: int
    lost: int
    duplicates: int
    reordered: int
    late: int
    overdue: int
    forgotten: int
    foreign: int
    size: int
    seconds: float
    jitter: float
    ipdv: Figures | None
    pdv: Figures | None
    reordering: Reordering
    bursts: Bursts
    sender: Sender | None
    intervals: tuple[Interval, ...]

    @property
    def packets(self) -> int:
        """How many were sent, as far as anybody knows."""
        return self.received + self.lost

    @property
    def bits_per_second(self) -> float:
        """Of all that came."""
        return _rate(self.size, self.seconds)

    def as_json(self) -> dict[str, Any]:
        """As iperf3 has it for UDP, and more; times without a unit in their name are seconds."""
        names = ("received", "duplicates", "late", "overdue", "forgotten", "foreign")
        end = {
            "sum": _iperf(self, 0.0, self.seconds),
            **{name: getattr(self, name) for name in names},
            "ipdv": figures_json(self.ipdv),
            "pdv": figures_json(self.pdv),
            "reordering": self.reordering.as_json(),
            "bursts": self.bursts.as_json(),
            "sender": asdict(self.sender) if self.sender else None,
        }
        return {"intervals": [one.as_json() for one in self.intervals], "end": end}


@frozen(kw_only=True)
class ProbeReport:
    """
    What a prober saw of its probes (RFC 2681, RFC 6673).

    Args:
        sent: Probes that were sent.
        answered: Probes that were answered in time, each counted once.
        overdue: Probes whose answer took longer than the timeout.
        lost_up: Probes that never reached the server.
        lost_down: Probes that did, and whose answer was lost.
        lost_unknown: Probes of which the server did not say any more whether they reached it.
        duplicates_up: Copies of probes that the server received.
        duplicates_down: Copies of answers, beside one for each time the server received a probe.
        forgotten: Answers to probes so far back that nobody knows when they were sent.
        foreign: Answers to what was not asked.
        reordered: Answers that came behind that to a later probe.
        round_trip: From probe to answer, in seconds.
        up: Delays above the least on the way to the server, in seconds.
        down: The way back, as a stream of its own; its packets are all answers that the server
            gave.
        intervals: A row for each interval in which probes were sent.
    """

    sent: int
    answered: int
    overdue: int
    lost_up: int
    lost_down: int
    lost_unknown: int
    duplicates_up: int
    duplicates_down: int
    forgotten: int
    foreign: int
    reordered: int
    round_trip: Figures | None
    up: Figures | None
    down: Report
    intervals: tuple[Interval, ...]

    @property
    def lost(self) -> int:
        """Probes without an answer in time: those lost on either way, and those overdue."""
        return self.sent - self.answered

    def as_json(self) -> dict[str, Any]:
        """Round trips in our words, the way back as `Report.as_json` has it; seconds."""
        counts = {
            name: value for name, value in asdict(self, recurse=False).items() if _is_count(value)
        }
        figures = {"round_trip": figures_json(self.round_trip), "up": figures_json(self.up)}
        end = counts | {"lost": self.lost} | figures | {"down": self.down.as_json()["end"]}
        return {"intervals": [one.as_json() for one in self.intervals], "end": end}


def _iperf(what: Report | Interval, start: float, end: float) -> dict[str, Any]:
    """What iperf3 says of a stream of UDP or of an interval of it, at its receiver."""
    return {
        "start": start,
        "end": end,
        "seconds": end - start,
        "bytes": what.size,
        "bits_per_second": what.bits_per_second,
        "jitter_ms": None if what.jitter is None else what.jitter * 1000,
        "lost_packets": what.lost,
        "packets": what.packets,
        "lost_percent": 100 * what.lost / what.packets if what.packets else 0.0,
        "out_of_order": what.reordered,
        "omitted": False,
        "sender": False,
    }


def _rate(size: int, seconds: float) -> float:
    """Bits a second; 0 in no time."""
    return 8 * size / seconds if seconds > 0 else 0.0


def _is_count(value: Any) -> bool:
    """Whether it is a number of things."""
    return isinstance(value, int)
