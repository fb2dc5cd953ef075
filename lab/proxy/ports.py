"""
Ports, opened and closed by Toxiproxy's addresses and with its errors, and no wait without an end.

Knows nothing of proxies.
"""

import errno
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorFDSet,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from lab.adapters.connecting import AddressEndpoint
from lab.adapters.endpoints import (
    DatagramClientEndpoint,
    DatagramServerEndpoint,
    clientFromString,
    serverFromString,
)
from lab.adapters.lean import lean
from lab.adapters.service import why_not
from lab.errors import LocalError
from lab.proxy.addresses import Address, AddressError, is_endpoint, protocol_of, with_port
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

    async def resolved(self, text: str, protocol: str = "tcp") -> str:
        """
        What would be shown of an address if a port were open there.

        Args:
            text: An address or an endpoint string.
            protocol: ``tcp`` or ``udp``.

        Raises:
            ApiError: It is no address, or an endpoint string for the other protocol; any other
                of these is taken as it is.
        """
        if is_endpoint(text):
            _check_protocol("listen", text, protocol)
            return text
        try:
            return (await self._resolve(text, protocol)).shown
        except AddressError as error:
            raise ApiError(500, str(error)) from error

    async def open(self, text: str, factory: Any) -> tuple[IListeningPort, str]:
        """
        Listen.

        Args:
            text: An address or an endpoint string.
            factory: Makes the protocols; or takes all datagrams, and then this is UDP.

        Returns:
            The port, and the text by which the same is opened again: a free port has its number.

        Raises:
            ApiError: It can't; the text says why, in Go's words.
        """
        protocol = _protocol(factory)
        if is_endpoint(text):
            _check_protocol("listen", text, protocol)
            port = await self._listen(text, self._endpoint(text), factory)
            return port, with_port(text, getattr(port.getHost(), "port", 0))
        try:
            address = await self._resolve(text, protocol)
        except AddressError as error:
            raise ApiError(500, f"listen {protocol}: {error}") from error
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
        protocol = _protocol(factory)
        where = f"{protocol} {address}"
        *firsts, last = _ALL if address.everywhere else (address.host,)
        for host in firsts:
            try:
                return await self._listen(where, self._server(protocol, host, address), factory)
            except ApiError as error:
                cause = getattr(error.__cause__, "socketError", None)
                if getattr(cause, "errno", None) not in _NO_FAMILY:
                    raise
        return await self._listen(where, self._server(protocol, last, address), factory)

    async def _listen(self, where: str, endpoint: Any, factory: Any) -> IListeningPort:
        """Ask an endpoint."""
        try:
            return lean(await self._in_time(maybeDeferred(endpoint.listen, factory)))
        except defer.TimeoutError as error:
            raise ApiError(500, f"listen {where}: i/o timeout") from error
        except (CannotListenError, OSError) as error:
            why = why_not(error)
            raise ApiError(500, f"listen {where}: bind: {why[:1].lower()}{why[1:]}") from error

    async def _resolve(self, text: str, protocol: str) -> Address:
        """An address with a numeric host; of several the first of IPv4, as Go has it."""
        address = Address.read(text, protocol)
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

    def _server(self, protocol: str, host: str, address: Address) -> Any:
        """The endpoint of a numeric address."""
        if protocol == "udp":
            return DatagramServerEndpoint(self._reactor, address.port, host)
        family = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
        return family(self._reactor, address.port, backlog=BACKLOG, interface=host)

    def _endpoint(self, text: str) -> Any:
        """The endpoint of an endpoint string."""
        try:
            return serverFromString(self._reactor, text)
        except LocalError as error:
            raise bad_request(str(error)) from error


def connector(reactor: Any, upstream: str, protocol: str = "tcp") -> Callable[[], Any]:
    """
    What connects to an upstream, for a relay.

    Args:
        reactor: Connects and resolves names.
        upstream: ``HOST:PORT``, which is not looked at before a connection is there; or an
            endpoint string.
        protocol: ``tcp`` or ``udp``.

    Returns:
        Gives an endpoint of streams, or a `DatagramClientEndpoint`.

    Raises:
        LocalError: A wrong endpoint string, or one for the other protocol.
    """
    if is_endpoint(upstream):
        _check_protocol("upstream", upstream, protocol)
        endpoint = clientFromString(reactor, upstream)
        return lambda: endpoint
    return cache(lambda: _client(reactor, upstream, protocol))


def _client(reactor: Any, upstream: str, protocol: str) -> Any:
    """Where to connect to."""
    try:
        address = Address.read(upstream, protocol)
        if not address.numeric:
            address.check_name()
    except AddressError as error:
        return _Nowhere(f"dial {protocol}: {error}")
    host = "127.0.0.1" if address.everywhere else address.host
    if protocol == "udp":
        return DatagramClientEndpoint(reactor, host, address.port)
    plain = IReactorFDSet.providedBy(reactor) and address.numeric and "%" not in host
    kind = AddressEndpoint if plain else HostnameEndpoint
    return kind(reactor, host, address.port)


def _protocol(factory: Any) -> str:
    """What a port is opened for."""
    return "udp" if isinstance(factory, DatagramProtocol) else "tcp"


def _check_protocol(what: str, text: str, protocol: str) -> None:
    """Refuse an endpoint string that is for the other protocol."""
    found = protocol_of(text)
    if found != protocol:
        raise bad_request(f"{what} is {text!r}; that is {found}, and the proxy is {protocol}")


@implementer(IStreamClientEndpoint)
@frozen
class _Nowhere:
    """There is no way to what is no address."""

    _why: str

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[Any]":
        """Fail."""
        return self.addresses()

    def addresses(self) -> "Deferred[Any]":
        """Fail; this is what is asked for datagrams."""
        return fail(ConnectError(string=self._why))
