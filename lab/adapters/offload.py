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
    do datagrams of a size that was refused once, and larger ones, whoever they are for. What finds
    no room waits, if the transport is a `lab.adapters.udp.DatagramPort`. What can't be sent is
    lost, as datagrams may be, and counted.

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
    #: The socket that was looked at last, and the size from which on it takes no batches.
    _socket: Any = field(init=False, default=None)
    _too_large: int = field(init=False, default=0)
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
        Send datagrams that are in one piece already; that takes less time than `send`.

        Args:
            datagrams: The datagrams.
            address: Numeric; None if the transport is connected.
        """
        self._meet()
        size = datagrams.size
        step = size * max(1, min(SEGMENTS, SIZE // size))
        data = memoryview(datagrams.data)
        for begin in range(0, len(data), step):
            batch = data[begin : begin + step]
            count = len(batch) // size
            if count == 1 or not self._together([batch], size, count, address):
                for message in Datagrams(bytes(batch), size):
                    self._alone(message, address)

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
        self, batch: Sequence[bytes | memoryview], size: int, count: int, address: Address | None
    ) -> bool:
        """Send a batch; gives whether it was sent or lost, and has not to be sent one by one."""
        transport: Any = self._protocol.transport
        if size >= self._limit(transport) or not _is_numeric(address):
            return False
        patient = isinstance(transport, DatagramPort)
        if patient and transport.backlog:
            return False
        segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))]
        try:
            transport.socket.sendmsg(batch, segment, 0, *([address] if address else []))
        except OSError as error:
            if error.errno in _NOT_SO:
                self._too_large = size
            if patient or not is_full(error):
                return False
            # What would be sent one by one now would find no room either.
            self._failed(count, address, error)
        else:
            self.batched += count
            self.batches += 1
        return True

    def _limit(self, transport: Any) -> int:
        """The size of datagrams from which on there are no batches."""
        if not isinstance(transport, Port):
            return 0
        if transport.socket is not self._socket:
            self._socket = transport.socket
            self._too_large = SIZE if _is_able(transport.socket) else 0
        return self._too_large

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


def _is_numeric(address: Address | None) -> bool:
    """Whether nothing has to be looked up; a name is a mistake, as the transport will say."""
    return address is None or bool(isIPAddress(address[0]) or isIPv6Address(address[0]))


def _is_able(socket: socket.socket) -> bool:
    """Whether the system knows of batches; an older one sends them as one large datagram."""
    try:
        socket.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return sys.platform == "linux"
