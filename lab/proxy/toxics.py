"""
Toxics: faults as the API has them, and the faults that they make.

Toxiproxy takes any number for an attribute, and so does a toxic here: the API gives back what it
was given, and the fault has the nearest that makes sense. `Toxic.check` is for those who would
rather be told. Knows all types of `lab.faults.schema`: those of streams for a proxy of TCP, and
those of datagrams for one of UDP. Those that Toxiproxy lacks are more.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Duplicate, Latency
from lab.faults.fault import DIRECTIONS, Fault
from lab.faults.schema import DATAGRAMS, STREAMS, from_json, to_json
from lab.proxy.errors import bad_request, toxic_exists
from lab.proxy.gojson import Float32, Object, decode, members

#: The types of faults, by the protocol of a proxy.
KINDS = {"tcp": STREAMS, "udp": DATAGRAMS}
#: Longest time of a fault, in seconds, and most of anything else (bytes, bytes/s, units).
MOST_TIME, MOST = 1e9, 10**15
#: All that toxics of one direction may make of a datagram together.
MOST_COPIES = 1000
#: A fault that comes again does so no sooner than this, in seconds.
LEAST_EVERY = 0.001

_TIMES = {"after": "float64", "duration": "float64", "every": "float64"}
_WRAPPER = {
    "attributes": "toxics.NoopToxic",
    "name": "string",
    "type": "string",
    "stream": "string",
    "toxicity": "float32",
    **_TIMES,
}


@frozen
class _Type:
    """
    A type of toxic.

    Args:
        go: What its class is called in Toxiproxy.
        kinds: The types in Go of its attributes.
        extra: Those that Toxiproxy lacks; they are shown once they say something.
    """

    go: str
    kinds: Mapping[str, str]
    extra: Collection[str] = ()


def _types(protocol: str) -> dict[str, _Type]:
    """All types: Toxiproxy's attributes are whole numbers, ours are what the fault has."""
    whole = {
        "latency": ("LatencyToxic", ("latency", "jitter")),
        "bandwidth": ("BandwidthToxic", ("rate",)),
        "slow_close": ("SlowCloseToxic", ("delay",)),
        "timeout": ("TimeoutToxic", ("timeout",)),
        "reset_peer": ("ResetToxic", ("timeout",)),
        "slicer": ("SlicerToxic", ("average_size", "size_variation", "delay")),
        "limit_data": ("LimitDataToxic", ("bytes",)),
        "noop": ("NoopToxic", ()),
    }
    words = {str: "string", bool: "bool", int: "int64", float: "float64"}
    found = {}
    for name, kind in KINDS[protocol].items():
        kinds = {key: words[type(usual)] for key, usual in kind.attributes.items()}
        go, theirs = whole.get(name, (f"{name.title().replace('_', '')}Toxic", tuple(kinds)))
        if name in whole:
            kinds |= dict.fromkeys(theirs, "int64")
        found[name] = _Type(go, kinds, [key for key in kinds if key not in theirs])
    return found


#: The types that there are, by protocol.
TYPES: dict[str, dict[str, _Type]] = {protocol: _types(protocol) for protocol in KINDS}

# Attributes that are one word of several, and the settings that know which.
_WORDS: dict[str, Callable[..., object]] = {"distribution": Latency, "scope": Bandwidth}
# What makes sense, where that is not 0 to `MOST`: least and most.
_PROBABILITIES = ("probability", "p", "r", "h", "k", "loss_rate")
_LIMITS: dict[str, tuple[float, float]] = dict.fromkeys(_PROBABILITIES, (0.0, 1.0))
_LIMITS |= {"correlation": (0.0, 0.999), "bits": (1, 1000)}
_LIMITS |= {"copies": (1, 100), "displacement": (1, 1000)}
_OWN_LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "packet_loss": {"correlation": (0.0, 1.0)},
    # A slicer knows what to do with any.
    "slicer": dict.fromkeys(("average_size", "size_variation"), (-math.inf, math.inf)),
}


