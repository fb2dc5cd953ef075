"""What the loads of all services have in common: their options, their service, their summary."""

import resource
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from lab import units
from lab.commands.options import LabOptions
from lab.rng import fresh_seed

if TYPE_CHECKING:
    from lab.statistics import Histogram

PERCENTILES = (50, 90, 99, 99.9)

Rows = list[tuple[str, str]]


class LoadOptions(LabOptions):
    """Options of a load; a subclass has ``seed`` among them."""

    def maybe(self, read: Any, name: str) -> Any:
        """The value of an option, read by one of `lab.units`; None if it is not given."""
        return None if self[name] is None else read(self[name], name)

    def settle(self) -> None:
        """
        Turn words into values.

        Raises:
            LocalError: A value can't be.
        """
        self.seed = self.maybe(units.seed, "seed")
        if self.seed is None:
            self.seed = fresh_seed()


class LoadService(Service):
    """
    Keeps a load going while it runs, and stops the reactor when that has ended.

    A subclass makes the load in `begin`, says in `tell` what became of it, and may have something
    to `close`.

    Args:
        reactor: Gives the time, and is stopped.
        options: Parsed options.
    """

    _log = Logger()

    def __init__(self, reactor: Any, options: Any) -> None:
        self.reactor = reactor
        self.options = options
        self._load: Any = None

    def begin(self) -> Any:
        """Make the load; it is started when the reactor runs."""
        raise NotImplementedError

    def tell(self, outcome: Any) -> None:
        """Say what became of it."""
        raise NotImplementedError

    def close(self) -> Deferred[None]:
        """Let go of what is left."""
        return succeed(None)

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._load = self.begin()
        self._load.finished.addCallback(self._finished)
        self.reactor.callWhenRunning(self._load.start)

    def stopService(self) -> Deferred[None]:
        """Stop the load, and say what was seen."""
        super().stopService()
        load, self._load = self._load, None
        if load is None:
            return succeed(None)
        load.stop()
        self.tell(load.outcome)
        return self.close()

    def show(self, rows: Rows) -> None:
        """The summary as a table for people; who reads JSON has it in the log."""
        # twistd has put its log in the place of sys.stdout.
        if sys.__stdout__ is not None and self.options["log-format"] == "text":
            sys.__stdout__.write(table(rows) + "\n")

    def _finished(self, outcome: Any) -> None:
        """That was all."""
        if self.running:
            self.reactor.stop()


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Rows as lines for people."""
    return "\n".join(f"{name:17} {value}" for name, value in rows)


def percentiles(name: str, histogram: "Histogram") -> Rows:
    """The rows of a histogram of seconds."""
    found = [(f"p{p:g}", histogram.percentile(p)) for p in PERCENTILES]
    return [(f"{name} {of}", units.show_seconds(s)) for of, s in (*found, ("max", histogram.most))]


def figures(histogram: "Histogram") -> dict[str, float]:
    """The same for an event of the log, in seconds."""
    found = {f"p{p:g}": histogram.percentile(p) for p in PERCENTILES}
    return {**found, "max": histogram.most}


def allow_files(wanted: int) -> int:
    """Have so many files open at a time, if the system lets us; gives how many it does let."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
