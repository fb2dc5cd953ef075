"""What faults have done, in words: for the comments of captures and for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import fields

from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.journal import Line, Toxicity
from lab.faults.schema import DATAGRAMS, STREAMS, to_json
from lab.faults.verdicts import Verdict

#: A fault, and what it decided; or a word for what needs no decision.
Touch = tuple[Fault, Verdict | str]
#: From which byte to which (behind the last), and what was done to them.
Touched = tuple[int, int, Touch]

_DONE = {
    "cut": "cut",
    "corrupt": "corrupted",
    "delay": "delayed",
    "duplicate": "duplicated",
    "hold": "held back",
}
_KINDS = STREAMS | DATAGRAMS
# The field's short word.
_SHORT = {"probability": "p"}
# A comment tells so many things at most.
_MOST = 8


def told(fault: Fault, verdict: Verdict | str, dropped: str = "dropped") -> str:
    """
    What a fault did to a unit, with its settings and the draw that decided; empty for nothing.

    Args:
        fault: Which.
        verdict: What it decided, or the word for what it did without that.
        dropped: The word for what it does to what it drops.

    >>> from lab.faults.datagrams import Loss
    >>> told(Fault(Loss(0.3), "loss"), Verdict((), draw=0.1131))
    'dropped by loss, p=0.3, draw 0.113'
    """
    if isinstance(verdict, str):
        return done_by(fault, verdict)
    if verdict.kind == "deliver":
        return ""
    done = dropped if verdict.kind == "drop" else _DONE[verdict.kind]
    if verdict.kind == "delay":
        done += f" {verdict.delays[0] * 1000:.6g} ms"
    draw = f", draw {verdict.draw:.3f}" if verdict.draw is not None else ""
    return done_by(fault, done) + draw


def all_told(touches: Sequence[Touch]) -> str:
    """What several faults did, one after the other."""
    return "; ".join(told(fault, verdict) for fault, verdict in touches)


def segment_comments(touched: Iterable[Touched], size: int, segment: int) -> list[str]:
    """
    What faults did to bytes of a stream, for each of the segments that they are cut in.

    What a loss drops of a stream is sent again, as TCP does, and arrives.

    Args:
        touched: What was done, and to which of the bytes.
        size: How many bytes there are.
        segment: How many of them a segment has, but the last.

    Returns:
        One for each segment, empty for nothing.

    >>> from lab.faults.datagrams import Latency, Loss
    >>> lost = Fault(Loss(0.3), "loss"), Verdict((), draw=0.1131)
    >>> late = Fault(Latency(0.02), "late"), Verdict((0.02,))
    >>> segment_comments([(0, 2000, late), (1460, 2000, lost)], 2000, 1460)[1]
    'delayed 20 ms by late, latency=20; lost and sent again by loss, p=0.3, draw 0.113'
    """
    found: list[dict[str, None]] = [{} for _ in range(0, size, segment)]
    for begin, end, (fault, done) in touched:
        dropped = "lost and sent again" if isinstance(fault.settings, Loss) else "dropped"
        words = told(fault, done, dropped)
        for place in found[begin // segment : (end - 1) // segment + 1]:
            place[words] = None
    return [joined(list(filter(None, words))) for words in found]


def joined(words: Sequence[str]) -> str:
    """Several things that were done, in one text; of very many, some."""
    more = f" and {len(words) - _MOST:,} times more" if len(words) > _MOST else ""
    return "; ".join(words[:_MOST]) + more


def done_by(fault: Fault, done: str) -> str:
    """What a fault that decides nothing by itself did, with its settings."""
    return ", ".join([f"{done} by {fault.name}", *_settings(fault)])


def decided(entry: Line) -> str:
    """
    One decision, as a report tells of it.

    >>> from lab.faults.journal import Entry, Place
    >>> decided(Entry(Place("a>b", fault="loss"), 3, 1.5, Verdict(())))
    'drop by loss on a>b, unit 3'
    """
    place = entry.place
    if isinstance(entry, Toxicity):
        return f"{entry.kind} by {place.fault} on {place.link}, connection {place.connection}"
    return f"{entry.verdict.kind} by {place.fault} on {place.link}, unit {entry.unit}"


def _settings(fault: Fault) -> list[str]:
    """The attributes that are not as usual, in the units of JSON."""
    kind: Any = type(fault.settings)
    usual = {one.name: one.default for one in fields(kind)}
    return [
        f"{_SHORT.get(name, name)}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in to_json(fault, _KINDS)["attributes"].items()
        if getattr(fault.settings, name) != usual[name]
    ]