@frozen
class Toxic:
    """
    A toxic of a proxy.

    Args:
        type: One of `TYPES` of its protocol.
        name: Unlike that of any other of the proxy.
        stream: As it was given: ``downstream``, ``UPstream``.
        toxicity: As it was given.
        attributes: In the units of the API; those that are not there are as usual.
        times: ``after``, ``duration`` and ``every``, in milliseconds, where they were given.
        unknown: Names of attributes that were given and are none; Toxiproxy passes them over.
        protocol: Of its proxy: ``tcp`` or ``udp``.
    """

    type: str
    name: str
    stream: str = "downstream"
    toxicity: float = Float32(1.0)
    attributes: Mapping[str, Any] = field(factory=dict)
    times: Mapping[str, float] = field(factory=dict)
    unknown: tuple[str, ...] = ()
    protocol: str = "tcp"

    @property
    def direction(self) -> str:
        """``upstream`` or ``downstream``."""
        return self.stream.lower()

    @property
    def complete(self) -> dict[str, Any]:
        """All attributes."""
        usual = self._kinds[self.type].attributes
        whole = {name for name, kind in self._type.kinds.items() if kind == "int64"}
        found = {name: self.attributes.get(name, value) for name, value in usual.items()}
        return {name: int(value) if name in whole else value for name, value in found.items()}

    def describe(self) -> dict[str, Any]:
        """The object of the API."""
        usual, extra = self._kinds[self.type].attributes, self._type.extra
        attributes = {
            name: value
            for name, value in self.complete.items()
            if name not in extra or value != usual[name]
        }
        return {
            "attributes": attributes,
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
            **self.times,
        }

    def changed(self, body: bytes) -> "Toxic":
        """
        With what a body says of attributes, toxicity and times.

        Raises:
            ApiError: It is none; then nothing of it counts.
        """
        kinds = {"attributes": f"toxics.{self._type.go}", "toxicity": "float32", **_TIMES}
        found = members(decode(body), kinds, "value of type struct", "")
        attributes, unknown = _attributes(self._type, found.get("attributes"))
        return evolve(
            self,
            attributes={**self.attributes, **attributes},
            toxicity=found.get("toxicity", self.toxicity),
            times={**self.times, **_times(found)},
            unknown=unknown,
        )

    def fault(self) -> Fault:
        """The fault that it makes: with the nearest numbers that make sense."""
        values = {name: self._nearest(name, value) for name, value in self.complete.items()}
        _choose_one(values, ("every", "p", "probability") if self.type == "loss" else ())
        return Fault(
            self._kinds[self.type].settings(**values),
            self.name,
            self.direction,
            min(max(0.0, float(self.toxicity)), 1.0),
            **self._schedule(),
        )

    def check(self) -> None:
        """
        Refuse numbers that make no sense.

        Raises:
            ApiError: There are some; the text says what is allowed.
        """
        values = {**self.describe(), "stream": self.direction, "attributes": self.complete}
        try:
            from_json(values, self._kinds)
            _check_numbers(self.type, self.complete)
            self._check_attributes()
        except LocalError as error:
            raise bad_request(f"toxic {self.name}: {error}") from error

    @property
    def _kinds(self) -> Mapping[str, Any]:
        """The faults of its protocol."""
        return KINDS[self.protocol]

    @property
    def _type(self) -> _Type:
        """What is known of its type."""
        return TYPES[self.protocol][self.type]

    def _check_attributes(self) -> None:
        """Refuse attributes that are none, and numbers that would be moved."""
        values = self.complete
        if self.unknown:
            allowed = ", ".join(values) or "none"
            raise LocalError(f"attribute is {self.unknown[0]!r}; give one of {allowed}")
        units = self._kinds[self.type].units
        numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
        for name, value in numbers.items():
            if self._nearest(name, value) != value * units.get(name, 1):
                raise LocalError(f"{name} is {value:g}; that is too much")

    def _nearest(self, name: str, value: Any) -> Any:
        """The nearest of an attribute that makes sense, in the units of Python."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return value
        unit = self._kinds[self.type].units.get(name, 1.0)
        if unit == 1.0:
            limits = _OWN_LIMITS.get(self.type, {}).get(name) or _LIMITS.get(name, (0, MOST))
            return min(max(limits[0], value), limits[1])
        return min(max(0.0, value * unit), MOST_TIME if unit < 1 else float(MOST))

    def _schedule(self) -> dict[str, float]:
        """When the fault works, in seconds."""
        given = {name: min(max(0.0, ms / 1000), MOST_TIME) for name, ms in self.times.items()}
        duration = given.get("duration", math.inf)
        every = given.get("every", 0.0)
        if every:
            every = 0.0 if duration == math.inf else max(every, duration, LEAST_EVERY)
        return {"after": given.get("after", 0.0), "duration": duration, "every": every}


def check_together(toxics: Iterable[Toxic]) -> None:
    """
    Refuse toxics that multiply each other: each datagram would cost seconds, or all memory.

    Args:
        toxics: Those of one proxy.

    Raises:
        ApiError: They make more than `MOST_COPIES` of a datagram.
    """
    copies = dict.fromkeys(DIRECTIONS, 1)
    for toxic in toxics:
        settings = toxic.fault().settings
        if isinstance(settings, Duplicate):
            copies[toxic.direction] *= 1 + settings.copies
    most = max(copies.values())
    if most > MOST_COPIES:
        raise bad_request(
            f"toxics make {most:,} of a datagram together; give at most {MOST_COPIES:,}"
        )


def read_toxic(body: bytes, taken: Collection[str] = (), protocol: str = "tcp") -> Toxic:
    """
    Read what is to be a toxic; what is looked at first is so in Toxiproxy, too.

    Args:
        body: Of the request.
        taken: Names that others have.
        protocol: Of the proxy.

    Raises:
        ApiError: It is none.

    >>> read_toxic(b'{"type": "latency", "attributes": {"latency": 20}}').fault().settings.latency
    0.02
    """
    return toxic_from(decode(body), taken, protocol)


def toxic_from(value: Any, taken: Collection[str] = (), protocol: str = "tcp") -> Toxic:
    """
    See `read_toxic`.

    Args:
        value: As `lab.proxy.gojson.decode` gives it.
        taken: Names that others have.
        protocol: Of the proxy.

    Raises:
        ApiError: It is no toxic.
    """
    found = members(value, _WRAPPER, "value of type toxics.ToxicWrapper", "ToxicWrapper")
    stream = found.get("stream", "downstream")
    if stream.lower() not in DIRECTIONS:
        raise bad_request("stream was invalid, can be either upstream or downstream")
    kind = found.get("type", "")
    name = found.get("name") or f"{kind}_{stream}"
    if kind not in TYPES[protocol]:
        raise bad_request("invalid toxic type")
    if name in taken:
        raise toxic_exists()
    attributes, unknown = _attributes(TYPES[protocol][kind], found.get("attributes"))
    toxicity = found.get("toxicity", Float32(1.0))
    return Toxic(kind, name, stream, toxicity, attributes, _times(found), unknown, protocol)


def toxic_of(fault: Fault, protocol: str = "tcp") -> Toxic:
    """
    The toxic that makes a fault.

    Args:
        fault: One that streams, or datagrams, have.
        protocol: Of the proxy.

    >>> toxic_of(Fault(Latency(0.02), "late", "upstream")).describe()["attributes"]
    {'latency': 20, 'jitter': 0}
    """
    return read_toxic(json.dumps(to_json(fault, KINDS[protocol])).encode(), (), protocol)


def _attributes(known: _Type, given: Object | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Attributes that a type has, and the names of others."""
    found = members(given, known.kinds, "", f"{known.go}.attributes")
    keys = (key.casefold() for key, _ in given or ())
    unknown = tuple(key for key in keys if key not in known.kinds)
    for name, settings in _WORDS.items():
        if name in found:
            _check_word(settings, name, found[name])
    return found, unknown


