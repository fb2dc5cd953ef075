"""
The plan of an experiment: an INI file whose lists make cells, and the seed of each repetition.

Knows neither services nor processes: what a value means is known to those who run the cells.
"""

import configparser
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product

from attrs import evolve, field, frozen

from lab import units
from lab.backoff import Backoff
from lab.errors import LocalError
from lab.experiments.results import Value
from lab.faults.fault import Fault
from lab.faults.schema import DATAGRAMS, STREAMS, from_text
from lab.rng import stream

#: The section of the file.
SECTION = "experiment"
#: A plan has so many cells at most, and its file so many bytes; all repetitions together are so
#: many, which have to be remembered.
MOST_CELLS, LONGEST, MOST_RUNS = 100_000, 2**20, 1_000_000
#: A request is sent so often at most.
MOST_ATTEMPTS = 10_000
#: No time in a plan is longer, in seconds.
_DAY = 86_400.0
#: What a fault of a list begins with; what belongs to the one before has an equals sign there.
_BEGINS = re.compile(r"\s*[a-z_]+\s*(?:[:;]|$)")
_TCP_ONLY = ("sequence", "download")


class PlanError(LocalError):
    """A plan can't be; the text has the section, the key, the value, and what is allowed."""


@frozen
class _Key:
    """
    A key that may have a list of values.

    Args:
        read: Makes a value of a text and the name of the key.
        usual: The text of its value where the plan has none, by service: those that know it.
    """

    read: Callable[[str, str], Value]
    usual: Mapping[str, str]


def _time(text: str, name: str) -> float:
    """A duration in seconds, to the nanosecond."""
    return _short(units.positive_seconds(text, name), text, name)


def _time_or_none(text: str, name: str) -> float:
    """The same, or 0."""
    return _short(units.seconds(text, name), text, name)


def _short(value: float, text: str, name: str) -> float:
    """Refuse what nobody waits for."""
    if value > _DAY or (value and value < 1e-9):
        raise LocalError(f"{name} is {text!r}; give a time up to 24h, for example 500ms or 2s")
    return round(value, 9)


def _counted(most: int) -> Callable[[str, str], Value]:
    """Reads a whole number from 1 on."""
    return lambda text, name: units.count(text, name, most=most)


def _bytes(text: str, name: str) -> int:
    """A number of bytes, 1 or more."""
    value = units.size(text, name)
    if not 1 <= value <= 2**40:
        raise LocalError(f"{name} is {text!r}; give 1 byte to 1024G, for example 128K or 16M")
    return value


def _one_of(*words: str) -> Callable[[str, str], Value]:
    """Reads one of these words."""

    def read(text: str, name: str) -> str:
        if text not in words:
            raise LocalError(f"{name} is {text!r}; give {' or '.join(words)}")
        return text

    return read


def _truth(text: str, name: str) -> bool:
    """Yes or no."""
    if text not in {"yes", "no"}:
        raise LocalError(f"{name} is {text!r}; give yes or no")
    return text == "yes"


def _fault(text: str, name: str) -> str:
    """Faults without blanks and without the word for none; what they mean is checked later."""
    if text == "none":
        return ""
    if not text:
        raise LocalError(f"{name} is ''; give none, or faults, for example loss:probability=0.1")
    return re.sub(r"\s*([:;,=])\s*", r"\1", text)


def _in_all(usual: str) -> dict[str, str]:
    """A key that all services know."""
    return dict.fromkeys(("arithmetic", "echo", "sequence", "download"), usual)


