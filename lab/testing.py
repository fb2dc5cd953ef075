"""
Tests of cores without a network and without waiting: for our tests, and for yours.

`Playbook` reads like the sequence chart of one core; `Pair` runs two cores against each other
over a link that may delay, lose, repeat and reorder; `chunkings` cuts a stream in every way
that a network might. Time is virtual, and steps from one deadline to the next. What mix-ins for
test cases need is here, too: `tell_at_failure`.
"""

import heapq
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from inspect import iscoroutinefunction, isgeneratorfunction
from itertools import count
from typing import Any, Self
from unittest import SkipTest

import attrs

from lab.core import Core, Datagrams

#: A body is read in pieces of so many bytes.
PIECE = 65_536


class Playbook:
    """
    Plays one core, and checks what it sent and told, and when.

    Commands (`does`, `receives`, `wait`) act at once, expectations (`sends`, `tells`, `silent`)
    look at what has happened since the last expectation, in order, and `end` at whether there
    was anything else. A body is read to its end at once; each piece of it was sent.

    Args:
        core: What is played.
        now: When the play begins, in seconds.

    >>> from lab.arithmetic.server import ArithmeticServerCore
    >>> from lab.arithmetic.settings import ServerSettings
    >>> play = Playbook(ArithmeticServerCore(ServerSettings(), 0.0))
    >>> play.receives(b"+,1,1").sends(b"200,2").end()
    """

    def __init__(self, core: Core, now: float = 0.0) -> None:
        self._core = core
        self._seen: list[tuple[float, str, Any]] = []
        #: The time, in seconds.
        self.now = now

    def does(self, command: Callable[[float], object]) -> Self:
        """Call a command of the core's own, with the time."""
        command(self.now)
        return self._collect()

    def receives(self, *messages: bytes) -> Self:
        """The peer sends these messages."""
        for message in messages:
            self._core.message(message, self.now)
            self._collect()
        return self

    def closes(self) -> Self:
        """The peer is gone."""
        self._core.close(self.now)
        return self._collect()

    def wait(self, seconds: float) -> Self:
        """Let time pass, and tick at each deadline on the way."""
        until = self.now + seconds
        while (deadline := self._core.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self._core.tick(self.now)
            self._collect()
            later = self._core.deadline()
            assert later is None or later > self.now, f"the core stands still at {self.now}"
        self.now = until
        return self

    def sends(self, message: bytes, at: float | None = None) -> Self:
        """The next thing that happened: this was sent (at that time)."""
        return self._expect("sent", message, at)

    def tells(self, event: object, at: float | None = None) -> Self:
        """The next thing that happened: this event was told (at that time)."""
        return self._expect("told", event, at)

    def silent(self) -> Self:
        """Nothing has happened."""
        assert not self._seen, f"expected nothing, but {self._seen[0]}"
        return self

    def end(self) -> None:
        """Nothing more has happened, and the play is over."""
        self.silent()

    def _collect(self) -> Self:
        """Note what the core wants sent and told."""
        self._seen += [(self.now, "sent", message) for message in _sent(self._core, self.now)]
        self._seen += [(self.now, "told", event) for event in self._core.events()]
        return self

    def _expect(self, kind: str, value: object, at: float | None) -> Self:
        """Compare with the oldest thing that happened."""
        expected = f"expected {kind} {value!r}{'' if at is None else f' at {at}'}"
        assert self._seen, f"{expected}, but nothing more has happened"
        when, happened, what = self._seen.pop(0)
        alike = happened == kind and _alike(what, value)
        assert alike, f"{expected}, but {happened} {what!r} at {when}"
        assert at is None or _alike(when, at), f"{expected}, but it was at {when}"
        return self


#: What becomes of a message: the delays, in seconds, after which it arrives. None: it is lost.
Fate = Callable[[bytes], Sequence[float]]


def at_once(_: bytes) -> Sequence[float]:
    """The fate of a message on a perfect link."""
    return (0.0,)


class Pair:
    """
    Two cores and a link between them, on a clock of their own.

    Args:
        left: One core.
        right: The other.
        to_right: What becomes of each message of the left core's.
        to_left: What becomes of each message of the right core's.

    Attributes:
        now: The time, in seconds.
        told: Events of the left and of the right core, as lists of (time, event).
    """

    def __init__(
        self, left: Core, right: Core, to_right: Fate = at_once, to_left: Fate = at_once
    ) -> None:
        self.now = 0.0
        self.told: tuple[list[tuple[float, Any]], list[tuple[float, Any]]] = ([], [])
        self._cores = (left, right)
        self._fates = (to_right, to_left)
        self._order = count()
        # (when, order of sending, index of the core that it comes to, message)
        self._link: list[tuple[float, int, int, bytes]] = []

    def run(self, until: float = math.inf) -> None:
        """
        Go on until nothing is due any more, or until a time.

        Args:
            until: In seconds; the clock stands there afterwards, unless it is infinite or past.
        """
        self._settle()
        while (when := self._next()) <= until and when < math.inf:
            self.now = max(self.now, when)
            while self._link and self._link[0][0] <= self.now:
                _, _, index, message = heapq.heappop(self._link)
                self._cores[index].message(message, self.now)
                self._settle()
            for core in self._cores:
                deadline = core.deadline()
                if deadline is not None and deadline <= self.now:
                    core.tick(self.now)
                    self._settle()
        self.now = max(self.now, until) if until < math.inf else self.now

    def _next(self) -> float:
        """When the next thing is due."""
        deadlines = [core.deadline() for core in self._cores]
        times = [time for time in deadlines if time is not None]
        return min([*times, self._link[0][0] if self._link else math.inf], default=math.inf)

    def _settle(self) -> None:
        """Take what the cores want sent and told."""
        for index, core in enumerate(self._cores):
            for message in _sent(core, self.now):
                for delay in self._fates[index](message):
                    entry = (self.now + delay, next(self._order), 1 - index, message)
                    heapq.heappush(self._link, entry)
            self.told[index].extend((self.now, event) for event in core.events())


def chunkings(data: bytes) -> Iterator[list[bytes]]:
    """
    Cut a stream: in equal chunks of every size, and in two at every place.

    >>> [len(chunks) for chunks in chunkings(b"abc")]
    [3, 2, 1, 2, 2]
    """
    for size in range(1, len(data) + 1):
        yield [data[start : start + size] for start in range(0, len(data), size)]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


def _sent(core: Core, now: float) -> list[bytes]:
    """All that the core sends at this time: messages, and pieces of bodies."""
    sent: list[bytes] = []
    while outgoing := core.outgoing():
        for item in outgoing:
            if isinstance(item, bytes):
                sent.append(item)
                continue
            if isinstance(item, Datagrams):
                sent += item
                continue
            while piece := item.read(PIECE, now):
                sent.append(piece)
    return sent


def _alike(one: Any, other: Any) -> bool:
    """Equal, with floats that may differ in their last digits."""
    if type(one) is not type(other) and not (_is_number(one) and _is_number(other)):
        return False
    if attrs.has(type(one)):
        pairs = zip(
            attrs.astuple(one, recurse=False), attrs.astuple(other, recurse=False), strict=True
        )
        return all(_alike(a, b) for a, b in pairs)
    if _is_number(one):
        return math.isclose(one, other, abs_tol=1e-9)
    return bool(one == other)


def _is_number(value: Any) -> bool:
    """Whether closeness means something for it."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))


def tell_at_failure(case: Any, report: Callable[[], str]) -> None:
    """
    Have a test case write a report to standard error if its test fails.

    It is for `run`, before the test: of cases of unittest's, and of trial's, which may end later.

    Args:
        case: Has the test.
        report: Called when it has failed; the text is for people.
    """
    name = case.id().rpartition(".")[2]
    method = getattr(case, name)
    if isgeneratorfunction(method):
        return  # which trial refuses, if it sees that it is one

    def tell(failure: Any) -> Any:
        """Write it; a test that is skipped has not failed."""
        if not isinstance(getattr(failure, "value", failure), SkipTest):
            sys.stderr.write(f"{report()}\n")
        return failure

    @wraps(method)
    def test() -> object:
        """Do it."""
        try:
            result = method()
        except Exception as error:
            tell(error)
            raise
        # This room knows no Twisted, but a Deferred when it sees one.
        watch = getattr(result, "addErrback", None)
        return watch(tell) if watch else result

    @wraps(method)
    async def test_later() -> object:
        """Do it, and wait."""
        try:
            return await method()
        except Exception as error:
            tell(error)
            raise

    setattr(case, name, test_later if iscoroutinefunction(method) else test)
