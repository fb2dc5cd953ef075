"""Reading when somebody asks, writing at the pace of who reads."""

import errno
import os
import select
import tempfile
from pathlib import Path

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from lab.commands.conversation.descriptors import Input, Output, OutputClosedError
from lab.errors import LocalError
from tests.commands.conversation.helpers import BoundedTestCase, FakeReactor, take


class InputTests(BoundedTestCase):
    """Reading when somebody asks."""

    def setUp(self) -> None:
        """A reactor on which nothing may be left."""
        self.reactor = FakeReactor()
        self.addCleanup(lambda: self.assertTrue(self.reactor.idle()))

    def open(self, path: str) -> Input:
        """The input of a file."""
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return Input(self.reactor, fd)

    def pipe(self) -> tuple[Input, int]:
        """The input of a pipe, and where to write."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        return Input(self.reactor, reader), writer

    def test_a_file_is_read_in_chunks_without_a_poll(self) -> None:
        """Each chunk comes in a turn of the reactor, which watches nothing."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 100_000)
            file.flush()
            source, sizes = self.open(file.name), []
            for _ in range(3):
                asked = source.read()
                self.assertNoResult(asked)
                self.assertEqual(self.reactor.readers, set())
                self.reactor.turn()
                sizes.append(len(self.successResultOf(asked)))
        self.assertEqual(sizes, [65_536, 100_000 - 65_536, 0])

    def test_the_null_device_is_at_its_end(self) -> None:
        """/dev/null, which can't be polled, gives the end."""
        asked = self.open(os.devnull).read()
        self.reactor.turn()
        self.assertEqual((self.successResultOf(asked), self.reactor.readers), (b"", set()))

    def test_a_pipe_is_watched_only_while_somebody_asks(self) -> None:
        """Nothing is read before it is asked for; the end of the writer is the end."""
        source, writer = self.pipe()
        os.write(writer, b"abc")
        self.reactor.turn()
        asked = source.read()
        self.assertEqual(self.reactor.readers, {source})
        self.reactor.turn()
        self.assertEqual((self.successResultOf(asked), self.reactor.readers), (b"abc", set()))
        os.close(writer)
        asked = source.read()
        self.reactor.turn()
        self.assertEqual(self.successResultOf(asked), b"")

    def test_a_pipe_that_the_reactor_gave_up_is_at_its_end(self) -> None:
        """A hang-up that is no data is told as the end."""
        source, writer = self.pipe()
        os.close(writer)
        asked = source.read()
        source.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.successResultOf(asked), b"")

    def test_close_is_the_end_for_whoever_asks(self) -> None:
        """Who asked before and who asks after are both told that it is the end."""
        source, writer = self.pipe()
        self.addCleanup(os.close, writer)
        asked = source.read()
        source.close()
        self.assertEqual(self.successResultOf(asked), b"")
        self.assertEqual(self.successResultOf(source.read()), b"")

    def test_close_when_nobody_asks(self) -> None:
        """Closed between two reads, the next one is told that it is the end."""
        source = self.open(os.devnull)
        source.close()
        self.assertEqual(self.successResultOf(source.read()), b"")

    def test_cancelled_leaves_nothing(self) -> None:
        """Who gives up is not watched for any more, on a pipe and on a file."""
        source, writer = self.pipe()
        self.addCleanup(os.close, writer)
        for asked in (source.read(), self.open(os.devnull).read()):
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
        self.assertTrue(self.reactor.idle())

    def test_the_log_knows_who_it_was(self) -> None:
        """The reactor logs an error with what the descriptor is for."""
        names = (Input(self.reactor, 0).logPrefix(), Output(self.reactor, 1).logPrefix())
        self.assertEqual(names, ("input", "output"))

    def test_what_cannot_be_read_is_said(self) -> None:
        """A closed descriptor and a folder are LocalErrors with the reason."""
        closed = Input(self.reactor, 9999)
        self.assertIn("Bad file", str(self.failureResultOf(closed.read(), LocalError).value))
        asked = self.open(tempfile.gettempdir()).read()
        self.reactor.turn()
        self.assertIn("directory", str(self.failureResultOf(asked, LocalError).value))


class OutputTests(BoundedTestCase):
    """Writing at the pace of who reads."""

    def setUp(self) -> None:
        """A pipe, and a reactor on which nothing may be left."""
        self.reactor = FakeReactor()
        self.reader, self.writer = os.pipe()
        self.output = Output(self.reactor, self.writer)
        self.addCleanup(os.close, self.writer)
        self.addCleanup(lambda: self.assertTrue(self.reactor.idle()))

    def test_writes_at_once_what_there_is_room_for(self) -> None:
        """A short text needs no turn of the reactor."""
        self.output.write(b"abc")
        self.successResultOf(self.output.drain())
        self.assertEqual(take(self.reader), b"abc")
        os.close(self.reader)

    def test_waits_for_room_and_loses_nothing(self) -> None:
        """More than a pipe holds is written as it is read, without blocking or O_NONBLOCK."""
        data = bytes(range(256)) * 4_000
        self.output.write(data)
        drained, got = self.output.drain(), b""
        self.assertNoResult(drained)
        while len(got) < len(data):
            got += take(self.reader)
            self.reactor.turn()
        self.successResultOf(drained)
        self.assertEqual(got, data)
        self.assertTrue(os.get_blocking(self.writer))
        os.close(self.reader)

    def test_nobody_waits(self) -> None:
        """What is written without waiting for it gets out as well."""
        self.output.write(b"x" * 100_000)
        got = 0
        while got < 100_000:
            got += len(take(self.reader))
            self.reactor.turn()
        os.close(self.reader)

    def test_a_descriptor_that_cannot_be_watched(self) -> None:
        """A reactor that refuses it is an error like any other."""

        def refuse(*_: object) -> None:
            """As epoll does with itself."""
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        self.patch(self.reactor, "addWriter", refuse)
        self.output.write(b"x" * 1_000_000)
        error = self.failureResultOf(self.output.drain(), LocalError)
        self.assertIn("Invalid argument", str(error.value))
        os.close(self.reader)

    def test_others_may_take_the_room(self) -> None:
        """A non-blocking pipe with less room than promised is written when there is more."""
        os.set_blocking(self.writer, False)
        self.patch(select, "select", lambda *_: ((), (self.writer,), ()))
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        self.assertNoResult(drained)
        self.assertEqual(self.reactor.writers, {self.output})
        drained.addErrback(lambda _: None).cancel()
        os.close(self.reader)

    def test_nobody_reads(self) -> None:
        """At once or while it waits, a closed reader is an error of its own; and for good."""
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        os.close(self.reader)
        self.output.connectionLost(Failure(ConnectionError()))
        self.failureResultOf(drained, OutputClosedError)
        self.output.write(b"more")
        self.failureResultOf(self.output.drain(), OutputClosedError)

    def test_cancelled_leaves_nothing(self) -> None:
        """Who gives up waiting throws away what is not written."""
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        drained.cancel()
        self.failureResultOf(drained, CancelledError)
        self.assertTrue(self.reactor.idle())
        os.close(self.reader)

    def test_what_cannot_be_written_is_said(self) -> None:
        """A full disk and a closed descriptor are LocalErrors with the reason."""
        os.close(self.reader)
        with Path("/dev/full").open("wb") as full:
            output = Output(self.reactor, full.fileno())
            output.write(b"x")
            error = self.failureResultOf(output.drain(), LocalError)
        self.assertIn("No space left", str(error.value))
        closed = Output(self.reactor, 999)
        closed.write(b"x")
        self.assertIn("Bad file", str(self.failureResultOf(closed.drain(), LocalError).value))
