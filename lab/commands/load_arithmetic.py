"""``twistd lab-client``: clients that keep the services busy, and say what they saw."""

import sys
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python import usage

from lab import units
from lab.adapters.endpoints import clientFromString
from lab.arithmetic.asking import Asking
from lab.arithmetic.load import Load, Outcome
from lab.commands.asking import make_client, make_settings
from lab.commands.options import LabOptions, one_line
from lab.pacing import Schedule
from lab.rng import fresh_seed, stream

PERCENTILES = (50, 90, 99, 99.9)


class ArithmeticOptions(LabOptions):
    """Options of ``twistd lab-client arithmetic``."""

    section = "lab-client arithmetic"
    synopsis = "[options] [ENDPOINT]"
    longdesc = (
        "Asks the arithmetic server at ENDPOINT (tcp:localhost:50000) at a steady rate and checks "
        "each answer. Requests leave at their planned times, whatever became of those before "
        "them, and latency counts from the planned time. At the end, or at SIGTERM, a summary is "
        "printed. Example: twistd -n lab-client arithmetic udp:localhost:50000 --rate 1000 "
        "--count 10000 --timeout .1 --backoff"
    )
    optParameters = [  # noqa: RUF012 - Twisted's own form
        ["rate", "r", "10", "Requests a second."],
        ["count", "n", None, "Stop after so many; without it, at SIGTERM or Ctrl-C."],
        ["connections", None, "1", "Connections (over UDP: ports) to spread them over."],
        ["timeout", None, "1", "How long an attempt waits (0.1, 100ms, 2s)."],
        ["max-timeout", None, "2", "With --backoff: no attempt waits longer."],
        ["attempts", None, None, "At most so many for a request; 1 without --backoff."],
        ["jitter", None, "0", "Draw each wait shorter or longer by this share, 0 to 1."],
        ["deadline", None, None, "Give a request up after so long in all."],
        ["seed", None, None, "Draws the requests, ids and jitter."],
        ["log-format", None, "text", "text, or json: one JSON object a line."],
        ["config", "c", None, "Read an INI file; [lab-client arithmetic] overrides options."],
    ]
    optFlags = [  # noqa: RUF012
        ["backoff", None, "Try again, waiting twice as long each time, up to --max-timeout."],
        ["repeat", None, "Send again what was in flight on a connection that broke."],
    ]

    def parseArgs(self, endpoint: str = "tcp:localhost:50000") -> None:
        """Take the endpoint."""
        self.endpoint = endpoint

    def settle(self) -> None:
        """
        Turn words into settings.

        Raises:
            LocalError: A value can't be.
        """
        from twisted.internet import reactor

        clientFromString(reactor, self.endpoint)

        def maybe(read: Any, name: str) -> Any:
            return None if self[name] is None else read(self[name], name)

        self.settings = make_settings(
            timeout=units.positive_seconds(self["timeout"], "timeout"),
            backoff=bool(self["backoff"]),
            max_timeout=units.positive_seconds(self["max-timeout"], "max-timeout"),
            attempts=maybe(units.count, "attempts"),
            jitter=units.probability(self["jitter"], "jitter"),
            deadline=maybe(units.positive_seconds, "deadline"),
            connections=units.count(self["connections"], "connections"),
            repeat=bool(self["repeat"]),
        )
        self.rate = units.count(self["rate"], "rate", most=1_000_000)
        self.count = maybe(units.count, "count")
        self.seed = maybe(units.seed, "seed")
        if self.seed is None:
            self.seed = fresh_seed()


