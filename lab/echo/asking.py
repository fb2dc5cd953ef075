"""
The Deferred side of the echo clients: what those of TCP and UDP share.

Knows no transport: a `Way` is a core and its driver, and whoever has a transport plugs it in. Texts
and limits share a way; a stream, probes and a file have one of their own each, so that none waits
for another, and is let go when they have ended.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.routes import Route
from lab.echo.client import EchoClientCore
from lab.echo.files import FileClientCore
from lab.echo.measuring import Measuring, Plan
from lab.echo.outcomes import Characters, Done, Gone, Measured, Received, Row, Traffic
from lab.echo.pieces import PieceClientCore
from lab.echo.prober import ProbeClientCore
from lab.echo.report import Interval
from lab.echo.settings import ClientSettings
from lab.echo.streams import StreamClientCore
from lab.echo.wire import AskLimits, Echo, File, Limits
from lab.errors import LocalError, NoAnswer, Unreachable
from lab.rng import Random

#: Takes characters of a file: where they belong, and which they are. It may give a Deferred, and is
#: not called again before that has fired.
Write = Callable[[int, bytes], "Deferred[Any] | None"]
#: Over datagrams, so many characters may wait for being written, in bytes.
ROOM = 2**20
#: The largest number that is asked for: 18 digits, so that all that is said of it can be read.
MOST = 10**18


def _ignore(*_: object) -> None:
    """Where things go that nobody wants to know."""


@define(eq=False)
class Way:
    """
    A core on one connection or port, and a Deferred for each thing that it does.

    Args:
        core: What it runs.
        clock: Gives the time.
        chunks: Whether it takes what comes as it comes, and not in lines.
        show: Called with the events that end nothing; what it raises ends all.
        may_end: Called with an end; whether that is to be told at once.
        gone: Called when no transport is needed any more.
    """

    core: Any
    _clock: IReactorTime
    chunks: bool = False
    show: Callable[[Any], object] = _ignore
    may_end: Callable[[Done], bool] = bool
    gone: Callable[[], object] = _ignore
    driver: Driver = field(init=False)
    _results: dict[int, Deferred[Any]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """The driver."""
        self.driver = Driver(self.core, self._clock)
        self.driver.tell = self._tell

    @property
    def waiting(self) -> int:
        """How much needs a transport."""
        waiting: int = self.core.waiting
        return waiting

    @property
    def heard(self) -> bool:
        """Whether the server has ever answered."""
        heard: bool = self.core.heard
        return heard

    def result(self, number: int, cancel: Callable[[float], object]) -> Deferred[Any]:
        """
        What comes of something that the core does.

        Args:
            number: What the core calls it.
            cancel: Called with the time when nobody wants it any more.
        """
        result: Deferred[Any] = Deferred(lambda _: self._cancel(number, cancel))
        self._results[number] = result
        return result

    def open(self) -> None:
        """There is a transport now."""
        self.core.open(self._clock.seconds())
        self.driver.settle()

    def closed(self, error: Unreachable) -> None:
        """The transport is gone."""
        self.fail(error)

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """There will be no transport."""
        self.core.lost(error, self._clock.seconds())
        self.driver.settle()

    def hold(self, *, wanted: bool) -> None:
        """Nobody takes what the core gives; or somebody does again."""
        (self.core.hold if wanted else self.core.release)(self._clock.seconds())
        self.driver.settle()

    def abandon(self, reason: Failure) -> None:
        """What belongs to the core has failed on our side."""
        result = self._results.pop(0, None)
        self.core.stop(self._clock.seconds())
        self.driver.settle()
        if result is not None:
            result.errback(reason)

    def finish(self, event: Done) -> None:
        """Tell how something has ended, unless nobody wants to know."""
        result = self._results.pop(event.number, None)
        if result is None:
            return
        if isinstance(event.value, Exception):
            result.errback(event.value)
        else:
            result.callback(event.value)

    def _cancel(self, number: int, cancel: Callable[[float], object]) -> None:
        """Nobody waits for this any more; it may have an end all the same."""
        cancel(self._clock.seconds())
        self.driver.settle()
        self._results.pop(number, None)

    def _tell(self, event: Any) -> None:
        """Something has ended, or happened."""
        if isinstance(event, Gone):
            self.gone()
        elif not isinstance(event, Done):
            try:
                self.show(event)
            except Exception:  # noqa: BLE001 - whatever a callback of the application's raises
                self.abandon(Failure())
        elif self.may_end(event):
            self.finish(event)


@define(eq=False)
class Sink:
    """
    Where the characters of a file go, one write at a time.

    Args:
        write: Takes them.
        progress: Told of them.
        total: How many there will be.
        room: So many may wait, in bytes, before the core is held.
    """

    _write: Write
    _progress: Callable[[int, int], object]
    _total: int
    _room: int
    way: Way = field(init=False)
    _queue: deque[Characters] = field(init=False, factory=deque)
    _waiting: int = field(init=False, default=0)
    _written: int = field(init=False, default=0)
    _writing: Deferred[Any] | None = field(init=False, default=None)
    _held: bool = field(init=False, default=False)
    _going: bool = field(init=False, default=False)
    _over: bool = field(init=False, default=False)
    #: How it ended, and what is told of that when all was written.
    _done: Done | None = field(init=False, default=None)

    def take(self, event: Characters) -> None:
        """Some characters came."""
        if not self._over:
            self._queue.append(event)
            self._waiting += len(event.data)
            self._go()

    def drop(self, reason: Failure) -> Failure:
        """It has failed, or nobody wants it any more: nothing more is written."""
        self._over = True
        self._queue.clear()
        return reason

    def may_end(self, event: Done) -> bool:
        """The core has come to an end; gives whether that is to be told at once."""
        self._done = event
        return not (self._queue or self._writing)

    def _go(self) -> None:
        """Write, as long as nothing has to be waited for."""
        if self._going:
            return
        self._going = True
        while self._queue and self._writing is None:
            event = self._queue.popleft()
            writing = maybeDeferred(self._write, event.offset, event.data)
            self._writing = writing
            writing.addCallback(self._wrote, len(event.data)).addErrback(self._fail)
        self._going = False
        self._hold()
        if self._done is not None and not self._queue and self._writing is None:
            self.way.finish(self._done)

    def _wrote(self, _: object, size: int) -> None:
        """It was taken."""
        self._writing = None
        self._waiting -= size
        self._written += size
        self._progress(self._written, self._total)
        self._go()

    def _fail(self, reason: Failure) -> None:
        """It can't be written: that is the end of it."""
        self._writing = None
        self.drop(reason)
        self.way.abandon(reason)

    def _hold(self) -> None:
        """Hold the core, or let it go on."""
        wanted = self._writing is not None and self._waiting > self._room
        if wanted != self._held and self._done is None and not self._over:
            self._held = wanted
            self.way.hold(wanted=wanted)


