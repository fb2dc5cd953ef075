"""The echo service in ``twistd lab-server``, and echo, discard and chargen of old."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.protocol import DatagramProtocol, Factory

from lab import units
from lab.adapters.endpoints import DatagramServerEndpoint
from lab.echo import classic
from lab.echo.answers import Counters
from lab.echo.budget import Budget
from lab.echo.settings import ServerSettings
from lab.echo.tcp import EchoFactory
from lab.echo.udp import EchoDatagramProtocol
from lab.echo.wire import LEAST_SIZE, LIMIT, LONGEST
from lab.errors import LocalError
from lab.rng import stream

_Build = Callable[[float], classic.DiscardCore]
#: What answers over streams and over datagrams, by the option.
_CLASSIC: dict[
    str, tuple[Callable[[float], classic.DiscardCore], Callable[..., DatagramProtocol]]
] = {
    "classic-echo": (classic.EchoCore, classic.EchoDatagramProtocol),
    "discard": (classic.DiscardCore, classic.DiscardDatagramProtocol),
    "chargen": (classic.CharacterCore, classic.CharacterDatagramProtocol),
}
#: What listens, and what reports what it did.
Listener = tuple[Factory | DatagramProtocol, Callable[[], str]]


def echo_settings(options: Mapping[str, Any]) -> ServerSettings:
    """
    The limits that options ask for.

    Args:
        options: The words of `lab.commands.server_options.ECHO` and of ``idle``.

    Raises:
        LocalError: A value can't be.
    """
    return ServerSettings(
        idle=units.positive_seconds(options["idle"], "idle"),
        interval=_interval(options["stream-interval"]),
        packets=units.count(options["stream-packets"], "stream-packets"),
        size=units.count(options["stream-size"], "stream-size", LEAST_SIZE, LIMIT),
        file=units.count(options["file-size"], "file-size", 0, 10**15),
        rate=rate(options, "rate"),
        total_rate=rate(options, "total-rate"),
        streams=units.count(options["streams"], "streams", most=10**6),
        total_streams=units.count(options["total-streams"], "total-streams", most=10**6),
        pace=rate(options, "pace"),
        piece=units.count(options["piece"], "piece", most=65_400),
    )


def _interval(text: str) -> float:
    """The shortest interval, in seconds."""
    value = units.seconds(text, "stream-interval")
    if value > LONGEST:
        raise LocalError(f"stream-interval is {text!r}; give at most {LONGEST:,} s")
    return value


def rate(options: Mapping[str, Any], name: str) -> float:
    """
    Bytes a second; infinity if nothing is said.

    Raises:
        LocalError: The value can't be.
    """
    return math.inf if options[name] is None else units.rate(options[name], name)


@define(eq=False)
class EchoListeners:
    """
    Makes what listens; all of the echo service shares one budget, whatever it listens at.

    Args:
        reactor: Gives the time.
        settings: Limits.
        seed: Draws how long the datagrams of chargen are.
    """

    _reactor: Any
    _settings: ServerSettings
    _seed: int
    _budget: Budget = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Nothing runs yet."""
        self._budget = Budget(self._settings)

    def listener(self, name: str, endpoint: object) -> Listener:
        """
        What listens at an endpoint.

        Args:
            name: ``echo``, or one of `lab.commands.server_options.CLASSIC`.
            endpoint: Of streams or of datagrams.
        """
        datagrams = isinstance(endpoint, DatagramServerEndpoint)
        if name != "echo":
            return self._classic(name, datagrams=datagrams)
        if not datagrams:
            factory = EchoFactory(self._reactor, self._settings, self._budget)
            return factory, lambda: _report(factory.counters)
        protocol = EchoDatagramProtocol(self._reactor, self._settings, self._budget)
        return (
            protocol,
            lambda: (
                f"{_report(protocol.counters)}, {protocol.ignored:,} ignored, "
                f"{protocol.sender.batched:,} sent in batches, {protocol.unsent:,} not sent"
            ),
        )

    def _classic(self, name: str, *, datagrams: bool) -> Listener:
        """What listens for one of the old ones."""
        build, kind = _CLASSIC[name]
        if not datagrams:
            factory = classic.ClassicFactory(self._reactor, build)
            return factory, lambda: f"{factory.connections:,} connections"
        random = [stream(self._seed, name)] if name == "chargen" else []
        protocol: Any = kind(self._reactor, *random)
        return (
            protocol,
            lambda: (
                f"{protocol.received:,} datagrams, {protocol.ignored:,} ignored, "
                f"{protocol.unsent:,} not sent"
            ),
        )


def _report(counters: Counters) -> str:
    """What every echo server counts."""
    return (
        f"{counters.echoed:,} echoed, {counters.probes:,} probes, {counters.streams:,} streams, "
        f"{counters.files:,} files, {counters.refused:,} refused, {counters.busy:,} busy"
    )