def _check_word(settings: Callable[..., object], name: str, word: str) -> None:
    """Refuse a word that there is none of; there is no nearest."""
    try:
        settings(**{name: word})
    except LocalError as error:
        raise bad_request(str(error)) from error


def _times(found: Mapping[str, Any]) -> dict[str, float]:
    """The times of a toxic."""
    return {name: found[name] for name in _TIMES if name in found}


def _choose_one(values: dict[str, Any], models: Collection[str]) -> None:
    """Of several models of one fault the first that says something is meant."""
    said = [name for name in models if values[name]]
    for name in said[1:]:
        values[name] = 0


def _check_numbers(kind: str, values: Mapping[str, Any]) -> None:
    """Refuse what faults themselves take as the nearest, for Toxiproxy's sake."""
    if kind == "slicer":
        size, variation = values["average_size"], values["size_variation"]
        if size < 1:
            raise LocalError(f"average_size is {size}; give 1 byte or more")
        if not 0 <= variation < size:
            raise LocalError(f"size_variation is {variation}; give 0 to less than average_size")
        if values["delay"] < 0:
            raise LocalError(f"delay is {values['delay']}; give 0 µs or more")
    if kind == "packet_loss":
        for name, value in values.items():
            if not 0 <= value <= 1:
                raise LocalError(f"{name} is {value:g}; give 0 to 1")