#: The keys with lists; the first changes slowest from cell to cell.
KEYS: dict[str, _Key] = {
    "servers": _Key(_counted(100), _in_all("1")),
    "clients": _Key(_counted(1000), _in_all("1")),
    "transport": _Key(_one_of("udp", "tcp"), {"arithmetic": "udp", "echo": "udp"}),
    "size": _Key(_bytes, {"echo": "200", "download": "1M"}),
    "rate": _Key(_counted(1_000_000), {"arithmetic": "100", "echo": "100"}),
    "count": _Key(_counted(1_000_000), {"arithmetic": "200", "echo": "200", "sequence": "50"}),
    "interval": _Key(_time, {"sequence": "20ms"}),
    "backoff": _Key(_one_of("none", "fixed", "exponential"), {"arithmetic": "none"}),
    "timeout": _Key(_time, {"arithmetic": "500ms"}),
    "max-timeout": _Key(_time, {"arithmetic": "2s"}),
    "cut": _Key(_time_or_none, {"sequence": "0"}),
    "cut-after": _Key(_time, {"sequence": "300ms"}),
    "heartbeat": _Key(_time, {"sequence": "500ms"}),
    "window": _Key(_time, {"sequence": "2s"}),
    "fault": _Key(_fault, _in_all("none")),
    "proxy": _Key(_truth, _in_all("yes")),
}
#: The keys that have one value: what reads it, and what it is where the plan has none.
SINGLE: dict[str, tuple[Callable[[str, str], Value], str]] = {
    "repetitions": (_counted(100_000), "10"),
    "warm-up": (lambda text, name: units.count(text, name, least=0, most=1000), "1"),
    "seed": (units.seed, "0"),
    "limit": (_time, "2m"),
}
SERVICES = ("arithmetic", "echo", "sequence", "download")


@frozen
class Cell:
    """
    One choice of values.

    Args:
        values: Of each key, with the service before them; durations are in seconds.
    """

    values: Mapping[str, Value]

    @property
    def service(self) -> str:
        """Which service is measured."""
        return str(self.values["service"])

    @property
    def transport(self) -> str:
        """What it runs on, ``tcp`` or ``udp``."""
        return str(self.values.get("transport", "tcp"))

    @property
    def key(self) -> str:
        """The same text for the same values, as that of a `lab.experiments.results.Result`."""
        return json.dumps(self.values, sort_keys=True)

    def whole(self, key: str) -> int:
        """A value that is a whole number; 0 where the service does not have it."""
        return int(self.values.get(key, 0))

    def seconds(self, key: str) -> float:
        """A value that is a duration; 0 where the service does not have it."""
        return float(self.values.get(key, 0))

    def faults(self) -> list[Fault]:
        """
        What is wrong with the way to each server.

        Raises:
            LocalError: That can't be.
        """
        kinds = DATAGRAMS if self.transport == "udp" else STREAMS
        texts = str(self.values["fault"]).split(";")
        return [from_text(text, kinds) for text in texts] if texts != [""] else []

    def retry(self) -> Backoff:
        """
        How long each attempt of a request waits.

        With ``fixed`` waits are equal, and there are so many that a request is given up when it
        would be with ``exponential``: two that are as patient can be compared.

        Raises:
            LocalError: That can't be.

        >>> values = {"timeout": 0.1, "max-timeout": 2.0}
        >>> Cell({**values, "backoff": "exponential"}).retry().cap
        2.0
        >>> Cell({**values, "backoff": "fixed"}).retry().attempts
        31
        """
        first = self.seconds("timeout")
        if self.values["backoff"] == "none":
            return Backoff.fixed(first)
        growing = Backoff(first, self.seconds("max-timeout"))
        if self.values["backoff"] == "exponential":
            return growing
        attempts = round(sum(growing.waits()) / first)
        if attempts > MOST_ATTEMPTS:
            raise LocalError(
                f"timeout is {show(first)} s; with backoff = fixed a request would be sent "
                f"{attempts:,} times: give a longer one, for {MOST_ATTEMPTS:,} at most"
            )
        return Backoff.fixed(first, attempts)

    def check(self) -> None:
        """
        Refuse values that don't go together.

        Raises:
            LocalError: They don't.
        """
        try:
            faults = self.faults()
        except LocalError as error:
            raise LocalError(f"fault is {self.values['fault']!r}; {error}") from error
        if (faults or self.seconds("cut")) and not self.values["proxy"]:
            name = "fault" if faults else "cut"
            raise LocalError(f"proxy is 'no'; give yes where there is a {name}")
        if "backoff" in self.values:
            self.retry()
        if self.service == "echo":
            if 1000 % self.whole("rate"):
                raise LocalError(
                    f"rate is {self.values['rate']!r}; packets leave every so many whole "
                    "milliseconds: give a divisor of 1000, for example 50, 100, 125 or 1000"
                )
            if not 64 <= self.whole("size") <= 65_507:
                raise LocalError(f"size is {self.values['size']!r}; give 64 to 65,507 bytes")
        if self.service == "sequence" and self.whole("count") > 65_535:
            raise LocalError(f"count is {self.values['count']!r}; give 1 to 65,535")


