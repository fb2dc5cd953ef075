"""The services of ``twistd lab-server``, built as its options say."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.adapters.service import ListeningService
from lab.adapters.wheel import TimerWheel
from lab.arithmetic.server import Counters
from lab.arithmetic.tcp import ArithmeticFactory
from lab.arithmetic.udp import ArithmeticDatagramProtocol
from lab.commands.collecting import CollectorService
from lab.commands.console import ConsoleService, ConsoleSession
from lab.commands.control import ControlFactory, ControlService
from lab.commands.giving_up import give_up
from lab.commands.options import one_line
from lab.commands.overview import Overview
from lab.commands.server import Options
from lab.commands.server_download import DirectoryService
from lab.commands.server_download import report as report_download
from lab.commands.server_echo import EchoListeners
from lab.commands.stores import StoreService
from lab.commands.worker_options import server_words
from lab.commands.workers import Supervisor
from lab.download.tcp import DownloadFactory
from lab.download.web import DownloadSite
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Place
from lab.sequence.tcp import SequenceFactory


def make_services(options: Options) -> MultiService:
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
    CollectorService().setServiceParent(services)
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


def _supervised(reactor: Any, options: Options) -> MultiService:
    """What sees to workers."""
    services = options.services()
    places = [(name, text) for name, text, _ in options.endpoints]
    words, fail = partial(server_words, options), partial(give_up, reactor)
    Supervisor(reactor, places, options.workers, words, fail).setServiceParent(services)
    return services


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
