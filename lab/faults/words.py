"""What faults have done, in words: for the comments of captures and for people."""

from collections.abc import Sequence
from typing import Any

from attrs import fields

from lab.faults.fault import Fault
from lab.faults.journal import Line, Toxicity
from lab.faults.schema import DATAGRAMS, STREAMS, to_json
from lab.faults.verdicts import Verdict

#: A fault, and what it decided.
Touch = tuple[Fault, Verdict]

_DONE = {
    "cut": "cut",
    "corrupt": "corrupted",
    "delay": "delayed",
    "drop": "dropped",
    "duplicate": "duplicated",
    "hold": "held back",
}
_KINDS = STREAMS | DATAGRAMS
# The field's short word.
_SHORT = {"probability": "p"}


def told(fault: Fault, verdict: Verdict | str) -> str:
    """
    What a fault did to a unit, with its settings and the draw that decided; empty for nothing.

    Args:
        fault: Which.
        verdict: What it decided, or the word for what it did without that.

    >>> from lab.faults.datagrams import Loss
    >>> told(Fault(Loss(0.3), "loss"), Verdict((), draw=0.1131))
    'dropped by loss, p=0.3, draw 0.113'
    """
    if isinstance(verdict, str):
        return done_by(fault, verdict)
    if verdict.kind == "deliver":
        return ""
    done = _DONE[verdict.kind]
    if verdict.kind == "delay":
        done += f" {verdict.delays[0] * 1000:.6g} ms"
    draw = f", draw {verdict.draw:.3f}" if verdict.draw is not None else ""
    return done_by(fault, done) + draw


def all_told(touches: Sequence[Touch]) -> str:
    """What several faults did, one after the other."""
    return "; ".join(told(fault, verdict) for fault, verdict in touches)


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
