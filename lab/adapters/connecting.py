"""
Connections by TCP to an address, made with less work than Twisted's endpoints take.

Knows no protocol; any program on Twisted can use `AddressEndpoint` in the place of
``TCP4ClientEndpoint`` or ``TCP6ClientEndpoint`` where the host is an address, not a name.

**What it must do.** The same as those, with the same errors, for a fraction of the CPU time: what a
proxy does for each of its clients.

**How it does it.** One socket and one object that waits for it. Within a machine, and only there, a
connection is there as soon as it was asked for, so it asks twice before it waits: then there is
neither a turn of the reactor nor a timer, and the Deferred has fired already when it is given.

**What was refused.** To resolve names: what that costs, Twisted does as well.
"""

import os
from errno import EALREADY, EINPROGRESS, EISCONN, EWOULDBLOCK
from socket import AF_INET, AF_INET6, SO_ERROR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    NoProtocol,
    TimeoutError,  # noqa: A004 - Twisted's
    getConnectError,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.lean import LeanConnection

#: What a socket says while it is being connected.
_WAIT = {EALREADY, EINPROGRESS, EWOULDBLOCK}
_DONE = {0, EISCONN}


class _Connected(LeanConnection):
    """A transport for a socket that is connected, which was not accepted."""

    _tlsClientDefault = True
    factory: Any = None

    def connectionLost(self, reason: Failure) -> None:
        """The factory has one connection less."""
        factory, self.factory = self.factory, None
        super().connectionLost(reason)
        if factory is not None:
            factory.doStop()

    def _prefix(self) -> str:
        """What its lines in the log begin with."""
        return f"{self._getLogPrefix(self.protocol)},client"


@implementer(IStreamClientEndpoint)
class AddressEndpoint:
    """
    A client's endpoint.

    Args:
        reactor: One that watches descriptors, ``IReactorFDSet``, and has a clock.
        host: A numeric address of IPv4 or, without a zone, IPv6.
        port: There.
        timeout: A connection may take so long, in seconds.
    """

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = 30.0) -> None:
        self.reactor, self.timeout = reactor, timeout
        self.family = AF_INET6 if ":" in host else AF_INET
        self.address: tuple[Any, ...] = (host, port)
        self.peer: IPv4Address | IPv6Address = IPv4Address("TCP", host, port)
        if self.family == AF_INET6:
            self.address, self.peer = (host, port, 0, 0), IPv6Address("TCP", host, port)

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect; within a machine, that has been done when this returns."""
        protocolFactory.doStart()
        attempt = _Attempt(self, protocolFactory)
        attempt.begin()
        return attempt.done


@implementer(IWriteDescriptor)
class _Attempt:
    """
    One attempt.

    Args:
        endpoint: Says where to.
        factory: Makes the protocol.

    Attributes:
        done: Fires with the protocol.
    """

    def __init__(self, endpoint: AddressEndpoint, factory: Any) -> None:
        self._endpoint, self._factory = endpoint, factory
        self._reactor = endpoint.reactor
        self.done: Deferred[IProtocol] = Deferred(self._cancel)
        self._socket: socket | None = None
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """Try, and wait if it takes time."""
        endpoint = self._endpoint
        try:
            made = self._socket = socket(endpoint.family, SOCK_STREAM)
        except OSError as error:
            self._fail(ConnectBindError(error.errno, error.strerror))
            return
        made.settimeout(0.0)
        result = made.connect_ex(endpoint.address)
        if result in _WAIT:
            result = made.connect_ex(endpoint.address)
        if result in _WAIT:
            self._timer = self._reactor.callLater(endpoint.timeout, self._fail, TimeoutError())
            self._reactor.addWriter(self)
        else:
            self._end(result)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """Who logs."""
        return type(self).__name__

    def doWrite(self) -> None:
        """It is there, or has failed."""
        if self._socket is not None:
            self._end(self._socket.getsockopt(SOL_SOCKET, SO_ERROR))

    def connectionLost(self, reason: Failure) -> None:
        """It has failed, as reactors tell that."""
        self.doWrite()

    def _end(self, result: int) -> None:
        """The attempt is over, with this of the system's numbers."""
        if result in _DONE:
            self._make()
        else:
            self._fail(getConnectError((result, os.strerror(result))))

    def _make(self) -> None:
        """Have a protocol on it."""
        found, address = self._leave(), self._endpoint.address
        transport = None
        port: Any = None  # it was not accepted
        try:
            protocol = self._factory.buildProtocol(self._endpoint.peer)
            if protocol is None:
                raise NoProtocol  # noqa: TRY301 - a failure as any other
            transport = _Connected(found, protocol, address, port, 0, self._reactor)
            transport.factory = self._factory
            protocol.makeConnection(transport)
        except Exception:  # noqa: BLE001 - whatever it is, who has asked is told
            if transport is None:
                found.close()
                self._factory.doStop()
            else:
                transport.abortConnection()
            self.done.errback()
        else:
            self.done.callback(protocol)

    def _fail(self, error: Exception) -> None:
        """There is none."""
        found = self._leave()
        if found is not None:
            found.close()
        self._factory.doStop()
        self.done.errback(error)

    def _cancel(self, done: "Deferred[IProtocol]") -> None:
        """Nobody wants it any more."""
        self._fail(ConnectingCancelledError(self._endpoint.peer))

    def _leave(self) -> Any:
        """Wait no longer; the socket."""
        if self._timer is not None:
            self._reactor.removeWriter(self)
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        found, self._socket = self._socket, None
        return found
