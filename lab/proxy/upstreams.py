"""
What a proxy may stand before, in the forms in which programs have it.

Connects nowhere: what can be no place is refused at once, and whether somebody listens there shows
with the first connection.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.errors import LocalError
from lab.proxy.addresses import Address, is_endpoint, protocol_of
from lab.proxy.ports import connector

_FORMS = "HOST:PORT, an endpoint string, (host, port), a port, an address, or a client endpoint"


@frozen
class Upstream:
    """
    Where a proxy connects to.

    Args:
        text: For people.
        protocol: ``tcp`` or ``udp``; the first stands for all streams.
        connect: Gives an endpoint of streams, or a `DatagramClientEndpoint`.
    """

    text: str
    protocol: str
    connect: Callable[[], Any]


def read_upstream(reactor: Any, given: Any) -> Upstream:
    """
    Read where a proxy shall connect to.

    Args:
        reactor: Connects and resolves names.
        given: ``HOST:PORT`` or a pair of the two, for TCP; the number of a TCP port of this
            machine; a client's endpoint string, also ``udp:HOST:PORT``; an ``IListeningPort`` or
            its address; or an endpoint of a client.

    Raises:
        LocalError: Something else.

    >>> read_upstream(None, 5432).text
    '127.0.0.1:5432'
    """
    if isinstance(given, DatagramClientEndpoint):
        return Upstream(f"udp:{given.host}:{given.port}", "udp", lambda: given)
    if IStreamClientEndpoint.providedBy(given):
        return Upstream(type(given).__name__, "tcp", lambda: given)
    text = place(given)
    if not is_endpoint(text):
        _check(text)
    protocol = protocol_of(text)
    return Upstream(text, protocol, connector(reactor, text, protocol))


def place(given: Any) -> str:
    r"""
    A place as ``HOST:PORT`` or an endpoint string.

    Args:
        given: As for `read_upstream`, but no endpoint of a client, which has no words for it.

    Raises:
        LocalError: Something else.

    >>> place(("::1", 53)), place(IPv6Address("UDP", "::1", 53))
    ('[::1]:53', 'udp:\\:\\:1:53')
    """
    if IListeningPort.providedBy(given):
        given = given.getHost()
    if isinstance(given, str):
        return given
    if isinstance(given, IPv4Address | IPv6Address):
        return _address(given)
    if isinstance(given, UNIXAddress) and given.name:
        return f"unix:{_quoted(given.name.decode())}"
    host, port = given if isinstance(given, tuple) and len(given) == 2 else ("127.0.0.1", given)
    if not isinstance(host, str) or not isinstance(port, int):
        raise LocalError(f"upstream is {given!r}; give {_FORMS}")
    return str(Address(host, port))


def _address(address: IPv4Address | IPv6Address) -> str:
    """An address of a port; one that listens everywhere is found at the loopback address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    if address.type == "UDP":
        return f"udp:{_quoted(host)}:{address.port}"
    return str(Address(host, address.port))


def _quoted(word: str) -> str:
    """A word of an endpoint string."""
    return word.replace("\\", "\\\\").replace(":", "\\:")


def _check(text: str) -> None:
    """Refuse what Go would take until something connects."""
    try:
        address = Address.read(text)
        if not address.numeric:
            address.check_name()
    except LocalError as error:
        raise LocalError(f"upstream is {text!r}; give {_FORMS} ({error})") from error
    if not address.port:
        raise LocalError(f"upstream is {text!r}; give a port from 1 to 65535")
