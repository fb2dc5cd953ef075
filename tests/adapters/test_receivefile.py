"""Bytes of a connection that go to a file without being looked at."""

import contextlib
import errno
import os
import select
import socket
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from lab.adapters import receivefile as module
from lab.adapters.receivefile import CALL, FileReceiver, file_receiver
from lab.adapters.splice import FULL, Pipes
from lab.core import Part
from tests.helpers import folder


class Link(Connection):
    """A connection of Twisted's, at the end of a real socket, that no reactor knows of."""

    def __init__(self, handle: socket.socket) -> None:
        handle.setblocking(False)
        super().__init__(handle, None, None)

    def getPeer(self) -> IPv4Address:
        """Somebody over TCP."""
        return IPv4Address("TCP", "127.0.0.1", 1)


class Plan:
    """
    A stream in which text and content take turns, and what came of it.

    Args:
        fd: Of the file.
        parts: Sizes: of text, of content, of text...; content begins at `offset`.
        offset: In the file.
    """

    def __init__(self, fd: int, parts: list[int], offset: int = 0) -> None:
        self.fd, self.parts, self.at = fd, parts, offset
        self.text, self.errors, self.steps = b"", list[OSError](), list[int]()
        self.turn = 0

    def dataReceived(self, data: bytes) -> None:
        """Text, or content that is read: that is written as anybody would."""
        while data:
            some = data[: self.parts[self.turn]]
            if self.turn % 2:
                os.pwrite(self.fd, some, self.at)
                self.at += len(some)
            else:
                self.text += some
            data = data[len(some) :]
            self.went(len(some))

    def room(self) -> Part | None:
        """In content, where that belongs."""
        self.went(0)
        if self.turn % 2 == 0 or self.turn >= len(self.parts):
            return None
        return Part(self.fd, self.at, self.parts[self.turn])

    def ahead(self) -> int:
        """A few bytes, which may be content, too."""
        return 7

    def placed(self, size: int) -> None:
        """Note it."""
        self.steps.append(size)
        self.at += size
        self.went(size)

    def failed(self, error: OSError) -> None:
        """Note it."""
        self.errors.append(error)

    def went(self, size: int) -> None:
        """So many bytes of a part are done."""
        if self.turn < len(self.parts):
            self.parts[self.turn] -= size
        while self.turn < len(self.parts) and not self.parts[self.turn]:
            self.turn += 1


