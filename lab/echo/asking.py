"""
The Deferred side of the echo clients: what those of TCP and UDP share.

Knows no transport: whoever has one gives it to each way. Texts and limits share a way; a stream,
probes and a file have one of their own each, so that none waits for another, and is let go when
they have ended.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from lab.adapters.closing import Closing
from lab.adapters.routes import Route
from lab.echo.client import EchoClientCore
from lab.echo.files import FileClientCore
from lab.echo.measuring import Measuring, Plan
from lab.echo.outcomes import Measured, Received, Row, Traffic
from lab.echo.pieces import PieceClientCore
from lab.echo.prober import ProbeClientCore
from lab.echo.report import Interval
from lab.echo.settings import ClientSettings
from lab.echo.streams import StreamClientCore
from lab.echo.ways import Sink, Way, Write, ignore
from lab.echo.wire import AskLimits, Echo, File, Limits
from lab.errors import LocalError, Unreachable
from lab.rng import Random

#: Over datagrams, so many characters may wait for being written, in bytes.
ROOM = 2**20
#: The largest number that is asked for: 18 digits, so that all that is said of it can be read.
MOST = 10**18


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
        self._closing = Closing(self._close)

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
        watch: Callable[[Interval], object] = ignore,
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
        watch: Callable[[Interval], object] = ignore,
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
        progress: Callable[[int, int], object] = ignore,
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
        self._closing.check()
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
        return self._closing.close()

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
        return DeferredList(closing, consumeErrors=True).addCallback(ignore)

    def _common(self) -> dict[str, Any]:
        """What all cores take."""
        return {
            "settings": self._settings,
            "name": f"{self._random.getrandbits(30):06x}"[-6:].encode(),
            "random": self._random,
            "datagrams": self._datagrams,
            "traffic": self.traffic,
        }

    def _ask(self, question: Echo | AskLimits) -> Deferred[Any]:
        """Ask on the way that all questions share."""
        self._closing.check()
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
        self._closing.check()
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
