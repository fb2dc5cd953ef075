"""
Faults as JSON: Toxiproxy's object, the same for proxy and simulator, and the short form of it.

In JSON times are milliseconds and rates are KB/s (1 KB is 1,000 bytes), as in Toxiproxy; in
Python they are seconds and bytes/s. The short form, for command lines, is
``TYPE:NAME=VALUE,NAME=VALUE``.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from attrs import fields, frozen

from lab.errors import LocalError
from lab.faults.datagrams import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Duplicate,
    Latency,
    Loss,
    Noop,
    Reorder,
    Settings,
)
from lab.faults.fault import Fault
from lab.faults.streams import (
    Cut,
    LimitData,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)

_US, _MS, _KB = 1e-6, 0.001, 1000.0
_MUCH = 1e18  # no number in a fault is larger


@frozen
class _Kind:
    """
    One type of fault in JSON.

    Args:
        settings: The class of its settings.
        units: What one of an attribute is in Python's units, where that is not 1.
        without: Attributes in Python that this type does not have.
    """

    settings: type[Any]
    units: Mapping[str, float] = {}
    without: Collection[str] = ()

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes, with the defaults that they have in Python."""
        found = {field.name: field.default for field in fields(self.settings)}
        return {name: usual for name, usual in found.items() if name not in self.without}


#: The faults of datagrams, by their type.
DATAGRAMS: dict[str, _Kind] = {
    "latency": _Kind(Latency, {"latency": _MS, "jitter": _MS}),
    "loss": _Kind(Loss),
    "duplicate": _Kind(Duplicate),
    "reorder": _Kind(Reorder),
    "corrupt": _Kind(Corrupt),
    "bandwidth": _Kind(Bandwidth, {"rate": _KB}),
    "blackhole": _Kind(Blackhole),
    "noop": _Kind(Noop),
}
#: The faults of streams, by their type. A stream has no queue that overflows: it has to wait.
STREAMS: dict[str, _Kind] = {
    "latency": DATAGRAMS["latency"],
    "bandwidth": _Kind(Bandwidth, {"rate": _KB}, without=("queue", "packets")),
    "slow_close": _Kind(SlowClose, {"delay": _MS}),
    "timeout": _Kind(Timeout, {"timeout": _MS}),
    "reset_peer": _Kind(ResetPeer, {"timeout": _MS}),
    "slicer": _Kind(Slicer, {"delay": _US}),
    "limit_data": _Kind(LimitData),
    "packet_loss": _Kind(PacketLoss),
    "loss": DATAGRAMS["loss"],
    "corrupt": DATAGRAMS["corrupt"],
    "blackhole": DATAGRAMS["blackhole"],
    "cut": _Kind(Cut),
    "partition": _Kind(Partition),
    "noop": DATAGRAMS["noop"],
}
_TIMES = ("after", "duration", "every")


def from_json(values: Any, kinds: Mapping[str, _Kind] = DATAGRAMS) -> Fault:
    """
    Read a fault.

    Args:
        values: An object as JSON gives it: ``type``, and perhaps ``name`` (``TYPE_STREAM`` by
            default), ``stream``, ``toxicity``, ``attributes``, and the times ``after``,
            ``duration`` and ``every``, in milliseconds. What is null is not there.
        kinds: The types that there are.

    Raises:
        LocalError: Something else; the text says what is allowed.

    >>> from_json({"type": "latency", "attributes": {"latency": 20}}).settings.latency
    0.02
    """
    if not isinstance(values, dict):
        raise LocalError(f"fault is {values!r}; give an object with a type")
    given = {name: value for name, value in values.items() if value is not None}
    known = {"type", "name", "stream", "toxicity", "attributes", *_TIMES}
    _refuse_unknown("fault", given, known)
    word = given.get("type")
    kind = kinds.get(word) if isinstance(word, str) else None
    if kind is None:
        raise LocalError(f"type is {word!r}; give one of {', '.join(sorted(kinds))}")
    stream = _text("stream", given.get("stream", "downstream"))
    times = {name: _number(name, given[name]) * _MS for name in _TIMES if name in given}
    return Fault(
        _settings(kind, given.get("attributes", {})),
        _text("name", given.get("name", f"{word}_{stream}")),
        stream,
        _number("toxicity", given.get("toxicity", 1.0)),
        **times,
    )


