"""
Connections of Twisted's by TCP that cost less to have: for who has many that live short.

Knows no protocol: any program on Twisted can have the connections of a port be such, by `lean`, and
those of `lab.adapters.connecting` are.

**What it must do.** What `lab.adapters.eager` does, with the same calls to protocols and producers
in the same order, for less CPU time at the beginning and at the end of a connection.

**How it does it.** It leaves out what is done for nothing: to make a socket non-blocking that is so
already, to have the reactor forget what it was never told of, to make a name for ``repr`` and a
``Failure`` for each connection that ends as it should, to ask a ``Failure`` by the names of all
classes what it is about.

**What was refused.** A ``doRead`` of our own for ports: of what a connection costs, Twisted's loop
around ``accept`` takes two per cent, and it has an answer to every error.
"""

from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IListeningPort
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Port, Server
from twisted.python.failure import Failure

from lab.adapters.eager import EagerServer

#: How most connections end. Twisted's reactors share one among all, too.
_DONE = Failure(CONNECTION_DONE)


class LeanConnection(EagerServer):
    """
    A connection that was accepted, or made by somebody else.

    The arguments are those of Twisted's ``Server``.
    """

    #: Whether the reactor may have been told to watch it.
    _reading = _writing = False

    def __init__(
        self, sock: Any, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any
    ) -> None:
        # All that the constructors of Twisted's classes do, which are not called.
        self.reactor = reactor
        self._tempDataBuffer, self._tempDataLen = [], 0
        if sock.gettimeout() != 0:
            sock.setblocking(False)  # noqa: FBT003 - Python's
        self.socket, self.fileno = sock, sock.fileno
        self.protocol, self.client = protocol, client
        self.server, self.sessionno, self.hostname = server, sessionno, client[0]
        if len(client) != 2:
            self._addressType = IPv6Address
        self._outbox = getattr(reactor, "outbox", None)
        self.logstr = self._prefix()
        self.startReading()
        self.connected = True

    def __repr__(self) -> str:
        """Whose connection this is."""
        return f"<{type(self).__name__} {self.logstr}>"

    def startReading(self) -> None:
        """Have the reactor tell when there is something to be read."""
        self._reading = True
        self.reactor.addReader(self)

    def stopReading(self) -> None:
        """Have it tell so no more."""
        if self._reading:
            self._reading = False
            self.reactor.removeReader(self)

    def startWriting(self) -> None:
        """Have the reactor tell when there is room."""
        self._writing = True
        self.reactor.addWriter(self)

    def stopWriting(self) -> None:
        """Have it tell so no more."""
        if self._writing:
            self._writing = False
            self.reactor.removeWriter(self)

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer sends no more; the reactor has stopped to watch for that before."""
        self._reading = False
        super().readConnectionLost(reason)

    def loseConnection(self) -> None:
        """Close it, behind what is queued."""
        if self._writeDisconnected and self.connected and not self.disconnecting and not self.TLS:
            self.connectionLost(_DONE)  # both halves have ended
        else:
            super().loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        if not hasattr(self, "socket"):
            return
        self.frame = None
        self.disconnected, self.connected = True, False
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.stopReading()
        self.stopWriting()
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)

    def _prefix(self) -> str:
        """What its lines in the log begin with."""
        return f"{self._getLogPrefix(self.protocol)},{self.sessionno},{self.hostname}"


def lean(port: IListeningPort) -> IListeningPort:
    """
    Have the connections of a port be lean; a port that is none of Twisted's own for TCP stays.

    Args:
        port: One that listens.
    """
    if isinstance(port, Port) and port.transport in {Server, EagerServer}:
        port.transport = LeanConnection
    return port