class EchoAsking:
    """
    What every echo client can do; `lab.echo.tcp` and `lab.echo.udp` say how bytes travel.

    Args:
        clock: Gives the time.
        settings: Timeouts, backoff, silence.
        random: Where ids and jitter are drawn from.
        route: Gives a way its transport.
        datagrams: Whether messages may be lost, doubled and overtaken.

    Attributes:
        traffic: What was sent and seen so far.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ClientSettings,
        random: Random,
        route: Callable[[Way], Route],
        *,
        datagrams: bool,
    ) -> None:
        self.traffic = Traffic()
        self._clock, self._settings, self._random = clock, settings, random
        self._make_route, self._datagrams = route, datagrams
        self._core = EchoClientCore(**self._common())
        self._asking = route(Way(self._core, clock))
        #: Of what is going on, the routes, and what is called when they are gone.
        self._routes: dict[Route, Deferred[None]] = {}
        self._closing: Deferred[None] | None = None

    def echo(self, text: bytes) -> Deferred[bytes]:
        """
        Have a text sent back.

        Args:
            text: Any bytes that fit in a message with an id of some ten bytes; over a connection
                one line, without its end.

        Returns:
            Fires with what came back. Fails with `lab.errors.NoAnswer`, `lab.errors.Unreachable`,
            or `lab.errors.RemoteError` for a line that never ends. Can be cancelled.

        Raises:
            LocalError: A text that can't be sent, or a client that is closed.
        """
        return self._ask(Echo(text))

    def limits(self) -> Deferred[Limits]:
        """
        Ask what is allowed.

        Returns:
            Fires with it; fails as `echo` does, or with `lab.echo.outcomes.Rejected`.
        """
        return self._ask(AskLimits())

    def stream(  # noqa: PLR0913 - what can be set, by name
        self,
        interval: float,
        count: int,
        size: int,
        *,
        interval_of_rows: float = 1.0,
        keep: bool = False,
        timeout: float | None = None,
        late: float = 0.1,
        watch: Callable[[Interval], object] = _ignore,
    ) -> Deferred[Measured]:
        """
        Have packets sent, and measure what comes.

        Args:
            interval: One packet so often, in seconds; a whole number of milliseconds.
            count: How many.
            size: Bytes of each, 64 to 65,507.
            interval_of_rows: Length of a row of the report, in seconds; 0.1 or more.
            keep: Keep each packet, for plots; some hundred bytes each.
            timeout: After a silence of so long it is over, in seconds; by default the settings'
                ``silence`` and the interval.
            late: A packet so long behind its successors is late, in seconds.
            watch: Called with each row as soon as it is over, also with those in which nothing
                came. What it says of losses may still change: see the report.

        Returns:
            Fires with what was measured. Fails with `lab.echo.outcomes.Rejected`,
            `lab.errors.NoAnswer` if nothing ever came, `lab.errors.Unreachable`, and over a
            connection, if it breaks, falls silent or says nonsense in the middle, with
            `lab.echo.outcomes.Cut`, `lab.echo.outcomes.Stalled` or `lab.echo.outcomes.Broken`,
            which have what was measured until then. When it is cancelled the server is told to
            stop, and it fires with what was measured so far; it fails with ``CancelledError`` only
            if nothing had come.

        Raises:
            LocalError: A number that can't be, or a client that is closed.
        """
        plan = self._plan(interval, count, size, interval_of_rows, timeout, keep=keep, late=late)
        return self._measure(StreamClientCore(plan=plan, **self._common()), watch)

    def probe(  # noqa: PLR0913 - what can be set, by name
        self,
        interval: float,
        count: int,
        size: int,
        *,
        interval_of_rows: float = 1.0,
        keep: bool = False,
        timeout: float | None = None,
        late: float = 0.1,
        watch: Callable[[Interval], object] = _ignore,
    ) -> Deferred[Measured]:
        """
        Send probes, and measure what is answered; arguments and errors are those of `stream`.

        Args:
            interval: One probe so often, in seconds; 0 for 10,000 a second.
            count: How many.
            size: Bytes of each, 64 to 65,507.
            interval_of_rows: See `stream`.
            keep: See `stream`.
            timeout: An answer that takes longer is overdue; see `stream`.
            late: See `stream`; of the way back.
            watch: See `stream`.

        Returns:
            Fires with what was measured; its report is a `lab.echo.report.ProbeReport`.
        """
        plan = self._plan(interval, count, size, interval_of_rows, timeout, keep=keep, late=late)
        return self._measure(ProbeClientCore(plan=plan, **self._common()), watch)

    def file(  # noqa: PLR0913 - what can be set, by name
        self,
        n: int,
        write: Write,
        *,
        offset: int = 0,
        length: int | None = None,
        seed: int = 0,
        reliable: bool = False,
        progress: Callable[[int, int], object] = _ignore,
    ) -> Deferred[Received]:
        """
        Receive a file, or a part of it, and check every character.

        Args:
            n: Characters of the whole file.
            write: Called with the offset and the characters, each of which comes once: over a
                connection in order, over datagrams in any. It may give a Deferred, and is not
                called again before that has fired: what comes meanwhile waits, or is lost over
                datagrams if it is much. What it raises fails the file.
            offset: Where the part begins.
            length: Characters of the part; all to the end by default.
            seed: Which of the files of this size.
            reliable: Over datagrams, ask for what is missing until all is there.
            progress: Called with how many characters were written, and how many there are.

        Returns:
            Over a connection fires when all is there and was written, and its SHA-256 is the
            server's. Over datagrams it fires with what is ``missing``, unless it is reliable.
            Fails with `lab.echo.outcomes.WrongData` if the server sends something else than the
            file; with `lab.echo.outcomes.Cut`, `lab.echo.outcomes.Stalled` or
            `lab.echo.outcomes.Broken` in the middle (``so_far.next`` is where to go on); with
            `lab.echo.outcomes.Rejected`, `lab.errors.NoAnswer` or `lab.errors.Unreachable` before.
            Can be cancelled.

        Raises:
            LocalError: A number that can't be, or a client that is closed.
        """
        self._check_open()
        common = self._common()
        wanted = _part(n, offset, length, seed, common["name"] + b"-1")
        core: Any
        if self._datagrams:
            core = PieceClientCore(wanted=wanted, reliable=reliable, **common)
        else:
            core = FileClientCore(wanted=wanted, **common)
        sink = Sink(write, progress, wanted.length, ROOM if self._datagrams else 0)
        way = Way(core, self._clock, not self._datagrams, sink.take, sink.may_end)
        sink.way = way
        return self._run(way).addErrback(sink.drop)

    def close(self) -> Deferred[None]:
        """
        End all connections; what is in flight fails. May be called again.

        Returns:
            Fires when nothing is left in the reactor. A server that has just been told to stop is
            told so again before, for 0.2 s.
        """
        if self._closing is None:
            self._closing = Deferred()  # whoever is told of a failure may close the client, too
            self._close().chainDeferred(self._closing)
        ended: Deferred[None] = Deferred()
        self._closing.addCallback(ended.callback)
        return ended

    def _close(self) -> Deferred[None]:
        """Fires when nothing is left in the reactor."""
        ways: list[Way] = [route.way for route in (self._asking, *self._routes)]
        closing = list(self._routes.values())
        for way in ways:
            # What is over may still have to tell the server so.
            if not way.core.over:
                way.fail(Unreachable("the client was closed"))
        self._asking.way.driver.stop()
        closing.append(self._asking.close())
        return DeferredList(closing, consumeErrors=True).addCallback(_ignore)

    def _common(self) -> dict[str, Any]:
        """What all cores take."""
        return {
            "settings": self._settings,
            "name": f"{self._random.getrandbits(30):06x}"[-6:].encode(),
            "random": self._random,
            "datagrams": self._datagrams,
            "traffic": self.traffic,
        }

    def _check_open(self) -> None:
        """Refuse what comes too late."""
        if self._closing is not None:
            raise LocalError("the client is closed; make a new one")

    def _ask(self, question: Echo | AskLimits) -> Deferred[Any]:
        """Ask on the way that all questions share."""
        self._check_open()
        way: Way = self._asking.way
        number = self._core.ask(question, self._clock.seconds())
        result = way.result(number, lambda now: self._core.cancel(number))
        way.driver.settle()
        self._asking.need()
        return result

    def _plan(
        self,
        interval: float,
        count: int,
        size: int,
        rows: float,
        timeout: float | None,
        **others: Any,
    ) -> Plan:
        """What is to be sent, and how that is looked at."""
        self._check_open()
        timeout = interval + self._settings.silence if timeout is None else timeout
        return Plan(interval, count, size, rows, timeout=timeout, **others)

    def _measure(self, core: Measuring, watch: Callable[[Interval], object]) -> Deferred[Measured]:
        """Run a measure on a way of its own."""

        def show(event: Row) -> None:
            """A row is over."""
            watch(event.interval)

        return self._run(Way(core, self._clock, show=show))

    def _run(self, way: Way) -> Deferred[Any]:
        """Run what has a way of its own."""
        result = way.result(0, way.core.stop)
        route = self._make_route(way)
        ended = self._routes[route] = Deferred[None]()

        def gone() -> None:
            """No transport is needed."""
            way.driver.stop()
            route.close().addCallback(closed)

        def closed(_: object) -> None:
            """There is none any more."""
            del self._routes[route]
            ended.callback(None)

        way.gone = gone
        route.need()
        return result


def _part(n: int, offset: int, length: int | None, seed: int, id: bytes) -> File:
    """
    A part of a file.

    Raises:
        LocalError: A part that the file has not.
    """
    length = n - offset if length is None else length
    for name, value, most in (
        ("n", n, MOST),
        ("offset", offset, n),
        ("length", length, n - offset),
        ("seed", seed, MOST),
    ):
        if not 0 <= value <= most:
            raise LocalError(f"{name} is {value:,}; give 0 to {most:,}")
    return File(n, offset, length, seed, id)
