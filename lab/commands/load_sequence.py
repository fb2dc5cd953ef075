"""``twistd lab-client sequence``: many clients of a sequence server, some of them cut off."""

from typing import TYPE_CHECKING, Any

from lab import units
from lab.commands.loads import LoadOptions, LoadService, Rows, allow_files, figures, percentiles
from lab.errors import LocalError
from lab.rng import stream

if TYPE_CHECKING:  # --help has to come at once
    from lab.sequence.load import Load, Outcome

# Files that a process has open besides its connections, with room to spare.
_OTHER_FILES = 50


class SequenceOptions(LoadOptions):
    """Options of ``twistd lab-client sequence``."""

    section = "lab-client sequence"
    synopsis = "[options] [ENDPOINT]"
    longdesc = (
        "Keeps clients of the sequence server at ENDPOINT (tcp:localhost:49155) going, checks "
        "each number by its value and its place, and counts how late it came. When a sequence has "
        "ended, another one begins. With --abort-every connections are broken off at random "
        "times, and the sequences have to go on as if nothing had happened. At the end, or at "
        "SIGTERM, a summary is printed. Example: twistd -n lab-client sequence "
        "tcp:localhost:49155 --clients 1000 --count 1000 --n 50 --interval 100ms --abort-every 2s"
    )
    optParameters = [  # noqa: RUF012 - Twisted's own form
        ["clients", None, "1", "Clients at a time."],
        ["n", "n", None, "Numbers of a sequence; without it the server draws how many."],
        ["interval", None, None, "Between two of them (0.5, 100ms); without it the server's."],
        ["count", None, None, "Stop after so many sequences; without it, at SIGTERM or Ctrl-C."],
        ["abort-every", None, None, "Break each connection off, so often on average (500ms, 2s)."],
        ["on-reject", None, "stop", "A session is rejected: stop, or restart the sequence."],
        ["heartbeat-interval", None, "2", "Say so often that we are there; as the server's."],
        ["seed", None, None, "Draws when connections are broken off, and waits."],
        ["log-format", None, "text", "text, or json: one JSON object a line."],
        ["config", "c", None, "Read an INI file; [lab-client sequence] overrides options."],
    ]

    def parseArgs(self, endpoint: str = "tcp:localhost:49155") -> None:
        """Take the endpoint."""
        self.endpoint = endpoint

    def settle(self) -> None:
        """
        Turn words into settings.

        Raises:
            LocalError: A value can't be.
        """
        from twisted.internet import reactor

        from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
        from lab.sequence.load import Plan
        from lab.sequence.settings import ClientSettings
        from lab.sequence.values import LONGEST

        super().settle()
        self.place: Any = clientFromString(reactor, self.endpoint)
        if isinstance(self.place, DatagramClientEndpoint):
            raise LocalError(
                f"endpoint is {self.endpoint!r}; give one of streams, like tcp:localhost:49155"
            )
        if self["on-reject"] not in {"stop", "restart"}:
            raise LocalError(f"on-reject is {self['on-reject']!r}; give stop or restart")
        n = self.maybe(lambda text, name: units.count(text, name, most=LONGEST), "n")
        self.settings = ClientSettings(
            n,
            self.maybe(units.positive_seconds, "interval"),
            units.positive_seconds(self["heartbeat-interval"], "heartbeat-interval"),
            restart=self["on-reject"] == "restart",
        )
        self.plan = Plan(
            units.count(self["clients"], "clients", most=100_000),
            self.maybe(units.count, "count"),
            self.maybe(units.positive_seconds, "abort-every"),
        )


class SequenceLoadService(LoadService):
    """Keeps clients of a sequence server going, and says what became of their sequences."""

    def begin(self) -> "Load":
        """Make the load."""
        from lab.sequence.load import Load

        options = self.options
        self._log.info(
            "{clients:,} clients of {endpoint}, seed {seed}",
            clients=options.plan.clients,
            endpoint=options.endpoint,
            seed=options.seed,
        )
        wanted = options.plan.clients + _OTHER_FILES
        allowed = allow_files(wanted)
        if allowed < wanted:
            self._log.warn(
                "{clients:,} clients want {wanted:,} open files, and {allowed:,} are allowed; "
                "see ulimit -n",
                clients=options.plan.clients,
                wanted=wanted,
                allowed=allowed,
            )
        random = stream(options.seed, "sequences")
        return Load(self.reactor, options.place, options.settings, options.plan, random)

    def tell(self, outcome: "Outcome") -> None:
        """The summary: one event with all figures in the log, and a table for people."""
        self._log.info(
            "{begun:,} begun, {equal:,} equal, {unfinished:,} not ended, {numbers:,} numbers, "
            "{wrong:,} wrong, {aborted:,} broken off, {resumed:,} resumed, {retried:,} retries, "
            "p50 {p50:.6f} s, p99 {p99:.6f} s late",
            clients=outcome.clients,
            begun=outcome.begun,
            unfinished=outcome.unfinished,
            restarted=outcome.restarted,
            numbers=outcome.numbers,
            wrong=outcome.wrong,
            aborted=outcome.aborted,
            resumed=outcome.resumed,
            retried=outcome.retried,
            last_error=outcome.last_error,
            **outcome.ended,
            **figures(outcome.lateness),
        )
        self.show(summary(outcome))


def summary(outcome: "Outcome") -> Rows:
    """What a load saw, as rows for people."""
    rows = [
        ("clients", f"{outcome.clients:,}"),
        ("sequences", f"{outcome.begun:,}"),
        *((name, f"{number:,}") for name, number in outcome.ended.items()),
        ("not ended", f"{outcome.unfinished:,}"),
        ("begun anew", f"{outcome.restarted:,}"),
        ("numbers", f"{outcome.numbers:,}"),
        ("wrong numbers", f"{outcome.wrong:,}"),
        ("broken off", f"{outcome.aborted:,}"),
        ("resumed", f"{outcome.resumed:,}"),
        ("retries", f"{outcome.retried:,}"),
        *percentiles("lateness", outcome.lateness),
    ]
    if outcome.last_error:
        rows.append(("last error", outcome.last_error))
    return rows
