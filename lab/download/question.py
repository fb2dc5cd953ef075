"""What is asked of one source after the other, until one answers: lists, and what a file is."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from lab.download.client import Failed
from lab.download.connection import Connection
from lab.download.outcomes import Rejected
from lab.download.wire import Busy, Refused, Request
from lab.errors import LabError, LocalError

#: What makes a connection to an endpoint, which tells its events to a function.
Connect = Callable[[IStreamClientEndpoint, Callable[[Any], None]], Connection]


async def ask(
    request: Request,
    sources: Mapping[str, IStreamClientEndpoint],
    connect: Connect,
    closing: Callable[[Deferred[None]], None],
) -> Any:
    """
    Ask one source after the other.

    Args:
        request: What.
        sources: Whom, by name.
        connect: Makes a connection.
        closing: Called with what fires when a connection has ended.

    Returns:
        The answer of the first that has one.

    Raises:
        LabError: The first that has answered has refused; or no source has answered, and it is the
            error of the first.
    """
    first: LabError | None = None
    for name, endpoint in sources.items():
        try:
            return await _ask(request, name, endpoint, connect, closing)
        except Rejected:
            raise
        except LabError as error:
            first = first or type(error)(f"{name}: {error}")
    raise first or LocalError("there is no source; give one at least")


async def _ask(
    request: Request,
    name: str,
    endpoint: IStreamClientEndpoint,
    connect: Connect,
    closing: Callable[[Deferred[None]], None],
) -> Any:
    """Ask one source."""
    result: Deferred[Any] = Deferred()

    def tell(event: Any) -> None:
        """What it says."""
        if result.called:
            return
        if isinstance(event, Failed):
            result.errback(event.error)
        else:
            result.callback(event.value)

    connection = connect(endpoint, tell)
    connection.ask(request)
    connection.begin()
    try:
        value = await result
    finally:
        closing(connection.end())
    if isinstance(value, Busy):
        raise Rejected(f"{name}: 429 {value.text}")
    if isinstance(value, Refused):
        raise Rejected(f"{name}: {value.code} {value.text}")
    return value