class ReceiverTests(SynchronousTestCase):
    """What comes over real TCP, on loopback."""

    def setUp(self) -> None:
        """A file."""
        self.path = folder(self) / "file"
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, self.fd)
        self.pipes = Pipes()
        self.addCleanup(self.pipes.close)

    def connect(self, parts: list[int], offset: int = 0) -> Any:
        """A connection that is read with this plan; gives plan, receiver, and the other end."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            other = socket.create_connection(server.getsockname())
            handle, _ = server.accept()
        link, plan = Link(handle), Plan(self.fd, parts, offset)
        link.protocol = plan
        receiver = file_receiver(link, plan)
        assert receiver is not None
        receiver._pipes = self.pipes
        receiver.begin()
        for close in (receiver.end, other.close, handle.close):
            self.addCleanup(close)
        return link, plan, receiver, other

    def read(self, link: Any) -> Any:
        """Wait until there is something, and read it."""
        select.select([link], [], [], 10)
        return link.doRead()

    @settings(max_examples=12, deadline=None)
    @given(
        st.lists(st.integers(0, 5000) | st.sampled_from([70_000, 2**17]), min_size=1, max_size=6),
        st.lists(st.integers(1, 10**6), max_size=12),
        st.integers(0, 5000),
        st.booleans(),
    )
    def test_same_bytes(
        self,
        parts: list[int],
        cuts: list[int],
        offset: int,
        by_system: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """However text and content are cut, both arrive; with and without the system's help."""
        size = sum(parts)
        data = (bytes(range(251)) * (size // 251 + 1))[:size]
        os.ftruncate(self.fd, 0)
        link, plan, receiver, other = self.connect(list(parts), offset)
        receiver._able = by_system
        at = 0
        for stop in sorted(cut % (size + 1) for cut in [*cuts, size]):
            other.sendall(data[at:stop])
            at = stop
            while link_has(link):
                self.assertIsNone(link.doRead())
        while len(plan.text) + plan.at - offset < size:
            self.assertIsNone(self.read(link))
        text = content = b""
        at = 0
        for turn, part in enumerate(parts):
            if turn % 2:
                content += data[at : at + part]
            else:
                text += data[at : at + part]
            at += part
        self.assertEqual(plan.text, text)
        self.assertEqual(self.path.read_bytes(), (bytes(offset) + content) if content else b"")
        receiver.end()
        link.socket.close()
        other.close()

    def test_bounded(self) -> None:
        """A wake-up moves no more than its share, and none of what stands behind the content."""
        link, plan, _, other = self.connect([0, 3 * CALL, 4])
        data = os.urandom(3 * CALL) + b"text"
        sent = 0
        other.setblocking(False)
        while plan.text != b"text":
            with contextlib.suppress(BlockingIOError):
                sent += other.send(data[sent:])
            if link_has(link):
                self.assertIsNone(link.doRead())
        self.assertLessEqual(max(plan.steps), CALL)
        self.assertEqual(self.path.read_bytes(), data[:-4])
        self.assertEqual(link.bufferSize, 7)

    def test_nothing_yet(self) -> None:
        """Where nothing came, nothing happens, and the pipe is there for others."""
        link, plan, receiver, _ = self.connect([0, 5])
        self.assertIsNone(link.doRead())
        self.assertEqual((plan.steps, plan.text), ([], b""))
        self.assertEqual((len(self.pipes._free), self.pipes._made), (1, 1))
        receiver.end()
        self.assertEqual(link.doRead.__func__, Connection.doRead)

    def test_shared(self) -> None:
        """One pipe serves many connections, and nothing of one comes to another."""
        self.pipes.limit = 1
        links = [self.connect([0, 3], 3 * at) for at in range(5)]
        for at, (link, plan, _, other) in enumerate(links):
            other.sendall(b"%d%d%d" % (at, at, at))
            self.assertIsNone(self.read(link))
            self.assertEqual(plan.steps, [3])
        self.assertEqual(self.path.read_bytes(), b"000111222333444")

    def test_small_pipe(self) -> None:
        """A wake-up fills a pipe again and again, and never more than it holds."""
        pipe = self.pipes.take()
        assert pipe is not None
        pipe.size = 4
        self.pipes.give(pipe)
        link, plan, _, other = self.connect([0, 6])
        other.sendall(b"abcdef")
        self.assertIsNone(self.read(link))
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"abcdef", [6]))

    def test_behind_text(self) -> None:
        """Content that stands behind text is moved in the same wake-up; no more than there is."""
        link, plan, _, other = self.connect([7, 6, 1])
        other.sendall(b"0123456abc")
        self.assertIsNone(self.read(link))
        self.assertEqual((plan.text, plan.steps), (b"0123456", [3]))
        other.sendall(b"def!")
        self.assertIsNone(self.read(link))
        self.assertEqual((plan.text, plan.steps), (b"0123456", [3, 3]))
        self.assertIsNone(self.read(link))
        self.assertEqual((plan.text, self.path.read_bytes()), (b"0123456!", b"abcdef"))

    def test_end_behind_text(self) -> None:
        """A connection that ends with the text is not read again."""
        link, plan, _, other = self.connect([7, 6])
        self.assertIsNone(link.doRead())
        other.shutdown(socket.SHUT_WR)
        self.assertIs(self.read(link), CONNECTION_DONE)
        self.assertEqual(plan.steps, [])

    def test_error_behind_content(self) -> None:
        """What came before an error is in the file; the error is not forgotten over that."""
        link, plan, receiver, other = self.connect([0, 9])
        other.sendall(b"abc")
        steps = iter([receiver._fill])

        def fill(*words: Any) -> int:
            """The second time the connection is broken."""
            for step in steps:
                return step(*words)
            raise ConnectionResetError(errno.ECONNRESET, "reset")

        self.patch(FileReceiver, "_fill", lambda _, *words: fill(*words))
        self.assertIs(self.read(link), CONNECTION_LOST)
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"abc", [3]))

    def test_end(self) -> None:
        """The end of the stream is the transport's, and so is a connection that broke."""
        link, plan, _, other = self.connect([0, 5])
        other.sendall(b"abc")
        self.assertIsNone(self.read(link))
        other.shutdown(socket.SHUT_WR)
        self.assertIs(self.read(link), CONNECTION_DONE)
        self.assertEqual(plan.steps, [3])
        link, plan, _, other = self.connect([0, 5])
        self.assertIsNone(link.doRead())
        linger = (1).to_bytes(4, "little") + bytes(4)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        other.close()
        self.assertIs(self.read(link), CONNECTION_LOST)

    def test_socket_refuses(self) -> None:
        """A socket from which nothing can be moved is read from then on, much at once."""
        link, plan, _, other = self.connect([0, 50])
        other.sendall(b"abcde" * 5)

        def splice(*_: Any, **__: Any) -> int:
            """It can't."""
            raise OSError(errno.EINVAL, "no")

        with mock.patch.object(module.os, "splice", splice):
            self.assertIsNone(self.read(link))
        other.sendall(b"abcde" * 5)
        self.assertIsNone(self.read(link))
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"abcde" * 10, []))
        self.assertEqual(link.bufferSize, FULL)

    def test_no_pipe(self) -> None:
        """So it is while there is no pipe to be had."""
        self.pipes.limit = 0
        link, plan, _, other = self.connect([0, 30])
        other.sendall(b"abcde" * 4)
        self.assertIsNone(self.read(link))
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"abcde" * 4, []))
        self.pipes.limit = 1
        other.sendall(b"abcde" * 2)
        self.assertIsNone(self.read(link))
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"abcde" * 6, [10]))

    def test_file_refuses(self) -> None:
        """A file that takes nothing from a pipe is written to, however little it takes at once."""
        link, plan, _, other = self.connect([0, 5], 2)
        other.sendall(b"abcde")
        splice, write = os.splice, os.pwrite

        def only_in(*words: Any, **named: Any) -> int:
            """Not into files."""
            if "offset_dst" in named:
                raise OSError(errno.EINVAL, "no")
            return splice(*words, **named)

        self.patch(module.os, "splice", only_in)
        self.patch(module.os, "pwrite", lambda fd, data, at: write(fd, data[:2], at))
        self.assertIsNone(self.read(link))
        self.assertEqual((self.path.read_bytes(), plan.steps), (b"\0\0abcde", [5]))

    def test_full(self) -> None:
        """A disk that takes no more is told; nothing of it is left for the next file."""
        link, plan, _, other = self.connect([0, 9])
        plan.fd = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, plan.fd)
        other.sendall(b"abcde")
        self.assertIsNone(self.read(link))
        [error] = plan.errors
        self.assertEqual((error.errno, plan.steps), (errno.ENOSPC, []))
        self.assertEqual((self.pipes._free, self.pipes._made), ([], 0))


def link_has(link: Any) -> bool:
    """Whether there is something to read."""
    return bool(select.select([link], [], [], 0)[0])


class KindTests(SynchronousTestCase):
    """Where it can be done."""

    def test_kinds(self) -> None:
        """Over TCP, with a system that can; not where TLS is in between."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        link: Any = Link(pair[0])
        plan = Plan(0, [1])
        self.assertIsInstance(file_receiver(link, plan), FileReceiver)
        unix: Any = Connection(pair[1], None, None)
        unix.getPeer = lambda: None
        self.assertIsNone(file_receiver(unix, plan))
        self.assertIsNone(file_receiver(StringTransport(), plan))
        alsoProvides(link, ISSLTransport)
        self.assertIsNone(file_receiver(link, plan))
        other = Link(pair[0])
        splice = os.splice
        del os.splice
        try:
            self.assertIsNone(file_receiver(other, plan))
        finally:
            os.splice = splice
