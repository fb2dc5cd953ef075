"""
One direction of one relayed connection: what one leg sends goes out at the other.

**What it must do.** Without faults, cost nothing but a write, which leaves at once. With faults,
let bytes go through a `StreamLink`, and do what comes out of it at its time. Bytes keep their order
when faults come and go. A reader that stalls before a sender at full speed costs bounded memory,
see `lab.proxy.room`.

**How it does it.** It is the producer of the leg that it writes to, and reads from the other while
that leg takes what is written and there is room inside the link. What a fault drops is not
inside, so dropping never holds up anybody. A link in which no fault is at work is passed by; it is
kept, because its faults go on counting where they were. Where much comes into a link, several
chunks are read at an event, each judged for itself. A capture is told what comes in when faults
have judged it, and then what goes out; without one nobody asks for each chunk whether there is one.
Where nobody has to see the bytes, neither faults nor a capture, and much comes at a time, the
system moves them by itself (`lab.adapters.splice`); as soon as a fault comes, what is under way
there goes out, and the next bytes come this way.

**What was refused.** To hold back what is due while the reader stalls: it would be in our memory
all the same, and the link's times would no longer be those of the network.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from typing import Protocol as Interface

from attrs import field, frozen
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from lab.adapters.splice import FULL, Splice, splice
from lab.adapters.transports import eager
from lab.faults.fault import DIRECTIONS, Fault
from lab.faults.journal import Journal, Place
from lab.faults.link import Decisions
from lab.faults.pipe import StreamLink
from lab.faults.sharing import Buckets, Lane
from lab.faults.streams import CLOSE, END, Item, Mark
from lab.faults.words import all_told
from lab.proxy.legs import Leg
from lab.proxy.recording import RelayRecording, Way
from lab.proxy.room import Room
from lab.proxy.tally import Tally

#: When a connection is closed, a peer may take so long to read what is due to it, in seconds.
DRAIN = 60.0
#: After a full chunk up to so many more are read in the same event.
AT_ONCE = 7


def _by_direction() -> dict[str, int]:
    """Nothing yet."""
    return dict.fromkeys(DIRECTIONS, 0)


@frozen
class Common:
    """
    What all pumps of a relay share.

    Args:
        clock: Gives the time, and calls when it has come.
        decisions: Where verdicts come from.
        journal: Takes those that were drawn.
        room: When a link takes more memory than it has for each, nothing is read; below half of
            it, again.
        received: Bytes that have come in, by direction.
        sent: Bytes that have gone out, by direction.
        tally: Counts what faults have done.
        buckets: Those of rates that connections have together.
        capture: What goes through, for a capture.
    """

    clock: IReactorTime
    decisions: Decisions
    journal: Journal | None = None
    room: Room = field(factory=Room)
    received: dict[str, int] = field(factory=_by_direction)
    sent: dict[str, int] = field(factory=_by_direction)
    tally: Tally = field(factory=Tally)
    buckets: Buckets = field(factory=Buckets)
    capture: RelayRecording | None = None


class Ends(Interface):
    """The whole connection, as its pumps know it."""

    def close(self, patience: float, why: str = "") -> None:
        """With FIN on both legs, behind what was written."""

    def reset(self, why: str = "") -> None:
        """With RST on both legs."""

    def lane(self, fault: Fault, place: Place, now: float) -> Lane:
        """Give one at a rate that connections have together."""


@implementer(IPushProducer)
class Pump:
    """
    A pump.

    Args:
        common: What all pumps share.
        where: Which relay, connection and direction it is: a `Place`, made if a fault wants one.
        source: Where bytes come from.
        sink: Where they go.
        ends: Ends the connection, and gives the lanes at rates that connections have together.
        seen: What a capture has of it, if there is one.

    Attributes:
        direction: ``upstream`` or ``downstream``.
    """

    _log = Logger()
    _write: Callable[[bytes], object]
    _link: StreamLink | None = None
    _timer: IDelayedCall | None = None
    _due = _begun = 0.0
    _taken = 0
    _stalled = _full = _ended = _stopped = False
    #: The size of the chunk that has come last, and whether more are being read in the same event.
    _last, _reads_on = 0, False
    #: What has the system move bytes, if it was ever asked to.
    _splice: Splice | None = None

    def __init__(
        self,
        common: Common,
        where: tuple[str, int, str],
        source: Leg,
        sink: Leg,
        ends: Ends,
        seen: Way | None = None,
    ) -> None:
        self._common, self._where, self._seen = common, where, seen
        self._source, self._sink, self._ends = source, sink, ends
        self._received, self._sent, self._room = common.received, common.sent, common.room
        self.direction = where[2]

    def begin(self, faults: Sequence[Fault], now: float) -> None:
        """Both legs are there."""
        if self._stopped:  # a fault of the other direction has ended it already
            return
        self._begun = now
        source, transport = self._source, self._sink.transport
        self._write = eager(transport)
        transport.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
        source.take = self._through()
        self.follow(faults)
        early, source.early = source.early, []
        for data in early:
            source.take(data)
        if not source.reading:  # it was not wanted before there was a sink
            self._read()

    def follow(self, faults: Sequence[Fault]) -> None:
        """These faults are in force from now on, and no others."""
        if self._stopped or not (faults or self._link):
            return
        if self._splice is not None:  # faults see the bytes again
            self._splice.stop()
        common = self._common
        link = self._link = self._link or StreamLink(
            [],
            common.decisions,
            Place(*self._where),
            journal=common.journal,
            now=self._begun,
            watch=self._seen or common.tally,
            share=self._ends.lane,
        )
        self._do(link, link.update, faults)
        if not self._stopped:
            self._source.take = self._through() if link.clear else partial(self._feed, link)

    def end(self) -> None:
        """The source sends no more; a splice has moved all it had on before."""
        self._ended = True
        link = self._link
        if link is not None:
            self._do(link, self._end_link, link)
            return
        if self._seen is not None:
            self._seen.ended_by()
        self._end_sink()

    def look(self) -> None:
        """
        See whether a fault has swallowed the end, and whether it may go out all the same.

        It goes out when no fault is left, as TCP would repeat it then; and when nobody is left to
        wait for anything, since the source is gone and the sink sends no more either.
        """
        link = self._link
        if link is None or not self._ended or link.memory:
            return
        if link.clear or (self._sink.ended and not self._source.there):
            self._end_sink()

    def stop(self) -> None:
        """Nothing goes on; what the system has under way goes out, as what was written does."""
        if self._splice is not None:
            self._splice.stop()
        self._stopped = True
        if self._link is not None:
            self._link.close()
            self._link = None
            self._take(0)
            self._disarm()

    # What the sink says.

    def pauseProducing(self) -> None:
        """It does not take what is written."""
        self._stalled = True
        self._read()

    def resumeProducing(self) -> None:
        """It does again."""
        self._stalled = False
        if self._splice is not None:
            self._splice.push()
        self._read()

    def stopProducing(self) -> None:
        """It is gone, and says so itself."""

    # What comes in.

    def _through(self) -> Callable[[bytes], None]:
        """What takes bytes on a path without faults."""
        return self._pass if self._seen is None else partial(self._pass_seen, self._seen)

    def _pass(self, data: bytes) -> None:
        """Bytes on a path without faults."""
        size = len(data)
        self._received[self.direction] += size
        self._sent[self.direction] += size
        self._write(data)
        if size >= FULL and self._seen is None:
            self._have_spliced()

    def _have_spliced(self) -> None:
        """Have the system move bytes from now on, if it can."""
        if self._splice is None:
            ends = self._source.transport, self._sink.transport
            self._splice = splice(*ends, self._count_received, self._count_sent)
        if self._splice is not None:
            self._splice.start()

    def _count_received(self, size: int) -> None:
        """The system has taken so many bytes."""
        self._received[self.direction] += size

    def _count_sent(self, size: int) -> None:
        """The system has moved them on."""
        self._sent[self.direction] += size

    def _pass_seen(self, seen: Way, data: bytes) -> None:
        """The same, and a capture has it."""
        seen.passed(data)
        self._pass(data)

    def _feed(self, link: StreamLink, data: bytes) -> None:
        """Bytes on a path with faults."""
        self._received[self.direction] += len(data)
        self._do(link, self._feed_link, link, data)
        self._last = len(data)
        if not self._reads_on:
            self._read_on()

    def _read_on(self) -> None:
        """Where much comes, take what else is there: an event for each chunk costs much, too."""
        self._reads_on, left = True, AT_ONCE
        while left and self._last >= FULL:
            left -= 1
            self._last = 0
            self._source.read_now()
        self._reads_on = False

    def _feed_link(self, link: StreamLink, data: bytes, now: float) -> None:
        """Bytes go into the link; a capture has what faults did to them at once."""
        link.feed(data, now)
        if self._seen is not None:
            self._seen.came(data, link.chunk)

    def _end_link(self, link: StreamLink, now: float) -> None:
        """The end goes into it, likewise."""
        link.end(now)
        if self._seen is not None:
            self._seen.ended_by(link.end_touches)

    def _do(
        self,
        link: StreamLink,
        function: Callable[..., None],
        *arguments: Any,
        not_before: float = 0.0,
    ) -> None:
        """
        Do something with the link, now, and what comes of it.

        A bug in a fault ends the connection on which it shows, and nothing else.
        """
        try:
            function(*arguments, max(self._common.clock.seconds(), not_before))
            self._settle(link)
        except Exception:  # noqa: BLE001 - whatever it is, other connections go on
            self._log.failure("{place} has met a bug and is reset", place=Place(*self._where))
            self._ends.reset()

    # What goes out.

    def _settle(self, link: StreamLink) -> None:
        """Take what has come out of the link, and see when more will."""
        items = link.outgoing()
        if items or self._seen is not None:
            self._let_out(items, link)
        if self._stopped:
            return
        self.look()
        self._arm(link)
        full = self._take(link.memory) > (self._room.each // 2 if self._full else self._room.each)
        if full != self._full:
            self._full = full
            self._read()

    def _let_out(self, items: list[Item], link: StreamLink) -> None:
        """Bytes and ends go out."""
        # An end is behind all bytes. They may be very many pieces, of very few bytes.
        data = b"".join([item for item in items if isinstance(item, bytes)])
        if self._seen is not None:
            self._seen.left(data, link.departed)
        if data:
            self._sent[self.direction] += len(data)
            self._write(data)
        for item in items:
            if isinstance(item, Mark) and not self._stopped:
                self._end_by(item, link)

    def _take(self, memory: int) -> int:
        """The link takes so many bytes now; gives them back."""
        self._room.take(memory - self._taken)
        self._taken = memory
        return memory

    def _end_by(self, mark: Mark, link: StreamLink) -> None:
        """An end has come out; after a close or a reset nothing goes on."""
        why = self._seen.ending if self._seen is not None else ""
        if mark is END:
            self._end_sink(all_told(link.end_touches))
        elif mark is CLOSE:
            self._ends.close(DRAIN, why)
        else:
            self._ends.reset(why)

    def _end_sink(self, why: str = "") -> None:
        """No more goes out; if nobody is left to hear from the sink, it is let go."""
        if self._source.there:
            self._sink.shut(why)
        else:
            self._sink.finish(DRAIN, why)

    def _read(self) -> None:
        """Read from the source if there is room for it."""
        self._source.read(wanted=not (self._stalled or self._full))

    # Time.

    def _arm(self, link: StreamLink) -> None:
        """Be called when something is due, or before: a timer that comes too early is set again."""
        due = link.deadline()
        if due is None or (self._timer is not None and self._due <= due):
            return
        self._disarm()
        clock = self._common.clock
        self._due = due
        self._timer = clock.callLater(max(0.0, due - clock.seconds()), self._tick, link)

    def _tick(self, link: StreamLink) -> None:
        """The timer has come."""
        self._timer = None
        # Floating point may bring a clock a hair before the time it was asked for.
        self._do(link, link.tick, not_before=self._due)

    def _disarm(self) -> None:
        """No timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
