"""What a transport can do, where Twisted's interfaces alone do not say it."""

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport, ITCPTransport
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from lab.adapters.lean import LeanConnection


def is_tcp(transport: Any) -> bool:
    """Whether there is TCP below; Twisted's Unix sockets say of themselves that they are TCP."""
    if isinstance(transport, LeanConnection):
        return True
    peer = transport.getPeer()
    return ITCPTransport.providedBy(transport) and isinstance(peer, IPv4Address | IPv6Address)


def can_half_close(transport: object) -> bool:
    """Whether the transport can end its own half; TLS can't, whatever the socket below can."""
    if isinstance(transport, Connection):
        return not transport.TLS
    return IHalfCloseableDescriptor.providedBy(transport) and not ISSLTransport.providedBy(
        transport
    )


def is_idle(transport: Any) -> bool:
    """
    Whether nothing waits to be sent, and nothing is about the connection but to send and receive.

    Args:
        transport: Of Twisted's own, for sockets.
    """
    return (
        transport.connected
        and not transport.TLS
        and not transport.disconnecting
        and not transport._aborting  # noqa: SLF001 - nothing else tells
        and not transport._writeDisconnecting  # noqa: SLF001 - likewise
        and not transport._tempDataBuffer  # noqa: SLF001 - likewise
        and transport.offset == len(transport.dataBuffer)
    )


def eager(transport: Any) -> Callable[[bytes], None]:
    """
    A way to write that sends at once what the kernel takes, if nothing waits to be sent.

    Twisted's own sends in the next turn of the reactor, which costs a wake-up and two system calls
    a write. That is for a writer that has put together by itself what belongs together. Of other
    transports than Twisted's own for sockets it is ``transport.write``.

    Args:
        transport: Of a protocol.
    """
    if not isinstance(transport, Connection):
        usual: Callable[[bytes], None] = transport.write
        return usual

    def write(data: bytes) -> None:
        """Send, and leave what is left, and every error, to the transport."""
        if is_idle(transport):
            sent = transport.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = _rest(transport, data, sent)
        transport.write(data)

    return write


def _rest(transport: Any, data: bytes, done: int) -> bytes:
    """Send on behind so many bytes while the kernel takes as much as Twisted gives it at a time."""
    view, sent = memoryview(data), done
    while sent == transport.SEND_LIMIT:
        sent = transport.writeSomeData(view[done:])
        done += sent if isinstance(sent, int) else 0
    return bytes(view[done:])


def end_half(transport: Any) -> None:
    """
    End our half: at once if nothing waits to be sent, or else behind it.

    Twisted's own does so in the next turn of the reactor, for three system calls more. When this
    returns, the protocol may have been told already.

    Args:
        transport: Of a protocol that can half-close.
    """
    if isinstance(transport, Connection) and is_idle(transport):
        transport.stopWriting()
        transport._writeDisconnecting = True  # noqa: SLF001 - there is no other way
        transport._writeDisconnected = True  # noqa: SLF001 - likewise
        transport._closeWriteConnection()  # noqa: SLF001 - likewise
    else:
        transport.loseWriteConnection()


def close_whole(transport: Any) -> None:
    """
    End our half where the peer has ended the other: at once if nothing waits to be sent, or behind.

    At once that is to close the connection, by which the peer sees the same. When this returns,
    the protocol may have been told already that the connection is gone.

    Args:
        transport: Of a protocol that can half-close, and has been told of the peer's end.
    """
    if isinstance(transport, Connection) and is_idle(transport):
        transport._writeDisconnected = True  # noqa: SLF001 - there is no other way
        transport._shouldShutdown = False  # noqa: SLF001 - likewise
        transport.loseConnection()
    else:
        transport.loseWriteConnection()


def close_ended(transport: Any) -> None:
    """
    Close a connection of which both halves have ended, without ending them once more.

    Args:
        transport: Of a protocol that can half-close.
    """
    if isinstance(transport, Connection):
        transport._shouldShutdown = False  # noqa: SLF001 - there is no other way
    transport.loseConnection()


def why(reason: Failure) -> str:
    """Why there was no connection: in the words of the system, where it has some."""
    number = getattr(reason.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else reason.getErrorMessage()
