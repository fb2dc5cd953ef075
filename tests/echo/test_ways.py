"""What runs a core of the echo clients."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.client import EchoClientCore
from lab.echo.files import FileClientCore
from lab.echo.outcomes import Characters, Done, Gone, Received, Row
from lab.echo.ways import Sink, Way, ignore
from lab.echo.wire import Echo, File
from lab.errors import Unreachable
from tests.echo.cores import common


class WayTests(SynchronousTestCase):
    """A core, and what comes of what it does."""

    def make(self, **words: Any) -> Way:
        """A way of questions, with a transport that notes what is written."""
        self.clock, self.sent = Clock(), list[bytes]()
        way = Way(EchoClientCore(**common()), self.clock, **words)
        way.driver.write = self.sent.extend
        return way

    def ask(self, way: Way) -> Deferred[Any]:
        """Ask a text."""
        number = way.core.ask(Echo(b"x"), self.clock.seconds())
        result = way.result(number, lambda now: way.core.cancel(number))
        way.driver.settle()
        return result

    def test_answer(self) -> None:
        """What is asked is sent when there is a transport, and its Deferred has the answer."""
        way = self.make()
        result = self.ask(way)
        self.assertEqual((self.sent, way.waiting, way.heard), ([], 1, False))
        way.open()
        self.assertEqual(self.sent, [b"#a-1 x"])
        way.driver.message(b"#a-1 x")
        self.assertEqual(self.successResultOf(result), b"x")
        self.assertEqual((way.waiting, way.heard), (0, True))

    def test_closed(self) -> None:
        """When the transport goes, what is in flight fails."""
        way = self.make()
        result = self.ask(way)
        way.closed(Unreachable("it broke"))
        self.assertEqual(str(self.failureResultOf(result, Unreachable).value), "it broke")

    def test_cancelled(self) -> None:
        """What nobody waits for is forgotten."""
        way = self.make()
        result = self.ask(way)
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(way.waiting, 0)
        way.finish(Done(1, b"late"))

    def test_shows(self) -> None:
        """Events that end nothing are shown; that no transport is needed is told."""
        shown: list[object] = []
        way = self.make(show=shown.append, gone=lambda: shown.append("gone"))
        row: Any = Row(interval=None)  # type: ignore[arg-type]
        way.driver.tell(row)
        way.driver.tell(Gone())
        self.assertEqual(shown, [row, "gone"])

    def test_show_fails(self) -> None:
        """What a show raises is how it ends, and the core is stopped."""
        core = FileClientCore(wanted=File(10, id=b"a-1"), **common(datagrams=False))
        way = Way(core, Clock(), chunks=True, show=lambda event: 1 // 0)
        result = way.result(0, core.stop)
        way.open()
        way.driver.tell(Characters(0, b"x"))
        self.failureResultOf(result, ZeroDivisionError)
        self.assertTrue(core.over)
        way.driver.stop()

    def test_holds(self) -> None:
        """A core is held, and let go on."""
        core = FileClientCore(wanted=File(10, id=b"a-1"), **common(datagrams=False))
        way = Way(core, Clock(), chunks=True)
        way.hold(wanted=True)
        self.assertTrue(core.busy())
        way.hold(wanted=False)
        self.assertFalse(core.busy())
        way.driver.stop()

    def test_ignore(self) -> None:
        """What nobody wants to know goes nowhere."""
        self.assertIsNone(ignore(1, 2))


class SinkTests(SynchronousTestCase):
    """Where characters go when something has failed."""

    def make(self, write: Any, progress: Any = ignore) -> tuple[Sink, Deferred[Any]]:
        """A sink, and what comes of its file."""
        core = FileClientCore(wanted=File(10, id=b"a-1"), **common(datagrams=False))
        sink = Sink(write, progress, 10, 0)
        way = sink.way = Way(core, Clock(), chunks=True, show=sink.take, may_end=sink.may_end)
        return sink, way.result(0, core.stop).addErrback(sink.drop)

    def test_nothing_after_a_failure(self) -> None:
        """What comes behind a write that has failed is not written."""
        written: list[int] = []
        sink, result = self.make(lambda offset, data: written.append(offset) or 1 // 0)
        sink.take(Characters(0, b"a"))
        sink.take(Characters(1, b"b"))
        self.failureResultOf(result, ZeroDivisionError)
        self.assertEqual(written, [0])

    def test_failure_after_the_end(self) -> None:
        """A write that fails when nobody wants the file any more is nobody's business."""
        writing: Deferred[None] = Deferred()
        sink, result = self.make(lambda offset, data: writing)
        sink.take(Characters(0, b"a"))
        sink.take(Characters(1, b"b"))
        result.cancel()
        self.failureResultOf(result, CancelledError)
        writing.errback(ZeroDivisionError())
        self.assertFalse(sink._queue)

    def test_failure_before_the_end_is_told(self) -> None:
        """A last write that fails is how it ends, though all had come."""
        writing: Deferred[None] = Deferred()
        sink, result = self.make(lambda offset, data: writing)
        sink.take(Characters(0, b"0123456789"))
        self.assertFalse(sink.may_end(Done(0, Received(0, 10))))
        self.assertNoResult(result)
        writing.errback(ZeroDivisionError())
        self.failureResultOf(result, ZeroDivisionError)

    def test_progress(self) -> None:
        """It is told how much was written, one write at a time; meanwhile the core is held."""
        told: list[tuple[int, int]] = []
        writing: list[Deferred[None]] = []

        def write(offset: int, data: bytes) -> Deferred[None]:
            writing.append(Deferred())
            return writing[-1]

        sink, result = self.make(write, lambda *of: told.append(of))
        for offset in (0, 5):
            sink.take(Characters(offset, b"01234"))
        self.assertEqual((len(writing), sink.way.core.busy()), (1, True))
        writing[0].callback(None)
        self.assertEqual((len(writing), sink.way.core.busy()), (2, True))
        writing[1].callback(None)
        self.assertEqual((told, sink.way.core.busy()), ([(5, 10), (10, 10)], False))
        self.assertTrue(sink.may_end(Done(0, None)))
        self.assertNoResult(result)
        sink.way.driver.stop()

    def test_at_once(self) -> None:
        """A writer that takes no time never holds the core, and has all before the end is told."""
        written: list[int] = []
        sink, result = self.make(lambda offset, data: written.append(offset))
        for offset in (0, 5):
            sink.way.driver.tell(Characters(offset, b"01234"))
            self.assertFalse(sink.way.core.busy())
        sink.way.driver.tell(Done(0, received := Received(0, 10)))
        self.assertEqual((self.successResultOf(result), written), (received, [0, 5]))
        sink.way.driver.stop()

    def test_end_after_the_last_write(self) -> None:
        """The end is told when the last write is done."""
        writing: Deferred[None] = Deferred()
        sink, result = self.make(lambda offset, data: writing)
        sink.take(Characters(0, b"0123456789"))
        sink.way.driver.tell(Done(0, received := Received(0, 10)))
        self.assertNoResult(result)
        writing.callback(None)
        self.assertEqual(self.successResultOf(result), received)
