"""
What became of requests over time, in rows of equal length.

There are never more than `MOST` rows, however many requests there are: a line of results stays
short, and nobody sees more of them in a picture.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from attrs import define, field

from lab.experiments.results import Series

#: Rows of a repetition at most, and the shortest, in seconds.
MOST, SHORTEST = 50, 0.1
# What a row has of each client: requests, right answers, and the sum of their latencies.
_NONE = (0, 0, 0.0)


@define
class Rows:
    """
    The rows of one client. A request counts when it was planned, and not when it was given up.

    Args:
        begin: When the client began, in seconds.
        lasts: For so long it has requests, in seconds.

    >>> rows = Rows(5.0, 20.0)
    >>> rows.add(5.5, 0.002)
    >>> rows.add(5.6, None)
    >>> rows.as_json()
    {'row': 0.5, 'fates': [[0, 0, 0.0], [2, 1, 0.002]]}
    """

    begin: float
    lasts: float
    _fates: list[list[Any]] = field(init=False, factory=list)

    @property
    def length(self) -> float:
        """Of a row, in seconds: 1, 2 or 5 of something, so that rows begin at round times."""
        least = max(SHORTEST, self.lasts / MOST)
        ten = 10.0 ** math.floor(math.log10(least))
        return next(ten * step for step in (1, 2, 5, 10) if ten * step >= least * (1 - 1e-9))

    def add(self, planned: float, latency: float | None) -> None:
        """
        A request has come to its end.

        Args:
            planned: When it was to leave, in seconds.
            latency: From then to its right answer, in seconds; None without one.
        """
        # What is planned for the begin of a row is in it, however it was rounded.
        place = min(int((planned - self.begin) / self.length + 1e-6), MOST)
        self._fates += [list(_NONE) for _ in range(place + 1 - len(self._fates))]
        fate = self._fates[place]
        fate[0] += 1
        if latency is not None:
            fate[1] += 1
            fate[2] += latency

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has, which `series` reads."""
        return {"row": self.length, "fates": self._fates}


def series(parts: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """
    Success and mean latency over time, of all clients: their rows have one length.

    Args:
        parts: What `Rows.as_json` gave, of each client.
    """
    length = parts[0]["row"]
    success, latency = {}, {}
    for place, fates in enumerate(zip_longest(*(part["fates"] for part in parts), fillvalue=_NONE)):
        asked, right, total = (sum(column) for column in zip(*fates, strict=True))
        time = round(place * length, 9)
        if asked:
            success[time] = right / asked
        # Where nothing was answered, nobody knows how long it takes.
        if right:
            latency[time] = total / right
    found = {"success": ("1", success), "latency": ("s", latency)}
    return {
        name: Series(unit, values.keys(), values.values())
        for name, (unit, values) in found.items()
        if values
    }
