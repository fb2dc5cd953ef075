"""
One server that a file comes from: which version it has, what it owes, and when it is tried again.

It knows that there are others only by whom it tells (`Owner`): what is asked of whom is decided
there. It is begun anew after each loss, with longer and longer waits; nothing but content makes
these short again. Nonsense is an accident for `STRIKES` times, for bits may be inverted on the way.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint

from lab.core import Part
from lab.download.client import Data, Digests, Failed, Misplaced, Placed
from lab.download.connection import Connection
from lab.download.kinds import faster
from lab.download.landing import Landing
from lab.download.meter import Meter
from lab.download.outcomes import Broken, Changed, Rejected, SourceProgress, State
from lab.download.settings import ClientSettings
from lab.download.target import Version
from lab.download.wire import Busy, Get, Hashes, Refused, Stat, Status
from lab.errors import LabError
from lab.rng import Random

#: Who says nonsense so often, and nothing that is right between, is left out.
STRIKES = 3
#: A server that is too busy is asked again after so long at most, in seconds.
LONGEST = 60.0
#: Its states that are for good, until it is begun anew on purpose.
_OUT = frozenset({State.REJECTED, State.LYING})


class Owner(Protocol):
    """Who has the sources."""

    def known(self, source: "Source") -> None:
        """It has told its version, and is ready to be asked."""

    def given(self, source: "Source", landing: Landing, size: int) -> None:
        """So many bytes came of a piece."""

    def room(self, landing: Landing) -> Part | None:
        """Where in a file the rest of a piece may be put, before it was given."""

    def full(self, error: OSError) -> None:
        """The file did not take what came, which is lost."""

    def refused(self, source: "Source", landing: Landing) -> None:
        """It will not give a piece."""

    def gone(self, source: "Source", landings: list[Landing]) -> None:
        """It will give nothing of what it owed for now; or it is left out."""

    def wasted(self, size: int) -> None:
        """Bytes of content came that nobody waits for any more."""

    def closing(self, ended: "Deferred[None]") -> None:
        """A connection ends; this fires when it has."""


@define(eq=False, kw_only=True)
class Source:
    """
    One server.

    Args:
        name: What people call it.
        endpoint: Where it is.
        file: The name of the file there.
        clock: Gives the time.
        settings: Of the client.
        random: Where jitter is drawn from.
        owner: Is told.

    Attributes:
        state: What it is doing.
        error: What it was lost with, or is left out for.
        version: What its file is, as it said last; None as long as that is not known.
        status: What it said of it besides.
        landings: The pieces that it was asked for, by the numbers of the requests.
        meter: Of its content.
        got: Bytes of content that came from it.
        pieces: How many of its pieces were right.
        exhausted: Whether all waits have ended without a byte.
    """

    name: str
    _endpoint: IStreamClientEndpoint
    _file: str
    _clock: IReactorTime
    _settings: ClientSettings
    _random: Random
    _owner: Owner
    state: State = field(init=False, default=State.CONNECTING)
    error: LabError | None = field(init=False, default=None)
    version: Version | None = field(init=False, default=None)
    status: Status | None = field(init=False, default=None)
    landings: dict[int, Landing] = field(init=False, factory=dict)
    meter: Meter = field(init=False)
    got: int = field(init=False, default=0)
    pieces: int = field(init=False, default=0)
    exhausted: bool = field(init=False, default=False)
    _connection: Connection | None = field(init=False, default=None)
    _held: bool = field(init=False, default=False)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _waits: Iterator[float] | None = field(init=False, default=None)
    _wait: float = field(init=False, default=0.0)
    _not_before: float = field(init=False, default=-math.inf)
    _strikes: int = field(init=False, default=0)
    #: How often there was no connection, one time after the other.
    _tried: int = field(init=False, default=0)
    #: Whether it has said on this connection what its version is.
    _told: bool = field(init=False, default=False)
    #: Numbers of the last requests for digests and status, and the first of both answers.
    _asked: dict[int, bool] = field(init=False, factory=dict)
    _digests: Digests | None = field(init=False, default=None)
    #: Whether it knows no kinds of digests, as older ones; then it has those that all know.
    _plain: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """Its meter, which begins when it is first asked for a piece."""
        self.meter = Meter(self._clock.seconds())

    @property
    def out(self) -> bool:
        """Whether it is left out for good."""
        return self.state in _OUT

    @property
    def ready(self) -> bool:
        """Whether it can be asked for pieces now."""
        return (
            self._connection is not None
            and self._told
            and self._clock.seconds() >= self._not_before
        )

    def begin(self) -> None:
        """Connect, and ask for its version."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._connection is None and not self.out:
            self.state = State.CONNECTING
            connection = Connection(
                self._endpoint, self._clock, self._settings, self._random, self._tell, self._tried
            )
            self._connection = connection
            if self._held:
                connection.hold(wanted=True)
            self._told = False
            self._ask()
            connection.begin()

    def again(self) -> None:
        """Ask for its version again, behind what is on the way."""
        if self._connection is not None and not self._asked:
            self.state = State.ASKING
            self._ask()

    def get(self, landing: Landing) -> None:
        """Ask for what is missing of a piece; it is ready."""
        connection, status = self._connection, self.status
        assert connection is not None and status is not None  # noqa: S101, PT018 - it is ready
        self.state = State.BUSY
        now = self._clock.seconds()
        if not self.landings and not self.meter.rate(now):
            self.meter = Meter(now)
        offset = landing.offset + landing.got
        get = Get(self._file, offset, landing.missing, status.tag)
        number = connection.ask(get, self._room)
        self.landings[number] = landing

    def forget(self) -> None:
        """Nobody wants any more what it owes; what comes of it all the same is wasted."""
        for landing in self.landings.values():
            landing.dropped = True
        self.landings.clear()
        self._idle()

    def is_right(self) -> None:
        """A piece of it was right."""
        self.pieces += 1
        self._strikes = 0

    def hold(self, *, wanted: bool) -> None:
        """Nobody takes its content; or somebody does again."""
        if wanted != self._held:
            self._held = wanted
            if self._connection is not None:
                self._connection.hold(wanted=wanted)

    def leave_out(self, state: State, error: LabError) -> None:
        """It is not asked any more; with `State.OTHER`, unless it is begun again."""
        self.state, self.error = state, error
        self._drop()

    def end(self) -> None:
        """Nobody wants anything of it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._owner.closing(connection.end())

    def progress(self, now: float) -> SourceProgress:
        """How it is."""
        note = str(self.error) if self.error and self.state is not State.BUSY else ""
        state, rate = self.state, self.meter.rate(now)
        if state is State.CONNECTING and self._connection is not None and self._connection.opened:
            state = State.ASKING
        return SourceProgress(self.name, state, self.got, self.pieces, rate, note)

    def _ask(self) -> None:
        """Ask for digests and status."""
        self._digests = None
        kinds = () if self._plain else faster()
        for request in (Hashes(self._file, kinds), Stat(self._file)):
            assert self._connection is not None  # noqa: S101 - who asks has one
            self._asked[self._connection.ask(request)] = True

    def _tell(self, event: Any) -> None:
        """What the connection says."""
        if isinstance(event, Data | Placed):
            self._content(event)
        elif isinstance(event, Misplaced):
            self._owner.full(event.error)
        elif isinstance(event, Failed):
            self._lost(event.error)
        elif event.number in self._asked:
            del self._asked[event.number]
            self._version(event.value)
        else:
            landing = self.landings.pop(event.number, None)
            if landing is not None and event.value is not None:
                self._no(event.value, landing)

    def _room(self, number: int) -> Part | None:
        """Where content belongs; of what it does not owe any more, nowhere."""
        landing = self.landings.get(number)
        return None if landing is None else self._owner.room(landing)

    def _content(self, event: Data | Placed) -> None:
        """Content."""
        size = len(event.data) if isinstance(event, Data) else event.size
        self.got += size
        self.meter.add(size, self._clock.seconds())
        landing = self.landings.get(event.number)
        if landing is None:
            self._owner.wasted(size)
            return
        self._waits, self.exhausted, self.error = None, False, None
        if isinstance(event, Data):
            landing.add(event.data, self.name)
        else:
            landing.placed(size, self.name)
        if not landing.missing:
            del self.landings[event.number]
            self._idle()
        self._owner.given(self, landing, size)

    def _version(self, value: Any) -> None:
        """An answer about the version."""
        if self.state is State.CONNECTING:
            self.state = State.ASKING
        if isinstance(value, Digests):
            self._digests = value
        elif isinstance(value, Status):
            self._compare(value)
        else:
            self._asked.clear()
            if isinstance(value, Refused) and value.code == 300 and not self._plain and faster():
                self._plain = True  # and if it was something else, it will say it again
                self._ask()
            else:
                self._no(value, None)

    def _compare(self, status: Status) -> None:
        """Both answers are there; they have to be of one version."""
        found = self._digests
        if found is None or (found.tag, found.size) != (status.tag, status.size):
            self._lost(Changed("the file was changed while it was looked at"))
            return
        self.version = Version(found.size, found.piece, found.digests, found.kind, status.sha256)
        self.status = status
        self._told = True
        self._idle()
        self._owner.known(self)

    def _no(self, value: Any, landing: Landing | None) -> None:
        """It refuses."""
        if isinstance(value, Busy):
            self._busy(value, landing)
        elif value.code == 409 and landing is not None:
            # It has another version now, and refuses whatever else it owes of the one before.
            gone = [landing, *self.landings.values()]
            self.landings.clear()
            self.version, self._told = None, False
            self._owner.gone(self, gone)
            self.again()
        elif value.code in {300, 404, 413}:
            self.leave_out(State.REJECTED, Rejected(f"{value.code} {value.text}"))
        else:
            self._lost(Rejected(f"{value.code} {value.text}"))

    def _busy(self, busy: Busy, landing: Landing | None) -> None:
        """It is too busy: wait."""
        error, now = Rejected(f"429 {busy.text}"), self._clock.seconds()
        if landing is None:
            self._lost(error, busy.wait)
            return
        self.state, self.error = State.WAITING, error
        if now >= self._not_before:  # of several that it refuses, one counts
            self._not_before = now + min(max(self._next_wait(), busy.wait), LONGEST)
        self._owner.refused(self, landing)

    def _lost(self, error: LabError, least: float = 0.0) -> None:
        """The connection is of no more use: try again later."""
        if isinstance(error, Broken):
            self._strikes += 1
            if self._strikes >= STRIKES:
                self.leave_out(State.LYING, error)
                return
        self.state, self.error = State.LOST, error
        made = self._connection is not None and self._connection.opened
        self._tried = 0 if made else self._tried + 1
        self._drop(min(max(self._next_wait(), least), LONGEST))

    def _drop(self, wait: float | None = None) -> None:
        """Let the connection go, and what it owes; begin anew after so many seconds, perhaps."""
        self.end()
        if wait is not None:
            self._timer = self._clock.callLater(wait, self.begin)
        self._asked.clear()
        gone = list(self.landings.values())
        self.landings.clear()
        self._owner.gone(self, gone)

    def _next_wait(self) -> float:
        """How long to wait before the next attempt, in seconds."""
        if self._waits is None:
            self._waits = self._settings.retry.waits(self._random)
        wait = next(self._waits, None)
        if wait is None:
            self.exhausted = True
        else:
            self._wait = wait
        return self._wait

    def _idle(self) -> None:
        """It may owe nothing any more."""
        if not self.landings and self.state in {State.BUSY, State.ASKING}:
            self.state = State.WAITING
