r"""
Endpoint strings, with those that Twisted lacks: ``udp:``, and clients of the PROXY protocol.

A server's is ``udp:PORT:interface=ADDRESS``, a client's ``udp:HOST:PORT``. ``haproxy:1:ENDPOINT``
and ``haproxy:2:ENDPOINT`` are a client's that sends a header first, of that version. All others
are Twisted's own. As there, a backslash takes the meaning from a colon: ``udp:\\:\\:1:50000``.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from OpenSSL import crypto
from twisted.internet import endpoints, udp
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorUDP,
    IResolutionReceiver,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from lab.adapters import udp as ports
from lab.adapters.proxy_protocol import HeadedEndpoint
from lab.errors import LocalError
from lab.wire.proxy_protocol import VERSIONS

#: Largest datagram, in bytes; Twisted cuts them at 8,192 unless told otherwise.
LARGEST = 65535
#: What may be behind the header of the PROXY protocol.
HEADED = ("tcp", "tls", "ssl", "unix")
#: Bytes of datagrams that a port reads in one turn of the reactor.
TURN = 16384
#: Buffer of a port for what was not read yet, in bytes. Linux gives as much of it as its
#: ``net.core.rmem_max`` allows, 212,992 unless set, and doubles that; a datagram of 1,200 bytes
#: takes 2,304 of it.
BUFFER = 2**22

# What Twisted's parsers of endpoint strings raise at a wrong one; nothing says that they would.
_WRONG = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, crypto.Error)


@frozen
class DatagramServerEndpoint:
    """
    A UDP port to listen on.

    Args:
        reactor: Listens.
        port: 0 to 65535; 0 takes a free one.
        interface: Address to listen at; empty for all of IPv4.
    """

    reactor: IReactorUDP
    port: int
    interface: str = ""

    def listen(self, protocol: DatagramProtocol) -> IListeningPort:
        """
        Listen.

        Raises:
            twisted.internet.error.CannotListenError: The port is taken, or not allowed.
        """
        return _fair(ports.listen(self.reactor, self.port, protocol, self.interface, LARGEST))


@frozen
class DatagramClientEndpoint:
    """
    A UDP port to ask.

    Args:
        reactor: Listens and resolves names.
        host: Name or address.
        port: 1 to 65535.
    """

    reactor: IReactorUDP
    host: str
    port: int

    def addresses(self) -> Deferred[list[tuple[str, int]]]:
        """
        The numeric addresses of the host.

        Returns:
            Fires with at least one; fails with ``DNSLookupError`` if there is none.
        """
        if _is_address(self.host):
            return succeed([(self.host, self.port)])
        receiver = _Receiver()
        resolver = IReactorPluggableNameResolver(self.reactor).nameResolver
        resolver.resolveHostName(receiver, self.host, self.port)
        return receiver.done

    def listen(self, protocol: DatagramProtocol, interface: str = "") -> IListeningPort:
        """Take a free port of our own, of the family of that interface."""
        return _fair(ports.listen(self.reactor, 0, protocol, interface, LARGEST))


def _fair(port: IListeningPort) -> IListeningPort:
    """
    Let others have their turn sooner, and lose less meanwhile.

    Of small datagrams, Twisted reads 256 KiB at a time. What comes faster than it is read waits in
    the socket's buffer, and is lost beyond that.
    """
    if isinstance(port, udp.Port):
        port.maxThroughput = TURN
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return port


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects what a resolver says."""

    def __init__(self) -> None:
        self.done: Deferred[list[tuple[str, int]]] = Deferred()
        self._found: list[tuple[str, int]] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """The host that is looked for, for an error."""
        self._name = resolutionInProgress.name

    def addressResolved(self, address: IAddress) -> None:
        """One more; of a kind that we know."""
        if isinstance(address, IPv4Address | IPv6Address):
            self._found.append((address.host, address.port))

    def resolutionComplete(self) -> None:
        """No more."""
        if self._found:
            self.done.callback(self._found)
        else:
            self.done.errback(DNSLookupError(f"no address for {self._name!r}"))


def serverFromString(reactor: Any, text: str) -> IStreamServerEndpoint | DatagramServerEndpoint:
    """
    Read a server's endpoint string.

    Args:
        reactor: Listens; it has to be one for what the string names.

    Raises:
        LocalError: It is no endpoint string; the text says what one looks like.
    """
    kind, *words = _split(text)
    if kind != "udp":
        with _as_local(text, "tcp:50000:interface=127.0.0.1"):
            server: IStreamServerEndpoint = endpoints.serverFromString(reactor, text)
            return server
    options = dict(word.partition("=")[::2] for word in words[1:])
    interface = options.pop("interface", "")
    if not words or options or not (not interface or _is_address(interface)):
        raise LocalError(f"endpoint is {text!r}; give udp:PORT or udp:PORT:interface=ADDRESS")
    return DatagramServerEndpoint(reactor, _port(words[0], text, 0), interface)


def clientFromString(reactor: Any, text: str) -> IStreamClientEndpoint | DatagramClientEndpoint:
    """
    Read a client's endpoint string.

    Args:
        reactor: Connects; it has to be one for what the string names.

    Raises:
        LocalError: It is no endpoint string; the text says what one looks like.
    """
    kind, *words = _split(text)
    if kind == "haproxy":
        return _headed(reactor, text)
    if kind != "udp":
        with _as_local(text, "tcp:localhost:50000"):
            client: IStreamClientEndpoint = endpoints.clientFromString(reactor, text)
            return client
    if len(words) != 2 or not words[0]:
        raise LocalError(f"endpoint is {text!r}; give udp:HOST:PORT, e.g. udp:localhost:50000")
    return DatagramClientEndpoint(reactor, words[0], _port(words[1], text, 1))


def _headed(reactor: Any, text: str) -> HeadedEndpoint:
    """The endpoint of a client that sends a header first."""
    _, version, inside = (*text.split(":", 2), "", "")[:3]
    if version not in map(str, VERSIONS) or inside.partition(":")[0] not in HEADED:
        raise LocalError(
            f"endpoint is {text!r}; give haproxy:1:ENDPOINT or haproxy:2:ENDPOINT, "
            f"where ENDPOINT begins with {', '.join(HEADED)}"
        )
    with _as_local(text, "haproxy:2:tcp:localhost:50000"):
        return HeadedEndpoint(reactor, int(version), inside)


def _split(text: str) -> list[str]:
    """The words between the colons that no backslash stands before."""
    return [re.sub(r"\\(.)", r"\1", word) for word in re.split(r"(?<!\\):", text)]


def _is_address(text: str) -> bool:
    """Whether this is an address and no name."""
    return bool(isIPAddress(text) or isIPv6Address(text))


def _port(word: str, text: str, least: int) -> int:
    """The port number in an endpoint string."""
    if not re.fullmatch("[0-9]{1,5}", word) or not least <= int(word) <= 65535:
        raise LocalError(f"endpoint is {text!r}; give a port from {least} to 65535")
    return int(word)


@contextmanager
def _as_local(text: str, example: str) -> Iterator[None]:
    """Turn what Twisted's parsers raise at a wrong string into one clear line."""
    try:
        yield
    except OSError as error:
        # A folder that can't be listed hides the reason in an error without a text.
        why = str(getattr(error, "originalException", error))
        raise LocalError(f"endpoint is {text!r}; {why}") from error
    except _WRONG as error:
        why = " ".join(str(error).split())
        raise LocalError(f"endpoint is {text!r}; give one like {example} ({why})") from error
