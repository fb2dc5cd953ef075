"""
What was seen of a network, to be drawn: a capture, or the journal of what faults have decided.

Times of a capture count from its first packet; those of a journal from when a connection began.
"""

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from attrs import Factory, define

from lab.capture.dissecting import Segment
from lab.capture.journeys import Journey, Trip
from lab.capture.packets import Address
from lab.capture.reading import read
from lab.errors import LocalError, shortened
from lab.experiments.plots.ladder import Arrow
from lab.experiments.plots.progress import Mark, Trace
from lab.faults.journal import Entry, Journal, Toxicity

#: So many packets, or lines of a journal, are kept.
MOST = 100_000
# What captures begin with.
_CAPTURE = b"\n\r\r\n"
# So many bytes of a line.
_LINE = 2**20
# What verdicts are drawn as.
_KINDS = {
    "drop": "lost", "cut": "lost", "delay": "delayed", "hold": "delayed",
    "duplicate": "duplicate", "corrupt": "changed",
}  # fmt: skip


@define
class Seen:
    """
    What was seen.

    Attributes:
        arrows: For a ladder, in their order.
        traces: For numbers over time.
        notes: What there is to know: what was left out.
    """

    arrows: list[Arrow]
    traces: list[Trace]
    notes: list[str] = Factory(list)