@frozen
class Repetition:
    """
    One run of a cell.

    Args:
        number: From 0, warm-ups first.
        cell: Which.
        seed: Of all that is drawn in it.
        warm_up: Whether it does not count.
    """

    number: int
    cell: Cell
    seed: int
    warm_up: bool = False


@frozen
class Plan:
    """
    What is measured.

    Args:
        service: One of ``SERVICES``.
        lists: The values of each of its `KEYS`, in the order of those.
        repetitions: Of each cell, those that count.
        warm_up: Of each cell, those before that do not; the simulator needs none.
        seed: All draws follow from it.
        limit: A repetition takes no longer, in seconds.
        name: Of the experiment.

    Raises:
        LocalError: More cells or runs than can be.
    """

    service: str
    lists: Mapping[str, tuple[Value, ...]]
    repetitions: int = 10
    warm_up: int = 1
    seed: int = 0
    limit: float = 120.0
    name: str = field(default="experiment", kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what nobody has the time or the memory for."""
        if len(self) > MOST_CELLS:
            raise LocalError(f"the lists make {len(self):,} cells; give lists for {MOST_CELLS:,}")
        runs = len(self) * self.repetitions
        if runs > MOST_RUNS:
            raise LocalError(
                f"repetitions is {self.repetitions}; {len(self):,} cells would have {runs:,} runs: "
                f"give fewer, for {MOST_RUNS:,} in all"
            )

    def __len__(self) -> int:
        """How many cells there are."""
        return math.prod(map(len, self.lists.values()))

    def cells(self) -> Iterator[Cell]:
        """All cells; the last key changes fastest."""
        for values in product(*self.lists.values()):
            yield Cell({"service": self.service, **dict(zip(self.lists, values, strict=True))})

    def repeated(self, cell: Cell, *, simulated: bool) -> Iterator[Repetition]:
        """The repetitions of a cell. Their seeds depend on that of the plan and its values only."""
        before = 0 if simulated else self.warm_up
        for number in range(before + self.repetitions):
            names = ("warm-up", number) if number < before else ("repetition", number - before)
            seed = stream(self.seed, "cell", cell.key, *names).getrandbits(32)
            yield Repetition(number, cell, seed, number < before)

    def write(self) -> str:
        r"""
        The plan as an INI file, with all that `read` has filled in.

        >>> read("[experiment]\nservice = echo\nrate = 10, 100").write().splitlines()[:3]
        ['[experiment]', 'service = echo', 'servers = 1']
        """
        lines = [f"[{SECTION}]", f"service = {self.service}"]
        for key, values in self.lists.items():
            joint = "\n    " if key == "fault" else ", "
            lines.append(f"{key} = {joint.join(map(show, values))}")
        single = (self.repetitions, self.warm_up, self.seed, self.limit)
        lines += [f"{key} = {show(value)}" for key, value in zip(SINGLE, single, strict=True)]
        return "\n".join(lines) + "\n"


def show(value: Value) -> str:
    """
    A value as a plan has it.

    >>> show(True), show(0.02), show(""), show(3)
    ('yes', '0.02', 'none', '3')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value) if value != "" else "none"


