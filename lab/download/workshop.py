"""
What takes time is done here: files are hashed, directories are listed, some at a time.

Everything is a generator, of which a thread takes a step after the other: a step reads some MiB, or
some hundred names, so that nothing goes on for long after nobody wants it any more. Connections
that want the same share the work. The bytes of a list are shared as well; while those that are
still being sent take too much, no more lists are made.

Knows no connection: whoever asks is an `Asker`.
"""

from collections import deque
from collections.abc import Generator
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from attrs import define, field
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.download.answers import AGAIN, refusal
from lab.download.digests import Digests, digest
from lab.download.files import Files
from lab.download.kinds import KINDS
from lab.download.lane import Run, elsewhere
from lab.download.listings import Listing, listing
from lab.download.server import Wanted
from lab.download.shared import Shared
from lab.download.wire import Busy, List, Refused, Working
from lab.errors import LabError

#: Lists that are made and not sent yet take so many bytes at most, before no more are made.
LISTED = 2**26

Found = Digests | Listing | Refused | Busy


class Asker(Protocol):
    """Who wants something."""

    def progress(self, working: Working) -> None:
        """How far it is."""

    def answer(self, found: Found) -> None:
        """It is there; this is called once, and not before `Workshop.ask` has returned."""


@define(eq=False)
class _Job:
    """Something that is done, for some who want it."""

    key: tuple[str, ...]
    steps: Generator[Working, None, Found]
    askers: list[Asker] = field(factory=list)

    def step(self) -> Working | Found:
        """Go on a step, in whatever thread."""
        try:
            return next(self.steps)
        except StopIteration as stop:
            found: Found = stop.value
            return found
        except (LabError, OSError) as error:
            return refusal(error)


@define(eq=False)
class Workshop:
    """
    Does what takes time, for all connections of a server.

    Args:
        reactor: Has threads; one that has none takes a step in a turn of its own.
        files: What is served.
        shared: Its settings say how much is done at a time, its cache keeps what was found.
        run: Takes a step elsewhere; by default a thread of the reactor's does.
    """

    _reactor: Any
    _files: Files
    _shared: Shared
    _run: Run | None = None
    _jobs: dict[tuple[str, ...], _Job] = field(init=False, factory=dict)
    _waiting: deque[_Job] = field(init=False, factory=deque)
    _working: int = field(init=False, default=0)
    _listings: "WeakSet[Listing]" = field(init=False, factory=WeakSet)
    _log = Logger()

    def __len__(self) -> int:
        """How many things are done, or wait for that."""
        return len(self._jobs)

    def ask(self, wanted: Wanted, asker: Asker) -> None:
        """Do something, for somebody."""
        request = wanted.request
        key = self._key(wanted)
        job = self._jobs.get(key)
        if job is None:
            full = self._full(request)
            if full:
                self._reactor.callLater(0, asker.answer, Busy(AGAIN, full))
                return
            job = _Job(key, self._steps(key))
            self._jobs[key] = job
            self._waiting.append(job)
        job.askers.append(asker)
        self._start()

    def leave(self, asker: Asker) -> None:
        """Somebody wants nothing any more."""
        for job in self._jobs.values():
            if asker in job.askers:
                job.askers.remove(asker)
                # What is being done is ended after its step, and what waits when it has its turn.
                return

    def _full(self, request: Any) -> str:
        """Why no more can be done, if that is so."""
        limits = self._shared.settings
        if len(self._jobs) >= limits.workers + limits.queue:
            return f"{len(self._jobs)} files are read, or wait for that"
        held = sum(len(made.lines) for made in self._listings)
        if isinstance(request, List) and held > LISTED:
            return f"lists of {held} bytes are being sent"
        return ""

    def _key(self, wanted: Wanted) -> tuple[str, ...]:
        """What is the same for all who want the same."""
        request = wanted.request
        if isinstance(request, List):
            return "list", request.glob
        key = "digest", request.name, wanted.tag
        # Any kind will do: what is being done, or else what takes least time.
        kinds = [wanted.kind] if wanted.kind else [*KINDS]
        return next(
            (some for kind in kinds if (some := (*key, kind)) in self._jobs), (*key, kinds[0])
        )

    def _steps(self, key: tuple[str, ...]) -> Generator[Working, None, Found]:
        """What is to be done."""
        what, name, *more = key
        if what == "list":
            return listing(self._files, name)
        tag, kind = more
        return digest(self._files, name, kind, self._shared.cache.find(name, tag))

    def _start(self) -> None:
        """Begin what waits, as long as there are workers."""
        while self._waiting and self._working < self._shared.settings.workers:
            self._working += 1
            self._step(self._waiting.popleft())

    def _step(self, job: _Job) -> None:
        """Take the next step, if somebody wants it."""
        if not job.askers:
            job.steps.close()
            self._end(job)
            return
        if self._run is None:
            self._run = elsewhere(self._reactor, partial(deferLater, self._reactor, 0))
        self._run(job.step).addCallbacks(
            self._stepped, self._failed, callbackArgs=(job,), errbackArgs=(job,)
        )

    def _stepped(self, found: Working | Found, job: _Job) -> None:
        """A step was taken."""
        if isinstance(found, Working):
            for asker in job.askers:
                asker.progress(found)
            self._step(job)
            return
        if isinstance(found, Digests):
            self._shared.cache.keep(job.key[1], found)
            self._shared.counters.hashed += 1
            self._shared.counters.hashed_bytes += found.size
        elif isinstance(found, Listing):
            self._listings.add(found)
        self._end(job)
        for asker in job.askers:
            asker.answer(found)

    def _failed(self, failure: Failure, job: _Job) -> None:
        """A step has met what is no error of the service's."""
        self._log.failure("{job} failed", failure, job=job.key)
        self._stepped(Refused(500, "the server has met an error of its own"), job)

    def _end(self, job: _Job) -> None:
        """Something is done, or is not wanted any more."""
        del self._jobs[job.key]
        self._working -= 1
        self._start()