def look(path: Path, begin: float = 0.0) -> Seen:
    """
    Look at a file.

    Args:
        path: A pcapng file or a journal.
        begin: What was before this is left out, in seconds.

    Raises:
        LocalError: It can't be read, is neither of both, or there is nothing in it.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            # To open one waits for somebody who writes; a capture of a FIFO is for Wireshark.
            raise LocalError("it is a FIFO")  # noqa: TRY301 - as what else is wrong
        with path.open("rb") as file:
            begins = file.read(len(_CAPTURE))
            file.seek(0)
            seen = (of_capture if begins == _CAPTURE else of_journal)(file, begin)
    except OSError as error:
        raise LocalError(f"file is {str(path)!r}; {error.strerror}") from None
    except LocalError as error:
        raise LocalError(
            f"file is {str(path)!r}; {error}: give a pcapng file or a journal"
        ) from error
    if not seen.arrows:
        raise LocalError(f"file is {str(path)!r}; nothing in it could be drawn")
    return seen


def of_capture(file: IO[bytes], begin: float = 0.0) -> Seen:
    """
    Packets of a capture.

    Args:
        file: Open, at its begin.
        begin: Packets before this are left out, in seconds since the first.

    Raises:
        LocalError: It is none of pcapng.
    """
    trip = Trip.of(read(file), MOST)
    found = [journey for journey in trip.journeys if journey.sent >= begin]
    name = _namer(found, trip.names)
    arrows = [
        Arrow(
            name(one.segment.source),
            name(one.segment.to),
            one.sent,
            one.sent if one.arrived is None else one.arrived,
            _label(one),
            one.lost,
            one.kind,
        )
        for one in found
    ]
    notes = []
    if trip.passed:
        notes.append(f"{trip.passed:,} packets behind the first {MOST:,} left out")
    if trip.strange:
        notes.append(f"{trip.strange:,} packets of other protocols left out")
    return Seen(arrows, _traces(found, trip.names), notes)


def of_journal(file: IO[bytes], begin: float = 0.0) -> Seen:
    """
    Decisions of a journal; as `of_capture`.

    Raises:
        LocalError: A line is none of a journal.
    """
    journal, lines, passed = Journal(), 0, 0
    while line := file.readline(_LINE):
        lines += 1
        if len(journal.entries) >= MOST:
            passed += 1
        elif line.strip():
            try:
                journal.add(line.decode(errors="replace").rstrip())
            except LocalError as error:
                shown = shortened(line.rstrip())
                raise LocalError(f"line {lines} is {shown}, none of a journal") from error
    entries = [one for one in journal.entries if isinstance(one, Entry) and one.at >= begin]
    arrows = [_decided(entry) for entry in entries]
    notes = ["only what faults have decided, times since the connection began"]
    if passed:
        notes.append(f"{passed:,} lines behind the first {MOST:,} left out")
    toxic = sum(isinstance(one, Toxicity) for one in journal.entries)
    if toxic:
        notes.append(f"{toxic:,} decisions of toxicity not drawn")
    return Seen(arrows, _decisions(entries), notes)


def _namer(journeys: Iterable[Journey], names: dict[str, str]) -> "_Namer":
    """What hosts are called; where one talks with itself, its ports are told apart."""
    ends = [(one.segment.source, one.segment.to) for one in journeys]
    return _Namer(names, ports=any(source[0] == to[0] for source, to in ends))


@define
class _Namer:
    """Names of ends."""

    names: dict[str, str]
    ports: bool

    def __call__(self, end: Address) -> str:
        """The name of an end."""
        host = self.names.get(end[0], end[0])
        return _with_port(host, end[1]) if self.ports and end[1] else host


def _with_port(host: str, port: int) -> str:
    """
    A host and a port.

    >>> _with_port("::1", 80), _with_port("a", 80)
    ('[::1]:80', 'a:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _label(journey: Journey) -> str:
    """What is written on an arrow: flags and numbers, or how a text begins."""
    segment = journey.segment
    text = _text(segment)
    if segment.protocol != "TCP":
        return f"{segment.protocol} {segment.size:,} bytes{text}"
    words = [segment.flag_names or "no flags", f"seq {journey.number:,}"]
    if segment.size:
        words.append(f"{segment.size:,} bytes{text}")
    elif journey.ack is not None:
        words.append(f"ack {journey.ack:,}")
    return ", ".join(words)


def _text(segment: Segment) -> str:
    """How what it carries begins, if that is text."""
    line = segment.data.split(b"\n")[0].decode("ascii", errors="replace").strip()
    if not line or not line.isprintable() or "\ufffd" in line:
        return ""
    # Matplotlib takes what stands between dollars for a formula.
    shown = line if len(line) <= 24 else f"{line[:23]}…"
    return f": {shown}".replace("$", r"\$")


def _traces(journeys: Iterable[Journey], names: dict[str, str]) -> list[Trace]:
    """Numbers over time, of each direction; acknowledgements stand with what they are of."""
    found: dict[tuple[str, Address, Address], list[Mark]] = {}
    for one in journeys:
        segment = one.segment
        key = (segment.protocol, segment.source, segment.to)
        marks = found.setdefault(key, [])
        end = one.number + segment.length
        if segment.protocol != "TCP" or segment.length:
            kind = "lost" if one.lost else one.kind
            at = one.sent if one.kind != "duplicate" else one.arrived or one.sent
            marks.append(Mark(at, end if segment.protocol == "TCP" else one.number, kind))
        back = (segment.protocol, segment.to, segment.source)
        if one.ack is not None:
            found.setdefault(back, []).append(Mark(one.sent, one.ack, "acknowledged"))
    return [
        Trace(
            f"{protocol} {_Namer(names, ports=True)(source)} to {_Namer(names, ports=True)(to)}",
            "sequence number" if protocol == "TCP" else "packet",
            marks,
        )
        for (protocol, source, to), marks in found.items()
        if marks
    ]


def _decided(entry: Entry) -> Arrow:
    """A decision as an arrow: the links of a simulation have their ends in their names."""
    source, _, to = entry.place.link.partition(">")
    if not to:
        source, to = f"client of {entry.place.link}", f"server of {entry.place.link}"
    if entry.place.direction == "upstream" or ">" in entry.place.link:
        ends = (source, to)
    else:
        ends = (to, source)
    verdict = entry.verdict
    late = max(verdict.delays, default=0.0)
    label = f"{entry.place.fault}: {verdict.kind}, unit {entry.unit:,}"
    lost = _KINDS.get(verdict.kind) == "lost"
    kind = "duplicate" if verdict.kind == "duplicate" else "sent"
    return Arrow(*ends, entry.at, entry.at + late, f"{label} (connection {entry.place.connection})",
                 lost, kind)  # fmt: skip


def _decisions(entries: Iterable[Entry]) -> list[Trace]:
    """Units over time, for each fault."""
    found: dict[str, list[Mark]] = {}
    for entry in entries:
        place = entry.place
        way = "" if ">" in place.link else f" {place.direction}"
        name = f"{place.fault} on {place.link}{way}"
        kind = _KINDS.get(entry.verdict.kind, "sent")
        found.setdefault(name, []).append(Mark(entry.at, entry.unit, kind))
    return [Trace(name, "unit", marks) for name, marks in found.items()]
