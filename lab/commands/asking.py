"""What all commands that ask a server share: options of attempts, the client they make."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.arithmetic.asking import Asking
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.tcp import ArithmeticClient
from lab.backoff import Backoff
from lab.commands.types import COUNT, SECONDS, SHARE
from lab.rng import stream

_Client = TypeVar("_Client")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def retry_options(command: _Command) -> _Command:
    """The options of attempts, for a command of click's; `make_backoff` takes what they say."""
    for option in reversed(
        (
            click.option(
                "--timeout", type=SECONDS, default="1", show_default=True, help="Of an attempt."
            ),
            click.option(
                "--backoff", is_flag=True, help="Try again, waiting twice as long each time."
            ),
            click.option(
                "--max-timeout",
                type=SECONDS,
                default="2",
                show_default=True,
                help="With --backoff: the cap.",
            ),
            click.option("--attempts", type=COUNT, help="At most so many; 1 without --backoff."),
            click.option(
                "--jitter",
                type=SHARE,
                default="0",
                help="Draw each wait shorter or longer by this.",
            ),
        )
    ):
        command = option(command)
    return command


def make_backoff(
    *, timeout: float, backoff: bool, max_timeout: float, attempts: int | None, jitter: float
) -> Backoff:
    """
    How long attempts wait, as `retry_options` say it.

    Args:
        timeout: Of the first attempt, in seconds.
        backoff: Whether it doubles after each failure while it is at most the cap.
        max_timeout: That cap, in seconds; without backoff of no meaning.
        attempts: At most so many; without backoff 1 if not said.
        jitter: Share of a wait by which it is drawn shorter or longer, 0 to 1.

    Raises:
        LocalError: A value can't be.
    """
    if backoff:
        return Backoff(timeout, max_timeout, attempts=attempts, jitter=jitter)
    return Backoff.fixed(timeout, attempts or 1, jitter)


def make_settings(
    *,
    timeout: float,
    backoff: bool,
    max_timeout: float,
    attempts: int | None,
    jitter: float,
    **others: Any,
) -> ClientSettings:
    """
    The settings of a client of arithmetic that the options of a command ask for.

    Args:
        timeout: As `make_backoff`, and so are the next four.
        backoff: See there.
        max_timeout: See there.
        attempts: See there.
        jitter: See there.
        others: As `ClientSettings`.

    Raises:
        LocalError: A value can't be.
    """
    retry = make_backoff(
        timeout=timeout,
        backoff=backoff,
        max_timeout=max_timeout,
        attempts=attempts,
        jitter=jitter,
    )
    return ClientSettings(retry, **others)


def make_client(
    reactor: Any, endpoint: str, settings: ClientSettings, seed: int | None = None
) -> Asking:
    """
    A client of arithmetic for this endpoint string, of streams or of datagrams.

    Raises:
        LocalError: It is no endpoint string.
    """
    return make_one_of(ArithmeticClient, _for_datagrams, reactor, endpoint, settings, seed)


def _for_datagrams(*arguments: Any) -> Asking:
    """A client for datagrams, which brings the faults along that a server of them can have."""
    from lab.arithmetic import udp

    return udp.ArithmeticClient(*arguments)


def make_one_of(
    streams: Callable[..., _Client],
    datagrams: Callable[..., _Client],
    reactor: Any,
    endpoint: str,
    settings: object,
    seed: int | None,
) -> _Client:
    """
    A client for this endpoint string.

    Args:
        streams: Makes one for an endpoint of streams.
        datagrams: Makes one for an endpoint of datagrams.
        reactor: Of the program.
        endpoint: Where the server is.
        settings: Of the client.
        seed: What it draws follows from it; from the system's if None.

    Raises:
        LocalError: It is no endpoint string.
    """
    place = clientFromString(reactor, endpoint)
    make = datagrams if isinstance(place, DatagramClientEndpoint) else streams
    return make(reactor, place, settings, stream(seed, "client"))
