"""
What an experiment has measured: a line of JSON for each repetition of a cell.

This is the seam between who measures and who counts and draws. Knows no services, no clock and
no statistics. A file that was cut off while its last line was written (``kill -9``) is one without
that line: readers pass over it, and whoever goes on writing cuts it off.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import Factory, field, frozen

from lab.errors import LocalError, shortened
from lab.statistics import Histogram

#: Most bytes of a line, with its ending.
LONGEST = 2**24
#: Where the results of an experiment are in its directory.
PLACE = Path("times", "results.jsonl")
#: What a value of a parameter may be.
Value = str | int | float | bool
# What reading raises that meets something else.
_WRONG = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


def _number(value: Any) -> float:
    """A number that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return value


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    """Numbers that are finite."""
    return tuple(map(_number, values))


def _better(value: Any) -> str:
    """Less, more or neither."""
    if value not in {"", "less", "more"}:
        raise ValueError(value)
    return str(value)


@frozen
class Measure:
    """
    One quantity that was measured in a repetition.

    Args:
        unit: For example ``s`` or ``B/s``; ``1`` for what has none.
        samples: Each value; or
        histogram: of very many, their histogram.
        better: ``less`` or ``more``; empty where neither is.
    """

    unit: str
    samples: tuple[float, ...] = field(default=(), converter=_numbers)
    histogram: Histogram | None = None
    better: str = field(default="", converter=_better)

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.samples) if self.histogram is None else self.histogram.count

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        kept: dict[str, Any] = {"unit": self.unit}
        if self.histogram is None:
            kept["samples"] = list(self.samples)
        else:
            kept["histogram"] = self.histogram.as_json()
        return kept | ({"better": self.better} if self.better else {})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Measure":
        """Read what `as_json` gave; what is none raises any of several errors."""
        better = values.get("better", "")
        if "histogram" in values:
            histogram = Histogram.from_json(values["histogram"])
            return cls(str(values["unit"]), histogram=histogram, better=better)
        return cls(str(values["unit"]), values["samples"], better=better)


