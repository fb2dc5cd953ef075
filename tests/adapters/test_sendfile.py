"""Files that the system sends by itself."""

import errno
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from lab.adapters import sendfile as module
from lab.adapters.sendfile import CALL, FileSender, file_sender
from lab.core import Part
from tests.helpers import folder


class Transport:
    """A transport with a real socket, which is written to by nobody else."""

    producerPaused = False

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self.writes = 0

    def getHandle(self) -> socket.socket:
        """The socket."""
        return self._handle

    def startWriting(self) -> None:
        """Count it."""
        self.writes += 1


class Whole:
    """
    A body that is a file from some offset on.

    Args:
        path: Of the file.
        offset: Of the first byte.
        size: How many bytes are promised; those of the file by default.
    """

    def __init__(self, path: Path, offset: int = 0, size: int | None = None) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.at = offset
        self.end = path.stat().st_size if size is None else offset + size

    def part(self, now: float) -> Part | None:
        """All that is left."""
        return Part(self.fd, self.at, self.end - self.at) if self.at < self.end else None

    def sent(self, size: int, now: float) -> None:
        """So many were sent."""
        self.at += size

    def read(self, size: int, now: float) -> bytes:
        """The same bytes, in the other way."""
        data = os.pread(self.fd, min(size, self.end - self.at), self.at)
        self.at += len(data)
        return data


class SenderTests(SynchronousTestCase):
    """A file goes to a socket."""

    def setUp(self) -> None:
        """A pair of sockets, and a file of three calls."""
        mine, self.other = socket.socketpair()
        for end in (mine, self.other):
            end.setblocking(False)
            self.addCleanup(end.close)
        self.transport = Transport(mine)
        self.path = folder(self) / "file"
        self.data = os.urandom(3 * CALL)
        self.path.write_bytes(self.data)

    def body(self, *words: int) -> Any:
        """The file as a body."""
        body = Whole(self.path, *words)
        self.addCleanup(os.close, body.fd)
        return body

    def take(self) -> bytes:
        """What has arrived."""
        got = b""
        while True:
            try:
                got += self.other.recv(CALL)
            except BlockingIOError:
                return got

    def test_all(self) -> None:
        """All of it arrives, as the socket takes it."""
        sender, body, got = FileSender(self.transport), self.body(100), b""
        while body.part(0.0):
            before = body.at
            sent = sender.send(body, 0.0)
            assert sent is not None
            self.assertEqual(body.at, before + sent)
            self.assertLessEqual(sent, CALL)
            got += self.take()
        self.assertEqual(got, self.data[100:])
        self.assertIsNone(sender.send(body, 0.0))

    def test_full(self) -> None:
        """A socket that is full takes nothing, and then again."""
        sender, body = FileSender(self.transport), self.body()
        sent = sender.send(body, 0.0)
        assert sent is not None
        self.assertTrue(0 < sent < CALL and sender.full)
        self.assertEqual((sender.send(body, 0.0), sender.full), (0, True))
        self.assertEqual(body.at, sent)
        self.take()
        self.assertGreater(sender.send(body, 0.0) or 0, 0)

    def test_not_full(self) -> None:
        """Who has sent all that was to be sent has not to wait."""
        sender = FileSender(self.transport)
        self.assertEqual(sender.send(self.body(0, 10), 0.0), 10)
        self.assertFalse(sender.full)
        self.assertEqual(self.take(), self.data[:10])

    def test_calls(self) -> None:
        """No call is for more than its share, whatever is to be sent."""
        sizes: list[int] = []

        def send(to: int, of: int, offset: int, size: int) -> int:
            """Note it."""
            sizes.append(size)
            return size

        self.patch(module.os, "sendfile", send)
        sender, body = FileSender(self.transport), self.body(1)
        while body.part(0.0):
            sender.send(body, 0.0)
        self.assertEqual(sizes, [CALL, CALL, CALL - 1])
        self.assertFalse(sender.full)

    def test_shorter(self) -> None:
        """Behind the end of a file there is nothing to send; reading finds out why."""
        sender, body = FileSender(self.transport), self.body(3 * CALL - 5, 10)
        self.assertEqual((sender.send(body, 0.0), sender.full), (5, True))
        self.assertIsNone(sender.send(body, 0.0))
        self.assertEqual(body.read(9, 0.0), b"")

    def test_refused(self) -> None:
        """What the system can't send is read, and so is what nobody takes any more."""
        for number in (errno.EINVAL, errno.ENOSYS, errno.EIO, errno.EPIPE, errno.ECONNRESET):

            def fail(*_: Any, number: int = number) -> int:
                """It can't."""
                raise OSError(number, os.strerror(number))

            self.patch(module.os, "sendfile", fail)
            body = self.body()
            self.assertIsNone(FileSender(self.transport).send(body, 0.0))
            self.assertEqual(body.at, 0)

    def test_wait(self) -> None:
        """The transport is asked to go on with a producer that waits."""
        FileSender(self.transport).wait()
        self.assertTrue(self.transport.producerPaused)
        self.assertEqual(self.transport.writes, 1)


class KindTests(SynchronousTestCase):
    """Where it can be done."""

    def test_kinds(self) -> None:
        """Twisted's own transports for sockets, and not where TLS is in between."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        reactor: Any = object()
        transport = Connection(pair[0], None, reactor)
        self.assertIsInstance(file_sender(transport), FileSender)
        alsoProvides(transport, ISSLTransport)
        self.assertIsNone(file_sender(transport))
        self.assertIsNone(file_sender(StringTransport()))
