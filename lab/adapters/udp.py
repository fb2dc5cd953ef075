"""
A UDP port that reads many datagrams at a time, and has what finds no room wait for it.

Knows no service; for any protocol of Twisted's. `listen` is ``reactor.listenUDP``, with a
`DatagramPort` where the reactor has ports of the system's sockets; elsewhere, as in the simulator,
it is the reactor's own. It reads as `lab.adapters.coalescing` says. What the system has no room for
(``EAGAIN``, ``ENOBUFS``) waits in a queue of bounded size; what comes beyond that is dropped, as
datagrams may be, and counted. ``write`` of Twisted's port raises the error.
"""

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure

from lab.adapters.backlog import Backlog
from lab.adapters.coalescing import Address, CoalescingPort

#: Seconds after which to try again where no event of the socket says when there is room.
PAUSE = 0.005


def listen(
    reactor: Any,
    port: int,
    protocol: DatagramProtocol,
    interface: str = "",
    maxPacketSize: int = 8192,
) -> IListeningPort:
    """
    Listen for datagrams; the arguments are those of ``reactor.listenUDP``, and the reactor.

    Raises:
        twisted.internet.error.CannotListenError: The port is taken, or not allowed.
    """
    if getattr(reactor.listenUDP, "__func__", None) is not PosixReactorBase.listenUDP:
        its_own: IListeningPort = reactor.listenUDP(port, protocol, interface, maxPacketSize)
        return its_own
    listening = DatagramPort(port, protocol, interface, maxPacketSize, reactor)
    listening.startListening()
    return listening


class _Full:
    """A socket that has no room."""

    def send(self, datagram: bytes, *_: Any) -> int:
        """Say so."""
        raise BlockingIOError(errno.EAGAIN, "no room")

    sendto = send


_FULL: Any = _Full()


class DatagramPort(CoalescingPort):
    """
    Listens for datagrams, ``DatagramPort(port, protocol, interface, maxPacketSize, reactor)``.

    Call its ``startListening``, or use `listen`.

    Attributes:
        backlog: What waits for room.
        unsent: Datagrams that were dropped: there was no room for them to wait, or the system did
            not take them when they had waited.
        dropping: Called with the number of those that are dropped, whenever some are.
    """

    unsent = 0
    dropping: Callable[[int], object] | None = None
    _pause: IDelayedCall | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.backlog = Backlog()

    def write(self, datagram: bytes, addr: Address | None = None) -> None:
        """Send a datagram, behind those that wait for room."""
        if self.backlog:
            self._write_behind(datagram, addr)
            return
        try:
            super().write(datagram, addr)
        except OSError as error:
            if not is_full(error):
                raise
            self._put(datagram, addr)
            self._wait(error)

    def _write_behind(self, datagram: bytes, addr: Address | None) -> None:
        """Have a datagram wait, unless the address is wrong: that is Twisted's to judge."""
        real: Any = self.socket
        self.socket = _FULL
        try:
            super().write(datagram, addr)
        except BlockingIOError:
            self._put(datagram, addr)
        finally:
            self.socket = real

    def _put(self, datagram: bytes, addr: Address | None) -> None:
        """Have a datagram wait, if there is room for that."""
        if not self.backlog.put(bytes(datagram), addr):
            self._drop(1)

    def doWrite(self) -> None:
        """There may be room again."""
        while self.backlog:
            datagram, addr = self.backlog.take()
            try:
                if addr is None:
                    self.socket.send(datagram)
                else:
                    self.socket.sendto(datagram, addr)
            except ConnectionRefusedError:
                self._nobody()
            except OSError as error:
                if is_full(error):
                    self.backlog.give_back(datagram, addr)
                    self._wait(error)
                    return
                self._drop(1)
        self.stopWriting()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The port is closed, and nothing waits any more."""
        self.doWrite()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self.backlog:
            self._drop(self.backlog.clear())
        super().connectionLost(reason)

    def _wait(self, error: OSError) -> None:
        """Come back when there is room."""
        if isinstance(error, BlockingIOError):
            self.startWriting()
            return
        # The socket has room; it is the card or the memory that has none.
        self.stopWriting()
        if self._pause is None:
            clock: Any = self.reactor
            self._pause = clock.callLater(PAUSE, self._resume)

    def _resume(self) -> None:
        """There may be room in the system now."""
        self._pause = None
        self.doWrite()

    def _drop(self, count: int) -> None:
        """These are lost."""
        self.unsent += count
        if self.dropping is not None:
            self.dropping(count)


def is_full(error: OSError) -> bool:
    """Whether there is no room for a datagram now, but may be again."""
    return isinstance(error, BlockingIOError) or error.errno in (errno.ENOBUFS, errno.ENOMEM)
