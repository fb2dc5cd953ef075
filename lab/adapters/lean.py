"""
Connections of Twisted's by TCP that cost less to have: for who has many that live short.

Knows no protocol: any program on Twisted can have the connections of a port be such, by `lean`, and
those of `lab.adapters.connecting` are.

**What it must do.** What `lab.adapters.eager` does, with the same calls to protocols and producers
in the same order, for less CPU time at the beginning and at the end of a connection.

**How it does it.** It leaves out what is done for nothing: to make a socket non-blocking that is so
already, to have the reactor forget what it was never told of, to make a name for ``repr`` and a
``Failure`` for each connection that ends as it should, to ask a ``Failure`` by the names of all
classes what it is about, to look for an adapter of a protocol that knows halves itself. Who has
made a protocol ready may have it read at once what has come meanwhile, `LeanConnection.readNow`:
that is an event less. A factory that takes sockets is given them, see `lab.adapters.accepting`.
"""

import contextlib
from collections.abc import Callable
from socket import SHUT_WR
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Port, Server
from twisted.python import log
from twisted.python.failure import Failure

from lab.adapters.accepting import Sockets, give_sockets
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
        self._reading = True
        reactor.addReader(self)
        self.connected = True

    def __repr__(self) -> str:
        """Whose connection this is."""
        return f"<{type(self).__name__} {self.logstr}>"

    def readNow(self) -> None:
        """
        Read what has come already, before the reactor tells of it.

        An end and an error are left for the reactor to find.
        """
        if self._reading and self.doRead() is CONNECTION_LOST:
            self._failed = CONNECTION_LOST  # the system tells once

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
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self._tell(self.protocol.readConnectionLost)
        else:
            super().readConnectionLost(reason)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - Twisted's
        """Have one that is told when to write."""
        if streaming and self.producer is None and not self.TLS and not self.disconnected:
            self.producer, self.streamingProducer = producer, True
        else:
            super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Have it no more."""
        if self.TLS or self.disconnecting:
            super().unregisterProducer()
        else:
            self.producer = None

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

    def _closeWriteConnection(self) -> None:
        """End our half; all has been written."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            with contextlib.suppress(OSError):
                self.socket.shutdown(SHUT_WR)
            self._tell(self.protocol.writeConnectionLost)
        else:
            super()._closeWriteConnection()

    def _tell(self, what: Callable[[], None]) -> None:
        """Tell the protocol of an end; one that makes a mistake at that loses the connection."""
        try:
            what()
        except BaseException:  # noqa: BLE001 - as Twisted does
            failure = Failure()
            log.err()
            self.connectionLost(failure)

    def _prefix(self) -> str:
        """What its lines in the log begin with."""
        return f"{self._named(self.protocol)},{self.sessionno},{self.hostname}"

    def _named(self, protocol: Any) -> str:
        """What a protocol is called in the log: most by their class."""
        kind = type(protocol)
        usual = getattr(kind, "logPrefix", None) is Protocol.logPrefix
        return kind.__name__ if usual else self._getLogPrefix(protocol)


def lean(port: IListeningPort) -> IListeningPort:
    """
    Have the connections of a port be lean; a port that is none of Twisted's own for TCP stays.

    Args:
        port: One that listens.
    """
    if isinstance(port, Port) and port.transport in {Server, EagerServer}:
        port.transport = LeanConnection
        if isinstance(port.factory, Sockets):
            give_sockets(port, port.factory)
    return port