def read(text: str, name: str = "experiment") -> Plan:
    r"""
    Read a plan.

    Args:
        text: An INI file with a section ``[experiment]``.
        name: Of the experiment.

    Raises:
        PlanError: It is none; one line with the section, the key, the value, and what is allowed.

    >>> plan = read("[experiment]\nservice = arithmetic\nclients = 1, 2, 4")
    >>> len(plan), plan.repetitions
    (3, 10)
    """
    found = _section(text)
    try:
        return _read(found, name)
    except LocalError as error:
        raise PlanError(f"[{SECTION}] {error}") from error


def _section(text: str) -> dict[str, str]:
    """The keys of the section, and their texts."""
    if len(text) > LONGEST:
        raise PlanError(f"plan has {len(text):,} characters; give at most {LONGEST:,}")
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text, "plan")
    except configparser.Error as error:
        raise PlanError(" ".join(str(error).split())[:300]) from error
    others = [name for name in parser.sections() if name != SECTION]
    if others or not parser.has_section(SECTION):
        shown = f"section is [{others[0]}]" if others else "there is no section"
        raise PlanError(f"{shown[:80]}; give one section [{SECTION}]")
    return dict(parser[SECTION])


def _read(found: dict[str, str], name: str) -> Plan:
    """Make a plan of keys and texts."""
    service = found.pop("service", "")
    if service not in SERVICES:
        raise LocalError(f"service is {service[:80]!r}; give one of {', '.join(SERVICES)}")
    known = [key for key, one in KEYS.items() if service in one.usual]
    for key in found:
        if key not in known and key not in SINGLE:
            allowed = ", ".join([*known, *SINGLE])
            raise LocalError(f"{key[:80]} is {found[key][:80]!r}; {service} has {allowed}")
    single = [make(found.get(key, usual), key) for key, (make, usual) in SINGLE.items()]
    lists = {key: _values(key, found.get(key, KEYS[key].usual[service])) for key in known}
    repetitions, warm_up, seed, limit = single
    plan = Plan(service, lists, repetitions, warm_up, seed, limit, name=name)  # type: ignore[arg-type]
    for cell in _corners(plan):
        cell.check()
    return plan


def _corners(plan: Plan) -> Iterator[Cell]:
    """Cells in which all values are that have to go together."""
    together = ("transport", "size", "rate", "count", "backoff", "timeout", "max-timeout", "cut")
    wanted = {*together, "fault", "proxy"}
    lists = {key: values if key in wanted else values[:1] for key, values in plan.lists.items()}
    return evolve(plan, lists=lists).cells()


def _values(key: str, text: str) -> tuple[Value, ...]:
    """The values of a list; each is there once."""
    texts = _faults(text) if key == "fault" else re.split(r"[,\n]", text)
    texts = [one.strip() for one in texts]
    if len(texts) > 1 and key != "fault":
        texts = [one for one in texts if one]
    values = tuple(KEYS[key].read(one, key) for one in texts) or (KEYS[key].read("", key),)
    seen: set[Value] = set()
    for value in values:
        if value in seen:
            raise LocalError(f"{key} has {show(value)[:80]!r} twice; give each value once")
        seen.add(value)
    return values


def _faults(text: str) -> list[str]:
    """
    The faults of a list. A new one begins with each line, and with each word behind a comma that
    has no equals sign, since those that have one are attributes.

    >>> _faults("none, loss:probability=0.1,correlation=0.2, latency:latency=20;noop")
    ['none', ' loss:probability=0.1,correlation=0.2', ' latency:latency=20;noop']
    """
    found: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        begun = False
        for word in filter(str.strip, line.split(",")):
            if begun and not _BEGINS.match(word):
                found[-1] += f",{word}"
            else:
                found.append(word)
            begun = True
    return found or [""]
