"""
Connections that a port gives to its factory as sockets, before anything is made of them.

Knows no protocol. Who has many connections that live short, and can do without a transport of
Twisted's for most of them, has a factory that is one of `Sockets`, and calls
`lab.adapters.lean.lean` for its port.

**What it must do.** What ``doRead`` of Twisted's ports does, for less: the same number of
connections at an event, and the same answer to every error.

**How it does it.** It asks the system, and no object is made but a socket. Of errors it knows but
one, that there is nobody any more; with any other the port reads as Twisted has it, which finds the
same, or finds that it has passed.

**What was refused.** Twisted's loop: it makes an address for each connection and a logger for each
event, and needs a protocol and a transport.
"""

from functools import partial
from socket import (
    IPPROTO_TCP,
    NI_NUMERICHOST,
    NI_NUMERICSERV,
    TCP_NODELAY,
    SocketType,
    getnameinfo,
)
from typing import Any, Protocol, runtime_checkable

from twisted.internet.tcp import Port
from twisted.python import log


@runtime_checkable
class Sockets(Protocol):
    """A factory that takes sockets."""

    def take_socket(self, client: SocketType, peer: tuple[Any, ...], port: Port) -> None:
        """
        Take one.

        Args:
            client: Connected, does not block, and does not wait to send short segments.
            peer: Its address, as the system has it.
            port: Which has accepted it.
        """


def give_sockets(port: Any, factory: Sockets) -> None:
    """
    Have a port give its connections as sockets.

    Args:
        port: Listens.
        factory: Takes them.
    """
    # What is accepted has it from the socket that listens, on Linux and on BSD.
    port.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    port.doRead = partial(_accept, port, factory)


def _accept(port: Any, factory: Sockets) -> None:
    """Take those who wait, or so many of them; ``doRead`` of Twisted's ports."""
    listener, accepted = port.socket, 0
    kind = listener.family, listener.type, listener.proto
    try:
        for _ in range(port.numberAccepts):
            try:
                fd, peer = listener._accept()  # noqa: SLF001 - what `accept` makes of it costs more
            except BlockingIOError:
                break
            except OSError:
                if port.connected:
                    Port.doRead(port)
                return
            accepted += 1
            client = SocketType(*kind, fd)
            client.setblocking(False)  # noqa: FBT003 - Python's
            if len(peer) != 2 and peer[3]:
                host, _service = getnameinfo(peer, NI_NUMERICHOST | NI_NUMERICSERV)
                peer = (host, *peer[1:])  # with its zone
            factory.take_socket(client, peer, port)
    except Exception:  # noqa: BLE001 - as Twisted does
        log.err()
    # As Twisted does: who finds as many as it has looked for looks for more.
    more = accepted == port.numberAccepts
    port.numberAccepts = accepted + 20 if more else max(1, accepted)
