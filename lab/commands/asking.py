"""What all commands that ask an arithmetic server share: options and the client they make."""

from typing import Any

from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.arithmetic import tcp, udp
from lab.arithmetic.asking import Asking
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.rng import stream


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
    The settings that the options of a command ask for.

    Args:
        timeout: Of the first attempt, in seconds.
        backoff: Whether it doubles after each failure while it is at most the cap.
        max_timeout: That cap, in seconds; without backoff of no meaning.
        attempts: At most so many; without backoff 1 if not said.
        jitter: Share of a wait by which it is drawn shorter or longer, 0 to 1.
        others: As `ClientSettings`.

    Raises:
        LocalError: A value can't be.
    """
    if backoff:
        retry = Backoff(timeout, max_timeout, attempts=attempts, jitter=jitter)
    else:
        retry = Backoff.fixed(timeout, attempts or 1, jitter)
    return ClientSettings(retry, **others)


def make_client(
    reactor: Any, endpoint: str, settings: ClientSettings, seed: int | None = None
) -> Asking:
    """
    A client for this endpoint string, of streams or of datagrams.

    Raises:
        LocalError: It is no endpoint string.
    """
    place = clientFromString(reactor, endpoint)
    random = stream(seed, "client")
    if isinstance(place, DatagramClientEndpoint):
        return udp.ArithmeticClient(reactor, place, settings, random)
    return tcp.ArithmeticClient(reactor, place, settings, random)