class Options(usage.Options):
    """Options of ``twistd lab-client``: which service is kept busy."""

    synopsis = "[SERVICE] [options]"
    longdesc = "SERVICE is arithmetic if none is named. See lab-client SERVICE --help."
    subCommands = [  # noqa: RUF012 - Twisted's own form
        ["arithmetic", None, ArithmeticOptions, "Keep an arithmetic server busy."],
    ]

    opt_version = LabOptions.opt_version

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Parse, with the name of the service put in where it is left out."""
        words = list(sys.argv[1:] if options is None else options)
        if not words or words[0] not in ("arithmetic", "--help", "--version"):
            words.insert(0, "arithmetic")
        super().parseOptions(words)


class ArithmeticLoadService(Service):
    """
    Keeps asking while it runs, and stops the reactor when it has asked enough.

    Args:
        reactor: Gives the time, and is stopped.
        options: Parsed options.
    """

    _log = Logger()

    def __init__(self, reactor: Any, options: ArithmeticOptions) -> None:
        self._reactor = reactor
        self._options = options
        self._client: Asking | None = None
        self._load: Load | None = None

    def startService(self) -> None:
        """Begin to ask."""
        super().startService()
        options = self._options
        self._log.info(
            "asks {endpoint}: {rate:,} requests/s, seed {seed}",
            endpoint=options.endpoint,
            rate=options.rate,
            seed=options.seed,
        )
        settings = options.settings
        self._client = make_client(self._reactor, options.endpoint, settings, options.seed)
        start = self._reactor.seconds()
        schedule = Schedule(options.rate, start, options.count)
        random = stream(options.seed, "requests")
        self._load = Load(self._reactor, self._client, schedule, random)
        self._load.finished.addCallback(self._finished)
        self._reactor.callWhenRunning(self._load.start)

    def stopService(self) -> Deferred[None]:
        """Ask no more, and say what was seen."""
        super().stopService()
        if self._load is None or self._client is None:
            return succeed(None)
        self._load.stop()
        load, client, self._load = self._load, self._client, None
        self._tell(load.outcome, client)
        return client.close()

    def _tell(self, outcome: Outcome, client: Asking) -> None:
        """The summary: a table for people, and one event with all figures in the log."""
        self._log.info(
            "{asked:,} asked, {right:,} right, {wrong:,} wrong, {unanswered:,} given up, "
            "{lost:,} lost, {sent:,} messages sent, p50 {p50:.6f} s, p99 {p99:.6f} s",
            asked=outcome.asked,
            right=outcome.right,
            wrong=outcome.wrong,
            unanswered=outcome.unanswered,
            lost=outcome.lost,
            sent=client.traffic.sent,
            late=client.traffic.late,
            max=outcome.latency.most,
            **{f"p{p:g}": outcome.latency.percentile(p) for p in PERCENTILES},
        )
        # twistd has put its log in the place of sys.stdout.
        if sys.__stdout__ is not None and self._options["log-format"] == "text":
            sys.__stdout__.write(summary(outcome, client) + "\n")

    def _finished(self, outcome: Outcome) -> None:
        """That was the last request."""
        if self.running:
            self._reactor.stop()


def summary(outcome: Outcome, client: Asking) -> str:
    """What a load saw, as lines for people."""
    latency, traffic = outcome.latency, client.traffic
    again = traffic.sent - traffic.requests
    rows = [
        ("requests", f"{outcome.asked:,}"),
        ("right answers", f"{outcome.right:,}"),
        ("wrong answers", f"{outcome.wrong:,}"),
        ("given up", f"{outcome.unanswered:,}"),
        ("lost connections", f"{outcome.lost:,}"),
        ("messages sent", f"{traffic.sent:,} ({again:,} again)"),
        ("late answers", f"{traffic.late:,}"),
        *((f"latency p{p:g}", units.show_seconds(latency.percentile(p))) for p in PERCENTILES),
        ("latency max", units.show_seconds(latency.most)),
    ]
    if outcome.last_error:
        rows.append(("last error", outcome.last_error))
    return "\n".join(f"{name:17} {value}" for name, value in rows)


def makeService(options: Options) -> IService:
    """
    Build the clients that the options name.

    Args:
        options: Parsed options.
    """
    from twisted.internet import reactor

    sys.excepthook = one_line
    chosen: ArithmeticOptions = options.subOptions
    # twistd knows the options of the service only by the class above these.
    chosen.parent = options.parent
    services = chosen.services()
    ArithmeticLoadService(reactor, chosen).setServiceParent(services)
    return services
