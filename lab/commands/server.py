"""
``twistd lab-server``: the services, for staying up.

Here are its options only; what is served is imported when something is: ``--help`` has to come at
once.
"""

from typing import Any

from twisted.application.service import IService

from lab import units
from lab.commands.options import LabOptions, without_password
from lab.commands.server_options import CLASSIC, DOWNLOAD, ECHO, FLAGS
from lab.errors import LocalError
from lab.rng import fresh_seed

#: Where the services listen without any option.
DEFAULTS = {
    "arithmetic": [
        "tcp:50000:backlog=1024:interface=127.0.0.1",
        "udp:50000:interface=127.0.0.1",
    ],
    "sequence": ["tcp:49155:backlog=1024:interface=127.0.0.1"],
    "echo": [
        "tcp:50001:backlog=1024:interface=127.0.0.1",
        "udp:50001:interface=127.0.0.1",
    ],
    "download": ["tcp:50002:backlog=1024:interface=127.0.0.1"],
}
#: All services; those without a default start only if somebody names them.
SERVICES = (*DEFAULTS, "web", *CLASSIC)

#: Those that need a stream, and where that may be.
STREAMS = {"sequence": "tcp:49155", "download": "tcp:50002", "web": "tcp:8080"}


class Options(LabOptions):
    """Options of ``twistd lab-server``."""

    section = "lab-server"
    repeatable = SERVICES
    synopsis = "[options]"
    longdesc = (
        "Without options all services listen at 127.0.0.1 on their usual ports: arithmetic on TCP "
        "50000 and UDP 50000, sequence on TCP 49155, echo on TCP 50001 and UDP 50001, download, of "
        "the files in the current directory, on TCP 50002. As soon as an option names a service, "
        "only the named ones start. "
        "An ENDPOINT is udp:PORT:interface=ADDRESS or any endpoint string of Twisted's: "
        "tcp:50000, ssl:50000:privateKey=key.pem:certKey=cert.pem, unix:/tmp/arithmetic. "
        "Example: twistd -n lab-server --arithmetic udp:50000:interface=127.0.0.1 "
        "--drop-rate 0.3 --seed 12"
    )
    optParameters = [  # noqa: RUF012 - Twisted's own form
        ["drop-rate", None, "0", "arithmetic: drop a datagram with this probability, 0 to 1."],
        ["success", None, None, "The same said the other way round: 1 minus the drop rate."],
        ["seed", None, None, "Draws what is dropped: equal seeds drop the same datagrams."],
        ["idle", None, "300", "Close a connection without a request for so long (300, 5m)."],
        ["cache-entries", None, "65536", "Most answers kept for retransmissions over UDP."],
        ["cache-size", None, "16M", "Most memory for them, in bytes (64K, 16M)."],
        ["interval", None, "1", "A number of a sequence so often (0.5, 100ms)."],
        ["heartbeat-interval", None, "2", "Clients of sequences are expected so often."],
        ["reconnect-window", None, "30", "Keep a session so long after its client was lost."],
        ["sessions", None, "memory", "Where: memory, sqlite:PATH or redis://HOST:PORT/DATABASE."],
        *ECHO,
        *DOWNLOAD,
        ["workers", None, "1", "So many processes serve together, at the same ports."],
        ["worker", None, None, "PORT,…: for processes that --workers has started."],
        ["control", None, None, "unix:PATH: a socket for lab server, of the same user."],
        ["log-format", None, "text", "text, or json: one JSON object a line."],
        ["config", "c", None, "Read an INI file; its section [lab-server] overrides options."],
    ]

    optFlags = [  # noqa: RUF012 - likewise
        *FLAGS,
        ["console", None, "Take words on this terminal, or pipe: clients, transfers, stop, help."],
    ]

    def __init__(self) -> None:
        super().__init__()
        for name in SERVICES:
            self[name] = []

    def opt_arithmetic(self, endpoint: str) -> None:
        """Serve arithmetic at this ENDPOINT; may be repeated."""
        self["arithmetic"] = [*self["arithmetic"], endpoint]

    def opt_sequence(self, endpoint: str) -> None:
        """Serve sequences at this ENDPOINT; may be repeated."""
        self["sequence"] = [*self["sequence"], endpoint]

    def opt_echo(self, endpoint: str) -> None:
        """Serve the echo service at this ENDPOINT; may be repeated."""
        self["echo"] = [*self["echo"], endpoint]

    def opt_download(self, endpoint: str) -> None:
        """Serve files at this ENDPOINT; may be repeated."""
        self["download"] = [*self["download"], endpoint]

    def opt_web(self, endpoint: str) -> None:
        """Serve the same files over HTTP at this ENDPOINT; may be repeated."""
        self["web"] = [*self["web"], endpoint]

    def opt_classic_echo(self, endpoint: str) -> None:
        """Send back all bytes (RFC 862) at this ENDPOINT; may be repeated."""
        self["classic-echo"] = [*self["classic-echo"], endpoint]

    def opt_discard(self, endpoint: str) -> None:
        """Throw away all bytes (RFC 863) at this ENDPOINT; may be repeated."""
        self["discard"] = [*self["discard"], endpoint]

    def opt_chargen(self, endpoint: str) -> None:
        """Send characters without end (RFC 864) at this ENDPOINT; may be repeated."""
        self["chargen"] = [*self["chargen"], endpoint]

    def settle(self) -> None:
        """
        Turn words into settings and endpoints.

        Raises:
            LocalError: A value can't be.
        """
        from lab.commands.console import check_terminal
        from lab.commands.control import control_path
        from lab.commands.server_download import catalogue, download_settings
        from lab.commands.server_echo import echo_settings

        check_terminal(self, self.parent)
        self._settle_workers()
        self.control = control_path(self["control"]) if self["control"] is not None else None
        self._settle_arithmetic()
        self.echo = echo_settings(self)
        self.download = download_settings(self)
        self._settle_sequence()
        seed = self["seed"]
        self.seed = fresh_seed() if seed is None else units.seed(seed)
        services = {name: self[name] for name in SERVICES if self[name]} or DEFAULTS
        self._settle_places([(name, text) for name, texts in services.items() for text in texts])
        self.catalogue = catalogue(self) if {"download", "web"} & {*services} else None

    def _settle_workers(self) -> None:
        """How many there are."""
        from lab.commands.worker_options import MOST, check_workers

        self.workers = units.count(self["workers"], "workers", most=MOST)
        if self.workers > 1:
            check_workers(self, self.parent)

    def _settle_arithmetic(self) -> None:
        """The settings of arithmetic."""
        from lab.arithmetic.settings import ServerSettings

        drop_rate = units.probability(self["drop-rate"], "drop-rate")
        if self["success"] is not None:
            if "drop-rate" in self.given:
                raise LocalError("drop-rate and success say the same thing; give one of them")
            drop_rate = 1 - units.probability(self["success"], "success")
        self.settings = ServerSettings(
            idle=units.positive_seconds(self["idle"], "idle"),
            drop_rate=drop_rate,
            cache_entries=units.count(self["cache-entries"], "cache-entries", least=0),
            cache_size=units.size(self["cache-size"], "cache-size"),
        )

    def _settle_sequence(self) -> None:
        """The settings of sequences, and where their sessions are."""
        from twisted.internet import reactor

        from lab.commands.stores import make_store
        from lab.sequence.settings import ServerSettings

        self.sequence = ServerSettings(
            interval=units.positive_seconds(self["interval"], "interval"),
            heartbeat=units.positive_seconds(self["heartbeat-interval"], "heartbeat-interval"),
            window=units.positive_seconds(self["reconnect-window"], "reconnect-window"),
        )
        self.store = make_store(reactor, self["sessions"], self.sequence)

    def _settle_places(self, places: list[tuple[str, str]]) -> None:
        """The endpoints: those of a worker, or those that workers will share."""
        from twisted.internet import reactor

        from lab.commands.worker_options import check_shared, shared_reactors

        if self.workers > 1:
            check_shared(places, without_password(self["sessions"]))
        reactors = shared_reactors(reactor, self["worker"], len(places))
        self.endpoints = [
            (name, text, _endpoint(one, name, text))
            for one, (name, text) in zip(reactors, places, strict=True)
        ]


def makeService(options: Options) -> IService:
    """
    Build the services that the options name.

    Args:
        options: Parsed options.
    """
    from lab.commands.serving import make_services

    return make_services(options)


def _endpoint(reactor: Any, name: str, text: str) -> Any:
    """Where a service listens; some need a stream."""
    from lab.adapters.endpoints import DatagramServerEndpoint, serverFromString

    endpoint = serverFromString(reactor, text)
    if name in STREAMS and isinstance(endpoint, DatagramServerEndpoint):
        raise LocalError(
            f"{name} is at {text!r}; give an endpoint of streams, like {STREAMS[name]}"
        )
    return endpoint
