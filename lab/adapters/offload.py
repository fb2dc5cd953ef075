"""
Many datagrams to one peer with one system call: UDP segmentation offload, where the kernel has it.

Linux takes a buffer and the size of its datagrams (``UDP_SEGMENT``, from 4.18 on), and cuts it as
late as it can, in the network card if that is able to. What leaves is the same as with a call for
each. Knows no service.
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger

from lab.adapters.coalescing import SOL_UDP, Address
from lab.adapters.udp import DatagramPort, is_full
from lab.core import Datagrams

#: For ``sendmsg``; Python's ``socket`` has no name for it.
UDP_SEGMENT = 103
#: Most datagrams, and most bytes, of a batch: what every kernel takes, and a datagram of IPv4.
SEGMENTS, SIZE = 64, 65_507
#: Of so many hosts it is remembered which batches they can't have.
HOSTS = 1000

# Not in this way: larger than the route takes in one piece, a route that encrypts, a kernel or a
# card that can't.
_NOT_SO = (errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP)


def batches(messages: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """
    Cut a row of datagrams into batches: all of one size, but the last, which may be shorter.

    >>> [len(batch) for batch in batches([b"aa", b"aa", b"a", b"aa", b"", b"a"])]
    [3, 1, 1, 1]
    """
    sizes = list(map(len, messages))
    begin = 0
    while begin < len(sizes):
        end = _end(sizes, begin)
        yield messages[begin:end]
        begin = end


def _end(sizes: list[int], begin: int) -> int:
    """Where the batch ends that begins there."""
    size = sizes[begin]
    if not 0 < size <= SIZE:  # one of no bytes would leave no trace in a batch
        return begin + 1
    run = sizes[begin : begin + min(SEGMENTS, SIZE // size)]
    count = len(run)
    if run.count(size) != count:  # most often all are equal, and this is what costs least
        count = next(number for number, other in enumerate(run) if other != size)
    end = begin + count
    # The last may be shorter, and there may be just so much room left.
    shorter = count < SEGMENTS and end < len(sizes) and 0 < sizes[end] < size
    return end + (shorter and count * size + sizes[end] <= SIZE)


@define(eq=False)
class DatagramSender:
    """
    Sends the datagrams of a protocol, in batches where that can be.

    A protocol has one, and calls `send` with all that is due for a peer. A transport that is not
    Twisted's own for sockets, and a system without ``UDP_SEGMENT``, get each datagram by itself. So
    do datagrams of a size that was refused once on the way to the same host, and larger ones. What
    finds no room waits, if the transport is a `lab.adapters.udp.DatagramPort`. What can't be sent
    is lost, as datagrams may be, and counted.

    Args:
        protocol: Whose transport is used.
        losing: Called with the number of datagrams that are lost, whenever some are.

    Attributes:
        batched: Datagrams that the system took in batches.
        batches: How many batches that were.
        written: Datagrams that the transport took one by one.
        unsent: Datagrams that the system did not take, now or after they had waited.
    """

    _protocol: DatagramProtocol
    _losing: Callable[[int], object] | None = None
    batched: int = field(init=False, default=0)
    batches: int = field(init=False, default=0)
    written: int = field(init=False, default=0)
    unsent: int = field(init=False, default=0)
    #: The transport that was used last.
    _transport: Any = field(init=False, default=None)
    #: The socket that was looked at last, the size from which on it takes no batches, and that from
    #: which on it takes none for a host.
    _socket: Any = field(init=False, default=None)
    _most: int = field(init=False, default=0)
    _limits: dict[str | None, int] = field(init=False, factory=dict)
    _log = Logger()

    def send(self, messages: Sequence[bytes], address: Address | None = None) -> None:
        """
        Send datagrams in their order.

        Args:
            messages: The datagrams.
            address: Numeric; None if the transport is connected.
        """
        self._meet()
        for batch in batches(messages):
            size, count = len(batch[0]), len(batch)
            if count == 1 or not self._together(batch, size, count, address):
                for message in batch:
                    self._alone(message, address)

    def send_together(self, datagrams: Datagrams, address: Address | None = None) -> None:
        """
        Send datagrams that are made in batches; that takes less time than `send`.

        Args:
            datagrams: The datagrams.
            address: Numeric; None if the transport is connected.
        """
        self._meet()
        size, count = datagrams.size, datagrams.count
        step, begin = max(1, min(SEGMENTS, SIZE // size)), 0
        while begin < count:
            if step > 1:
                begin = self._in_batches(datagrams, begin, step, address)
            end = min(begin + step, count)
            refused = datagrams.make(begin, end)
            for at in range(0, len(refused), size):
                self._alone(bytes(refused[at : at + size]), address)
            begin = end

    def _meet(self) -> None:
        """Hear what the transport drops, whichever it is now."""
        if self._protocol.transport is not self._transport:
            self._transport = self._protocol.transport
            if isinstance(self._transport, DatagramPort):
                self._transport.dropping = self._dropped

    def _alone(self, message: bytes, address: Address | None) -> None:
        """Send one."""
        transport: Any = self._protocol.transport
        if transport is None:
            return  # closed by what an earlier message brought to light
        try:
            transport.write(message, address)
        except (OSError, MessageLengthError) as error:
            self._failed(1, address, error)
        else:
            self.written += 1

    def _together(
        self, batch: Sequence[bytes], size: int, count: int, address: Address | None
    ) -> bool:
        """Send a batch; gives whether it was sent or lost, and has not to be sent one by one."""
        transport: Any = self._protocol.transport
        if not self._may(transport, size, address):
            return False
        to = (address,) if address else ()
        try:
            transport.socket.sendmsg(batch, _segment(size), 0, *to)
        except OSError as error:
            return self._is_lost(error, size, count, address)
        self.batched += count
        self.batches += 1
        return True

    def _in_batches(
        self, datagrams: Datagrams, begin: int, step: int, address: Address | None
    ) -> int:
        """Send batches of those from this one on; gives which is the first to be sent alone."""
        size, count, make = datagrams.size, datagrams.count, datagrams.make
        transport: Any = self._protocol.transport
        if not self._may(transport, size, address):
            return begin
        # Between two calls of the system there is as little as can be: it leaves nothing of us in
        # the processor's caches.
        send, segment = transport.socket.sendmsg, _segment(size)
        to = (address,) if address else ()
        while begin < count - 1:
            end = min(begin + step, count)
            try:
                send((make(begin, end),), segment, 0, *to)
            except OSError as error:
                if not self._is_lost(error, size, end - begin, address):
                    return begin
            else:
                self.batched += end - begin
                self.batches += 1
            begin = end
        return begin

    def _may(self, transport: Any, size: int, address: Address | None) -> bool:
        """Whether datagrams of this size may be sent in batches now."""
        if size >= self._limit(transport, address[0] if address else None):
            return False
        return not (isinstance(transport, DatagramPort) and transport.backlog)

    def _is_lost(self, error: OSError, size: int, count: int, address: Address | None) -> bool:
        """Whether a batch that was not sent is lost, and has not to be sent one by one."""
        if error.errno in _NOT_SO:
            self._limits[address[0] if address else None] = size
        if isinstance(self._protocol.transport, DatagramPort) or not is_full(error):
            return False
        # What would be sent one by one now would find no room either.
        self._failed(count, address, error)
        return True

    def _limit(self, transport: Any, host: str | None) -> int:
        """The size of datagrams from which on a host gets no batches."""
        if not isinstance(transport, Port):
            return 0
        if transport.socket is not self._socket:
            self._socket = transport.socket
            self._most = SIZE if _is_able(transport.socket) else 0
            self._limits.clear()
        limit = self._limits.get(host)
        if limit is None:
            if len(self._limits) >= HOSTS:
                self._limits.clear()
            limit = self._limits[host] = self._most if _is_numeric(host) else 0
        return limit

    def _failed(self, count: int, address: Address | None, error: Exception) -> None:
        """The system did not take these."""
        self._lost(count)
        self._log.debug(
            "{count} datagrams to {to} not sent: {error}", count=count, to=address, error=error
        )

    def _dropped(self, count: int) -> None:
        """The transport had taken these, and did not get rid of them."""
        self.written -= count
        self._lost(count)
        self._log.debug("{count} datagrams dropped: there was no room for them", count=count)

    def _lost(self, count: int) -> None:
        """Count them."""
        self.unsent += count
        if self._losing is not None:
            self._losing(count)


@lru_cache(64)
def _segment(size: int) -> list[tuple[int, int, bytes]]:
    """What says the size of datagrams to the system."""
    return [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))]


def _is_numeric(host: str | None) -> bool:
    """Whether nothing has to be looked up; a name is a mistake, as the transport will say."""
    return host is None or bool(isIPAddress(host) or isIPv6Address(host))


def _is_able(socket: socket.socket) -> bool:
    """Whether the system knows of batches; an older one sends them as one large datagram."""
    try:
        socket.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return sys.platform == "linux"
