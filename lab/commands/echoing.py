"""What all commands that ask an echo server share: options, the client, exit codes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.commands import running
from lab.commands.asking import make_backoff, make_one_of, retry_options
from lab.commands.hosts import is_endpoint, read_hosts
from lab.commands.running import DATA_WRONG, REFUSED
from lab.echo import tcp, udp
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Rejected, WrongData
from lab.echo.settings import ClientSettings
from lab.errors import LabError

DEFAULT = "tcp:localhost:50001"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def server_options(command: _Command) -> _Command:
    """The options of attempts, and ``--hosts``; for a command of click's."""
    hosts = click.option(
        "--hosts", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="A list of servers, the first of which is asked; hosts.txt if there is one.",
    )  # fmt: skip
    return hosts(retry_options(command))


def make_settings(
    *, silence: float | None = None, deadline: float | None = None, **attempts: Any
) -> ClientSettings:
    """
    The settings of a client of the echo service that the options of a command ask for.

    Args:
        silence: As `ClientSettings`; its default if None.
        deadline: As `ClientSettings`.
        attempts: As `make_backoff`.

    Raises:
        LocalError: A value can't be.
    """
    retry = make_backoff(**attempts)
    if silence is None:
        return ClientSettings(retry, deadline)
    return ClientSettings(retry, deadline, silence)


def split(words: tuple[str, ...], hosts: Path | None) -> tuple[str, tuple[str, ...]]:
    """
    The endpoint, and what stands behind it.

    Args:
        words: Of the command line; the first may be an endpoint.
        hosts: A list from which the first is taken if it is none.

    Raises:
        LocalError: The list can't be had.
    """
    if words and is_endpoint(words[0]):
        return words[0], words[1:]
    return read_hosts(hosts, DEFAULT)[0], words


def make_client(
    reactor: Any, endpoint: str, settings: ClientSettings, seed: int | None = None
) -> EchoAsking:
    """
    A client for this endpoint string, of streams or of datagrams.

    Raises:
        LocalError: It is no endpoint string.
    """
    return make_one_of(tcp.EchoClient, udp.EchoClient, reactor, endpoint, settings, seed)


def code_of(error: BaseException | None) -> int:
    """
    The exit code that an error stands for.

    >>> from lab.echo.wire import Refused
    >>> code_of(Rejected(Refused(413, "count is 6; at most 5")))
    3
    """
    if isinstance(error, WrongData):
        return DATA_WRONG
    return REFUSED if isinstance(error, Rejected) else running.code_of(error)


def complain(error: LabError) -> int:
    """Say on standard error what went wrong; gives the exit code."""
    sys.stderr.write(f"{error}\n")
    return code_of(error)
