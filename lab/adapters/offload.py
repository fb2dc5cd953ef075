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
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger

#: What ``sendmsg`` is told; Python's ``socket`` has no name for the second.
SOL_UDP, UDP_SEGMENT = 17, 103
#: Most datagrams, and most bytes, of a batch: what every kernel takes, and a datagram of IPv4.
SEGMENTS, SIZE = 64, 65_507

# There is no room: what would be sent one by one now would find none either.
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
# Not in this way: larger than the route takes in one piece, a route that encrypts, a kernel or a
# card that can't.
_NOT_SO = (errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP)

Address = tuple[str, int]


def batches(messages: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """
    Cut a row of datagrams into batches: all of one size, but the last, which may be shorter.

    >>> [len(batch) for batch in batches([b"aa", b"aa", b"a", b"aa", b"", b"a"])]
    [3, 1, 1, 1]
    """
    begin = 0
    for end in range(1, len(messages) + 1):
        if end == len(messages) or not _goes_on(messages, begin, end):
            yield messages[begin:end]
            begin = end


def _goes_on(messages: Sequence[bytes], begin: int, next: int) -> bool:
    """Whether the batch that begins there has room for the next message."""
    size, count = len(messages[begin]), next - begin
    return (
        # One of no bytes would leave no trace.
        0 < len(messages[next]) <= size == len(messages[next - 1])
        and count < SEGMENTS
        and count * size + len(messages[next]) <= SIZE
    )


@define(eq=False)
class DatagramSender:
    """
    Sends the datagrams of a protocol, in batches where that can be.

    A protocol has one, and calls `send` with all that is due for a peer. A transport that is not
    Twisted's own for sockets, and a system without ``UDP_SEGMENT``, get each datagram by itself. So
    do datagrams of a size that was refused once, and larger ones, whoever they are for. What can't
    be sent is lost, as datagrams may be, and counted.

    Args:
        protocol: Whose transport is used.

    Attributes:
        batched: Datagrams that the system took in batches.
        batches: How many batches that were.
        written: Datagrams that the transport took one by one.
        unsent: Datagrams that the system did not take.
    """

    _protocol: DatagramProtocol
    batched: int = field(init=False, default=0)
    batches: int = field(init=False, default=0)
    written: int = field(init=False, default=0)
    unsent: int = field(init=False, default=0)
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
        for batch in batches(messages):
            if len(batch) == 1 or not self._together(batch, address):
                for message in batch:
                    self._alone(message, address)

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

    def _together(self, batch: Sequence[bytes], address: Address | None) -> bool:
        """Send a batch; gives whether it was sent or lost, and not refused in this form."""
        transport: Any = self._protocol.transport
        size = len(batch[0])
        if size >= self._limit(transport) or not _is_numeric(address):
            return False
        segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))]
        try:
            transport.socket.sendmsg(batch, segment, 0, *([address] if address else []))
        except OSError as error:
            if error.errno in _NOT_SO:
                self._too_large = size
            if error.errno not in _FULL:
                return False
            self._failed(len(batch), address, error)
        else:
            self.batched += len(batch)
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
        self.unsent += count
        self._log.debug(
            "{count} datagrams to {to} not sent: {error}", count=count, to=address, error=error
        )


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
