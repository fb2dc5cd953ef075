"""``twistd lab-client arithmetic``: requests at a steady rate."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from lab import units
from lab.commands.loads import LoadOptions, LoadService, Rows, figures, percentiles
from lab.rng import stream

if TYPE_CHECKING:  # --help has to come at once
    from lab.arithmetic.asking import Asking
    from lab.arithmetic.load import Load, Outcome


class ArithmeticOptions(LoadOptions):
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

        from lab.adapters.endpoints import clientFromString
        from lab.commands.asking import make_settings

        super().settle()
        clientFromString(reactor, self.endpoint)
        self.settings = make_settings(
            timeout=units.positive_seconds(self["timeout"], "timeout"),
            backoff=bool(self["backoff"]),
            max_timeout=units.positive_seconds(self["max-timeout"], "max-timeout"),
            attempts=self.maybe(units.count, "attempts"),
            jitter=units.probability(self["jitter"], "jitter"),
            deadline=self.maybe(units.positive_seconds, "deadline"),
            connections=units.count(self["connections"], "connections"),
            repeat=bool(self["repeat"]),
        )
        self.rate = units.count(self["rate"], "rate", most=1_000_000)
        self.count = self.maybe(units.count, "count")


class ArithmeticLoadService(LoadService):
    """Keeps asking, and says what was answered."""

    _client: "Asking"

    def begin(self) -> "Load":
        """Make the client, and the load that asks with it."""
        from lab.arithmetic.load import Load
        from lab.commands.asking import make_client
        from lab.pacing import Schedule

        options = self.options
        self._log.info(
            "asks {endpoint}: {rate:,} requests/s, seed {seed}",
            endpoint=options.endpoint,
            rate=options.rate,
            seed=options.seed,
        )
        self._client = make_client(self.reactor, options.endpoint, options.settings, options.seed)
        schedule = Schedule(options.rate, self.reactor.seconds(), options.count)
        return Load(self.reactor, self._client, schedule, stream(options.seed, "requests"))

    def tell(self, outcome: "Outcome") -> None:
        """The summary: one event with all figures in the log, and a table for people."""
        traffic = self._client.traffic
        self._log.info(
            "{asked:,} asked, {right:,} right, {wrong:,} wrong, {unanswered:,} given up, "
            "{lost:,} lost, {sent:,} messages sent, p50 {p50:.6f} s, p99 {p99:.6f} s",
            asked=outcome.asked,
            right=outcome.right,
            wrong=outcome.wrong,
            unanswered=outcome.unanswered,
            lost=outcome.lost,
            sent=traffic.sent,
            late=traffic.late,
            **figures(outcome.latency),
        )
        self.show(summary(outcome, self._client))

    def close(self) -> Deferred[None]:
        """Close the client."""
        return self._client.close()


def summary(outcome: "Outcome", client: "Asking") -> Rows:
    """What a load saw, as rows for people."""
    traffic = client.traffic
    again = traffic.sent - traffic.requests
    rows = [
        ("requests", f"{outcome.asked:,}"),
        ("right answers", f"{outcome.right:,}"),
        ("wrong answers", f"{outcome.wrong:,}"),
        ("given up", f"{outcome.unanswered:,}"),
        ("lost connections", f"{outcome.lost:,}"),
        ("messages sent", f"{traffic.sent:,} ({again:,} again)"),
        ("late answers", f"{traffic.late:,}"),
        *percentiles("latency", outcome.latency),
    ]
    if outcome.last_error:
        rows.append(("last error", outcome.last_error))
    return rows
