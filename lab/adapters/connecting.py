"""
Connections by TCP to an address, made with less work than Twisted's endpoints take.

Knows no protocol; any program on Twisted can use `AddressEndpoint` in the place of
``TCP4ClientEndpoint`` or ``TCP6ClientEndpoint`` where the host is an address, not a name.

**What it must do.** The same as those, with the same errors, for a fraction of the CPU time: what a
proxy does for each of its clients.

**How it does it.** One socket and one object that waits for it. Within a machine, and only there, a
connection is there as soon as it was asked for, so it asks twice before it waits: then there is
neither a turn of the reactor nor a timer, and the Deferred has fired already when it is given.
Who makes very many calls `AddressEndpoint.begin`, and then there is no Deferred either; or
`AddressEndpoint.dial`, and then there is nothing but a socket.

**What was refused.** To resolve names: what that costs, Twisted does as well.
"""

import os
import socket as sockets
from errno import EALREADY, EINPROGRESS, EISCONN, EWOULDBLOCK
from socket import AF_INET, AF_INET6, SO_ERROR, SOCK_STREAM, SOL_SOCKET, SocketType
from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
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
#: One that does not block, where the system makes such.
_KIND = SOCK_STREAM | getattr(sockets, "SOCK_NONBLOCK", 0)


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
        return f"{self._named(self.protocol)},client"


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
        connecting: Deferred[IProtocol] = maybeDeferred(self.begin, protocolFactory)
        return connecting

    def begin(self, factory: Any) -> Any:
        """
        Connect, without a Deferred where that has been done when this returns.

        Args:
            factory: Makes the protocol.

        Returns:
            The protocol, or a Deferred of it.

        Raises:
            Exception: What `connect` fails with, if that is known at once.
        """
        factory.doStart()
        try:
            dialed = self.dial()
        except ConnectBindError:
            factory.doStop()
            raise
        return dialed.begin(factory)

    def dial(self) -> "Dialed":
        """
        Begin to connect, for nobody yet.

        Raises:
            twisted.internet.error.ConnectBindError: No socket is to be had.
        """
        try:
            made = SocketType(self.family, _KIND)
        except OSError as error:
            raise ConnectBindError(error.errno, error.strerror) from error
        if made.gettimeout() != 0:
            made.setblocking(False)  # noqa: FBT003 - Python's
        result = made.connect_ex(self.address)
        if result in _WAIT:
            result = made.connect_ex(self.address)
        return Dialed(self, made, result)

    def end(self, factory: Any, made: SocketType, result: int) -> IProtocol:
        """
        Have a protocol on a socket that is connected, or say why it is not.

        Args:
            factory: Makes the protocol.
            made: The socket.
            result: The system's number of what became of it.

        Raises:
            Exception: Likewise.
        """
        transport = None
        port: Any = None  # it was not accepted
        try:
            if result not in _DONE:
                raise getConnectError((result, os.strerror(result)))  # noqa: TRY301 - as any other
            protocol: IProtocol | None = factory.buildProtocol(self.peer)
            if protocol is None:
                raise NoProtocol  # noqa: TRY301 - likewise
            transport = _Connected(made, protocol, self.address, port, 0, self.reactor)
            transport.factory = factory
            protocol.makeConnection(transport)
        except Exception:
            if transport is None:
                made.close()
                factory.doStop()
            else:
                transport.abortConnection()
            raise
        return protocol


@define(eq=False)
class Dialed:
    """
    A connection that was asked for.

    Args:
        endpoint: Who has asked.
        socket: Where it will be, or is.
        result: What the system has said of it so far.
    """

    endpoint: AddressEndpoint
    socket: SocketType
    result: int

    @property
    def connected(self) -> bool:
        """Whether it is there."""
        return self.result in _DONE

    def begin(self, factory: Any) -> Any:
        """
        Have a protocol on it; see `AddressEndpoint.begin`.

        Args:
            factory: Makes the protocol; it has been started.

        Raises:
            Exception: As there.
        """
        if self.result in _WAIT:
            return _Attempt(self.endpoint, factory, self.socket).done
        return self.endpoint.end(factory, self.socket, self.result)


@implementer(IWriteDescriptor)
class _Attempt:
    """
    An attempt that takes time.

    Args:
        endpoint: Says where to.
        factory: Makes the protocol.
        made: The socket, which is being connected.

    Attributes:
        done: Fires with the protocol.
    """

    def __init__(self, endpoint: AddressEndpoint, factory: Any, made: SocketType) -> None:
        self._endpoint, self._factory = endpoint, factory
        self._reactor = reactor = endpoint.reactor
        self._socket: SocketType | None = made
        self.done: Deferred[IProtocol] = Deferred(self._cancel)
        self._timer: IDelayedCall = reactor.callLater(endpoint.timeout, self._fail, TimeoutError())
        reactor.addWriter(self)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """Who logs."""
        return type(self).__name__

    def doWrite(self) -> None:
        """It is there, or has failed."""
        if self._socket is None:
            return
        result = self._socket.getsockopt(SOL_SOCKET, SO_ERROR)
        try:
            protocol = self._endpoint.end(self._factory, self._leave(), result)
        except Exception:  # noqa: BLE001 - whatever it is, who has asked is told
            self.done.errback()
        else:
            self.done.callback(protocol)

    def connectionLost(self, reason: Failure) -> None:
        """It has failed, as reactors tell that."""
        self.doWrite()

    def _fail(self, error: Exception) -> None:
        """There is none."""
        self._leave().close()
        self._factory.doStop()
        self.done.errback(error)

    def _cancel(self, done: "Deferred[IProtocol]") -> None:
        """Nobody wants it any more."""
        self._fail(ConnectingCancelledError(self._endpoint.peer))

    def _leave(self) -> Any:
        """Wait no longer; the socket."""
        self._reactor.removeWriter(self)
        if self._timer.active():
            self._timer.cancel()
        found, self._socket = self._socket, None
        return found
