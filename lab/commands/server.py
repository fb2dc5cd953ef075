"""``twistd lab-server``: the services, for staying up."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger

from lab import units
from lab.adapters.endpoints import DatagramServerEndpoint, serverFromString
from lab.adapters.service import ListeningService
from lab.adapters.wheel import TimerWheel
from lab.arithmetic.server import Counters
from lab.arithmetic.settings import ServerSettings
from lab.arithmetic.tcp import ArithmeticFactory
from lab.arithmetic.udp import ArithmeticDatagramProtocol
from lab.commands.console import ConsoleService, ConsoleSession, check_terminal
from lab.commands.control import ControlFactory, ControlService, control_path
from lab.commands.options import LabOptions, one_line, without_password
from lab.commands.overview import Overview
from lab.commands.server_download import (
    FLAGS,
    DirectoryService,
    catalogue,
    download_settings,
)
from lab.commands.server_download import PARAMETERS as DOWNLOAD
from lab.commands.server_download import report as report_download
from lab.commands.server_echo import CLASSIC, PARAMETERS, EchoListeners, echo_settings
from lab.commands.stores import StoreService, make_store
from lab.commands.workers import (
    Supervisor,
    check_shared,
    check_workers,
    give_up,
    server_words,
    shared_reactors,
)
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadSite
from lab.errors import LocalError
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Place
from lab.rng import fresh_seed
from lab.sequence.settings import ServerSettings as SequenceSettings
from lab.sequence.tcp import SequenceFactory

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
        *PARAMETERS,
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
        from twisted.internet import reactor

        check_terminal(self, self.parent)
        self.workers = units.count(self["workers"], "workers", least=1)
        if self.workers > 1:
            check_workers(self, self.parent, self.workers)
        self.control = control_path(self["control"]) if self["control"] is not None else None
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
        self.sequence = SequenceSettings(
            interval=units.positive_seconds(self["interval"], "interval"),
            heartbeat=units.positive_seconds(self["heartbeat-interval"], "heartbeat-interval"),
            window=units.positive_seconds(self["reconnect-window"], "reconnect-window"),
        )
        self.echo = echo_settings(self)
        self.download = download_settings(self)
        self.store = make_store(reactor, self["sessions"], self.sequence)
        seed = self["seed"]
        self.seed = fresh_seed() if seed is None else units.seed(seed)
        services = {name: self[name] for name in SERVICES if self[name]} or DEFAULTS
        places = [(name, text) for name, texts in services.items() for text in texts]
        if self.workers > 1:
            check_shared(places, without_password(self["sessions"]))
        reactors = shared_reactors(reactor, self["worker"], len(places))
        self.endpoints = [
            (name, text, _endpoint(one, name, text))
            for one, (name, text) in zip(reactors, places, strict=True)
        ]
        self.catalogue = catalogue(self) if {"download", "web"} & {*services} else None


def makeService(options: Options) -> IService:
    """
    Build the services that the options name.

    Args:
        options: Parsed options.
    """
    from twisted.internet import reactor

    sys.excepthook = one_line
    if options.workers > 1:
        return _supervised(reactor, options)
    if options.settings.drop_rate:
        Logger("lab.commands.server").info(
            "drop rate {rate:g}, seed {seed}", rate=options.settings.drop_rate, seed=options.seed
        )
    services = options.services()
    ports = count(1)
    # Its clients wait most of the time, and there may be thousands of them.
    sequence = SequenceFactory(TimerWheel(reactor), options.sequence, options.store)
    sequences = StoreService(options.store, sequence.disconnect)
    echoes = EchoListeners(reactor, options.echo, options.seed)
    download = _download(reactor, options, services)
    listening: list[ListeningService] = []
    for name, text, endpoint in options.endpoints:
        parent = services
        if name == "arithmetic":
            listener, report = _arithmetic(reactor, options, endpoint, ports)
        elif name == "sequence":
            # One factory for all its endpoints: a client may come back by another.
            parent = sequences
            listener, report = sequence, partial(_report_sequence, sequence)
        elif download is not None and name in {"download", "web"}:
            listener, report = _door(download, name), partial(report_download, download)
        else:
            listener, report = echoes.listener(name, endpoint)
        listening.append(ListeningService(name, text, endpoint, listener, report))
        listening[-1].setServiceParent(parent)
    if list(sequences):
        sequences.setServiceParent(services)
    _oversee(reactor, options, Overview(reactor.seconds, listening, download), services)
    return services


def _supervised(reactor: Any, options: Options) -> IService:
    """What sees to workers."""
    services = options.services()
    places = [(name, text) for name, text, _ in options.endpoints]
    words, fail = partial(server_words, options), partial(give_up, reactor)
    Supervisor(reactor, places, options.workers, words, fail).setServiceParent(services)
    return services


def _endpoint(reactor: Any, name: str, text: str) -> Any:
    """Where a service listens; some need a stream."""
    endpoint = serverFromString(reactor, text)
    if name in STREAMS and isinstance(endpoint, DatagramServerEndpoint):
        raise LocalError(
            f"{name} is at {text!r}; give an endpoint of streams, like {STREAMS[name]}"
        )
    return endpoint


def _download(reactor: Any, options: Options, services: MultiService) -> DownloadFactory | None:
    """One factory for all its endpoints: they share their limits."""
    if options.catalogue is None:
        return None  # nobody wants it
    factory = DownloadFactory(reactor, options.catalogue, options.download)
    DirectoryService(factory, options.catalogue.root).setServiceParent(services)
    return factory


def _door(download: DownloadFactory, name: str) -> Any:
    """What listens for clients that speak so."""
    return DownloadSite(download) if name == "web" else download


def _oversee(reactor: Any, options: Options, overview: Overview, services: MultiService) -> None:
    """The control socket and the console, if they are wanted."""
    stop = partial(_stop, reactor)
    if options.control is not None:
        factory = ControlFactory(reactor, overview, stop)
        ControlService(reactor, options.control, factory).setServiceParent(services)
    if options["console"]:
        console = ConsoleService(reactor, ConsoleSession(overview, stop), stop)
        console.setServiceParent(services)
        console.show_log()


def _stop(reactor: Any) -> None:
    """Stop the server, once what is being done now is done."""
    reactor.callLater(0, lambda: reactor.running and reactor.stop())


def _arithmetic(
    reactor: Any, options: Options, endpoint: object, ports: Iterator[int]
) -> tuple[Factory | DatagramProtocol, Callable[[], str]]:
    """What listens at this endpoint, and what reports what it did."""
    if not isinstance(endpoint, DatagramServerEndpoint):
        factory = ArithmeticFactory(reactor, options.settings)
        return factory, lambda: _report(factory.counters)
    # Not by its address: one seed drops the same datagrams on whatever port is free.
    place = Place("arithmetic", next(ports), "upstream", "loss")
    drops = Dice(options.seed).judge(place, Fault(Loss(options.settings.drop_rate), place.fault))
    protocol = ArithmeticDatagramProtocol(reactor, options.settings, drops)
    return (
        protocol,
        lambda: (
            f"{protocol.received:,} datagrams, {protocol.dropped:,} dropped, "
            f"{_report(protocol.counters)}, {protocol.counters.repeated:,} repeated, "
            f"{protocol.replies.evicted:,} evicted, {protocol.unsent:,} not sent"
        ),
    )


def _report(counters: Counters) -> str:
    """What every server counts."""
    return f"{counters.executed:,} executed, {counters.refused:,} refused"


def _report_sequence(factory: SequenceFactory) -> str:
    """What the server of sequences did."""
    counters = factory.counters
    return (
        f"{counters.begun:,} begun, {counters.resumed:,} resumed, {counters.done:,} done, "
        f"{counters.rejected:,} rejected"
    )