def to_json(fault: Fault, kinds: Mapping[str, _Kind] = DATAGRAMS) -> dict[str, Any]:
    """
    Write a fault: every attribute, and of the times those that say something.

    >>> from lab.faults.datagrams import Duplicate
    >>> to_json(Fault(Duplicate(0.1), "twice"))["attributes"]
    {'probability': 0.1, 'copies': 1}
    """
    name, kind = next(
        (name, kind) for name, kind in kinds.items() if kind.settings is type(fault.settings)
    )
    attributes = {
        key: _in_units(getattr(fault.settings, key), kind.units.get(key, 1.0))
        for key in kind.attributes
    }
    times = {key: _in_units(getattr(fault, key), _MS) for key in _TIMES}
    usual = {"after": 0, "duration": math.inf, "every": 0}
    return {
        "type": name,
        "name": fault.name,
        "stream": fault.stream,
        "toxicity": fault.toxicity,
        "attributes": attributes,
        **{key: value for key, value in times.items() if value != usual[key]},
    }


def from_text(text: str, kinds: Mapping[str, _Kind] = DATAGRAMS) -> Fault:
    """
    Read the short form.

    Args:
        text: ``TYPE``, or ``TYPE:NAME=VALUE,…`` with attributes and what else a fault has.
        kinds: The types that there are.

    Raises:
        LocalError: Something else; the text says what is allowed.

    >>> from_text("loss:probability=0.3,stream=upstream").stream
    'upstream'
    """
    kind, _, rest = text.partition(":")
    values: dict[str, Any] = {"type": kind, "attributes": {}}
    for word in filter(None, rest.split(",")):
        name, equals, value = word.partition("=")
        if not equals:
            raise LocalError(f"fault is {text!r}; give TYPE:NAME=VALUE,NAME=VALUE")
        whole = {"name", "stream", "toxicity", *_TIMES}
        (values if name in whole else values["attributes"])[name] = _value(value)
    return from_json(values, kinds)


def _settings(kind: _Kind, given: Any) -> Settings:
    """The settings that these attributes make."""
    if not isinstance(given, dict):
        raise LocalError(f"attributes is {given!r}; give an object")
    given = {name: value for name, value in given.items() if value is not None}
    _refuse_unknown("attribute", given, set(kind.attributes))
    found: dict[str, Any] = {}
    for name, value in given.items():
        usual = kind.attributes[name]
        if isinstance(usual, str):
            found[name] = _text(name, value)
        elif isinstance(usual, bool):
            found[name] = _truth(name, value)
        elif isinstance(usual, int):
            found[name] = _whole(name, value)
        else:
            found[name] = _number(name, value) * kind.units.get(name, 1.0)
    settings: Settings = kind.settings(**found)
    return settings


def _refuse_unknown(what: str, given: Mapping[str, Any], known: set[str]) -> None:
    """Refuse a name that nobody knows: it is a slip of the pen, and would do nothing."""
    for name in given:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise LocalError(f"{what} is {name!r}; give one of {allowed}")


def _text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str) or not value:
        raise LocalError(f"{name} is {value!r}; give a text")
    return value


def _number(name: str, value: Any) -> float:
    """A number; what is allowed is known to the settings."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MUCH:
        return float(value)
    raise LocalError(f"{name} is {str(value)[:40]!r}; give a number")


def _whole(name: str, value: Any) -> int:
    """A whole number."""
    number = _number(name, value)
    if not number.is_integer():
        raise LocalError(f"{name} is {value!r}; give a whole number")
    return int(number)


def _truth(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise LocalError(f"{name} is {str(value)[:40]!r}; give true or false")
    return value


def _value(text: str) -> Any:
    """A number if it reads as one, and a text otherwise."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _in_units(value: Any, unit: float) -> Any:
    """A value in the units of JSON, whole where it is."""
    if not isinstance(value, float):
        return value
    found = round(value / unit, 9)
    return int(found) if unit != 1.0 and found.is_integer() else found
