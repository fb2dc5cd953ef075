"""
Connections of Twisted's that send without waiting for the next turn of the reactor.

Knows no protocol: any program on Twisted can listen with `EagerPort` and connect with
`EagerConnector`; the reactor of `lab.adapters.epoll` does so by itself.

**What it must do.** A transport of Twisted's queues what is written, asks the reactor to be told
when there is room, is told in the next turn, sends, and asks to be told no more: three system calls
and a turn for an answer that the system would have taken at once. These are to be saved; the bytes,
and what is called and in which order, are to be the same.

**What it may assume.** One thread: nothing else runs while an event is handled.

**How it does it.** An event is a batch. What is written while `doRead` runs is queued as ever, only
that the reactor is not asked for anything; behind it all goes out in one call. Where the reactor
has an ``outbox``, a list, connections that have something to send put themselves there, and it
flushes them behind each event, whosever event it was. Whatever is not the plain case is left to
Twisted, which finds the queue as it would have made it: something is queued already, there is a
producer, TLS, the connection is being closed, half-closed or aborted, the system takes only a part,
an error.

**What was refused.** Sending within each `write`: a protocol that writes a head and then a body
would send two segments, of which Nagle's algorithm holds the second back until the first was
acknowledged, and that takes the other side 40 ms; and a thousand short answers would be a thousand
calls. On a reactor without outbox this is done only outside `doRead` and for connections that have
`setTcpNoDelay`. What was sent can't be dropped by `abortConnection` in a later event; with Twisted,
whether it can depends on when the reactor has its turn.
"""

from collections.abc import Iterable
from errno import ENOBUFS
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Client, Connection, Connector, Port, Server
from twisted.python.failure import Failure


class EagerConnection(Connection):
    """What both ends of a connection have in common."""

    #: Connections that the reactor flushes behind each event; None where it does not.
    _outbox: "list[EagerConnection] | None" = None
    _batching = False
    _no_delay = False
    #: The context of its events, which `lab.adapters.epoll` makes once.
    frame: Any = None
    #: Why nothing could be sent; the system tells only once what happened to a connection.
    _failed: ConnectionLost | None = None

    def doRead(self) -> ConnectionLost | ConnectionDone | None:  # type: ignore[override]
        """Read once, and send what was written meanwhile."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return self._failed or CONNECTION_DONE
        if self._outbox is not None:
            self.protocol.dataReceived(data)
            return None
        self._batching = True
        try:
            self.protocol.dataReceived(data)
        except BaseException:
            # Who made the mistake is disconnected, and what it wrote is dropped.
            self._batching = False
            self._wait()
            raise
        self._batching = False
        if self._tempDataBuffer:
            self.flush()
        return None

    def write(self, data: bytes) -> None:
        """Send, at the end of this event if that can be."""
        if type(data) is not bytes or not self._plain():
            super().write(data)
        elif self._batching or self._outbox is not None:
            if not data:
                return
            if not self._batching and not self._tempDataBuffer and self._outbox is not None:
                self._outbox.append(self)
            self._tempDataBuffer.append(data)
            self._tempDataLen += len(data)
        elif self._no_delay and not self._tempDataBuffer and not self.dataBuffer:
            sent = self.writeSomeData(data)
            if sent != len(data):
                # An error is found again by the transport, which deals with it in its own time.
                super().write(data[sent:] if isinstance(sent, int) else data)
        else:
            super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send all of these; see `write`."""
        whole = isinstance(iovec, list | tuple) and all(type(data) is bytes for data in iovec)
        if whole and self._plain():
            self.write(b"".join(iovec))
        else:
            super().writeSequence(iovec)

    def writeSomeData(self, data: bytes) -> int | ConnectionLost:
        """Give bytes to the system; says how many it took."""
        limited = data if len(data) <= self.SEND_LIMIT else memoryview(data)[: self.SEND_LIMIT]
        try:
            return self.socket.send(limited)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno == ENOBUFS:
                return 0
            self._failed = CONNECTION_LOST
            return CONNECTION_LOST

    def flush(self) -> None:
        """Send what is queued, or have the reactor say when that can be."""
        if self.dataBuffer or not self._plain():
            self._wait()
            return
        queued = self._tempDataBuffer
        data = queued[0] if len(queued) == 1 else b"".join(queued)
        sent = self.writeSomeData(data)
        if sent == len(data):
            self._tempDataBuffer = []
            self._tempDataLen = 0
            return
        if isinstance(sent, int):
            self._tempDataBuffer = [data[sent:]]
            self._tempDataLen = len(data) - sent
        self._wait()

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's
        """Whether the system sends short segments without waiting for more."""
        self._no_delay = bool(enabled)
        super().setTcpNoDelay(enabled)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone; so is what would keep it in memory."""
        self.frame = None
        super().connectionLost(reason)

    def _plain(self) -> bool:
        """Whether there is nothing about the connection that would have to be seen to."""
        return (
            self.producer is None
            and not self.TLS
            and not self.disconnecting
            and not self._writeDisconnecting
            and not self._aborting
            and bool(self.connected)
        )

    def _wait(self) -> None:
        """Send in the reactor's next turn what is queued."""
        if self._tempDataBuffer and self.connected and not self._aborting:
            self.startWriting()


class EagerServer(EagerConnection, Server):
    """The side that was connected to."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._outbox = getattr(self.reactor, "outbox", None)


class EagerClient(EagerConnection, Client):
    """The side that has connected."""

    def doConnect(self) -> None:
        """Connect, in one or two calls."""
        self._outbox = getattr(self.reactor, "outbox", None)
        super().doConnect()


class EagerPort(Port):
    """
    Listens for TCP, ``EagerPort(port, factory, interface=..., reactor=reactor)``.

    Call its ``startListening``. The arguments are those of ``listenTCP``, and the reactor.
    """

    transport = EagerServer


class EagerConnector(Connector):
    """
    Connects by TCP, ``EagerConnector(host, port, factory, timeout, None, reactor)``.

    Call its ``connect``. The arguments are those of Twisted's ``connectTCP``, and the reactor.
    """

    def _makeTransport(self) -> EagerClient:
        """What Twisted calls for each attempt."""
        return EagerClient(self.host, self.port, self.bindAddress, self, self.reactor)