@frozen
class Series:
    """
    A quantity over the time of a repetition.

    Args:
        unit: As that of a `Measure`.
        times: When, in seconds since the repetition began.
        values: One for each time.
    """

    unit: str
    times: tuple[float, ...] = field(converter=_numbers)
    values: tuple[float, ...] = field(converter=_numbers)

    def __attrs_post_init__(self) -> None:
        """There is one value for each time."""
        if len(self.times) != len(self.values):
            raise ValueError(self.unit)

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {"unit": self.unit, "times": list(self.times), "values": list(self.values)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Series":
        """Read what `as_json` gave; what is none raises any of several errors."""
        return cls(str(values["unit"]), values["times"], values["values"])


@frozen
class Window:
    """
    A time in which a fault was at work.

    Args:
        begin: In seconds since the repetition began.
        end: The same.
        fault: Its name.
    """

    begin: float = field(converter=_number)
    end: float = field(converter=_number)
    fault: str = field(converter=str)


@frozen
class Process:
    """
    What a process has used.

    Args:
        id: Which, for example ``server-1``.
        cpu: Processor time, in seconds.
        memory: At most, in bytes.
    """

    id: str = field(converter=str)
    cpu: float = field(converter=_number)
    memory: float = field(converter=_number)

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {"id": self.id, "cpu": self.cpu, "memory": self.memory}


@frozen
class Result:
    """
    One repetition of a cell.

    Args:
        experiment: The name of the plan.
        cell: The value of each parameter.
        repetition: Its number, from 0.
        measures: What was measured, by name.
        warm_up: Whether it is one that does not count.
        seed: Of its random streams.
        simulated: Whether it ran in the simulator. Then it has no processes, and never began.
        began: When, in seconds since 1970; None if that is not known.
        series: What was measured over time, by name.
        windows: When faults were at work.
        processes: What each has used.
        versions: Of what it ran on, by name.
        error: Why it has failed; empty if it has not.
    """

    experiment: str
    cell: Mapping[str, Value]
    repetition: int
    measures: Mapping[str, Measure] = Factory(dict)
    warm_up: bool = False
    seed: int = 0
    simulated: bool = False
    began: float | None = None
    series: Mapping[str, Series] = Factory(dict)
    windows: tuple[Window, ...] = ()
    processes: tuple[Process, ...] = ()
    versions: Mapping[str, str] = Factory(dict)
    error: str = ""

    @property
    def key(self) -> str:
        """The cell as a text: equal cells have equal ones, in whatever order parameters stand."""
        return json.dumps(self.cell, sort_keys=True)

    def encode(self) -> str:
        """
        One line of JSON, without its ending.

        Raises:
            LocalError: A number in it is not finite, or it is longer than `LONGEST`.
        """
        values = {
            "experiment": self.experiment,
            "cell": dict(self.cell),
            "repetition": self.repetition,
            "warm_up": self.warm_up,
            "seed": self.seed,
            "simulated": self.simulated,
            "began": self.began,
            "measures": {name: measure.as_json() for name, measure in self.measures.items()},
            "series": {name: series.as_json() for name, series in self.series.items()},
            "windows": [[one.begin, one.end, one.fault] for one in self.windows],
            "processes": [one.as_json() for one in self.processes],
            "versions": dict(self.versions),
            "error": self.error,
        }
        try:
            line = json.dumps(values, allow_nan=False)
        except ValueError as error:
            raise LocalError(f"result of {self.key} has a number that is not finite") from error
        if len(line) >= LONGEST:
            raise LocalError(
                f"result of {self.key} takes {len(line):,} bytes; at most {LONGEST:,} are kept: "
                "use a histogram"
            )
        return line

    @classmethod
    def decode(cls, line: str) -> "Result":
        """
        Read one line; keys that are not known are passed over.

        Raises:
            LocalError: It is none of a result.
        """
        try:
            return cls._from_json(json.loads(line, parse_constant=_number))
        except LocalError:
            raise
        except _WRONG as error:
            raise LocalError(f"{shortened(line)} is no result") from error

    @classmethod
    def _from_json(cls, values: Mapping[str, Any]) -> "Result":
        """Read values; what is none raises any of several errors."""
        began = values.get("began")
        return cls(
            str(values["experiment"]),
            _cell(values["cell"]),
            _whole(values["repetition"]),
            {name: Measure.from_json(one) for name, one in values["measures"].items()},
            warm_up=values.get("warm_up", False) is True,
            seed=_whole(values.get("seed", 0)),
            simulated=values.get("simulated", False) is True,
            began=None if began is None else _number(began),
            series={n: Series.from_json(one) for n, one in values.get("series", {}).items()},
            windows=tuple(Window(*one) for one in values.get("windows", ())),
            processes=tuple(
                Process(one["id"], one["cpu"], one["memory"]) for one in values.get("processes", ())
            ),
            versions={name: str(one) for name, one in values.get("versions", {}).items()},
            error=str(values.get("error", "")),
        )


def read(path: Path | str) -> Iterator[Result]:
    """
    Read a file of results, one after the other; a last line without an ending is passed over.

    Args:
        path: The file.

    Raises:
        LocalError: It can't be read, or a line is none of a result; the text has its number.
    """
    number = 0
    try:
        with Path(path).open("rb") as file:
            while line := file.readline(LONGEST + 1):
                number += 1
                if (line.endswith(b"\n") and line.strip()) or len(line) > LONGEST:
                    yield _decode(line)
    except OSError as error:
        raise LocalError(f"results is {str(path)!r}; {error.strerror}") from None
    except LocalError as error:
        raise LocalError(f"line {number} of {path}: {error}") from error


def write(path: Path | str, results: Iterable[Result]) -> None:
    """
    Write a file of results; what was there before stays until all is written.

    Raises:
        LocalError: It can't be written.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            for result in results:
                file.write(f"{result.encode()}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise LocalError(f"results is {str(path)!r}; {error.strerror}") from None


@contextmanager
def adding(path: Path | str) -> Iterator[Callable[[Result], None]]:
    """
    Go on with a file of results, or begin it; half a line at its end is cut off.

    Gives:
        What adds a result. When it returns, the line is the system's: it survives ``kill -9``.

    Raises:
        LocalError: It can't be written.
    """
    try:
        with Path(path).open("ab+", buffering=0) as file:
            file.truncate(_whole_lines(file))

            def add(result: Result) -> None:
                """Write a line."""
                file.write(f"{result.encode()}\n".encode())

            yield add
    except OSError as error:
        raise LocalError(f"results is {str(path)!r}; {error.strerror}") from None


def _whole_lines(file: Any) -> int:
    """So many bytes of a file are whole lines."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - 2**16)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0


def _decode(line: bytes) -> Result:
    """A line, or as much of it as was read."""
    if len(line) > LONGEST:
        raise LocalError(f"it is longer than {LONGEST:,} bytes")
    return Result.decode(line.decode(errors="replace").rstrip())


def _whole(value: Any) -> int:
    """A whole number, 0 or more."""
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _cell(values: Mapping[str, Any]) -> dict[str, Value]:
    """The parameters of a cell."""
    for value in values.values():
        if not isinstance(value, str):
            _number(int(value) if isinstance(value, bool) else value)
    return dict(values)
