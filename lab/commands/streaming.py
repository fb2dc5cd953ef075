"""What is shown of a stream or of probes: rows while they last, the report at the end."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from rich.console import Console
from rich.table import Table
from twisted.internet.defer import Deferred

from lab import units
from lab.echo.figures import Packet
from lab.echo.outcomes import Measured
from lab.echo.report import Interval, ProbeReport
from lab.echo.tables import COLUMNS, Rows, interval_rows, probe_rows, stream_rows
from lab.errors import LocalError

#: Short names of `lab.echo.tables.COLUMNS`, and their widths: those of streams fit into 80 columns,
#: and those of probes.
_SHORT = (
    ("seconds", 9), ("packets", 8), ("lost", 6), ("flight", 6), ("dup.", 4), ("reord.", 6),
    ("late", 4), ("rate", 11), ("jitter", 7), ("mean", 7), ("max", 7),
)  # fmt: skip
#: What only rows of streams have, and what only rows of probes have.
_STREAMS, _PROBES = "jitter", "in flight"


@frozen
class Request:
    """
    What is asked for.

    Args:
        endpoint: Of the server.
        interval: One packet so often, in seconds.
        count: How many.
        size: Bytes of each.
        round_trip: Whether they are probes of ours.
    """

    endpoint: str
    interval: float
    count: int
    size: int
    round_trip: bool = False

    @property
    def title(self) -> str:
        """All of it."""
        kind = "probes" if self.round_trip else "packets"
        every = f"one every {units.show_seconds(self.interval)}" if self.interval else "at once"
        return f"{self.count:,} {kind} of {self.size:,} bytes, {every}, {self.endpoint}"

    def as_json(self) -> dict[str, Any]:
        """As iperf3 has it in ``start``, where it has it."""
        test = {
            "protocol": self.endpoint.partition(":")[0].upper(),
            "num_streams": 1,
            "blksize": self.size,
            "blocks": self.count,
            "reverse": int(not self.round_trip),
            "interval": self.interval,
            "round_trip": self.round_trip,
        }
        return {"connecting_to": self.endpoint, "test_start": test}


def summary(measured: Measured) -> Rows:
    """What there is to say of all of it: names and texts."""
    report = measured.report
    return probe_rows(report) if isinstance(report, ProbeReport) else stream_rows(report)


def plain_row(interval: Interval) -> str:
    """
    A row that says by itself what its numbers are.

    Args:
        interval: That is over.
    """
    named = zip(COLUMNS[1:], interval_rows((interval,))[0][1:], strict=True)
    words = [_worded(name, text) for name, text in named if text]
    return f"{interval_rows((interval,))[0][0]} s: {', '.join(words)}"


def _worded(name: str, text: str) -> str:
    """One number with its name."""
    if name == "bits/s":
        return text
    return f"{text} {name}" if name in COLUMNS[:7] else f"{name} {text}"


def plain_summary(rows: Rows) -> str:
    """A summary as lines, without a terminal."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows)


class Lines:
    """
    A line for each row, and for each figure at the end.

    Args:
        say: Prints a text.
    """

    def __init__(self, say: Callable[[str], object] = click.echo) -> None:
        self._say = say

    def row(self, interval: Interval) -> None:
        """An interval is over."""
        self._say(plain_row(interval))

    def end(self, measured: Measured | None, error: str) -> None:
        """
        All is over.

        Args:
            measured: What there is; None if nothing ever came.
            error: What went wrong, if something did.
        """
        if measured is not None:
            self.summary(summary(measured))
        if error:
            click.echo(error, err=True)

    def stop(self, measured: Measured) -> None:
        """Somebody has seen enough, and is told elsewhere that it was heard."""
        self.end(measured, "")

    def summary(self, rows: Rows) -> None:
        """What there is to say of all of it."""
        self._say(plain_summary(rows))


class Terminal(Lines):
    """
    Columns on a terminal, with one head above them; a table at the end.

    Args:
        say: Prints a text.
        round_trip: Whether they are probes.
    """

    def __init__(
        self, say: Callable[[str], object] = click.echo, *, round_trip: bool = False
    ) -> None:
        super().__init__(say)
        self._headed = False
        without = _STREAMS if round_trip else _PROBES
        self._shown = [place for place, name in enumerate(COLUMNS) if name != without]

    def row(self, interval: Interval) -> None:
        """An interval is over."""
        if not self._headed:
            self._headed = True
            self._say(self._columns([name for name, _ in _SHORT]))
        self._say(self._columns(interval_rows((interval,))[0]))

    def summary(self, rows: Rows) -> None:
        """What there is to say of all of it."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for row in rows:
            table.add_row(*row)
        self._say("")
        console = Console(highlight=False)
        with console.capture() as drawn:
            console.print(table)
        self._say(drawn.get().rstrip("\n"))

    def _columns(self, texts: Sequence[str]) -> str:
        """A row, of which some columns are shown."""
        return " ".join(f"{texts[place]:>{_SHORT[place][1]}}" for place in self._shown)


class Json(Lines):
    """
    One object at the end, of iperf3's form.

    Args:
        request: What was asked for.
    """

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._start = {"start": request.as_json()}

    def row(self, interval: Interval) -> None:
        """An interval is over; it is in the report."""

    def end(self, measured: Measured | None, error: str) -> None:
        """All is over, or nothing ever came."""
        found = measured.report.as_json() if measured else {"intervals": [], "end": {}}
        click.echo(json.dumps(self._start | found | ({"error": error} if error else {})))

    def stop(self, measured: Measured) -> None:
        """Somebody has seen enough: whoever reads this later shall know it."""
        self.end(measured, "interrupted")


def make_view(request: Request, *, as_json: bool) -> Lines:
    """What shows it: JSON if asked for, columns on a terminal, lines elsewhere."""
    if as_json:
        return Json(request)
    return Terminal(round_trip=request.round_trip) if sys.stdout.isatty() else Lines()


def write_packets(path: Path, packets: Iterable[Packet]) -> None:
    """
    Write a JSON object a line for each packet.

    Args:
        path: Where to.
        packets: By their number.

    Raises:
        LocalError: It can't be written.
    """
    try:
        with path.open("w", encoding="utf-8") as file:
            for packet in packets:
                file.write(json.dumps(_packet_json(packet)) + "\n")
    except OSError as error:
        raise LocalError(f"packets is {str(path)!r}; {error.strerror}") from None


def _packet_json(packet: Packet) -> dict[str, Any]:
    """One packet; seconds."""
    return {
        "packet": packet.number,
        "class": packet.fate.name.lower(),
        "sent": round(packet.sent, 9),
        "delay": None if packet.delay is None else round(packet.delay, 9),
        "copies": packet.copies,
        "reordered": packet.extent > 0,
        "extent": packet.extent,
        "late": packet.late,
    }


class Stoppable:
    """
    Waits for something that gives what there is so far when it is cancelled.

    Attributes:
        stopped: Whether it was cancelled.
    """

    def __init__(self) -> None:
        self.stopped = False

    def wait(self, done: Deferred[Measured]) -> Deferred[Measured]:
        """What comes of it; to cancel this cancels that, and is noted."""
        waiting: Deferred[Measured] = Deferred(lambda _: self._stop(done))
        done.addBoth(waiting.callback)
        return waiting

    def _stop(self, done: Deferred[Measured]) -> None:
        """Nobody wants more."""
        self.stopped = True
        done.cancel()
