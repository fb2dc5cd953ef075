"""
One download: it joins the sources, who owes which piece, and the disk.

**What it must do.** End with the whole file, or with an error that says why not; never with a
mixture of two versions. Go on as long as there is a source that may still give something. Hold no
more than a bound in memory, however fast the network and however slow the disk.

**How it does it.** One coroutine goes from phase to phase: look at the target, agree on a version,
see what is there of it, fetch the rest, put it at its place. Between, everything happens in calls
of the sources (`lab.download.source.Owner`), each of which ends in ``_notice``: there the coroutine
looks whether its phase has ended. What blocks is done in a ``Lane``: two pieces at a time, but what
comes of one piece is checked and written in order, so that nothing is written behind the back of a
check.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lab.budget import Rates
from lab.core import Part
from lab.download.copies import Copies
from lab.download.intake import Intake
from lab.download.kinds import SHA256
from lab.download.landing import BATCH, Landing
from lab.download.lane import Lane
from lab.download.meter import Meter
from lab.download.outcomes import Changed, Fetched, Progress, State, WrongData, worst
from lab.download.scheduling import Scheduler
from lab.download.settings import ClientSettings
from lab.download.source import Source
from lab.download.target import Target, Version
from lab.download.versions import choose, votes
from lab.download.wire import Status
from lab.errors import LabError, Unreachable

#: How often it is looked at who could be asked for more, and told how far it is, in seconds.
STEP = 0.1
#: So long after the first source has told its version, the others are no longer waited for.
GRACE = 2.0
#: How often it may begin with another version.
STARTS = 5
#: How often a piece may be wrong when there is nobody else to ask.
TRIES = 3


@define(eq=False, kw_only=True)
class Fetch:
    """
    One download.

    Args:
        name: Of the file on the servers.
        target: Where it is put.
        lane: Does what blocks.
        clock: Gives the time.
        settings: Of the client.
        pace: Of all downloads together.
        sha256: What the whole file has to have; None if nobody has said.
        watch: Called with a `lab.download.outcomes.Progress`.
        closing: Called with what fires when a connection has ended.
    """

    name: str
    _target: Target
    _lane: Lane
    _clock: IReactorTime
    _settings: ClientSettings
    _pace: Rates
    _sha256: str | None
    _watch: Callable[[Progress], object]
    closing: Callable[[Deferred[None]], None]
    _sources: dict[str, Source] = field(init=False, factory=dict)
    _version: Version | None = field(init=False, default=None)
    _scheduler: Scheduler | None = field(init=False, default=None)
    _meter: Meter = field(init=False)
    _intake: Intake = field(init=False)
    _began: float = field(init=False, default=0.0)
    _got: int = field(init=False, default=0)
    _first: float | None = field(init=False, default=None)
    _reused: int = field(init=False, default=0)
    _done: int = field(init=False, default=0)
    _wrong: int = field(init=False, default=0)
    _copies: Copies = field(init=False, factory=Copies)
    #: How often each piece was wrong, and those that one source alone has to give.
    _tries: dict[int, int] = field(init=False, factory=dict)
    _timers: dict[str, IDelayedCall] = field(init=False, factory=dict)
    _wake: Deferred[None] | None = field(init=False, default=None)
    _failed: Failure | None = field(init=False, default=None)
    _over: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """It begins."""
        self._began = self._clock.seconds()
        self._meter, self._intake = Meter(self._began), Intake(self._pace)

    async def run(self, sources: Sequence[Source]) -> Fetched:
        """
        Do it.

        Args:
            sources: In order of preference.
        """
        self._sources = {source.name: source for source in sources}
        try:
            await self._lane.do(self._target.look)
            for source in sources:
                source.begin()
            self._tick()
            return await self._work()
        except GeneratorExit:
            # Its reactor is gone, as one of a simulated host that has crashed: so is all of this.
            self._over = True
            raise
        finally:
            if not self._over:
                await self._end()

    def progress(self) -> Progress:
        """How far it is."""
        now = self._clock.seconds()
        size = self._version.size if self._version else None
        rate, done = self._meter.rate(now), self._done or self._target.found
        left = (size or 0) - done
        return Progress(
            size,
            done,
            self._reused,
            self._got,
            self._wrong,
            rate,
            left / rate if rate and size is not None else None,
            tuple(source.progress(now) for source in self._sources.values()),
        )

    async def _work(self) -> Fetched:
        """All phases."""
        for _ in range(STARTS):
            version = await self._until(self._agreed)
            self._version, self._done, self._reused = version, 0, 0
            statuses = [source.status for source in self._having(version) if source.status]
            tags = {status.tag for status in statuses}
            have = await self._lane.do(self._target.begin, version, tags)
            self._start(version, have)
            whole = await self._until(self._ended)
            self._stop()
            if whole and (result := await self._finish(version, statuses[0])) is not None:
                return result
        raise Changed(self._say(f"the file was changed {STARTS} times", None))

    async def _finish(self, version: Version, status: Status) -> Fetched | None:
        """All pieces are right; None if it is not the file that is wanted all the same."""
        if self._sha256 is not None:
            found = await self._lane.do(self._target.sha256)
            if found != self._sha256:
                for source in self._listing(version):
                    text = f"its file has the SHA-256 {found}, and it had said {self._sha256}"
                    source.leave_out(State.LYING, WrongData(text))
                return None
        await self._lane.do(self._target.finish, status.mtime_ns)
        self._show()
        now = self._clock.seconds()
        return Fetched(
            self.name,
            self._target.path,
            version.size,
            self._sha256 or status.sha256,
            self._sha256 is not None
            or (version.kind, version.digests.hex()) == (SHA256, status.sha256),
            now - self._began,
            self._reused,
            self._got,
            self._copies.wasted,
            self._wrong,
            tuple(source.progress(now) for source in self._sources.values()),
        )

    async def _until(self, phase: Callable[[], Any]) -> Any:
        """Wait until a phase has a result that is not None."""
        while True:
            if self._failed is not None:
                self._failed.raiseException()
            result = phase()
            if result is not None:
                return result
            self._wake = Deferred()
            await self._wake

    def _notice(self) -> None:
        """Something has happened."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)

    async def _end(self) -> None:
        """Let go of everything; what is being written is written first."""
        self._over = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        for source in self._sources.values():
            source.end()
        self._target.stopped = True
        self._lane.drop()
        await self._lane.do(self._target.close)

    # The phases.

    def _agreed(self) -> Version | None:
        """The version that is downloaded, if it is clear."""
        known = self._versions()
        hopeful = [source for source in self._sources.values() if not source.out]
        if not known:
            if all(source.exhausted for source in hopeful):
                raise self._worst()
            return None
        version = choose(known)
        now = self._clock.seconds()
        if self._first is None:
            self._first = now
            self._later("grace", GRACE, self._notice)
        asking = [s for s in hopeful if s.state in {State.CONNECTING, State.ASKING}]
        sure = self._sha256 is not None or 2 * votes(version, known)[1] > len(self._sources)
        if not sure and asking and now < self._first + GRACE:
            return None
        return version

    def _ended(self) -> bool | None:
        """Whether the file is whole; False if it is to be begun with another version."""
        assert self._scheduler is not None and self._version is not None  # noqa: S101, PT018
        if not self._scheduler.left:
            return True
        hopeful = [source for source in self._sources.values() if self._hopeful(source)]
        known = self._versions()
        ours = votes(self._version, known)
        most = votes(choose(known), known) if known else ours
        # One that was asked again, or is not there, may have what is downloaded.
        unknown = any(source.version is None for source in hopeful)
        if most > ours and most[0] > unknown * len(self._sources) / 2:
            return False
        if unknown or ours[0]:
            return None
        raise self._worst()

    def _hopeful(self, source: Source) -> bool:
        """Whether something may come of a source still."""
        return not source.out and (source.ready or not source.exhausted)

    def _start(self, version: Version, have: list[int]) -> None:
        """Ask for what is not there."""
        self._reused = self._done = sum(version.length(piece) for piece in have)
        doubles = version.piece <= BATCH
        most = self._settings.in_flight
        self._scheduler = Scheduler(version.count, version.piece, have, most, doubles)
        self._tries.clear()
        for source in self._sources.values():
            self._sort(source)
        self._pump()

    def _stop(self) -> None:
        """Nothing of this version is wanted any more."""
        self._scheduler, self._first = None, None
        self._copies.clear()
        for source in self._sources.values():
            source.forget()

    def _sort(self, source: Source) -> None:
        """Whether a source has what is downloaded."""
        if source.out or source.version is None or self._scheduler is None:
            return
        if source in self._having(self._version):
            self._scheduler.add(source.name)
            if source.state is State.OTHER:
                source.begin()
        else:
            self._scheduler.remove(source.name)
            source.leave_out(State.OTHER, Changed("it has another version of the file"))

    # What the sources tell: see `lab.download.source.Owner`.

    def known(self, source: Source) -> None:
        """It has told its version."""
        for other in self._sources.values():
            if other.version == source.version:
                source.version = other.version  # one list in memory, which is quick to compare
        status = source.status
        if self._sha256 is not None and status is not None and status.sha256 != self._sha256:
            text = f"its file has the SHA-256 {status.sha256}, not {self._sha256}"
            source.leave_out(State.REJECTED, WrongData(text))
            return
        if self._first is None:
            self._notice()
        self._sort(source)
        self._pump()
        self._notice()

    def given(self, source: Source, landing: Landing, size: int) -> None:
        """Some bytes of a piece came."""
        now = self._clock.seconds()
        self._count(size, now)
        if landing.dropped:
            self._copies.wasted += size
        wait = self._intake.came(size, now)
        if wait < math.inf:
            self._later("pace", wait, self._go_on)
        scheduler = self._scheduler
        if scheduler is not None and landing.ready:
            if not landing.missing:
                scheduler.came(source.name, landing.piece)
            self._store(source, landing)
            self._pump()
        self._hold()

    def room(self, landing: Landing) -> Part | None:
        """Where a piece may be put; not if each byte counts, for this takes many at a time."""
        if self._over or self._settings.limit_rate < math.inf:
            return None
        return self._target.room(landing)

    def full(self, error: OSError) -> None:
        """The file did not take what came."""
        size = self._version.size if self._version else 0
        self._fail(Failure(self._target.explain(error, size)))

    def refused(self, source: Source, landing: Landing) -> None:
        """It will not give a piece now."""
        self._copies.drop(landing)
        assert self._scheduler is not None  # noqa: S101 - who owes a piece is forgotten before
        self._scheduler.give_back(source.name, landing.piece)
        self._pump()
        self._notice()

    def gone(self, source: Source, landings: list[Landing]) -> None:
        """It gives nothing for now."""
        if self._scheduler is not None:
            self._scheduler.remove(source.name)
        for landing in landings:
            if landing.got and not landing.dropped and not self._tries.get(landing.piece):
                self._copies.keep(landing)
            else:
                self._copies.drop(landing)
        self._pump()
        self._notice()

    def wasted(self, size: int) -> None:
        """Bytes came that nobody waits for."""
        self._count(size, self._clock.seconds())
        self._copies.wasted += size

    def _count(self, size: int, now: float) -> None:
        """So many bytes came, wanted or not."""
        self._got += size
        self._meter.add(size, now)

    # Pieces.

    def _pump(self) -> None:
        """Ask whoever can be asked for more."""
        scheduler, version = self._scheduler, self._version
        if scheduler is None or version is None or self._over:
            return
        now = self._clock.seconds()
        ready = [s for s in self._having(version) if s.ready and not s.out]
        for source in ready:
            scheduler.add(source.name)
            scheduler.measure(source.name, source.meter.rate(now))
        while ready:
            ready = [source for source in ready if self._ask(scheduler, version, source)]

    def _ask(self, scheduler: Scheduler, version: Version, source: Source) -> bool:
        """Ask a source for a piece, if it may owe one more."""
        piece = scheduler.take(source.name)
        if piece is None:
            return False
        source.get(self._copies.begin(piece, version.landing))
        return True

    def _store(self, source: Source, landing: Landing) -> None:
        """Check what came, and write it."""
        chunks, size = landing.batch()
        self._intake.wait(size)
        if not landing.missing:
            self._copies.check(landing)
        done = self._lane.beside(landing.piece, self._target.store, landing, chunks)
        done.addCallback(self._was_stored, source, landing, size).addErrback(self._fail)

    def _was_stored(self, right: bool, source: Source, landing: Landing, size: int) -> None:  # noqa: FBT001 - a callback
        """It was."""
        self._intake.stored(size)
        if not landing.missing and self._scheduler is not None and not self._over:
            self._checked(self._scheduler, source, landing, right=right)
        self._hold()
        self._pump()
        self._notice()

    def _checked(
        self, scheduler: Scheduler, source: Source, landing: Landing, *, right: bool
    ) -> None:
        """It is known whether a piece is right."""
        self._copies.checked(landing)
        if not right and not landing.dropped:
            scheduler.wrong(landing.piece)
            self._blame(source, landing)
        elif scheduler.right(landing.piece):
            self._done += landing.length
            source.is_right()
            self._copies.drop_all(landing.piece)

    def _blame(self, source: Source, landing: Landing) -> None:
        """A piece was wrong: find out whether by accident, or get rid of who gives such."""
        piece = landing.piece
        self._wrong += 1
        self._copies.wasted += landing.length
        which = f"piece {piece} (at {landing.offset:,})"
        listing = self._listing(self._version)
        if source not in listing and source in self._having(self._version):
            # Its own list is of another kind. Who is right is not known: they have two files.
            text = f"{which} is not what the list of another server says"
            source.leave_out(State.OTHER, WrongData(text))
            for one in listing:
                one.again()
            return
        tries = self._tries[piece] = self._tries.get(piece, 0) + 1
        alone = len(set(landing.sources)) == 1
        others = any(s is not source and s.ready for s in listing)
        if (alone and others) or tries >= TRIES:
            text = f"{which} is not what the list of its file says"
            source.leave_out(State.LYING, WrongData(text))
        else:
            # Perhaps it was the list that was damaged on its way.
            source.again()

    # Time, memory, errors.

    def _later(self, name: str, delay: float, function: Callable[[], None]) -> None:
        """Call a function in so many seconds; there is one timer of that name."""
        before = self._timers.get(name)
        if before is not None and before.active():
            before.cancel()
        self._timers[name] = self._clock.callLater(delay, function)

    def _tick(self) -> None:
        """Time has passed."""
        self._later("tick", STEP, self._tick)
        try:
            self._show()
        except Exception:  # noqa: BLE001 - whatever a callback of the application's raises
            self._fail(Failure())
        self._pump()

    def _show(self) -> None:
        """Tell how far it is."""
        self._watch(self.progress())

    def _go_on(self) -> None:
        """It was too fast, and has waited."""
        self._intake.go_on()
        self._hold()

    def _hold(self) -> None:
        """Read nothing if it is too fast, or too much waits for the disk."""
        for source in self._sources.values():
            source.hold(wanted=self._intake.held)

    def _fail(self, reason: Failure) -> None:
        """Something of ours has failed."""
        if not self._over:
            self._failed = self._failed or reason
            self._notice()

    def _having(self, version: Version | None) -> list[Source]:
        """The sources with this version."""
        return [
            source
            for source in self._sources.values()
            if source.version is not None
            and version is not None
            and source.version.same_file(version)
        ]

    def _listing(self, version: Version | None) -> list[Source]:
        """The sources that have told this very list."""
        return [source for source in self._sources.values() if source.version == version]

    def _versions(self) -> Mapping[str, Version]:
        """The versions that are known, of those of whom something may come."""
        return {
            name: source.version
            for name, source in self._sources.items()
            if source.version is not None and self._hopeful(source)
        }

    def _worst(self) -> LabError:
        """What to say when nothing more will come."""
        errors = [(s.name, s.error) for s in self._sources.values() if s.error is not None]
        if not errors:
            return Unreachable("there is no source")
        name, error = worst(errors)
        more = f" (and {len(errors) - 1} more failed)" if len(errors) > 1 else ""
        return type(error)(self._say(f"{name}: {error}{more}", self._version))

    def _say(self, text: str, version: Version | None) -> str:
        """An error, and what is left of the download."""
        if version is None or not self._done:
            return text
        return (
            f"{text}; {self._done:,} of {version.size:,} bytes are kept, and running it again "
            f"goes on from there"
        )
