"""
Ports that several processes share, each with a socket of its own (SO_REUSEPORT).

Linux gives each new connection to one of them, and each datagram by the flow that it belongs to: as
long as the same processes listen, a peer is always served by the same one.

Any endpoint of Twisted's listens so when it is made with a `SharedPorts` instead of its reactor. A
`ReservedPorts` takes the place of a reactor in a process that serves nobody: it holds the ports, so
that they are free for its children and stay theirs.
"""

import socket
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.tcp import makeBinding
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides, providedBy

from lab.errors import LocalError

#: What can be shared, as endpoint strings begin.
SHARED = ("tcp", "tcp6", "tls", "ssl", "udp")


def check_system() -> None:
    """
    Whether ports can be shared here.

    Raises:
        LocalError: They can't.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise LocalError("several processes can't share a port: this system has no SO_REUSEPORT")


class SharedPorts:
    """
    A reactor whose ports others may have as well, if they are of the same user.

    Args:
        reactor: Does everything; for datagrams it has to adopt sockets (``IReactorSocket``).
        port: Is taken instead of port 0; 0 takes a free one.
    """

    def __init__(self, reactor: Any, port: int = 0) -> None:
        self._reactor, self._port = reactor, port
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        """Whatever has to do with no port."""
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen for connections."""
        binding = makeBinding(interface, port or self._port, reuseAddress=True, reusePort=True)
        return self._reactor.listenTCP(binding, factory, backlog, interface)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Listen for connections with TLS."""
        wrapped: Any = TLSMemoryBIOFactory(
            contextFactory, isClient=False, wrappedFactory=factory, clock=self._reactor
        )
        return self.listenTCP(port, wrapped, backlog, interface)

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> Any:
        """Listen for datagrams."""
        with _bound(socket.SOCK_DGRAM, port or self._port, interface) as one:
            # It makes a copy of the descriptor.
            return self._reactor.adoptDatagramPort(
                one.fileno(), one.family, protocol, maxPacketSize
            )


class ReservedPorts(SharedPorts):
    """
    A reactor that takes ports, and serves nobody.

    Attributes:
        taken: The sockets. Who closes one gives up its port, if nobody shares it.
    """

    def __init__(self, reactor: Any, port: int = 0) -> None:
        super().__init__(reactor, port)
        self.taken: list[socket.socket] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Take a port; it is given no connections before somebody else listens there."""
        return self._take(socket.SOCK_STREAM, port, interface)

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> Any:
        """Take a port; it gets datagrams, which are lost, until its socket is closed."""
        return self._take(socket.SOCK_DGRAM, port, interface)

    def _take(self, kind: socket.SocketKind, port: int, interface: str) -> socket.socket:
        """Have one more."""
        self.taken.append(_bound(kind, port, interface))
        return self.taken[-1]


def _bound(kind: socket.SocketKind, port: int, interface: str) -> socket.socket:
    """
    A socket at a port that others may have as well.

    Raises:
        twisted.internet.error.CannotListenError: The port can't be had.
    """
    one = socket.socket(socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET, kind)
    try:
        one.setblocking(False)  # noqa: FBT003 - Python's
        if kind == socket.SOCK_STREAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((interface, port))
        if kind == socket.SOCK_STREAM:
            # It was for connections of before that are not quite over. While nobody listens, others
            # could have the port by it, too.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        one.close()
        raise CannotListenError(interface, port, error) from error
    return one
