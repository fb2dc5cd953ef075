"""
Ports, opened and closed by Toxiproxy's addresses and with its errors, and no wait without an end.

Knows nothing of proxies.
"""

import errno
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString, serverFromString
from lab.errors import LocalError
from lab.proxy.addresses import Address, AddressError, is_endpoint, with_port
from lab.proxy.errors import ApiError, bad_request

#: Longest wait for a name, for a port, or for its closing, in seconds.
PATIENCE = 5.0
#: Connections that wait to be accepted, at most.
BACKLOG = 1024

# Without IPv6 on this machine, all addresses are those of IPv4.
_ALL = ("::", "0.0.0.0")  # noqa: S104 - that is what is asked for
_NO_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}

_T = TypeVar("_T")


class Ports:
    """
    Opens ports.

    Args:
        reactor: Listens, resolves names and has a clock.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def resolved(self, text: str) -> str:
        """
        What would be shown of an address if a port were open there.

        Raises:
            ApiError: It is no address; an endpoint string is taken as it is.
        """
        if is_endpoint(text):
            return text
        try:
            return (await self._resolve(text)).shown
        except AddressError as error:
            raise ApiError(500, str(error)) from error

    async def open(self, text: str, factory: Any) -> tuple[IListeningPort, str]:
        """
        Listen.

        Args:
            text: An address or an endpoint string.
            factory: Makes the protocols.

        Returns:
            The port, and the text by which the same is opened again: a free port has its number.

        Raises:
            ApiError: It can't; the text says why, in Go's words.
        """
        if is_endpoint(text):
            port = await self._listen(text, self._endpoint(text), factory)
            return port, with_port(text, getattr(port.getHost(), "port", 0))
        try:
            address = await self._resolve(text)
        except AddressError as error:
            raise ApiError(500, f"listen tcp: {error}") from error
        port = await self._open(address, factory)
        host: Any = port.getHost()
        return port, Address(address.host, host.port).shown

    async def close(self, port: IListeningPort) -> None:
        """Listen no more: who connects from now on is refused."""
        try:
            await self._in_time(maybeDeferred(port.stopListening))
        except defer.TimeoutError:
            self._log.warn("{port} takes long to close", port=port)

    async def _open(self, address: Address, factory: Any) -> IListeningPort:
        """Listen at an address; at all of them, if there is none."""
        *firsts, last = _ALL if address.everywhere else (address.host,)
        for host in firsts:
            try:
                return await self._listen(f"tcp {address}", self._server(host, address), factory)
            except ApiError as error:
                cause = getattr(error.__cause__, "socketError", None)
                if getattr(cause, "errno", None) not in _NO_FAMILY:
                    raise
        return await self._listen(f"tcp {address}", self._server(last, address), factory)

    async def _listen(self, where: str, endpoint: Any, factory: Any) -> IListeningPort:
        """Ask an endpoint."""
        try:
            return await self._in_time(maybeDeferred(endpoint.listen, factory))
        except defer.TimeoutError as error:
            raise ApiError(500, f"listen {where}: i/o timeout") from error
        except CannotListenError as error:
            why = getattr(error.socketError, "strerror", None) or str(error.socketError)
            raise ApiError(500, f"listen {where}: bind: {why[:1].lower()}{why[1:]}") from error

    async def _resolve(self, text: str) -> Address:
        """An address with a numeric host; of several the first of IPv4, as Go has it."""
        address = Address.read(text)
        if address.numeric:
            return address
        address.check_name()
        asked = DatagramClientEndpoint(self._reactor, address.host, address.port).addresses()
        try:
            found = [host for host, _ in await self._in_time(asked)]
        except defer.TimeoutError as error:
            raise AddressError(f"lookup {address.host}: i/o timeout") from error
        except DNSLookupError as error:
            raise address.unknown() from error
        return Address(min(found, key=lambda host: ":" in host), address.port)

    def _in_time(self, deferred: "Deferred[_T]") -> "Deferred[_T]":
        """Wait no longer than `PATIENCE`."""
        return deferred.addTimeout(PATIENCE, self._reactor)

    def _server(self, host: str, address: Address) -> Any:
        """The endpoint of a numeric address."""
        family = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
        return family(self._reactor, address.port, backlog=BACKLOG, interface=host)

    def _endpoint(self, text: str) -> Any:
        """The endpoint of an endpoint string."""
        try:
            return serverFromString(self._reactor, text)
        except LocalError as error:
            raise bad_request(str(error)) from error


def connector(reactor: Any, upstream: str) -> Callable[[], IStreamClientEndpoint]:
    """
    What connects to an upstream, for a relay.

    Args:
        reactor: Connects and resolves names.
        upstream: ``HOST:PORT``, which is not looked at before a connection is there; or an
            endpoint string.

    Raises:
        LocalError: A wrong endpoint string.
    """
    if is_endpoint(upstream):
        endpoint: Any = clientFromString(reactor, upstream)
        return lambda: endpoint
    return lambda: _client(reactor, upstream)


def _client(reactor: Any, upstream: str) -> IStreamClientEndpoint:
    """Where to connect to."""
    try:
        address = Address.read(upstream)
        if not address.numeric:
            address.check_name()
    except AddressError as error:
        return _Nowhere(f"dial tcp: {error}")
    host = "127.0.0.1" if address.everywhere else address.host
    client: IStreamClientEndpoint = HostnameEndpoint(reactor, host, address.port)
    return client


@implementer(IStreamClientEndpoint)
@frozen
class _Nowhere:
    """There is no way to what is no address."""

    _why: str

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[Any]":
        """Fail."""
        return fail(ConnectError(string=self._why))
