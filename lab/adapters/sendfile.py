"""
Files that the system sends by itself, from its own memory to a socket.

**What it must do.** Send a file as fast as the system can, and let other connections have their
turns. Where it can't be done, say so, so that the file is read and written as anything else.

**How it does it.** ``os.sendfile`` in calls of at most 4 MiB, which is what Linux lets a socket
hold: smaller ones cost more calls and turns of the reactor, and larger ones would keep others
waiting where a socket holds more. A call that sends less has filled the socket; the connection then
asks Twisted's transport to be told when there is room, as a producer that was paused is told: the
transport finds out in its next turn to write that it has nothing left, and resumes its producer.

**What was refused.** Sending around a transport that has something queued: that would be overtaken.
Transports that are not Twisted's own for sockets, and TLS, which has to see every byte.
"""

import os
from typing import Any

from attrs import define
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.tcp import Connection

from lab.core import FileBody

#: Most bytes of one call.
CALL = 2**22


@define(eq=False)
class FileSender:
    """
    Sends files on one connection.

    Args:
        transport: Of Twisted's, with a socket.

    Attributes:
        full: Whether the last call did not send all that was to be sent.
    """

    _transport: Any
    full: bool = False

    def send(self, body: FileBody, now: float) -> int | None:
        """
        Send of a body what the socket takes. Nothing may be queued in the transport.

        Args:
            body: What is sent.
            now: The time, in seconds.

        Returns:
            Bytes; None if nothing can be sent this way, which reading the body may explain.
        """
        part = body.part(now)
        if part is None:
            return None
        size = min(part.size, CALL)
        socket = self._transport.getHandle().fileno()
        try:
            sent = os.sendfile(socket, part.fd, part.offset, size)
        except BlockingIOError:
            self.full = True
            return 0
        except OSError:
            # There is no such call for this file or socket, or the connection is lost.
            return None
        self.full = sent < size
        if not sent:
            return None
        body.sent(sent, now)
        return sent

    def wait(self) -> None:
        """Have the transport resume its producer, ours, when the socket has room."""
        self._transport.producerPaused = True
        self._transport.startWriting()


def file_sender(transport: Any) -> FileSender | None:
    """
    What sends files on a connection; None where that can't be.

    Args:
        transport: Of a protocol.
    """
    if isinstance(transport, Connection) and not ISSLTransport.providedBy(transport):
        return FileSender(transport)
    return None
